"""kube-controller-manager: its port for metrics, health and profiles.

https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
"""

from __future__ import annotations

from labkit.model.listeners._base import Gap, ListenerKind, Server, cis
from labkit.model.listeners._delegating import delegating_listener

__all__ = ["SERVER"]

SERVER = Server(
    "kube-controller-manager",
    lambda _env, component: (delegating_listener(component),),
    # /metrics, /configz, /debug/pprof and, for everybody, /healthz, /livez and /readyz
    (
        ListenerKind(
            "kube-controller-manager",
            gives=(),
            impact=1,
            gaps={"client_authentication": Gap(references=cis("1.3.7"))},
        ),
    ),
)
