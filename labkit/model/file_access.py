"""Whether an ordinary user of a machine can read a file there, folders on the way included."""

from __future__ import annotations

from pathlib import PurePosixPath

from labkit.cluster.accounts import permission_of
from labkit.cluster.facts import Environment, Node
from labkit.cluster.syntax.source import Source
from labkit.model.claims import Claim

__all__ = ["anybody_reads", "readable"]

#: What a file or folder has that no line of tmpfiles.d speaks of.
FILE, FOLDER, KEY = "0644", "0755", "0600"
READ, ENTER = 4, 1


def readable(env: Environment, node: Node, path: str, user: str) -> Claim:
    """Say whether a user who is not root can read a file of a machine.

    Parameters
    ----------
    env : Environment
    node : Node
    path : str
    user : str

    Returns
    -------
    Claim
        Its value is "readable" or "file-mode".

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> print(readable(env, env.node("master"), "/etc/kubernetes/pki/ca.key", "alice").detail)
    /etc/kubernetes/pki is 0700 root root
    """
    here = PurePosixPath(path)
    claim = None
    for step in (*reversed(here.parents), here):
        is_file = step == here
        claim = _step(env, node, str(step), user, is_file)
        if claim.value != "readable":
            return claim
    assert claim is not None
    return claim


def anybody_reads(env: Environment, role: str, *paths: str) -> bool:
    """Say whether an ordinary user of some machine of a role can read all of some files."""
    return any(
        all(readable(env, node, path, account.name).value == "readable" for path in paths)
        for node in env.nodes
        if node.role == role
        for account in node.accounts
    )


def _step(env: Environment, node: Node, path: str, user: str, is_file: bool) -> Claim:
    rule = permission_of(path, node.permissions)
    mode = _default(env, path) if is_file else FOLDER
    owner = group = "root"
    absent = f"no line of tmpfiles.d for {path}"
    source = rule.source if rule else Source(f"{node.role}/etc/tmpfiles.d", None, absent, True)
    if rule:
        mode, owner, group = rule.mode or mode, rule.user or owner, rule.group or group
    bits = int(mode, 8) >> _shift(node, user, owner, group)
    word = "readable" if bits & (READ if is_file else ENTER) else "file-mode"
    return Claim(word, f"{path} is {mode} {owner} {group}", source)


def _default(env: Environment, path: str) -> str:
    """Return the mode with which a file is written: private keys are their owner's only."""
    keys = {item.key for item in env.authorities} | {item.key for item in env.certificates}
    return KEY if path in keys | {item.private for item in env.key_pairs} else FILE


def _shift(node: Node, user: str, owner: str, group: str) -> int:
    """Return how far the bits that count for a user are from the lowest."""
    if user == owner:
        return 6
    groups = {item.name for item in node.groups if item.member == user} | {user}
    return 3 if group in groups else 0
