"""What the techniques with a component's stolen certificate have in common: it reads a secret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import View
from labkit.model.rights import Action
from labkit.techniques._access import CHANNEL, api_url, may_all
from labkit.techniques._ask import ask
from labkit.techniques._base import SECRETS, Prediction, Technique
from labkit.techniques._reach import Answer, request
from labkit.techniques._secret import true_secret
from labkit.techniques._verdict import Setting, Verdict
from labkit.techniques._worker import WORKER, caller, carried

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = ["ARTICLE", "CARD", "DATABASE", "Stolen", "reads", "technique"]

ARTICLE = "Securing communications in Kubernetes (2016), Least privilege in Kubernetes APIs"
#: Namespace, name and key: of a pod on worker2, and of one on worker1.
CARD = ("payments", "card-processor", "api-key")
DATABASE = ("shop", "db-credentials", "password")


@dataclass(frozen=True, slots=True)
class Stolen:
    """A component's certificate, and the secret that is asked for with it.

    Parameters
    ----------
    kind, node : str
        Whose it is, and on which machine.
    whose : str
        That in words.
    wanted : tuple of str
        Namespace, name and key.
    control : callable
        Given a lab, a foothold and curl's options: shows, after a refusal, what else the
        certificate is good for, and says it.
    """

    kind: str
    whose: str
    wanted: tuple[str, str, str]
    control: Callable[[Lab, str, list[str]], str] = field(repr=False)
    node: str = WORKER


def reads(what: str, path: str, who: str) -> Callable[[Lab, str, list[str]], str]:
    """Make the positive control that the same certificate reads what it is there for."""

    def control(lab: Lab, foothold: str, options: list[str]) -> str:
        own = request(lab, api_url(lab, path), foothold=foothold, options=options)
        if own.refusal:
            raise ProbeError(f"the {who}'s certificate reads no {what}: {own.refusal}")
        return f"the same certificate reads {what}, which a {who} is there for"

    return control


def predict(view: View, stolen: Stolen) -> Prediction:
    """Say what the model says: what the apiserver allows the component."""
    namespace, name, _ = stolen.wanted
    action = Action("get", "secrets", namespace=namespace, name=name)
    return may_all(view, caller(view.env, stolen.kind, stolen.node), [action])


def execute(lab: Lab, foothold: str, name: str, stolen: Stolen) -> Verdict:
    """Ask for the secret with the certificate."""
    secret = true_secret(lab, *stolen.wanted)

    def proof(answer: Answer) -> str:
        if not secret.found_in(answer.body):
            raise ProbeError("the apiserver answered, but not with the secret")
        return f"with the certificate of {stolen.whose}, read: {secret.proof}"

    namespace, what, _ = stolen.wanted
    url = api_url(lab, f"/api/v1/namespaces/{namespace}/secrets/{what}")
    with carried(lab, foothold, stolen.kind, stolen.node) as options:
        return ask(
            lab,
            name,
            foothold,
            url,
            options=options,
            proof=proof,
            control=lambda: stolen.control(lab, foothold, options),
        )


def technique(
    name: str,
    title: str,
    stolen: Stolen,
    *,
    footholds: tuple[str, ...],
    cwe: tuple[str, ...] = ("CWE-269", "CWE-732"),
    sources: tuple[str, ...],
    settings: Callable[[Environment], Sequence[Setting]] | None = None,
) -> Technique:
    """Make the technique that reads a secret with a stolen certificate."""
    return Technique(
        name=name,
        title=title,
        footholds=footholds,
        grants=(SECRETS,),
        about=CHANNEL,
        properties=("authorization",),
        attack=("T1552.004", "T1552.007"),
        stride=("information disclosure", "elevation of privilege"),
        cwe=cwe,
        sources=(ARTICLE, *sources),
        predict=lambda view, foothold: predict(view, stolen),
        execute=lambda lab, foothold: execute(lab, foothold, name, stolen),
        settings=settings,
    )
