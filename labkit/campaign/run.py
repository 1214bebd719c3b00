"""Run a campaign: draw a configuration, try it, shrink its differences, return to the plain lab."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from labkit.campaign.draws import Choice, draw, edits_of
from labkit.campaign.outcome import AGREES, DISAGREES, ONCE, UNPROBED, Outcome
from labkit.campaign.shrink import shrink
from labkit.campaign.trial import Trial, try_configuration
from labkit.errors import LabkitError
from labkit.lab.traces import Trace, leaving, undertaking

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.cluster.edits import Edit
    from labkit.lab import Lab
    from labkit.techniques import Technique

__all__ = ["run_campaign"]


def run_campaign(
    lab: Lab,
    seed: int,
    minutes: float,
    *,
    done: Collection[int] = (),
    again: Sequence[Outcome] = (),
    most: int | None = None,
    known: Iterable[Technique] | None = None,
    tell: Callable[[Outcome, float], None] = lambda outcome, seconds: None,
) -> list[Outcome]:
    """Try configurations at random in a lab until a time is over.

    Parameters
    ----------
    lab : Lab
        A running lab. At the end its configuration is the plain one of its mode.
    seed : int
        The seed of the random numbers.
    minutes : float
        A configuration is begun before this time is over, and then ended.
    done : collection of int
        Numbers of configurations to skip.
    again : sequence of Outcome
        Try the settings of these first, under their own seeds and numbers.
    most : int, optional
        The most configurations to try.
    known : iterable of Technique, optional
        The techniques; by default all.
    tell : callable
        Called after each configuration with its outcome and the seconds that it took.

    Returns
    -------
    list of Outcome

    Raises
    ------
    LabError
        The lab is not up, or could not be brought back to its plain configuration.
    LabBusy
        Another process changes the lab.
    """
    known = None if known is None else tuple(known)
    end = time.monotonic() + 60 * minutes
    found: list[Outcome] = []
    with lab.exclusive("campaign"):
        lab.recover()
        lab.apply(())
        plain = lab.environment
        with undertaking("campaign", ("configuration",)):
            for name, choices in _plan(plain, seed, done, again):
                if time.monotonic() > end or len(found) == most:
                    break
                began = time.monotonic()
                with leaving(lab, Trace("configuration", "edits")):
                    outcome = _one(lab, plain, name, choices, known)
                found.append(outcome)
                tell(outcome, time.monotonic() - began)
        lab.wait()
    return found


def _plan(
    plain: Environment, seed: int, done: Collection[int], again: Sequence[Outcome]
) -> Iterator[tuple[tuple[int, int], tuple[Choice, ...]]]:
    """Yield the seed, the number and the settings of each configuration, without an end."""
    for old in again:
        yield (old.seed, old.number), old.settings
    number = 0
    while True:
        number += 1
        if number not in done:
            yield (seed, number), draw(plain, seed, number)


def _one(
    lab: Lab,
    plain: Environment,
    name: tuple[int, int],
    choices: tuple[Choice, ...],
    known: tuple[Technique, ...] | None,
) -> Outcome:
    """Try one configuration, and shrink its differences."""
    edits = edits_of(plain, choices)
    trial = try_configuration(lab, edits, known=known)
    first = trial.differences
    fewest: tuple[Choice, ...] = ()
    differences = first
    verdict = trial.stopped or (UNPROBED if trial.unprobed else AGREES)
    if first:
        places = {it.place for it in first}
        second = try_configuration(lab, edits, places, known, applied=True)
        if second.differences:
            verdict, differences = DISAGREES, second.differences
            places = {it.place for it in differences}

            def appears(some: Sequence[Choice]) -> bool:
                return _differs(lab, edits_of(plain, some), places, known)

            fewest = shrink(choices, appears)
        else:
            verdict = ONCE
    if trial.stopped:
        _clean(lab)
    return Outcome(
        mode=plain.name,
        seed=name[0],
        number=name[1],
        settings=choices,
        verdict=verdict,
        reason=trial.reason,
        cells=trial.cells,
        claims=trial.claims,
        differences=differences,
        unprobed=trial.unprobed,
        fewest=fewest,
    )


def _differs(
    lab: Lab,
    edits: Sequence[Edit],
    places: Collection[tuple[str, str]],
    known: tuple[Technique, ...] | None,
) -> bool:
    """Say whether some of the settings show a difference; the lab is plain before."""
    _clean(lab)
    trial: Trial = try_configuration(lab, edits, places, known)
    if trial.stopped:
        _clean(lab)
    return bool(trial.differences)


def _clean(lab: Lab) -> None:
    """Return the lab to its plain configuration, also after a component that did not start."""
    try:
        lab.apply(())
        lab.wait()
    except LabkitError:
        lab.reset()
