"""``labkit technique``: list the techniques (attacks), and show one."""

from __future__ import annotations

from typing import Annotated

import typer

from labkit.model import read_model

__all__ = ["app"]

app = typer.Typer(help="List the techniques (attacks), and show one.", no_args_is_help=True)


@app.command("list")
def listed() -> None:
    """List the names and titles of all techniques."""
    from labkit import techniques

    for technique in techniques.values():
        typer.echo(f"{technique.name}  {technique.title}")


@app.command()
def show(
    technique: Annotated[
        str, typer.Argument(metavar="TECHNIQUE", help="A name from labkit technique list.")
    ],
) -> None:
    """Show a technique, its footholds, and the prediction for each mode."""
    from labkit import read_environment, techniques

    found = techniques[technique]
    typer.echo(f"{found.name}: {found.title}")
    typer.echo(
        f"ATT&CK {', '.join(found.attack)}; STRIDE {', '.join(found.stride)}; "
        f"{', '.join(found.cwe)}"
    )
    if found.machines:
        typer.echo(f"needs: {', '.join(found.machines)}; does not apply to a lab without")
    typer.echo(f"gives: {', '.join(map(str, found.grants)) or 'no new foothold'}")
    for mode in found.modes:
        model = read_model(read_environment(mode))
        for foothold in found.footholds:
            typer.echo(f"{mode}, {foothold}: {found.predict(model, foothold)!r}")
    for source in found.sources:
        typer.echo(f"see: {source}")
