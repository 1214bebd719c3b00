"""The programs that run on the machines of a lab, and the one way to send them there.

Each is a file of its own. A program in Python runs on the machine's Python: it uses nothing but
the standard library, and may import what it shares with other programs from
``labkit.agents._connections``. The others are for ``sh``. A program is given arguments, or JSON
on its standard input; nothing is ever written into its text.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["argv", "load"]

#: Such a line stands at the margin of a program that shares something with others.
SHARED = re.compile(r"^from labkit\.agents\.(\w+) import .+\n", re.MULTILINE)


@cache
def load(name: str) -> str:
    """Return the text of a program, as it is sent to a machine.

    Parameters
    ----------
    name : str
        Of its file, without the suffix.

    Returns
    -------
    str
        What it shares with other programs stands in the place of the import.

    Raises
    ------
    FileNotFoundError
        There is no such program.

    Examples
    --------
    >>> load("take_turn").startswith("# ")
    True
    """
    return _read(name)[1]


def argv(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a program on a machine.

    Parameters
    ----------
    name : str
        Of its file, without the suffix.
    *arguments : str
        What the program is given: ``sys.argv[1:]`` in Python, ``"$@"`` in a shell.

    Returns
    -------
    list of str

    Raises
    ------
    FileNotFoundError
        There is no such program.

    Examples
    --------
    >>> command = argv("take_turn", "/run/labkit-verify")
    >>> command[:2], command[3:]
    (['sh', '-c'], ['take_turn', '/run/labkit-verify'])
    """
    suffix, text = _read(name)
    if suffix == ".py":
        return ["python3", "-c", text, *arguments]
    return ["sh", "-c", text, name, *arguments]


@cache
def _read(name: str) -> tuple[str, str]:
    folder = files(__name__)
    if (program := folder / f"{name}.sh").is_file():
        return ".sh", program.read_text()
    text = (folder / f"{name}.py").read_text()
    return ".py", SHARED.sub(lambda found: _read(found[1])[1], text)
