"""Write Mermaid: the drawing of the notebooks, as a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.model import Model

if TYPE_CHECKING:
    from labkit.analysis.findings.finding import Finding

__all__ = ["write"]


def write(model: Model, findings: Sequence[Finding]) -> str:
    """Return a model as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html).

    Parameters
    ----------
    model : Model
    findings : sequence of Finding
        Not used: the drawing holds no findings.

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.model import read_model
    >>> print(write(read_model("hardened"), ()).splitlines()[3])
    flowchart LR
    """
    from labkit.render.mermaid import mermaid

    return mermaid(model).source
