"""kubectl proxy: the apiserver by plain HTTP, with the rights of one kubeconfig.

https://kubernetes.io/docs/reference/kubectl/generated/kubectl_proxy/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.model.addresses import apiserver_of, port_of
from labkit.model.authorization import proxy_authorization
from labkit.model.claims import Claim
from labkit.model.listener import ALL_OBJECTS, Anyone, Listener
from labkit.model.listeners._base import Server
from labkit.model.listeners.kube_apiserver import INSECURE_PORT

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment

__all__ = ["SERVER"]


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    if it.setting("unix-socket").value:
        return
    address, unit = it.setting("address"), it.source
    apiserver = apiserver_of(env, it.kubeconfig) if it.kubeconfig else None
    yield Listener(
        server=it.id,
        role="proxy",
        node=it.node,
        zone=it.zone,
        protocol="http",
        bind=address.value,
        port=port_of(it.setting("port")),
        path=None,
        open=True,
        encryption=Claim("none", "kubectl proxy speaks plain http", unit),
        client_authentication=Claim("none", "kubectl proxy does not authenticate callers", unit),
        authorization=proxy_authorization(env, it, apiserver),
        bind_source=address.source,
        anyone=Anyone.ALWAYS,
        data=ALL_OBJECTS,
    )


SERVER = Server("kubectl-proxy", _read, (INSECURE_PORT,))
