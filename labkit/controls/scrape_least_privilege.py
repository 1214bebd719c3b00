"""Prometheus may read metrics, and nothing else."""

from __future__ import annotations

from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model
from labkit.model.decision import DENIED, Action, decide
from labkit.model.rights import authenticated_as

__all__ = ["CONTROL"]

FILE = "manifests/prometheus.yaml"
SECRETS = Action("list", "secrets")


def holds(model: Model) -> bool:
    """Say whether the control is in place: whether no scraper may read secrets."""
    env = model.environment
    found = model.open_channels("prometheus@* -> kube-apiserver@*")
    for channel in found:
        if channel.credential is None:
            continue
        held = env.credential(channel.credential, channel.client_node)
        apiserver = env.component(channel.server)
        caller = authenticated_as(apiserver, env, held)
        if decide(env, apiserver, caller, SECRETS).value != DENIED:
            return False
    return True


CONTROL = Control(
    name="scrape-least-privilege",
    title="Prometheus may read metrics, and nothing else",
    why="A scraper's credential lies on one machine and opens every other: it must open little.",
    on=lambda: (file_from("logs-hardened", FILE),),
    off=lambda: (file_from("logs-insecure", FILE),),
    holds=holds,
    changes="permissions of prometheus at prometheus -> kube-apiserver@master:6443",
    stops=("scrape-credential",),
    references=(
        "Kubernetes documentation: Kubelet authentication/authorization",
        "Kubernetes documentation: RBAC Good Practices",
    ),
    machines=("monitor",),
    modes=("logs-insecure", "logs-hardened"),
)
