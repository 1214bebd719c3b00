"""A lab whose environment is read back from its machines, as people edited them by hand."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property

from labkit import agents
from labkit.cluster import Environment, Node, read_environment
from labkit.cluster.accounts import Permission
from labkit.cluster.edits import NEW_FILE, Whole
from labkit.cluster.syntax.source import Source
from labkit.lab import Lab
from labkit.lab.change import RANDOM_VALUE
from labkit.lab.files import PEM, PLACEHOLDER, RANDOM
from labkit.lab.fingerprint import Fingerprint
from labkit.workshop.opened import A_FOLDER, file_states

__all__ = ["EditedLab", "by_machine", "by_path", "hand_edits", "with_modes"]

#: A machine's own certificate and key in a kubeconfig: those of its peers are others.
OWN_VALUE = re.compile(r"(client-(?:certificate|key)-data:)[ \t]*\S+")
#: A certificate or key in a kubeconfig, whosever it is.
INLINE = re.compile(
    r"(?P<name>client-(?:certificate|key))-data:[ \t]*([\"']?)(?P<value>[A-Za-z0-9+/=]+)\2"
)
KEY_DATA = "client-key-data"
#: An absolute path in a file, and the paths that are no configuration.
NAMED = re.compile(r"(?<![\w./:])/[\w.@-]+(?:/[\w.@-]+)+")
NO_CONFIGURATION = re.compile(
    r"^/(usr|bin|sbin|lib|proc|sys|dev|run|var/run|var/lib|tmp)/|/pki/|\.(crt|key|pem|sock)$"
)
#: The bits of a mode that say what an access control list gives at most (acl(5)).
MASK = 0o070
#: A key or a certificate as the lab writes it into a file: a string of JSON.
PEM_VALUE = re.compile(rb'"-----BEGIN [^"]*"')


class EditedLab(Lab):
    """A lab whose environment has the present files of its machines.

    So a technique or a verification knows the ports, certificates and policies that somebody set by
    hand. It has the parameters of :class:`~labkit.lab.Lab`.

    Attributes
    ----------
    uneven : tuple of str
        One line for each file that was changed on some machines of a role and not on the others.
    by_hand : tuple of Whole
        What was changed by hand, file by file.
    with_keys : tuple of (str, str)
        The machine and the path of each file in which somebody put a private key, as a kubeconfig
        may have it.
    """

    uneven: tuple[str, ...] = ()
    by_hand: tuple[Whole, ...] = ()
    with_keys: tuple[tuple[str, str], ...] = ()

    @cached_property
    def environment(self) -> Environment:
        """The environment as the files of the machines say it.

        Raises
        ------
        ConfigError
            A file cannot be understood.
        """
        known: Environment = super().environment
        nodes = {node.name: node for node in known.nodes if node.name in self.cluster}
        with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
            texts = dict(zip(nodes, pool.map(self._files, nodes.values()), strict=True))
            found = dict(
                zip(nodes, pool.map(self._by_path, nodes.values(), texts.values()), strict=True)
            )
        self.with_keys = tuple(
            (name, path)
            for name, node in nodes.items()
            for path, text in texts[name].items()
            if KEY_DATA in text and KEY_DATA not in (_written(node, path) or "")
        )
        self.by_hand, self.uneven = hand_edits(nodes, found)
        if not self.by_hand:
            return known
        read = read_environment(known.folder, (*known.edits, *self.by_hand))
        # a person may write an address, which the kit's own files never do
        addresses = {name: (address,) for name, address in self.addresses.items()}
        named = [replace(it, names=(*it.names, *addresses.get(it.name, ()))) for it in read.nodes]
        return replace(read, nodes=tuple(named))

    def by_machine(self, text: str) -> str:
        """Return a text in which files are named as they are on the lab's machines.

        Parameters
        ----------
        text : str

        Returns
        -------
        str
        """
        return by_machine(self._plain, text)

    @property
    def cluster(self) -> tuple[str, ...]:
        """The names of the cluster's machines: all but the attacker's."""
        return tuple(node.name for node in self._plain.nodes if node.role != "attacker")

    def _files(self, node: Node) -> dict[str, str]:
        files = self._read_files(node.name, sorted(node.files))
        if more := named_files(node, files):
            files = self._read_files(node.name, sorted({*node.files, *more}))
        return files

    def _by_path(self, node: Node, files: dict[str, str]) -> dict[str, str]:
        if not any(INLINE.search(text) for text in files.values()):
            return files
        own = self._own_pems(node)
        return {path: by_path(text, own) for path, text in files.items()}

    def _read_files(self, machine: str, paths: Sequence[str]) -> dict[str, str]:
        output = self.exec(machine, agents.argv("configuration"), stdin=json.dumps(paths).encode())
        files: dict[str, str] = json.loads(output.stdout)
        return files

    def _own_pems(self, node: Node) -> dict[bytes, str]:
        """Return the paths of the planned certificates and keys of a machine, by their content."""
        held = [it for it in super().environment.credentials if it.node == node.name]
        paths = sorted({path for it in held for path in (it.certificate, it.key) if path})
        found = ((path, self._read(node.name, path)) for path in paths)
        return {pem: path for path, pem in found if pem}

    def _read(self, machine: str, path: str) -> bytes:
        return self.exec(machine, ["cat", path], check=False).stdout.strip()


def named_files(node: Node, files: Mapping[str, str]) -> set[str]:
    """Return the files that people named in a configuration file, wherever they are.

    Parameters
    ----------
    node : Node
        The machine, with the files that it came up with.
    files : mapping of str to str
        The present text of each configuration file, by its path.

    Returns
    -------
    set of str
        Paths that the files did not name before: without keys, certificates, programs, and what
        is in the machine's memory.

    Examples
    --------
    >>> node = read_environment("insecure").node("master")
    >>> path = "/etc/systemd/system/kube-apiserver.service"
    >>> text = node.files[path].read_text()
    >>> sorted(named_files(node, {path: f"{text} --token-auth-file=/srv/tokens.csv"}))
    ['/srv/tokens.csv']
    """
    found: set[str] = set()
    for path, text in files.items():
        before = _written(node, path) or ""
        if text != before:
            found |= set(NAMED.findall(text)) - set(NAMED.findall(before))
    return {it for it in found - set(files) if not NO_CONFIGURATION.search(it)}


def by_path(text: str, own: Mapping[bytes, str]) -> str:
    r"""Return a kubeconfig with the machine's own certificate and key named by their paths.

    They may stand in it, as kubeadm writes them. The lab knows what it gave to each machine by
    its file.

    Parameters
    ----------
    text : str
    own : mapping of bytes to str
        The path of each PEM file, by its content without white space around it.

    Returns
    -------
    str
        What is of no such file stays as it is.

    Examples
    --------
    >>> by_path("client-key-data: cGVt", {b"pem": "/etc/kubernetes/pki/admin.key"})
    'client-key: /etc/kubernetes/pki/admin.key'
    """

    def named(found: re.Match[str]) -> str:
        try:
            path = own.get(base64.b64decode(found["value"], validate=True).strip())
        except ValueError:
            path = None
        return f"{found['name']}: {path}" if path else found[0]

    return INLINE.sub(named, text)


def by_machine(env: Environment, text: str) -> str:
    """Return a text in which files are named as they are on their machines, and not in the kit.

    Parameters
    ----------
    env : Environment
        As it was before somebody edited its machines.
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> env = read_environment("oidc-insecure")
    >>> by_machine(env, "see edits/master/etc/kubernetes/authn.yaml:3")
    'see /etc/kubernetes/authn.yaml:3'
    """
    places = {file.source: path for node in env.nodes for path, file in node.files.items()}
    places |= {f"{NEW_FILE}{node.role}/": "/" for node in env.nodes}
    names = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
    return re.sub(rf"(?<![\w./-])(?:{names})", lambda found: places[found[0]], text)


def hand_edits(
    nodes: Mapping[str, Node], found: Mapping[str, Mapping[str, str]]
) -> tuple[tuple[Whole, ...], tuple[str, ...]]:
    """Return what people edited by hand, as edits.

    Parameters
    ----------
    nodes : mapping of str to Node
        The machines by name, with the files that they came up with.
    found : mapping of str to mapping of str to str
        The present files of each machine, by the machine's name and their path.

    Returns
    -------
    edits : tuple of Whole
        Machines of a role share their files; where they differ, the first changed one counts.
    uneven : tuple of str
        One line for each file that not all machines of a role have in the same version.
    """
    edits, uneven = [], []
    for role in dict.fromkeys(node.role for node in nodes.values()):
        peers = [node for node in nodes.values() if node.role == role]
        paths = sorted({path for it in peers for path in (*it.files, *found[it.name])})
        for path in paths:
            before = _written(peers[0], path)
            now = {it.name: _plain(found[it.name].get(path), before) for it in peers}
            changed = [name for name, text in now.items() if text != before]
            if not changed:
                continue
            edits.append(Whole(role, path, now[changed[0]]))
            alike = {name: text and OWN_VALUE.sub(r"\1", text) for name, text in now.items()}
            if len(set(alike.values())) > 1:
                rest = [name for name in now if alike[name] != alike[changed[0]]]
                uneven.append(f"{path} of {_names(rest)} is not that of {changed[0]}")
    return tuple(edits), tuple(uneven)


def with_modes(
    env: Environment, before: Fingerprint, after: Fingerprint
) -> tuple[Environment, tuple[str, ...]]:
    """Return an environment with the modes and owners that people set by hand on its machines.

    They last, as long as no line of tmpfiles.d says otherwise: those count more.

    Parameters
    ----------
    env : Environment
    before, after : dict
        Fingerprints of the machines: as they came up, and now.

    Returns
    -------
    env : Environment
        The same one if no mode and no owner was changed.
    uneven : tuple of str
        One line for each path that machines of a role came up with, and have in other modes now.

    Examples
    --------
    >>> def state(mode):
    ...     return {"master": {"files": {"/etc/kubernetes": f"{mode} 0:0 folder"}}}
    >>> env, uneven = with_modes(read_environment("insecure"), state("0755"), state("0700"))
    >>> env.node("master").permissions[0].mode, uneven
    ('0700', ())
    """
    changed = {node.name: _modes_by_hand(node.name, before, after) for node in env.nodes}
    if not any(changed.values()):
        return env, ()
    nodes, uneven = [], []
    for node in env.nodes:
        peers = [it.name for it in env.nodes if it.role == node.role]
        for path, mode in changed[node.name].items():
            rest = [it for it in peers if changed[it].get(path) != mode]
            if rest and path in file_states(before, node.name):
                uneven.append(f"the mode of {path} on {_names(rest)} is not that on {node.name}")
        lines = tuple(changed[node.name].values())
        nodes.append(replace(node, permissions=(*lines, *node.permissions)))
    return replace(env, nodes=tuple(nodes)), tuple(uneven)


def _modes_by_hand(machine: str, before: Fingerprint, after: Fingerprint) -> dict[str, Permission]:
    """Return the modes and owners that are not those with which a machine came up, by path."""
    old, found = file_states(before, machine), {}
    for path, now in file_states(after, machine).items():
        was = old.get(path)
        if was and (was.mode, was.user, was.group) == (now.mode, now.user, now.group):
            continue
        if now.rights and now.mode & MASK:
            continue  # a list gives somebody more than the mode says
        kind, mode = "d" if now.content == A_FOLDER else "f", f"{now.mode:04o}"
        words = (str(now.user), str(now.group))
        source = Source(path, None, f"{mode} {':'.join(words)}, set by hand")
        found[path] = Permission(kind, path, mode, *words, source)
    return found


def _names(names: Sequence[str]) -> str:
    return " and ".join(names)


def _written(node: Node, path: str) -> str | None:
    """Return the text with which a machine came up, or None if the file is new."""
    return node.files[path].read_text() if path in node.files else None


def _plain(text: str | None, before: str | None) -> str | None:
    """Return a file's text, with placeholders where the lab wrote keys and random values."""
    if text is None or before is None:
        return text
    # keys first: a part of one may look like a random value
    data = _as_written(text.encode(), PEM_VALUE, [it[0] for it in PEM.finditer(before.encode())])
    written = [it[0] for it in PLACEHOLDER.finditer(before.encode())]
    return _as_written(data, RANDOM_VALUE, written, RANDOM).decode()


def _as_written(
    data: bytes, value: re.Pattern[bytes], written: Sequence[bytes], other: bytes = b""
) -> bytes:
    """Return data with a placeholder for each value in turn; without any, it stays as it is."""
    if not written:
        return data
    left = iter(written)
    return value.sub(lambda found: next(left, other or found[0]), data)
