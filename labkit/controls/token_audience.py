"""A token for another service is valid only there."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, Key
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.workloads import audience_in, pods

__all__ = ["CONTROL"]

FILE = "manifests/reporter.yaml"
KEY = "spec.volumes.0.projected.sources.0.serviceAccountToken.audience"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    found = [audience_in(model.environment, *pod) for pod in pods(model.environment)]
    return all(audience.value for audience in found if audience is not None)


CONTROL = Control(
    name="token-audience",
    title="A token for another service is valid only there",
    why="A service that receives a token for the apiserver can impersonate its owner there.",
    on=(Key(PLAN, FILE, KEY, "collector"),),
    off=(Key(PLAN, FILE, KEY, None),),
    holds=holds,
    changes="the audience of the token that shop/reporter shows to shop/collector",
    stops=("token-replay",),
    references=(
        "Kubernetes documentation: Configure Service Accounts for Pods, "
        "ServiceAccount token volume projection",
        "RFC 7519, 4.1.3: the audience of a token",
    ),
)
