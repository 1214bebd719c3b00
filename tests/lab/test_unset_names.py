"""A name that a failed cell did not set: in a notebook, the message says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell

from labkit.lab.unset_names import UnsetNames, explain_unset_names, names_set_by

ABSENT = (
    "from labkit.errors import NoSuchLab\n"
    "raise_it = True\n"
    "if raise_it:\n"
    "    raise NoSuchLab('light-hardened is not up: light-insecure is', hint='labkit workshop "
    "switch hardened')\n"
    "closed = 1"
)
SAID = (
    "closed is not set, because its cell failed: light-hardened is not up: light-insecure is\n"
    "  next: labkit workshop switch hardened, then run the cell that sets it again\n"
)


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    found = InteractiveShell.instance()
    explain_unset_names()
    yield found
    InteractiveShell.clear_instance()


def say(shell: InteractiveShell, capsys: pytest.CaptureFixture[str], cell: str) -> str:
    capsys.readouterr()
    shell.run_cell(cell, store_history=True)
    return capsys.readouterr().out


def test_missing_name_is_explained_by_the_error_of_its_cell(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    say(shell, capsys, ABSENT)
    assert say(shell, capsys, "print(closed)") == SAID
    # also through the cells between, and inside a function
    assert say(shell, capsys, "both = [closed]") == SAID
    assert say(shell, capsys, "print(both)") == SAID.replace("closed", "both", 1)
    say(shell, capsys, "def later():\n    return closed")
    assert say(shell, capsys, "later()") == SAID


def test_other_missing_names_keep_their_traceback(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    say(shell, capsys, ABSENT)
    assert "NameError" in say(shell, capsys, "print(never)")
    # a cell that was run again, and failed for another reason, is explained by nothing
    assert "ZeroDivisionError" in say(shell, capsys, "closed = 1 / 0")
    assert "NameError" in say(shell, capsys, "print(closed)")


def test_name_that_was_set_later_is_used(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    say(shell, capsys, ABSENT)
    say(shell, capsys, "closed = 2")
    assert say(shell, capsys, "print(closed)") == "2\n"


def test_handler_is_set_once_and_not_in_place_of_another(shell: InteractiveShell) -> None:
    before = shell.CustomTB
    explain_unset_names()
    assert shell.CustomTB == before


def test_names_that_a_cell_sets() -> None:
    code = "import a.b as c, d.e\nwith open(f) as g:\n    h, (i, *j) = k\ndef l(m): ...\nn += 1"
    assert names_set_by(code) == {"c", "d", "g", "h", "i", "j", "l", "n"}
    assert UnsetNames().explained(NameError("name 'x' is not defined", name="x")) is None
