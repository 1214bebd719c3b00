"""Attach to running labs from notebooks and scripts."""

from __future__ import annotations

import os

from labkit.errors import LabBusy, LabError, NoSuchLab
from labkit.lab.lab import Lab
from labkit.lab.light import mode_that_is_up
from labkit.lab.progress import QuietReporter

__all__ = ["attach", "chosen_name"]


def attach(*modes: str, name: str | None = None) -> tuple[Lab, ...]:
    """Return the running labs of the given modes; print nothing.

    A mode of which only the light lab is up ("light-insecure") stands for that lab.

    Parameters
    ----------
    *modes : str
        "insecure", "hardened", or folders of environments.
    name : str, optional
        The labs' name; by default the value of ``LABKIT_NAME``, else "default".

    Returns
    -------
    tuple of Lab
        One for each mode, in the order of the arguments.

    Raises
    ------
    ConfigError
        A mode is not an environment, or the name is not a lab's name.
    EngineError
        Docker Engine does not answer.
    LabBusy
        A lab is not ready because another process changes it, and that process does not end.
    NoSuchLab
        A lab is not up; the hint is the command that brings up all that are missing.
    LabError
        A lab was made from other files than those of its mode.

    Examples
    --------
    Two labs in a notebook::

        insecure, hardened = labkit.attach("insecure", "hardened")
    """
    name = chosen_name(name)
    labs = tuple(
        Lab(mode_that_is_up(mode, name), name=name, reporter=QuietReporter()) for mode in modes
    )
    for number, lab in enumerate(labs):
        status = lab.status()
        if status.may_recover:
            _wait_for_change(lab)
            status = lab.status()
        if status.state != "ready":
            later = zip(modes[number + 1 :], labs[number + 1 :], strict=True)
            missing = [modes[number], *(it for it, each in later if each.status().state != "ready")]
            named = "" if name == "default" else f" --name {name}"
            raise NoSuchLab(
                f"lab {name} ({lab.mode}) is not up: it is {status.state}",
                evidence=status.lines(),
                hint=f"labkit up{''.join(f' --mode {it}' for it in missing)}{named}",
            )
        if status.other_files:
            lab.require_same_files()
    return labs


def _wait_for_change(lab: Lab) -> None:
    """Wait while another notebook or command changes the lab, and until it answers again.

    Raises
    ------
    LabBusy
        The other one does not end; the message says who it is.
    """
    try:
        with lab.exclusive("attach"):
            pass
    except LabBusy:
        raise
    except LabError:
        pass  # its status says why


def chosen_name(name: str | None) -> str:
    """Return a lab's name, or that of the labs that a person chose for the session.

    Parameters
    ----------
    name : str or None
        None for the value of ``LABKIT_NAME``, else "default".

    Returns
    -------
    str

    Examples
    --------
    >>> chosen_name("demo")
    'demo'
    """
    return name or os.environ.get("LABKIT_NAME") or "default"
