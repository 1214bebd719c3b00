"""``labkit campaign``: configurations at random, tried in labs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli._messages import reporter, say
from labkit.cli._options import BOTH, Modes, Name, NoWait, Quiet, patience

__all__ = ["campaign"]


def campaign(
    mode: Modes = None,
    name: Name = "default",
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="The seed of the random configurations.")
    ] = 1,
    minutes: Annotated[
        float,
        typer.Option(
            metavar="MINUTES",
            min=0,
            help="Begin no configuration after this time. What is begun is ended: usually a "
            "minute more, and some more to shrink a difference.",
        ),
    ] = 10,
    file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Add the outcomes to this file. Configurations that it already holds are not "
            "tried again.",
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="First try the configurations of the file again that disagree, differed once, or "
            "have something unprobed.",
        ),
    ] = False,
    overlays: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write the fewest settings of each difference to this folder, as an overlay.",
        ),
    ] = None,
    no_wait: NoWait = False,
    quiet: Quiet = False,
) -> None:
    """Draw configurations at random, and try every claim and technique of each in running labs.

    The labs must be up. A difference between the model and a lab is repeated, then shrunk to the
    fewest settings that show it. Exit status: 0 if all configurations are as the model predicts, or
    are refused, or do not start; 1 if one differs; 2 if a result is missing.
    """
    from labkit.campaign import Campaign, Outcome, run_campaign, write_overlay
    from labkit.cluster import read_environment
    from labkit.lab import Lab
    from labkit.lab.parallel import in_parallel

    held = {it.key: it for it in Campaign.read(file)} if file and file.exists() else {}
    labs = [
        Lab(each, name=name, reporter=reporter(quiet=True), wait=patience(no_wait))
        for each in dict.fromkeys(mode or BOTH)
    ]
    lock = threading.Lock()
    tried: list[Outcome] = []

    def keep(lab: Lab, outcome: Outcome, seconds: float) -> None:
        with lock:
            tried.append(outcome)
            held[outcome.key] = outcome
            if file:
                file.write_text(Campaign(held.values()).to_json(), encoding="utf-8")
            mark = {"agrees": "✓", "disagrees": "✗"}.get(outcome.verdict, "?")
            count = f"{len(outcome.settings)} settings"
            number = f"{outcome.mode} {outcome.seed}/{outcome.number}"
            say(f" {mark} {number}, {count}: {outcome.verdict} ({seconds:.0f} s)", quiet=quiet)
            if outcome.fewest and overlays:
                write_overlay(overlays, outcome, read_environment(lab.environment.folder))

    def run(lab: Lab) -> None:
        env = lab.environment.name
        old = [it for it in held.values() if it.mode == env]
        unsettled = [it for it in old if it.differences or it.unprobed] if again else []
        run_campaign(
            lab,
            seed,
            minutes,
            done={it.number for it in old if it.seed == seed},
            again=unsettled,
            tell=lambda outcome, seconds: keep(lab, outcome, seconds),
        )

    in_parallel(labs, run)
    found = Campaign(tried)
    for outcome in found:
        where = f"{outcome.mode} {outcome.seed}/{outcome.number}"
        if outcome.reason:
            typer.echo(f"{where}: {outcome.verdict}: {outcome.reason}")
        for it in (*outcome.differences, *outcome.unprobed):
            typer.echo(f"{where}: {it}")
        if outcome.fewest:
            typer.echo(f"{where}: the fewest settings: {'; '.join(map(str, outcome.fewest))}")
    say(found.summary(), quiet=quiet)
    if file:
        say(f"{file}: {Campaign(held.values()).summary()}", quiet=quiet)
    raise typer.Exit(found.exit_code)
