"""The steps of the users of copied machines: by files that they may write, sudo, and sockets.

What counts is the listing of a machine's files with their modes, and the files of sudo.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.analysis.attack_graph.from_objects.escapes import (
    SOCKETS,
    SOCKETS_OF_DISTRIBUTIONS,
    WRITABLE,
    WRITABLE_OF_DISTRIBUTIONS,
    touches,
)
from labkit.analysis.attack_graph.steps import Step
from labkit.cluster.copied.modes import MODES, OPENS
from labkit.model import Foothold
from labkit.model.decision import ALLOWED, UNKNOWN
from labkit.model.file_access import FileMode, is_member, may_open, ordinary_users
from labkit.model.footholds import ADMIN, NODE, SECRETS

if TYPE_CHECKING:
    from labkit.cluster.accounts import Permission
    from labkit.cluster.facts import Environment, Node

__all__ = ["machine_steps"]

WRITTEN, CONNECTED = (*WRITABLE, *WRITABLE_OF_DISTRIBUTIONS), (*SOCKETS, *SOCKETS_OF_DISTRIBUTIONS)
SUDOERS, MORE_SUDOERS = "/etc/sudoers", "/etc/sudoers.d/"
#: The groups to which distributions give everything, if their members type their password.
SUDO_GROUPS = ("sudo", "wheel", "admin")
#: sudoers(5): a user specification; settings, aliases and comments are no such lines. A number
#: sign before a number is a user.
SPECIFICATION = re.compile(
    r"(?P<who>[^\s,=]+(?:\s*,\s*[^\s,=]+)*)\s+(?P<hosts>[^=]+)=\s*(?P<may>.+)"
)
NO_SPECIFICATION = re.compile(r"$|Defaults\b|(?:User|Runas|Host|Cmnd|Cmd)_Alias\b|#(?!\d|include)")
INCLUDED = re.compile(r"[@#]include(?:dir)?\s+\"?(?P<path>[^\s\"]+)")
#: The whole right to be root, without a password.
EVERYTHING = re.compile(r"(?:\(\s*(?:ALL|root)\b[^)!]*\)\s*)?NOPASSWD:\s*ALL$")
USER, GROUP = re.compile(r"[a-z_][\w.-]*\$?"), re.compile(r"%[A-Za-z_][\w.-]*")


def machine_steps(env: Environment) -> Iterator[Step]:
    """Yield the steps of users of machines to root there, and to what they read there.

    Parameters
    ----------
    env : Environment
        Of files that were copied.

    Yields
    ------
    Step

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> list(machine_steps(read_environment("hardened")))
    []
    """
    for node in env.nodes:
        users = ordinary_users(env, node)
        if users and not env.complete:
            for it in node.permissions:
                if it.source.path.endswith(MODES):
                    yield from _by_file(env, node, users, it)
            yield from _by_sudo(env, node, users)


def _by_file(
    env: Environment, node: Node, users: tuple[str, ...], it: Permission
) -> Iterator[Step]:
    user, root = Foothold("user", node.name), (Foothold("root", node.name), NODE)
    socket = it.path in CONNECTED
    if socket or any(touches(it.path, place) for place in WRITTEN):
        # to write a file or a folder takes the bit by which one connects to a socket
        asked = FileMode(it.path, "socket", it.mode, it.user, it.group, it.source)
        if found := _best(env, node, users, it.path, asked):
            value, why = found
            name = "use-socket" if socket else "write-host-path"
            unknown = "" if value == ALLOWED else f"whether a user on {node.name} writes {it.path}"
            yield Step(name, user, root, (why,), unknown=unknown)
    if OPENS.search(it.path) and it.kind == "f" and it.path not in node.files:
        asked = FileMode(it.path, "file", it.mode, it.user, it.group, it.source)
        if found := _best(env, node, users, it.path, asked):
            goal = SECRETS if it.path.endswith((".db", ".gz", ".tgz", ".tar")) else ADMIN
            unknown = f"what {it.path} on {node.name} opens, which was not copied"
            yield Step("steal-credential", user, (goal,), (found[1],), unknown=unknown)


def _best(
    env: Environment, node: Node, users: tuple[str, ...], path: str, asked: FileMode
) -> tuple[str, str] | None:
    """Return whether a user is let through, or perhaps is, and why; None if nobody is."""
    answers = [may_open(env, node, user, path, file=asked) for user in users]
    for value in (ALLOWED, UNKNOWN):
        for each in answers:
            if each.value == value:
                return value, str(each.claim)
    return None


def _by_sudo(env: Environment, node: Node, users: tuple[str, ...]) -> Iterator[Step]:
    user, root = Foothold("user", node.name), (Foothold("root", node.name), NODE)
    for path, file in node.files.items():
        if path != SUDOERS and not path.startswith(MORE_SUDOERS):
            continue
        for number, line in _lines(file.read_text()):
            why = (f"{file.source}:{number} {line}",)
            if included := INCLUDED.match(line):
                place = included["path"]
                read = f"{place.rstrip('/')}/" == MORE_SUDOERS
                if not read or not any(it.startswith(MORE_SUDOERS) for it in node.files):
                    unknown = f"what {place} on {node.name} lets users do, which was not read"
                    yield Step("sudo", user, root, why, unknown=unknown)
                continue
            if NO_SPECIFICATION.match(line):
                continue
            found = SPECIFICATION.match(line)
            named = {_named(env, node, one, found["who"]) if found else None for one in users}
            if named == {False}:
                continue
            may = found["may"].strip() if found else line
            hosts = set(found["hosts"].replace(",", " ").split()) if found else set()
            here = hosts in ({"ALL"}, {node.name})
            sure = here and True in named and EVERYTHING.match(may)
            who = found["who"] if found else "a user"
            unknown = "" if sure else f"whether {who} gets root on {node.name} by {may}"
            yield Step("sudo", user, root, why, unknown=unknown)
    if SUDOERS in node.files:
        return
    for group in SUDO_GROUPS:
        members = [it for it in users if it and is_member(env, node, it, group)]
        if members:
            why = (f"{members[0]} on {node.name} is in group {group}",)
            unknown = f"whether sudo lets group {group} be root, and with which password"
            yield Step("sudo", user, root, why, unknown=unknown)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file of sudo with their numbers; a backslash joins two."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        joined, first = f"{joined}{line}", first or number
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        yield first, joined.strip()
        joined, first = "", 0
    if joined:
        yield first, joined.strip()


def _named(env: Environment, node: Node, user: str, who: str) -> bool | None:
    """Say whether a list of a specification is for a user; None if it may be.

    An alias, a netgroup, a number and an exception are not followed.
    """
    answers = {_is(env, node, user, name.strip()) for name in who.split(",")}
    if None in answers:
        return None
    return True in answers


def _is(env: Environment, node: Node, user: str, name: str) -> bool | None:
    if name == "ALL":
        return True
    if name == "root":
        return False
    if GROUP.fullmatch(name):
        return is_member(env, node, user, name[1:]) if user else None
    if not user or not USER.fullmatch(name):
        return None
    return name == user
