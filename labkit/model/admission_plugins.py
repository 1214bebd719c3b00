"""Which admission plugins of an apiserver are enabled, by its flags."""

from __future__ import annotations

from labkit.cluster.facts import Component
from labkit.model.claims import Claim

__all__ = ["admission", "enabled", "unread_flags"]

UNKNOWN = "unknown"


def unread_flags(it: Component, name: str) -> bool:
    """Say whether a default means nothing, because some of a component's flags were not read.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> apiserver = read_environment("hardened").component("kube-apiserver@master")
    >>> unread_flags(apiserver, "profiling")
    False
    """
    return not it.complete and it.given(name) is None


def admission(apiserver: Component, plugin: str) -> Claim:
    """Say whether an admission plugin that is on by default is enabled.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> apiserver = read_environment("insecure").component("kube-apiserver@master")
    >>> admission(apiserver, "CertificateSubjectRestriction").value
    'enforced'
    """
    off = apiserver.setting("disable-admission-plugins")
    if unread_flags(apiserver, "disable-admission-plugins"):
        return Claim(UNKNOWN, f"whether {plugin} is on: its flags could not be read", off.source)
    if plugin in {item.value for item in apiserver.values("disable-admission-plugins")}:
        return Claim("allow-all", f"without {plugin}", off.source)
    return Claim("enforced", plugin, off.source)


def enabled(apiserver: Component, plugin: str) -> Claim:
    """Say whether an admission plugin that is off by default is enabled.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> apiserver = read_environment("hardened").component("kube-apiserver@master")
    >>> enabled(apiserver, "NodeRestriction").value
    'enforced'
    """
    on = apiserver.setting("enable-admission-plugins")
    if unread_flags(apiserver, "enable-admission-plugins"):
        return Claim(UNKNOWN, f"whether {plugin} is on: its flags could not be read", on.source)
    if plugin in {item.value for item in apiserver.values("enable-admission-plugins")}:
        return Claim("enforced", plugin, on.source)
    return Claim("allow-all", f"without {plugin}", on.source)
