"""The kubelet has no read-only port."""

from __future__ import annotations

from labkit.cluster.edits import Key
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return not model.open_channels("anyone@network -> kubelet@*:10255")


CONTROL = Control(
    name="kubelet-read-only-port",
    title="The kubelet has no read-only port",
    why="Port 10255 shows everybody, in plaintext, the running pods and their environment.",
    on=(Key("worker", "/etc/kubernetes/kubelet.yaml", "readOnlyPort", 0),),
    off=(Key("worker", "/etc/kubernetes/kubelet.yaml", "readOnlyPort", 10255),),
    holds=holds,
    changes="anyone@network -> kubelet@*:10255 is closed",
    stops=("kubelet-read-only",),
    references=("CIS Kubernetes Benchmark 4.2.4",),
)
