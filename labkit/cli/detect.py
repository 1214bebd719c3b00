"""``labkit detect``: who would have seen an attack, predicted and observed in a lab."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli._messages import say
from labkit.cli._options import Json, Mode, Name, NoWait, Quiet, Techniques, patience
from labkit.cli._profiles import flipped, own
from labkit.errors import ConfigError

if TYPE_CHECKING:
    from labkit.detection.sigma_rules import DetectionRule
    from labkit.techniques import Technique

__all__ = ["detect"]

#: What the extra ``detect`` installs.
PACKAGES = ("pysigma", "pysigma-backend-sqlite", "google-re2")


def detect(
    mode: Mode,
    technique: Techniques = None,
    name: Name = "default",
    predict: Annotated[
        bool,
        typer.Option(
            "--predict",
            help="Only predict, from the configuration. Needs no Docker, and takes a folder of "
            "files copied from a cluster as well.",
        ),
    ] = False,
    flips: Annotated[
        bool,
        typer.Option(
            "--flips",
            help="Then flip each control alone, and try again what is predicted to differ.",
        ),
    ] = False,
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Run the Sigma rules of this folder. Default: those that come with labkit.",
        ),
    ] = None,
    traffic: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            min=0.0,
            help="How long nobody attacks the lab and its administrator works, while no rule may "
            "fire.",
        ),
    ] = None,
    no_wait: NoWait = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Carry out techniques in a lab, and show which events and which Sigma rules would tell.

    With --rules, the rules that can never fire are named as well. Exit status: 0 if the audit log
    has the events that the model predicts, 1 if it differs, 2 if there is no result.
    """
    from labkit import techniques

    chosen = [techniques[it] for it in dict.fromkeys(technique or ())]
    if predict:
        if flips:
            raise ConfigError("--flips needs a lab", hint=f"labkit detect --mode {mode} --flips")
        if rules is not None:
            _read(rules, quiet=False)
        _predict(mode, chosen, as_json=as_json, quiet=quiet)
        return
    from labkit.detection.run import TRAFFIC_S
    from labkit.detection.run import detect as run
    from labkit.lab import Lab

    known = _read(rules, quiet=quiet)
    lab = Lab(mode, name=name, wait=patience(no_wait))

    def tell(line: str) -> None:
        say(f" • {line}", quiet=quiet)

    chosen = chosen or own(techniques.values(), lab.environment)
    turned = flipped(lab.environment) if flips else ()
    seconds = TRAFFIC_S if traffic is None else 60 * traffic
    found = run(lab, chosen, known, flipped=turned, traffic=seconds, tell=tell)
    typer.echo(found.to_json() if as_json else found.table())
    for cell in found.differences:
        where = f"{cell.control} {cell.direction}, " if cell.control else ""
        say(f"{where}{cell.technique}, {cell.foothold}: {cell.verdict}: {cell.reason}")
    for rule in found.loud:
        say(f"fires on ordinary traffic: {rule}")
    say(found.summary(), quiet=quiet)
    raise typer.Exit(found.exit_code)


def _read(folder: Path | None, *, quiet: bool) -> Sequence[DetectionRule]:
    """Read the rules, and say which of them are of no use."""
    try:
        from labkit.detection.sigma_rules import own_rules, read_rules
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "labkit":
            raise
        raise ConfigError(
            f"Sigma rules need pySigma, which is not installed ({error})",
            hint=f"{sys.executable} -m pip install {' '.join(PACKAGES)}, or use --predict",
        ) from error

    found = own_rules() if folder is None else read_rules(folder)
    for line in found.left_out:
        say(f"left out: {line}", quiet=quiet)
    for rule in found.never:
        say(f"can never fire: {rule.name} ({rule.title}): {rule.never}")
    if folder is not None:
        count = len(found.rules)
        word = "rule" if count == 1 else "rules"
        said = f"{count} {word} for the audit log; {len(found.never)} can never fire"
        say(said, quiet=quiet)
    return found.rules


def _predict(mode: str, chosen: Sequence[Technique], *, as_json: bool, quiet: bool) -> None:
    from labkit import techniques
    from labkit.detection.prediction import foresee
    from labkit.loading import load_model
    from labkit.tables import columns

    model = load_model(mode)
    if not model.environment.complete:
        say(
            f"{model.name} is no environment of a lab: its audit policy is held against the "
            "requests that the techniques send in the lab",
            quiet=quiet,
        )
    found = [
        foresee(model, technique, foothold)
        for technique in chosen or own(techniques.values(), model.environment)
        if not technique.why_not(model.environment)
        for foothold in technique.footholds
    ]
    if as_json:
        rows = [
            {
                "technique": it.technique,
                "foothold": str(it.foothold),
                "predicted": it.word,
                "reason": it.reason,
                "events": [
                    {"event": str(each.event), "word": each.word, "because": each.because}
                    for each in it.expected
                ],
            }
            for it in found
        ]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    rows_ = [(it.technique, str(it.foothold), it.word, it.reason) for it in found]
    typer.echo(columns(("technique", "foothold", "event", "because"), rows_))
    counts = {word: sum(it.word == word for it in found) for word in ("seen", "none", "unknown")}
    say(", ".join(f"{count} {word}" for word, count in counts.items()), quiet=quiet)
