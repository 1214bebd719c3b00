"""Act as the cluster at its cloud with a key from a file that anybody on the master can read.

A cluster that attaches volumes and makes load balancers has a user of its own at the cloud, and
often a key for it in a file: ``cloud.conf``, ``azure.json``, a file of AWS's programs. The key
works from anywhere and until somebody replaces it. The attacker needs an account on the master and
a file whose mode lets everybody read it. A file that only root can read stops it. The cloud of the
lab is a stand-in; no component of the lab uses the key, as a cloud controller would.
"""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.model.clouds import cloud_of
from labkit.model.decision import ALLOWED
from labkit.model.file_access import may_open
from labkit.techniques._lib.machines.cloud import Keys, call_api, identity
from labkit.techniques._lib.machines.files import PERSON, read_denied, settings_of
from labkit.techniques._lib.machines.reach import run, run_from
from labkit.techniques._lib.technique import (
    USER_ON_MASTER,
    Prediction,
    Technique,
    all_of,
    holds,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = ["TECHNIQUE"]

MASTER, FILE = "master", "/etc/kubernetes/cloud-credentials"
USER = "user/cloud-controller"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict from the mode of the file and from the rights of its user at the cloud."""
    env, cloud = model.environment, cloud_of(model.environment)
    if cloud is None:
        return Prediction(False, ("the environment has no user at a cloud",))
    opened = holds(may_open(env, env.node(MASTER), PERSON, FILE).claim, ALLOWED)
    if cloud.account is None:
        source = cloud.component.setting("account").source
        return all_of(opened, Prediction(None, (f"the account could not be read: {source}",)))
    return all_of(opened, holds(cloud.account.may(USER, "ec2:DescribeVolumes"), ALLOWED))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Read the key, and ask the cloud with it who one is and which volumes there are.

    Raises
    ------
    ProbeError
        The file holds no key, or the cloud does not take it.
    """
    if refused := read_denied(lab, TECHNIQUE.name, foothold, MASTER, [FILE]):
        # the key works: it is only out of reach
        keys = _keys(run(lab, MASTER, ["cat", FILE], check=True))
        known = identity(lab, foothold, keys)
        control = f"{refused.control}; the cloud knows its key as {known}"
        evidence, reason = refused.evidence, refused.reason
        return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, evidence, control)
    keys = _keys(run_from(lab, foothold, ["cat", "--", FILE]))
    known = identity(lab, foothold, keys)
    listed = call_api(lab, foothold, keys, "ec2", "DescribeVolumes")
    if listed.refusal:
        raise ProbeError(f"{TECHNIQUE.name}: {listed.refusal} for the cluster's own user")
    evidence = (
        f"read {FILE} as {PERSON}",
        f"the cloud, a stand-in, knows the key as {known}, and lists the volumes of the account",
    )
    reason = f"HTTP {listed.status}"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, evidence)


def _keys(output: Output) -> Keys:
    """Read a key in the form of AWS's programs.

    Raises
    ------
    ProbeError
        It has another form.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(output.text)
        found = parser["default"]
        return Keys(found["aws_access_key_id"], found["aws_secret_access_key"])
    except (configparser.Error, KeyError) as error:
        # the error may quote the file
        raise ProbeError(f"{FILE} holds no key that labkit can read") from error


def _settings(env: Environment) -> list[Setting]:
    return settings_of(env, MASTER, (FILE,))


TECHNIQUE = Technique(
    name="cloud-key-file",
    title="Act as the cluster at its cloud with a key that anybody on the master can read",
    footholds=(USER_ON_MASTER,),
    grants=(),
    about="",
    properties=(),
    attack=("T1552.001", "T1078.004"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-732", "CWE-522"),
    sources=(
        "https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html",
        "https://attack.mitre.org/techniques/T1552/001/",
    ),
    predict=predict,
    execute=execute,
    settings=_settings,
    machines=("cloud",),
    modes=("cloud-insecure", "cloud-hardened"),
)
