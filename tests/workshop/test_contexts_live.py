"""Two Docker Engines and a workshop over both: the second one is a dockerd of this test.

It has a network namespace of its own, as another machine would have, and a unix socket alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.context import ContextAPI
from typer.testing import CliRunner, Result

from labkit import attach, workshop
from labkit.cli import app
from labkit.lab.engine import connect
from labkit.lab.images import ensure_image, find_node_image, node_image_tag
from labkit.lab.nodes import find_labs
from labkit.lab.progress import QuietReporter
from labkit.workshop import exercises, session
from labkit.workshop.board import Watch
from labkit.workshop.engines import connect_to, places
from labkit.workshop.ledger import Seat, ledger_of

pytestmark = pytest.mark.lab
NAME = os.environ.get("LABKIT_TEST_NAME") or f"engines-{os.getpid()}"
PREFIX, MODE = f"{NAME}-e", "light-insecure"
ONE, TWO = Seat(f"{PREFIX}01", MODE), Seat(f"{PREFIX}02", MODE)
NEAR, FAR = "labkit-near", "labkit-far"
#: Seconds for the second engine to start.
PATIENCE_S = 60


def missing() -> str:
    """Return what keeps this machine from a second engine."""
    if os.geteuid() != 0:
        return "a second Docker Engine needs root"
    programs = [name for name in ("dockerd", "unshare") if shutil.which(name) is None]
    return f"no {' and no '.join(programs)} on this machine" if programs else ""


@pytest.fixture(scope="module")
def second_host() -> Iterator[str]:
    """Start a second dockerd with the node image of the first; return its address."""
    if why := missing():
        pytest.skip(why)
    root = connect().info()["DockerRootDir"]
    folder = Path(tempfile.mkdtemp(prefix="labkit-second-", dir=Path(root).parent))
    socket = f"unix://{folder}/sock"
    places_ = [f"--data-root={folder}/data", f"--exec-root={folder}/exec"]
    argv = ["unshare", "--net", "--mount", "dockerd", *places_, f"--pidfile={folder}/pid"]
    with (folder / "log").open("wb") as log:
        engine = subprocess.Popen([*argv, f"--host={socket}"], stdout=log, stderr=log)
    try:
        client = _answering(socket, engine, folder / "log")
        near = connect()
        ensure_image(near, "node", QuietReporter())
        image = near.images.get(node_image_tag())
        with tempfile.TemporaryFile() as file:
            file.writelines(image.save(named=node_image_tag()))
            file.seek(0)
            client.images.load(file)
        assert find_node_image(client) == node_image_tag()
        client.close()
        yield socket
    finally:
        engine.send_signal(signal.SIGTERM)
        engine.wait(PATIENCE_S)
        shutil.rmtree(folder)


def _answering(socket: str, engine: subprocess.Popen[bytes], log: Path) -> docker.DockerClient:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and engine.poll() is None:
        try:
            return docker.DockerClient(base_url=socket, timeout=PATIENCE_S)
        except docker.errors.DockerException:
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture(scope="module")
def contexts(second_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give both engines a context, in a folder of Docker's configuration for this test alone."""
    folder = tmp_path_factory.mktemp("docker")
    (folder / "config.json").write_text("{}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(folder))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        first = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        ContextAPI.create_context(NEAR, host=first)
        ContextAPI.create_context(FAR, host=second_host)
        yield


def labkit(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["workshop", *arguments, "--prefix", PREFIX])


@pytest.mark.usefixtures("contexts")
def test_labs_of_one_workshop_run_on_two_engines() -> None:
    near, far = connect(context=NEAR), connect(context=FAR)
    both = ["--mode", MODE, "--context", NEAR, "--context", FAR]
    try:
        looked = labkit("doctor", "--participants", "2", *both)
        assert f"{NEAR}: Memory for " in looked.stdout
        assert f"{FAR}: Memory for " in looked.stdout
        # one after the other, as both engines share the room of one machine
        first = labkit("up", "--participants", "1", "--mode", MODE, "--context", NEAR)
        assert first.exit_code == 0, first.stderr
        started = labkit("up", "--participants", "2", "--mode", MODE, "--context", FAR)
        assert started.exit_code == 0, started.stderr
        seats = {NEAR: find_labs(near, PREFIX), FAR: find_labs(far, PREFIX)}
        assert sorted(map(len, seats.values())) == [1, 1]
        for context, [(name, _)] in seats.items():
            lines = [it for it in started.stderr.splitlines() if f"lab {name} ({MODE}) " in it]
            assert lines[-1].endswith(f", on {context}")

        told = labkit("say", "Lunch")
        assert (told.exit_code, told.stderr) == (0, "told 2 of 2 labs\n")
        [(name, _)] = seats[FAR]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_CONTEXT", FAR)
            assert str(session.notice(lab=name)) == "the trainer says: Lunch"
            workshop.exercise("etcd-1", lab=name)
            [lab] = attach("insecure", name=name)
            namespace: dict[str, Any] = {"insecure": lab}
            exec(exercises["etcd-1"].solution, namespace)
            assert workshop.check("etcd-1", namespace["answer"], lab=name).solved

        ledger = ledger_of(PREFIX)
        engines = connect_to(ledger.read().contexts)
        board = Watch(PREFIX, engines, ledger).settle(lambda _: None)
        states = {seat.name: board.cell(seat.name, "etcd-1").state for seat in (ONE, TWO)}
        assert states.pop(name) == "solved"
        assert list(states.values()) == [""]

        before = places(engines, PREFIX)
        again = labkit("up", "--participants", "2", "--mode", MODE)
        assert again.exit_code == 0
        assert again.stderr.count("is already up") == 2
        assert places(engines, PREFIX) == before
    finally:
        removed = labkit("down")
    assert removed.exit_code == 0
    assert find_labs(near, PREFIX) == find_labs(far, PREFIX) == []
