"""Accounts, groups and file permissions: sysusers.d(5) and tmpfiles.d(5)."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from labkit.cluster.syntax.source import Source, Unknown, broken

__all__ = ["Group", "Permission", "UserAccount", "permission_of", "read_sysusers", "read_tmpfiles"]


@dataclass(frozen=True, slots=True)
class UserAccount:
    """A user account.

    Attributes
    ----------
    name, uid, home, shell : str
    source : Source
    """

    name: str
    uid: str
    home: str
    shell: str
    source: Source


@dataclass(frozen=True, slots=True)
class Group:
    """A group, or one member of it.

    Attributes
    ----------
    name : str
    member : str
        Empty for the line that only creates the group.
    source : Source
    """

    name: str
    member: str
    source: Source


@dataclass(frozen=True, slots=True)
class Permission:
    """The mode and owner that a line of tmpfiles.d gives to a path or a glob.

    Attributes
    ----------
    kind : str
        The line's type, for example "z".
    path : str
    mode, user, group : str
        Empty if the line does not change it.
    source : Source
    """

    kind: str
    path: str
    mode: str
    user: str
    group: str
    source: Source


def _words(line: str, path: str, number: int) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise broken(path, number, f"a quote is not closed: {line[:60]}") from error


def read_sysusers(
    text: str, path: str
) -> tuple[tuple[UserAccount, ...], tuple[Group, ...], tuple[Unknown, ...]]:
    r"""Read accounts and groups from a file of sysusers.d(5).

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    accounts : tuple of UserAccount
    groups : tuple of Group
    unknowns : tuple of Unknown

    Raises
    ------
    ConfigError
        A line has too few words, or a quote is not closed.

    Examples
    --------
    >>> text = 'u bob 1002 "Bob" /home/bob /bin/bash\nm bob docker'
    >>> accounts, groups, _ = read_sysusers(text, "people.conf")
    >>> accounts[0].home, groups[0].name, groups[0].member
    ('/home/bob', 'docker', 'bob')
    """
    accounts: list[UserAccount] = []
    groups: list[Group] = []
    unknowns: list[Unknown] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        words = _words(line, path, number)
        kind, source = words[0].rstrip("!"), Source(path, number, line)
        if kind not in {"u", "g", "m", "r"}:
            unknowns.append(Unknown(path, number, line, "not a line type of sysusers.d"))
            continue
        if len(words) < 2 or (kind == "m" and len(words) < 3):
            raise broken(path, number, f"too few words for sysusers.d: {line}")
        field = words + ["-"] * 6
        if kind == "u":
            accounts.append(UserAccount(field[1], field[2], field[4], field[5], source))
        elif kind == "g":
            groups.append(Group(field[1], "", source))
        elif kind == "m":
            groups.append(Group(field[2], field[1], source))
    return tuple(accounts), tuple(groups), tuple(unknowns)


def read_tmpfiles(text: str, path: str) -> tuple[tuple[Permission, ...], tuple[Unknown, ...]]:
    """Read modes and owners from a file of tmpfiles.d(5).

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    permissions : tuple of Permission
    unknowns : tuple of Unknown

    Raises
    ------
    ConfigError
        A line has no path, a malformed mode, or a quote that is not closed.

    Examples
    --------
    >>> [one], _ = read_tmpfiles("z /etc/etcd/pki/*.key 0600 root root", "etcd.conf")
    >>> one.mode, one.user
    ('0600', 'root')
    """
    permissions: list[Permission] = []
    unknowns: list[Unknown] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        words = _words(line, path, number)
        kind = words[0].rstrip("!-=~^$+")
        if len(words) < 2 or not words[1].startswith(("/", "%")):
            raise broken(path, number, f"expected KIND /PATH MODE USER GROUP: {line}")
        mode, user, group = ("" if word == "-" else word for word in (words + ["-"] * 3)[2:5])
        bare = mode.lstrip("~:")
        if bare and not re.fullmatch(r"[0-7]{3,5}", bare):
            raise broken(path, number, f"the mode {mode!r} is not octal", "write it as 0600")
        if len(kind) != 1 or kind not in "fFwdDevqQpLcbCxXrRzZtThHaA":
            unknowns.append(Unknown(path, number, line, "not a line type of tmpfiles.d"))
        elif kind in "fFdDeqQvpCzZ":
            source = Source(path, number, line)
            permissions.append(Permission(kind, words[1], bare, user, group, source))
        elif kind in "aAtThH":
            unknowns.append(Unknown(path, number, line, "labkit does not read ACLs and attributes"))
    return tuple(permissions), tuple(unknowns)


def permission_of(path: str, permissions: Iterable[Permission]) -> Permission | None:
    """Return the line that decides on a path: the last one that matches it, or None.

    Parameters
    ----------
    path : str
    permissions : iterable of Permission

    Returns
    -------
    Permission or None

    Examples
    --------
    >>> lines, _ = read_tmpfiles("z /etc/pki/*.key 0600 root root", "x")
    >>> permission_of("/etc/pki/ca.key", lines).mode
    '0600'
    """
    found = None
    for item in permissions:
        same_depth = item.path.count("/") == path.count("/")
        below = item.kind == "Z" and path.startswith(item.path.rstrip("/") + "/")
        if (same_depth and fnmatch.fnmatchcase(path, item.path)) or below:
            found = item
    return found
