"""The chapters of a report about attackers, channels and credentials, as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.analysis.attack_graph.steps import cost
from labkit.model import PROPERTIES, Claim
from labkit.render.contents import Contents, Side
from labkit.render.escaping import html_text, xml
from labkit.render.groups import PROTECTIONS, protection
from labkit.render.table import BAD, GOOD

if TYPE_CHECKING:
    from labkit.analysis import AttackPaths, Path

__all__ = ["attackers", "channels", "claim_cell", "credentials", "unknowns", "ways"]

t = html_text


def _anchor(side: int, start: int, goal: int) -> str:
    return f"path-{side}-{start}-{goal}"


def attackers(said: Contents) -> str:
    """Return what is reached from where, as a table."""
    if not said.reach:
        return ""
    two = len(said.sides) > 1
    heads = [
        f"<th scope=col>{t(goal)}{f' <small>{t(side.model.name)}</small>' if two else ''}</th>"
        for goal in said.goals
        for side in said.sides
    ]
    body = ""
    for row, each in enumerate(said.reach):
        cells = "".join(
            _reached(paths, _anchor(side, row, column))
            for column, sides in enumerate(each.goals)
            for side, paths in enumerate(sides)
        )
        body += f"<tr><th scope=row>{t(each.start)}</th>{cells}</tr>"
    return (
        "<p>Rows: where an attacker starts. Columns: what he may be after. In the cells the "
        "cheapest way, step by step.</p>"
        f'<div class="wide" tabindex="0" role="region" aria-label="What is reached"><table><thead>'
        f"<tr><th scope=col>from</th>{''.join(heads)}</tr></thead><tbody>{body}</tbody></table>"
        "</div>"
    )


def _reached(paths: AttackPaths | None, anchor: str) -> str:
    if paths is None:
        return '<td class="soft">not looked at</td>'
    if not paths:
        return '<td class="no">✓ out of reach</td>'
    way = " → ".join(t(step.name) for step in paths.paths[0]) or "held from the start"
    return f'<td><a class="yes" href="#{anchor}">● {way}</a></td>'


def ways(said: Contents) -> str:
    """Return the attack paths, each on the picture and in words."""
    parts = []
    for number, side in enumerate(said.sides):
        of_it = "".join(
            _ways(side, number, sides[number], _anchor(number, row, column))  # type: ignore[arg-type]
            for row, each in enumerate(said.reach)
            for column, sides in enumerate(each.goals)
            if sides[number]
        )
        nothing = "<p>No path joins any foothold to any goal that was looked at.</p>"
        heading = f"<h3>{t(side.model.name)}</h3>" if len(said.sides) > 1 else ""
        if side.paths:
            parts.append(heading + (of_it or nothing))
    return "".join(parts)


def _ways(side: Side, number: int, found: AttackPaths, anchor: str) -> str:
    cheapest, *others = found.paths
    what = f"{t(found.start)} → {t(found.goal)}"
    more = "".join(
        f"<details><summary>Another way, cost {cost(path):g}</summary>{_steps(path)}</details>"
        for path in others
    )
    words = _steps(cheapest) if cheapest else "<p>Held from the start: nothing has to be done.</p>"
    picture = ""
    if cheapest:
        title = f"Attack path: {found.start} to {found.goal}"
        told = "; ".join(f"{n}. {step.name}" for n, step in enumerate(cheapest, start=1))
        drawn = side.drawing.marked(
            side.marks.marks(cheapest), anchor + "-svg", f"dfd{number}", title, told
        )
        picture = f"<figure>{drawn}</figure>"
    return (
        f'<details id="{anchor}"><summary>{what} <small>cost {cost(cheapest):g}, '
        f"{len(found)} {'way' if len(found) == 1 else 'ways'}</small></summary>"
        f'<div class="path">{picture}<div>{words}{more}</div></div></details>'
    )


def _steps(path: Path) -> str:
    items = ""
    for step in path:
        gives = ", ".join(map(t, step.grants)) or "nothing more"
        because = "".join(map(source_line, map(str, step.because)))
        items += (
            f"<li>{t(step.foothold)}: <strong>{t(step.name)}</strong> gives {gives}"
            f"<small>{because}</small></li>"
        )
    return f"<ol>{items}</ol>"


def channels(side: Side) -> str:
    """Return a model's channels, with every claim and its line."""
    body = ""
    for it in sorted(side.model.channels, key=lambda channel: channel.id):
        look = PROTECTIONS[protection(it)]
        cells = "".join(f"<td>{_mark(claim)}{claim_cell(claim)}</td>" for claim in (
            getattr(it, name) for name in PROPERTIES
        ))  # fmt: skip
        uses = ", ".join(it.data)
        body += (
            f'<tr><th scope=row style="border-left:5px solid {look.colour}">{t(it.id)}<br>'
            f"<small>{look.legend}; {t(it.protocol)}{f'; carries {t(uses)}' if uses else ''}"
            f"{f'; with {t(it.credential)}' if it.credential else ''}</small></th>{cells}</tr>\n"
        )
    heads = "".join(f"<th scope=col>{name.replace('_', ' ')}</th>" for name in PROPERTIES)
    return _folded(
        side, f"{len(side.model.channels)} channels", f"<th scope=col>channel</th>{heads}", body
    )


def _mark(claim: Claim) -> str:
    if claim.value in BAD:
        return '<span class="yes" aria-hidden="true">✗ </span>'
    return '<span class="no" aria-hidden="true">✓ </span>' if claim.value in GOOD else ""


def credentials(side: Side) -> str:
    """Return who holds what, and what it gives; never a value."""
    body = "".join(
        f"<tr><th scope=row>{t(it.name)}</th><td>{t(it.node)}</td><td>{t(it.kind)}</td>"
        f"<td>{t(it.identity)}</td><td>{', '.join(map(t, it.rights)) or 'its own'}</td>"
        f"<td>root{''.join(f', {t(who)}' for who in it.readable_by)}</td>"
        f"<td>{source_line(str(it.source))}</td></tr>\n"
        for it in side.model.credentials
    )
    heads = "".join(
        f"<th scope=col>{name}</th>"
        for name in ("credential", "lies on", "kind", "makes you", "may", "is read by", "source")
    )
    return _folded(side, f"{len(side.model.credentials)} credentials", heads, body)


def _folded(side: Side, what: str, heads: str, body: str) -> str:
    label = f"{t(side.model.name)}: {what}"
    return (
        f'<details><summary>{label}</summary><div class="wide" tabindex="0" role="region" '
        f'aria-label="{label}"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
        "</div></details>"
    )


def unknowns(said: Contents) -> str:
    """Return what was not understood."""
    parts = []
    for side in said.sides:
        items = "".join(f"<li>{t(unknown, 600)}</li>" for unknown in side.model.unknowns)
        name = f"{t(side.model.name)}: " if len(said.sides) > 1 else ""
        listed = f"<ul>{items}</ul>" if items else ""
        number = len(side.model.unknowns)
        parts.append(f"<p>{name}{f'{number} not understood' if number else 'none'}.</p>{listed}")
    return "".join(parts)


def claim_cell(claim: Claim) -> str:
    """Return a claim's value and where it was read."""
    detail = f" <small>{t(claim.detail)}</small>" if claim.detail else ""
    return f"{t(claim.value)}{detail}{source_line(str(claim.source))}"


def source_line(said: str) -> str:
    """Return where something was read; a long path may be broken at its slashes."""
    return f'<bdi class="src">{xml(said).replace("/", "/<wbr>")}</bdi>'
