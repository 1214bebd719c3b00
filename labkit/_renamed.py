"""Names of earlier versions: an error says what each is called now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["with_old_names"]


def with_old_names(
    module: str, names: Mapping[str, str], getattr_: Callable[[str], Any]
) -> Callable[[str], Any]:
    """Return a module's ``__getattr__`` that names the successor of an old name.

    Parameters
    ----------
    module : str
    names : mapping of str to str
        By the old name: what to write instead.
    getattr_ : callable
        Looks up every other name.

    Examples
    --------
    >>> import labkit.model
    >>> labkit.model.build_model
    Traceback (most recent call last):
        ...
    AttributeError: labkit.model.build_model is gone: write read_model(...).graph
    """

    def look_up(name: str) -> Any:
        if name in names:
            raise AttributeError(f"{module}.{name} is gone: write {names[name]}")
        return getattr_(name)

    return look_up
