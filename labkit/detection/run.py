"""Fill the detection column of a lab: carry out techniques, and run rules over their events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from labkit.detection.audit_log import RawEvent, open_log
from labkit.detection.cells import Detection, DetectionCell
from labkit.detection.observation import Observation, observe, ordinary_traffic
from labkit.lab import Lab
from labkit.model import read_model
from labkit.techniques import Technique

if TYPE_CHECKING:
    from labkit.detection.sigma_rules import DetectionRule

__all__ = ["detect"]

#: Seconds in which a lab is left alone, to record its ordinary traffic.
IDLE_S = 30.0


def detect(
    lab: Lab,
    known: Sequence[Technique],
    rules: Sequence[DetectionRule] = (),
    *,
    idle: float = IDLE_S,
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
    idle : float
        Seconds in which the lab is left alone.
    tell : callable
        Takes a line on the progress.

    Returns
    -------
    Detection

    Raises
    ------
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
        model = read_model(lab.environment)
        log = open_log(lab, model)
        ordinary: list[RawEvent] = []
        if rules and log.path:
            tell(f"ordinary traffic of {lab.mode}, for {idle:.0f} s")
            ordinary += ordinary_traffic(lab, log, idle)
        places = [
            (technique, foothold)
            for technique in known
            if not technique.why_not(lab.environment)
            for foothold in technique.footholds
        ]
        found = []
        for number, (technique, foothold) in enumerate(places, 1):
            seen = observe(lab, model, log, technique, foothold)
            ordinary += seen.ordinary
            found.append(seen)
            tell(f"{number}/{len(places)} {technique.name}, {foothold}: {seen.verdict}")
    if rules:
        tell(f"{len(rules)} rules over {len(ordinary)} events of ordinary traffic")
    loud = _firing(rules, ordinary)
    return Detection([_cell(lab.mode, it, rules, loud) for it in found], loud)


def _cell(
    mode: str, seen: Observation, rules: Sequence[DetectionRule], loud: Sequence[str]
) -> DetectionCell:
    fires = _firing(rules, seen.attack)
    return DetectionCell(
        environment=mode,
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
