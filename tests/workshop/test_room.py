"""A room full of people, without Docker: which labs are made and removed, and what the board says.

A participant is root in their lab, so every test of the board writes the record as they could.
"""

from __future__ import annotations

import csv
import io
import json
import socket
import stat
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import labkit
from labkit.cli import app
from labkit.errors import ConfigError, LabBusy, LabError, NoSuchLab
from labkit.lab import nodes, parallel, removal
from labkit.lab.capacity import Capacity
from labkit.lab.engine import labels
from labkit.lab.images import node_image_tag
from labkit.lab.progress import QuietReporter
from labkit.resources import PACKAGE
from labkit.workshop import (
    Outcome,
    board,
    exercises,
    linked_pages,
    participants_notebooks,
    readiness,
    room,
)
from labkit.workshop.board import Board, Cell, Watch, as_csv, as_ctfd, as_table
from labkit.workshop.board_page import page, port_problem, serving
from labkit.workshop.engines import Place, WorkshopEngine
from labkit.workshop.flags import derive_flag
from labkit.workshop.ledger import Ledger, LedgerContent, Seat
from labkit.workshop.linked_pages import with_pages
from labkit.workshop.proofs import parse_claims, prove
from labkit.workshop.records import Record

ONE, TWO = Seat("p01", "insecure"), Seat("p02", "insecure")
KEY = "aa" * 32
ATTACKS = [it.name for it in exercises.values() if it.kind == "attack"]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "workshop" / "p.jsonl")


# -- which labs ------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "P", "1", "-", "a b", "p-", "a" * 31, "../a"])
def test_prefix_that_gives_no_name_of_a_lab_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match="not a valid prefix"):
        room.names_of(prefix, 1)


@pytest.mark.parametrize("participants", [-1, 0, 100])
def test_number_of_participants_has_bounds(participants: int) -> None:
    with pytest.raises(ConfigError, match="1 to 99 participants"):
        room.names_of("p", participants)


def test_labs_that_do_not_fit_are_refused_before_any_starts(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    started: list[str] = []
    memory = room.NEEDS[0]
    left = Capacity(memory=memory.spare + 3 * memory.each)
    fake_room(monkeypatch, ledger, left=left, started=started)
    with pytest.raises(LabError, match="3 of 12 participants fit") as caught:
        room.open_room("p", 12, ["insecure"], reporter=QuietReporter())
    assert started == []
    assert caught.value.evidence[0].startswith("memory: ")
    assert "--participants 3 --prefix p --mode insecure" in caught.value.hint


def test_labs_that_are_up_need_no_memory(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    started: list[str] = []
    fake_room(monkeypatch, ledger, left=Capacity(memory=0), started=started, state="ready")
    room.open_room("p", 12, ["insecure"], reporter=QuietReporter())
    assert len(started) == 12


def test_what_the_engine_does_not_say_refuses_nothing() -> None:
    room.require_capacity({"": Capacity()}, {"": {"p01": ["insecure"] * 200}}, "up {}")


def test_light_labs_are_counted_as_light_ones() -> None:
    memory = room.NEEDS[0]
    left = {"": Capacity(memory=memory.spare + memory.each + 3 * memory.light)}
    both = ["insecure", "light-insecure"]
    light = {f"p{number}": ["light-insecure"] for number in range(4)}
    room.require_capacity(left, {"": light}, "up {}")
    room.require_capacity(left, {"": {"p01": both, "p02": ["light-hardened"] * 2}}, "up {}")
    with pytest.raises(
        LabError, match=r"4 more labs do not fit .*: 1 of 2 participants fits"
    ) as it:
        room.require_capacity(left, {"": {"p01": both, "p02": both}}, "up {}")
    assert f"({memory.shown(memory.each)} or {memory.shown(memory.light)} for a lab" in str(
        it.value
    )


def test_labs_that_are_up_have_taken_their_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "capacity_of", lambda _: Capacity(inotify=1000))
    up = [("p01", "insecure"), ("p02", "light-insecure")]
    monkeypatch.setattr(room, "find_labs", lambda _: up)
    client: Any = None
    taken = room.INOTIFY.each + room.INOTIFY.light
    assert room.left_for_labs(client).inotify == 1000 - taken


def test_lab_of_somebody_else_is_refused_before_any_starts(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    started: list[str] = []
    fake_room(monkeypatch, ledger, left=Capacity(), started=started)
    client: Any = FakeEngine([labels("p02", "insecure", node="master", files="x")])
    monkeypatch.setattr(room, "connect_to", lambda _: [WorkshopEngine("", client)])
    with pytest.raises(LabError, match="lab 'p02' \\(insecure\\) was not made for the workshop"):
        room.open_room("p", 3, ["insecure"], reporter=QuietReporter())
    assert started == []


def test_ledger_of_an_earlier_workshop_is_put_aside(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    ledger.add_proof(ONE, "etcd-1", "then")
    fake_room(monkeypatch, ledger, left=Capacity(), started=[])
    room.open_room("p", 1, ["insecure"], reporter=QuietReporter())
    assert ledger.read().proved == {}
    assert Ledger(ledger.file.with_suffix(".1.jsonl")).read().proved == {ONE: {"etcd-1": "then"}}


def test_ledger_stays_while_a_lab_of_the_workshop_is_left(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    ledger.add_proof(ONE, "etcd-1", "then")
    fake_room(monkeypatch, ledger, left=Capacity(), started=[])
    client: Any = FakeEngine([labels("p02", "insecure", node="master", workshop="p")])
    monkeypatch.setattr(room, "connect_to", lambda _: [WorkshopEngine("", client)])
    room.open_room("p", 2, ["insecure"], reporter=QuietReporter())
    assert ledger.read().proved == {ONE: {"etcd-1": "then"}}


class FakeEngine:
    """An engine with containers, and what else a test gives it."""

    def __init__(self, containers: list[dict[str, str]], networks: Mapping[Seat, str] = {}) -> None:
        self.labels = containers
        self.api = SimpleNamespace(containers=self._listed)
        self.volumes = SimpleNamespace(list=lambda **_: [])
        made = [
            SimpleNamespace(id=name, attrs={"Labels": labels(*seat, workshop="p")})
            for seat, name in networks.items()
        ]
        self.networks = SimpleNamespace(list=lambda **_: made)

    def info(self) -> dict[str, int]:
        return {"NCPU": 2}

    def _listed(self, *, filters: dict[str, list[str]], **_: Any) -> list[dict[str, Any]]:
        wanted = [it.partition("=") for it in filters["label"]]
        return [
            {"Labels": own}
            for own in self.labels
            if all(key in own and (not value or own[key] == value) for key, _, value in wanted)
        ]


def fake_room(
    monkeypatch: pytest.MonkeyPatch,
    ledger: Ledger,
    *,
    left: Capacity,
    started: list[str],
    state: str = "absent",
) -> None:
    """Replace the engine and the labs."""

    class FakeLab:
        def __init__(self, mode: str, *, name: str, client: Any, workshop: str, **_: Any) -> None:
            self.mode, self.name, self.client, self.workshop = mode, name, client, workshop

        def status(self) -> Any:
            return SimpleNamespace(state=state)

    monkeypatch.setattr(room, "_ParticipantsLab", FakeLab)
    client: Any = FakeEngine([])
    monkeypatch.setattr(room, "connect_to", lambda _: [WorkshopEngine("", client)])
    monkeypatch.setattr(room, "ledger_of", lambda _: ledger)
    monkeypatch.setattr(room, "left_for_labs", lambda _: left)
    monkeypatch.setattr(room, "find_node_image", lambda _: "labkit/node:0")

    def start(labs: list[Any], **_: Any) -> list[Any]:
        started.extend(lab.name for lab in labs)
        return [(lab, None) for lab in labs]

    monkeypatch.setattr(room, "bring_up_labs", start)


def test_down_removes_the_labs_of_the_workshop_only(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[tuple[str, str]] = []
    client = FakeEngine(
        [
            labels("p01", "insecure", node="master", workshop="p"),
            labels("p02", "insecure", node="master"),  # made by labkit up
            labels("p03", "insecure", node="master", workshop="p2"),
            labels("default", "insecure", node="master"),
        ]
    )
    fake_removal(monkeypatch, client, removed)
    found = room.remove_room("p", reporter=QuietReporter())
    assert found == {ONE: 1}
    assert removed == [("p01", "insecure")]


@pytest.mark.parametrize("force", [False, True])
def test_lab_with_a_part_of_somebody_else_is_not_removed(
    monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    removed: list[tuple[str, str]] = []
    client = FakeEngine(
        [
            labels("p01", "insecure", node="master", workshop="p"),
            labels("p01", "insecure", node="etcd1"),
        ]
    )
    fake_removal(monkeypatch, client, removed)
    with pytest.raises(LabError, match="was not made for the workshop 'p'"):
        room.remove_room("p", reporter=QuietReporter(), force=force)
    assert removed == []


def fake_removal(
    monkeypatch: pytest.MonkeyPatch, client: FakeEngine, removed: list[tuple[str, str]]
) -> None:
    class Held:
        def __enter__(self) -> bool:
            return False

        def __exit__(self, *_: object) -> None: ...

    def remove(_: object, name: str, mode: str) -> int:
        removed.append((name, mode))
        return 1

    engine: Any = client
    monkeypatch.setattr(room, "ledger_of", lambda _: Ledger(Path("/nonexistent/p.jsonl")))
    monkeypatch.setattr(room, "reachable", lambda _: ([WorkshopEngine("", engine)], []))
    monkeypatch.setattr(removal, "connect", lambda client: client)
    monkeypatch.setattr(removal, "remove_lab", remove)
    monkeypatch.setattr("labkit.lab.lock.exclusive", lambda *_, **__: Held())
    monkeypatch.setattr("labkit.lab.lock.remove_keeper", lambda *_: 0)


def test_machines_have_the_label_of_their_network(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}

    class Api:
        def __getattr__(self, name: str) -> Callable[..., dict[str, str]]:
            def call(*_: Any, **more: Any) -> dict[str, str]:
                if name == "create_container":
                    made.update(more["labels"])
                return {"Id": "1"}

            return call

    machine = SimpleNamespace(start=lambda: None)
    client: Any = SimpleNamespace(
        api=Api(),
        volumes=SimpleNamespace(create=lambda *_, **__: None),
        containers=SimpleNamespace(get=lambda _: machine),
    )
    network: Any = SimpleNamespace(name="n", attrs={"Labels": labels(*ONE, workshop="p")})
    monkeypatch.setattr(nodes, "write_files", lambda *_: None)
    env = labkit.read_environment("insecure")
    addresses = {node.name: f"10.0.0.{node.host}" for node in env.nodes}
    nodes.create_node(
        client, network, "i", env, env.nodes[0], name="p01", addresses=addresses, files=()
    )
    assert made["labkit.workshop"] == "p"


def test_interrupt_leaves_labs_that_wait_for_their_turn_untouched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two labs of six start at a time; the signal comes while the first two start."""
    ups: list[str] = []
    downs: list[str] = []

    class FakeLab:
        client, mode = None, "insecure"

        def __init__(self, name: str) -> None:
            self.name = name
            self.reporter: Any = QuietReporter()

        def status(self) -> Any:
            return SimpleNamespace(state="absent")

        def up(self, **_: Any) -> None:
            ups.append(self.name)
            for number in range(1000):
                with self.reporter.step(f"step {number}"):
                    time.sleep(0.01)

        def down(self) -> None:
            downs.append(self.name)

    labs: list[Any] = [FakeLab(f"p0{number}") for number in range(1, 7)]

    def signal_comes(_: Any, came: list[BaseException]) -> None:
        while len(ups) < 2:
            time.sleep(0.01)
        came.append(KeyboardInterrupt())

    monkeypatch.setattr(parallel, "_wait_for", signal_comes)
    monkeypatch.setattr(parallel, "is_held", lambda _, name, mode: name in ups)
    monkeypatch.setattr("labkit.lab.images.ensure_image", lambda *_: "")
    monkeypatch.setattr("labkit.lab.nodes.find_nodes", lambda *_: [])
    with pytest.raises(KeyboardInterrupt):
        parallel.bring_up_labs(labs, reporter=QuietReporter(), at_once=2)
    assert sorted(ups) == sorted(downs) == ["p01", "p02"]


# -- the ledger ------------------------------------------------------------------------------


def test_only_this_user_reads_the_ledger(ledger: Ledger) -> None:
    ledger.add_key(ONE, "net", KEY)
    assert stat.S_IMODE(ledger.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(ledger.file.parent.stat().st_mode) == 0o700
    assert KEY not in repr(ledger.read())


def test_ledger_survives_a_command_that_is_killed_while_it_writes(ledger: Ledger) -> None:
    ledger.add_proof(ONE, "etcd-1", "t1")
    with ledger.file.open("a") as file:
        file.write('{"name": "p01", "mode": "inse')
    assert ledger.read().proved == {ONE: {"etcd-1": "t1"}}
    ledger.add_proof(TWO, "etcd-2", "t2")
    assert ledger.read().proved == {ONE: {"etcd-1": "t1"}, TWO: {"etcd-2": "t2"}}


def test_first_proof_counts(ledger: Ledger) -> None:
    ledger.add_proof(ONE, "etcd-1", "t1")
    ledger.add_proof(ONE, "etcd-1", "t2")
    assert ledger.read().proved == {ONE: {"etcd-1": "t1"}}


@pytest.mark.parametrize("line", ["{}", "[]", "no", '{"name": "a", "mode": "b"}', ""])
def test_malformed_ledger_is_reported_with_its_line(ledger: Ledger, line: str) -> None:
    ledger.add_proof(ONE, "etcd-1", "t1")
    with ledger.file.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ConfigError, match="line 2 is not labkit's"):
        ledger.read()


# -- proofs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"1", b"\xff", b"{", b"[" * 100_000, b'"' + b"a" * 300_000]
)
def test_malformed_record_is_an_error(data: bytes) -> None:
    with pytest.raises(LabError):
        parse_claims(data)


def test_values_of_other_types_claim_nothing() -> None:
    forged = {"a": {"solved": 1, "tries": True}, "b": [], "c": {"solved": "true", "hints": 3}}
    assert parse_claims(json.dumps(forged).encode()) == {"a": Record(), "c": Record()}


@pytest.mark.parametrize("answer", [None, 1, [[]], {"a": [[[]]]}], ids=repr)
@pytest.mark.parametrize("name", ["paths-2", "own-2", "matrix-1", "eavesdropping-1"])
def test_forged_record_of_a_prediction_is_not_proved(name: str, answer: object) -> None:
    client: Any = None
    assert not prove(exercises[name], Record(True, 1, answer=answer), ONE, client, KEY).solved


@pytest.mark.parametrize("name", ATTACKS)
def test_flag_is_held_against_the_key_of_the_trainers_machine(name: str) -> None:
    client: Any = None

    def proved(key: str, known: str | None) -> Outcome:
        flag = derive_flag(bytes.fromhex(key), name)
        return prove(exercises[name], Record(True, 1, answer=flag), ONE, client, known)

    assert proved(KEY, KEY).solved
    assert proved("bb" * 32, KEY).state == "wrong-answer", "a neighbour's flag, or another key"
    assert proved(KEY, None).state == "no-key"
    forged = Record(True, 1, answer={"flag": True})
    assert not prove(exercises[name], forged, ONE, client, KEY).solved


def test_hardened_lab_is_probed_whatever_the_record_says(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, float]] = []

    def lab(mode: str, *, name: str, wait: float, **_: Any) -> Any:
        asked.append((mode, name, wait))
        return SimpleNamespace(mode=mode)

    monkeypatch.setattr("labkit.workshop.proofs.EditedLab", lab)
    checked: list[object] = []

    def check(_: object, answer: object) -> Outcome:
        checked.append(answer)
        return Outcome("open")

    client: Any = None
    exercise: Any = SimpleNamespace(kind="harden", check=check)
    record = Record(True, 1, answer="solved")
    assert prove(exercise, record, ONE, client, KEY).state == "open"
    assert (asked, checked) == ([("insecure", "p01", 0.0)], [None])


# -- the board -------------------------------------------------------------------------------


class Room:
    """The labs of a room: what their records claim, and what a proof finds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
        self.claims: dict[Seat, dict[str, Record] | None] = {ONE: {}, TWO: {}}
        self.found: dict[tuple[Seat, str], str | Exception] = {}
        self.proofs: list[tuple[Seat, str]] = []
        client: Any = FakeEngine([])
        self.place = Place(WorkshopEngine("", client), "net")
        self.watch = Watch("p", [self.place.engine], ledger)
        monkeypatch.setattr(board, "places", lambda *_: dict.fromkeys(self.claims, self.place))
        monkeypatch.setattr(board, "EditedLab", lambda mode, *, name, **_: Seat(name, mode))
        monkeypatch.setattr(board, "read_claims", self._read)
        monkeypatch.setattr(board, "prove", self._prove)

    def _read(self, lab: Seat) -> dict[str, Record]:
        claims = self.claims[lab]
        if claims is None:
            raise LabError("frozen")
        return claims

    def _prove(self, exercise: Any, record: Record, seat: Seat, *_: object) -> Outcome:
        self.proofs.append((seat, exercise.name))
        found = self.found.get((seat, exercise.name), "open")
        if isinstance(found, Exception):
            raise found
        return Outcome(found)

    def look(self) -> Board:
        return self.watch.round(lambda _: None)


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> Room:
    return Room(monkeypatch, ledger)


def test_claim_is_claimed_until_it_is_proved(people: Room) -> None:
    people.claims[ONE] = {"etcd-2": Record(True, 1)}
    people.found[ONE, "etcd-2"] = "solved"
    seen: list[str] = []
    people.watch.round(lambda it: seen.append(it.cell("p01", "etcd-2").state))
    assert seen == ["unknown", "claimed", "solved"]


def test_exercises_of_a_mode_are_proved_in_its_light_lab(people: Room, ledger: Ledger) -> None:
    light = Seat("p01", "light-insecure")
    people.claims = {light: {"etcd-2": Record(True, 1), "pki-2": Record(True, 1)}}
    people.found[light, "etcd-2"] = "solved"
    found = people.look()
    assert {it.mode for it in found.exercises} == {"insecure"}
    assert found.cell("p01", "etcd-2").state == "solved"
    assert people.proofs == [(light, "etcd-2")]  # pki-2 is one of hardened
    ledger.add_key(light, "net", KEY)
    rows = list(csv.DictReader(io.StringIO(as_ctfd(ledger.read(), {light: people.place}))))
    flags = {it["name"].partition(":")[0]: it["flags"] for it in rows}
    assert flags == {
        it: derive_flag(bytes.fromhex(KEY), it)
        for it in ATTACKS
        if exercises[it].mode == "insecure"
    }


def test_proof_is_kept_when_the_lab_is_reset_or_gone(people: Room) -> None:
    people.claims[ONE] = {"etcd-2": Record(True, 1)}
    people.found[ONE, "etcd-2"] = "solved"
    people.look()
    people.claims[ONE] = {}
    assert people.look().cell("p01", "etcd-2").state == "solved"
    del people.claims[ONE]
    found = people.look()
    assert found.cell("p01", "etcd-2").state != "unknown"
    assert found.cell("p01", "etcd-1").state == "unknown"


def test_forged_claim_is_never_solved(people: Room) -> None:
    people.claims[ONE] = {it: Record(True, 1) for it in exercises}
    for _ in range(40):
        found = people.look()
    assert [people.watch.ledger.read().proved, found.solved("p01")] == [{}, 0]
    states = {found.cell("p01", it.name).state for it in found.exercises}
    assert states == {"not proved"}


def test_refused_claim_is_looked_at_again_after_the_next_check_only(people: Room) -> None:
    people.claims[ONE] = {"etcd-2": Record(True, 1)}
    for _ in range(5):
        people.look()
    assert people.proofs == [(ONE, "etcd-2")]
    people.claims[ONE] = {"etcd-2": Record(True, 2)}
    people.found[ONE, "etcd-2"] = "solved"
    assert people.look().cell("p01", "etcd-2").state == "solved"


def test_busy_lab_stays_claimed_and_lets_others_pass(people: Room) -> None:
    for seat in (ONE, TWO):
        people.claims[seat] = {"etcd-2": Record(True, 1)}
    people.found = {(ONE, "etcd-2"): LabBusy("in use"), (TWO, "etcd-2"): "solved"}
    people.look()
    found = people.look()
    assert found.cell("p01", "etcd-2") == Cell("claimed", "busy")
    assert found.cell("p02", "etcd-2").state == "solved"
    people.found[ONE, "etcd-2"] = "solved"
    assert people.look().cell("p01", "etcd-2").state == "solved"


def test_lab_without_a_clear_answer_is_tried_three_times(people: Room) -> None:
    people.claims[ONE] = {"etcd-2": Record(True, 1)}
    people.found[ONE, "etcd-2"] = LabError("no answer")
    states = [people.look().cell("p01", "etcd-2") for _ in range(5)]
    assert len(people.proofs) == 3
    assert states[1] == Cell("claimed", "unclear")
    assert states[4] == Cell("not proved", "unclear")


def test_one_lab_is_probed_once_at_a_time(people: Room) -> None:
    people.watch.at_once = 4
    names = [it.name for it in exercises.values() if (it.kind, it.mode) == ("harden", "insecure")][
        :2
    ]
    people.claims[ONE] = {name: Record(True, 1) for name in names}
    people.look()
    assert len(people.proofs) == 1


def test_lab_that_does_not_answer_is_unknown_and_others_are_shown(people: Room) -> None:
    people.claims[ONE] = None
    people.claims[TWO] = {"etcd-2": Record(False, 2)}
    found = people.look()
    assert found.cell("p01", "etcd-2").state == "unknown"
    assert found.cell("p02", "etcd-2").state == "tried"
    assert found.cell("p02", "etcd-1").state == ""


def test_names_that_are_no_exercises_are_left_out(people: Room) -> None:
    people.claims[ONE] = {"[bold]x[/]": Record(True, 1), "start-1": Record(True, 1)}
    found = people.look()
    assert people.proofs == [], "start-1 is of another mode"
    assert {it.mode for it in found.exercises} == {"insecure"}


def test_settle_ends_although_a_lab_stays_busy(people: Room) -> None:
    people.claims[ONE] = {"etcd-2": Record(True, 1)}
    people.found[ONE, "etcd-2"] = LabBusy("in use")
    assert people.watch.settle(lambda _: None).cell("p01", "etcd-2").state == "claimed"


def test_board_without_labs_and_ledger_names_the_next_command(people: Room) -> None:
    people.claims.clear()
    with pytest.raises(NoSuchLab) as caught:
        people.look()
    assert caught.value.hint == "labkit workshop up --participants 12 --prefix p"


# -- what is shown ---------------------------------------------------------------------------

ETCD = exercises["etcd-2"]
SHOWN = Board(
    "p",
    ("p01", "p02"),
    (exercises["etcd-1"], ETCD),
    {("p01", "etcd-2"): Cell("solved", "2026-01-02T03:04:05Z"), ("p02", "etcd-2"): Cell("claimed")},
    "2026-01-02T03:04:06Z",
)


def test_csv_has_a_row_for_each_exercise_of_each_participant() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(SHOWN))))
    assert [(it["participant"], it["exercise"], it["result"]) for it in rows] == [
        ("p01", "etcd-1", "unknown"),
        ("p01", "etcd-2", "solved"),
        ("p02", "etcd-1", "unknown"),
        ("p02", "etcd-2", "claimed"),
    ]
    assert [it["proved"] for it in rows] == ["", "2026-01-02T03:04:05Z", "", ""]


def test_ctfd_gets_the_flag_of_each_lab_that_is_up() -> None:
    content = LedgerContent({(ONE, "a"): KEY, (TWO, "b"): "bb" * 32, (TWO, "old"): "cc" * 32})
    client: Any = None
    engine = WorkshopEngine("", client)
    up = {ONE: Place(engine, "a"), TWO: Place(engine, "b")}
    rows = list(csv.DictReader(io.StringIO(as_ctfd(content, up))))
    insecure = [name for name in ATTACKS if exercises[name].mode == "insecure"]
    assert sorted(it["name"].partition(":")[0] for it in rows) == sorted(insecure)
    flags = {it["name"].partition(":")[0]: it["flags"] for it in rows}
    assert flags["etcd-1"].split(",") == [
        derive_flag(bytes.fromhex(key), "etcd-1") for key in (KEY, "bb" * 32)
    ]


def test_terminal_leaves_out_what_nobody_has_begun() -> None:
    assert as_table(SHOWN).row_count == 3
    assert as_table(SHOWN, begun=True).row_count == 2


def test_page_escapes_what_it_shows_and_loads_nothing() -> None:
    text = page(Board("<script>", ("<b>",), (ETCD,), {("<b>", "etcd-2"): Cell("solved", '"><i>')}))
    assert "<script" not in text
    assert "<b>" not in text.partition("<ul>")[0].replace("<b class", "")
    assert "<i>" not in text
    assert "content=\"default-src 'none'" in text
    assert not [word for word in ("http://", "https://", "src=", "href=") if word in text]
    assert '<meta http-equiv="refresh" content="5">' in text


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


def test_page_is_served_on_the_loopback_address_only() -> None:
    with serving(0) as (url, show):
        show(SHOWN)
        status, text = get(url)
        assert (status, "p01" in text) == (200, True)
        assert get(f"{url}other")[0] == 404
        port = int(url.rstrip("/").rpartition(":")[2])
        assert get(url, Host=f"evil.example:{port}")[0] == 403
        assert get(url, Host=f"localhost:{port}")[0] == 200
        assert port_problem(port)
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"), serving(port):
            pass
        with pytest.raises(OSError):  # it would answer if all addresses were served
            socket.create_connection(("127.0.0.2", port), timeout=5)
    assert port_problem(port) == ""


# -- the evening before ----------------------------------------------------------------------


def bundle(file: Path, *, image: str | None = None, notebook: bytes = b"", code: str = "") -> Path:
    """Write a bundle as `labkit bundle` does, with small stand-ins for what is large."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as packed:
        for path in PACKAGE.rglob("*.py"):
            packed.writestr(f"labkit/{path.relative_to(PACKAGE)}", path.read_text() + code)
    about = {"images": {"node": node_image_tag() if image is None else image}}
    files = {
        f"notebooks/{name}": data + notebook
        for name, data in with_pages(participants_notebooks()).items()
    }
    files |= {
        "wheels/labkit-1-py3-none-any.whl": wheel.getvalue(),
        "node.tar.gz": b"image",
        "bundle.json": json.dumps(about).encode(),
    }
    with tarfile.open(file, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"labkit-bundle/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file


def test_fresh_bundle_is_ok(tmp_path: Path) -> None:
    assert readiness.bundle_finding(bundle(tmp_path / "b.tar")).verdict == "ok"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": "labkit/node:old"}, "other node image"),
        ({"notebook": b" "}, "other notebooks"),
        ({"code": "#"}, "other labkit"),
    ],
)
def test_bundle_of_another_version_is_not_ok(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    found = readiness.bundle_finding(bundle(tmp_path / "b.tar", **change))
    assert (found.verdict, found.detail.endswith(said)) == ("not ok", True), found
    assert found.fix == f"labkit bundle {tmp_path / 'b.tar'}"


def test_bundle_without_the_images_of_a_profile_is_not_ok(tmp_path: Path) -> None:
    found = readiness.bundle_finding(bundle(tmp_path / "b.tar"), ["provider", "reviewer"])
    assert found.verdict == "not ok"
    assert found.detail.endswith("holds no provider and no reviewer image")
    assert found.fix.endswith(" --image provider --image reviewer")


@pytest.mark.parametrize("data", [None, b"", b"no archive"])
def test_bundle_that_is_missing_or_broken_is_not_ok(tmp_path: Path, data: bytes | None) -> None:
    file = tmp_path / "b.tar"
    if data is not None:
        file.write_bytes(data)
    assert readiness.bundle_finding(file).verdict == "not ok"


def look(
    monkeypatch: pytest.MonkeyPatch, left: Capacity | Exception, labs: int = 4
) -> dict[str, readiness.Finding]:
    """Check the evening before, with an engine that has so much left."""

    def asked(_: object) -> Capacity:
        if isinstance(left, Exception):
            raise left
        return left

    client: Any = None
    monkeypatch.setattr(readiness, "connect_to", lambda _: [WorkshopEngine("", client)])
    monkeypatch.setattr(readiness, "doctor", lambda _: [])
    monkeypatch.setattr(readiness, "left_for_labs", asked)
    return {it.name: it for it in readiness.readiness(labs, ["insecure"], "p", None, 0)}


def test_memory_is_checked_for_all_labs(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = room.NEEDS[0].spare + 3 * room.NEEDS[0].each
    left = Capacity(memory=memory, disk=1 << 40, threads=1 << 20, inotify=1 << 20)
    found = look(monkeypatch, left)
    short = [name for name, it in found.items() if it.verdict == "not ok"]
    assert short == ["Memory for 4 labs"]
    assert "3 labs fit" in found["Memory for 4 labs"].detail


@pytest.mark.parametrize("left", [Capacity(), LabError("refused")])
def test_what_the_engine_does_not_say_is_unknown(
    monkeypatch: pytest.MonkeyPatch, left: Capacity | Exception
) -> None:
    found = look(monkeypatch, left)
    assert found["Memory for 4 labs"].verdict == "unknown"
    assert all(it.fix for it in found.values() if it.verdict != "ok")


def test_page_that_notebooks_lack_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert look(monkeypatch, Capacity())["Notebooks"].verdict == "ok"
    monkeypatch.setattr(linked_pages, "docs_dir", lambda: tmp_path)
    assert look(monkeypatch, Capacity())["Notebooks"].verdict == "not ok"


# -- the commands ----------------------------------------------------------------------------


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["workshop", *arguments])


def test_interrupted_up_says_what_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "open_room", interrupt)
    done = run("up", "--participants", "2")
    assert done.exit_code == 130
    assert "labs that are up stay up" in done.stderr
    assert "labkit workshop down --prefix p" in done.stderr


def test_board_in_a_pipe_is_printed_once_with_its_csv(
    monkeypatch: pytest.MonkeyPatch, people: Room, tmp_path: Path
) -> None:
    people.claims[ONE] = {"etcd-2": Record(True, 1)}
    people.found[ONE, "etcd-2"] = "solved"
    monkeypatch.setattr("labkit.workshop.engines.connect", lambda **_: FakeEngine([]))
    monkeypatch.setattr("labkit.workshop.ledger.ledger_of", lambda _: people.watch.ledger)
    file = tmp_path / "results.csv"
    done = run("board", "--csv", str(file))
    assert done.exit_code == 0, done.output
    assert "1 solved" in done.stdout
    assert "p01,02-etcd,etcd-2,harden,solved,20" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_flags_for_ctfd_are_for_this_user_only(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.add_key(ONE, "net", KEY)
    monkeypatch.setattr("labkit.workshop.engines.connect", lambda **_: FakeEngine([], {ONE: "net"}))
    monkeypatch.setattr("labkit.workshop.ledger.ledger_of", lambda _: ledger)
    file = tmp_path / "ctfd.csv"
    assert run("board", "--ctfd", str(file)).exit_code == 0
    assert derive_flag(bytes.fromhex(KEY), "etcd-1") in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_file_that_cannot_be_written_is_an_error_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, tmp_path: Path
) -> None:
    monkeypatch.setattr("labkit.workshop.engines.connect", lambda **_: FakeEngine([]))
    monkeypatch.setattr("labkit.workshop.ledger.ledger_of", lambda _: ledger)
    done = run("board", "--ctfd", str(tmp_path / "gone" / "ctfd.csv"))
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
    assert "next: ls -ld" in done.stderr


@pytest.mark.parametrize(("verdict", "status"), [("ok", 0), ("unknown", 0), ("not ok", 1)])
def test_doctor_fails_for_what_is_wrong_only(
    monkeypatch: pytest.MonkeyPatch, verdict: str, status: int
) -> None:
    finding = readiness.Finding("Memory", verdict, "none", "free -h")
    monkeypatch.setattr(readiness, "readiness", lambda *_: [finding])
    done = run("doctor")
    assert done.exit_code == status
    assert done.stdout.splitlines() == [f"{verdict:<7}  Memory: none", "         next: free -h"]
