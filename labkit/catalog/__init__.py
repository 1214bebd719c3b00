"""What the numbers of MITRE ATT&CK and CWE stand for, and of which version they are.

The two files beside this module are the only place for names; their heads say what they were
checked against. They are read when a name is first asked for, and not at import.

Examples
--------
>>> attack().version, attack().names["T1685"]
('19.1', 'Disable or Modify Tools')
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Catalog", "attack", "cwe", "named"]


@dataclass(frozen=True, slots=True)
class Catalog:
    """The entries of one catalogue that labkit names.

    Attributes
    ----------
    version : str
        The catalogue's own version, "19.1".
    date : str
        The day of that version, "2026-05-12".
    names : mapping of str to str
        From the number of an entry, "T1552.007", to its name. A subtechnique of ATT&CK is
        written as its page is titled: "Unsecured Credentials: Container API".
    """

    version: str
    date: str
    names: Mapping[str, str]


@cache
def attack() -> Catalog:
    """Return the techniques of MITRE ATT&CK for Enterprise."""
    return _read("attack.txt")


@cache
def cwe() -> Catalog:
    """Return the weaknesses of MITRE CWE."""
    return _read("cwe.txt")


def named(number: str) -> str:
    """Return a number with its name, or the number alone where the catalogues lack it.

    Examples
    --------
    >>> named("CWE-319"), named("house rule 7")
    ('CWE-319 Cleartext Transmission of Sensitive Information', 'house rule 7')
    >>> named("T1565.001")
    'T1565.001 Data Manipulation: Stored Data Manipulation'
    """
    catalog = cwe() if number.startswith("CWE-") else attack()
    return f"{number} {catalog.names.get(number, '')}".rstrip()


def _read(name: str) -> Catalog:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows = dict(line.split("\t") for line in lines)
    version, date = rows.pop("version"), rows.pop("date")
    names = {}
    for number, name in rows.items():
        parent = number.partition(".")[0]
        names[number] = name if parent == number else f"{rows[parent]}: {name}"
    return Catalog(version, date, names)
