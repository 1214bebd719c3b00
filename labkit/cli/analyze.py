"""``labkit analyze``: threats and paths of a model, and a gate for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli._messages import say
from labkit.cli._options import Json, Quiet

if TYPE_CHECKING:
    from labkit.analysis import Findings
    from labkit.model import Model

__all__ = ["analyze"]

TRIPPED = 3


def analyze(
    what: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="insecure, hardened, an environment's folder, or a model's file."
        ),
    ],
    fail_on: Annotated[
        str | None,
        typer.Option(metavar="LEVEL", help="Open findings so grave shut the gate: low, medium ..."),
    ] = None,
    forbid_path: Annotated[
        list[str] | None,
        typer.Option(metavar="'FROM -> TO'", help="A path that shuts the gate, as pod -> secrets."),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What was open in an earlier --json does not count."),
    ] = None,
    accepted: Annotated[
        Path | None,
        typer.Option("--accept", metavar="FILE", help="Findings that somebody owns, and why."),
    ] = None,
    risk: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Another rule of how grave each one is.")
    ] = None,
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", help="Write SARIF there.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit there.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show what is mitigated as well.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the threats to a cluster and the paths through it. Needs no Docker.

    Exit status: 0 clean, 1 an error (also if nothing was understood), 3 the gate is shut.
    """
    from labkit import analysis
    from labkit.analysis import gate
    from labkit.loading import load_model

    model = load_model(what)
    gate.require_understood(model, what)
    findings = analysis.find_threats(model, analysis.read_risk(risk) if risk else None)
    if accepted:
        entries = analysis.read_acceptances(accepted)
        findings = analysis.accept(findings, entries)
    known = gate.baseline_of(baseline) if baseline else None
    kept = gate.tripped(findings, fail_on, known)
    paths = gate.forbidden(model, forbid_path or ())
    for file, kind in ((sarif, "sarif"), (junit, "junit")):
        if file is not None:
            more = (gate.as_finding(model, each) for each in paths)
            _write(model, analysis.Findings((*findings, *more), model.name), file, kind)
    if as_json:
        typer.echo(gate.analyze(model, findings).to_json())
    elif not quiet:
        shown = findings if every else findings.state("open", "unknown", "accepted", "residual")
        typer.echo(repr(shown))
        typer.echo()
        typer.echo(repr(analysis.reach(model)))
    for unknown in model.unknowns:
        say(f"not understood: {unknown}", quiet=quiet)
    for item in kept:
        say(f"gate: {item.severity}: {item.id}: {item.claim}", quiet=quiet)
    for each in paths:
        say(f"gate: forbidden: {each!r}", quiet=quiet)
    raise typer.Exit(TRIPPED if kept or paths else 0)


def _write(model: Model, findings: Findings, file: Path, kind: str) -> None:
    from labkit import formats

    file.write_text(formats.write(model, kind, findings))
