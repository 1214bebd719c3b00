"""Requests to the apiserver with a component's stolen certificate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold, Model
from labkit.model.decision import Action
from labkit.techniques._lib.api.access import CHANNEL, api_url, may_all, may_write
from labkit.techniques._lib.api.ask import ask
from labkit.techniques._lib.api.component_credential import WORKER, caller, credential_options
from labkit.techniques._lib.machines.reach import Answer
from labkit.techniques._lib.technique import (
    COPIED_CREDENTIAL,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = ["ApiRequest", "StolenCertificate", "technique"]

ARTICLE = "Securing communications in Kubernetes (2016), Least privilege in Kubernetes APIs"
READING = ("get", "list")


@dataclass(frozen=True, slots=True)
class StolenCertificate:
    """A component's certificate, as the attacker has it.

    Parameters
    ----------
    kind, node : str
        The component, and its machine.
    whose : str
        The component in words, for the evidence.
    control : callable
        Takes a lab, a foothold and curl's options. Called after a refusal, it shows a request that
        the same certificate may send, and returns it in words.
    """

    kind: str
    whose: str
    control: Callable[[Lab, Foothold, list[str]], str] = field(repr=False)
    node: str = WORKER


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request to the apiserver, and what the attacker gains by it.

    Parameters
    ----------
    action : Action
        The action that the authorizers check.
    path : str
        The path with its query.
    proof : callable
        Takes the lab before the request. It returns a function that takes the answer and returns
        the evidence, or raises :class:`ProbeError`.
    attack, stride, cwe : tuple of str
    grants : tuple of Foothold
    method : str
        The HTTP method. The default is GET, or POST with a body.
    body : bytes, optional
    options : tuple of str
        More options of curl.
    leaves : tuple of Trace
        What the request creates, to be undone.
    machines : tuple of str
        The machines that it is about.
    """

    action: Action
    path: str
    proof: Callable[[Lab], Callable[[Answer], str]] = field(repr=False)
    attack: tuple[str, ...]
    stride: tuple[str, ...]
    cwe: tuple[str, ...] = ("CWE-269",)
    grants: tuple[Foothold, ...] = ()
    method: str = ""
    body: bytes | None = field(default=None, repr=False)
    options: tuple[str, ...] = ()
    leaves: tuple[Trace, ...] = ()
    machines: tuple[str, ...] = ()


def predict(model: Model, certificate: StolenCertificate, api_request: ApiRequest) -> Prediction:
    """Predict from the authorizers, then from the admission plugin NodeRestriction."""
    known = caller(model.environment, certificate.kind, certificate.node)
    if api_request.action.verb in READING:
        return may_all(model, known, [api_request.action])
    return may_write(model, known, api_request.action)


def requests(
    model: Model, certificate: StolenCertificate, api_request: ApiRequest
) -> Sequence[SentRequest]:
    """Return the request, as the component whose certificate it is."""
    known = caller(model.environment, certificate.kind, certificate.node)
    return [SentRequest(known, api_request.action)]


def execute(
    lab: Lab, foothold: Foothold, name: str, certificate: StolenCertificate, api_request: ApiRequest
) -> Verdict:
    """Send the request with the certificate, and undo it."""
    proof = api_request.proof(lab)
    with (
        credential_options(lab, foothold, certificate.kind, certificate.node) as options,
        leaving(lab, *api_request.leaves),
    ):
        return ask(
            lab,
            name,
            foothold,
            api_url(lab, api_request.path),
            method=api_request.method,
            body=api_request.body,
            options=[*api_request.options, *options],
            proof=lambda answer: f"with the certificate of {certificate.whose}, {proof(answer)}",
            control=lambda: certificate.control(lab, foothold, options),
        )


def technique(
    name: str,
    title: str,
    certificate: StolenCertificate,
    api_request: ApiRequest,
    *,
    footholds: tuple[Foothold, ...],
    sources: tuple[str, ...],
    settings: Callable[[Environment], Sequence[Setting]] | None = None,
) -> Technique:
    """Make the technique that sends a request with a stolen certificate."""

    def predict_technique(model: Model, foothold: Foothold) -> Prediction:
        """Predict from the authorizers, then from the admission plugin NodeRestriction."""
        return predict(model, certificate, api_request)

    def execute_technique(lab: Lab, foothold: Foothold) -> Verdict:
        """Send the request to the apiserver with the certificate, and undo its effect.

        After a refusal, the same certificate sends a request that its component may send.

        Raises
        ------
        ProbeTimeout
            The apiserver did not answer in time.
        ProbeError
            The answer is neither the expected one nor a known refusal.
        """
        return execute(lab, foothold, name, certificate, api_request)

    def requests_of_technique(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
        """Return the request, as the component whose certificate it is."""
        return requests(model, certificate, api_request)

    copies = ["file"] if COPIED_CREDENTIAL in footholds else []
    return Technique(
        name=name,
        title=title,
        footholds=footholds,
        grants=api_request.grants,
        about=CHANNEL,
        properties=("authorization",),
        attack=api_request.attack,
        stride=api_request.stride,
        cwe=api_request.cwe,
        sources=(ARTICLE, *sources),
        predict=predict_technique,
        execute=execute_technique,
        requests=requests_of_technique,
        settings=settings,
        leaves=tuple(dict.fromkeys([*copies, *(it.kind for it in api_request.leaves)])),
        machines=api_request.machines,
    )
