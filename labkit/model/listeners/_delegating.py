"""The listener of a component that asks the apiserver who calls, and what the caller may do.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.cluster.policies import path_matches
from labkit.cluster.syntax.source import Setting
from labkit.cluster.syntax.urls import port_of
from labkit.model.claims import Claim, closed
from labkit.model.listener import METRICS, Anyone, Listener, tls

if TYPE_CHECKING:
    from labkit.cluster.facts import Component

__all__ = ["delegating_listener"]

ALWAYS_ALLOWED, METRICS_PATH = "authorization-always-allow-paths", "/metrics"


def delegating_listener(it: Component) -> Listener:
    """Return the listener of a controller manager or a scheduler.

    Anonymous callers are let in and authorized as such; a path that is always allowed is asked
    of nobody (k8s.io/apiserver/pkg/server/options/authorization.go).

    Parameters
    ----------
    it : labkit.cluster.Component

    Returns
    -------
    Listener

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> found = delegating_listener(read_environment("hardened").component("kube-scheduler@master"))
    >>> found.port, found.authorization.value
    (10259, 'enforced')
    """
    port, bind = it.setting("secure-port"), it.setting("bind-address")
    off = None if port_of(port) else closed("the port is off", port.source)
    usual = port_of(it.default("secure-port"))
    who = it.setting("authentication-kubeconfig")
    clients = Claim("anonymous", "without a credential, as system:anonymous", who.source)
    if not who.value:
        clients = Claim("none", "it can ask nobody about a credential", who.source)
    return Listener(
        server=it.id,
        role="api",
        node=it.node,
        zone=it.zone,
        protocol="https",
        bind=bind.value,
        port=port_of(port) or usual,
        path=None,
        open=off is None,
        encryption=off or tls(it.setting("tls-min-version")),
        client_authentication=off or clients,
        authorization=off or _authorization(it, it.setting(ALWAYS_ALLOWED)),
        bind_source=bind.source,
        anyone=Anyone.ALWAYS,
        data=METRICS,
    )


def _authorization(it: Component, always: Setting) -> Claim:
    paths = [item.value for item in it.values(ALWAYS_ALLOWED)]
    for path in paths:
        if path_matches(path, METRICS_PATH):
            return Claim("allow-all", f"{path} is always allowed", always.source)
    return Claim("enforced", f"everything but {', '.join(paths)}", always.source)
