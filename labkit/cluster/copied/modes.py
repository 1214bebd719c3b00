r"""Read modes, owners and accounts of a machine, where a person listed them beside its files.

Copied files have the modes of the copy. ``modes.txt`` in the folder of a machine has those of the
machine, one file a line with tabs between its words: type, mode, user, group, path, target of a
link, as ``find -printf '%y\t%m\t%u\t%g\t%p\t%l\n'`` prints them. ``etc/passwd`` and
``etc/group`` say who is in which group.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace

from labkit.cluster.accounts import Group, Permission, UserAccount
from labkit.cluster.facts import File, Node
from labkit.cluster.syntax.source import Source, Unknown, trying

__all__ = ["MODES", "OPENS", "with_permissions"]

MODES, PASSWD, GROUP = "/modes.txt", "/etc/passwd", "/etc/group"
#: The files in which etcd keeps everything, wherever its folder is.
ETCD = re.compile(r"/member/snap(/db)?$|/wal$")
#: Where keys and kubeconfigs are that people do not copy.
OF_THE_CLUSTER = ("/etc/etcd", "/etc/kubernetes", "/etc/rancher", "/var/lib/etcd")
#: Where root reads or runs what is there: a line counts if others than root may write it.
OF_ROOT = re.compile(
    r"/(etc|usr|bin|sbin|lib|lib64|boot|root|opt/bin|opt/cni|run/systemd|var/spool/cron|var/snap"
    r"|var/lib/(kubelet|rancher|k0s|containerd|docker|cloud))(/|$)"
)
#: Files that open a cluster, wherever they are: kubeconfigs, keys, copies of etcd's data.
OPENS = re.compile(
    r"/\.kube/config$|kubeconfig|/etc/kubernetes/[^/]*\.conf[^/]*$|/(k3s|rke2)\.yaml$|/pki/.*\.key$"
    r"|/(ca|sa)\.key$|/[^/]*(etcd|snapshot)[^/]*\.(db|gz|tgz|tar)$"
)
#: The types of lines of tmpfiles.d that say of one path what it is; a socket's is a file's.
KINDS = {"f": "f", "s": "f", "d": "d", "l": "L"}
#: passwd(5) and group(5): the number of words of a line.
PASSWD_WORDS, GROUP_WORDS, MODES_WORDS = 7, 4, 6


def with_permissions(node: Node, unknowns: list[Unknown]) -> Node:
    """Return a copied machine with what is listed of its files' modes and of its accounts.

    Parameters
    ----------
    node : Node
    unknowns : list of Unknown
        Takes the lines that are not understood.

    Returns
    -------
    Node
        The same one if nothing is listed. Accounts need both of their files, and every line of
        them understood.

    Examples
    --------
    >>> node = Node("cp1", "worker", "workers", 0, "", {})
    >>> with_permissions(node, []) is node
    True
    """
    if file := node.files.get(MODES):
        with trying(unknowns):
            listed = tuple(_modes(file, node, unknowns))
            node = replace(node, permissions=(*node.permissions, *listed))
    passwd, group = node.files.get(PASSWD), node.files.get(GROUP)
    if passwd and group:
        with trying(unknowns):
            odd: list[Unknown] = []
            accounts, groups = tuple(_accounts(passwd, odd)), tuple(_groups(group, odd))
            unknowns += odd
            # a line that is not understood may be of any account, and of any group
            if not odd:
                node = replace(node, accounts=accounts, groups=groups)
    return node


def _lines(file: File) -> Iterator[tuple[str, Source]]:
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            yield line, Source(file.source, number, line)


def _modes(file: File, node: Node, unknowns: list[Unknown]) -> Iterator[Permission]:
    """Yield what is listed of the machine's files, of sockets and etcd's data, and of folders.

    Of files that were not copied, those that open a cluster count as well, and those by which
    others than root may become root.
    """
    found = {it.path: (it, kind) for it, kind in _listed(file, unknowns)}
    waiting = [*node.files]
    waiting += [path for path, (_, kind) in found.items() if kind == "s" or ETCD.search(path)]
    waiting += [path for path, (it, kind) in found.items() if kind != "l" and _matters(it)]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if path != "/":
            waiting.append(posixpath.dirname(path))
        if path in found:
            it, kind = found[path]
            if kind == "l":
                waiting.append(posixpath.normpath(posixpath.join(path, "..", it.target)))
            yield it


def _matters(it: Permission) -> bool:
    if it.path.startswith(OF_THE_CLUSTER):
        return True
    for_others = bool(int(it.mode, 8) & 0o066) or it.user not in ("root", "0")
    return for_others and bool(OF_ROOT.match(it.path) or OPENS.search(it.path))


def _listed(file: File, unknowns: list[Unknown]) -> Iterator[tuple[Permission, str]]:
    for line, source in _lines(file):
        words = (line.split("\t") + [""] * MODES_WORDS)[:MODES_WORDS]
        kind, mode, user, group, path, target = words
        if not re.fullmatch("[0-7]{1,4}", mode) or not path.startswith("/"):
            why = "expected TYPE, MODE, USER, GROUP and /PATH with tabs between them"
            unknowns.append(Unknown(file.source, source.line, line, why))
        elif kind in KINDS:
            prefix, octal = "+" if kind == "l" else "", mode.rjust(4, "0")
            one = Permission(KINDS[kind], path, octal, user, group, source, prefix, target)
            yield one, kind


def _accounts(file: File, unknowns: list[Unknown]) -> Iterator[UserAccount]:
    for line, source in _lines(file):
        words = line.split(":")
        if len(words) != PASSWD_WORDS or not (words[2].isdigit() and words[3].isdigit()):
            unknowns.append(Unknown(file.source, source.line, line, "not a line of passwd(5)"))
            continue
        name, _, uid, gid, _, home, shell = words
        yield UserAccount(name, f"{uid}:{gid}", home, shell, source)


def _groups(file: File, unknowns: list[Unknown]) -> Iterator[Group]:
    for line, source in _lines(file):
        words = line.split(":")
        if len(words) != GROUP_WORDS or not words[2].isdigit():
            unknowns.append(Unknown(file.source, source.line, line, "not a line of group(5)"))
            continue
        name, _, gid, members = words
        yield Group(name, "", source, gid)
        for member in filter(None, members.split(",")):
            yield Group(name, member, source, gid)
