"""Find the component that a command line starts, through shells, helpers and scripts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from labkit.cluster.defaults import DEFAULTS
from labkit.cluster.facts import File
from labkit.cluster.syntax.systemd import Word
from labkit.errors import ConfigError

__all__ = [
    "HELPERS",
    "POD_VARIABLE",
    "Launch",
    "is_tool",
    "launched",
    "may_be_any_flag",
    "with_variables",
]

SHELLS = frozenset({"sh", "bash", "dash", "ash", "busybox"})
#: Programs that start the program that one of their arguments names.
HELPERS = SHELLS | frozenset(
    [
        "chrt",
        "env",
        "exec",
        "go-runner",
        "hyperkube",
        "ionice",
        "nice",
        "numactl",
        "sudo",
        "systemd-run",
        "taskset",
        "tini",
    ]
)
#: Programs that are no component, and neither serve, call nor start one.
TOOLS = frozenset({"echo", "logger", "sleep", "true"})
#: Where a system's own programs are.
OF_SYSTEM = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin"})
#: What ip(8) is about in commands that start no program: "netns" and "vrf" may.
OF_IP = frozenset({"addr", "address", "link", "neigh", "route", "rule"})
VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
#: How a container's command names a variable; without a value it stays as it is.
POD_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
#: What may stand before a command of a script.
KEYWORDS = frozenset(["!", "command", "do", "elif", "else", "exec", "if", "then", "time", "{"])
#: What only a shell can evaluate.
UNREADABLE = re.compile(r"[$`]")
#: Shells and scripts in each other, at most.
DEPTH = 5


@dataclass(frozen=True, slots=True)
class Launch:
    """A component that a command line starts.

    Attributes
    ----------
    kind : str
    arguments : tuple of Word
    complete : bool
        False if some of its arguments could not be read.
    """

    kind: str
    arguments: tuple[Word, ...]
    complete: bool = True


def launched(
    words: Sequence[Word],
    environment: Mapping[str, str],
    files: Mapping[str, File],
    depth: int = DEPTH,
) -> Launch | None:
    """Return the component that a command line starts, or None if it starts no other program.

    Parameters
    ----------
    words : sequence of Word
        The program, and its arguments.
    environment : mapping of str to str
        The variables that a shell would have.
    files : mapping of str to File
        The files of the machine: a script among them is read.
    depth : int
        How many shells and scripts in each other it follows.

    Returns
    -------
    Launch or None

    Examples
    --------
    >>> words = [Word(text, 2) for text in ("/bin/sh", "-c", "exec etcd --name=$NODE >>/log 2>&1")]
    >>> found = launched(words, {"NODE": "cp1"}, {})
    >>> found.kind, [word.text for word in found.arguments], found.complete
    ('etcd', ['--name=cp1'], True)
    """
    if not words or not depth:
        return None
    name = PurePosixPath(words[0].text).name
    text = _script_at(files, words[0].text)
    if name in DEFAULTS and text is None:
        return Launch(name, tuple(words[1:]))
    if name in DEFAULTS:
        # a script of this name may add flags, and may start another program of this name
        found = _in_script(text or "", words[0].line, environment, files, depth)
        return found or Launch(name, (), complete=False)
    if name in SHELLS and (script := _script_of(words)) is not None:
        return _in_script(script.text, script.line, environment, files, depth)
    if name in SHELLS:
        words = [word for word in words[1:] if not word.text.startswith("-")]
        return launched(words, environment, files, depth - 1) if words else None
    if name in HELPERS:
        for index, word in enumerate(words[1:], start=1):
            if PurePosixPath(word.text).name in {*DEFAULTS, *SHELLS}:
                return launched(words[index:], environment, files, depth - 1)
        return None
    if text is None:
        return None
    return _in_script(text, words[0].line, environment, files, depth)


def is_tool(words: Sequence[str], files: Mapping[str, File]) -> bool:
    """Say whether a command line is that of a system's program which starts and serves nothing.

    Parameters
    ----------
    words : sequence of str
        The program by its path, and its arguments.
    files : mapping of str to File
        The files of the machine: a script among them may start anything.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_tool(["/usr/sbin/ip", "route", "show"], {})
    True
    >>> is_tool(["/usr/sbin/ip", "netns", "exec", "a", "etcd"], {})
    False
    """
    program = PurePosixPath(words[0])
    if str(program.parent) not in OF_SYSTEM or words[0] in files:
        return False
    return program.name in TOOLS or (program.name == "ip" and not OF_IP.isdisjoint(words[1:2]))


def with_variables(text: str, values: Mapping[str, str]) -> str:
    """Return a word of a container's command with the values of its variables, as the kubelet does.

    Examples
    --------
    >>> with_variables("--v=$(V) $(W)", {"V": "2"})
    '--v=2 $(W)'
    """
    return POD_VARIABLE.sub(lambda found: values.get(found[1], found[0]), text)


def may_be_any_flag(word: Word) -> bool:
    """Say whether a container's variable without a value may be more than the value of a flag.

    Examples
    --------
    >>> may_be_any_flag(Word("$(EXTRA)", 1)), may_be_any_flag(Word("--v=$(V)", 1))
    (True, False)
    """
    found = POD_VARIABLE.search(word.text)
    return found is not None and "=" not in word.text[: found.start()]


def _script_at(files: Mapping[str, File], path: str) -> str | None:
    """Return the text of a script of the machine; None for a program, or what was not copied."""
    file = files.get(path)
    try:
        return file.read_text() if file else None
    except ConfigError:
        return None


def _script_of(words: Sequence[Word]) -> Word | None:
    """Return the script that a shell is given as ``-c``."""
    for index, word in enumerate(words[1:-1], start=1):
        if re.fullmatch(r"-[a-z]*c", word.text):
            return words[index + 1]
    return None


def _in_script(
    text: str, line: int, environment: Mapping[str, str], files: Mapping[str, File], depth: int
) -> Launch | None:
    text = text.replace("\\\n", " ")
    known = VARIABLE.sub(lambda m: environment.get(m[1] or m[2], m[0]), text)
    found = []
    for command in _commands(known):
        words = [Word(word, line, word) for word in command]
        name = PurePosixPath(command[0]).name
        if name in DEFAULTS or name in HELPERS:
            found.append(launched(words, environment, {}, depth - 1))
    starts = [it for it in found if it]
    kinds = {it.kind for it in starts}
    if len(kinds) != 1:
        return None
    first = starts[0]
    readable = not any(UNREADABLE.search(word.text) for word in first.arguments)
    if len(starts) > 1 or not readable:
        # which of several lines runs, and with which values, only the shell knows
        return Launch(first.kind, (), complete=False)
    return first


def _commands(text: str) -> Iterator[list[str]]:
    """Yield the simple commands of a script, without assignments and redirections."""
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command: list[str] = []
        try:
            tokens = list(lexer)
        except ValueError:
            continue  # a quote that spans lines
        skip = False
        for token in tokens:
            if skip:
                skip = False
            elif token and set(token) <= set("<>&") and set(token) & set("<>"):
                skip = True
                if command and command[-1].isdigit():
                    command.pop()
            elif token and set(token) <= set(";&|()"):
                yield from _started(command)
                command = []
            else:
                command.append(token)
        yield from _started(command)


def _started(command: list[str]) -> Iterator[list[str]]:
    while command and (command[0] in KEYWORDS or ASSIGNMENT.match(command[0])):
        command = command[1:]
    if command:
        yield command
