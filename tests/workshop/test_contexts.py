"""A workshop over several Docker contexts, without Docker: where labs go, and who is asked."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.context import ContextAPI
from docker.errors import APIError
from typer.testing import CliRunner

from labkit.cli import app
from labkit.errors import ConfigError, EngineError, LabError
from labkit.lab import removal
from labkit.lab.capacity import Capacity
from labkit.lab.engine import connect, labels
from labkit.lab.progress import QuietReporter
from labkit.workshop import engines, readiness, room
from labkit.workshop.board import Watch
from labkit.workshop.engines import Place, connect_to, places, reachable
from labkit.workshop.ledger import Ledger, Seat

MODE = "insecure"


class Engine:
    """An engine with the labs of some participants of the workshop p."""

    def __init__(self, identifier: str, *people: str, processors: int = 2) -> None:
        self.identifier, self.people = identifier, list(people)
        self.processors, self.is_silent, self.folder = processors, False, "/var/lib/docker"
        self.networks = self.volumes = self
        self.api = SimpleNamespace(containers=lambda **_: [])

    def info(self) -> dict[str, Any]:
        return {"ID": self.identifier, "NCPU": self.processors, "DockerRootDir": self.folder}

    def list(self, **_: Any) -> list[Any]:
        if self.is_silent:
            raise APIError("it is gone")
        return [
            SimpleNamespace(id=f"{self.identifier}-{name}", attrs={"Labels": own})
            for name in self.people
            if (own := labels(name, MODE, workshop="p"))
        ]


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Engine]:
    """Return the engines of the contexts, and of the default one."""
    found = {"": Engine("here"), "a": Engine("ID-a"), "b": Engine("ID-b", processors=4)}

    def answer(context: str = "") -> Engine:
        if context not in found:
            raise EngineError(f"the Docker Engine of the context {context!r} does not answer")
        return found[context]

    monkeypatch.setattr(engines, "connect", answer)
    return found


# -- contexts --------------------------------------------------------------------------------


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a folder of Docker's configuration with the context `far`."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    (tmp_path / "config.json").write_text("{}")
    ContextAPI.create_context("far", host=f"unix://{tmp_path}/far.sock")
    return tmp_path


def test_engine_of_a_context_is_asked_and_no_other(contexts: Path) -> None:
    with pytest.raises(EngineError, match="of the context 'far' does not answer") as caught:
        connect(context="far")
    assert caught.value.hint == "docker --context far version"


def test_unknown_context_is_refused_and_never_the_default_engine(contexts: Path) -> None:
    with pytest.raises(ConfigError, match="there is no Docker context 'fra'") as caught:
        connect(context="fra")
    assert caught.value.hint == "docker context ls"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"Endpoints": 7}', "\0"])
def test_malformed_context_is_refused(contexts: Path, text: str) -> None:
    [meta] = contexts.glob("contexts/meta/*/meta.json")
    meta.write_text(text)
    with pytest.raises(ConfigError, match="'far'"):
        connect(context="far")


def test_one_engine_under_two_names_is_refused(hosts: dict[str, Engine]) -> None:
    assert [it.context for it in connect_to(["a", "b", "a"])] == ["a", "b"]
    assert [it.context for it in connect_to([])] == [""]
    hosts["b"].identifier = "ID-a"
    with pytest.raises(ConfigError, match="a and b are the same Docker Engine"):
        connect_to(["a", "b"])
    hosts["b"].folder = "/srv/docker"  # two engines of one machine
    assert len(connect_to(["a", "b"])) == 2


def test_engines_that_do_not_answer_are_named(hosts: dict[str, Engine]) -> None:
    found, silent = reachable(["a", "gone"])
    assert [it.context for it in found] == ["a"]
    assert [it.message for it in silent] == [
        "the Docker Engine of the context 'gone' does not answer"
    ]
    with pytest.raises(EngineError, match="'gone'"):
        reachable(["gone"])


def test_labs_of_an_engine_that_stopped_to_answer_are_not_there(hosts: dict[str, Engine]) -> None:
    hosts["a"].people, hosts["b"].people = ["p01"], ["p02"]
    one, two = connect_to(["a", "b"])
    both = {
        Seat("p01", MODE): Place(one, "ID-a-p01"),
        Seat("p02", MODE): Place(two, "ID-b-p02"),
    }
    assert places([one, two], "p") == both
    hosts["a"].is_silent = True
    assert places([one, two], "p") == {seat: both[seat] for seat in both if seat.name == "p02"}
    hosts["b"].is_silent = True
    with pytest.raises(APIError):
        places([one, two], "p")


# -- up --------------------------------------------------------------------------------------


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ledger:
    found = Ledger(tmp_path / "p.jsonl")
    monkeypatch.setattr(room, "ledger_of", lambda _: found)
    return found


def up(
    monkeypatch: pytest.MonkeyPatch,
    hosts: dict[str, Engine],
    memory: dict[str, int],
    people: int,
    *given: str,
) -> dict[str, str]:
    """Bring up a workshop; return the context of each participant, and give the engines the labs.

    The memory is that for so many labs.
    """
    need = room.NEEDS[0]

    class FakeLab:
        def __init__(self, mode: str, *, name: str, client: Engine, **_: Any) -> None:
            self.mode, self.name, self.client = mode, name, client

        def status(self) -> Any:
            state = "ready" if self.name in self.client.people else "absent"
            return SimpleNamespace(state=state)

    def left(client: Engine) -> Capacity:
        [context] = [name for name, it in hosts.items() if it is client]
        return Capacity(memory=need.spare + need.each * memory[context])

    def start(labs: list[Any], *, at_once: int, **_: Any) -> list[Any]:
        used = {id(lab.client): lab.client.processors for lab in labs}
        assert at_once == sum(used.values())
        for lab in labs:
            lab.client.people.append(lab.name)
        return [(lab, None) for lab in labs]

    monkeypatch.setattr(room, "_ParticipantsLab", FakeLab)
    monkeypatch.setattr(removal, "labels_of", lambda *_: [])
    monkeypatch.setattr(room, "left_for_labs", left)
    monkeypatch.setattr(room, "find_node_image", lambda _: "labkit/node:0")
    monkeypatch.setattr(room, "bring_up_labs", start)
    done = room.open_room("p", people, [MODE], given, reporter=QuietReporter())
    return {lab.name: context for lab, _, context in done}


def test_labs_are_spread_by_the_room_that_is_left(
    monkeypatch: pytest.MonkeyPatch, hosts: dict[str, Engine], ledger: Ledger
) -> None:
    found = up(monkeypatch, hosts, {"a": 2, "b": 4}, 6, "a", "b")
    assert sorted(found.values()) == ["a"] * 2 + ["b"] * 4
    assert ledger.read().contexts == ("a", "b")
    assert hosts[""].people == []


def test_labs_stay_where_they_are_and_the_contexts_are_remembered(
    monkeypatch: pytest.MonkeyPatch, hosts: dict[str, Engine], ledger: Ledger
) -> None:
    before = up(monkeypatch, hosts, {"a": 2, "b": 2}, 4, "a", "b")
    again = up(monkeypatch, hosts, {"a": 0, "b": 3}, 6)
    assert again == before | {"p05": "b", "p06": "b"}
    more = up(monkeypatch, hosts, {"": 9, "a": 9, "b": 9}, 7, "")
    assert more == again | {"p07": ""}
    assert ledger.read().contexts == ("a", "b", "")


def test_labs_that_do_not_fit_on_all_engines_together_are_refused(
    monkeypatch: pytest.MonkeyPatch, hosts: dict[str, Engine], ledger: Ledger
) -> None:
    with pytest.raises(LabError, match=r"these 2 engines: 5 of 6 participants fit") as caught:
        up(monkeypatch, hosts, {"a": 2, "b": 3}, 6, "a", "b")
    assert [line.split(": ")[1] for line in caught.value.evidence] == ["memory"]
    assert "--participants 5 --prefix p --mode insecure --context a --context b" in (
        caught.value.hint
    )
    assert hosts["a"].people == hosts["b"].people == []
    assert ledger.read().contexts == ()


def test_contexts_of_the_last_workshop_do_not_count_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch, hosts: dict[str, Engine], ledger: Ledger
) -> None:
    up(monkeypatch, hosts, {"a": 2, "b": 2}, 2, "a", "b")
    hosts["a"].people, hosts["b"].people = [], []
    assert up(monkeypatch, hosts, {"": 2}, 2) == {"p01": "", "p02": ""}
    assert ledger.read().contexts == ("",)


def test_engine_that_may_have_labs_must_answer(
    monkeypatch: pytest.MonkeyPatch, hosts: dict[str, Engine], ledger: Ledger
) -> None:
    up(monkeypatch, hosts, {"a": 2, "b": 2}, 2, "a", "b")
    del hosts["b"]
    with pytest.raises(EngineError, match="'b' does not answer"):
        up(monkeypatch, hosts, {"a": 9}, 2)


# -- the others ------------------------------------------------------------------------------


def test_down_removes_what_it_reaches_and_names_the_engine_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, hosts: dict[str, Engine], ledger: Ledger
) -> None:
    up(monkeypatch, hosts, {"a": 1, "b": 1}, 2, "a", "b")
    removed: list[tuple[str, str]] = []

    def remove(client: Engine, name: str, mode: str) -> int:
        removed.append((client.identifier, name))
        return 1

    monkeypatch.setattr(removal, "connect", lambda client: client)
    monkeypatch.setattr(removal, "remove_lab", remove)
    monkeypatch.setattr("labkit.lab.lock.exclusive", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr("labkit.lab.lock.remove_keeper", lambda *_: 0)
    del hosts["a"]
    with pytest.raises(EngineError, match="'a' does not answer"):
        room.remove_room("p", reporter=QuietReporter())
    assert removed == [("ID-b", "p02")]


def test_board_shows_the_labs_of_an_engine_that_is_gone_as_unknown(
    monkeypatch: pytest.MonkeyPatch, hosts: dict[str, Engine], ledger: Ledger
) -> None:
    up(monkeypatch, hosts, {"a": 1, "b": 1}, 2, "a", "b")
    for seat, place in places(connect_to(["a", "b"]), "p").items():
        ledger.add_key(seat, place.network, "aa" * 32)
    asked = []

    def lab(mode: str, *, name: str, client: Engine, **_: Any) -> Seat:
        asked.append((client.identifier, name))
        return Seat(name, mode)

    monkeypatch.setattr("labkit.workshop.board.EditedLab", lab)
    monkeypatch.setattr("labkit.workshop.board.read_claims", lambda _: {})
    watch = Watch("p", connect_to(["a", "b"]), ledger)
    assert watch.round(lambda _: None).cell("p01", "etcd-2").state == ""
    assert asked == [("ID-a", "p01"), ("ID-b", "p02")]
    hosts["a"].is_silent = True
    board = watch.round(lambda _: None)
    states = [board.cell(name, "etcd-2").state for name in ("p01", "p02")]
    assert states == ["unknown", ""]


@pytest.fixture
def quiet_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "doctor", lambda _: [])


@pytest.mark.usefixtures("quiet_doctor")
def test_doctor_counts_each_engine_for_its_share(
    monkeypatch: pytest.MonkeyPatch, hosts: dict[str, Engine]
) -> None:
    need = room.NEEDS[0]
    memory = {"ID-a": 1, "ID-b": 2}

    def left(client: Engine) -> Capacity:
        return Capacity(memory=need.spare + need.each * memory[client.identifier])

    monkeypatch.setattr(readiness, "left_for_labs", left)

    def verdicts(people: int) -> dict[str, str]:
        found = readiness.readiness(people, [MODE], "p", None, 0, ["a", "b"])
        return {it.name: it.verdict for it in found if ": Memory" in it.name}

    assert verdicts(3) == {"a: Memory for 1 labs": "ok", "b: Memory for 2 labs": "ok"}
    assert "not ok" in verdicts(4).values()
    del hosts["b"]
    assert verdicts(2)["b: Memory for 2 labs"] == "unknown"


def test_command_spreads_labs_and_says_where_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def open_room(*arguments: Any, **_: Any) -> list[Any]:
        assert arguments == ("p", 2, [MODE], ["a", "b"])
        lab = SimpleNamespace(name="p01", mode=MODE)
        return [(lab, SimpleNamespace(steps={"up": 1.0}, seconds=12.34), "a")]

    monkeypatch.setattr(room, "open_room", open_room)
    words = ["--participants", "2", "--mode", MODE, "--context", "a", "--context", "b"]
    done = CliRunner().invoke(app, ["workshop", "up", *words])
    assert done.exit_code == 0
    assert "lab p01 (insecure) up in 12.3 s, on a" in done.stderr
    assert "LABKIT_NAME=p01 and DOCKER_CONTEXT=a" in done.stderr
