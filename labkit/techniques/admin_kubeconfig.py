"""Use the administrator's kubeconfig, which an ordinary user on the master can read.

A kubeconfig with its private key is enough to act as the administrator, from any machine and
until the certificate expires. The attacker needs an account on the master and files whose mode
lets everybody read them. They read the kubeconfig and the key, and the apiserver then allows them
every action. Files that only root can read stop it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.model.decision import ALLOWED, EVERYTHING, decide
from labkit.model.file_access import may_open
from labkit.model.rights import authenticated_as
from labkit.techniques._lib.api.access import (
    ACCESS_REVIEW,
    ASK_EVERYTHING,
    api_url,
    apiserver_of,
    everything_allowed,
    everything_review,
)
from labkit.techniques._lib.api.ask import ask
from labkit.techniques._lib.machines.admin import SECRETS_IN
from labkit.techniques._lib.machines.files import PERSON, read_denied, settings_of
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
    from labkit.cluster import Credential
    from labkit.lab import Lab
    from labkit.model.decision import Caller

__all__ = ["TECHNIQUE"]

KUBECONFIG = "/etc/kubernetes/admin.conf"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict from the modes of the files and from the rights of the certificate's owner."""
    env, owner = model.environment, _owner(model.environment)
    rights = decide(env, apiserver_of(env), owner, EVERYTHING)
    return all_of(_opened(env), holds(rights.claim, ALLOWED))


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the access review, which is sent once the files were read."""
    env = model.environment
    return [SentRequest(_owner(env), ASK_EVERYTHING, _opened(env))]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Read the administrator's kubeconfig and key, and ask the apiserver what they allow."""
    credential = _credential(lab.environment)
    if refused := read_denied(lab, TECHNIQUE.name, foothold, credential.node, _wanted(credential)):
        return refused
    return ask(
        lab,
        TECHNIQUE.name,
        foothold,
        api_url(lab, ACCESS_REVIEW),
        body=everything_review(),
        options=["--cert", credential.certificate, "--key", credential.key],
        proof=everything_allowed,
        control=lambda: _control(lab),
    )


def _control(lab: Lab) -> str:
    lab.api("GET", SECRETS_IN)
    return "the cluster's first administrator is served"


def _opened(env: Environment) -> Prediction:
    """Predict whether an ordinary user of the master can read the kubeconfig and its key."""
    credential = _credential(env)
    node = env.node(credential.node)
    opened = (may_open(env, node, PERSON, it).claim for it in _wanted(credential))
    return all_of(*(holds(it, ALLOWED) for it in opened))


def _owner(env: Environment) -> Caller:
    return authenticated_as(apiserver_of(env), env, _credential(env))


def _credential(env: Environment) -> Credential:
    """Return the certificate that the administrator's kubeconfig names."""
    for config in env.kubeconfigs:
        if config.path == KUBECONFIG:
            for credential in env.credentials:
                if (credential.node, credential.certificate) == (config.node, config.certificate):
                    return credential
    raise ProbeError(f"{KUBECONFIG} with a client certificate is missing from the environment")


def _wanted(credential: Credential) -> tuple[str, ...]:
    return KUBECONFIG, credential.certificate, credential.key


def _settings(env: Environment) -> list[Setting]:
    credential = _credential(env)
    return settings_of(env, credential.node, (KUBECONFIG, credential.key))


TECHNIQUE = Technique(
    name="admin-kubeconfig",
    title="Act as the administrator with a kubeconfig that anybody on the master can read",
    footholds=(USER_ON_MASTER,),
    grants=(ADMIN,),
    about="",
    properties=(),
    attack=("T1552.001", "T1552.004", "T1078"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-732", "CWE-522"),
    sources=(
        "CIS Kubernetes Benchmark 1.1.13",
        "https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/",
        "https://attack.mitre.org/techniques/T1552/001/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
)
