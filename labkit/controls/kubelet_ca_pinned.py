"""The apiserver verifies the kubelets' certificates."""

from __future__ import annotations

from labkit.cluster.edits import Flag, Key
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]

UNIT, FLAG = "kube-apiserver.service", "kubelet-certificate-authority"
CONFIG, PKI = "/etc/kubernetes/kubelet.yaml", "/etc/kubernetes/pki"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    found = model.open_channels("kube-apiserver@* -> kubelet@*:10250")
    return all(c.server_authentication.value == "verified" for c in found)


CONTROL = Control(
    name="kubelet-ca-pinned",
    title="The apiserver verifies the kubelets' certificates",
    why="Without it, an attacker can pose as the kubelet and receive what users type into pods.",
    on=(
        Key("worker", CONFIG, "tlsCertFile", f"{PKI}/kubelet-serving.crt"),
        Key("worker", CONFIG, "tlsPrivateKeyFile", f"{PKI}/kubelet-serving.key"),
        Flag("master", UNIT, FLAG, f"{PKI}/ca.crt"),
    ),
    off=(Flag("master", UNIT, FLAG, None),),
    holds=holds,
    changes="kube-apiserver -> kubelet: server authentication is verified",
    stops=("mitm-kubelet",),
    references=(
        "CIS Kubernetes Benchmark 1.2.5",
        "https://kubernetes.io/docs/concepts/architecture/control-plane-node-communication/",
    ),
)
