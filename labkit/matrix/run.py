"""Fill the truth matrix: flip a control, try every technique, compare, flip back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit import controls, techniques
from labkit.cluster import Environment
from labkit.controls import with_controls
from labkit.errors import LabkitError
from labkit.lab.traces import Trace, leaving, undertaking
from labkit.matrix.cells import UNPROBED, Cell
from labkit.model import Foothold, Model, read_model
from labkit.techniques import Technique

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["Variant", "combinations", "run_matrix", "try_cell", "variants"]

#: The number of attempts for a result, and the seconds between two. A component that was just
#: restarted may not have found its peers yet, and itself retries after some seconds.
ATTEMPTS, PAUSE_S = 3, 5.0


@dataclass(frozen=True, slots=True)
class Variant:
    """A mode without a flip, or with flipped controls.

    Attributes
    ----------
    mode : str
        The environment's name.
    control, direction : str or None
        The flipped control (several with "+" between them), and "on" or "off"; None for no flip.

    Examples
    --------
    >>> str(Variant("insecure", "etcd-tls+etcd-users", "on"))
    'insecure, 2 controls on'
    """

    mode: str
    control: str | None = None
    direction: str | None = None

    def environment(self, plain: Environment) -> Environment:
        """Return the mode's environment with the controls flipped.

        Parameters
        ----------
        plain : Environment
            The environment without a flip.

        Returns
        -------
        Environment

        Raises
        ------
        NoSuchName
            There is no such control.
        """
        names = self.control.split("+") if self.control else []
        return with_controls(plain, dict.fromkeys(names, self.direction == "on"))

    def __str__(self) -> str:
        if self.control is None:
            return self.mode
        count = self.control.count("+") + 1
        what = self.control if count == 1 else f"{count} controls"
        return f"{self.mode}, {what} {self.direction}"

    @property
    def key(self) -> tuple[str, str | None, str | None]:
        """The mode, the control and the direction, as in `Cell.variant`."""
        return self.mode, self.control, self.direction


def variants(env: Environment, names: Iterable[str] | None = None) -> list[Variant]:
    """Return the plain mode, and the mode with each control flipped alone.

    Parameters
    ----------
    env : Environment
        The environment of the mode.
    names : iterable of str, optional
        The names of the controls; by default all. Those that do not apply are left out.

    Returns
    -------
    list of Variant
        The plain mode first.

    Raises
    ------
    NoSuchName
        There is no control of a name.

    Examples
    --------
    >>> from labkit import read_environment
    >>> [str(v) for v in variants(read_environment("hardened"), ["kubelet-anonymous"])]
    ['hardened', 'hardened, kubelet-anonymous off']
    """
    chosen = controls.values() if names is None else [controls[name] for name in names]
    model = read_model(env)
    flips = [
        Variant(env.name, control.name, "off" if control.holds(model) else "on")
        for control in chosen
        if not control.why_not(env)
    ]
    return [Variant(env.name), *flips]


def combinations(env: Environment, count: int, seed: int) -> list[Variant]:
    """Return random combinations of controls; the same seed gives the same combinations.

    Parameters
    ----------
    env : Environment
        The environment of the mode.
    count : int
        The number of combinations.
    seed : int
        The seed of the random numbers.

    Returns
    -------
    list of Variant
        Each flips at least two controls, all in the same direction.

    Examples
    --------
    >>> from labkit import read_environment
    >>> first, second = combinations(read_environment("insecure"), 2, seed=4)
    >>> first == combinations(read_environment("insecure"), 1, seed=4)[0]
    True
    """
    chance = random.Random(f"{env.name} {seed}")  # noqa: S311 - a sample, not a secret
    single = variants(env)[1:]
    ways = {way: [v.control for v in single if v.direction == way] for way in ("on", "off")}
    found: list[Variant] = []
    while len(found) < count:
        way, names = max(ways.items(), key=lambda item: len(item[1]))
        chosen = chance.sample(names, k=chance.randint(2, len(names)))
        found.append(Variant(env.name, "+".join(sorted(map(str, chosen))), way))
    return found


def run_matrix(
    lab: Lab,
    wanted: Sequence[Variant],
    *,
    known: Sequence[Technique] | None = None,
    done: Collection[tuple[object, ...]] = (),
    tell: Callable[[Variant, list[Cell], float], None] = lambda variant, cells, seconds: None,
) -> list[Cell]:
    """Try every technique from every foothold in each variant of a lab.

    Parameters
    ----------
    lab : Lab
        A running lab. At the end its configuration is the plain one of its mode.
    wanted : sequence of Variant
        Variants of the lab's mode.
    known : sequence of Technique, optional
        The techniques; by default all. Those that do not apply to the lab are left out.
    done : collection of tuple
        Cells to skip: mode, control, direction, technique and foothold of each.
    tell : callable
        Called after each variant with the variant, its cells and their duration in seconds.

    Returns
    -------
    list of Cell
        The new cells. An error of a technique makes its cell "unprobed".

    Raises
    ------
    LabError
        The lab is not up, or a component did not become ready after a flip.
    LabBusy
        Another process changes the lab.
    """
    with lab.exclusive("matrix"):
        return _run(lab, wanted, known, done, tell)


def _run(
    lab: Lab,
    wanted: Sequence[Variant],
    known: Sequence[Technique] | None,
    done: Collection[tuple[object, ...]],
    tell: Callable[[Variant, list[Cell], float], None],
) -> list[Cell]:
    known = tuple(techniques.values()) if known is None else known
    found: list[Cell] = []
    lab.recover()
    lab.apply(())
    plain = lab.environment
    with undertaking("matrix", ("configuration",)), leaving(lab, Trace("configuration", "edits")):
        for variant in wanted:
            places = [
                (technique, foothold)
                for technique in known
                if not technique.why_not(plain)
                for foothold in technique.footholds
                if (*variant.key, technique.name, str(foothold)) not in done
            ]
            if not places:
                continue
            began = time.monotonic()
            cells = _variant(lab, plain, variant, places)
            found += cells
            tell(variant, cells, time.monotonic() - began)
    lab.wait()
    return found


def _variant(
    lab: Lab, plain: Environment, variant: Variant, places: Sequence[tuple[Technique, Foothold]]
) -> list[Cell]:
    lab.apply(variant.environment(plain).edits)
    lab.wait()
    model = read_model(lab.environment)
    return [try_cell(lab, model, variant, technique, foothold) for technique, foothold in places]


def try_cell(
    lab: Lab,
    model: Model,
    variant: Variant,
    technique: Technique,
    foothold: Foothold,
    attempts: int = ATTEMPTS,
) -> Cell:
    """Try one technique from one foothold in a lab as it is, and compare with the prediction.

    Parameters
    ----------
    lab : Lab
        A running lab that this process has locked (:meth:`Lab.exclusive`).
    model : Model
        The model of the lab's present configuration.
    variant : Variant
        What the cell is of.
    technique : Technique
    foothold : Foothold
    attempts : int
        The most attempts for a result.

    Returns
    -------
    Cell
        "unprobed" if the technique still raises an error at the last attempt.
    """
    predicted = technique.predict(model, foothold).word
    observed, reason = UNPROBED, ""
    for attempt in range(attempts):
        if attempt:
            time.sleep(PAUSE_S)
        try:
            verdict = technique.run(lab, foothold)
        except LabkitError as error:
            reason = error.message
        else:
            observed, reason = verdict.word, verdict.reason
            break
    return Cell(
        environment=variant.mode,
        control=variant.control,
        direction=variant.direction,
        foothold=str(foothold),
        technique=technique.name,
        predicted=predicted,
        observed=observed,
        reason=reason,
        agree=observed == predicted,
    )
