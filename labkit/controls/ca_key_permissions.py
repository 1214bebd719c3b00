"""Only root can read the key of the cluster's certificate authority."""

from __future__ import annotations

from labkit.cluster.edits import TmpfilesLine
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.decision import DENIED
from labkit.model.file_access import anybody_opens

__all__ = ["CONTROL"]

RULES = "/etc/tmpfiles.d/kubernetes.conf"
FOLDER = "/etc/kubernetes/pki"
KEY = f"{FOLDER}/ca.key"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return anybody_opens(model.environment, "master", KEY) == DENIED


CONTROL = Control(
    name="ca-key-permissions",
    title="Only root can read the key of the cluster's certificate authority",
    why="This key signs a certificate for any identity, and Kubernetes cannot revoke one.",
    on=(TmpfilesLine("master", RULES, KEY, f"z {KEY} 0600 root root"),),
    off=(
        TmpfilesLine("master", RULES, FOLDER, f"z {FOLDER} 0751 root root"),
        TmpfilesLine("master", RULES, KEY, f"z {KEY} 0644 root root"),
    ),
    holds=holds,
    changes=f"who on the master can read {KEY}",
    stops=("ca-key-theft",),
    references=("CIS Kubernetes Benchmark 1.1.21",),
)
