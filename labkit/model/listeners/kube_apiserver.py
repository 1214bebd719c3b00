"""kube-apiserver: its secure port, and the insecure port that Kubernetes 1.24 removed.

https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.cluster.syntax.urls import port_of
from labkit.model.claims import PROPERTIES, Claim, closed
from labkit.model.listener import ALL_OBJECTS, Anyone, Listener, tls
from labkit.model.listeners._base import Gap, ListenerKind, Server, cis

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment

__all__ = ["INSECURE_PORT", "SERVER"]

#: The port that --insecure-port opened where it was not given another one.
USUAL_INSECURE_PORT = 8080


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    # a model written by hand needs the kinds alone
    from labkit.model.authorization import apiserver_anonymous, apiserver_authorization

    bind = it.setting("bind-address")
    yield Listener(
        server=it.id,
        role="api",
        node=it.node,
        zone=it.zone,
        protocol="https",
        bind=bind.value,
        port=port_of(it.setting("secure-port")),
        path=None,
        open=True,
        encryption=tls(it.setting("tls-min-version")),
        client_authentication=apiserver_anonymous(env, it),
        authorization=apiserver_authorization(env, it),
        bind_source=bind.source,
    )
    insecure = it.setting("insecure-port")
    is_open = insecure.value != "0"
    claim = closed("the insecure port went away in Kubernetes 1.24", insecure.source)
    if is_open:
        claim = Claim("unknown", "removed in Kubernetes 1.24", insecure.source)
    yield Listener(
        server=it.id,
        role="insecure",
        node=it.node,
        zone=it.zone,
        protocol="http",
        bind=bind.value,
        port=port_of(insecure) or USUAL_INSECURE_PORT,
        path=None,
        open=is_open,
        encryption=claim,
        client_authentication=claim,
        authorization=claim,
        bind_source=bind.source,
        # in the lab, kubectl proxy stands for it
        anyone=Anyone.ALWAYS if is_open or not _is_proxied(env, it) else Anyone.NEVER,
        data=ALL_OBJECTS,
    )


def _is_proxied(env: Environment, apiserver: Component) -> bool:
    """Say whether kubectl proxy listens on a port of the apiserver's machine."""
    return any(
        it.kind == "kubectl-proxy"
        and it.node == apiserver.node
        and not it.setting("unix-socket").value
        for it in env.components
    )


_INSECURE = Gap("insecure-port", "insecure-port", ("Kubernetes documentation: kubectl proxy",))
_EAVESDROP = {
    "kubelet": "eavesdrop",
    "kube-proxy": "eavesdrop-kube-proxy",
    "kube-scheduler": "eavesdrop-scheduler",
    "kube-controller-manager": "eavesdrop-controller-manager",
}

INSECURE_PORT = ListenerKind(
    "insecure port",
    gives=("admin",),
    impact=4,
    gaps={
        **dict.fromkeys(PROPERTIES, _INSECURE),
        "encryption": replace(_INSECURE, by_client=_EAVESDROP),
    },
    protocol="http",
)

SERVER = Server(
    "kube-apiserver",
    _read,
    (
        INSECURE_PORT,
        ListenerKind(
            "apiserver",
            gives=("admin",),
            impact=4,
            gaps={
                "encryption": Gap("tls-min-version", "tls-downgrade", cis("1.2.29")),
                "server_authentication": Gap("apiserver-ca-pinned", "mitm-apiserver"),
                "client_authentication": Gap(
                    "apiserver-anonymous", "apiserver-anonymous", cis("1.2.1")
                ),
                "authorization": Gap(
                    "apiserver-authorization", "pod-token", cis("1.2.6", "1.2.7", "1.2.8")
                ),
            },
            with_credential="node-reads-secrets",
        ),
    ),
)
