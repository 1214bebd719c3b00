"""Where a fact was read, and what was not understood."""

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
    "broken",
    "decode",
    "is_true",
    "trying",
    "unknown_of",
]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value was read.

    Parameters
    ----------
    path : str
        The file, relative to the folder of environments.
    line : int or None
        Its line, from 1; None where no single line says it.
    text : str
        What stands there; for a default, what is absent.
    default : bool
        The value is not written anywhere: the component applies it by itself.

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
    """One value of a component's configuration, with where it was read.

    An option without a value and without a default is the empty string.
    """

    value: str
    source: Source


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something in the configuration that was not understood, and why it matters."""

    path: str
    line: int | None
    text: str
    why: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place} {self.text}".rstrip() + f": {self.why}"


def broken(path: str, line: int | None, what: str, hint: str = "") -> ConfigError:
    """Make the error for a file that cannot be understood.

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
    """Turn an error into something that was not understood.

    Examples
    --------
    >>> print(unknown_of(broken("lab/etcd.service", 3, "a line without '='")))
    lab/etcd.service:3: a line without '='
    """
    found, line, what = error.place or (path, None, error.message)
    return Unknown(found, line, "", what)


class Collected(list[Unknown]):
    """What was not understood, errors included: of a user's own files the rest is still read."""


@contextmanager
def trying(unknowns: list[Unknown]) -> Iterator[None]:
    """Let an error through, or keep it where errors are collected and go on after the block.

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


def decode(data: bytes, path: str) -> str:
    r"""Decode a configuration file.

    Examples
    --------
    >>> decode(b"name: lab\n", "environment.yaml")
    'name: lab\n'
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise broken(path, line, "not UTF-8 text", "is this the right file?") from error


def is_true(value: str) -> bool:
    """Say whether Go's strconv.ParseBool takes a value for true.

    Examples
    --------
    >>> is_true("True"), is_true("1"), is_true("false"), is_true("")
    (True, True, False, False)
    """
    return value in {"1", "t", "T", "true", "TRUE", "True"}
