"""Two participants in two labs: neither touches the other, and no record is believed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from labkit import workshop
from labkit.errors import LabError
from labkit.lab.engine import connect, labels
from labkit.lab.lab import Lab
from labkit.lab.nodes import find_labs
from labkit.lab.progress import QuietReporter, make_reporter
from labkit.workshop import exercises, room, session
from labkit.workshop.board import Board, Watch
from labkit.workshop.edited import EditedLab
from labkit.workshop.engines import connect_to, places
from labkit.workshop.flags import KEY, derive_flag, key_of
from labkit.workshop.ledger import Seat, ledger_of
from labkit.workshop.notices import checked, tell
from labkit.workshop.records import Record, write_progress

pytestmark = pytest.mark.lab
NAME = os.environ.get("LABKIT_TEST_NAME") or f"room-{os.getpid()}"
PREFIX, MODE = f"{NAME}-p", "insecure"
ONE, TWO = f"{PREFIX}01", f"{PREFIX}02"
HARDEN = [it.name for it in exercises.values() if it.kind == "harden" and it.mode == MODE]
FORGED_KEY = bytes(32)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Lab]]:
    """Return the labs of two participants, made as `labkit workshop up` makes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        try:
            started = room.open_room(PREFIX, 2, [MODE], reporter=make_reporter())
            yield {lab.name: lab for lab, *_ in started}
        finally:
            room.remove_room(PREFIX, reporter=make_reporter())
            assert find_labs(connect(), PREFIX) == []


def look() -> Board:
    """Return the board when all claims are judged."""
    return Watch(PREFIX, connect_to(()), ledger_of(PREFIX)).settle(lambda _: None)


def solve(lab: Lab, name: str) -> None:
    exec(exercises[name].solution, {lab.mode: lab})


def test_labs_share_no_network_and_no_key(pair: dict[str, Lab]) -> None:
    one, two = pair[ONE], pair[TWO]
    assert key_of(one) != key_of(two)
    authority = "/etc/kubernetes/pki/ca.crt"
    assert one.read_file("master", authority) != two.read_file("master", authority)

    def answers(address: str) -> bool:
        ask = ["curl", "--silent", "--insecure", "--max-time", "3", f"https://{address}:6443/"]
        return not one.exec("attacker", ask, check=False).exit_code

    assert answers(one.addresses["master"]), "the positive control"
    assert not answers(two.addresses["master"])


def test_notice_reaches_every_participant_and_changes_nothing_else(
    pair: dict[str, Lab], settled: Callable[..., list[str]]
) -> None:
    notice, labs = checked("Lunch", "12:30"), places(connect_to(()), PREFIX)
    assert tell(labs, notice, ledger_of(PREFIX)) == dict.fromkeys(labs, "")
    for name, lab in pair.items():
        assert str(session.notice(lab=name)) == "the trainer says: Lunch (until 12:30)"
        assert settled(lab) == []
    assert look().notice == notice


def test_what_one_participant_does_changes_nothing_for_the_other(
    pair: dict[str, Lab], settled: Callable[..., list[str]]
) -> None:
    one, two = pair[ONE], pair[TWO]
    solve(two, "etcd-2")
    assert workshop.check("etcd-2", lab=TWO).solved
    before = two.drift()
    assert before, "the lab was edited by hand"
    solve(one, "etcd-2")
    assert workshop.check("etcd-2", lab=ONE).solved
    workshop.reset(MODE, lab=ONE)
    assert settled(one) == []
    assert two.drift() == before
    assert workshop.check("etcd-2", lab=TWO).solved
    assert workshop.check("etcd-2", lab=ONE).state == "open"


def test_board_proves_what_the_records_claim(pair: dict[str, Lab]) -> None:
    """The first lab was reset since it was solved, and its participant writes their own record."""
    one = EditedLab(MODE, name=ONE, reporter=QuietReporter())
    flag = derive_flag(FORGED_KEY, "etcd-1")
    one.write_file("master", KEY, FORGED_KEY.hex().encode(), 0o600)
    forged = {name: Record(True, 9) for name in HARDEN}
    forged["etcd-1"] = Record(True, 9, answer=flag)
    write_progress(one, forged)
    assert workshop.check("etcd-1", flag, lab=ONE).solved, "the lab itself believes its own key"
    found = look()
    assert found.cell(TWO, "etcd-2").state == "solved"
    assert found.solved(ONE) == 0
    assert {found.cell(ONE, name).state for name in (*HARDEN, "etcd-1")} == {"not proved"}
    workshop.reset(MODE, lab=TWO)
    assert look().cell(TWO, "etcd-2").state == "solved", "what was proved stays"


def test_flag_of_the_lab_is_proved(pair: dict[str, Lab]) -> None:
    workshop.exercise("etcd-1", lab=TWO)
    namespace = {MODE: pair[TWO]}
    exec(exercises["etcd-1"].solution, namespace)
    assert workshop.check("etcd-1", namespace["answer"], lab=TWO).solved
    assert look().cell(TWO, "etcd-1").state == "solved"


def test_lab_that_is_frozen_is_unknown_and_the_other_is_shown(pair: dict[str, Lab]) -> None:
    master = pair[ONE].container("master")
    master.pause()
    try:
        found = look()
    finally:
        master.unpause()
    assert found.cell(ONE, "eavesdropping-1").state == "unknown"
    assert found.cell(TWO, "etcd-2").state == "solved"


def test_labs_that_are_up_stay_and_labs_of_others_are_left_alone(pair: dict[str, Lab]) -> None:
    client = connect()
    engines = connect_to(())
    networks = places(engines, PREFIX)
    foreign = client.networks.create(
        f"labkit-{PREFIX}03-{MODE}", internal=True, labels=labels(f"{PREFIX}03", MODE)
    )
    try:
        with pytest.raises(LabError, match="was not made for the workshop"):
            room.open_room(PREFIX, 3, [MODE], reporter=QuietReporter())
        again = room.open_room(PREFIX, 2, [MODE], reporter=QuietReporter())
        assert [timings.steps for _, timings, _ in again] == [{}, {}]
        assert places(engines, PREFIX) == networks
        removed = room.remove_room(PREFIX, reporter=QuietReporter())
        assert set(removed) == {Seat(ONE, MODE), Seat(TWO, MODE)}
        assert client.networks.list(ids=[foreign.id]), "it is not of this workshop"
    finally:
        foreign.remove()
    assert look().cell(TWO, "etcd-2").state == "solved", "from the ledger, after the labs"
