"""The flags of each component, and which of them are switches.

The tables in ``data/flags`` list the flags that the programs in the lab's image report; ``make
flags`` writes them, and a lab test compares them with the image. ``other-versions.txt`` is written
by hand and lists flags of other versions. A table is read on first use. A flag that is not also in
:mod:`labkit.cluster.defaults` changes no claim of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["FOLDER", "KnownFlag", "flag_table", "known_flags"]

FOLDER = Path(__file__).with_name("data") / "flags"


@dataclass(frozen=True, slots=True)
class KnownFlag:
    """One flag of a component.

    Attributes
    ----------
    type : str
        As in the component's help: "bool", "string", "duration" ...; "value" if the help names no
        type.
    default : str
    hidden : bool
        The component accepts the flag, but its help does not list it; most are deprecated.
    """

    type: str
    default: str
    hidden: bool = False

    @property
    def switch(self) -> bool:
        """Whether ``--flag`` alone means true, so that a value needs ``=``."""
        return self.type == "bool" or "[=" in self.type


@cache
def known_flags(kind: str) -> Mapping[str, KnownFlag]:
    """Return the flags that a component has in the lab's version or in another one.

    Parameters
    ----------
    kind : str
        The component, for example "kube-apiserver".

    Returns
    -------
    mapping of str to KnownFlag
        Empty for a component without a table.

    Examples
    --------
    >>> known_flags("etcd")["client-cert-auth"].switch, known_flags("my-own-daemon")
    (True, {})
    """
    others = (row for row in _rows("other-versions") if row[0] == kind)
    return {flag: KnownFlag(type_, "") for _, flag, type_, _ in others} | flag_table(kind)


def flag_table(kind: str) -> dict[str, KnownFlag]:
    """Return the flags that a component has in the lab's version.

    Parameters
    ----------
    kind : str

    Returns
    -------
    dict of str to KnownFlag
        Empty for a component without a table.

    Examples
    --------
    >>> flag_table("kube-apiserver")["secure-port"]
    KnownFlag(type='int', default='6443', hidden=False)
    """
    return {name: KnownFlag(kind, default, bool(mark)) for name, kind, default, mark in _rows(kind)}


def _rows(name: str) -> list[list[str]]:
    path = FOLDER / f"{name}.txt"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]
