"""Sources of settings, and the parts of files that labkit did not understand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from posixpath import basename

from labkit.errors import ConfigError

__all__ = [
    "Collected",
    "Setting",
    "Source",
    "Unknown",
    "bool_of",
    "broken",
    "decode",
    "is_true",
    "trying",
    "unknown_of",
    "without_nul",
]

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


@dataclass(frozen=True, slots=True)
class Source:
    """The place where labkit read a value.

    Parameters
    ----------
    path : str
        The file, relative to the folder of environments.
    line : int or None
        Its line, from 1; None if no single line has the value.
    text : str
        The text of the file; for a default, what is absent.
    default : bool
        True for a default: no file has the value, the component itself applies it.

    Examples
    --------
    >>> print(Source("lab/etcd.service", 14, "--client-cert-auth=true"))
    lab/etcd.service:14 --client-cert-auth=true
    >>> print(Source("lab/etcd.service", None, "--client-cert-auth absent", default=True))
    default: --client-cert-auth absent (etcd.service)
    """

    path: str
    line: int | None
    text: str
    default: bool = False

    def __str__(self) -> str:
        if self.default:
            return f"default: {self.text} ({basename(self.path)})"
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place} {self.text}".rstrip()


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a component's configuration, with its source.

    Parameters
    ----------
    value : str
        Empty for an option without a value and without a default.
    source : Source

    Examples
    --------
    >>> Setting("true", Source("a.service", 3, "--anonymous-auth=true")).source.line
    3
    """

    value: str
    source: Source


@dataclass(frozen=True, slots=True)
class Unknown:
    """A part of the configuration that labkit did not understand.

    Parameters
    ----------
    path : str
        The file.
    line : int or None
        Its line, from 1.
    text : str
        The text of the file.
    why : str
        What is wrong with it, or what labkit does not know because of it.

    Examples
    --------
    >>> print(Unknown("a.service", 3, "--no-such-flag", "not a flag of etcd"))
    a.service:3 --no-such-flag: not a flag of etcd
    """

    path: str
    line: int | None
    text: str
    why: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place} {self.text}".rstrip() + f": {self.why}"


def broken(path: str, line: int | None, what: str, hint: str = "") -> ConfigError:
    """Return the error for a file that labkit cannot read.

    Parameters
    ----------
    path : str
    line : int or None
        The line, from 1.
    what : str
        What is wrong.
    hint : str, optional
        The next step; by default, to correct the file.

    Returns
    -------
    ConfigError

    Examples
    --------
    >>> print(broken("lab/etcd.service", 3, "a line without '='", "write Key=Value"))
    lab/etcd.service:3: a line without '='
      next: write Key=Value
    """
    place = path if line is None else f"{path}:{line}"
    error = ConfigError(f"{place}: {what}", hint=hint or f"correct {path}")
    error.place = (path, line, what)
    return error


def unknown_of(error: ConfigError, path: str = "") -> Unknown:
    """Return the Unknown that stands for an error.

    Parameters
    ----------
    error : ConfigError
    path : str, optional
        The file to name if the error names none.

    Returns
    -------
    Unknown

    Examples
    --------
    >>> print(unknown_of(broken("lab/etcd.service", 3, "a line without '='")))
    lab/etcd.service:3: a line without '='
    """
    found, line, what = error.place or (path, None, error.message)
    return Unknown(found, line, "", what)


class Collected(list[Unknown]):
    """A list of unknowns that also takes errors, so that labkit reads the other files."""


@contextmanager
def trying(unknowns: list[Unknown]) -> Iterator[None]:
    """Collect a ConfigError of the block as an Unknown, or let it through.

    Parameters
    ----------
    unknowns : list of Unknown
        A :class:`Collected` list takes the error; any other list lets it through.

    Raises
    ------
    ConfigError
        The block failed, and `unknowns` is not a :class:`Collected` list.

    Examples
    --------
    >>> found = Collected()
    >>> with trying(found):
    ...     raise broken("etcd.service", 3, "a line without '='")
    >>> [item.line for item in found]
    [3]
    """
    try:
        yield
    except ConfigError as error:
        if not isinstance(unknowns, Collected):
            raise
        unknowns.append(unknown_of(error))


def decode(data: bytes, path: str, *, utf16: bool = False) -> str:
    r"""Return the text of a configuration file.

    Parameters
    ----------
    data : bytes
        The content; a byte order mark is dropped.
    path : str
        The file, for the error.
    utf16 : bool
        Also read UTF-16 with a byte order mark, as PowerShell writes it. No component reads it,
        so this is for files that only labkit reads.

    Returns
    -------
    str

    Raises
    ------
    ConfigError
        The content is not UTF-8, or has a NUL character.

    Examples
    --------
    >>> decode(b"name: lab\n", "environment.yaml")
    'name: lab\n'
    """
    wide = data.startswith(UTF_16)
    try:
        text = data.decode("utf-16" if wide and utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        # counted in what follows the byte order mark
        line = error.object.count(b"\n", 0, error.start) + 1
        refused = wide and not utf16
        what = "UTF-16 text, not UTF-8" if refused else "not UTF-8 text"
        hint = f"save {path} as UTF-8" if refused else "is this the right file?"
        raise broken(path, line, what, hint) from error
    return without_nul(text, path)


def without_nul(text: str, path: str) -> str:
    r"""Return a text if it has no NUL character.

    Parameters
    ----------
    text : str
    path : str
        The file, for the error.

    Returns
    -------
    str

    Raises
    ------
    ConfigError
        It has one.

    Examples
    --------
    >>> without_nul("name: lab\n\0", "environment.yaml")
    Traceback (most recent call last):
    ...
    labkit.errors.ConfigError: environment.yaml:2: a NUL character: not text
      next: is this the right file?
    """
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise broken(path, line, "a NUL character: not text", "is this the right file?")
    return text


def is_true(value: str) -> bool:
    """Say whether Go's strconv.ParseBool reads a value as true.

    Parameters
    ----------
    value : str

    Returns
    -------
    bool

    References
    ----------
    https://pkg.go.dev/strconv#ParseBool

    Examples
    --------
    >>> is_true("True"), is_true("1"), is_true("false"), is_true("")
    (True, True, False, False)
    """
    return value in TRUE


def bool_of(value: str) -> bool | None:
    """Return the boolean that Go's strconv.ParseBool reads, or None if it is not a boolean.

    Parameters
    ----------
    value : str

    Returns
    -------
    bool or None

    Examples
    --------
    >>> bool_of("T"), bool_of("0"), bool_of("off")
    (True, False, None)
    """
    return True if value in TRUE else False if value in FALSE else None
