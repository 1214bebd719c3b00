"""The role of the cluster's machines may attach the volumes with its tag, and no others."""

from __future__ import annotations

from labkit.cluster.edits import Key
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.clouds import cloud_of
from labkit.model.decision import DENIED

__all__ = ["CONTROL"]

FILE, KEY = "/etc/cloud/node-policy.yaml", "Statement.2.Condition"
OTHERS = "payments-data"
WANTED = {"StringEquals": {"aws:ResourceTag/kubernetes.io/created-for/pvc/namespace": "shop"}}


def holds(model: Model) -> bool:
    """Say whether the control is in place; without a cloud, there is no role."""
    cloud = cloud_of(model.environment)
    if cloud is None:
        return True
    account = cloud.account
    return account is not None and (
        account.may(f"role/{account.role}", "ec2:AttachVolume", OTHERS).value == DENIED
    )


CONTROL = Control(
    name="cloud-role-by-tag",
    title="The role of a machine may attach the volumes with its tag alone",
    why="An attacker who has the role reads the volumes of every workload otherwise.",
    on=(Key("cloud", FILE, KEY, WANTED),),
    off=(Key("cloud", FILE, KEY, None),),
    holds=holds,
    changes="which volumes the role of the workers may attach",
    stops=("cloud-volume",),
    references=("AWS documentation: Controlling access to AWS resources using tags",),
    machines=("cloud",),
    modes=("cloud-insecure", "cloud-hardened"),
)
