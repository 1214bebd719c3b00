"""``labkit report``: write one model, or two side by side, as an HTML or Markdown report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli._files import write
from labkit.cli._messages import say
from labkit.cli._options import Quiet
from labkit.errors import ConfigError

__all__ = ["report"]

What = Annotated[
    str,
    typer.Argument(
        metavar="DIR",
        help="insecure, hardened, the folder of a cluster's files, or a model's file.",
    ),
]


def report(
    what: What,
    other: Annotated[
        str | None,
        typer.Argument(metavar="[DIR2]", help="A second model, shown beside the first."),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The report file: .html or .md."),
    ] = Path("report.html"),
    quiet: Quiet = False,
) -> None:
    """Write a report of data flows, findings and attack paths. Needs no Docker and no network."""
    from labkit.analysis import find_threats
    from labkit.analysis.gate import require_understood
    from labkit.loading import load_model
    from labkit.render import report as pages
    from labkit.render.usual_paths import usual_paths

    writers = {".html": pages.report, ".htm": pages.report, ".md": pages.markdown}
    as_text = writers.get(output.suffix.lower())
    if as_text is None:
        raise ConfigError(
            f"{output}: the name of a report must end in .html or .md",
            hint="--output report.html",
        )
    names = [name for name in (what, other) if name is not None]
    models = [load_model(name) for name in names]
    for model, name in zip(models, names, strict=True):
        require_understood(model, name)
    findings = [find_threats(model) for model in models]
    text = as_text(models, findings, [usual_paths(model) for model in models])
    write(output, text)
    for model, found in zip(models, findings, strict=True):
        say(f"{model.name}: {found.summary()}", quiet=quiet)
    say(f"written: {output}", quiet=quiet)
