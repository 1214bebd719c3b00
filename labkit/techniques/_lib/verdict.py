"""What became of a technique, and tables of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeAlias

from labkit.model import Foothold
from labkit.tables import columns, html

__all__ = ["COLOURS", "WORDS", "Setting", "Settings", "Verdict", "Verdicts"]

#: What an environment says about one thing: its name, its value, where it was read.
Setting: TypeAlias = tuple[str, str, str]
WORDS = {True: "succeeded", False: "refused"}
# Okabe and Ito's: seen apart by the colour-blind, and the word stands beside it
COLOURS = {True: "#D55E00", False: "#009E73"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a technique in one lab, and why.

    It shows neither addresses nor times nor secrets, so that two runs show the same.

    Parameters
    ----------
    technique, mode : str
    foothold : Foothold
    succeeded : bool
        False means refused, never that no answer came.
    reason : str
        Why, in the words of what was seen.
    evidence : tuple of str
        What was seen.
    control : str
        What shows that a refusal is none of a dead component: the legitimate client's success.
    details : mapping
        What differs from run to run, for whoever wants to look closer.

    Examples
    --------
    >>> from labkit.model.footholds import NETWORK
    >>> Verdict("etcd-read", "insecure", NETWORK, True, "HTTP 200", ("one value",))
    etcd-read, insecure, on the cluster network: succeeded
      why: HTTP 200
      - one value
    """

    technique: str
    mode: str
    foothold: Foothold
    succeeded: bool
    reason: str
    evidence: tuple[str, ...] = ()
    control: str = ""
    details: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def word(self) -> str:
        """Return "succeeded" or "refused"."""
        return WORDS[self.succeeded]

    def __repr__(self) -> str:
        lines = [f"{self.technique}, {self.mode}, {self.foothold}: {self.word}"]
        lines.append(f"  why: {self.reason}")
        lines += [f"  - {line}" for line in self.evidence]
        if self.control:
            lines.append(f"  control: {self.control}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{escape(line)}</li>" for line in self.evidence)
        control = f"<div><i>control:</i> {escape(self.control)}</div>" if self.control else ""
        colour = COLOURS[self.succeeded]
        return (
            f"<div style='border-left:5px solid {colour};padding:2px 12px;text-align:left'>"
            f"<b>{escape(self.technique)}</b> in <b>{escape(self.mode)}</b>, "
            f"{escape(str(self.foothold))}: <b style='color:{colour}'>{self.word}</b>"
            f"<div><i>why:</i> {escape(self.reason)}</div><ul>{items}</ul>{control}</div>"
        )


class Verdicts(tuple[Verdict, ...]):
    """Verdicts, as a table with one line for each.

    Examples
    --------
    >>> from labkit.model.footholds import NETWORK
    >>> Verdicts([Verdict("etcd-read", "insecure", NETWORK, True, "HTTP 200")])
    technique  mode      from                    verdict    why
    ---------  --------  ----------------------  ---------  --------
    etcd-read  insecure  on the cluster network  succeeded  HTTP 200
    """

    __slots__ = ()
    HEAD = ("technique", "mode", "from", "verdict", "why")

    def _cells(self) -> list[tuple[str, ...]]:
        return [(v.technique, v.mode, str(v.foothold), v.word, v.reason) for v in self]

    def __repr__(self) -> str:
        return columns(self.HEAD, self._cells())

    def _repr_html_(self) -> str:
        rows = []
        for verdict, cells in zip(self, self._cells(), strict=True):
            style = f"color:{COLOURS[verdict.succeeded]};font-weight:600"
            rows.append([(cell, style if cell == verdict.word else "") for cell in cells])
        return html(self.HEAD, rows)


class Settings(tuple[tuple[str, Setting], ...]):
    """What environments say about what a technique needs, one line for each."""

    __slots__ = ()
    HEAD = ("mode", "what", "value", "read in")

    def __repr__(self) -> str:
        return columns(self.HEAD, [(mode, *setting) for mode, setting in self])

    def _repr_html_(self) -> str:
        return html(self.HEAD, [(mode, *setting) for mode, setting in self])
