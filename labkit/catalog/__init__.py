"""The names of techniques of MITRE ATT&CK and of weaknesses of MITRE CWE, by number.

The two files beside this module are the only place for these names. The head of each file says
what it was checked against. A file is read at the first use of a name, not at import.

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
    """The entries of one catalogue that labkit uses.

    Attributes
    ----------
    version : str
        The version of the catalogue: "19.1".
    date : str
        The date of that version: "2026-05-12".
    names : mapping of str to str
        The names by number: "T1552.007". A subtechnique of ATT&CK has the title of its page:
        "Unsecured Credentials: Container API".
    """

    version: str
    date: str
    names: Mapping[str, str]


@cache
def attack() -> Catalog:
    """Return the techniques of MITRE ATT&CK for Enterprise (https://attack.mitre.org/).

    Returns
    -------
    Catalog

    Examples
    --------
    >>> attack().names["T1552.007"]
    'Unsecured Credentials: Container API'
    """
    return _read("attack.txt")


@cache
def cwe() -> Catalog:
    """Return the weaknesses of MITRE CWE (https://cwe.mitre.org/).

    Returns
    -------
    Catalog

    Examples
    --------
    >>> cwe().names["CWE-319"]
    'Cleartext Transmission of Sensitive Information'
    """
    return _read("cwe.txt")


def named(number: str) -> str:
    """Return a number with its name, or only the number if no catalogue has it.

    Parameters
    ----------
    number : str
        A number of ATT&CK ("T1552.007") or CWE ("CWE-319").

    Returns
    -------
    str

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
