"""``labkit attack | reach | matrix``: what the model predicts, and what happens."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli._options import BOTH, Json, Mode, Modes, Name, Quiet
from labkit.cli._talk import say
from labkit.errors import ConfigError

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.techniques import Prediction, Verdict

__all__ = ["attack", "matrix", "reach"]

#: Footholds by a word, for the command line.
WORDS = {
    "network": "on the cluster network",
    "master-user": "unprivileged user on the master",
    "worker-user": "unprivileged user on a worker",
    "pod": "inside a pod",
    "worker-root": "root on a worker",
    "etcd-root": "root on an etcd machine",
    "outside": "outside, with a copied credential",
}
GOAL_WORDS = {"secrets": "reads the secrets", "admin": "cluster-admin", **WORDS}

From = Annotated[
    str | None,
    typer.Option("--from", metavar="FOOTHOLD", help=f"Where from: {', '.join(WORDS)}."),
]


def _word(given: str, words: dict[str, str], what: str) -> str:
    if given in words.values():
        return given
    if given not in words:
        raise ConfigError(f"no {what} {given!r}", hint=f"choose one of: {', '.join(words)}")
    return words[given]


def attack(
    mode: Mode,
    technique: Annotated[
        str | None, typer.Argument(metavar="TECHNIQUE", help="See: labkit technique list.")
    ] = None,
    start: From = None,
    path: Annotated[
        str | None,
        typer.Option(metavar="GOAL", help=f"A whole path to it: {', '.join(GOAL_WORDS)}."),
    ] = None,
    name: Name = "default",
    as_json: Json = False,
) -> None:
    """Carry out a technique in a lab, or a predicted path step by step, and undo it.

    Exit status: 0 when it went as the model predicts, 1 when it did not, 2 when nothing could
    be found out.
    """
    from labkit import techniques
    from labkit.lab import Lab

    if (technique is None) == (path is None):
        raise typer.BadParameter("name a technique, or a goal with --path: one of the two")
    lab = Lab(mode, name=name)
    if path is not None:
        steps = _path(lab, start or "network", path)
    else:
        known = techniques.find(str(technique))
        steps = [(known.name, _word(start, WORDS, "foothold") if start else known.footholds[0])]
    outcomes = [_step(lab, *step) for step in steps]
    if as_json:
        typer.echo(json.dumps([_row(*outcome) for outcome in outcomes], indent=2))
    else:
        for prediction, verdict in outcomes:
            typer.echo(repr(verdict))
            typer.echo(f"  predicted: {prediction!r}")
    agree = all(verdict.succeeded == prediction.succeeds for prediction, verdict in outcomes)
    raise typer.Exit(0 if agree else 1)


def _path(lab: Lab, start: str, goal: str) -> list[tuple[str, str]]:
    from labkit.analysis import reach as compute

    found = compute(lab.environment, _word(start, WORDS, "foothold"))
    goal = _word(goal, GOAL_WORDS, "goal")
    steps = found.path(goal)
    if not steps:
        raise ConfigError(
            f"the model of {lab.mode} knows no path {found.start} to {goal}",
            hint=f"labkit reach --mode {lab.mode} --from {start}",
        )
    return [(step.technique, step.foothold) for step in steps]


def _step(lab: Lab, name: str, foothold: str) -> tuple[Prediction, Verdict]:
    from labkit import techniques
    from labkit.model import View

    technique = techniques.find(name)
    prediction = technique.predict(View(lab.environment), foothold)
    return prediction, technique.run(lab, foothold)


def _row(prediction: Prediction, verdict: Verdict) -> dict[str, object]:
    return {
        "technique": verdict.technique,
        "mode": verdict.mode,
        "foothold": verdict.foothold,
        "predicted": "succeeded" if prediction.succeeds else "refused",
        "because": list(prediction.because),
        "observed": verdict.word,
        "reason": verdict.reason,
        "evidence": list(verdict.evidence),
        "control": verdict.control,
    }


def reach(
    mode: Mode,
    start: From = None,
    cut: Annotated[
        str | None,
        typer.Option(metavar="GOAL", help="Say which controls, the fewest, keep it out of reach."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what the model predicts an attacker gets to, and by which path. Needs no Docker."""
    from labkit.analysis import choke_points
    from labkit.analysis import reach as compute
    from labkit.cluster import read_environment
    from labkit.model import View

    view = View(read_environment(mode))
    starts = [_word(start, WORDS, "foothold")] if start else list(WORDS.values())
    if cut:
        goal = _word(cut, GOAL_WORDS, "goal")
        for foothold in starts:
            chosen = choke_points(view.env, foothold, goal)
            said = "no controls cut every path" if chosen is None else ", ".join(chosen)
            typer.echo(f"from {foothold!r} to {goal!r}: {said or 'out of reach as it is'}")
        return
    found = [compute(view, each) for each in starts]
    if as_json:
        rows = [
            {"from": r.start, "reaches": r.held, "steps": list(map(asdict, r.steps))} for r in found
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    for each in found:
        typer.echo(repr(each))


def matrix(
    mode: Modes = None,
    name: Name = "default",
    control: Annotated[
        list[str] | None,
        typer.Option(
            "--control", "-c", metavar="NAME", help="Flip these only; 'none' flips nothing."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the cells there; go on where it ends."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a summary there: .png or .svg.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the Markdown tables there.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write all cells there, as a page to browse."),
    ] = None,
    combinations: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, help="Try N random combinations of controls instead."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the combinations.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Try every technique from every foothold, in each mode and with each control flipped alone.

    Exit status: 0 when all went as the model predicts, 1 when something did not, 2 when
    something could not be found out.
    """
    from labkit.cli.matrix_run import fill

    names = None if control is None else [each for each in control if each != "none"]
    sample = (combinations, seed) if combinations else None
    found = fill(mode or BOTH, name, names, file, sample=sample, quiet=quiet)
    if picture:
        from labkit.render import save
        from labkit.render.truth import cover

        save(cover(found), picture)
    if table:
        from labkit.render.truth import markdown

        table.write_text(markdown(found))
    if page:
        from labkit.render import matrix_page

        page.write_text(matrix_page.page(found), encoding="utf-8", newline="\n")
    for cell in (*found.disagree, *found.unprobed):
        typer.echo(
            f"{' '.join(filter(None, cell.variant))}: {cell.technique}, {cell.foothold}: "
            f"predicted {cell.predicted}, observed {cell.observed}: {cell.reason}"
        )
    say(found.summary(), quiet=quiet)
    raise typer.Exit(found.exit_code)
