"""Which versions of Kubernetes an apiserver may have, and with which features."""

from __future__ import annotations

from labkit.cluster.facts import Component, Environment
from labkit.cluster.feature_gates import Features, gates_in
from labkit.cluster.versions import LATEST, Version, apiserver_versions
from labkit.model.admission_plugins import unread_flags

__all__ = ["features_of", "versions_of"]

GATES = "feature-gates"


def features_of(env: Environment, apiserver: Component) -> Features:
    """Return what decides which features an apiserver has.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component

    Returns
    -------
    Features

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> from labkit.cluster.feature_gates import USER_NAMESPACES
    >>> env = read_environment("hardened")
    >>> features_of(env, env.component("kube-apiserver@master")).has(USER_NAMESPACES)
    True
    """
    gates = gates_in(it.value for it in apiserver.values(GATES))
    complete = not unread_flags(apiserver, GATES)
    return Features(versions_of(env, apiserver), tuple(gates.items()), complete)


def versions_of(env: Environment, apiserver: Component) -> tuple[Version, ...]:
    """Return the versions that an apiserver may have: one if it is known.

    Parameters
    ----------
    env : Environment
        The kit's own kind runs in a lab, with the version of its image.
    apiserver : labkit.cluster.Component
        Its image's tag counts first.

    Returns
    -------
    tuple of (int, int)
        Otherwise those that the kubelets of the Node objects allow; all that the kit compares if
        nothing says it.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> versions_of(env, env.component("kube-apiserver@master")) == ((1, LATEST),)
    True
    """
    if apiserver.version is not None:
        return (apiserver.version,)
    if env.complete:
        return ((1, LATEST),)
    return apiserver_versions(env.kubelet_versions)
