"""In a notebook: say of a name that no cell has set which lab the cell that sets it lacked."""

from __future__ import annotations

import ast
import sys
from types import TracebackType
from typing import Any

from labkit.errors import LabError, LabkitError

__all__ = ["UnsetNames", "explain_unset_names", "names_set_by"]


def explain_unset_names() -> None:
    """Make IPython explain a missing name by the error of the cell that sets it.

    Without IPython, and if that has been done, do nothing.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None and not shell.custom_exceptions:
        unset = UnsetNames()
        shell.events.register("post_run_cell", unset.after_cell)
        shell.set_custom_exc((NameError,), unset.show)


class UnsetNames:
    """The names that failed cells did not set, with the error of each cell.

    Examples
    --------
    >>> unset = UnsetNames()
    >>> unset.because["a"] = LabkitError("the lab is not up")
    >>> print(unset.explained(NameError("a", name="a")))
    a is not set, because its cell failed: the lab is not up
      next: run the cell that sets it again
    """

    def __init__(self) -> None:
        self.because: dict[str, LabkitError] = {}

    def after_cell(self, result: Any) -> None:
        """Note the names that a cell sets, if labkit's error ended it.

        Parameters
        ----------
        result : IPython.core.interactiveshell.ExecutionResult
        """
        error = result.error_in_exec
        if isinstance(error, NameError):
            error = self.because.get(error.name or "")
        names = names_set_by(result.info.raw_cell)
        for name in names:
            self.because.pop(name, None)
        if isinstance(error, LabkitError):
            self.because |= dict.fromkeys(names, error)

    def explained(self, error: NameError) -> LabkitError | None:
        """Return what stands for the error of a missing name; None if labkit is not its cause.

        Parameters
        ----------
        error : NameError

        Returns
        -------
        LabkitError or None
        """
        because = self.because.get(error.name or "")
        if because is None:
            return None
        again = "run the cell that sets it again"
        return LabError(
            f"{error.name} is not set, because its cell failed: {because.message}",
            hint=f"{because.hint}, then {again}" if because.hint else again,
        )

    def show(
        self,
        shell: Any,
        kind: type[BaseException],
        error: NameError,
        trace: TracebackType,
        tb_offset: int | None = None,
    ) -> None:
        """Show the error of a missing name, as IPython's handler of this exception.

        Parameters
        ----------
        shell : IPython.core.interactiveshell.InteractiveShell
        kind : type
        error : NameError
        trace : traceback
        tb_offset : int, optional
        """
        if found := self.explained(error):
            shell.showtraceback((type(found), found, None))
        else:
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def names_set_by(cell: str) -> set[str]:
    """Return the names that the code of a cell sets.

    Parameters
    ----------
    cell : str
        Python.

    Returns
    -------
    set of str
        Empty if the cell is not plain Python, as one with a magic.

    Examples
    --------
    >>> sorted(names_set_by("import os.path, re as r; a, b = c"))
    ['a', 'b', 'os', 'r']
    >>> names_set_by("%check etcd-1 answer")
    set()
    """
    try:
        tree = ast.parse(cell)
    except SyntaxError:
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.partition(".")[0])
    return found
