"""Predict which events an attack leaves in an apiserver's audit log, from the model alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from labkit.cluster import read_environment
from labkit.model import Claim, Foothold, Model, read_model
from labkit.model.audit_trail import recorded
from labkit.techniques import Prediction, SentRequest, Technique

__all__ = ["NONE", "SEEN", "UNKNOWN", "Event", "ExpectedEvent", "Foresight", "foresee"]

SEEN, NONE, UNKNOWN = "seen", "none", "unknown"


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """What an audit event says of a request, in the terms of a prediction.

    Attributes
    ----------
    verb, resource, group, namespace : str
        The resource with its subresource: "pods/exec".
    user : str
        Empty if the caller was refused because nobody knew them.

    Examples
    --------
    >>> print(Event("get", "secrets", "", "shop", "system:kube-scheduler"))
    get secrets in shop by system:kube-scheduler
    """

    verb: str
    resource: str
    group: str
    namespace: str
    user: str

    def __str__(self) -> str:
        place = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{place} by {self.user or 'nobody known'}"


@dataclass(frozen=True, slots=True)
class ExpectedEvent:
    """A request of an attack, and whether it leaves an event.

    Attributes
    ----------
    event : Event
    word : {"seen", "none", "unknown"}
        "none" also if the attacker does not get to send the request.
    because : str
        What decides: the rule of the audit policy, or why the request is not sent.

    Examples
    --------
    >>> event = Event("list", "pods", "", "", "system:kube-proxy")
    >>> ExpectedEvent(event, "none", "no rule of the audit policy matches list pods").word
    'none'
    """

    event: Event
    word: str
    because: str


@dataclass(frozen=True, slots=True)
class Foresight:
    """Which events a technique leaves, from one foothold.

    Attributes
    ----------
    technique : str
    foothold : Foothold
    expected : tuple of ExpectedEvent
        One for each request to the apiserver; empty if the technique passes it by.

    Examples
    --------
    >>> from labkit import techniques
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> for name in ("etcd-read", "scheduler-credential", "node-reads-pods"):
    ...     print(name, foresee(model, techniques[name], techniques[name].footholds[0]).word)
    etcd-read none
    scheduler-credential seen
    node-reads-pods none
    """

    technique: str
    foothold: Foothold
    expected: tuple[ExpectedEvent, ...]

    @property
    def word(self) -> str:
        """Return "seen" if an event is certain, "unknown" if one is possible, or "none"."""
        words = {it.word for it in self.expected}
        return next((word for word in (SEEN, UNKNOWN) if word in words), NONE)

    @property
    def events(self) -> frozenset[Event]:
        """The events that are certain."""
        return frozenset(it.event for it in self.expected if it.word == SEEN)

    @property
    def possible(self) -> frozenset[Event]:
        """The events that may be there or not."""
        return frozenset(it.event for it in self.expected if it.word == UNKNOWN) - self.events

    @property
    def reason(self) -> str:
        """Return in words what decides."""
        if not self.expected:
            return "it sends the apiserver no request"
        chosen = [it for it in self.expected if it.word == self.word]
        if self.word == SEEN:
            return "; ".join(str(it.event) for it in chosen)
        return "; ".join(f"{it.event}: {it.because}" for it in chosen)


def foresee(model: Model, technique: Technique, foothold: Foothold) -> Foresight:
    """Predict which events a technique leaves in the audit log.

    Parameters
    ----------
    model : Model
    technique : Technique
    foothold : Foothold
        One of the technique's footholds.

    Returns
    -------
    Foresight

    Notes
    -----
    The requests of a technique are about the lab's machines and objects. A cluster whose files were
    copied has others. Its audit policy is then held against the requests that the technique sends
    in one of the lab's two modes, as if the attacker got to send each of them.

    Examples
    --------
    >>> from labkit import techniques
    >>> from labkit.model import read_model
    >>> technique = techniques["agent-token"]
    >>> found = foresee(read_model("hardened"), technique, technique.footholds[0])
    >>> print(found.expected[0].event)
    create clusterrolebindings by system:serviceaccount:monitoring:agent
    """
    if model.environment.complete:
        sent = technique.requests(model, foothold)
    else:
        sent = [it for mode in technique.modes for it in _in_the_lab(technique, foothold, mode)]
    return Foresight(technique.name, foothold, tuple(_expected(model, it) for it in sent))


@cache
def _lab_model(mode: str) -> Model:
    return read_model(read_environment(mode))


def _in_the_lab(technique: Technique, foothold: Foothold, mode: str) -> Sequence[SentRequest]:
    found = technique.requests(_lab_model(mode), foothold)
    return [replace(it, sent=Prediction(True, ("as in the lab",))) for it in found]


def _expected(model: Model, request: SentRequest) -> ExpectedEvent:
    action, env = request.action, model.environment
    user = request.caller.user
    event = Event(action.verb, action.resource, action.group, action.namespace, user)
    if request.sent.succeeds is False:
        return ExpectedEvent(event, NONE, f"it is not sent: {'; '.join(request.sent.because)}")
    apiservers = [it for it in env.components if it.kind == "kube-apiserver"]
    claims = [recorded(env, it, request.caller, action) for it in apiservers]
    claim = _agreed(claims)
    if claim is None:
        said = "; ".join(map(str, claims)) or "there is no apiserver in the model"
        return ExpectedEvent(event, UNKNOWN, said)
    if claim.value == "recorded" and request.sent.succeeds is None:
        because = "; ".join(request.sent.because)
        return ExpectedEvent(event, UNKNOWN, f"whether it is sent is not known: {because}")
    word = {"recorded": SEEN, "none": NONE}.get(claim.value, UNKNOWN)
    return ExpectedEvent(event, word, str(claim))


def _agreed(claims: list[Claim]) -> Claim | None:
    """Return the claim of all apiservers, or None if they differ or there is no apiserver."""
    values = {claim.value for claim in claims}
    return claims[0] if len(values) == 1 else None
