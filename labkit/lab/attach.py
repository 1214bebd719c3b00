"""Attach to running labs from notebooks and scripts."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from labkit.errors import LabBusy, LabError, NoSuchLab
from labkit.lab.lab import Lab
from labkit.lab.light import error_of_absent, full_form, mode_that_is_up
from labkit.lab.network import find_network
from labkit.lab.progress import reporter_of_cells
from labkit.lab.unset_names import explain_unset_names

__all__ = ["attach", "chosen_name", "lab_of_mode", "labs_up"]


def attach(*modes: str, name: str | None = None) -> tuple[Lab, ...]:
    """Return the running labs of the given modes; print nothing if all of them are up.

    A mode of which only the light lab is up ("light-insecure") stands for that lab. Beside a light
    lab, the other mode need not be up: one light lab at a time is enough for a notebook. What only
    asks the model works then; what needs the lab says that it is not up. One line on standard
    error names it.

    Parameters
    ----------
    *modes : str
        "insecure", "hardened", or folders of environments.
    name : str, optional
        The labs' name; by default the value of ``LABKIT_NAME``, else "default".

    Returns
    -------
    tuple of Lab
        One for each mode, in the order of the arguments. Beside a light lab, also one that is not
        up, in its light form.

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
    labs = tuple(lab_of_mode(mode, name) for mode in modes)
    # one that is just being changed is there as well
    alone = any(full_form(it.mode) != it.mode and it.status().state != "absent" for it in labs)
    if alone:
        explain_unset_names()
    for number, lab in enumerate(labs):
        status = lab.status()
        if alone and status.state == "absent" and full_form(lab.mode) != lab.mode:
            _tell_absent(lab, "cells that need it say so")
            continue
        # an incomplete lab may just be coming up
        if status.may_recover or status.state == "incomplete":
            _wait_for_change(lab)
            status = lab.status()
        if status.state == "absent" and full_form(lab.mode) != lab.mode:
            raise error_of_absent(lab.mode, name, lab.client)
        if status.state != "ready":
            later = zip(modes[number + 1 :], labs[number + 1 :], strict=True)
            missing = [modes[number], *(it for it, each in later if each.status().state != "ready")]
            raise NoSuchLab(
                f"lab {name} ({lab.mode}) is not up: it is {status.state}",
                evidence=status.lines(),
                hint=_command(missing, name),
            )
        if status.other_files:
            lab.require_same_files()
    return labs


def labs_up(*labs: Lab) -> tuple[Lab, ...]:
    """Return the labs without those that are not there, which one line on standard error names.

    A notebook's cell that attacks both labs attacks the one that is up.

    Parameters
    ----------
    *labs : Lab
        As :func:`attach` returns them.

    Returns
    -------
    tuple of Lab
        At least one.

    Raises
    ------
    NoSuchLab
        None of them is there.

    Examples
    --------
    The nodes of each lab that is up::

        for lab in labkit.labs_up(insecure, hardened):
            print(lab.kubectl("get", "nodes").text)
    """
    found = [lab for lab in labs if find_network(lab.client, lab.name, lab.mode) is not None]
    absent = [lab for lab in labs if lab not in found]
    if absent and not found:
        raise error_of_absent(absent[0].mode, absent[0].name, absent[0].client)
    for lab in absent:
        _tell_absent(lab, "this cell leaves it out")
    return tuple(found)


def _tell_absent(lab: Lab, what_follows: str) -> None:
    error = error_of_absent(lab.mode, lab.name, lab.client)
    print(f"{error.message}; {what_follows}; next: {error.hint}", file=sys.stderr)


def lab_of_mode(mode: str, name: str) -> Lab:
    """Return the lab of a mode, or the light lab that stands for it; neither need be up.

    Parameters
    ----------
    mode, name : str
        The lab's mode and name.

    Returns
    -------
    Lab
        In a notebook it shows the steps of what takes long, and elsewhere nothing.
    """
    return Lab(mode_that_is_up(mode, name), name=name, reporter=reporter_of_cells())


def _command(modes: Sequence[str], name: str) -> str:
    """Return the command that brings up labs."""
    named = "" if name == "default" else f" --name {name}"
    return f"labkit up{''.join(f' --mode {it}' for it in modes)}{named}"


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
