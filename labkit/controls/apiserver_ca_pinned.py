"""The apiserver's clients verify its certificate."""

from __future__ import annotations

from labkit.cluster.edits import Edit, Key
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]

CLUSTER = "clusters.0.cluster"
AUTHORITY, SKIP = f"{CLUSTER}.certificate-authority", f"{CLUSTER}.insecure-skip-tls-verify"
FILES = (("master", "admin"), ("worker", "kubelet"), ("worker", "kube-proxy"))
#: Kubeconfigs that insecure lacks, or that name a server without TLS there.
MORE = (("master", "super-admin"), ("master", "scheduler"), ("master", "controller-manager"))


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    found = model.open_channels("* -> kube-apiserver@*:*")
    return all(c.server_authentication.value != "unverified" for c in found)


def _edits(files: tuple[tuple[str, str], ...], authority: str | None) -> tuple[Edit, ...]:
    skip = None if authority else True
    return tuple(
        Key(role, f"/etc/kubernetes/{name}.conf", key, value)
        for role, name in files
        for key, value in ((AUTHORITY, authority), (SKIP, skip))
    )


CONTROL = Control(
    name="apiserver-ca-pinned",
    title="The apiserver's clients verify its certificate",
    why="A client that verifies no certificate also trusts an attacker who answers in its place.",
    on=_edits((*FILES, *MORE[1:]), "/etc/kubernetes/pki/ca.crt"),
    off=_edits((*FILES, *MORE), None),
    holds=holds,
    changes="* -> kube-apiserver: server authentication is verified",
    stops=(),
    references=(
        "https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/",
    ),
)
