"""systemd's unit files: sections, continued lines, drop-ins, words and specifiers.

See systemd.syntax(7), systemd.unit(5), systemd.service(5) and systemd.exec(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from labkit.cluster.syntax.source import Unknown, broken, trying

__all__ = [
    "Assignment",
    "Unit",
    "Word",
    "expand",
    "merge",
    "parse_environment",
    "parse_unit",
    "split",
]

SPECIFIERS = {"t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc"}
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
BARE_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)\Z")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What a backslash escapes in double quotes of an environment file (SHELL_NEED_ESCAPE).
IN_QUOTES = '"\\`$'


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command line.

    Attributes
    ----------
    text : str
        The word without quotes and escapes.
    line : int
        The line on which it begins, from 1.
    raw : str
        The word as the file has it.
    """

    text: str
    line: int
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One ``Key=Value`` of a unit.

    Attributes
    ----------
    path : str
        The file.
    section, key, value : str
    line : int
        The line of the key, from 1.
    lines : tuple of int
        The line of each character of the value, because a value may span lines.
    """

    path: str
    section: str
    key: str
    value: str
    line: int
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit with its drop-ins.

    Attributes
    ----------
    name : str
        For example "etcd.service".
    path : str
        The unit file.
    assignments : tuple of Assignment
        In the order in which systemd reads them.
    complete : bool
        False if one of its files could not be read.
    """

    name: str
    path: str
    assignments: tuple[Assignment, ...]
    complete: bool = True

    def all(self, section: str, key: str) -> tuple[Assignment, ...]:
        """Return the values of a list; an empty assignment clears the values before it."""
        found: list[Assignment] = []
        for item in self.assignments:
            if (item.section, item.key) == (section, key):
                if item.value:
                    found.append(item)
                else:
                    found.clear()
        return tuple(found)

    def last(self, section: str, key: str) -> Assignment | None:
        """Return the value of a single setting, which is its last one, or None."""
        found = self.all(section, key)
        return found[-1] if found else None


def parse_unit(text: str, path: str, unknowns: list[Unknown]) -> tuple[Assignment, ...]:
    r"""Return the assignments of a unit file or drop-in.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for sources.
    unknowns : list of Unknown
        Takes the lines that systemd ignores, if it collects errors.

    Returns
    -------
    tuple of Assignment

    Raises
    ------
    ConfigError
        A section header is malformed: systemd reads no further. A line is not a comment, a section
        or an assignment, unless `unknowns` collects errors.

    Examples
    --------
    >>> [item] = parse_unit("[Service]\nExecStart=/bin/etcd \\\n  --name=a\n", "etcd.service", [])
    >>> item.key, item.value, item.line
    ('ExecStart', '/bin/etcd    --name=a', 2)
    """
    result: list[Assignment] = []
    section = ""
    chars: list[str] = []
    lines: list[int] = []
    for number, raw in enumerate([*text.replace("\r\n", "\n").split("\n"), ""], start=1):
        stripped = raw.strip()
        if stripped.startswith(("#", ";")) or (not chars and not stripped):
            continue
        continued = raw.endswith("\\")
        piece = raw[:-1] + " " if continued else raw
        chars.append(piece)
        lines.extend([number] * len(piece))
        if continued:
            continue
        logical, where = "".join(chars), lines
        chars, lines = [], []
        if not logical.strip():
            continue
        first = where[len(logical) - len(logical.lstrip())]
        logical_stripped = logical.strip()
        if logical_stripped.startswith("["):
            if not logical_stripped.endswith("]") or len(logical_stripped) < 3:
                raise broken(path, first, f"a section header without ']': {logical_stripped}")
            section = logical_stripped[1:-1]
            continue
        key, equals, value = logical.partition("=")
        with trying(unknowns):
            if not equals or not key.strip():
                raise broken(
                    path,
                    first,
                    f"neither a section nor Key=Value: {logical_stripped[:60]}",
                    "systemd ignores this line: write Key=Value, or a backslash on the line before",
                )
            if not section:
                raise broken(path, first, f"{key.strip()}= stands before any [Section]")
        if not (equals and key.strip() and section):
            continue
        start = len(key) + 1 + len(value) - len(value.lstrip())
        value = value.strip()
        span = tuple(where[start : start + len(value)])
        result.append(Assignment(path, section, key.strip(), value, first, span))
    return tuple(result)


def merge(name: str, path: str, parts: Iterable[tuple[Assignment, ...]]) -> Unit:
    """Join a unit file and its drop-ins.

    Parameters
    ----------
    name, path : str
        The unit, and its file.
    parts : iterable of tuple of Assignment
        The unit file, then its drop-ins.

    Returns
    -------
    Unit
    """
    return Unit(name, path, tuple(item for part in parts for item in part))


def split(item: Assignment) -> list[Word]:
    r"""Split a value into words as systemd does, with blanks, quotes and C escapes.

    Parameters
    ----------
    item : Assignment

    Returns
    -------
    list of Word

    Raises
    ------
    ConfigError
        A quote is not closed.

    Examples
    --------
    >>> [item] = parse_unit("[Service]\nExecStart=/bin/sh -c 'a b'", "x.service", [])
    >>> [word.text for word in split(item)]
    ['/bin/sh', '-c', 'a b']
    """
    words: list[Word] = []
    text, current, quote = item.value, "", ""
    begun: int | None = None
    index = 0
    while index < len(text):
        char = text[index]
        if begun is None and not char.isspace():
            begun = index
        if char == "\\" and index + 1 < len(text):
            replacement, used = _escape(text[index + 1 :])
            current += replacement
            index += used
        elif quote:
            if char == quote:
                quote = ""
            else:
                current += char
        elif char in "'\"":
            quote = char
        elif char.isspace():
            if begun is not None:
                words.append(Word(current, item.lines[begun], text[begun:index]))
            current, begun = "", None
        else:
            current += char
        index += 1
    if quote:
        line = item.lines[begun if begun is not None else 0]
        raise broken(item.path, line, f"a quote {quote} is not closed")
    if begun is not None:
        words.append(Word(current, item.lines[begun], text[begun:]))
    return words


def _escape(rest: str) -> tuple[str, int]:
    """Return the text that an escape stands for, and the number of its characters."""
    char = rest[0]
    if char in ESCAPES:
        return ESCAPES[char], 1
    if char in "\\\"'":
        return char, 1
    for letter, digits in (("x", 2), ("u", 4), ("U", 8)):
        if char == letter and re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", rest[1 : 1 + digits]):
            code = int(rest[1 : 1 + digits], 16)
            if 0 < code < 0x110000:
                return chr(code), 1 + digits
    if re.match(r"[0-3][0-7]{2}", rest) and int(rest[:3], 8):
        return chr(int(rest[:3], 8)), 3
    # systemd keeps unknown escapes, with a warning; regular expressions have some
    return "\\" + char, 1


def specifiers(text: str, unit: str, host: str) -> tuple[str, list[str]]:
    """Replace the specifiers of systemd.unit(5).

    Parameters
    ----------
    text : str
    unit, host : str
        The names of the unit and of its machine.

    Returns
    -------
    text : str
    unknown : list of str
        The specifiers that labkit does not know.
    """
    stem, _, suffix = unit.rpartition(".")
    prefix, at, instance = (stem or suffix).partition("@")
    table = SPECIFIERS | {
        "%": "%",
        "H": host,
        "l": host.split(".")[0],
        "n": unit,
        "N": stem or suffix,
        "p": prefix,
        "i": instance if at else "",
    }
    unknown: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match[1] in table:
            return table[match[1]]
        unknown.append(match[0])
        return match[0]

    return re.sub(r"%(.)", replace, text), unknown


def expand(
    words: Iterable[Word], unit: str, host: str, environment: Mapping[str, str]
) -> tuple[list[Word], list[tuple[Word, str]]]:
    """Replace specifiers and variables in words.

    Parameters
    ----------
    words : iterable of Word
    unit, host : str
        The names of the unit and of its machine.
    environment : mapping of str to str
        The variables of the service.

    Returns
    -------
    words : list of Word
    missing : list of (Word, str)
        Specifiers and variables without a value, each with its word.

    Examples
    --------
    >>> words, missing = expand([Word("--name=%H", 3)], "etcd.service", "etcd1", {})
    >>> words[0].text, missing
    ('--name=etcd1', [])
    """
    result: list[Word] = []
    missing: list[tuple[Word, str]] = []
    for word in words:
        text, unknown = specifiers(word.text, unit, host)
        missing.extend((word, name) for name in unknown)
        bare = BARE_VARIABLE.match(text)
        if bare:
            if bare[1] not in environment:
                missing.append((word, text))
            for piece in environment.get(bare[1], "").split():
                result.append(Word(piece, word.line, word.raw))
            continue
        for match in VARIABLE.finditer(text):
            if match[1] and match[1] not in environment:
                missing.append((word, match[0]))
        text = VARIABLE.sub(lambda m: environment.get(m[1], "") if m[1] else "$", text)
        result.append(Word(text, word.line, word.raw))
    return result, missing


def uses_variables(word: Word) -> bool:
    """Say whether a word of a command line is, or has in it, a variable.

    Examples
    --------
    >>> uses_variables(Word("--name=${NAME}", 1)), uses_variables(Word("$$ARGS", 1))
    (True, False)
    """
    return bool(BARE_VARIABLE.match(word.text)) or any(
        found[1] for found in VARIABLE.finditer(word.text)
    )


def parse_environment(text: str, path: str, unknowns: list[Unknown]) -> dict[str, tuple[str, int]]:
    r"""Return the variables of an EnvironmentFile, each with its value and line.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for the error.
    unknowns : list of Unknown
        Takes the lines that systemd ignores, if it collects errors.

    Returns
    -------
    dict of str to (str, int)

    Raises
    ------
    ConfigError
        A line is not an assignment of a variable, unless `unknowns` collects errors.

    References
    ----------
    systemd's src/basic/env-file.c: quotes may span lines, and only those before a value count.

    Examples
    --------
    >>> parse_environment("# flags\nETCD_NAME='etcd1'\n", "etcd.env", [])
    {'ETCD_NAME': ('etcd1', 2)}
    """
    result: dict[str, tuple[str, int]] = {}
    text = text.replace("\r\n", "\n")
    place = 0
    while place < len(text):
        end = text.find("\n", place) if "\n" in text[place:] else len(text)
        head = text[place:end].strip()
        key, equals, _ = head.partition("=")
        start, after = text.count("\n", 0, place) + 1, end + 1
        if head and not head.startswith(("#", ";")):
            if equals:
                value, after = _value(text, text.index("=", place) + 1)
            with trying(unknowns):
                if not equals or not NAME.fullmatch(key.strip()):
                    raise broken(path, start, f"not VARIABLE=value: {head[:60]}")
                result[key.strip()] = (value, start)
        place = after
    return result


def _value(text: str, place: int) -> tuple[str, int]:
    """Return the value that begins at a place of an environment file, and the place after it."""
    value, kept, quote, begun = "", 0, "", False
    while place < len(text):
        char, following = text[place], text[place + 1 : place + 2]
        place += 1
        if quote:
            if char == quote:
                quote, kept = "", len(value)
            elif char == "\\" and quote == '"' and following:
                place += 1
                value += following if following in IN_QUOTES else ""
                value += "" if following in f"{IN_QUOTES}\n" else f"\\{following}"
            else:
                value += char
        elif char == "\n":
            break
        elif char == "\\":
            place += 1
            value += following.strip("\n")
            kept, begun = len(value), True
        elif char in "'\"" and not begun:
            quote = char
        elif begun or not char.isspace():
            value += char
            begun = True
            kept = kept if char.isspace() else len(value)
    return value[: None if quote else kept], place


def unit_of(path: str) -> str:
    """Return the unit that a file or drop-in belongs to.

    Examples
    --------
    >>> unit_of("/etc/systemd/system/etcd.service.d/10-tls.conf")
    'etcd.service'
    """
    pure = PurePosixPath(path)
    return pure.parent.name.removesuffix(".d") if pure.parent.name.endswith(".d") else pure.name
