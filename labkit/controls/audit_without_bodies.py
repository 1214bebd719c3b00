"""The audit log says who touched a secret, and not what was in it."""

from __future__ import annotations

from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model
from labkit.model.collected_logs import answers_with_secrets

__all__ = ["CONTROL"]

FILE = "/etc/kubernetes/audit-policy.yaml"


def holds(model: Model) -> bool:
    """Say whether the control is in place; without an audit log, there is nothing in it."""
    policies = model.environment.apiserver_files.audit.values()
    return not any(answers_with_secrets(policy) for policy in policies)


CONTROL = Control(
    name="audit-without-bodies",
    title="The audit log says who touched a secret, and not what was in it",
    why="A log is kept longer and read by more people than the secret that is written into it.",
    on=lambda: (file_from("hardened", FILE, "master"),),
    off=lambda: (file_from("logs-insecure", FILE, "master"),),
    holds=holds,
    changes="what the apiserver's audit events hold",
    stops=("read-secrets-in-logs",),
    references=(
        "Kubernetes documentation: Auditing",
        "CIS Kubernetes Benchmark 3.2.2",
    ),
    machines=("monitor",),
    modes=("logs-insecure", "logs-hardened"),
)
