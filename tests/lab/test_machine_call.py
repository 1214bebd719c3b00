"""A program that the server of a machine calls: its answer, its error, a machine that is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import NotFound
from IPython.lib.pretty import pretty

from labkit import agents
from labkit.errors import LabError
from labkit.lab import machine
from labkit.lab.connection import NotStarted


def connect(monkeypatch: pytest.MonkeyPatch, answer: Callable[..., object]) -> Any:
    """Return a container whose server of commands gives an answer."""
    monkeypatch.setattr(
        machine, "connection_to", lambda _: SimpleNamespace(call=answer, run=answer)
    )
    state = {"State": {"Status": "running"}}
    return SimpleNamespace(name="labkit-x-etcd1", reload=lambda: None, attrs=state)


def test_program_is_sent_with_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(program: str, arguments: Sequence[str], timeout: float) -> str:
        assert (program, timeout) == (agents.load("busy"), 5)
        return " ".join(arguments)

    assert machine.call(connect(monkeypatch, answer), "busy", "a", "b", timeout=5) == "a b"


@pytest.mark.parametrize(
    ("error", "said"),
    [(LabError("no room"), "no room"), (NotFound("gone"), "labkit-x-etcd1 does not take commands")],
)
def test_failed_call_is_an_error_of_the_lab(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*_: object) -> str:
        raise error

    with pytest.raises(LabError, match=said):
        machine.call(connect(monkeypatch, answer), "busy")


def test_missing_user_is_not_reported_as_a_machine_that_takes_no_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(*_: object) -> tuple[int, bytes, bytes]:
        raise NotStarted("the machine has no user mallory")

    container = connect(monkeypatch, answer)
    with pytest.raises(LabError) as error:
        machine.execute(container, ["id", "-u"], user="mallory")
    assert error.value.message == "labkit-x-etcd1 could not start id -u"
    assert error.value.evidence == ("the machine has no user mallory",)
    assert error.value.hint == ""


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        (machine.Output(0, b"one\ntwo\n", b""), "one\ntwo"),
        (machine.Output(0, "grün\n".encode(), b"a warning\n"), "grün\na warning"),
        (machine.Output(3, b"", b"no such file\n"), "no such file\nexit status 3"),
    ],
)
def test_notebook_shows_an_output_as_a_terminal_does(output: machine.Output, shown: str) -> None:
    assert pretty(output) == shown
