"""The apiserver refuses anonymous callers."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return all(
        channel.client_authentication.value == "required"
        for channel in model.open_channels("* -> kube-apiserver@*")
    )


CONTROL = Control(
    name="apiserver-anonymous",
    title="The apiserver refuses anonymous callers",
    why="A caller without a credential gets the answer 401.",
    on=(Flag("master", "kube-apiserver.service", "anonymous-auth", "false"),),
    off=(Flag("master", "kube-apiserver.service", "anonymous-auth", "true"),),
    holds=holds,
    changes="client_authentication of * -> kube-apiserver@master:6443",
    stops=("apiserver-anonymous",),
    references=(
        "CIS Kubernetes Benchmark 1.2.1",
        "Kubernetes documentation: Authenticating, Anonymous requests",
    ),
)
