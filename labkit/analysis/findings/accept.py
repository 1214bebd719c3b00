"""Findings that somebody has accepted: who, why, and until when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from labkit.analysis.findings.finding import Findings
from labkit.cluster.syntax.disk import read_bytes
from labkit.cluster.syntax.source import decode
from labkit.cluster.syntax.yamldoc import Document, read_one
from labkit.errors import ConfigError

__all__ = ["Acceptance", "accept", "read_acceptances"]

KEYS = ("finding", "owner", "reason", "until")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One entry of an acceptance file.

    Attributes
    ----------
    finding : str
        The id of a finding, or a shell's pattern of ids.
    owner, reason : str
    until : datetime.date
        The last day on which it holds.
    place : str
        File and line.

    Examples
    --------
    >>> import datetime as dt
    >>> Acceptance("plaintext@*", "the network team", "VPN", dt.date(2030, 1, 31), "a.yaml:2").owner
    'the network team'
    """

    finding: str
    owner: str
    reason: str
    until: dt.date
    place: str


def read_acceptances(path: Path) -> tuple[Acceptance, ...]:
    """Read an acceptance file: a list ``accepted`` of finding, owner, reason and until.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple of Acceptance

    Raises
    ------
    ConfigError
        The file cannot be read, an entry lacks something, or ``until`` is not a date.

    Examples
    --------
    >>> import tempfile
    >>> text = "accepted: [{finding: a@*, owner: ops, reason: VPN, until: 2030-01-31}]"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "accepted.yaml"
    ...     _ = file.write_text(text)
    ...     [entry] = read_acceptances(file)
    >>> entry.until, entry.place
    (datetime.date(2030, 1, 31), 'accepted.yaml:1')
    """
    document = read_one(decode(read_bytes(path, path.name), path.name, utf16=True), path.name)
    for key in document.mapping():
        if key != "accepted":
            raise document.broken(f"{key!r}: only a list 'accepted' is known", key)
    return tuple(_entry(document, n) for n, _ in enumerate(document.sequence("accepted")))


def _entry(document: Document, number: int) -> Acceptance:
    at = ("accepted", number)
    for key in document.mapping(*at):
        if key not in KEYS:
            raise document.broken(f"unknown key {key!r}: the keys are {', '.join(KEYS)}", *at, key)
    finding, owner, reason, until = (document.text(*at, key) for key in KEYS)
    if not owner.strip() or not reason.strip():
        raise document.broken("an acceptance has an owner and a reason", *at)
    try:
        day = dt.date.fromisoformat(until)
    except ValueError:
        raise document.broken(f"no date: {until!r} (2027-01-31)", *at, "until") from None
    place = f"{document.path}:{document.line(*at)}"
    return Acceptance(finding, owner, reason, day, place)


def accept(
    findings: Findings, entries: Iterable[Acceptance], today: dt.date | None = None
) -> Findings:
    """Return findings with the accepted ones marked so; an expired entry changes nothing.

    Parameters
    ----------
    findings : Findings
    entries : iterable of Acceptance
    today : datetime.date, optional
        Today in UTC if it is not given.

    Returns
    -------
    Findings

    Raises
    ------
    ConfigError
        An entry matches no open finding: its pattern is wrong, or it is no longer needed.

    Examples
    --------
    >>> from labkit.analysis import find_threats
    >>> from labkit.model import read_model
    >>> found = find_threats(read_model("insecure"))
    >>> entry = Acceptance("*:2375", "ops", "VPN", dt.date(2030, 1, 31), "accepted.yaml:2")
    >>> accepted = accept(found, [entry], today=dt.date(2029, 1, 1))
    >>> len(found.open) - len(accepted.open) == len(accepted.state("accepted"))
    True
    """
    today = today or dt.datetime.now(dt.UTC).date()
    found = {item.id: item for item in findings}
    for entry in entries:
        matching = [
            item
            for item in findings
            if fnmatchcase(item.id, entry.finding) and item.state in ("open", "unknown")
        ]
        if not matching:
            raise ConfigError(
                f"{entry.place}: {entry.finding!r} matches no open finding",
                hint="remove the entry, or correct its pattern",
            )
        if entry.until < today:
            continue
        said = f"accepted by {entry.owner} until {entry.until}: {entry.reason}"
        for item in matching:
            found[item.id] = replace(item, state="accepted", explanation=said)
    return Findings(found.values(), findings.name)
