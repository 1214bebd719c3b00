"""The workers' components call the apiserver over TLS, each with its own certificate."""

from __future__ import annotations

from labkit.cluster.edits import Edit, Key
from labkit.controls._base import Control
from labkit.controls._files import KUBECTL_PROXY, file_from
from labkit.model import Model

__all__ = ["CONTROL"]

WHO = ("kubelet", "kube-proxy")


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    found = [c for who in WHO for c in model.open_channels(f"{who}@* -> *@master:*")]
    return bool(found) and all(c.protocol == "https" for c in found)


def _server(url: str) -> tuple[Edit, ...]:
    return tuple(
        Key("worker", f"/etc/kubernetes/{who}.conf", "clusters.0.cluster.server", url)
        for who in WHO
    )


CONTROL = Control(
    name="kubelet-apiserver-tls",
    title="The workers call the apiserver over TLS",
    why="An attacker who eavesdrops gets the secrets of every pod that a kubelet starts.",
    on=(
        *_server("https://master:6443"),
        *(
            Key(
                "worker",
                f"/etc/kubernetes/{who}.conf",
                f"users.0.user.client-{part}",
                f"/etc/kubernetes/pki/{who}.{end}",
            )
            for who in WHO
            for part, end in (("certificate", "crt"), ("key", "key"))
        ),
    ),
    off=lambda: (
        *_server("http://master:8080"),
        file_from("insecure", KUBECTL_PROXY, "master"),
    ),
    holds=holds,
    changes="kubelet and kube-proxy -> apiserver: encryption is TLS",
    stops=("eavesdrop", "eavesdrop-kube-proxy"),
    references=(
        "Securing communications in Kubernetes (2016), Eavesdropping",
        "NSA/CISA Kubernetes Hardening Guide, Network separation and hardening",
    ),
)
