"""The server room, live: two participants whose Docker sockets lead to their own labs alone."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import psutil  # type: ignore[import-untyped]
import pytest
import requests
from docker.errors import APIError, NotFound

import labkit
from labkit import workshop
from labkit.lab.engine import connect
from labkit.lab.lab import Lab
from labkit.lab.light import full_form
from labkit.lab.nodes import find_labs
from labkit.lab.progress import QuietReporter, make_reporter
from labkit.resources import server_room_dir
from labkit.verification import verify
from labkit.workshop import exercises, guard, room
from labkit.workshop.guard import Guard
from labkit.workshop.guard_socket import guarding
from labkit.workshop.server_room import jupyter_of, make_image, passwords_of, remove_jupyters

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.lab
NAME = os.environ.get("LABKIT_TEST_NAME") or f"server-{os.getpid()}"
PREFIX, MODE = f"{NAME}-s", "light-insecure"
ONE, TWO = f"{PREFIX}01", f"{PREFIX}02"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Lab]]:
    """Return the labs of two participants, with the engine's own socket."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        try:
            started = room.open_room(PREFIX, 2, [MODE], reporter=make_reporter())
            yield {lab.name: lab for lab, _, _ in started}
        finally:
            room.remove_room(PREFIX, reporter=make_reporter())
            assert find_labs(connect(), PREFIX) == []


@pytest.fixture(scope="module")
def used() -> set[str]:
    """Return the operations of the guard that labkit used, as METHOD and path."""
    return set()


@pytest.fixture
def socket_of_one(
    pair: dict[str, Lab],
    used: set[str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[str, list[str]]]:
    """Return the first participant's socket, which their commands use, and what it refused."""

    def noted(operation: guard.Operation) -> guard.Operation:
        def ask(*given: Any) -> Any:
            used.add(f"{operation.method} {operation.path}")
            return operation.ask(*given)

        return replace(operation, ask=ask)

    monkeypatch.setattr(guard, "OPERATIONS", tuple(map(noted, guard.OPERATIONS)))
    reported: list[str] = []
    folder = tmp_path_factory.mktemp("s")
    with guarding(Guard(connect(), ONE, PREFIX), folder / ONE, reported.append) as path:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield f"unix://{path}", reported


def lab_of(name: str) -> Lab:
    """Return a lab as a participant's command sees it: by the socket of the environment."""
    return Lab(MODE, name=name, reporter=QuietReporter())


def solve(lab: Lab, name: str) -> None:
    exec(exercises[name].solution, {full_form(lab.mode): lab})


def test_participant_does_all_of_the_workshop_through_the_guard(
    pair: dict[str, Lab],
    socket_of_one: tuple[str, list[str]],
    used: set[str],
    settled: Callable[..., list[str]],
) -> None:
    _, reported = socket_of_one
    lab = lab_of(ONE)
    assert lab.status().state == "ready"
    assert [it.name for it in labkit.list_labs()] == [ONE]

    # attacks, by requests and by a machine in the middle
    for name in ("etcd-read", "eavesdrop-etcd", "kubelet-exec"):
        assert labkit.techniques[name].run(lab).succeeded

    # an exercise: with a file that is written, solved, and checked
    workshop.exercise("worker-1", lab=ONE)
    assert workshop.check("etcd-2", lab=ONE).state == "open"
    solve(lab, "etcd-2")
    assert workshop.check("etcd-2", lab=ONE).solved
    workshop.reset(MODE, lab=ONE)
    assert settled(lab) == []

    # machines that stopped, also with what they said last
    real = pair[ONE].client
    real.containers.get(f"labkit-{ONE}-{MODE}-attacker").stop(timeout=1)
    with pytest.raises(labkit.errors.LabError):
        lab_of(ONE).exec("attacker", ["true"])
    real.containers.get(f"labkit-{ONE}-{MODE}-worker1").pause()
    lab_of(ONE).reset()
    assert lab_of(ONE).status().state == "ready"

    found = verify(lab_of(ONE))
    assert {row.verdict for row in found.rows} == {"agree"}
    assert reported == []
    # the guard allows what labkit uses, and no more
    assert used == {f"{one.method} {one.path}" for one in guard.OPERATIONS}


def refused(ask: Any) -> APIError:
    with pytest.raises(APIError, match="labkit guard") as error:
        ask()
    return error.value


def test_change_of_the_attackers_machine_that_a_reset_cannot_undo_is_named(
    pair: dict[str, Lab], socket_of_one: tuple[str, list[str]]
) -> None:
    tool = "/usr/local/bin/tool"
    lab_of(ONE).exec("attacker", ["touch", tool])
    with pytest.raises(labkit.errors.LabError, match="attacker was changed") as error:
        lab_of(ONE).reset()
    assert tool in str(error.value)
    lab_of(ONE).exec("attacker", ["rm", tool])
    lab_of(ONE).reset()


def test_participant_gets_neither_the_host_nor_another_lab(
    pair: dict[str, Lab], socket_of_one: tuple[str, list[str]]
) -> None:
    address, reported = socket_of_one
    real = pair[TWO].client
    guarded = docker.DockerClient(base_url=address)
    image = pair[ONE].container("master").attrs["Image"]
    # other tests make containers too, so only the two labs' count, and what this test asks for
    command = ["id", secrets.token_hex(8)]

    def containers() -> set[str]:
        return {
            one["Id"]
            for one in real.api.containers(all=True)
            if one["Labels"].get("labkit.lab") in (ONE, TWO) or command[1] in one["Command"]
        }

    before = containers()

    # the same requests at the engine itself are carried out: see below
    hosts: list[dict[str, Any]] = [
        {"privileged": True},
        {"binds": ["/:/host"]},
        {"network_mode": "host", "pid_mode": "host"},
        {"cap_add": ["SYS_MODULE"]},
        {"binds": [f"labkit-{TWO}-{MODE}-etcd1-var-lib-etcd:/etcd"]},
    ]
    for settings in hosts:
        config = guarded.api.create_host_config(**settings)
        error = refused(
            lambda config=config: guarded.api.create_container(image, command, host_config=config)
        )
        assert error.status_code == 403
    config = real.api.create_host_config(privileged=True, binds=["/:/host"])
    made = real.api.create_container(image, command, host_config=config)
    assert containers() - before == {made["Id"]}
    real.api.remove_container(made["Id"])

    own, other = pair[ONE].container("master"), pair[TWO].container("master")
    for reference in (other.id, other.short_id, other.name):
        assert reference
        refused(lambda it=reference: guarded.api.exec_create(it, ["id"], stdin=True, workdir="/"))
        refused(lambda it=reference: guarded.api.get_archive(it, "/etc/shadow"))
        refused(lambda it=reference: guarded.api.put_archive(it, "/", b""))
        refused(lambda it=reference: guarded.api.start(it))
        refused(lambda it=reference: guarded.api.inspect_container(it))
        refused(lambda it=reference: guarded.api.logs(it, tail=5))
        refused(lambda it=reference: guarded.api.remove_container(it, force=True))
    made = real.api.exec_create(other.id, ["id"], stdin=True, workdir="/")
    refused(lambda: guarded.api.exec_start(made["Id"], socket=True))
    refused(lambda: guarded.api.exec_create(own.id, ["id"], privileged=True, workdir="/"))
    refused(lambda: guarded.api.exec_create(own.id, ["id"], workdir="/proc/self/fd/7"))
    refused(lambda: guarded.api.connect_container_to_network(str(own.id), f"labkit-{TWO}-{MODE}"))
    refused(lambda: guarded.api.remove_network(f"labkit-{TWO}-{MODE}"))
    refused(lambda: guarded.api.update_container(str(own.id), mem_limit=-1))
    # the SDK does not look at the status of this one
    assert list(itertools.islice(guarded.api.events(decode=True), 1)) == []
    assert "/events" in reported[-1]

    # nothing of the other lab is shown
    for listed in (guarded.api.containers(all=True), guarded.api.networks()):
        assert {one["Labels"]["labkit.lab"] for one in listed} == {ONE}
    assert Lab(MODE, name=TWO, client=guarded).status().state == "absent"
    assert containers() == before
    assert len(reported) > len(hosts)
    guarded.close()


def test_participant_cannot_make_or_remove_a_lab(
    pair: dict[str, Lab], socket_of_one: tuple[str, list[str]]
) -> None:
    with pytest.raises((APIError, labkit.errors.LabkitError), match="labkit guard"):
        lab_of(ONE).down(force=True)
    with pytest.raises((APIError, labkit.errors.LabkitError), match="labkit guard"):
        Lab(MODE, name="mine", reporter=QuietReporter()).up()
    assert pair[ONE].status().state == "ready"


# -- JupyterHub, in a browser -------------------------------------------------------------

START_S = 600
CELLS = (
    "%load_ext labkit\nimport labkit\n(insecure,) = labkit.attach('insecure')",
    "print(insecure.name, labkit.techniques['etcd-read'].run(insecure).succeeded)",
    "%lab reset insecure",
    "import docker\n"
    "client = docker.from_env()\n"
    "try:\n"
    "    client.containers.create('labkit/node', privileged=True)\n"
    "except docker.errors.APIError as error:\n"
    "    print(error.status_code, error.explanation)",
)


def free_ports() -> int:
    """Return the first of three ports in a row that nobody uses."""
    for first in range(18000, 28000, 10):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + 3):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free ports")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """Build the image of a participant's Jupyter under a name of the test's own."""
    client, tag = connect(), f"labkit/jupyter:{NAME}"
    yield make_image(client, make_reporter(), tag)
    client.images.remove(tag)


@pytest.fixture(scope="module")
def hub(
    pair: dict[str, Lab], image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, str]]]:
    """Start JupyterHub as its documentation says; return its address and the passwords."""
    client = connect()
    port, log = free_ports(), tmp_path_factory.mktemp("hub") / "log.txt"
    config = server_room_dir() / "jupyterhub_config.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", tempfile.mkdtemp(prefix="lk-"))
        patch.setenv("LABKIT_WORKSHOP", PREFIX)
        patch.setenv("LABKIT_PARTICIPANTS", "2")
        patch.setenv("LABKIT_HUB_PORT", str(port))
        patch.setenv("LABKIT_JUPYTER_IMAGE", image)
        command = [sys.executable, "-m", "jupyterhub", "--config", str(config)]
        with log.open("w") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/hub/login", process, log)
            assert_loopback_only(process.pid)
            yield address, passwords_of(PREFIX, [ONE, TWO])
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            remove_jupyters(client, PREFIX)
            for name in (ONE, TWO):
                with contextlib.suppress(NotFound):
                    client.volumes.get(jupyter_of(name)).remove()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=5).ok:
                return
        time.sleep(0.5)
    pytest.fail(f"JupyterHub did not start: {log.read_text()[-3000:]}", pytrace=False)


def assert_loopback_only(pid: int) -> None:
    """All listeners of the Hub, its proxy and its service are on the loopback address."""
    found = psutil.Process(pid)
    listening: set[str] = set()
    for process in (found, *found.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # a helper that ended
            listening |= {
                connection.laddr.ip
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            }
    assert listening <= {"127.0.0.1", "::1"}
    assert listening


def test_image_of_a_jupyter_is_built(image: str) -> None:
    # a test by itself, because a busy machine may take minutes for it
    assert connect().images.get(image).attrs["Config"]["User"] == "participant"


def test_hub_starts(hub: tuple[str, dict[str, str]]) -> None:
    assert requests.get(f"{hub[0]}/hub/login", timeout=60).ok


@pytest.mark.browser
def test_two_participants_log_in_run_a_notebook_and_reset_their_own_lab(
    pair: dict[str, Lab],
    hub: tuple[str, dict[str, str]],
    browser: Browser,
    settled: Callable[..., list[str]],
) -> None:
    address, passwords = hub
    # what the second participant changed stays when the first one resets their lab
    for name in (ONE, TWO):
        pair[name].reset()
        assert settled(pair[name]) == []
        solve(pair[name], "etcd-2")  # an edit by hand that a reset undoes
    for name, other in ((ONE, TWO), (TWO, ONE)):
        context = browser.new_context(viewport={"width": 1500, "height": 1000})
        context.set_default_timeout(120_000)
        page = context.new_page()
        said = work(page, address, name, passwords)
        assert f"{name} True" in said
        assert "403 labkit guard: POST" in said
        # nobody has another's Jupyter or password
        answer = page.goto(f"{address}/user/{other}/lab")
        # 404 if it does not run
        assert answer is not None
        assert answer.status in (403, 404)
        assert page.locator(".jp-DirListing").count() == 0
        context.close()
        assert settled(pair[name]) == []
        assert bool(pair[other].drift()) == (name == ONE)
    wrong = browser.new_context()
    page = wrong.new_page()
    log_in(page, address, ONE, passwords[TWO])
    page.wait_for_selector("text=Invalid username or password")
    wrong.close()


def log_in(page: Page, address: str, name: str, password: str) -> None:
    page.goto(f"{address}/hub/login")
    page.fill("#username_input", name)
    page.fill("#password_input", password)
    page.click("#login_submit")


def work(page: Page, address: str, name: str, passwords: dict[str, str]) -> str:
    """Log in, run a new notebook's cells in JupyterLab, and return what they print."""
    log_in(page, address, name, passwords[name])
    page.wait_for_selector(".jp-Launcher, .jp-DirListing", timeout=START_S * 1000)
    assert page.locator(".jp-DirListing-item >> text=02-etcd.ipynb").count() == 1
    page.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    page.wait_for_selector("text=| Idle")
    for number, cell in enumerate(CELLS):
        page.locator(".jp-CodeCell .cm-content").nth(number).click()
        page.keyboard.insert_text(cell)
        page.keyboard.press("Shift+Enter")
        page.locator(".jp-CodeCell .jp-InputPrompt").nth(number).filter(
            has_text=f"[{number + 1}]:"
        ).wait_for(timeout=START_S * 1000)
    return "\n".join(page.locator(".jp-OutputArea-output").all_inner_texts())


def test_jupyter_of_a_participant_has_few_rights(hub: tuple[str, dict[str, str]]) -> None:
    client = connect()
    for name in (ONE, TWO):
        attributes = client.containers.get(jupyter_of(name)).attrs
        settings = attributes["HostConfig"]
        assert attributes["Config"]["User"] == "participant"
        assert not settings["Privileged"]
        assert settings["CapDrop"] == ["ALL"]
        assert settings["SecurityOpt"] == ["no-new-privileges"]
        assert settings["PortBindings"] in ({}, None)
        # its own sockets and its own volume, and no other path of the host
        binds = sorted(mount["Destination"] for mount in attributes["Mounts"])
        assert binds == ["/home/participant", "/run/labkit"]
        [sockets] = [it for it in attributes["Mounts"] if it["Destination"] == "/run/labkit"]
        assert not sockets["RW"]
        assert sockets["Source"].endswith(f"/{name}")
        assert list(attributes["NetworkSettings"]["Networks"]) == [jupyter_of(name)]
        assert client.networks.get(jupyter_of(name)).attrs["Internal"]
