"""Packages that are mappings: each of their modules holds one technique or one control."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Generic, TypeVar

from labkit.errors import NoSuchName

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(ModuleType, Mapping[str, T], Generic[T]):
    """A package that is also a mapping of its entries by name, in alphabetical order.

    Each module of the package whose name does not begin with ``_`` holds one entry, under the name
    :attr:`ATTRIBUTE`. The modules are imported at the first use of an entry.

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
    __path__: list[str]

    def _entries(self) -> dict[str, T]:
        known: dict[str, T] | None = self.__dict__.get("_found")
        if known is None:
            names = [it.name for it in pkgutil.iter_modules(self.__path__) if it.name[0] != "_"]
            modules: list[Any] = [importlib.import_module(f"{self.__name__}.{it}") for it in names]
            entries = [getattr(module, self.ATTRIBUTE) for module in modules]
            known = {it.name: it for it in sorted(entries, key=lambda it: str(it.name))}
            self.__dict__["_found"] = known
        return known

    def __getitem__(self, name: str) -> T:
        entries = self._entries()
        if name not in entries:
            kind = self.ATTRIBUTE.lower()
            from difflib import get_close_matches

            near = get_close_matches(name, entries, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else f"labkit {kind} list"
            raise NoSuchName(f"there is no {kind} {name!r}", hint=hint)
        return entries[name]

    def __getattr__(self, name: str) -> Any:
        new = {"all": "values()", "find": "[...]"}.get(name)
        if new is not None:
            short = self.__name__.rpartition(".")[2]
            text = f"{short}{new}" if new[0] == "[" else f"{short}.{new}"
            raise AttributeError(f"{self.__name__}.{name} is gone: write {text}")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __contains__(self, name: object) -> bool:
        return name in self._entries()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the entry of a name, or a default; no error is made for a name that is absent."""
        return self._entries().get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries())

    def __len__(self) -> int:
        return len(self._entries())

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other
