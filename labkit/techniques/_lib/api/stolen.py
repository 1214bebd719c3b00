"""What somebody asks of the apiserver with a component's stolen certificate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.model import Foothold, Model
from labkit.model.rights import Action
from labkit.techniques._lib.api.access import CHANNEL, api_url, may_all, may_write
from labkit.techniques._lib.api.ask import ask
from labkit.techniques._lib.api.worker import WORKER, caller, carried
from labkit.techniques._lib.machines.reach import Answer
from labkit.techniques._lib.technique import Prediction, Technique
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = ["Deed", "Stolen", "technique"]

ARTICLE = "Securing communications in Kubernetes (2016), Least privilege in Kubernetes APIs"
READING = ("get", "list")


@dataclass(frozen=True, slots=True)
class Stolen:
    """A component's certificate.

    Parameters
    ----------
    kind, node : str
        Whose it is, and on which machine.
    whose : str
        That in words.
    control : callable
        Given a lab, a foothold and curl's options: shows, after a refusal, what else the
        certificate is good for, and says it.
    """

    kind: str
    whose: str
    control: Callable[[Lab, Foothold, list[str]], str] = field(repr=False)
    node: str = WORKER


@dataclass(frozen=True, slots=True)
class Deed:
    """One request, and what it gives.

    Parameters
    ----------
    action : Action
        What the apiserver's authorizers are asked.
    path : str
        With the query.
    proof : callable
        Takes the lab before anything is asked, and returns what says of an answer what the
        attacker has by it, or raises :class:`ProbeError`.
    attack, stride, cwe : tuple of str
    grants : tuple of str
    method : str
    body : bytes, optional
    options : tuple of str
        More of curl's.
    undo : callable
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
    undo: Callable[[Lab], object] = field(default=lambda lab: None, repr=False)


def predict(model: Model, stolen: Stolen, deed: Deed) -> Prediction:
    """Say what the model says: the authorizers first, then the admission plugin for kubelets."""
    known = caller(model.environment, stolen.kind, stolen.node)
    if deed.action.verb in READING:
        return may_all(model, known, [deed.action])
    return may_write(model, known, deed.action)


def execute(lab: Lab, foothold: Foothold, name: str, stolen: Stolen, deed: Deed) -> Verdict:
    """Do it with the certificate, and undo it unless it was refused."""
    proof, refused = deed.proof(lab), False
    with carried(lab, foothold, stolen.kind, stolen.node) as options:
        try:
            verdict = ask(
                lab,
                name,
                foothold,
                api_url(lab, deed.path),
                method=deed.method,
                body=deed.body,
                options=[*deed.options, *options],
                proof=lambda answer: f"with the certificate of {stolen.whose}, {proof(answer)}",
                control=lambda: stolen.control(lab, foothold, options),
            )
            refused = not verdict.succeeded
        finally:
            if not refused:
                deed.undo(lab)
    return verdict


def technique(
    name: str,
    title: str,
    stolen: Stolen,
    deed: Deed,
    *,
    footholds: tuple[Foothold, ...],
    sources: tuple[str, ...],
    settings: Callable[[Environment], Sequence[Setting]] | None = None,
) -> Technique:
    """Make the technique that does something with a stolen certificate."""
    return Technique(
        name=name,
        title=title,
        footholds=footholds,
        grants=deed.grants,
        about=CHANNEL,
        properties=("authorization",),
        attack=deed.attack,
        stride=deed.stride,
        cwe=deed.cwe,
        sources=(ARTICLE, *sources),
        predict=lambda model, foothold: predict(model, stolen, deed),
        execute=lambda lab, foothold: execute(lab, foothold, name, stolen, deed),
        settings=settings,
    )
