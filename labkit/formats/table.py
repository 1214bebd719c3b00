"""The table of all formats, and the function that writes one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from labkit.errors import ConfigError

if TYPE_CHECKING:
    from labkit.analysis.findings.finding import Finding
    from labkit.model import Model

__all__ = ["FORMATS", "Format", "find", "write"]


@dataclass(frozen=True, slots=True)
class Format:
    """A file format of another tool.

    Attributes
    ----------
    name, title : str
    extension : str
        The end of its file names.
    findings : bool
        Whether the format holds findings.
    reads : bool
        Whether labkit reads it; labkit writes all formats.

    Examples
    --------
    >>> FORMATS["sarif"].extension, FORMATS["sarif"].reads
    ('.sarif', False)
    """

    name: str
    title: str
    extension: str
    findings: bool
    reads: bool = False

    @property
    def module(self) -> Any:
        """The module that writes it, and reads it."""
        return import_module(f"labkit.formats.{self.name.replace('-', '_')}")


FORMATS = {
    item.name: item
    for item in (
        Format("sarif", "SARIF 2.1.0", ".sarif", findings=True),
        Format("junit", "JUnit XML", ".xml", findings=True),
        Format("tm-bom", "OWASP TM-BOM 1.0.2", ".tmbom.json", findings=True, reads=True),
        Format("otm", "Open Threat Model 0.2.0", ".otm.json", findings=True, reads=True),
        Format("threat-dragon", "OWASP Threat Dragon 2", ".json", findings=True, reads=True),
        Format("threagile", "Threagile", ".yaml", findings=True, reads=True),
        Format("pytm", "pytm", ".py", findings=False),
        Format("graphml", "GraphML", ".graphml", findings=True),
        Format("mermaid", "Mermaid", ".mmd", findings=False),
        Format("navigator", "ATT&CK Navigator layer 4.5", ".json", findings=True),
    )
}


def find(name: str) -> Format:
    """Return the format with a name.

    Parameters
    ----------
    name : str

    Returns
    -------
    Format

    Raises
    ------
    ConfigError
        There is no such format.

    Examples
    --------
    >>> find("otm").title
    'Open Threat Model 0.2.0'
    """
    if name not in FORMATS:
        near = get_close_matches(name, FORMATS, 1)
        raise ConfigError(
            f"no format {name!r}",
            hint=f"did you mean {near[0]}?" if near else f"choose one of: {', '.join(FORMATS)}",
        )
    return FORMATS[name]


def write(model: Model, format: str, findings: Iterable[Finding] | None = None) -> str:  # noqa: A002
    """Return a model and its findings in another tool's format.

    Parameters
    ----------
    model : Model
    format : str
        A name from :data:`FORMATS`.
    findings : iterable of Finding, optional
        Not used if the format holds no findings.

    Returns
    -------
    str
        Equal models and findings give equal texts; there are no times or random values in them.
        A model that was read from a file of this format, and not changed since, is that file with
        the findings added: what labkit cannot say stays as it was.

    Raises
    ------
    ConfigError
        There is no such format.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> print(write(read_model("hardened"), "mermaid").splitlines()[3])
    flowchart LR
    """
    ordered = tuple(sorted(findings or (), key=lambda item: item.id))
    text: str = find(format).module.write(model, ordered)
    if model.original and model.original[0] == format:
        from labkit.formats.original import restored

        return restored(model, text, find(format).module, model.original[1])
    return text
