"""``labkit doctor | verify``: check this machine, and the model of a running lab."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from labkit.cli._messages import reporter, say
from labkit.cli._options import BOTH, Json, Modes, Name, NoWait, Quiet, patience

__all__ = ["doctor", "verify"]


def doctor() -> None:
    """Check everything that a lab needs, such as Docker Engine and memory.

    Exit status: 0 if all checks pass, 1 if one fails.
    """
    from labkit.lab import doctor as examine

    checks = examine()
    for check in checks:
        typer.echo(f"{'ok ' if check.ok else 'BAD'}  {check.name}: {check.detail}")
        if not check.ok:
            typer.echo(f"       next: {check.fix}")
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


def verify(
    mode: Modes = None,
    name: Name = "default",
    state: Annotated[
        bool,
        typer.Option(
            "--state",
            help="Instead of the claims, compare the whole state of the labs with the state in "
            "which they came up: processes, listeners, rules, files, etcd, objects.",
        ),
    ] = False,
    no_wait: NoWait = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Probe every claim of the model in running labs.

    Exit status: 0 if all claims agree, 1 if a lab differs from the model, 2 if a claim could not be
    probed (also if there is no lab).
    """
    from labkit.lab import Lab
    from labkit.lab.parallel import in_parallel
    from labkit.lab.watched import watched
    from labkit.verification import Report
    from labkit.verification import verify as probe

    talk = reporter(quiet)
    labs = [
        Lab(each, name=name, reporter=talk, wait=patience(no_wait))
        for each in dict.fromkeys(mode or BOTH)
    ]
    if state:
        drifts = in_parallel(labs, lambda lab: watched(lab, lab.drift))
        found = dict(zip((lab.mode for lab in labs), drifts, strict=True))
        if as_json:
            typer.echo(json.dumps(found, indent=2))
        for lab in labs:
            for line in () if as_json else found[lab.mode]:
                typer.echo(f"{lab.mode}: {line}")
            word = "as it came up"
            if count := len(found[lab.mode]):
                plural = "s" if count > 1 else ""
                command = f"labkit reset --name {lab.name} --mode {lab.mode}"
                word = f"{count} difference{plural}; next: {command}"
            say(f"lab {lab.name} ({lab.mode}): {word}", quiet=quiet)
        raise typer.Exit(1 if any(found.values()) else 0)
    report = sum(in_parallel(labs, probe), start=Report([]))
    if as_json:
        typer.echo(report.to_json())
        say(report.summary(), quiet=quiet)
    else:
        from rich.console import Console

        # A pipe has no width; this one is wide enough to fold no cell.
        Console(width=None if sys.stdout.isatty() else 200).print(report.table())
        if differences := report.differences():
            typer.echo(differences)
    raise typer.Exit(report.exit_code)
