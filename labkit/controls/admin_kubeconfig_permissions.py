"""Only root can read the administrator's kubeconfig and key."""

from __future__ import annotations

from labkit.cluster.edits import TmpfilesLine
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.decision import DENIED
from labkit.model.file_access import anybody_opens

__all__ = ["CONTROL"]

RULES = "/etc/tmpfiles.d/kubernetes.conf"
FILE, FOLDER = "/etc/kubernetes/admin.conf", "/etc/kubernetes/pki"
KEY = f"{FOLDER}/admin.key"


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    return anybody_opens(model.environment, "master", FILE, KEY) == DENIED


CONTROL = Control(
    name="admin-kubeconfig-permissions",
    title="Only root can read the administrator's kubeconfig and key",
    why="Not every account on the machine belongs to the cluster's administrator.",
    on=(
        TmpfilesLine("master", RULES, FILE, f"z {FILE} 0600 root root"),
        TmpfilesLine("master", RULES, KEY, f"z {KEY} 0600 root root"),
    ),
    off=(
        TmpfilesLine("master", RULES, FILE, f"z {FILE} 0644 root root"),
        TmpfilesLine("master", RULES, FOLDER, f"z {FOLDER} 0755 root root"),
        TmpfilesLine("master", RULES, KEY, f"z {KEY} 0644 root root"),
    ),
    holds=holds,
    changes=f"who on the master can read {FILE} and the key that it names",
    stops=("admin-kubeconfig",),
    references=("CIS Kubernetes Benchmark 1.1.13, 1.1.14, 1.1.21",),
)
