"""Carry out a technique in a lab, and collect the events that it leaves in the audit log."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labkit.detection.audit_log import AuditLog, RawEvent
from labkit.detection.prediction import NONE, SEEN, UNKNOWN, Event, Foresight, foresee
from labkit.errors import LabkitError
from labkit.lab import Lab
from labkit.matrix.run import ATTEMPTS, PAUSE_S
from labkit.model import Foothold, Model
from labkit.techniques import ATTACK, CONTROL, Technique, marked

__all__ = ["UNPROBED", "Observation", "event_of", "observe", "ordinary_traffic"]

#: HTTP statuses.
REFUSED = (401, 403)
UNPROBED, AGREE, DISAGREE, FOUND_OUT = "unprobed", "agree", "disagree", "found out"


@dataclass(frozen=True, slots=True)
class Observation:
    """The events that a technique left, beside the prediction.

    Attributes
    ----------
    foresight : Foresight
    outcome : str
        How the attack itself ended: "succeeded", "refused" or "unprobed".
    attack : tuple of RawEvent
        The events of the attacker's own requests.
    ordinary : tuple of RawEvent
        All other events of that time: those of the cluster's components, of the administrator who
        prepared the attack and removed its traces, and of the attack's positive control.
    reason : str
        Why the cell is unprobed.
    """

    foresight: Foresight
    outcome: str
    attack: tuple[RawEvent, ...] = ()
    ordinary: tuple[RawEvent, ...] = ()
    reason: str = ""

    @property
    def events(self) -> frozenset[Event]:
        """The events of the attack, in the terms of a prediction."""
        return frozenset(map(event_of, self.attack))

    @property
    def word(self) -> str:
        """Return "seen", "none" or "unprobed"."""
        if self.outcome == UNPROBED:
            return UNPROBED
        return SEEN if self.attack else NONE

    @property
    def verdict(self) -> str:
        """Return "agree", "disagree", "unprobed", or "found out" what the model does not know.

        The events must be the predicted ones, and not just as many.
        """
        if self.outcome == UNPROBED:
            return UNPROBED
        if self.foresight.events - self.events:
            return DISAGREE
        if self.events - self.foresight.events - self.foresight.possible:
            return DISAGREE
        return FOUND_OUT if self.foresight.word == UNKNOWN else AGREE

    @property
    def difference(self) -> str:
        """Return in words which events are missing, and which nobody predicted."""
        missing = sorted(self.foresight.events - self.events)
        more = sorted(self.events - self.foresight.events - self.foresight.possible)
        parts = [f"not in the log: {it}" for it in missing]
        return "; ".join([*parts, *(f"in the log, not predicted: {it}" for it in more)])


def event_of(raw: RawEvent) -> Event:
    """Return what an event of the log says, in the terms of a prediction.

    Parameters
    ----------
    raw : RawEvent

    Returns
    -------
    Event

    Examples
    --------
    >>> print(event_of({"verb": "get", "user": {"username": "alice"},
    ...                 "objectRef": {"resource": "pods", "subresource": "exec"}}))
    get pods/exec by alice
    """
    about = raw.get("objectRef") or {}
    resource = "/".join(filter(None, (about.get("resource", ""), about.get("subresource", ""))))
    return Event(
        verb=raw.get("verb", ""),
        resource=resource or raw.get("requestURI", "").partition("?")[0],
        group=about.get("apiGroup", ""),
        namespace=about.get("namespace", ""),
        user=(raw.get("user") or {}).get("username", ""),
    )


def observe(
    lab: Lab,
    model: Model,
    log: AuditLog,
    technique: Technique,
    foothold: Foothold,
) -> Observation:
    """Carry out a technique from one foothold, and return the events that it left.

    Parameters
    ----------
    lab : Lab
        A running lab that this process has locked (:meth:`Lab.exclusive`).
    model : Model
        The model of the lab's present configuration.
    log : AuditLog
    technique : Technique
    foothold : Foothold

    Returns
    -------
    Observation
        Of the last attempt alone. "unprobed" if the technique still raises an error there, or if
        the log cannot be read.
    """
    foresight = foresee(model, technique, foothold)
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S)
        run = secrets.token_hex(8)
        try:
            mark = log.mark()
            with marked(run):
                verdict = technique.run(lab, foothold)
            events = log.since(mark, _complete(foresight, run))
        except LabkitError as error:
            reason = error.message
            continue
        own = [it for it in events if _is_of(it, run)]
        others = tuple(filter(_is_ordinary, events))
        return Observation(foresight, verdict.word, tuple(own), others)
    return Observation(foresight, UNPROBED, reason=reason)


def ordinary_traffic(
    lab: Lab,
    log: AuditLog,
    seconds: float,
    tell: Callable[[str], None] = lambda line: None,
) -> list[RawEvent]:
    """Return the events of a lab in which nobody attacks, and in which its administrator works.

    Parameters
    ----------
    lab : Lab
    log : AuditLog
    seconds : float
        How long. The administrator works once in each round of a minute; for the rest of it, the
        lab is left alone with its components.
    tell : callable
        Takes a line on the progress after each round but the last.

    Returns
    -------
    list of RawEvent

    Raises
    ------
    LabkitError
        The administrator is refused, or the log cannot be read.
    """
    found: dict[str, RawEvent] = {}
    began, mark = time.monotonic(), log.mark()
    while True:
        start = time.monotonic()
        for arguments in WORK:
            lab.kubectl(*arguments)
        end = min(start + ROUND_S, began + seconds)
        time.sleep(max(0.0, end - time.monotonic()))
        following = log.mark()  # before the log is read, so that no event falls between two rounds
        events = filter(_is_ordinary, log.since(mark))
        # one that is read in two rounds counts once; a client may give many the same audit id
        found |= {json.dumps(it, sort_keys=True): it for it in events}
        mark, passed = following, time.monotonic() - began
        if passed >= seconds:
            return list(found.values())
        minutes = f"{passed / 60:.0f} of {seconds / 60:.0f} min"
        tell(f"{minutes}: {len(found)} events of ordinary traffic")


#: Seconds of a round of ordinary traffic: the administrator works once in each.
ROUND_S = 60.0
NAME = "labkit-ordinary"
#: What an administrator does every day: look, read a secret, run a command, and change objects.
WORK = (
    ("get", "nodes,pods,services", "--all-namespaces"),
    ("get", "secret", "db-credentials", "--namespace=shop", "--output=name"),
    ("logs", "--namespace=shop", "web", "--tail=1"),
    ("exec", "--namespace=shop", "web", "--", "true"),
    ("auth", "whoami"),
    ("auth", "can-i", "--list", "--namespace=shop"),
    ("describe", "nodes"),
    ("describe", "pods", "--namespace=shop"),
    ("get", "events", "--all-namespaces"),
    ("get", "--raw=/readyz?verbose"),
    ("create", "deployment", NAME, "--image=labkit/pause", "--dry-run=server"),
    ("cordon", "worker1", "--dry-run=server"),
    ("create", "configmap", NAME, "--dry-run=server"),
    ("create", "token", "default", "--namespace=shop"),
    ("label", "node", "worker1", f"{NAME}=1", "--dry-run=server"),
    ("create", "clusterrolebinding", NAME, "--clusterrole=view", "--user=bob", "--dry-run=server"),
)


def _complete(foresight: Foresight, run: str) -> Callable[[Sequence[RawEvent]], bool]:
    def complete(events: Sequence[RawEvent]) -> bool:
        return foresight.events <= {event_of(it) for it in events if _is_of(it, run)}

    return complete


def _is_of(event: RawEvent, run: str) -> bool:
    return bool(event.get("auditID") == f"{ATTACK}-{run}")


def _is_ordinary(event: RawEvent) -> bool:
    """Say whether an event is of a legitimate client.

    A positive control may try the attacker's own credential first, for less than the attack asked
    for: if that is refused, it was one attempt more.
    """
    ident = str(event.get("auditID", ""))
    if ident.startswith(CONTROL):
        return (event.get("responseStatus") or {}).get("code") not in REFUSED
    return not ident.startswith(ATTACK)
