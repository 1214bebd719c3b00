"""Only a front proxy with an allowed name may name users in the headers of requests."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]

UNIT, NAMES = "kube-apiserver.service", "requestheader-allowed-names"


def holds(model: Model) -> bool:
    """Say whether the control is in place; without an authority, there is no front proxy."""
    return all(
        bool(it.values(NAMES)) or not it.setting("requestheader-client-ca-file").value
        for it in model.environment.components
        if it.kind == "kube-apiserver"
    )


CONTROL = Control(
    name="front-proxy-names",
    title="Only named front proxies may name users in request headers",
    why="Every certificate of the front proxy's authority makes its holder any user otherwise.",
    on=(Flag("master", UNIT, NAMES, "front-proxy-client"),),
    off=(Flag("master", UNIT, NAMES, None),),
    holds=holds,
    changes="whom the apiserver takes for a front proxy",
    stops=("front-proxy-headers",),
    references=(
        "Kubernetes documentation: Authenticating, Authenticating Proxy",
        "Kubernetes documentation: Configure the Aggregation Layer",
    ),
    machines=("review",),
    modes=("hook-insecure", "hook-hardened"),
)
