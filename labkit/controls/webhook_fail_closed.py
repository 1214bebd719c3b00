"""A request that a webhook authorizer would judge is denied if it does not answer."""

from __future__ import annotations

from labkit.cluster.edits import Key
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.decision import authorizers

__all__ = ["CONTROL"]

FILE = "/etc/kubernetes/authorization.yaml"
POLICY = "authorizers.{}.webhook.failurePolicy"


def holds(model: Model) -> bool:
    """Say whether the control is in place; without a webhook, there is nothing that can fail."""
    env = model.environment
    apiservers = (it for it in env.components if it.kind == "kube-apiserver")
    found = (one.webhook for it in apiservers for one in authorizers(env, it))
    return all(it.failure_policy.value == "Deny" for it in found if it)


CONTROL = Control(
    name="webhook-fail-closed",
    title="A webhook authorizer that does not answer denies",
    why="What only the webhook denies, the next authorizer allows as soon as it is cut off.",
    # the webhook is asked first in one environment, and after Node in the other
    on=(Key("master", FILE, POLICY.format(0), "Deny"),),
    off=(Key("master", FILE, POLICY.format(1), "NoOpinion"),),
    holds=holds,
    changes="what the apiserver decides if its webhook authorizer does not answer",
    stops=("webhook-outage",),
    references=(
        "Kubernetes documentation: Authorization, Configuring the API server using a "
        "configuration file",
    ),
    machines=("review",),
    modes=("hook-insecure", "hook-hardened"),
)
