"""The state of one diagram, and its answers to what the page asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Lock
from typing import TYPE_CHECKING

from labkit.analysis import find_threats, reach
from labkit.analysis.attack_graph.queries import usual_starts
from labkit.diagram.controls import flippable, with_flipped
from labkit.diagram.effects import finding_changes, path_changes
from labkit.diagram.paths import found_paths
from labkit.diagram.scene import Json, Seen, scene
from labkit.errors import ConfigError, LabBusy
from labkit.model import GOALS, Model

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.verification import Report

__all__ = ["Session", "rows_of"]


def rows_of(report: Report, model: Model) -> Seen:
    """Return the rows of a report that are about a model's channels, by channel and property.

    Parameters
    ----------
    report : Report
        Of one mode, or of several together: then the model's name chooses.
    model : Model

    Returns
    -------
    mapping of (str, str) to Row

    Examples
    --------
    >>> from labkit.model import read_model
    >>> from labkit.verification import Report
    >>> dict(rows_of(Report([]), read_model("insecure")))
    {}
    """
    modes = {row.mode for row in report.rows}
    chosen = {model.name} if len(modes) > 1 else modes
    return {(row.channel, row.property): row for row in report.rows if row.mode in chosen}


class Session:
    """The state of one diagram: a model, the controls that were flipped, and what was probed.

    Parameters
    ----------
    model : Model
    verification : Report, optional
        What the probes showed.
    lab : Lab, optional
        A running lab of the model's configuration.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> session = Session(read_model("insecure"))
    >>> answer = session.flip({"docker-tcp": True})
    >>> {it["after"] for it in answer["finding_changes"]}
    {'mitigated'}
    """

    def __init__(
        self, model: Model, verification: Report | None = None, lab: Lab | None = None
    ) -> None:
        self.model = model
        self.lab = lab
        self._seen = dict(rows_of(verification, model)) if verification is not None else {}
        self._findings = find_threats(model)
        self._reach = reach(model)
        self._in_place = flippable(model)
        self._wanted: dict[str, bool] = {}
        self._in_lab = dict(self._in_place)
        self._shown = model
        self._one_flip = Lock()

    def flip(self, wanted: dict[str, bool]) -> Json:
        """Return what the page shows with controls flipped in the model.

        Parameters
        ----------
        wanted : dict of str to bool
            Every control that differs from the start, and whether it shall be in place.

        Returns
        -------
        dict

        Raises
        ------
        ConfigError
            There is no control of that name, or it does not fit the model.
        """
        differing = {
            name: on for name, on in sorted(wanted.items()) if self._in_place.get(name) != on
        }
        if unknown := [name for name in differing if name not in self._in_place]:
            raise ConfigError(
                f"control {unknown[0]} cannot be flipped in {self.model.name}",
                hint="choose one of the list",
            )
        self._shown = with_flipped(self.model, differing)
        self._wanted = differing
        return self.shown()

    def shown(self) -> Json:
        """Return what the page shows at present."""
        findings, reached = self._findings, self._reach
        if self._wanted:
            findings, reached = find_threats(self._shown), reach(self._shown)
        return {
            **scene(self.model, self._shown, findings, self._seen),
            "findings": findings.summary(),
            "controls": [self._control(name) for name in self._in_place],
            "finding_changes": finding_changes(self._findings, findings),
            "path_changes": path_changes(self._reach, reached),
            "starts": [{"word": it.word, "text": str(it)} for it in usual_starts(self._shown)],
            "goals": [{"word": it.word, "text": str(it)} for it in GOALS],
            "lab": f"{self.lab.name} ({self.lab.mode})" if self.lab is not None else "",
        }

    def paths(self, start: str, goal: str) -> Json:
        """Return the attack paths of the model that is shown.

        Parameters
        ----------
        start, goal : str
            As :func:`labkit.attack_paths` takes them.

        Returns
        -------
        dict

        Raises
        ------
        ConfigError
            There is no such foothold or goal in the model.
        """
        return found_paths(self._shown, start, goal)

    def flip_in_lab(self, name: str, on: bool, tell: Callable[[str], None]) -> Json:
        """Flip a control in the lab and in the model, and probe the channels that it changed.

        Parameters
        ----------
        name : str
        on : bool
        tell : callable
            Is called with a line of text for each step.

        Returns
        -------
        dict
            What the page shows then; ``verified`` is a summary of the probes.

        Raises
        ------
        LabkitError
            No lab is attached, another flip runs, or the lab refuses.
        """
        # Docker's client is loaded only where there is a lab
        from labkit.diagram.in_lab import flip_and_verify

        if self.lab is None:
            raise ConfigError("no lab is attached", hint="living_diagram(model, lab=lab)")
        if not self._one_flip.acquire(blocking=False):
            raise LabBusy("another control is being flipped in the lab", hint="wait for its end")
        try:
            model, report = flip_and_verify(self.lab, name, on, tell)
        finally:
            self._one_flip.release()
        self._in_lab = {key: key in _held(model, self._in_lab) for key in self._in_lab}
        self._seen |= rows_of(report, model)
        shown = self.flip({**self._wanted, name: on})
        verified = report.summary() if report.rows else "no channel's claims changed"
        return {**shown, "verified": verified}

    def _control(self, name: str) -> Json:
        from labkit import controls

        it = controls[name]
        return {
            "name": name,
            "title": it.title,
            "why": it.why,
            "changes": it.changes,
            "from_start": self._in_place[name],
            "in_model": self._wanted.get(name, self._in_place[name]),
            "in_lab": self._in_lab[name] if self.lab is not None else None,
        }


def _held(model: Model, names: Iterable[str]) -> set[str]:
    from labkit import controls

    return {name for name in names if controls[name].holds(model)}
