"""Packages that are mappings: each of their modules holds one technique, control or exercise."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import MappingProxyType, ModuleType
from typing import Any, Generic, TypeVar

from labkit.errors import NoSuchName

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(ModuleType, Mapping[str, T], Generic[T]):
    """A package that is also a mapping of its entries by name, in alphabetical order.

    Each module of the package whose name does not begin with ``_`` holds one entry, under the name
    :attr:`ATTRIBUTE`. The module ``etcd_read`` holds the entry "etcd-read", and is imported at the
    first use of that entry.

    Raises
    ------
    NoSuchName
        A subscript is not the name of an entry; the hint is a similar name or the list.

    Examples
    --------
    >>> from labkit import controls
    >>> controls["apiserver-anonymous"].title
    'The apiserver refuses anonymous callers'
    >>> "no-such-control" in controls
    False
    """

    #: The name under which each module holds its entry; the package sets it.
    ATTRIBUTE: str
    #: The command that lists the entries, if it is not ``labkit KIND list``.
    LISTED_BY: str = ""
    #: Names of earlier versions, and what to write instead.
    OLD: Mapping[str, str] = MappingProxyType({})
    __path__: list[str]

    def _names(self) -> dict[str, T | None]:
        """Return the entries by name, None for each that is not imported yet."""
        known: dict[str, T | None] | None = self.__dict__.get("_found")
        if known is None:
            modules = (it.name for it in pkgutil.iter_modules(self.__path__))
            known = {it.replace("_", "-"): None for it in sorted(modules) if it[0] != "_"}
            self.__dict__["_found"] = known
        return known

    def get(self, name: str, default: Any = None) -> Any:
        """Return the entry with a name, or a default if no entry has it.

        Parameters
        ----------
        name : str
        default : object
            What to return if there is no such entry.

        Returns
        -------
        object
        """
        known = self.__dict__.get("_found") or self._names()
        if name not in known:
            return default
        found = known[name]
        if found is None:
            module = importlib.import_module(f"{self.__name__}.{name.replace('-', '_')}")
            known[name] = found = getattr(module, self.ATTRIBUTE)
        return found

    def __getitem__(self, name: str) -> T:
        found: T | None = self.get(name)
        if found is None:
            kind = self.ATTRIBUTE.lower()
            from difflib import get_close_matches

            near = get_close_matches(name, self._names(), n=1, cutoff=0.6)
            listed_by = self.LISTED_BY or f"labkit {kind} list"
            hint = f"did you mean {near[0]!r}?" if near else listed_by
            raise NoSuchName(f"there is no {kind} {name!r}", hint=hint)
        return found

    def __getattr__(self, name: str) -> Any:
        short = self.__name__.rpartition(".")[2]
        old = {"all": f"{short}.values()", "find": f"{short}[...]", **self.OLD}
        if name in old:
            raise AttributeError(f"{self.__name__}.{name} is gone: write {old[name]}")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other
