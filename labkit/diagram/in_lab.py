"""Flip a control in a running lab, and probe the channels that it changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labkit.controls._in_lab import flip_in_lab
from labkit.lab import Lab
from labkit.lab.progress import ProgressStep
from labkit.model import PROPERTIES, Model, read_model
from labkit.verification import Report, verify

__all__ = ["changed_channels", "flip_and_verify"]


@dataclass(frozen=True, slots=True)
class _Telling:
    """A reporter that hands each line to a function."""

    tell: Callable[[str], None]

    def line(self, text: str) -> None:
        """Hand on the latest line of a step."""
        if text.strip():
            self.tell(text.strip())

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[ProgressStep]:
        """Hand on the title of a step."""
        self.tell(title)
        yield self


def changed_channels(before: Model, after: Model) -> list[str]:
    """Return the ids of the channels of a model that another model lacks, or claims otherwise.

    Parameters
    ----------
    before, after : Model

    Returns
    -------
    list of str
        In the order of `after`.

    Examples
    --------
    >>> from labkit.analysis import with_control
    >>> model = read_model("insecure")
    >>> changed_channels(model, with_control(model, "kubelet-read-only-port"))[0]
    'anyone@network -> kubelet@worker1:10255'
    """

    def values(model: Model) -> dict[str, list[str]]:
        return {it.id: [getattr(it, name).value for name in PROPERTIES] for it in model.channels}

    old = values(before)
    return [key for key, found in values(after).items() if old.get(key) != found]


def flip_and_verify(
    lab: Lab, name: str, on: bool, tell: Callable[[str], None]
) -> tuple[Model, Report]:
    """Flip a control in a running lab, and probe the channels that it changed.

    Parameters
    ----------
    lab : Lab
    name : str
        The control.
    on : bool
        True puts it in place, False takes it out.
    tell : callable
        Is called with a line of text for each step.

    Returns
    -------
    model : Model
        The model of what the lab runs now.
    report : Report
        The rows of the changed channels; empty if no channel's claims changed.

    Raises
    ------
    LabkitError
        The lab is not up or busy, the control does not fit, or a component did not come back.

    Examples
    --------
    >>> flip_and_verify(Lab("insecure"), "docker-tcp", True, print)  # doctest: +SKIP
    """
    from labkit import controls

    before = read_model(lab.environment)
    reporter, lab.reporter = lab.reporter, _Telling(tell)
    try:
        flip_in_lab(lab, controls[name], on)
        model = read_model(lab.environment)
        changed = changed_channels(before, model)
        return model, verify(lab, model, only=changed) if changed else Report([])
    finally:
        lab.reporter = reporter
