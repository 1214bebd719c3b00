"""What is found about a model: one threat at one channel or component, open or mitigated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labkit.model import Claim

__all__ = ["LEVELS", "STATES", "Finding", "Findings"]

#: From the mildest to the worst.
LEVELS = ("low", "medium", "high", "critical")
#: "open": no setting prevents it. "mitigated": a setting does. "residual": no setting can, and
#: the finding says why. "unknown": the model does not say. "accepted": somebody owns it.
STATES = ("open", "unknown", "accepted", "residual", "mitigated")


@dataclass(frozen=True, slots=True)
class Finding:
    """One threat to one channel or component.

    Attributes
    ----------
    id : str
        The same in every run: the rule and the subject, "plaintext@flanneld@w1 -> etcd@e1:2379".
    rule, title : str
    subject : str
        The id of a channel or a component.
    stride, cwe, attack, references : tuple of str
        Names in STRIDE, CWE and ATT&CK; CIS benchmark and documentation by name.
    property : str
        The claim that it depends on: "encryption", "audit" ...
    claim : Claim
        The claim's value, and where it was read.
    state : str
        One of :data:`STATES`.
    control, technique : str
        The names of the control that closes it and of the technique that demonstrates it in a
        lab; empty if labkit does not have one.
    likelihood, impact : int
        From 1 to 4.
    severity : str
        One of :data:`LEVELS`, computed from likelihood and impact by the risk rule.
    explanation : str
        What an attacker gains by it, or why it remains.

    Examples
    --------
    >>> from labkit.analysis import find_threats
    >>> from labkit.model import read_model
    >>> first = find_threats(read_model("insecure")).open[0]
    >>> first.severity, first.control
    ('critical', 'docker-socket-mode')
    """

    id: str
    rule: str
    title: str
    subject: str
    stride: tuple[str, ...]
    cwe: tuple[str, ...]
    attack: tuple[str, ...]
    references: tuple[str, ...]
    property: str
    claim: Claim
    state: str
    control: str
    technique: str
    likelihood: int
    impact: int
    severity: str
    explanation: str


class Findings:
    """All findings about one model; the worst open one first.

    Parameters
    ----------
    found : iterable of Finding
    name : str
        The model's.

    Examples
    --------
    >>> from labkit.analysis import find_threats
    >>> from labkit.model import read_model
    >>> find_threats(read_model("hardened")).open
    ()
    """

    HEAD = ("severity", "state", "finding", "where", "because", "control")

    def __init__(self, found: Iterable[Finding], name: str = "") -> None:
        self.name = name
        self.findings = tuple(sorted(found, key=_order))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def state(self, *states: str) -> Findings:
        """Return the findings that have one of some states.

        Parameters
        ----------
        *states : str
            Some of :data:`STATES`.

        Returns
        -------
        Findings
        """
        return Findings((item for item in self if item.state in states), self.name)

    def top(self, count: int) -> Findings:
        """Return the first findings: the worst open ones, if there are enough.

        Parameters
        ----------
        count : int
            The most findings to return.

        Returns
        -------
        Findings
        """
        return Findings(self.findings[:count], self.name)

    @property
    def open(self) -> tuple[Finding, ...]:
        """The findings that no setting mitigates and nobody accepted."""
        return self.state("open").findings

    def summary(self) -> str:
        """Return one line with the number of findings in each state.

        Returns
        -------
        str
        """
        counts = Counter(item.state for item in self)
        return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]) or "none"

    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells of the table, without its head.

        Returns
        -------
        list of tuple of str
            One tuple for each finding, with a cell for each title of ``HEAD``.
        """
        return [
            (
                item.severity,
                item.state,
                item.title,
                item.id.partition("@")[2],
                f"{item.claim.value}: {item.claim.source}",
                item.control,
            )
            for item in self
        ]

    def __repr__(self) -> str:
        from labkit.tables import columns

        return f"{columns(self.HEAD, self.rows())}\n{self.name}: {self.summary()}"

    def _repr_html_(self) -> str:
        from labkit.tables import html

        return html(self.HEAD, self.rows(), f"{self.name}: {self.summary()}")


def _order(item: Finding) -> tuple[int, int, str]:
    return STATES.index(item.state), -LEVELS.index(item.severity), item.id
