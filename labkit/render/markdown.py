"""A report as Markdown: the twin of the HTML page, for a repository or a wiki."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from labkit.analysis.finding import STATES
from labkit.analysis.steps import Path, cost
from labkit.catalog import named
from labkit.model import PROPERTIES
from labkit.render.contents import MEANINGS, Contents, Row, Side
from labkit.render.groups import PROTECTIONS, protection
from labkit.render.mermaid import mermaid
from labkit.render.words import markdown_text

__all__ = ["as_markdown"]

t = markdown_text


def as_markdown(said: Contents) -> str:
    """Return a report as Markdown.

    Examples
    --------
    >>> from labkit.analysis import find_threats
    >>> from labkit.model import read_model
    >>> from labkit.render.contents import contents
    >>> model = read_model("hardened")
    >>> as_markdown(contents([model], [find_threats(model)], [[]])).splitlines()[0]
    '# Threat model: hardened'
    """
    return "\n".join(_lines(said)).rstrip() + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
    return [*lines, ""]


def _lines(said: Contents) -> Iterator[str]:
    yield from (f"# {t(said.title)}", "")
    for side in said.sides:
        yield from _summary(side)
    if said.reach:
        yield from ("## What an attacker gets to", "", *_reach(said))
    yield from ("## Data flows", "")
    for side in said.sides:
        drawing = mermaid(side.model.graph, closed=True)
        yield from (
            "```mermaid",
            drawing.source.rstrip(),
            "```",
            "",
            t(side.drawing.said, 2000),
            "",
        )
    if said.difference:
        yield from ("## The difference", "")
        for what, rows in said.difference:
            yield from (f"**{what}**", "", *(f"- {_short(row)}" for row in rows), "")
    for title, states in (("Findings", STATES[:2]), ("Residual and accepted risks", STATES[2:4])):
        yield from (f"## {title}", "", *_findings(said, said.state(*states)))
    done = [row for row in said.rows if set(row.states) == {"mitigated"}]
    yield from ("## Mitigated", "", *_mitigated(done))
    yield from _paths(said)
    for title, table in (("Channels", _channels), ("Credentials", _credentials)):
        yield from (f"## {title}", "")
        for side in said.sides:
            yield from (f"### {t(side.model.name)}", "", *table(side))
    yield from ("## Unknowns", "")
    for side in said.sides:
        yield f"- {t(side.model.name)}: {len(side.model.unknowns) or 'none'}"
        yield from (f"  - {t(unknown, 600)}" for unknown in side.model.unknowns)
    yield from ("", "## How to read this", "")
    yield from (f"- **{state}**: {MEANINGS[state]}" for state in STATES)
    yield "- The severity is what likelihood times impact make, each from 1 to 4."


def _summary(side: Side) -> Iterator[str]:
    model = side.model
    yield (
        f"- **{t(model.name)}**: {side.open} {side.others} {side.reached} "
        f"{len(model.components)} components, {len(model.channels)} channels, "
        f"{len(model.zones)} trust zones."
    )
    yield ""


def _reach(said: Contents) -> list[str]:
    def way(paths: object) -> str:
        if paths is None:
            return "not looked at"
        found: tuple[Path, ...] = paths.paths  # type: ignore[attr-defined]
        if not found:
            return "out of reach"
        return " → ".join(t(step.technique) for step in found[0]) or "held from the start"

    names = [f" ({t(side.model.name)})" if len(said.sides) > 1 else "" for side in said.sides]
    heads = ["from", *(f"{t(goal)}{name}" for goal in said.goals for name in names)]
    return _table(
        heads,
        [
            [t(it.start), *(way(paths) for sides in it.goals for paths in sides)]
            for it in said.reach
        ],
    )


def _short(row: Row) -> str:
    return f"{row.main.severity}: {t(row.main.title)}: {', '.join(map(t, row.where))}"


def _findings(said: Contents, rows: Sequence[Row]) -> list[str]:
    if not rows:
        return ["None.", ""]
    heads = ["severity", "finding", "where", *(t(side.model.name) for side in said.sides)]
    return _table([*heads, "names", "control, technique"], map(_cells, rows))


def _cells(row: Row) -> list[str]:
    main = row.main
    names = [", ".join(main.stride), *map(named, (*main.cwe, *main.attack)), *main.references]
    stands = [
        "no such subject"
        if item is None
        else f"{item.state}: {t(item.claim.value)}: {t(str(item.claim.source))}"
        for item in row.found
    ]
    return [
        main.severity,
        f"**{t(main.title)}** {t(main.explanation, 600)}",
        "<br>".join(map(t, row.where)),
        *stands,
        "<br>".join(t(name) for name in names if name),
        "<br>".join(t(name) for name in (main.control, main.technique) if name),
    ]


def _mitigated(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return ["None.", ""]
    cells = [
        [
            t(row.main.title),
            "<br>".join(map(t, row.where)),
            f"{t(row.main.claim.value)}: {t(str(row.main.claim.source))}",
        ]
        for row in rows
    ]
    return _table(["threat", "where", "because"], cells)


def _paths(said: Contents) -> Iterator[str]:
    if not said.reach:
        return
    yield from ("## Attack paths", "")
    for side in said.sides:
        open_ones = [paths for paths in side.paths if paths]
        if not open_ones:
            yield from (f"{t(side.model.name)}: no path was found.", "")
        for paths in open_ones:
            yield from (f"### {t(side.model.name)}: {t(paths.start)} → {t(paths.goal)}", "")
            for number, path in enumerate(paths.paths, start=1):
                yield from (f"Way {number}, cost {cost(path):g}:", "", *_steps(path), "")


def _steps(path: Path) -> Iterator[str]:
    if not path:
        yield "Held from the start."
    for number, step in enumerate(path, start=1):
        gives = ", ".join(map(t, step.grants)) or "nothing more"
        yield f"{number}. {t(step.foothold)}: **{t(step.technique)}** gives {gives}"
        yield from (f"   - {t(said)}" for said in step.because)


def _channels(side: Side) -> list[str]:
    return _table(
        ["channel", "protection", *(name.replace("_", " ") for name in PROPERTIES)],
        [
            [
                t(it.id),
                PROTECTIONS[protection(it)].legend,
                *(
                    f"{t(claim.value)}: {t(str(claim.source))}"
                    for claim in (getattr(it, name) for name in PROPERTIES)
                ),
            ]
            for it in sorted(side.model.channels, key=lambda channel: channel.id)
        ],
    )


def _credentials(side: Side) -> list[str]:
    if not side.model.credentials:
        return ["None.", ""]
    return _table(
        ["credential", "lies on", "kind", "makes you", "may", "is read by", "source"],
        [
            [
                t(it.name),
                t(it.node),
                t(it.kind),
                t(it.identity),
                ", ".join(map(t, it.rights)) or "its own",
                ", ".join(["root", *map(t, it.readable_by)]),
                t(str(it.source)),
            ]
            for it in side.model.credentials
        ],
    )
