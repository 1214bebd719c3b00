"""Read which files of a machine hold a key for the cluster's cloud: cloud.conf, azure.json ...

https://cloud-provider-azure.sigs.k8s.io/install/configs/,
https://github.com/kubernetes/cloud-provider-openstack and the pages of the other providers
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Iterator, Mapping

from labkit.cluster.facts import CloudKey, Component, File, Node
from labkit.cluster.syntax.source import Setting, Source, Unknown
from labkit.cluster.syntax.yamldoc import as_text, read_one
from labkit.errors import ConfigError

__all__ = ["read_cloud_keys"]

#: The flag that names the file of a cloud provider, of whichever component has one.
FLAG = "cloud-config"
#: Where such files are, named by a flag or not.
USUAL = (
    *(f"/etc/kubernetes/{it}" for it in ("azure.json", "cloud-config", "cloud-credentials")),
    *(f"/etc/kubernetes/{it}" for it in ("cloud.conf", "cloud-config.conf", "cloud_config")),
)
#: The file of AWS's programs in a home directory.
OF_AWS = "/.aws/credentials"
#: Names of what must stay secret, without case, "-" and "_": AWS, Azure, OpenStack, vSphere.
SECRETS = frozenset(
    [
        *("awssecretaccesskey", "secretaccesskey", "aadclientsecret", "aadclientcertpassword"),
        *("applicationcredentialsecret", "password", "secretkey", "privatekey", "apitoken"),
    ]
)
#: Names of the user beside it.
USERS = frozenset(
    ["awsaccesskeyid", "aadclientid", "applicationcredentialid", "username", "user", "userid"]
)
#: A part of a key's name, where a provider has another name for it; and the ends of names that
#: stand for a file, an object in the cluster or a switch.
PERHAPS = re.compile(r"secret|passw|token|key|credential|cert|auth")
NO_KEY = re.compile(
    r"(path|file|files|dir|name|names|namespace|id|url|mode|type|size|length|ttl|timeout|seconds)$"
)
#: A value that holds a key, and a value that is no key, whatever its name. A number may be a
#: password, and a key in base64 may begin with a slash.
KEY_VALUE = re.compile(r"PRIVATE KEY-----|\w://[^/\s@]*:[^/\s@]+@")
PLAIN_VALUE = re.compile(
    r"|true|false|https?://\S*|-----BEGIN CERTIFICATE-----.*", re.IGNORECASE | re.DOTALL
)
#: Bytes of the largest file of this kind.
MOST = 1_000_000


def read_cloud_keys(
    nodes: Iterable[Node], components: Iterable[Component], unknowns: list[Unknown]
) -> tuple[CloudKey, ...]:
    """Return the files of machines that hold keys for a cloud.

    Parameters
    ----------
    nodes : iterable of Node
    components : iterable of Component
        Their flags name such files.
    unknowns : list of Unknown
        Takes the files that are named and are not there, or have a form that labkit does not read.

    Returns
    -------
    tuple of CloudKey

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("cloud-insecure")
    >>> [(it.node, it.path) for it in read_cloud_keys(env.nodes, env.components, [])]
    [('master', '/etc/kubernetes/cloud-credentials')]
    """
    named: dict[str, dict[str, Setting]] = {}
    for it in components:
        setting = it.given(FLAG)
        if setting and setting.value:
            named.setdefault(it.node, {})[setting.value] = setting
    found: list[CloudKey] = []
    for node in nodes:
        flags = named.get(node.name, {})
        of_aws = (path for path in sorted(node.files) if path.endswith(OF_AWS))
        for path in dict.fromkeys((*flags, *USUAL, *of_aws)):
            file = node.files.get(path)
            if file is not None:
                found += _keys(node.name, path, file, unknowns)
            elif path in flags:
                source = flags[path].source
                why = f"not among {node.name}'s files: whether it holds a key is not known"
                unknowns.append(Unknown(source.path, source.line, source.text, why))
    return tuple(found)


def _keys(node: str, path: str, file: File, unknowns: list[Unknown]) -> Iterator[CloudKey]:
    read: list[tuple[str, str]] | None = None
    text = ""
    try:
        text = file.read_text()
        read = _settings(text, file.source) if len(text) < MOST else None
    except ConfigError:
        read = None
    if read is None:
        why = "labkit does not read its form: whether it holds a key is not known"
        unknowns.append(Unknown(file.source, None, path, why))
        return
    secret = next((key for key, value in read if _plain(key) in SECRETS and value), "")
    if secret:
        user = next((value for key, value in read if _plain(key) in USERS and value), "")
        yield CloudKey(node, path, user, Source(file.source, _line(text, secret), secret))
        return
    why = "labkit does not know this name: whether it is a key for a cloud is not known"
    for name in dict.fromkeys(key for key, value in read if _may_be_key(_plain(key), value)):
        unknowns.append(Unknown(file.source, _line(text, name), name, why))


def _may_be_key(name: str, value: str) -> bool:
    """Say whether a name that labkit does not know may stand for a key."""
    if KEY_VALUE.search(value):
        return True
    named = PERHAPS.search(name) and not NO_KEY.search(name) and name not in USERS
    return bool(named) and not PLAIN_VALUE.fullmatch(value)


def _plain(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).lower()


def _line(text: str, name: str) -> int | None:
    """Return the line that sets a name."""
    sets = re.compile(rf"^\s*[\"']?{re.escape(name)}[\"']?\s*[=:]", re.IGNORECASE)
    lines = enumerate(text.splitlines(), start=1)
    return next((number for number, line in lines if sets.match(line)), None)


def _settings(text: str, path: str) -> list[tuple[str, str]] | None:
    """Return the names and values of a file with sections, or of JSON or YAML; None for others."""
    if re.search(r"^\s*\[[^\]]+\]\s*$", text, re.MULTILINE):
        # gcfg, the form of cloud.conf, allows names without values, and a name more than once
        parser = configparser.RawConfigParser(
            strict=False, allow_no_value=True, comment_prefixes=("#", ";")
        )
        try:
            parser.read_string(text)
        except configparser.Error:
            return None
        return [
            (key, (value or "").strip().strip('"'))
            for section in parser.sections()
            for key, value in parser.items(section)
        ]
    value = read_one(text, path).value
    return list(_scalars(value)) if isinstance(value, Mapping) else None


def _scalars(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the scalars of JSON or YAML with the innermost name above each."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _scalars(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _scalars(inner, name)
    elif value is not None:
        yield name, as_text(value)
