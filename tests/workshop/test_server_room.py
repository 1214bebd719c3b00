"""The server room, live: two participants whose Docker sockets lead to their own labs alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import docker
import pytest
from docker.errors import APIError

import labkit
from labkit import workshop
from labkit.lab.engine import connect
from labkit.lab.lab import Lab
from labkit.lab.nodes import find_labs
from labkit.lab.progress import QuietReporter, make_reporter
from labkit.verification import verify
from labkit.workshop import exercises, guard, room
from labkit.workshop.guard import Guard
from labkit.workshop.guard_socket import guarding

pytestmark = pytest.mark.lab
NAME = os.environ.get("LABKIT_TEST_NAME") or f"server-{os.getpid()}"
PREFIX, MODE = f"{NAME}-s", "insecure"
ONE, TWO = f"{PREFIX}01", f"{PREFIX}02"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Lab]]:
    """Return the labs of two participants, with the engine's own socket."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        try:
            started = room.open_room(PREFIX, 2, [MODE], reporter=make_reporter())
            yield {lab.name: lab for lab, _ in started}
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
    exec(exercises[name].solution, {lab.mode: lab})


def test_participant_does_all_of_the_workshop_through_the_guard(
    pair: dict[str, Lab], socket_of_one: tuple[str, list[str]], used: set[str]
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
    assert lab.drift() == []

    # machines that stopped, also with what they said last
    real = pair[ONE].client
    real.containers.get(f"labkit-{ONE}-{MODE}-attacker").stop(timeout=1)
    with pytest.raises(labkit.errors.LabError):
        lab_of(ONE).exec("attacker", ["true"])
    real.containers.get(f"labkit-{ONE}-{MODE}-worker2").pause()
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


def test_participant_gets_neither_the_host_nor_another_lab(
    pair: dict[str, Lab], socket_of_one: tuple[str, list[str]]
) -> None:
    address, reported = socket_of_one
    real = pair[TWO].client
    guarded = docker.DockerClient(base_url=address)
    image = pair[ONE].container("master").attrs["Image"]
    before = {one["Id"] for one in real.api.containers(all=True)}

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
            lambda config=config: guarded.api.create_container(image, "id", host_config=config)
        )
        assert error.status_code == 403
    config = real.api.create_host_config(privileged=True, binds=["/:/host"])
    made = real.api.create_container(image, "id", host_config=config)
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
    refused(lambda: next(guarded.api.events(decode=True)))

    # nothing of the other lab is shown
    for listed in (guarded.api.containers(all=True), guarded.api.networks()):
        assert {one["Labels"]["labkit.lab"] for one in listed} == {ONE}
    assert Lab(MODE, name=TWO, client=guarded).status().state == "absent"
    assert {one["Id"] for one in real.api.containers(all=True)} == before
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
