"""Which version of Kubernetes an apiserver has, and which it may have."""

from __future__ import annotations

from labkit.cluster.facts import Component, Environment
from labkit.cluster.versions import Version, version_reported

__all__ = ["LATEST", "OLDEST", "minors", "version_of"]

#: The minor versions of Kubernetes 1 between which answers are compared where the version is not
#: known; the newest is that of the lab.
OLDEST, LATEST = 25, 37


def version_of(env: Environment, apiserver: Component) -> Version | None:
    """Return the version of an apiserver, or None if nothing says it.

    Parameters
    ----------
    env : Environment
        The kit's own kind runs in a lab, with the version of its image.
    apiserver : labkit.cluster.Component
        Its image's tag counts first.

    Returns
    -------
    tuple of (int, int) or None
        Otherwise that of the newest kubelet among the Node objects: no kubelet is newer than the
        apiserver (https://kubernetes.io/releases/version-skew-policy/).

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> version_of(env, env.component("kube-apiserver@master")) == (1, LATEST)
    True
    """
    if apiserver.version is not None:
        return apiserver.version
    if env.complete:
        return (1, LATEST)
    nodes = [it for it in env.objects if it.get("kind") == "Node"]
    texts = (it.get("status", "nodeInfo", "kubeletVersion") for it in nodes)
    found = (version_reported(text) for text in texts if isinstance(text, str))
    return max(filter(None, found), default=None)


def minors(version: Version | None) -> tuple[int, ...]:
    """Return the minor versions that an apiserver may have.

    Examples
    --------
    >>> minors((1, 34)), len(minors(None))
    ((34,), 13)
    """
    return tuple(range(OLDEST, LATEST + 1)) if version is None else (version[1],)
