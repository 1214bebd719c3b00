"""The programs that run on the machines of a lab, and the functions that load them.

Each program is one file. A Python program runs with the Python of the machine: it uses only the
standard library, and may import the shared functions of modules such as
``labkit.agents._connections``. The other programs run with ``sh``. A program gets its input as
arguments, or as JSON on standard input; the text of a program never changes.

What every command asks of every machine is a function ``answer`` of a program. The machine's server
of commands calls it itself, which takes no process (``labkit.lab.machine.call``).
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["argv", "load"]

#: An import of shared functions, at the start of a line; the names may stand on further lines.
SHARED = re.compile(r"^from labkit\.agents\.(\w+) import (?:\([^)]*\)|.+)\n", re.MULTILINE)


@cache
def load(name: str) -> str:
    """Return the text of a program, as it is sent to a machine.

    Parameters
    ----------
    name : str
        The name of its file without the suffix.

    Returns
    -------
    str
        The text; shared functions stand in the place of their import.

    Raises
    ------
    FileNotFoundError
        There is no such program.

    Examples
    --------
    >>> load("wait_until").startswith("# ")
    True
    """
    return _read(name)[1]


def argv(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a program on a machine.

    Parameters
    ----------
    name : str
        The name of its file without the suffix.
    *arguments : str
        The arguments of the program: ``sys.argv[1:]`` in Python, ``"$@"`` in a shell.

    Returns
    -------
    list of str
        The command and its arguments.

    Raises
    ------
    FileNotFoundError
        There is no such program.

    Examples
    --------
    >>> command = argv("hold_lock", "/run", "me")
    >>> command[:2], command[3:]
    (['sh', '-c'], ['hold_lock', '/run', 'me'])
    """
    suffix, text = _read(name)
    if suffix == ".py":
        # nothing but the standard library is imported, from nowhere else; and it starts faster
        return ["python3", "-IS", "-c", text, *arguments]
    return ["sh", "-c", text, name, *arguments]


@cache
def _read(name: str) -> tuple[str, str]:
    folder = files(__name__)
    if (program := folder / f"{name}.sh").is_file():
        return ".sh", program.read_text()
    text = (folder / f"{name}.py").read_text()
    return ".py", SHARED.sub(lambda found: _read(found[1])[1], text)
