"""Write GraphML: the model as a graph with flat attributes, for yEd, Gephi and Neo4j.

See http://graphml.graphdrawing.org/.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit.formats.common import everyone, printable
from labkit.model import PROPERTIES, Model

if TYPE_CHECKING:
    from labkit.analysis.findings.finding import Finding

__all__ = ["write"]


def write(model: Model, findings: Sequence[Finding]) -> str:
    """Return a model as GraphML, with closed channels as edges whose ``open`` is false.

    Parameters
    ----------
    model : Model
    findings : sequence of Finding
        Each node and edge has the number and the worst severity of its open findings.

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.model import read_model
    >>> '<data key="d0">etcd</data>' in write(read_model("hardened"), ())
    True
    """
    import networkx as nx

    worst: dict[str, list[Finding]] = {}
    for item in sorted(findings, key=lambda item: (-item.likelihood * item.impact, item.id)):
        if item.state == "open":
            worst.setdefault(item.subject, []).append(item)
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for it in everyone(model):
        attributes: dict[str, Any] = {"kind": it.kind, "node": it.node, "zone": it.zone}
        attributes |= {"description": it.description}
        attributes |= {f"claim {name}": claim.value for name, claim in it.claims}
        graph.add_node(printable(it.id), **_flat(attributes), **_counts(worst.get(it.id, [])))
    for channel in model.channels:
        attributes = {
            "protocol": channel.protocol,
            "port": channel.port,
            "path": channel.path,
            "open": channel.open,
            "credential": channel.credential,
            "data": ", ".join(channel.data),
        }
        for name in PROPERTIES:
            claim = getattr(channel, name)
            attributes |= {name: claim.value, f"{name} read in": str(claim.source)}
        graph.add_edge(
            printable(channel.client),
            printable(channel.server),
            key=printable(channel.id),
            **_flat(attributes),
            **_counts(worst.get(channel.id, [])),
        )
    return "\n".join(nx.generate_graphml(graph, named_key_ids=False)) + "\n"


def _flat(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: printable(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None
    }


def _counts(found: Sequence[Finding]) -> dict[str, Any]:
    if not found:
        return {"open findings": 0}
    return {"open findings": len(found), "worst": found[0].severity}
