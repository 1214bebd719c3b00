"""What a participant calls: show an exercise, check it, ask for a hint, look at the progress."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from labkit.errors import ConfigError, EngineError, LabError, LabkitError, NoSuchLab
from labkit.lab import Lab
from labkit.lab.attach import chosen_name
from labkit.lab.engine import connect
from labkit.lab.images import ensure_image
from labkit.lab.light import full_form, light_form, light_lab_beside, mode_that_is_up
from labkit.lab.network import find_network
from labkit.lab.origin import of_workshop
from labkit.lab.progress import Reporter, reporter_of_cells
from labkit.lab.removal import modes_of
from labkit.lab.running import RunningLab
from labkit.registry import Registry
from labkit.tables import columns
from labkit.workshop import exercises
from labkit.workshop.definition import Exercise, Outcome, Task, Text
from labkit.workshop.edited import EditedLab
from labkit.workshop.flags import flag_of
from labkit.workshop.notices import read_notice
from labkit.workshop.records import Record, after_check, next_hint, read_progress, write_progress

#: The type checker takes the mapping for a module.
EXERCISES = cast("Registry[Exercise]", exercises)

__all__ = ["check", "exercise", "hint", "notice", "progress", "require_lab", "reset", "switch"]

#: What was done of predictions while no lab was up to keep it: a prediction needs no lab.
WITHOUT_LAB: dict[str, Record] = {}


def exercise(name: str, *, lab: str | None = None) -> Task:
    """Return the task of an exercise, and put what it needs into the lab.

    Parameters
    ----------
    name : str
        The exercise's name.
    lab : str, optional
        The lab's name; by default the value of ``LABKIT_NAME``, else "default".

    Returns
    -------
    Task

    Raises
    ------
    NoSuchName
        There is no such exercise.
    NoSuchLab
        The exercise needs a lab that is not up.
    """
    found = EXERCISES[name]
    if found.plant is not None:
        _plant(found, _lab(found.mode, lab))
    return found.text


def check(
    name: str,
    answer: object = None,
    *,
    lab: str | None = None,
    reporter: Reporter | None = None,
) -> Outcome:
    """Check an exercise by live probes, and keep the result.

    A prediction is compared with the model, and needs no lab. Without a lab, its result is kept
    until the process ends.

    Parameters
    ----------
    name : str
        The exercise's name.
    answer : object, optional
        A flag or a prediction, if the exercise asks for one.
    lab : str, optional
        The lab's name; by default the value of ``LABKIT_NAME``, else "default".
    reporter : Reporter, optional
        Shows the progress; by default below a notebook's cell, and elsewhere not at all.

    Returns
    -------
    Outcome

    Raises
    ------
    NoSuchName
        There is no such exercise.
    NoSuchLab
        The lab is not up, and the exercise needs it.
    LabBusy
        Another process changes the lab.
    """
    found = EXERCISES[name]
    edited = _lab_of(found, lab)
    if edited is not None and reporter is not None:
        edited.reporter = reporter
    outcome = found.check(edited, answer)
    if edited is not None and found.kind == "harden":
        # who edits a machine knows its files, and not those that it was made of
        outcome = replace(outcome, lines=tuple(map(edited.by_machine, outcome.lines)))
    if outcome.state == "does-not-run":
        return outcome  # the master may be what does not run
    records = _read(edited)
    records[name] = after_check(records.get(name, Record()), outcome, answer)
    _write(edited, records)
    return outcome


def hint(name: str, *, lab: str | None = None) -> Text:
    """Return the next hint for an exercise, chosen by what the last check saw.

    Parameters
    ----------
    name : str
        The exercise's name.
    lab : str, optional
        The lab's name; by default the value of ``LABKIT_NAME``, else "default".

    Returns
    -------
    Text
        After the last hint, the solution.

    Raises
    ------
    NoSuchName
        There is no such exercise.
    NoSuchLab
        The lab is not up, and the exercise needs it.
    """
    found = EXERCISES[name]
    edited = _lab_of(found, lab)
    records = _read(edited)
    text, records[name] = next_hint(found, records.get(name, Record()))
    _write(edited, records)
    return Text(text)


def progress(*, lab: str | None = None) -> Text:
    """Return a table of all exercises, with what has been solved in the labs that are up.

    Below it stand the labs that are not up, and what the trainer told the room last.

    Parameters
    ----------
    lab : str, optional
        The labs' name; by default the value of ``LABKIT_NAME``, else "default".

    Returns
    -------
    Text
    """
    records: dict[str, Record] = {}
    absent: dict[str, str] = {}
    silent: dict[str, str] = {}
    for mode in _modes():
        try:
            records |= read_progress(_lab(mode, lab))
        except NoSuchLab as error:
            absent[mode] = error.hint
        except LabkitError as error:
            silent[mode] = error.message
    rows = []
    for found in EXERCISES.values():
        known = records.get(found.name) or WITHOUT_LAB.get(found.name, Record())
        word = "solved" if known.solved else "tried" if known.tries else ""
        shown = word or ("?" if found.mode in (*absent, *silent) else "")
        rows.append((found.notebook, found.name, found.kind, shown, str(known.tries)))
    table = columns(("notebook", "exercise", "kind", "result", "checks"), sorted(rows))
    told = notice(lab=lab)
    lines = [table, *silent.values(), *([_not_up(absent)] if absent else [])]
    return Text("\n".join([*lines, *([told] if told else [])]))


def notice(*, lab: str | None = None) -> Text:
    """Return what the trainer told the room last (``labkit workshop say``).

    Parameters
    ----------
    lab : str, optional
        The labs' name; by default the value of ``LABKIT_NAME``, else "default".

    Returns
    -------
    Text
        Empty if there is nothing, or no lab is up.
    """
    with contextlib.suppress(LabkitError):
        name = chosen_name(lab)
        for mode in modes_of(name):
            with contextlib.suppress(LabkitError):
                if told := str(read_notice(RunningLab(mode, name=name))):
                    return Text(f"the trainer says: {told}")
    return Text("")


def reset(mode: str, machine: str = "", *, lab: str | None = None) -> Text:
    """Return a lab, or one machine of it, to the state in which it came up; the progress stays.

    Parameters
    ----------
    mode : str
        "insecure", "hardened", a mode of a profile, or the folder of an environment.
    machine : str
        Restore this machine alone: what was edited on the others stays.
    lab : str, optional
        The lab's name; by default the value of ``LABKIT_NAME``, else "default".

    Returns
    -------
    Text

    Raises
    ------
    NoSuchLab
        The lab is not up.
    LabError
        The lab cannot be restored.
    """
    name = chosen_name(lab)
    found = Lab(mode_that_is_up(mode, name), name=name, reporter=reporter_of_cells())
    if machine:
        found.reset_machine(machine)
        return Text(
            f"{machine} of {found.mode} is as it came up; the other machines were left alone"
        )
    found.reset()
    return Text(f"{found.mode} is as it came up")


def require_lab(name: str, *, lab: str | None = None) -> None:
    """Fail if the lab of an exercise is not there; a prediction needs none.

    Parameters
    ----------
    name : str
        The exercise's name.
    lab : str, optional
        The lab's name; by default the value of ``LABKIT_NAME``, else "default".

    Raises
    ------
    NoSuchName
        There is no such exercise.
    NoSuchLab
        The lab is not up.
    """
    found = EXERCISES[name]
    if found.kind != "predict":
        its = _lab(found.mode, lab)
        its.container(its.master)


def switch(mode: str, *, lab: str | None = None, reporter: Reporter | None = None) -> Text:
    """Put the light lab of a mode in the place of the other light lab, and keep the progress.

    It is for a machine without the memory for two labs. What was changed in the other lab is lost.

    Parameters
    ----------
    mode : str
        "insecure" or "hardened".
    lab : str, optional
        The labs' name; by default the value of ``LABKIT_NAME``, else "default".
    reporter : Reporter, optional
        Shows the progress; by default below a notebook's cell, and elsewhere not at all.

    Returns
    -------
    Text

    Raises
    ------
    ConfigError
        The mode has no light form.
    LabError
        The other lab belongs to the workshop of a trainer, or the new lab does not start.
    """
    name = chosen_name(lab)
    wanted = light_form(mode) or mode
    if full_form(wanted) == wanted:
        raise ConfigError(f"{mode} has no light lab", hint="choose one of: insecure, hardened")
    new = Lab(wanted, name=name, reporter=reporter or reporter_of_cells())
    if new.status().state == "ready":
        return Text(f"{wanted} is up")
    other = light_lab_beside(wanted, name, new.client)
    records: dict[str, Record] = {}
    if other:
        old = EditedLab(other, name=name, reporter=new.reporter)
        _require_own(old)
        with contextlib.suppress(LabkitError):  # a broken lab gives way as well
            records = read_progress(old)
        ensure_image(new.client, "node", new.reporter)  # before the old lab is gone
        old.down()
    try:
        new.up()
    except BaseException:
        WITHOUT_LAB.update(records)
        raise
    edited = EditedLab(wanted, name=name, reporter=new.reporter)
    write_progress(edited, {**WITHOUT_LAB, **records})
    return Text(f"{wanted} is up{f', in place of {other}; the progress is kept' if other else ''}")


def _require_own(lab: Lab) -> None:
    """Refuse the lab of a workshop: its trainer's board knows its key."""
    network = find_network(lab.client, lab.name, lab.mode)
    if workshop := of_workshop(network.attrs["Labels"] if network else None).get("workshop"):
        raise LabError(
            f"lab {lab.name} ({lab.mode}) belongs to the workshop {workshop!r}",
            hint="ask the trainer, who switches the labs of the room",
        )


def _not_up(absent: Mapping[str, str]) -> str:
    """Return a line with modes that are not up, and the command that brings up the first one."""
    return f"not up: {', '.join(absent)}; next: {next(iter(absent.values()))}"


def _modes() -> list[str]:
    """Return the modes of the exercises, in the order of the notebooks."""
    ordered = sorted(EXERCISES.values(), key=lambda it: it.notebook)
    return list(dict.fromkeys(it.mode for it in ordered))


def _lab(mode: str, name: str | None) -> EditedLab:
    name = chosen_name(name)
    return EditedLab(mode_that_is_up(mode, name), name=name, reporter=reporter_of_cells())


def _lab_of(found: Exercise, name: str | None) -> EditedLab | None:
    """Return the lab of an exercise.

    For a prediction whose lab is not up, it is the light lab of the other mode, in which the
    progress is kept until a switch takes it along; or None.
    """
    try:
        lab = _lab(found.mode, name)
        if found.kind == "predict":
            read_progress(lab)  # a lab that is not up fails at its first command only
    except (NoSuchLab, EngineError) as error:
        if found.kind != "predict":
            raise
        return None if isinstance(error, EngineError) else _other_light_lab(found.mode, name)
    return lab


def _other_light_lab(mode: str, name: str | None) -> EditedLab | None:
    chosen = chosen_name(name)
    other = light_lab_beside(light_form(mode), chosen, connect())
    return _lab(other, name) if other else None


def _read(lab: EditedLab | None) -> dict[str, Record]:
    return WITHOUT_LAB if lab is None else read_progress(lab)


def _write(lab: EditedLab | None, records: dict[str, Record]) -> None:
    if lab is not None:
        write_progress(lab, records)


def _plant(found: Exercise, lab: EditedLab) -> None:
    if found.plant is not None:
        with lab.exclusive(f"exercise {found.name}"):
            found.plant(lab, flag_of(lab, found.name))
