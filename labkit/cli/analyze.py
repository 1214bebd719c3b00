"""``labkit analyze``: the threats to a model, the paths through it, and a gate for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli._app import NOT_UNDERSTOOD
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
            metavar="DIR",
            help="insecure, hardened, the folder of a cluster's files, or a model's file.",
        ),
    ],
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="Fail if any open finding is at least this severe: low, medium, high, critical.",
        ),
    ] = None,
    forbid_path: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'FROM -> TO'",
            help="Fail if this path exists, for example 'pod -> secrets'; can be repeated. FROM: "
            "network, pod, user:NODE, root:NODE. TO: secrets, admin, node.",
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The output of an earlier --json: its open findings do not fail the gate.",
        ),
    ] = None,
    accepted: Annotated[
        Path | None,
        typer.Option(
            "--accept",
            metavar="FILE",
            help="A YAML file of accepted findings, each with an owner and a reason.",
        ),
    ] = None,
    risk: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A YAML file with your own rating of severities."),
    ] = None,
    sarif: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the findings to a SARIF file.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the findings to a JUnit XML file.")
    ] = None,
    allow_unknown: Annotated[
        bool,
        typer.Option(
            "--allow-unknown",
            help="Let the gate pass although something that it depends on is not known.",
        ),
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Show mitigated findings as well.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the threats to a cluster, and the attack paths through it. Needs no Docker.

    Exit status: 0 if the gate passes, 1 after an error, 3 if the gate fails (see --fail-on and
    --forbid-path), 4 if it depends on something unknown, or if nothing was understood.
    """
    from labkit import analysis
    from labkit.analysis import gate
    from labkit.loading import load_model

    model = load_model(what)
    gate.require_understood(model, what, allow_unknown=allow_unknown)
    findings = analysis.find_threats(model, analysis.read_risk(risk) if risk else None)
    if accepted:
        entries = analysis.read_acceptances(accepted)
        findings = analysis.accept(findings, entries)
    known = gate.baseline_of(baseline) if baseline else None
    kept = gate.tripped(findings, fail_on, known)
    asked = gate.asked(model, forbid_path or ())
    paths = [each for each in asked if each.paths]
    doubts = [] if allow_unknown else gate.doubts(model, findings, fail_on, known, asked)
    for file, kind in ((sarif, "sarif"), (junit, "junit")):
        if file is not None:
            more = (gate.as_finding(model, each) for each in paths)
            _write(model, analysis.Findings((*findings, *more), model.name), file, kind)
    if as_json:
        typer.echo(gate.analyze(model, findings).to_json())
    elif not quiet:
        shown = findings if every else findings.state("open", "unknown", "accepted", "residual")
        typer.echo(repr(shown))
        if model.of_cluster:
            typer.echo()
            typer.echo(repr(analysis.reach(model)))
    for unknown in model.unknowns:
        say(f"not understood: {unknown}", quiet=quiet)
    for item in kept:
        say(f"gate: {item.severity}: {item.id}: {item.claim}", quiet=quiet)
    for each in paths:
        say(f"gate: forbidden: {each!r}", quiet=quiet)
    for doubt in doubts:
        say(f"gate: not known: {doubt}", quiet=quiet)
    if doubts:
        say("find that out, or pass over it with --allow-unknown", quiet=quiet)
    raise typer.Exit(TRIPPED if kept or paths else NOT_UNDERSTOOD if doubts else 0)


def _write(model: Model, findings: Findings, file: Path, kind: str) -> None:
    from labkit import formats

    file.write_text(formats.write(model, kind, findings))
