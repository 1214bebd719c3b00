"""Write a threat model as one HTML file that loads no other file, or as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from labkit.analysis.attack_graph.steps import cost
from labkit.analysis.findings.finding import LEVELS, STATES, Findings
from labkit.gc_pause import gc_pause
from labkit.model import PROPERTIES, Model
from labkit.render import templating
from labkit.render.contents import MEANINGS, SIGNS, Contents, contents
from labkit.render.groups import PROTECTIONS, protection
from labkit.render.mermaid import mermaid
from labkit.render.svg import DASHES, STYLE
from labkit.render.table import BAD, GOOD

if TYPE_CHECKING:
    from labkit.analysis import AttackPaths

__all__ = ["markdown", "report"]


@gc_pause()
def report(
    models: Sequence[Model], findings: Sequence[Findings], paths: Sequence[Iterable[AttackPaths]]
) -> str:
    """Return a report as one HTML file that loads no other file.

    Parameters
    ----------
    models : sequence of Model
        One model, or two to compare.
    findings : sequence of Findings
        One for each model.
    paths : sequence of iterable of AttackPaths
        For each model, one for each foothold and goal, even if it holds no path.

    Returns
    -------
    str
        Equal arguments give the same bytes.

    Raises
    ------
    ValueError
        The three sequences differ in length.

    Examples
    --------
    >>> from labkit.analysis import attack_paths, find_threats
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> page = report([model], [find_threats(model)], [[attack_paths(model, "pod", "secrets")]])
    >>> page.splitlines()[0], "https://" in page
    ('<!doctype html>', False)
    """
    return templating.html("report/page.html", **_context(contents(models, findings, paths)))


@gc_pause()
def markdown(
    models: Sequence[Model], findings: Sequence[Findings], paths: Sequence[Iterable[AttackPaths]]
) -> str:
    """Return the same report as Markdown with Mermaid diagrams.

    Parameters
    ----------
    models : sequence of Model
        One model, or two to compare.
    findings : sequence of Findings
        One for each model.
    paths : sequence of iterable of AttackPaths
        For each model, one for each foothold and goal, even if it holds no path.

    Returns
    -------
    str
        Equal arguments give the same bytes.

    Raises
    ------
    ValueError
        The three sequences differ in length.

    Examples
    --------
    >>> from labkit.analysis import find_threats
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> markdown([model], [find_threats(model)], [[]]).splitlines()[0]
    '# Threat model: hardened'
    """
    text = templating.markdown("report/page.md", **_context(contents(models, findings, paths)))
    return text.rstrip() + "\n"


def _context(said: Contents) -> dict[str, Any]:
    """Return the variables of the templates."""
    return {
        "said": said,
        "bad": BAD,
        "claims_of": attrgetter(*PROPERTIES),
        "cost": cost,
        "dashes": DASHES,
        "good": GOOD,
        "levels": LEVELS,
        "meanings": MEANINGS,
        "mermaid": mermaid,
        "picture_style": STYLE,
        "properties": list(PROPERTIES),
        "protection": protection,
        "protections": PROTECTIONS,
        "signs": SIGNS,
        "states": STATES,
    }
