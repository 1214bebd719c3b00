"""The flags that each component has, and which of them are switches.

The tables beside this module are what the components of the lab's image say of themselves;
``make flags`` writes them, and a lab test holds them against the image. Flags that only other
versions have are in ``other-versions.txt``, which is written by hand. A table is read when its
component is first met. A flag that is in a table and not in :mod:`labkit.cluster.defaults`
changes no claim of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["FOLDER", "Flag", "flag_table", "known_flags"]

FOLDER = Path(__file__).with_name("data") / "flags"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of a component.

    Attributes
    ----------
    type : str
        As the component's help has it: "bool", "string", "duration" ...; "value" where it only
        says that there is one.
    default : str
    hidden : bool
        The component takes it, and its help does not list it: mostly one that is deprecated.
    """

    type: str
    default: str
    hidden: bool = False

    @property
    def switch(self) -> bool:
        """Whether ``--flag`` alone means true, so that a value needs ``=``."""
        return self.type == "bool" or "[=" in self.type


@cache
def known_flags(kind: str) -> Mapping[str, Flag]:
    """Return the flags that a component has in the lab's version or in another one.

    Parameters
    ----------
    kind : str
        The component, "kube-apiserver" say. One without a table has no known flags.

    Examples
    --------
    >>> known_flags("etcd")["client-cert-auth"].switch, known_flags("my-own-daemon")
    (True, {})
    """
    others = (row for row in _rows("other-versions") if row[0] == kind)
    return {flag: Flag(type_, "") for _, flag, type_, _ in others} | flag_table(kind)


def flag_table(kind: str) -> dict[str, Flag]:
    """Return the flags that a component has in the lab's version.

    Examples
    --------
    >>> flag_table("kube-apiserver")["secure-port"]
    Flag(type='int', default='6443', hidden=False)
    """
    return {name: Flag(kind, default, bool(mark)) for name, kind, default, mark in _rows(kind)}


def _rows(name: str) -> list[list[str]]:
    path = FOLDER / f"{name}.txt"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]
