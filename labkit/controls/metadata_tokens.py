"""The metadata of a cloud's machines wants a session token, which reaches no pod."""

from __future__ import annotations

from labkit.cluster.edits import Flag
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.clouds import cloud_of

__all__ = ["CONTROL"]

UNIT, TOKENS, LIMIT = "cloud.service", "http-tokens", "http-put-response-hop-limit"


def holds(model: Model) -> bool:
    """Say whether the control is in place; without a cloud, there is no metadata."""
    cloud = cloud_of(model.environment)
    return cloud is None or cloud.for_pods.value == "closed"


CONTROL = Control(
    name="metadata-tokens",
    title="Metadata of version 2, with a hop limit of 1",
    why="Every pod is its machine to the cloud otherwise.",
    on=(Flag("cloud", UNIT, TOKENS, "required"), Flag("cloud", UNIT, LIMIT, "1")),
    off=(Flag("cloud", UNIT, TOKENS, "optional"), Flag("cloud", UNIT, LIMIT, "2")),
    holds=holds,
    changes="anyone -> metadata of a machine: a session token is required, and reaches no pod",
    stops=("cloud-metadata-role",),
    references=("AWS documentation: Configure the Instance Metadata Service options",),
    machines=("cloud",),
    modes=("cloud-insecure", "cloud-hardened"),
)
