"""The docstrings of the public names are complete, by numpydoc's own validation."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from numpydoc.validate import validate

import labkit

MODULES = (
    "labkit",
    "labkit.errors",
    "labkit.model",
    "labkit.model.listeners",
    "labkit.analysis",
    "labkit.lab",
    "labkit.render",
    "labkit.cluster",
    "labkit.formats",
    "labkit.detection",
    "labkit.matrix",
    "labkit.verification",
    "labkit.techniques",
    "labkit.controls",
    "labkit.diagram",
)
#: The checks of numpydoc that are left out, each with the reason.
EXCLUDED = {
    "GL01": "the summary stands on the line of the opening quotes",
    "GL09": "nothing is deprecated",
    "SS05": "ruff's D401 checks the mood, and knows more verbs",
    "SS06": "a summary with its condition may take two lines",
    "ES01": "a summary often says it all",
    "PR01": "PARAMETERS and FIELDS check it: numpydoc knows no row of several names",
    "PR02": "as PR01",
    "PR06": "a type is named as a reader says it: callable, path or str",
    "PR07": "a parameter whose type says it all needs no sentence",
    "PR08": "as PR07: a description may begin with a code word",
    "PR09": "as PR07: a description may end with a list of values",
    "RT01": "RETURNS checks it, by the annotation",
    "RT02": "a returned value has a type and no name",
    "RT03": "a returned value whose type says it all needs no sentence",
    "RT04": "as PR08",
    "RT05": "as PR09",
    "YD01": "as RT01",
    "SA01": "the module's page lists the neighbours",
    "EX01": "EXAMPLES checks it where an example needs no engine",
}
#: Their examples would need a lab, or end a process; docs/ shows them.
WITHOUT_EXAMPLE = {
    *("Check", "Lab", "LabStatus", "Output", "Timings", "attach", "doctor", "labs_up"),
    "list_labs",
    *("run_matrix", "try_cell", "verify"),
}
RETURNS, PARAMETERS, FIELDS, EXAMPLES = "RETURNS", "PARAMETERS", "FIELDS", "EXAMPLES"


def documented(module: str) -> list[str]:
    """Return the dotted names of a module's public classes and functions."""
    room = importlib.import_module(module)
    found = []
    for name in vars(labkit)["__all__"] if room is labkit else room.__all__:
        it = getattr(room, name)
        if not isinstance(it, ModuleType) and (inspect.isclass(it) or inspect.isfunction(it)):
            found.append(f"{module}.{name}")
    return found


def in_rows(doc: str) -> set[str]:
    """Return the names that a docstring documents: "name, title : str" documents two."""
    rows = (row.partition(" : ")[0] for row in doc.splitlines() if " : " in row)
    return {name.strip(" *") for row in rows for name in row.split(",")}


def missing(name: str) -> list[str]:
    """Return what numpydoc and this test miss in the docstring of a name."""
    module, _, attribute = name.rpartition(".")
    it: Any = getattr(importlib.import_module(module), attribute)
    # by the module that defines it: numpydoc imports by name
    said = validate(f"{it.__module__}.{it.__qualname__}")["errors"]
    found = [f"{code}: {text}" for code, text in said if code not in EXCLUDED]
    doc = inspect.getdoc(it) or ""
    named = in_rows(doc)
    if not inspect.isfunction(it):
        names: list[str] = list(getattr(it, "_fields", []))
        if dataclasses.is_dataclass(it):
            names = [field.name for field in dataclasses.fields(it)]
        public = [each for each in names if not each.startswith("_")]
        found += [f"{FIELDS}: {each} is missing" for each in public if each not in named]
        for method, function in methods(it):
            found += [f"{method}: {what}" for what in undocumented(function)]
    else:
        found += undocumented(it)
    # an error is shown where it is raised
    is_error = inspect.isclass(it) and issubclass(it, Exception)
    if attribute not in WITHOUT_EXAMPLE and not is_error and ">>>" not in doc:
        found.append(f"{EXAMPLES}: no example")
    return found


def methods(it: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods of a class, and those of its own base classes."""
    for base in it.__mro__:
        if not base.__module__.startswith("labkit."):
            continue
        for name, value in vars(base).items():
            function = getattr(value, "__func__", value)  # of a class method
            if not name.startswith("_") and inspect.isfunction(function):
                yield name, function


def undocumented(function: Any) -> list[str]:
    """Return the parameters, and the result, that the docstring of a function lacks."""
    doc = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    wanted = signature.parameters.keys() - in_rows(doc) - {"self", "cls"}
    found = [f"{PARAMETERS}: {each} is missing" for each in sorted(wanted)]
    if signature.return_annotation not in ("None", None) and not any(
        f"\n{section}\n---" in doc for section in ("Returns", "Yields")
    ):
        found.append(f"{RETURNS}: no Returns or Yields")
    return found


@pytest.mark.parametrize("name", [name for module in MODULES for name in documented(module)])
def test_public_docstring_is_complete(name: str) -> None:
    assert missing(name) == []


def test_missing_parameter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from labkit.analysis import minimal_cuts

    monkeypatch.setattr(minimal_cuts.minimal_cut, "__doc__", "Return a cut.")
    found = missing("labkit.minimal_cut")
    for code in (PARAMETERS, RETURNS, EXAMPLES):
        assert any(it.startswith(code) for it in found), code


def test_undocumented_method_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from labkit.model import Model

    monkeypatch.setattr(Model.component, "__doc__", "Return a component.")
    assert missing("labkit.Model") == [
        f"component: {PARAMETERS}: name is missing",
        f"component: {RETURNS}: no Returns or Yields",
    ]


def test_excluded_checks_exist() -> None:
    from numpydoc.validate import ERROR_MSGS

    assert set(EXCLUDED) <= set(ERROR_MSGS)
