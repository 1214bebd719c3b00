"""``labkit up | down | status | reset``: start, remove, show and restore labs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from labkit.cli._messages import reporter, say
from labkit.cli._options import BOTH, Json, Modes, Name, NoWait, Quiet, Retain, patience

__all__ = ["down", "reset", "status", "up"]


def up(
    mode: Modes = None,
    name: Name = "default",
    retain: Retain = False,
    no_wait: NoWait = False,
    quiet: Quiet = False,
) -> None:
    """Bring up the labs of all given modes at once.

    The node image is built first if it is missing. A lab that is already up stays unchanged.
    """
    from labkit.lab.parallel import bring_up

    started = bring_up(
        mode or BOTH, name=name, reporter=reporter(quiet), retain=retain, wait_s=patience(no_wait)
    )
    for lab, timings in started:
        steps = ", ".join(f"{title} {seconds:.1f}" for title, seconds in timings.steps.items())
        detail = f"up in {timings.seconds:.1f} s ({steps})" if steps else "is already up"
        say(f"lab {lab.name} ({lab.mode}) {detail}", quiet=quiet)
        for warning in lab.status().warnings:
            say(f"warning: {warning}")


def down(
    context: typer.Context,
    mode: Modes = None,
    name: Name = "default",
    every: Annotated[
        bool,
        typer.Option("--all", "-a", help="Remove every lab on this engine, of any name and mode."),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Do not wait for a process that changes a lab."),
    ] = False,
    no_wait: NoWait = False,
    quiet: Quiet = False,
) -> None:
    """Remove labs with their containers, volumes and networks.

    A lab that does not exist is not an error. The folder of the lab's environment is not needed:
    --mode takes the mode that labkit status --all shows. For another process that changes a lab, it
    waits half a minute. With --force it does not wait, and the other process fails.
    """
    from labkit.lab import Lab, removal
    from labkit.lab.parallel import in_parallel

    talk, wait = reporter(quiet), patience(no_wait)
    labs: list[Lab | removal.Leftover] = []
    if every:
        source = context.get_parameter_source("name")
        if mode or (source and source.name == "COMMANDLINE"):
            raise typer.BadParameter("give either --all, or --mode and --name")
        labs += removal.find_all(reporter=talk, wait=wait)
        if not labs:
            say("no labs on this engine", quiet=quiet)
    else:
        modes = list(dict.fromkeys(mode or BOTH))
        labs += [removal.find(Lab, each, name, reporter=talk, wait=wait) for each in modes]
    done = in_parallel(labs, lambda lab: lab.down(force=force))
    for lab, removed in zip(labs, done, strict=True):
        things = (
            "container, volume or network" if removed == 1 else ("containers, volumes and networks")
        )
        detail = f"{removed} {things} removed" if removed else "nothing to remove"
        say(f"lab {lab.name} ({lab.mode}): {detail}", quiet=quiet)
    if left := () if every or mode else removal.modes_of(name):
        command = " ".join([f"labkit down --name {name}", *(f"--mode {it}" for it in left)])
        say(f"still there of {name}: {', '.join(left)}; next: {command}")


def reset(
    mode: Modes = None,
    name: Name = "default",
    machine: Annotated[
        str,
        typer.Option(help="Restore this machine of one mode alone; the others stay as they are."),
    ] = "",
    no_wait: NoWait = False,
    quiet: Quiet = False,
) -> None:
    """Restore labs, or one machine, to the state in which they came up."""
    from labkit.lab import Lab
    from labkit.lab.parallel import in_parallel

    labs = [
        Lab(each, name=name, reporter=reporter(quiet), wait=patience(no_wait))
        for each in dict.fromkeys(mode or BOTH)
    ]
    if machine:
        if len(labs) > 1:
            raise typer.BadParameter("--machine needs one --mode")
        timings = labs[0].reset_machine(machine)
        what = f"{machine} of lab {name} ({labs[0].mode})"
        say(f"{what} reset in {timings.seconds:.1f} s", quiet=quiet)
        return
    for lab, timings in zip(labs, in_parallel(labs, Lab.reset), strict=True):
        say(f"lab {lab.name} ({lab.mode}) reset in {timings.seconds:.1f} s", quiet=quiet)


def status(
    mode: Modes = None,
    name: Name = "default",
    every: Annotated[
        bool,
        typer.Option("--all", "-a", help="Show every lab on this engine, of any name and mode."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the state of labs (ready, broken, incomplete, stopped, absent), and what is broken."""
    from labkit.lab import Lab, list_labs, removal
    from labkit.lab.parallel import in_parallel

    if every:
        found = list_labs()
    else:
        # without a mode, the usual pair, and what else of the name is there
        modes = dict.fromkeys(mode or [*BOTH, *removal.modes_of(name)])
        found = in_parallel([Lab(each, name=name) for each in modes], Lab.status)
    if as_json:
        typer.echo(json.dumps([asdict(lab) for lab in found], indent=2))
        return
    if not found:
        say("no labs on this engine")
    for lab in found:
        running = sum(state == "running" for state in lab.machines.values())
        machines = f"  {running} of {len(lab.machines)} machines run" if lab.machines else ""
        typer.echo(f"{lab.name}  {lab.mode}  {lab.state}{machines}")
        for warning in lab.warnings:
            say(f"warning: {warning}")
        for line in lab.lines():
            typer.echo(f"  {line}")
        if lab.state in ("broken", "incomplete", "stopped"):
            say(f"next: {lab.remedy}")
        if lab.running:
            say(f"running: {lab.running}")
        if lab.interrupted:
            command = f"labkit reset --name {lab.name} --mode {lab.mode}"
            say(f"interrupted: {lab.interrupted}; next: {command}")
