"""Read the components' configuration files into settings by dotted key."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from labkit.cluster.known_keys import known_keys
from labkit.cluster.syntax.source import Setting, Source, Unknown, broken
from labkit.cluster.syntax.yamldoc import Document, as_text, read_one

__all__ = [
    "Settings",
    "read_containerd_config",
    "read_docker_config",
    "read_etcd_config",
    "read_kube_proxy_config",
    "read_kubelet_config",
    "read_scheduler_config",
]

Settings = list[tuple[str, Setting]]
NONE: frozenset[str] = frozenset()
MAX_PARTS = 200
#: The sections of etcd's file that have its settings of TLS, each with the prefix of its flags.
ETCD_SECTIONS = {"client-transport-security": "", "peer-transport-security": "peer-"}
#: The settings of TLS as flags, without this prefix.
ETCD_TLS = frozenset(
    [
        *("auto-tls", "cert-allowed-cn", "cert-allowed-hostname", "cert-file", "client-cert-auth"),
        *("client-cert-file", "client-key-file", "key-file", "trusted-ca-file"),
        "skip-client-san-verification",
    ]
)
CONTAINERD_GRPC = ("plugins", "io.containerd.server.v1.grpc")
#: The table of the port since version 4 of the file; its keys lack the prefix of those in [grpc].
CONTAINERD_TCP = "io.containerd.server.v1.grpc-tcp"
CONTAINERD_DEBUG = "io.containerd.server.v1.debug"
CONTAINERD_METRICS = "io.containerd.server.v1.metrics"


def _leaves(document: Document, *at: str | int) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    value = document.get(*at) if at else document.value
    if isinstance(value, dict) and value:
        for key in document.mapping(*at):
            yield from _leaves(document, *at, key)
    elif value is not None and not isinstance(value, dict):
        yield at, value


def _flat(document: Document) -> Settings:
    result: Settings = []
    for keys, value in _leaves(document):
        name = ".".join(map(str, keys))
        if isinstance(value, list):
            words = [as_text(item) for item in value if not isinstance(item, (dict, list))]
            source = Source(document.path, document.line(*keys), f"{name}: {','.join(words)}")
            result.append((name, Setting(",".join(words), source)))
        else:
            result.append((name, Setting(as_text(value), document.source(*keys))))
    return result


def _component(text: str, path: str, kind: str) -> tuple[Settings, Document]:
    document = read_one(text, path)
    if document.get("kind") != kind:
        found = document.get("kind", default="absent")
        raise broken(path, document.line("kind"), f"its kind is {found}, not {kind}")
    return _flat(document), document


def _strict(text: str, path: str, kind: str) -> tuple[Settings, list[Unknown]]:
    """Read a file of which all keys are known; check the keys below those that decide claims."""
    settings, document = _component(text, path, kind)
    known = known_keys(kind)
    why = f"labkit knows no such key of {kind}"
    unknowns = list(document.unknown_keys(known[()], why))
    for key in ("authentication", "authorization", "clientConnection"):
        unknowns += document.unknown_keys(known.get((key,), NONE), why, key)
        for name, inner in document.mapping(key).items():
            if isinstance(inner, dict):
                unknowns += document.unknown_keys(known.get((key, name), NONE), why, key, name)
    return settings, unknowns


def read_kubelet_config(text: str, path: str) -> tuple[Settings, list[Unknown]]:
    """Read a KubeletConfiguration.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    settings : list of (str, Setting)
    unknowns : list of Unknown

    Raises
    ------
    ConfigError
        The file is malformed, or of another kind.

    References
    ----------
    https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/

    Examples
    --------
    >>> text = "{kind: KubeletConfiguration, readOnlyPort: 10255}"
    >>> settings, _ = read_kubelet_config(text, "k.yaml")
    >>> dict(settings)["readOnlyPort"].source.text
    'readOnlyPort: 10255'
    """
    return _strict(text, path, "KubeletConfiguration")


def read_kube_proxy_config(text: str, path: str) -> tuple[Settings, list[Unknown]]:
    """Read a KubeProxyConfiguration.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    settings : list of (str, Setting)
    unknowns : list of Unknown

    Raises
    ------
    ConfigError
        The file is malformed, or of another kind.

    References
    ----------
    https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/

    Examples
    --------
    >>> settings, _ = read_kube_proxy_config(
    ...     "{kind: KubeProxyConfiguration, clientConnection: {kubeconfig: /k}}", "p.yaml")
    >>> dict(settings)["clientConnection.kubeconfig"].value
    '/k'
    """
    return _strict(text, path, "KubeProxyConfiguration")


def read_scheduler_config(text: str, path: str) -> tuple[Settings, list[Unknown]]:
    """Read a KubeSchedulerConfiguration; only its clientConnection matters to labkit.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    settings : list of (str, Setting)
    unknowns : list of Unknown
        Always empty.

    Raises
    ------
    ConfigError
        The file is malformed, or of another kind.

    References
    ----------
    https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/
    """
    settings, _ = _component(text, path, "KubeSchedulerConfiguration")
    return settings, []


def read_etcd_config(text: str, path: str) -> tuple[Settings, list[Unknown]]:
    """Read etcd's YAML file into the flags that its keys stand for.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    settings : list of (str, Setting)
    unknowns : list of Unknown
        The keys of TLS that stand where etcd ignores them.

    Raises
    ------
    ConfigError
        The file is malformed.

    References
    ----------
    https://etcd.io/docs/v3.6/op-guide/configuration/, server/embed/config.go (securityConfig)

    Examples
    --------
    >>> found, _ = read_etcd_config("peer-transport-security: {client-cert-auth: true}", "e.yaml")
    >>> dict(found)["peer-client-cert-auth"].value
    'true'
    """
    names = {"peer-allowed-cn": "peer-cert-allowed-cn"}
    names["peer-allowed-hostname"] = "peer-cert-allowed-hostname"
    result: Settings = []
    odd: list[Unknown] = []
    for name, setting in _flat(read_one(text, path)):
        section, _, key = name.rpartition(".")
        if section in ETCD_SECTIONS:
            flag = ETCD_SECTIONS[section] + key
            result.append((names.get(flag, flag), setting))
        elif name.removeprefix("peer-") in ETCD_TLS:
            why = "etcd ignores it here: it reads it below client- or peer-transport-security"
            odd.append(Unknown(path, setting.source.line, setting.source.text, why))
        else:
            result.append((name, setting))
    return result, odd


def read_docker_config(text: str, path: str) -> Settings:
    """Read dockerd's daemon.json into the flags that its keys stand for.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    list of (str, Setting)

    Raises
    ------
    ConfigError
        The file is malformed.

    References
    ----------
    https://docs.docker.com/reference/cli/dockerd/

    Examples
    --------
    >>> dict(read_docker_config('{"hosts": ["fd://"]}', "daemon.json"))["host"].value
    'fd://'
    """
    try:
        json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise broken(
            path, line, f"no valid JSON: {error}", f"python3 -m json.tool {path}"
        ) from error
    plural = {"hosts": "host", "authorization-plugins": "authorization-plugin"}
    # JSON allows tabs as white space, YAML does not; JSON's strings contain no tabs
    document = read_one(text.replace("\t", " ") or "{}", path)
    result: Settings = []
    for name, setting in _flat(document):
        if name in plural:
            for value in setting.value.split(","):
                source = Source(path, setting.source.line, f"{name}: {value}")
                result.append((plural[name], Setting(value, source)))
        else:
            result.append((name, setting))
    return result


def read_containerd_config(text: str, path: str) -> Settings:
    r"""Read the addresses of containerd, the owner of its socket and its imports from config.toml.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    list of (str, Setting)

    Raises
    ------
    ConfigError
        The file is malformed.

    References
    ----------
    https://github.com/containerd/containerd/blob/main/docs/man/containerd-config.toml.5.md

    Examples
    --------
    >>> dict(read_containerd_config("[grpc]\n  gid = 0\n", "config.toml"))["grpc.gid"].source.line
    2
    """
    value = _toml(text, path)
    plugins = value.get(CONTAINERD_GRPC[0], {})
    plugins = plugins if isinstance(plugins, dict) else {}
    result: Settings = []
    imports = value.get("imports", [])
    if not isinstance(imports, list):
        raise broken(path, None, "imports must be a list")
    for item in imports:
        source = Source(path, None, f"imports = {json.dumps(item, default=str)}")
        result.append(("imports", Setting(as_text(item), source)))
    for table, header, prefix in (
        (value.get("grpc", {}), "grpc", "grpc."),
        (plugins.get(CONTAINERD_GRPC[1], {}), CONTAINERD_GRPC[1], "grpc."),
        (plugins.get(CONTAINERD_TCP, {}), CONTAINERD_TCP, "grpc.tcp_"),
        (value.get("debug", {}), "debug", "debug."),
        (plugins.get(CONTAINERD_DEBUG, {}), CONTAINERD_DEBUG, "debug."),
        (value.get("metrics", {}), "metrics", "metrics."),
        (plugins.get(CONTAINERD_METRICS, {}), CONTAINERD_METRICS, "metrics."),
    ):
        if not isinstance(table, dict):
            raise broken(path, None, f"{header} must be a table")
        for key, item in table.items():
            if not isinstance(item, (dict, list)):
                line = _toml_line(text, header, key)
                source = Source(path, line, f"{key} = {json.dumps(item, default=str)}")
                result.append((f"{prefix}{key}", Setting(as_text(item), source)))
    return result


def _toml(text: str, path: str) -> dict[str, Any]:
    """Return the values of a TOML text, in bounded time."""
    for number, words in enumerate(text.splitlines(), start=1):
        # tomllib takes time that grows with the square of a key's parts
        if words.count(".") > MAX_PARTS and not words.lstrip().startswith("#"):
            raise broken(path, number, f"a line with more than {MAX_PARTS} dots")
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        match = re.search(r"line (\d+)", str(error))
        line = int(match[1]) if match else None
        raise broken(path, line, f"no valid TOML: {error}") from error


#: The settings of Canaille that labkit reads: their table and key, and the name of the setting.
CANAILLE = (
    ("", "SERVER_NAME", "server-name"),
    ("", "PREFERRED_URL_SCHEME", "preferred-url-scheme"),
    ("CANAILLE", "ENABLE_REGISTRATION", "enable-registration"),
    ("OAUTH2_TOKEN_EXPIRES_IN", "authorization_code", "access-token-expires-in"),
    ("CANAILLE_HYPERCORN", "BIND", "bind"),
    ("CANAILLE_HYPERCORN", "INSECURE_BIND", "insecure-bind"),
    ("CANAILLE_HYPERCORN", "CERTFILE", "certfile"),
    ("CANAILLE_HYPERCORN", "KEYFILE", "keyfile"),
)


def read_canaille_config(text: str, path: str) -> Settings:
    r"""Read where Canaille listens, its name, and what every account of it may do.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    list of (str, Setting)
        The permissions are those of the access controls without a filter, which count for every
        account.

    Raises
    ------
    ConfigError
        The file is malformed.

    References
    ----------
    https://canaille.readthedocs.io/en/latest/references/configuration.html

    Examples
    --------
    >>> found = dict(read_canaille_config('[CANAILLE_HYPERCORN]\nBIND = ["0.0.0.0:443"]', "c.toml"))
    >>> found["bind"].value, found["bind"].source.line
    ('0.0.0.0:443', 2)
    """
    value = _toml(text, path)
    found: Settings = []
    for table, key, name in CANAILLE:
        inside = value.get(table, {}) if table else value
        if not isinstance(inside, dict):  # a name that Python imports, for authlib's settings
            inside = {key: inside}
        if key in inside:
            item = inside[key]
            line = _toml_line(text, table, key) if table else _top_line(text, key)
            source = Source(path, line, f"{key} = {json.dumps(item, default=str)}")
            found += [
                (name, Setting(as_text(it), source))
                for it in (item if isinstance(item, list) else [item])
            ]
    core = value.get("CANAILLE", {})
    acl = core.get("ACL") if isinstance(core, dict) else None
    if isinstance(acl, dict):
        for name, entry in acl.items():
            if not isinstance(entry, dict) or entry.get("FILTER") is not None:
                continue
            given = entry.get("PERMISSIONS")
            if isinstance(given, list):
                line = _toml_line(text, name, "PERMISSIONS")
                source = Source(path, line, f"PERMISSIONS = {json.dumps(given, default=str)}")
                found += [("permissions", Setting(as_text(it), source)) for it in given]
    return found


def _top_line(text: str, key: str) -> int | None:
    """Return the line of a key before the first table."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("["):
            break
        if re.match(rf"{re.escape(key)}\s*=", line.strip()):
            return number
    return None


def _toml_line(text: str, table: str, key: str) -> int | None:
    """Return the line of a key, which tomllib does not keep."""
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("["):
            inside = table in stripped.strip("[] ").replace("'", "").replace('"', "").split(
                "."
            ) or (stripped.strip("[] ").replace('"', "").replace("'", "").endswith(table))
        elif inside and re.match(rf"[\"']?{re.escape(key)}[\"']?\s*=", stripped):
            return number
    return None
