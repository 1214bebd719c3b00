"""Which admission plugins of an apiserver are enabled, by its flags."""

from __future__ import annotations

from labkit.cluster.facts import Component
from labkit.model.claims import Claim

__all__ = ["admission", "enabled", "unread_flags"]

UNKNOWN = "unknown"


def unread_flags(it: Component, name: str) -> bool:
    """Say whether a value means nothing, because some of a component's flags were not read.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> apiserver = read_environment("hardened").component("kube-apiserver@master")
    >>> unread_flags(apiserver, "profiling")
    False
    """
    return it.unread(name)


def admission(apiserver: Component, plugin: str) -> Claim:
    """Say whether an admission plugin that is on by default is enabled.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> apiserver = read_environment("insecure").component("kube-apiserver@master")
    >>> admission(apiserver, "CertificateSubjectRestriction").value
    'enforced'
    """
    return _claim(apiserver, plugin, "disable-admission-plugins", named="allow-all")


def enabled(apiserver: Component, plugin: str) -> Claim:
    """Say whether an admission plugin that is off by default is enabled.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> apiserver = read_environment("hardened").component("kube-apiserver@master")
    >>> enabled(apiserver, "NodeRestriction").value
    'enforced'
    """
    return _claim(apiserver, plugin, "enable-admission-plugins", named="enforced")


def _claim(apiserver: Component, plugin: str, flag: str, *, named: str) -> Claim:
    """Return whether a plugin is enabled; `named` is the value if the flag names it."""
    source = apiserver.setting(flag).source
    if unread_flags(apiserver, flag):
        return Claim(UNKNOWN, f"whether {plugin} is on: its flags could not be read", source)
    is_named = plugin in {item.value for item in apiserver.values(flag)}
    if is_named == (named == "enforced"):
        return Claim("enforced", plugin, source)
    return Claim("allow-all", f"without {plugin}", source)
