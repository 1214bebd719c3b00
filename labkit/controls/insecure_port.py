"""The apiserver has no plaintext port."""

from __future__ import annotations

from labkit.cluster.edits import Edit, Key, Whole
from labkit.controls._base import Control
from labkit.controls._files import KUBECTL_PROXY, file_from
from labkit.model import Model

__all__ = ["CONTROL"]

#: The port's users: role, and name of kubeconfig and certificate.
CLIENTS = (
    ("master", "scheduler"),
    ("master", "controller-manager"),
    ("worker", "kubelet"),
    ("worker", "kube-proxy"),
)


def _over_tls(role: str, name: str) -> tuple[Edit, ...]:
    """Return the edits that make a component call the apiserver over TLS."""
    path, pki = f"/etc/kubernetes/{name}.conf", "/etc/kubernetes/pki"
    cluster = {"server": "https://master:6443", "certificate-authority": f"{pki}/ca.crt"}
    user = {"client-certificate": f"{pki}/{name}.crt", "client-key": f"{pki}/{name}.key"}
    return (
        Key(role, path, "clusters.0.cluster", cluster),
        Key(role, path, "users.0.user", user),
    )


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return not any(component.kind == "kubectl-proxy" for component in model.environment.components)


CONTROL = Control(
    name="insecure-port",
    title="The apiserver has no plaintext port",
    why="Components call the apiserver's TLS port with their own certificates.",
    on=(
        Whole("master", KUBECTL_PROXY, None),
        *(edit for client in CLIENTS for edit in _over_tls(*client)),
    ),
    off=lambda: (file_from("insecure", KUBECTL_PROXY, "master"),),
    holds=holds,
    changes="anyone@network -> kubectl-proxy@master:8080 is gone; its clients call :6443",
    stops=("eavesdrop", "insecure-port"),
    references=(
        "CIS Kubernetes Benchmark 1.2 (API server)",
        "Kubernetes documentation: Controlling access to the Kubernetes API, Transport security",
    ),
)
