"""The verdict of a technique, and tables of verdicts and settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeAlias

from labkit.model import Claim, Foothold
from labkit.tables import columns, html

__all__ = ["COLOURS", "WORDS", "Setting", "Settings", "Verdict", "Verdicts", "decided"]

#: One setting of an environment: its name, its value, and where it was read.
Setting: TypeAlias = tuple[str, str, str]
WORDS = {True: "succeeded", False: "refused"}
# Okabe and Ito's palette: colour-blind readers can tell them apart, and the word is beside it
COLOURS = {True: "#D55E00", False: "#009E73"}


def decided(what: str, claim: Claim) -> Setting:
    """Return the setting that allows or denies something, with the reason before its place.

    Examples
    --------
    >>> from labkit.cluster.syntax.source import Source
    >>> source = Source("apiserver.service", 18, "--authorization-mode=RBAC")
    >>> decided("get pods", Claim("denied", "nothing lets bob get pods", source))[2]
    'nothing lets bob get pods: apiserver.service:18 --authorization-mode=RBAC'
    """
    return what, claim.value, f"{claim.detail}: {claim.source}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a technique did in one lab, and why.

    Its text holds no addresses, times or secrets, so that two runs print the same.

    Parameters
    ----------
    technique, mode : str
    foothold : Foothold
    succeeded : bool
        False means that something refused it. A missing answer is never a refusal.
    reason : str
        Why, in the words of the observed answer.
    evidence : tuple of str
        What was done and observed.
    control : str
        Evidence that the component was alive when it refused: a legitimate client's success.
    details : mapping
        Values that differ from run to run, such as a sample of captured bytes.

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
    """Several verdicts, shown as a table with one row for each.

    Parameters
    ----------
    verdicts : iterable of Verdict

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
    """Settings that a technique depends on, shown as a table with one row for each.

    Parameters
    ----------
    settings : iterable of (str, Setting)
        The name of the environment, and what was read in it.

    Examples
    --------
    >>> Settings([("hardened", ("encryption", "tls1.3", "etcd.service:9"))])
    mode      what        value   read in
    --------  ----------  ------  --------------
    hardened  encryption  tls1.3  etcd.service:9
    """

    __slots__ = ()
    HEAD = ("mode", "what", "value", "read in")

    def __repr__(self) -> str:
        return columns(self.HEAD, [(mode, *setting) for mode, setting in self])

    def _repr_html_(self) -> str:
        return html(self.HEAD, [(mode, *setting) for mode, setting in self])
