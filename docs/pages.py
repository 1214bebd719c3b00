"""Write the pages of the documentation site that are made from the code.

One page for each technique, each control and each public module. Everything on them is read
from the technique, the control, the two environments and the truth matrix when the site is
built, so that a page cannot differ from the code.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from numpydoc.docscrape import NumpyDocString

from labkit import controls, load_model, techniques
from labkit.controls import Control
from labkit.detection import Detection, DetectionCell
from labkit.lab.running import RunningLab
from labkit.matrix import Cell, Matrix
from labkit.model import Model
from labkit.techniques import Technique

__all__ = ["control_page", "technique_page", "write_pages"]

MODES = ("insecure", "hardened")
#: What ``import labkit`` offers, and the rooms that docs/api.md names.
MODULES = (
    "labkit",
    "labkit.cluster",
    "labkit.model",
    "labkit.analysis",
    "labkit.techniques",
    "labkit.controls",
    "labkit.lab",
    "labkit.verification",
    "labkit.detection",
    "labkit.matrix",
    "labkit.render",
    "labkit.diagram",
    "labkit.formats",
)
LONGEST_VALUE = 160
NOT_IN_THE_MATRIX = "The stored truth matrix does not have it yet (`make matrix`)."
#: A menu with every technique and control on every page would double the time of the build;
#: their tables lead to them.
NOT_IN_THE_MENU = "---\norphan: true\n---"

Flips = dict[tuple[str, str], set[tuple[str, str]]]


def write_pages(folder: Path, matrix: Matrix, detection: Detection) -> None:
    """Write every generated page below a folder.

    Parameters
    ----------
    folder : Path
        The site's copy of ``docs/``.
    matrix : Matrix
        The truth matrix that the pages quote.
    detection : Detection
        The detection column that they quote.
    """
    flips = matrix.effects()
    for name, items, page in (
        (
            "techniques",
            [*techniques.values()],
            lambda item: technique_page(item, matrix, flips, detection),
        ),
        ("controls", [*controls.values()], lambda item: control_page(item, matrix, flips)),
    ):
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        for item in items:
            (place / f"{item.name}.md").write_text(page(item))
        (place / "index.md").write_text(_index(name, items, matrix))
    place = folder / "reference"
    place.mkdir(exist_ok=True)
    for module, page_text in _reference():
        (place / f"{module}.md").write_text(page_text)
    lines = [f"- [{module}]({module}.md)" for module in MODULES]
    toctree = _toctree(MODULES)
    (place / "index.md").write_text(_join("# Python API", "\n".join(lines), toctree))


def technique_page(technique: Technique, matrix: Matrix, flips: Flips, detection: Detection) -> str:
    """Return the page of one technique, in Markdown.

    Parameters
    ----------
    technique : Technique
    matrix : Matrix
    flips : dict
        :meth:`labkit.matrix.Matrix.effects` of the matrix.
    detection : Detection

    Returns
    -------
    str
    """
    settings = [
        (mode, what, value, f"`{_short(read_in)}`")
        for mode, (what, value, read_in) in technique.difference(
            *(_model(mode).environment for mode in technique.modes)
        )
    ]
    predicted = [
        (str(foothold), mode, repr(found).partition(",")[0], "; ".join(found.because))
        for mode in technique.modes
        for foothold in technique.footholds
        for found in [technique.predict(_model(mode), foothold)]
    ]
    rows = [cell for cell in matrix if cell.technique == technique.name]
    observed = [
        (cell.foothold, cell.environment, cell.observed, cell.reason)
        for cell in rows
        if cell.control is None
    ]
    return _join(
        NOT_IN_THE_MENU,
        f"# {technique.name}",
        f"**{technique.title}.** {_documented(_module_of(technique.predict, technique))}",
        "## What it needs",
        "A foothold, one of: " + "; ".join(f"*{f}*" for f in technique.footholds) + ".",
        _claims_it_needs(technique),
        _machines_it_needs(technique),
        _table(("mode", "setting", "value", "read in"), settings),
        "## What it grants",
        ", ".join(f"*{grant}*" for grant in technique.grants)
        or "Nothing further: it shows that the channel can be read or the check passed.",
        "## What the model predicts",
        _documented(technique.predict),
        _table(("from", "mode", "predicted", "because"), _merged(predicted)),
        "## How it is carried out",
        _documented(technique.execute),
        f"```sh\nlabkit attack {technique.name} --mode {technique.modes[0]}\n```",
        _raised(technique.execute),
        f"Source: {_source(technique)}. [All techniques](index.md).",
        "## What stops it",
        _stopped_by(technique, flips),
        "## Its row of the truth matrix",
        _count(rows),
        _table(("from", "mode", "observed", "why"), _merged(observed)),
        "## Who would have seen it",
        _seen_by([cell for cell in detection.cells if cell.technique == technique.name]),
        "## Classification and references",
        _table(
            ("scheme", "entries"),
            [
                ("MITRE ATT&CK", _links(technique.attack, _attack_url)),
                ("CWE", _links(technique.cwe, _cwe_url)),
                ("STRIDE", ", ".join(technique.stride)),
            ],
            escape=False,
        ),
        _bullets(technique.sources),
    )


def control_page(control: Control, matrix: Matrix, flips: Flips) -> str:
    """Return the page of one control, in Markdown.

    Parameters
    ----------
    control : Control
    matrix : Matrix
    flips : dict
        :meth:`labkit.matrix.Matrix.effects` of the truth matrix.

    Returns
    -------
    str
    """
    states = [
        (mode, "in place" if control.holds(_model(mode)) else "missing") for mode in control.modes
    ]
    module = _module_of(control.holds, control)
    return _join(
        NOT_IN_THE_MENU,
        f"# {control.name}",
        f"**{control.title}.** {control.why}",
        _extended(module),
        "## What it changes",
        f"In the model: `{control.changes}`.",
        "### To put it in place",
        _edits(control.edits(on=True)),
        "### To take it out",
        _edits(control.edits(on=False)),
        "## Where it is in place",
        _table(("mode", "state"), states),
        f"```sh\nlabkit control off {control.name} --mode {control.modes[1]}\n```",
        "## What it stops",
        "Claimed to stop by itself: "
        + (", ".join(_technique_link(name) for name in control.stops) or "nothing")
        + ".",
        _flip_effects(control, flips),
        "## Its rows of the truth matrix",
        _counts_of_flips(control, [cell for cell in matrix if cell.control == control.name]),
        "## References",
        _bullets(control.references),
        f"Source: {_source(control)}. [All controls](index.md).",
    )


# -- parts of a page ------------------------------------------------------------------------


@cache
def _model(mode: str) -> Model:
    return load_model(mode)


def _merged(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return rows of which the first cells are joined if all the others are equal."""
    firsts: dict[tuple[str, ...], list[str]] = {}
    for first, *others in rows:
        firsts.setdefault(tuple(others), []).append(first)
    return [("; ".join(names), *others) for others, names in firsts.items()]


def _index(kind: str, items: Sequence[Any], matrix: Matrix) -> str:
    if kind == "techniques":
        seen = {
            (mode, technique.name): _outcome(
                cell
                for cell in matrix
                if cell.technique == technique.name and cell.variant == (mode, None, None)
            )
            for technique in items
            for mode in technique.modes
        }
        head: tuple[str, ...] = ("technique", "what it does", "grants", *MODES)
        rows: list[tuple[str, ...]] = [
            (
                f"[{t.name}]({t.name}.md)",
                _cell(t.title),
                _cell(", ".join(map(str, t.grants)) or "-"),
                *(seen[mode, t.name] for mode in t.modes),
            )
            for t in items
        ]
        text = (
            "Each technique is one thing that an attacker can do. The two columns on the right "
            "say what happened in the running labs, from the footholds that it can start at: in "
            "`insecure` and `hardened`, or in the two labs of the profile that it is of."
        )
    else:
        head = ("control", "what holds with it", "claimed to stop by itself")
        rows = [
            (
                f"[{c.name}]({c.name}.md)",
                _cell(c.title),
                ", ".join(_technique_link(name, "../techniques/") for name in c.stops) or "-",
            )
            for c in items
        ]
        text = (
            "Each control is one mitigation. `hardened` has all of them in place; "
            "`labkit control` puts one in place or takes one out of a running lab."
        )
    title = kind.capitalize()
    return _join(f"# {title}", text, _table(head, rows, escape=False))


def _outcome(cells: Iterable[Cell]) -> str:
    return ", ".join(sorted({cell.observed for cell in cells}, reverse=True)) or "not tried"


def _machines_it_needs(technique: Technique) -> str:
    if not technique.machines:
        return ""
    names = " and ".join(f"`{name}`" for name in technique.machines)
    if technique.modes != MODES:
        places = " and ".join(f"`{mode}`" for mode in technique.modes)
        return f"The lab must have {names}: it applies to {places} alone."
    return (
        f"The lab must have {names}; a light lab has not, and the technique does not apply there."
    )


def _claims_it_needs(technique: Technique) -> str:
    if not technique.about:
        return "It depends on no channel of the model, only on the settings below."
    names = " and ".join(name.replace("_", " ") for name in technique.properties)
    return f"It depends on {names or 'no claim'} of the channels `{technique.about}`."


def _stopped_by(technique: Technique, flips: Flips) -> str:
    claimed = {c.name for c in controls.values() if technique.name in c.stops}
    rows = []
    for control in controls.values():
        cells = [
            ", ".join(
                sorted(
                    foothold
                    for name, foothold in flips.get((control.name, direction), ())
                    if name == technique.name
                )
            )
            for direction in ("on", "off")
        ]
        if control.name in claimed or any(cells):
            rows.append(
                (
                    f"[{control.name}](../controls/{control.name}.md)",
                    "yes" if control.name in claimed else "",
                    *(_cell(text) for text in cells),
                )
            )
    if not rows:
        return "No single control stops it, and no control taken out alone lets it through."
    head = (
        "control",
        "claimed to stop it alone",
        "put in place in `insecure`: changes it from",
        "taken out of `hardened`: changes it from",
    )
    return _table(head, rows, escape=False)


def _seen_by(cells: Sequence[DetectionCell]) -> str:
    """Return which events were in the audit log, and which rules fired on them."""
    if not cells:
        return "The stored detection column does not have it (`make detection`)."
    rows = []
    for cell in cells:
        flip = f", {cell.control} {cell.direction}" if cell.control else ""
        events, rules = "; ".join(cell.events) or "none", ", ".join(cell.fires) or "none"
        rows.append((cell.foothold, f"{cell.environment}{flip}", cell.outcome, events, rules))
    return _join(
        "In both modes, and with each control flipped that changes how it ends or what it leaves:",
        _table(("from", "mode", "ends", "events in the audit log", "rules"), _merged(rows)),
        "[How this was observed](../detection.md).",
    )


def _flip_effects(control: Control, flips: Flips) -> str:
    lacks, has = control.modes
    parts = []
    for direction, words in (
        ("on", f"Put in place in `{lacks}`, alone, it changed the outcome of"),
        ("off", f"Taken out of `{has}`, alone, it changed the outcome of"),
    ):
        found = flips.get((control.name, direction))
        if found is None:
            parts.append(f"{words}: not tried in the stored truth matrix.")
            continue
        places: dict[str, list[str]] = {}
        for name, foothold in sorted(found):
            places.setdefault(name, []).append(foothold)
        rows = [(_technique_link(name), _cell(", ".join(at))) for name, at in places.items()]
        parts.append(
            _join(f"{words}:", _table(("technique", "from"), rows, escape=False))
            if rows
            else f"{words}: nothing."
        )
    return _join(*parts)


def _count(cells: Sequence[Cell]) -> str:
    if not cells:
        return NOT_IN_THE_MATRIX
    return (
        "In both modes and with each control flipped alone: "
        f"{Matrix(cells).summary()}. [The whole matrix](../matrix.md)."
    )


def _counts_of_flips(control: Control, cells: Sequence[Cell]) -> str:
    rows = []
    for mode, words in zip(control.modes, ("put in place", "taken out"), strict=True):
        flipped = [cell for cell in cells if cell.environment == mode]
        if flipped:
            rows.append((mode, words, Matrix(flipped).summary()))
    if not rows:
        return NOT_IN_THE_MATRIX
    table = _table(("mode", "this control alone", "all techniques tried there"), rows)
    return _join(table, "[The whole matrix](../matrix.md).")


def _edits(edits: Sequence[Any]) -> str:
    if not edits:
        return "No change of a file."
    lines = []
    for edit in edits:
        parts = [f"{f.name}: {_short(str(getattr(edit, f.name)))}" for f in fields(edit)]
        lines.append(f"{type(edit).__name__}\n" + textwrap.indent("\n".join(parts), "  "))
    return "```text\n" + "\n".join(lines) + "\n```"


# -- what the code says of itself -----------------------------------------------------------


def _module_of(function: Callable[..., Any], item: Technique | Control) -> ModuleType:
    """Return the module that holds a technique or a control."""
    package = "techniques" if isinstance(item, Technique) else "controls"
    return importlib.import_module(f"labkit.{package}.{item.name.replace('-', '_')}")


def _source(item: Technique | Control) -> str:
    module = _module_of(lambda: None, item)
    return f"`{module.__name__.replace('.', '/')}.py`"


def _parsed(thing: object) -> NumpyDocString:
    return NumpyDocString(inspect.getdoc(thing) or "")


def _documented(thing: object) -> str:
    """Return the summary and the explanation of a docstring, without its numpydoc sections."""
    found = _parsed(thing)
    summary = " ".join(found["Summary"])
    return _markdown("\n".join([summary, "", *found["Extended Summary"]]))


def _extended(thing: object) -> str:
    return _markdown("\n".join(_parsed(thing)["Extended Summary"]))


def _raised(function: Callable[..., Any]) -> str:
    rows = [(each.type, " ".join(each.desc)) for each in _parsed(function)["Raises"]]
    if not rows:
        return ""
    return _join("It ends without a verdict in these cases:", _table(("error", "when"), rows))


def _markdown(text: str) -> str:
    """Return reStructuredText's roles and double backticks as Markdown's code."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`").strip()


# -- Markdown -------------------------------------------------------------------------------


def _join(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"([|*_<\[\]`\\])", r"\\\1", text.replace("\n", " "))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, escape: bool = True) -> str:
    if not rows:
        return ""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def shown(text: str) -> str:
        code = re.fullmatch(r"`[^`|]*`", text)
        return _cell(text) if escape and not code else text

    body = [line(shown(text) for text in row) for row in rows]
    return "\n".join([line(head), line("---" for _ in head), *body])


def _short(text: str) -> str:
    text = " ".join(text.split()).replace("`", "'").replace("|", "¦")
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _bullets(texts: Iterable[str]) -> str:
    return "\n".join(f"- <{t}>" if t.startswith("https://") else f"- {_cell(t)}" for t in texts)


def _links(names: Iterable[str], url: Callable[[str], str]) -> str:
    return ", ".join(f"[{name}]({url(name)})" for name in names)


def _attack_url(name: str) -> str:
    return f"https://attack.mitre.org/techniques/{name.replace('.', '/')}/"


def _cwe_url(name: str) -> str:
    return f"https://cwe.mitre.org/data/definitions/{name.removeprefix('CWE-')}.html"


def _technique_link(name: str, folder: str = "../techniques/") -> str:
    return f"[{name}]({folder}{name}.md)"


def _toctree(names: Iterable[str]) -> str:
    return "```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```"


# -- the Python API -------------------------------------------------------------------------


def _reference() -> Iterable[tuple[str, str]]:
    """Yield each public module's page; a name is documented where it is first offered."""
    seen: set[int] = set()
    for name in MODULES:
        module = importlib.import_module(name)
        blocks = [f".. py:module:: {name}\n"]
        for public in sorted(module.__all__):
            value = getattr(module, public)
            if id(value) in seen or not (inspect.isclass(value) or inspect.isroutine(value)):
                continue
            seen.add(id(value))
            kind = "class" if inspect.isclass(value) else "function"
            error = kind == "class" and issubclass(value, BaseException)
            directive = "exception" if error else kind
            members = "   :members:\n" if kind == "class" else ""
            if kind == "class" and issubclass(value, RunningLab):
                members += "   :inherited-members: object\n"
            blocks.append(f".. auto{directive}:: {name}.{public}\n{members}")
        yield (
            name,
            _join(f"# {name}", _documented(module), "```{eval-rst}\n" + "\n".join(blocks) + "```"),
        )
