"""Put a control in place in a running lab, or take it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.controls._base import Control

if TYPE_CHECKING:
    from labkit.lab import Lab, Timings

__all__ = ["flip_in_lab"]


def flip_in_lab(lab: Lab, control: Control, on: bool) -> Timings | None:
    """Put a control in place in a running lab, or take it out.

    An interrupted change of the lab is undone first.

    Parameters
    ----------
    lab : Lab
    control : Control
    on : bool
        True puts the control in place, False takes it out.

    Returns
    -------
    Timings or None
        None if the control already is as wanted, and nothing was changed.

    Raises
    ------
    ConfigError
        The control does not fit the lab's configuration.
    LabBusy
        Another process changes the lab.
    NoSuchLab
        The lab is not up.
    StartTimeout
        A component did not become ready again.

    Examples
    --------
    >>> from labkit import Lab, controls
    >>> flip_in_lab(Lab("insecure"), controls["docker-tcp"], on=True)  # doctest: +SKIP
    """
    from labkit.lab.traces import undertaking

    title = f"control {'on' if on else 'off'} {control.name}"
    with lab.exclusive(title), undertaking(title, control.leaves):
        lab.recover()
        edits = control.flip(lab.environment, on)
        return None if edits == lab.environment.edits else lab.apply(edits)
