"""Only root can read the file with the cluster's key for its cloud."""

from __future__ import annotations

from labkit.cluster.edits import TmpfilesLine
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.clouds import cloud_of
from labkit.model.decision import DENIED
from labkit.model.file_access import anybody_opens

__all__ = ["CONTROL"]

RULES, FILE = "/etc/tmpfiles.d/cloud.conf", "/etc/kubernetes/cloud-credentials"


def holds(model: Model) -> bool:
    """Say whether the control is in place; without a cloud, there is no key."""
    env = model.environment
    return cloud_of(env) is None or anybody_opens(env, "master", FILE) == DENIED


CONTROL = Control(
    name="cloud-key-permissions",
    title="Only root can read the cluster's key for its cloud",
    why="Who has the key is the cluster to the cloud, from anywhere, until it is replaced.",
    on=(TmpfilesLine("master", RULES, FILE, f"z {FILE} 0600 root root"),),
    off=(TmpfilesLine("master", RULES, FILE, f"z {FILE} 0644 root root"),),
    holds=holds,
    changes=f"who on the master can read {FILE}",
    stops=("cloud-key-file",),
    references=("AWS documentation: Security best practices in IAM",),
    machines=("cloud",),
    modes=("cloud-insecure", "cloud-hardened"),
)
