"""A threat model as one HTML file that needs nothing else, or as Markdown."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from labkit.analysis.finding import LEVELS, STATES, Finding, Findings
from labkit.catalog import named
from labkit.model import Model
from labkit.render.chapters import (
    attackers,
    channels,
    claim_cell,
    credentials,
    unknowns,
    ways,
)
from labkit.render.contents import MEANINGS, Contents, Row, contents
from labkit.render.groups import PROTECTIONS
from labkit.render.markdown import as_markdown
from labkit.render.svg import DASHES, STYLE
from labkit.render.words import html_text, xml

if TYPE_CHECKING:
    from labkit.analysis import AttackPaths

__all__ = ["markdown", "report"]

SECTIONS = (
    ("reach", "What an attacker gets to"),
    ("flows", "Data flows"),
    ("difference", "The difference"),
    ("findings", "Findings"),
    ("residual", "Residual and accepted risks"),
    ("paths", "Attack paths"),
    ("channels", "Channels"),
    ("credentials", "Credentials"),
    ("unknowns", "Unknowns"),
    ("reading", "How to read this"),
)
SIGNS = {"open": "●", "unknown": "?", "accepted": "☑", "residual": "◐", "mitigated": "✓"}
t = html_text


def report(
    models: Sequence[Model], findings: Sequence[Findings], paths: Sequence[Iterable[AttackPaths]]
) -> str:
    """Return a report as one HTML file: no script, font or picture from elsewhere.

    Parameters
    ----------
    models : sequence of Model
        One, or two to be compared.
    findings : sequence of Findings
        One for each model.
    paths : sequence of iterable of AttackPaths
        For each model, from each foothold to each goal, also where there is no path.

    Returns
    -------
    str
        The same bytes every time.

    Examples
    --------
    >>> from labkit.analysis import attack_paths, find_threats
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> page = report([model], [find_threats(model)], [[attack_paths(model, "pod", "secrets")]])
    >>> page.splitlines()[0], "https://" in page
    ('<!doctype html>', False)
    """
    return _page(contents(models, findings, paths))


def markdown(
    models: Sequence[Model], findings: Sequence[Findings], paths: Sequence[Iterable[AttackPaths]]
) -> str:
    """Return the same report as Markdown, with Mermaid diagrams inside.

    Parameters
    ----------
    models, findings, paths
        As :func:`report` takes them.

    Examples
    --------
    >>> from labkit.analysis import find_threats
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> markdown([model], [find_threats(model)], [[]]).splitlines()[0]
    '# Threat model: hardened'
    """
    return as_markdown(contents(models, findings, paths))


@cache
def _asset(name: str) -> str:
    return (resources.files("labkit.render") / "page" / name).read_text(encoding="utf-8")


def _page(said: Contents) -> str:
    style, script = f"{_asset('report.css')}{STYLE}", _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    bodies = {
        "reach": attackers(said),
        "flows": _flows(said),
        "difference": _difference(said),
        "findings": _findings(said),
        "residual": _residual(said),
        "paths": ways(said),
        "channels": "".join(map(channels, said.sides)),
        "credentials": "".join(map(credentials, said.sides)),
        "unknowns": unknowns(said),
        "reading": _reading(),
    }
    shown = [(key, title) for key, title in SECTIONS if bodies[key]]
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title in shown)
    sections = "".join(
        f'<section aria-labelledby="{key}"><h2 id="{key}">{title}</h2>{bodies[key]}</section>\n'
        for key, title in shown
    )
    title = t(said.title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#findings">To the findings</a>\n'
        f"<header><h1>{title}</h1>{_summary(said)}</header>\n"
        f'<nav aria-label="Contents">{links}</nav>\n<main>\n{sections}</main>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _summary(said: Contents) -> str:
    cards = []
    for side in said.sides:
        model = side.model
        size = (
            f"{len(model.components)} components, {len(model.channels)} channels, "
            f"{len(model.zones)} trust zones, {len(model.credentials)} credentials"
        )
        cards.append(
            f'<div class="card"><h3>{t(model.name)}</h3><p>{t(model.description, 600)}</p>'
            f"<p><strong>{side.open}</strong> {side.others}</p><p>{side.reached}</p>"
            f'<p class="soft">{size}</p></div>'
        )
    return f'<div class="sides">{"".join(cards)}</div>'


# -- pictures -------------------------------------------------------------------------------


def _flows(said: Contents) -> str:
    figures = "".join(
        f"<figure>{side.drawing.source(f'dfd{number}', style=False)}"
        f"<figcaption>{t(side.model.name)}: {t(side.drawing.said, 2000)}</figcaption></figure>"
        for number, side in enumerate(said.sides)
    )
    used = {edge.protection for side in said.sides for edge in side.drawing.edges}
    legend = "".join(_key(name) for name in PROTECTIONS if name in used)
    return f'<ul class="legend">{legend}</ul><div class="sides">{figures}</div>'


def _key(name: str) -> str:
    look = PROTECTIONS[name]
    return (
        f'<li><svg width="46" height="10" aria-hidden="true"><path d="M1 5H45" '
        f'stroke="{look.colour}" stroke-width="{look.width}" '
        f'stroke-dasharray="{DASHES[look.dashes] or "none"}"/></svg>{look.legend}</li>'
    )


# -- findings -------------------------------------------------------------------------------


def _difference(said: Contents) -> str:
    parts = []
    for what, rows in said.difference:
        items = "".join(
            f"<li>{_badge(row)} {t(row.main.title)}: {', '.join(map(t, row.where))}</li>"
            for row in rows
        )
        number = sum(len(row.ids) for row in rows)
        parts.append(
            f"<details><summary>{what} <small>{number}</small></summary><ul>{items}</ul></details>"
        )
    if not parts:
        return ""
    before, after = (t(side.model.name) for side in said.sides)
    return f"<p>What became of the findings of {before} in {after}.</p>{''.join(parts)}"


def _badge(row: Row) -> str:
    return f'<span class="badge {row.main.severity}">{row.main.severity}</span>'


def _findings(said: Contents) -> str:
    states = "".join(
        f'<label><input type="checkbox" name="state" value="{state}"'
        f"{'' if state == 'mitigated' else ' checked'}> {state}</label>"
        for state in STATES
    )
    levels = "".join(
        f'<label><input type="checkbox" name="level" value="{level}" checked> {level}</label>'
        for level in reversed(LEVELS)
    )
    heads = "".join(
        f'<th scope=col data-name="{xml(name)}"><button>{t(name)}</button></th>'
        for name in ("severity", "finding", "where", *(side.model.name for side in said.sides))
    )
    body = "".join(map(_finding, said.rows))
    return (
        f'<form class="filters" hidden><fieldset><legend>State</legend>{states}</fieldset>'
        f"<fieldset><legend>Severity</legend>{levels}</fieldset>"
        '<label>Search <input type="search" placeholder="etcd, CWE-319, T1040 …"></label>'
        '<span id="shown" aria-live="polite"></span></form>'
        '<div class="wide" tabindex="0" role="region" aria-label="Findings">'
        f'<table id="finding-rows"><thead><tr>{heads}<th scope=col>names</th>'
        f"<th scope=col>control, technique</th></tr></thead><tbody>{body}</tbody></table></div>"
    )


def _finding(row: Row) -> str:
    main = row.main
    names = [", ".join(main.stride), *map(named, (*main.cwe, *main.attack)), *main.references]
    listed = "".join(f"<li>{t(name)}</li>" for name in names if name)
    where = "<br>".join(map(t, row.where))
    rank = f"{len(LEVELS) - LEVELS.index(main.severity)}"
    against = [
        f"{what} <code>{t(name)}</code>"
        for what, name in (("closed by", main.control), ("shown by", main.technique))
        if name
    ]
    return (
        f'<tr data-states="{" ".join(row.states)}" data-level="{main.severity}">'
        f'<td data-key="{rank}">{_badge(row)}<br><small>{main.likelihood} × {main.impact}</small>'
        f'</td><td class="what"><strong>{t(main.title)}</strong><br>{t(main.explanation, 600)}</td>'
        f'<td class="where">{where}</td>{"".join(map(_stands, row.found))}'
        f'<td class="names"><ul>{listed}</ul></td>'
        f'<td class="against">{"<br>".join(against)}</td></tr>\n'
    )


def _stands(item: Finding | None) -> str:
    if item is None:
        return '<td data-key="9" class="stands soft">no such subject</td>'
    key = STATES.index(item.state)
    sign = f'<span class="badge state {item.state}">{SIGNS[item.state]} {item.state}</span>'
    return f'<td data-key="{key}" class="stands">{sign}<br>{claim_cell(item.claim)}</td>'


def _residual(said: Contents) -> str:
    items = "".join(
        f"<li>{_badge(row)} <strong>{t(row.main.title)}</strong>: {', '.join(map(t, row.where))}. "
        f"{t(item.explanation, 600)} <small>{item.state}"
        f"{f' in {t(side.model.name)}' if len(said.sides) > 1 else ''}</small></li>"
        for row in said.state("residual", "accepted")
        for side, item in zip(said.sides, row.found, strict=True)
        if item is not None and item.state in ("residual", "accepted")
    )
    return f"<ul>{items}</ul>" if items else "<p>None.</p>"


def _reading() -> str:
    states = "".join(f"<li>{SIGNS[s]} <strong>{s}</strong>: {MEANINGS[s]}</li>" for s in STATES)
    return (
        "<p>The model was read from configuration; every claim says in which file and line. "
        "What could not be read is an unknown, never a guess.</p>"
        f"<ul>{states}</ul><p>The severity is what likelihood times impact make, each from 1 to 4. "
        "The cost of a path is what its steps cost together: 1 is a single request, 2 is to listen "
        "on the network, 3 is to get between two machines. Numbers on a picture of a path are "
        "those of its steps.</p>"
    )
