"""Fill the detection column of a lab: carry out techniques, and run rules over their events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from labkit.detection.audit_log import AuditLog, RawEvent, open_log
from labkit.detection.cells import Detection, DetectionCell
from labkit.detection.observation import Observation, observe, ordinary_traffic
from labkit.detection.prediction import Event, foresee
from labkit.lab import Lab
from labkit.lab.traces import Trace, leaving, undertaking
from labkit.matrix import Variant, variants
from labkit.model import Foothold, Model, read_model
from labkit.techniques import Technique

if TYPE_CHECKING:
    from labkit.detection.sigma_rules import DetectionRule

__all__ = ["TRAFFIC_S", "Place", "detect", "foreseen"]

#: A technique, and one of its footholds.
Place = tuple[Technique, Foothold]
#: Seconds in which nobody attacks a lab, to record its ordinary traffic.
TRAFFIC_S = 30.0


def detect(
    lab: Lab,
    known: Sequence[Technique],
    rules: Sequence[DetectionRule] = (),
    *,
    flipped: Iterable[str] = (),
    traffic: float = TRAFFIC_S,
    tell: Callable[[str], None] = lambda line: None,
) -> Detection:
    """Carry out techniques in a lab, and say who would have seen them.

    Parameters
    ----------
    lab : Lab
        A running lab.
    known : sequence of Technique
        The techniques, each from all its footholds. Those that do not apply are left out.
    rules : sequence of DetectionRule
        They are run over the events of each technique, and over those of ordinary traffic: of the
        lab while nobody attacks it, and of all that was not the attack while the techniques ran,
        such as their preparation and their positive controls.
    flipped : iterable of str
        The names of controls, each flipped alone afterwards. Those techniques are tried again whose
        ending or whose events are predicted to differ then.
    traffic : float
        Seconds in which nobody attacks the lab, and its administrator works.
    tell : callable
        Takes a line on the progress.

    Returns
    -------
    Detection

    Raises
    ------
    NoSuchName
        There is no control of a name.
    LabkitError
        The lab is not up, or its audit events go where labkit does not read them.
    LabBusy
        Another process changes the lab.

    Examples
    --------
    >>> from labkit import techniques
    >>> from labkit.detection.sigma_rules import own_rules
    >>> known, rules = [techniques["agent-token"]], own_rules().rules
    >>> print(detect(Lab("hardened"), known, rules).table())  # doctest: +SKIP
    """
    with lab.exclusive("detect"):
        lab.recover()
        plain, *flips = variants(lab.environment, flipped)
        model = read_model(lab.environment)
        log = open_log(lab, model)
        ordinary: list[RawEvent] = []
        if rules and log.path:
            tell(f"ordinary traffic of {lab.mode}, for {traffic:.0f} s")
            ordinary += ordinary_traffic(lab, log, traffic, tell)
        places = [
            (technique, foothold)
            for technique in known
            if not technique.why_not(lab.environment)
            for foothold in technique.footholds
        ]
        found = _observe(lab, model, log, plain, places, tell)
        if flips:
            found += _flip(lab, model, flips, places, tell)
    ordinary += [event for _, seen in found for event in seen.ordinary]
    if rules:
        tell(f"{len(rules)} rules over {len(ordinary)} events of ordinary traffic")
    loud = _firing(rules, ordinary)
    return Detection([_cell(*each, rules, loud) for each in found], loud)


def foreseen(model: Model, place: Place) -> tuple[str, str, frozenset[Event], frozenset[Event]]:
    """Return what is predicted of a technique from a foothold, to compare it with a flip.

    Parameters
    ----------
    model : Model
    place : tuple of Technique and Foothold

    Returns
    -------
    outcome : {"succeeded", "refused", "unknown"}
    word : {"seen", "none", "unknown"}
        Whether it leaves an event.
    events, possible : frozenset of Event

    Examples
    --------
    >>> from labkit import techniques
    >>> technique = techniques["pod-token"]
    >>> foreseen(read_model("hardened"), (technique, technique.footholds[0]))[:2]
    ('refused', 'none')
    """
    technique, foothold = place
    found = foresee(model, technique, foothold)
    return technique.predict(model, foothold).word, found.word, found.events, found.possible


def _flip(
    lab: Lab,
    usual: Model,
    flips: Sequence[Variant],
    places: Sequence[Place],
    tell: Callable[[str], None],
) -> list[tuple[Variant, Observation]]:
    """Flip one control after the other, and observe what the model predicts otherwise then."""
    plain = lab.environment
    before = {place: foreseen(usual, place) for place in places}
    found = []
    with undertaking("detect", ("configuration",)), leaving(lab, Trace("configuration", "edits")):
        for variant in flips:
            changed = variant.environment(plain)
            model = read_model(changed)
            others = [it for it in places if foreseen(model, it) != before[it]]
            if not others:
                tell(f"{variant}: every prediction is as without")
                continue
            lab.apply(changed.edits)
            lab.wait()
            found += _observe(lab, model, open_log(lab, model), variant, others, tell)
    lab.wait()
    return found


def _observe(
    lab: Lab,
    model: Model,
    log: AuditLog,
    variant: Variant,
    places: Sequence[Place],
    tell: Callable[[str], None],
) -> list[tuple[Variant, Observation]]:
    found = []
    for number, (technique, foothold) in enumerate(places, 1):
        seen = observe(lab, model, log, technique, foothold)
        found.append((variant, seen))
        tell(f"{variant}: {number}/{len(places)} {technique.name}, {foothold}: {seen.verdict}")
    return found


def _cell(
    variant: Variant, seen: Observation, rules: Sequence[DetectionRule], loud: Sequence[str]
) -> DetectionCell:
    fires = _firing(rules, seen.attack)
    return DetectionCell(
        environment=variant.mode,
        control=variant.control,
        direction=variant.direction,
        foothold=str(seen.foresight.foothold),
        technique=seen.foresight.technique,
        outcome=seen.outcome,
        predicted=seen.foresight.word,
        observed=seen.word,
        verdict=seen.verdict,
        events=tuple(map(str, sorted(seen.events))),
        reason=seen.reason or seen.difference,
        fires=fires,
        on_ordinary=tuple(name for name in fires if name in loud),
        rules_run=bool(rules),
    )


def _firing(rules: Sequence[DetectionRule], events: Sequence[RawEvent]) -> tuple[str, ...]:
    if not rules or not events:
        return ()
    from labkit.detection.sigma_rules import Table  # needs an extra

    with Table(events, rules) as table:
        return tuple(rule.name for rule in rules if table.fires(rule))
