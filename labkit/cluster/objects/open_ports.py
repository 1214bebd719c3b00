"""Ports of a control plane's pods on which nobody is asked for a credential, by their flags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.cluster.defaults import DEFAULTS, ENVIRONMENT_PREFIXES
from labkit.cluster.launch import Launch
from labkit.cluster.objects.apiservers import started, variables
from labkit.cluster.syntax.flags import parse_flags
from labkit.cluster.syntax.plain_yaml import plain_documents
from labkit.cluster.syntax.source import bool_of
from labkit.cluster.syntax.urls import is_loopback
from labkit.cluster.syntax.values import at, sequence
from labkit.cluster.versions import version_in_tag

__all__ = ["ETCD", "OF_KUBELETS", "OpenPort", "flags_of", "open_kubelets", "open_ports"]

ETCD, APISERVER, OF_KUBELETS = "etcd", "kube-apiserver", "kubelet"
#: The first version that starts with no other insecure port than 0.
LOCKED_INSECURE_PORT = (1, 20)


@dataclass(frozen=True, slots=True)
class OpenPort:
    """A port of a control plane's component that serves everybody who calls it.

    Attributes
    ----------
    kind : str
        "etcd", "kube-apiserver" or "kubelet".
    said : str
        The flag that says it.
    local : bool
        It is on loopback: only what runs in the network of the node calls it.
    unknown : str
        What has to be found out, if it is not known to be open.
    """

    kind: str
    said: str
    local: bool = False
    unknown: str = ""


def open_ports(spec: Mapping[str, Any]) -> Iterator[OpenPort]:
    """Yield the ports of a pod of the control plane on which nobody is asked for a credential.

    Parameters
    ----------
    spec : mapping
        As the API has it.

    Yields
    ------
    OpenPort

    Raises
    ------
    ValueError
        The specification is malformed.

    References
    ----------
    https://etcd.io/docs/v3.6/op-guide/security/; pkg/kubeapiserver/options/serving.go of
    Kubernetes 1.19

    Examples
    --------
    >>> command = ["etcd", "--listen-client-urls=http://0.0.0.0:2379"]
    >>> [it.said for it in open_ports({"containers": [{"image": "etcd:3.6", "command": command}]})]
    ['--listen-client-urls=http://0.0.0.0:2379']
    """
    for container in sequence(spec, "containers"):
        image, kind, found, _ = started(container)
        if kind not in (ETCD, APISERVER):
            continue
        flags = flags_of(container, kind, found)
        if kind == ETCD and (found is None or not found.complete or "config-file" in flags):
            unknown = "whether etcd asks its callers for a certificate: its flags were not read"
            yield OpenPort(kind, image, unknown=unknown)
        elif kind == ETCD:
            yield from _of_etcd(flags)
        else:
            version = version_in_tag(image)
            old = version < LOCKED_INSECURE_PORT if version else None
            if old and (found is None or not found.complete):
                old = None
                flags.setdefault("insecure-port", "8080")
            yield from _of_apiserver(flags, old=old)


def open_kubelets(text: str, name: str) -> Iterator[OpenPort]:
    """Yield the port of all kubelets if their common configuration lets everybody do everything.

    Parameters
    ----------
    text : str
        A KubeletConfiguration, as kubeadm keeps it in a ConfigMap for nodes that join.
    name : str
        The ConfigMap.

    Yields
    ------
    OpenPort
        Each node has a copy, which may differ.

    Raises
    ------
    ConfigError
        The text is not valid YAML.

    Examples
    --------
    >>> config = {"authentication": {"anonymous": {"enabled": True}}}
    >>> config["authorization"] = {"mode": "AlwaysAllow"}
    >>> [it.said for it in open_kubelets(str(config), "kubelet-config")]
    ['anonymous callers, AlwaysAllow']
    """
    for document in plain_documents(text, name):
        anonymous = at(document, "authentication", "anonymous", "enabled")
        if anonymous is True and at(document, "authorization", "mode") == "AlwaysAllow":
            unknown = f"whether the kubelets have what ConfigMap {name} says"
            yield OpenPort(OF_KUBELETS, "anonymous callers, AlwaysAllow", unknown=unknown)


def flags_of(container: Mapping[str, Any], kind: str, found: Launch | None) -> dict[str, str]:
    """Return the flags of a component by its container's command, and by its variables.

    Parameters
    ----------
    container : mapping
    kind : str
    found : Launch or None
        What the command starts; None if it cannot be read.

    Examples
    --------
    >>> flags_of({"env": [{"name": "ETCD_DATA_DIR", "value": "/data"}]}, "etcd", None)
    {'data-dir': '/data'}
    """
    prefix = ENVIRONMENT_PREFIXES.get(kind)
    flags = {
        name.removeprefix(prefix).lower().replace("_", "-"): value
        for name, value in variables(container).items()
        if prefix and name.startswith(prefix)
    }
    if found is not None:
        read = parse_flags(kind, found.arguments, "")[0]
        flags |= {name: setting.value for name, setting in read}
    return flags


def _of_etcd(flags: Mapping[str, str]) -> Iterator[OpenPort]:
    asks = bool_of(flags.get("client-cert-auth", "false")) or bool(flags.get("trusted-ca-file"))
    urls = ("listen-client-urls", "listen-client-http-urls")
    for flag in urls:
        value = flags.get(flag, DEFAULTS[ETCD][flag])
        for url in filter(None, map(str.strip, value.split(","))):
            scheme, _, address = url.partition("://")
            if scheme == "http" or (scheme == "https" and not asks):
                host = address.rpartition(":")[0].strip("[]")
                yield OpenPort(ETCD, f"--{flag}={url}", is_loopback(host))


def _of_apiserver(flags: Mapping[str, str], *, old: bool | None) -> Iterator[OpenPort]:
    given = flags.get("insecure-port")
    if given == "0" or old is False or (old is None and given is None):
        return
    host = flags.get("insecure-bind-address", "127.0.0.1")
    said = f"--insecure-port={given}" if given else "--insecure-port absent: 8080"
    unknown = "" if old else "whether the apiserver is older than 1.20, and has this port"
    yield OpenPort(APISERVER, f"{said} on {host}", is_loopback(host), unknown)
