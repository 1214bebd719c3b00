"""Which formats there are, and writing one."""

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
    """One format of another tool.

    Attributes
    ----------
    name, title : str
    extension : str
        How the names of its files end.
    findings : bool
        It holds findings.
    reads : bool
        It can be read as well; all can be written.
    """

    name: str
    title: str
    extension: str
    findings: bool
    reads: bool = False

    @property
    def module(self) -> Any:
        """What writes it, and reads it."""
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
    """Return the format of a name.

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
    """Write a model, and what was found about it, in another tool's format.

    Parameters
    ----------
    model : Model
    format : str
        A name out of :data:`FORMATS`.
    findings : iterable of Finding, optional
        Left out where the format holds none.

    Returns
    -------
    str
        The same for the same model and findings: it holds no time and nothing random.

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
    return text
