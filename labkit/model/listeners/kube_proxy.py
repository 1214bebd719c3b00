"""kube-proxy: its metrics and its health, by plain HTTP.

https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.model.listener import HEALTH, METRICS, Listener, plain_listener
from labkit.model.listeners._base import ListenerKind, Server

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment

__all__ = ["SERVER"]

#: Of each address: the key, the usual port, and what is served there.
ADDRESSES = {
    "metrics": ("metricsBindAddress", "10249", METRICS),
    "health": ("healthzBindAddress", "10256", HEALTH),
}


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    for role, (key, port, data) in ADDRESSES.items():
        said = it.setting(key)
        # an empty address is the default one (pkg/proxy/apis/config/v1alpha1/defaults.go)
        yield plain_listener(it, role, said if said.value else it.default(key), port, data)


SERVER = Server(
    "kube-proxy",
    _read,
    (
        ListenerKind(
            "kube-proxy health",
            gives=(),
            impact=1,
            by_design="kube-proxy asks nobody on this port, and serves only its health",
            for_everybody=True,
            data=HEALTH,
        ),
        ListenerKind(
            "kube-proxy metrics",
            # metrics, the proxy's mode, its configuration and, if profiling is on, pprof
            gives=(),
            impact=1,
            by_design="kube-proxy asks nobody on this port, and serves what it counts and its mode",
        ),
    ),
)
