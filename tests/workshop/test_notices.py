"""What a trainer tells the room, without Docker: who gets it, and what they see."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from labkit.cli import app
from labkit.errors import ConfigError, LabError
from labkit.lab.engine import labels
from labkit.workshop import magics, notices, session
from labkit.workshop.board import Board, as_table
from labkit.workshop.board_page import page
from labkit.workshop.engines import Place, WorkshopEngine, places
from labkit.workshop.ledger import Ledger, LedgerContent, Notice, Seat
from labkit.workshop.notices import checked, read_notice, tell

ONE, TWO = Seat("p01", "insecure"), Seat("p02", "hardened")
LUNCH = Notice("Lunch", "12:30")


class FakeLab:
    """A lab whose master keeps files; that of p02 does not answer."""

    files: ClassVar[dict[str, bytes]] = {}
    master = "master"

    def __init__(self, mode: str, *, name: str, client: object = None) -> None:
        self.seat = Seat(name, mode)

    def exec(self, node: str, argv: list[str], *, stdin: bytes = b"", check: bool = True) -> Any:
        if self.seat.name == "p02":
            raise LabError("p02 does not take commands")
        if argv[0] == "cat":
            kept = self.files.get(self.seat.name)
            return SimpleNamespace(exit_code=0 if kept else 1, stdout=kept or b"")
        self.files[self.seat.name] = stdin
        return None


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(notices, "RunningLab", FakeLab)
    monkeypatch.setattr(session, "RunningLab", FakeLab)
    modes = {ONE.name: [ONE.mode], TWO.name: [TWO.mode]}
    monkeypatch.setattr(session, "modes_of", modes.__getitem__)
    monkeypatch.setattr(FakeLab, "files", {})
    made = [
        SimpleNamespace(id=seat.name, attrs={"Labels": labels(*seat, workshop="p")})
        for seat in (ONE, TWO)
    ]
    client: Any = SimpleNamespace(networks=SimpleNamespace(list=lambda **_: made))
    return WorkshopEngine("", client)


@pytest.fixture
def hint(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], object]:
    """Return the magic %hint of a new shell."""
    monkeypatch.setattr(session, "hint", lambda name: "a hint")
    found: dict[str, Callable[[str], object]] = {}

    def register(function: Callable[[str], object], kind: str, name: str) -> None:
        found[name] = function

    magics.register(SimpleNamespace(user_ns={}, register_magic_function=register))
    return found["hint"]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "p.jsonl")


def test_notice_reaches_the_labs_that_answer_and_names_the_others(
    room: Any, ledger: Ledger
) -> None:
    assert tell(places([room], "p"), LUNCH, ledger) == {ONE: "", TWO: "p02 does not take commands"}
    lab: Any = FakeLab("insecure", name="p01")
    assert read_notice(lab) == LUNCH
    assert ledger.read().notice == LUNCH


def test_last_notice_counts_and_an_empty_one_takes_it_back(ledger: Ledger) -> None:
    ledger.add_proof(ONE, "etcd-1", "then")
    for notice in (LUNCH, Notice("Back to work")):
        ledger.add_notice(notice)
        assert ledger.read().notice == notice
    ledger.add_notice(Notice())
    assert ledger.read() == LedgerContent(proved={ONE: {"etcd-1": "then"}})


def test_workshop_without_labs_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    empty = SimpleNamespace(networks=SimpleNamespace(list=lambda **_: []))
    monkeypatch.setattr("labkit.workshop.engines.connect", lambda **_: empty)
    done = CliRunner().invoke(app, ["workshop", "say", "Lunch"])
    assert (done.exit_code, list(tmp_path.rglob("*.jsonl"))) == (1, [])
    assert "no workshop 'p'" in done.stderr


@pytest.mark.parametrize(
    ("text", "until"),
    [("two\nlines", ""), ("a bell \a", ""), ("x" * 201, ""), ("x", "25:00"), ("x", "noon")],
)
def test_what_is_not_one_line_or_a_time_is_refused(text: str, until: str) -> None:
    with pytest.raises(ConfigError):
        checked(text, until)


@given(
    st.binary()
    | st.recursive(st.text(), st.lists, max_leaves=3).map(lambda it: json.dumps(it).encode())
)
def test_file_that_a_participant_wrote_is_a_notice_of_one_line_or_none(data: bytes) -> None:
    lab: Any = SimpleNamespace(
        master="master", exec=lambda *_, **__: SimpleNamespace(exit_code=0, stdout=data)
    )
    assert read_notice(lab) == Notice()


def test_board_shows_the_notice_and_escapes_it() -> None:
    shown = Board("p", ("p01",), (), {}, notice=Notice("<b>Lunch</b>", "12:30"))
    assert "&lt;b&gt;Lunch&lt;/b&gt; (until 12:30)" in page(shown)
    assert "(until 12:30)" in str(as_table(shown).title)
    without = Board("p", ("p01",), (), {})
    assert 'class="notice"' in page(shown)
    assert 'class="notice"' not in page(without)


def test_magic_prints_a_notice_once(
    room: Any,
    ledger: Ledger,
    hint: Callable[[str], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LABKIT_NAME", "p01")
    hint("etcd-1")
    assert capsys.readouterr().out == "a hint\n"
    tell(places([room], "p"), LUNCH, ledger)
    for expected in ("a hint\nthe trainer says: Lunch (until 12:30)\n", "a hint\n"):
        hint("etcd-1")
        assert capsys.readouterr().out == expected


def test_lab_of_ones_own_is_not_asked_for_a_notice(
    room: Any,
    hint: Callable[[str], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("LABKIT_NAME", raising=False)
    monkeypatch.setattr(FakeLab, "exec", lambda *_, **__: pytest.fail("it was asked"))
    hint("etcd-1")
    assert capsys.readouterr().out == "a hint\n"


def test_command_fails_if_a_lab_was_not_told(
    room: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("labkit.workshop.engines.connect", lambda **_: room.client)
    done = CliRunner().invoke(app, ["workshop", "say", "Lunch", "--until", "12:30"])
    assert done.exit_code == 1
    assert "not told: lab p02 (hardened)" in done.stderr
    assert "told 1 of 2 labs" in done.stderr
    assert places([room], "p") == {ONE: Place(room, "p01"), TWO: Place(room, "p02")}
