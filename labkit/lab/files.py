"""The files that are written into a machine before it starts: configuration and keys."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from string import Template
from typing import TYPE_CHECKING

from labkit.cluster import Environment, Node
from labkit.cluster.syntax import placeholders
from labkit.lab.machine import FileSpec

if TYPE_CHECKING:
    from labkit.lab.pki import Authority

__all__ = [
    "PEM",
    "PLACEHOLDER",
    "RANDOM",
    "files_without_keys",
    "links_of",
    "machine_files",
    "new_value",
    "with_pem",
]

SYSTEMD = "/etc/systemd/system/"
WANTED_BY = re.compile(r"^WantedBy=(\S+)$", re.MULTILINE)
RANDOM = b"${RANDOM_BASE64_32}"
#: What a random value replaces: another one at each place, or with a name, as in
#: ``${RANDOM_BASE64_32:NAME}``, the same one wherever it stands on the machines of a lab.
PLACEHOLDER = re.compile(rb"\$\{RANDOM_BASE64_32(?::([a-z0-9-]+))?\}")
PEM = re.compile(placeholders.PEM.pattern.encode())


def machine_files(env: Environment, addresses: Mapping[str, str]) -> dict[str, list[FileSpec]]:
    r"""Return the files of every machine of a new lab, with new keys.

    Parameters
    ----------
    env : Environment
        The environment of the lab.
    addresses : mapping of str to str
        The IPv4 address of each machine, by name.

    Returns
    -------
    dict of str to list of FileSpec
        The files by the machine's name. Private keys have mode 0600 until a tmpfiles.d rule
        changes it.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("insecure")
    >>> files = machine_files(env, {node.name: "10.160.0.9" for node in env.nodes})
    >>> [file.data for file in files["etcd1"] if file.path == "/etc/labkit/node.env"]
    [b'NODE_IP=10.160.0.9\n']
    """
    from labkit.lab.pki import Authority  # only here: its library takes long to load

    authorities = {plan.name: Authority.create(plan.common_name) for plan in env.authorities}
    files = _authority_files(env, authorities)
    shared: dict[bytes, bytes] = {}
    for node in env.nodes:
        variables = {"NODE": node.name, "NODE_IP": addresses[node.name]}
        files[node.name] += _key_files(env, node, variables, authorities)
        keys = {file.path: file.data for file in files[node.name]}
        for file in files_without_keys(node, addresses[node.name], shared):
            data = with_pem(file.data, keys.__getitem__) if PEM.search(file.data) else file.data
            files[node.name].append(replace(file, data=data))
    return files


def with_pem(data: bytes, read: Callable[[str], bytes]) -> bytes:
    r"""Return a file's content with the keys and certificates that it names by ``${PEM:PATH}``.

    Each stands there as a string of JSON, which YAML and TOML read as well.

    Parameters
    ----------
    data : bytes
    read : callable
        Takes a path on the machine, and returns its content.

    Returns
    -------
    bytes

    Examples
    --------
    >>> with_pem(b"ca: ${PEM:/ca.crt}", lambda path: b"-----BEGIN ...\n")
    b'ca: "-----BEGIN ...\\n"'
    """

    def quoted(match: re.Match[bytes]) -> bytes:
        return json.dumps(read(match[1].decode()).decode()).encode()

    return PEM.sub(quoted, data)


def new_value() -> bytes:
    """Return a random value.

    Returns
    -------
    bytes
        32 bytes in base64.

    Examples
    --------
    >>> len(new_value()), new_value() == new_value()
    (44, False)
    """
    return base64.b64encode(secrets.token_bytes(32))


def files_without_keys(node: Node, address: str, shared: dict[bytes, bytes]) -> list[FileSpec]:
    """Return the files of one machine that hold no key and no certificate.

    Parameters
    ----------
    node : Node
        The machine.
    address : str
        Its IPv4 address.
    shared : dict of bytes to bytes
        The random values with a name, which other machines have as well; new ones are added.

    Returns
    -------
    list of FileSpec
    """

    def value(match: re.Match[bytes]) -> bytes:
        return shared.setdefault(match[1], new_value()) if match[1] else new_value()

    found = [FileSpec("/etc/labkit/node.env", f"NODE_IP={address}\n".encode())]
    for path, file in sorted(node.files.items()):
        data = PLACEHOLDER.sub(value, file.read_bytes())
        found += [FileSpec(path, data), *links_of(path, data)]
    return found


def links_of(path: str, data: bytes) -> list[FileSpec]:
    r"""Return the symbolic links that enable a unit, as ``systemctl enable`` would create them.

    Parameters
    ----------
    path : str
        The path of a file on a machine.
    data : bytes
        Its content.

    Returns
    -------
    list of FileSpec
        Empty if the file is not a unit, or has no ``WantedBy=``.

    Examples
    --------
    >>> unit = b"[Install]\nWantedBy=multi-user.target\n"
    >>> [link.path for link in links_of("/etc/systemd/system/etcd.service", unit)]
    ['/etc/systemd/system/multi-user.target.wants/etcd.service']
    """
    if not path.startswith(SYSTEMD) or path.count("/") != SYSTEMD.count("/"):
        return []
    unit = path.removeprefix(SYSTEMD)
    targets = WANTED_BY.findall(data.decode())
    return [FileSpec(f"{SYSTEMD}{target}.wants/{unit}", link=path) for target in targets]


def _authority_files(
    env: Environment, authorities: Mapping[str, Authority]
) -> dict[str, list[FileSpec]]:
    files: dict[str, list[FileSpec]] = {node.name: [] for node in env.nodes}
    for plan in env.authorities:
        authority = authorities[plan.name]
        for node in env.nodes:
            if node.role in plan.roles:
                files[node.name].append(FileSpec(plan.certificate, authority.certificate))
            if plan.key and node.name in plan.key_nodes:
                files[node.name].append(FileSpec(plan.key, authority.key, 0o600))
    for bundle in env.pki.bundles:
        pem = b"".join(authorities[name].certificate for name in bundle.authorities)
        for node in env.nodes:
            if node.role in bundle.roles:
                files[node.name].append(FileSpec(bundle.certificate, pem))
    return files


def _key_files(
    env: Environment, node: Node, variables: Mapping[str, str], authorities: Mapping[str, Authority]
) -> list[FileSpec]:
    from labkit.lab.pki import key_pair

    files = []
    for plan in env.certificates:
        if node.role in plan.roles or node.name in plan.nodes:
            leaf = authorities[plan.signed_by].issue(
                Template(plan.common_name).substitute(variables),
                organization=plan.organization,
                hosts=[Template(host).substitute(variables) for host in plan.hosts],
                usages=plan.usages,
            )
            files.append(FileSpec(plan.certificate, leaf.certificate))
            files.append(FileSpec(plan.key, leaf.key, 0o600))
    for pair in env.key_pairs:
        if node.role in pair.roles:
            public, private = key_pair()
            files.append(FileSpec(pair.public, public))
            files.append(FileSpec(pair.private, private, 0o600))
    return files
