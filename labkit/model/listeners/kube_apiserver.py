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
USUAL_INSECURE_PORT, LOOPBACK = 8080, "127.0.0.1"
#: The first version that starts with no other insecure port than 0.
LOCKED_INSECURE_PORT = (1, 20)


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
        anyone=Anyone.UNUSED,
    )
    yield _insecure_port(env, it)


def _insecure_port(env: Environment, it: Component) -> Listener:
    """Return the port on which nobody was asked, open by default on loopback before 1.20.

    pkg/kubeapiserver/options/serving.go (v1.19) and the deprecations of CHANGELOG-1.20 and -1.24.
    """
    from labkit.model.features import versions_of

    versions = versions_of(env, it)
    had, had_not = versions[0] < LOCKED_INSECURE_PORT, versions[-1] >= LOCKED_INSECURE_PORT
    given, host = it.given("insecure-port"), it.given("insecure-bind-address")
    insecure = given or it.setting("insecure-port")
    bind = it.setting("bind-address")
    is_open = insecure.value != "0" or (had and given is None)
    source = insecure.source
    claim = nobody = rights = closed("the insecure port went away in Kubernetes 1.24", source)
    if is_open and had and not had_not:
        claim = Claim("none", "plain http", source)
        nobody = Claim("none", "callers are not authenticated", source)
        rights = Claim("allow-all", "the insecure port asks no authorizer", source)
    elif is_open:
        detail = "removed in Kubernetes 1.24"
        claim = nobody = rights = Claim("unknown", detail, source)
    return Listener(
        server=it.id,
        role="insecure",
        node=it.node,
        zone=it.zone,
        protocol="http",
        bind=(host.value if host else LOOPBACK) if had else bind.value,
        port=(port_of(insecure) if given else 0) or USUAL_INSECURE_PORT,
        path=None,
        open=is_open,
        encryption=claim,
        client_authentication=nobody,
        authorization=rights,
        bind_source=host.source if host else bind.source,
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
