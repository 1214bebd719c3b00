"""Requests to the stand-in for a cloud of a lab: its metadata, its API and its volumes.

Secrets are on no command line: curl reads them from its standard input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from labkit.errors import ProbeError
from labkit.lab.traces import Trace
from labkit.model import Foothold
from labkit.model.clouds import ABOUT, METADATA, Cloud, cloud_of
from labkit.techniques._lib.machines.reach import (
    PATIENCE,
    Answer,
    address_in_lab,
    answer,
    execution_place,
    run,
    run_from,
)

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = [
    "CHANNEL",
    "DEVICE",
    "Keys",
    "Volume",
    "ask_metadata",
    "attachment",
    "call_api",
    "identity",
    "instance",
    "named_volume",
    "read_volume",
    "required_cloud",
    "role_keys",
    "session_token",
]

#: The channel to the metadata that a machine and its pods are served.
CHANNEL = "anyone@network -> cloud-stand-in@*:80"
METADATA_OF = "/latest/meta-data"
ROLES = f"{METADATA_OF}/iam/security-credentials/"
TOKEN, LIFE = "X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds: 60"
#: What a machine sees a volume as.
DEVICE = "/dev/sdf"
#: The versions of the APIs of EC2 and STS.
VERSIONS = {"ec2": "2016-11-15", "sts": "2011-06-15"}
ARN, ITEM = re.compile(r"<Arn>arn:aws:\w+::\d+:([^<]+)</Arn>"), re.compile(r"<item><tagSet>")
CODE = re.compile(r"<Code>(\w+)</Code>")


@dataclass(frozen=True, slots=True)
class Keys:
    """What signs requests to a cloud; the secret parts are not shown.

    Examples
    --------
    >>> Keys("AKIAEXAMPLE", "secret")
    Keys(identity='AKIAEXAMPLE')
    """

    identity: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume, by its name and by the number that the cloud gave it."""

    name: str
    number: str


def required_cloud(env: Environment) -> Cloud:
    """Return the stand-in for a cloud of an environment.

    Raises
    ------
    ProbeError
        The environment has no cloud.
    """
    found = cloud_of(env)
    if found is None:
        raise ProbeError(f"{env.name} has no cloud")
    return found


def ask_metadata(
    lab: Lab,
    foothold: Foothold,
    path: str,
    *headers: str,
    method: str = "GET",
    seconds: float | None = None,
) -> Answer:
    """Ask for metadata at its usual address, from a machine or from a pod on it.

    The address is no machine's of the lab. So the way there is looked at first: it must lead to
    the machine that stands in for a cloud.

    Raises
    ------
    ProbeTimeout
        No answer came in time.
    ProbeError
        The way leads somewhere else, or the result is neither an answer nor a known refusal.
    """
    node, _, _ = execution_place(lab, foothold)
    cloud = address_in_lab(lab, required_cloud(lab.environment).component.node)
    shown = run(lab, node, ["ip", "-4", "route", "get", METADATA]).text
    if f" via {cloud} " not in shown:
        raise ProbeError(
            f"{METADATA} does not lead into the lab from {node}: nothing is sent there"
        )
    lines = [f'header = "{it}"' for it in headers]
    options = ["--request", method]
    return _curl(lab, foothold, f"http://{METADATA}{path}", lines, options, seconds)


def session_token(lab: Lab, foothold: Foothold, seconds: float | None = None) -> str:
    """Return a new session token for metadata of version 2.

    Parameters
    ----------
    lab : Lab
    foothold : Foothold
    seconds : float, optional
        The time for the answer; by default as long as a busy machine needs.

    Raises
    ------
    ProbeTimeout
        No answer came in time.
    ProbeError
        It is refused.
    """
    got = ask_metadata(lab, foothold, "/latest/api/token", LIFE, method="PUT", seconds=seconds)
    if got.refusal or not got.body:
        raise ProbeError(f"no session token: {got.refusal or 'an empty answer'}")
    return got.body.decode()


def role_keys(lab: Lab, foothold: Foothold, token: str = "") -> Keys | Answer:
    """Return the keys of a machine's role from its metadata, or the answer that refuses them."""
    headers = [f"{TOKEN}: {token}"] if token else []
    role = ask_metadata(lab, foothold, ROLES, *headers)
    if role.refusal:
        return role
    got = ask_metadata(lab, foothold, f"{ROLES}{role.body.decode().strip()}", *headers)
    if got.refusal:
        return got
    read = json.loads(got.body)
    return Keys(read["AccessKeyId"], read["SecretAccessKey"], read["Token"])


def instance(lab: Lab, foothold: Foothold, token: str) -> str:
    """Return the number that the cloud gave to the machine of a foothold.

    Raises
    ------
    ProbeError
        The metadata does not say it.
    """
    got = ask_metadata(lab, foothold, f"{METADATA_OF}/instance-id", f"{TOKEN}: {token}")
    if got.refusal or not got.body.startswith(b"i-"):
        raise ProbeError(f"the metadata does not say which machine asks: {got.refusal}")
    return got.body.decode().strip()


def call_api(
    lab: Lab, foothold: Foothold, keys: Keys, service: str, action: str, **parameters: str
) -> Answer:
    """Send a signed request to the API of the cloud.

    Raises
    ------
    ProbeTimeout
        No answer came in time.
    ProbeError
        The cloud is no machine of the lab, or the result is neither an answer nor a refusal.
    """
    cloud = required_cloud(lab.environment)
    account = cloud.account
    region = account.region if account else "us-east-1"
    body = urlencode({"Action": action, "Version": VERSIONS[service], **parameters})
    lines = [f'user = "{keys.identity}:{keys.secret}"', f'data = "{body}"']
    lines += [f'header = "X-Amz-Security-Token: {keys.token}"'] if keys.token else []
    host = urlsplit(cloud.api).hostname or ""
    resolved = f"{host}:{urlsplit(cloud.api).port}:{address_in_lab(lab, host)}"
    options = ["--insecure", "--resolve", resolved, "--aws-sigv4", f"aws:amz:{region}:{service}"]
    found = _curl(lab, foothold, cloud.api, lines, options)
    if found.refusal and (code := CODE.search(found.body.decode(errors="replace"))):
        return Answer(found.status, found.body, f"{found.refusal} {code[1]}")
    return found


def identity(lab: Lab, foothold: Foothold, keys: Keys) -> str:
    """Return as whom the cloud knows the holder of keys: "assumed-role/node/i-0a1b".

    Raises
    ------
    ProbeError
        It does not know them.
    """
    said = call_api(lab, foothold, keys, "sts", "GetCallerIdentity")
    found = ARN.search(said.body.decode(errors="replace"))
    if said.refusal or found is None:
        raise ProbeError(f"the cloud does not know the keys: {said.refusal or 'no ARN'}")
    return found[1]


def named_volume(listed: Answer, name: str) -> Volume:
    """Return the volume with a name from the answer to DescribeVolumes.

    Raises
    ------
    ProbeError
        It is refused, or has no such volume.

    Examples
    --------
    >>> item = "<item><tagSet><item><key>Name</key><value>a</value></item></tagSet>"
    >>> named_volume(Answer(200, f"{item}<volumeId>vol-1</volumeId></item>".encode(), ""), "a")
    Volume(name='a', number='vol-1')
    """
    for item in ITEM.split(listed.body.decode(errors="replace"))[1:]:
        number = re.search(r"<volumeId>(vol-\w+)</volumeId>", item)
        if number and f"<key>Name</key><value>{name}</value>" in item:
            return Volume(name, number[1])
    raise ProbeError(f"the cloud lists no volume {name}: {listed.refusal or 'it is not there'}")


def attachment(lab: Lab, volume: str) -> Trace:
    """Return the trace that the attachment of a volume leaves."""
    return Trace("volume attachment", volume, required_cloud(lab.environment).component.node)


def read_volume(lab: Lab, foothold: Foothold, volume: Volume) -> Answer:
    """Read the content of a volume that is attached to the machine of a foothold.

    The lab has no disks for it: the stand-in serves the content to this machine.
    """
    return ask_metadata(lab, foothold, f"{ABOUT}/volumes/{volume.number}")


def _curl(
    lab: Lab,
    foothold: Foothold,
    url: str,
    config: Sequence[str],
    options: Sequence[str],
    seconds: float | None = None,
) -> Answer:
    patience = PATIENCE * lab.stretch() if seconds is None else seconds
    argv = ["curl", "--silent", "--show-error", "--noproxy", "*", "--config", "-"]
    argv += ["--max-time", f"{patience:.0f}", "--write-out", "\n%{http_code}"]
    stdin = "\n".join(config).encode()
    output = run_from(lab, foothold, [*argv, *options, url], stdin=stdin)
    content, _, status = output.stdout.rpartition(b"\n")
    return answer(output.exit_code, output.error, int(status or b"0"), content, url)
