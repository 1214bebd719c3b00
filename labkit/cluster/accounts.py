"""Accounts, groups and file permissions: sysusers.d(5) and tmpfiles.d(5)."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from labkit.cluster.syntax.source import Source, Unknown, broken

__all__ = [
    "Group",
    "Permission",
    "UserAccount",
    "permissions_of",
    "read_sysusers",
    "read_tmpfiles",
]

#: The types of lines of tmpfiles.d that take globs: systemd applies them after the others.
GLOBBING = "ezZaA"
#: Those that create files and folders, apply to all below a folder, and set access-control lists.
CREATING, RECURSIVE, LISTS = "fFdDqQvpC", "ZA", "aA"


@dataclass(frozen=True, slots=True)
class UserAccount:
    """A user account.

    Attributes
    ----------
    name, uid, home, shell : str
        ``uid`` may name the primary group as well: "1001:docker".
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
    gid : str
        Its number, where the line gives one.
    """

    name: str
    member: str
    source: Source
    gid: str = ""


@dataclass(frozen=True, slots=True)
class Permission:
    """The mode and owner that a line of tmpfiles.d gives to a path or a glob.

    Attributes
    ----------
    kind : str
        The line's type, for example "z"; "a" or "A" for an access-control list, "L" for a link.
    path : str
    mode, user, group : str
        Empty if the line does not change it.
    source : Source
    prefix : str
        What stands before the mode: "~" keeps only bits of a kind that are set, ":" is for new
        files only. Of a link: "+" if it replaces a file.
    target : str
        Where a link leads.
    """

    kind: str
    path: str
    mode: str
    user: str
    group: str
    source: Source
    prefix: str = ""
    target: str = ""


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
            groups.append(Group(field[1], "", source, field[2] if field[2].isdigit() else ""))
        elif kind == "m":
            groups.append(Group(field[2], field[1], source))
    return tuple(accounts), tuple(groups), tuple(unknowns)


def read_tmpfiles(text: str, path: str) -> tuple[tuple[Permission, ...], tuple[Unknown, ...]]:
    """Read modes, owners and links from a file of tmpfiles.d(5).

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
        elif kind in f"{CREATING}{GLOBBING}L":
            prefix = "+" if kind == "L" and "+" in words[0] else mode[: len(mode) - len(bare)]
            target = words[6] if kind == "L" and len(words) > 6 else ""
            source = Source(path, number, line)
            permissions.append(
                Permission(kind, words[1], bare, user, group, source, prefix, target)
            )
        if kind in (*LISTS, *"tThH"):
            unknowns.append(Unknown(path, number, line, "labkit does not read ACLs and attributes"))
    return tuple(permissions), tuple(unknowns)


def permissions_of(path: str, permissions: Iterable[Permission]) -> list[Permission]:
    r"""Return the lines that apply to a path, in the order in which systemd applies them.

    Parameters
    ----------
    path : str
    permissions : iterable of Permission

    Returns
    -------
    list of Permission
        Each changes what the ones before it have set.

    References
    ----------
    https://www.freedesktop.org/software/systemd/man/latest/tmpfiles.d.html

    Examples
    --------
    >>> lines, _ = read_tmpfiles("z /etc/pki/*.key 0600 root root\nd /etc/pki 0750", "x")
    >>> [it.mode for it in permissions_of("/etc/pki/ca.key", lines)]
    ['0600']
    """
    found = [it for it in permissions if _applies(it, path)]
    return sorted(found, key=lambda it: it.kind in GLOBBING)


def _applies(it: Permission, path: str) -> bool:
    if it.kind not in GLOBBING:
        return it.path.rstrip("/") == path
    pattern = it.path.rstrip("/").split("/")
    parts = path.split("/")
    if len(parts) > len(pattern) and it.kind not in RECURSIVE:
        return False
    # a glob's "*" matches no "/", and no dot at the beginning
    return len(parts) >= len(pattern) and all(
        fnmatch.fnmatchcase(part, glob) and (part[:1] != "." or glob[:1] == ".")
        for part, glob in zip(parts, pattern, strict=False)
    )
