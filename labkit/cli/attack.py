"""``labkit attack | reach | matrix``: the model's predictions, and the results in a lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli._messages import say
from labkit.cli._options import BOTH, Json, Mode, Modes, Name, NoWait, Quiet, Techniques, patience
from labkit.errors import ConfigError

if TYPE_CHECKING:
    from labkit.analysis.attack_graph.queries import Derivation
    from labkit.lab import Lab
    from labkit.model import Foothold, Model
    from labkit.techniques import Prediction, Verdict

__all__ = ["attack", "matrix", "reach"]

From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FOOTHOLD",
        help="Where the attacker starts: network, pod, user:NODE, root:NODE, "
        "holds:CREDENTIAL@NODE. NODE is a machine (worker1), or any machine of a role: master, "
        "worker, etcd.",
    ),
]


def attack(
    mode: Mode,
    technique: Annotated[
        str | None,
        typer.Argument(metavar="TECHNIQUE", help="A name from labkit technique list."),
    ] = None,
    start: From = None,
    path: Annotated[
        str | None,
        typer.Option(
            metavar="GOAL",
            help="Instead of one technique, a whole path to this goal: secrets, admin, node.",
        ),
    ] = None,
    name: Name = "default",
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Carry out one technique in a lab, or a predicted path step by step, and undo it.

    Exit status: 0 if the result is as the model predicts, 1 if it differs, 2 if there is no result.
    """
    from labkit import techniques
    from labkit.lab import Lab
    from labkit.model import read_model

    if (technique is None) == (path is None):
        raise typer.BadParameter("give either a TECHNIQUE, or a goal with --path GOAL")
    lab = Lab(mode, name=name, wait=patience(no_wait))
    with lab.exclusive(f"attack {technique or f'--path {path}'}"):
        lab.recover()
        model = read_model(lab.environment)
        if path is not None:
            steps = _path(model, start or "network", path)
        else:
            known = techniques[str(technique)]
            foothold = _foothold(model, start) if start else known.footholds[0]
            steps = [(known.name, known.foothold_like(foothold, model))]
        outcomes = [_carry_out(lab, model, *step) for step in steps]
    if as_json:
        typer.echo(json.dumps([_row(*outcome) for outcome in outcomes], indent=2))
    else:
        for prediction, verdict in outcomes:
            typer.echo(repr(verdict))
            typer.echo(f"  predicted: {prediction!r}")
            if prediction.succeeds is None:
                typer.echo(f"  found out: {verdict.word}, which the model does not know")
    # what the model does not know cannot differ from it
    agree = all(it.succeeds in (None, verdict.succeeded) for it, verdict in outcomes)
    raise typer.Exit(0 if agree else 1)


def _foothold(model: Model, start: str) -> Foothold:
    from labkit.analysis import find_foothold  # loads networkx

    return find_foothold(model, start)


def _path(model: Model, start: str, goal: str) -> list[tuple[str, Foothold]]:
    """Return the techniques of the cheapest path, each with its foothold."""
    from labkit.analysis import attack_paths

    found = attack_paths(model, start, goal, 1, "techniques")
    if not found.paths:
        raise ConfigError(
            f"{model.name}: no path of techniques leads from {start} to {goal}",
            hint=f"labkit reach --mode {model.name} --from {start} --derivation techniques",
        )
    return [(step.technique, step.foothold) for step in found.paths[0]]


def _carry_out(lab: Lab, model: Model, name: str, foothold: Foothold) -> tuple[Prediction, Verdict]:
    from labkit import techniques

    technique = techniques[name]
    technique.require_machines(lab.environment)
    prediction = technique.predict(model, foothold)
    return prediction, technique.run(lab, foothold)


def _row(prediction: Prediction, verdict: Verdict) -> dict[str, object]:
    return {
        "technique": verdict.technique,
        "mode": verdict.mode,
        "foothold": str(verdict.foothold),
        "predicted": prediction.word,
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
        typer.Option(
            metavar="GOAL",
            help="Instead, show the fewest controls that cut every path to this goal: secrets, "
            "admin, node.",
        ),
    ] = None,
    derivation: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="How paths are derived: claims (from the claims of the model) or techniques (from "
            "the predictions of the lab's techniques).",
        ),
    ] = "claims",
    as_json: Json = False,
) -> None:
    """Show the goals that an attacker reaches, and the paths to them. Needs no Docker."""
    from labkit import analysis
    from labkit.loading import load_model

    model = load_model(mode)
    how = analysis.derivation(derivation)
    starts = [start] if start else None
    found = analysis.reach(model, starts, how)
    if cut:
        for foothold in found.paths:
            goal = analysis.find_foothold(model, cut)
            typer.echo(f"{foothold} -> {goal}: {_cut(model, foothold, cut, how)}")
        return
    if not as_json:
        typer.echo(repr(found))
        return
    rows = [
        {
            "from": foothold.word,
            "reaches": {goal.word: [it.plain() for it in path] for goal, path in paths.items()},
            "possible": {
                goal.word: [it.plain() for it in path]
                for goal, path in found.possible.get(foothold, {}).items()
            },
        }
        for foothold, paths in found.paths.items()
    ]
    typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))


def _cut(model: Model, start: Foothold, goal: str, how: Derivation) -> str:
    """Return the fewest controls that cut every path, or say what they leave."""
    from labkit.analysis import minimal_cut

    if (chosen := minimal_cut(model, start, goal, how)) is not None:
        return ", ".join(chosen) or "out of reach as it is"
    if (chosen := minimal_cut(model, start, goal, how, possible=False)) is None:
        return "no controls cut every path"
    known = f"{', '.join(chosen)} cut every known path" if chosen else "no path is known"
    return f"{known}; no controls cut the possible ones, which depend on something unknown"


def matrix(
    technique: Techniques = None,
    mode: Modes = None,
    name: Name = "default",
    control: Annotated[
        list[str] | None,
        typer.Option(
            "--control",
            "-c",
            metavar="NAME",
            help="Flip only this control (a name from labkit control list); can be repeated. "
            "none: flip no control. Default: all controls, one by one; in a lab of a profile, "
            "those that it adds.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Add the cells to this file. Cells that it already holds are not tried again, "
            "unless they are unprobed.",
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw a summary to this file: .png or .svg."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write tables to this Markdown file.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write all cells to this HTML file."),
    ] = None,
    combinations: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="Instead of single controls, flip N random combinations, over all modes.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="The seed of the random combinations.")
    ] = 1,
    no_wait: NoWait = False,
    quiet: Quiet = False,
) -> None:
    """Try every technique from every foothold, in each mode and with each control flipped alone.

    The labs must be up. The picture, tables and page show all cells of the --json file. Exit
    status: 0 if all results are as the model predicts, 1 if one differs, 2 if one is missing. A
    result that the model does not know is reported as found out, and is no difference.
    """
    from labkit.cli.matrix_run import fill

    names = None if control is None else [each for each in control if each != "none"]
    sample = (combinations, seed) if combinations else None
    found, stored = fill(
        mode or BOTH,
        name,
        names,
        file,
        only=technique or (),
        sample=sample,
        quiet=quiet,
        wait=patience(no_wait),
    )
    if picture:
        from labkit.render import save
        from labkit.render.matrix import cover

        save(cover(stored), picture)
    if table:
        from labkit.render.matrix import markdown

        table.write_text(markdown(stored))
    if page:
        from labkit.render import matrix_page

        page.write_text(matrix_page.page(stored), encoding="utf-8", newline="\n")
    for cell in (*found.disagree, *found.unprobed, *found.found_out):
        typer.echo(
            f"{' '.join(filter(None, cell.variant))}: {cell.technique}, {cell.foothold}: "
            f"predicted {cell.predicted}, observed {cell.observed}: {cell.reason}"
        )
    say(found.summary(), quiet=quiet)
    raise typer.Exit(found.exit_code)
