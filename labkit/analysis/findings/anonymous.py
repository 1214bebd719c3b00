"""What callers without a credential get to by the rights that are bound to them.

An apiserver with anonymous authentication, which is the default, takes them for the user
``system:anonymous`` of the group ``system:unauthenticated``:
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.analysis.attack_graph.from_anonymous import (
    anonymous_bindings,
    anonymous_steps,
    open_apiservers,
)
from labkit.analysis.attack_graph.steps import Graph, close, known_and_possible, to_find_out
from labkit.analysis.findings.finding import Finding
from labkit.analysis.findings.risk import RiskRule
from labkit.cluster.policies import Rbac
from labkit.cluster.syntax.source import Source
from labkit.model import Claim, Foothold
from labkit.model.footholds import ADMIN, CALLS, NODE, POD, SECRETS

if TYPE_CHECKING:
    from labkit.model import Model

__all__ = ["anonymous_finding", "anonymous_threats"]

#: From the worst to the mildest, with the impact of each.
IMPACTS = {ADMIN: 4, NODE: 4, SECRETS: 3, POD: 3}
#: What is less than a goal: the secrets, or the pods, of one namespace.
PARTLY = frozenset({"secrets", "secret", "enters"})
CONTROL = "apiserver-anonymous"


def anonymous_threats(model: Model, risk: RiskRule) -> Iterator[Finding]:
    """Yield a finding where callers without a credential get to a goal by their rights.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> list(anonymous_threats(read_model("hardened"), RiskRule()))
    []
    """
    steps = anonymous_steps(model)
    if steps and model.env is not None:
        graphs = known_and_possible(steps, {ADMIN: [SECRETS]})
        apiserver = next(open_apiservers(model.env))
        rbac = model.env.rbac
        yield from anonymous_finding(graphs, apiserver.id, rbac, risk, CONTROL)


def anonymous_finding(
    graphs: tuple[Graph, Graph], subject: str, rbac: Rbac, risk: RiskRule, control: str = ""
) -> Iterator[Finding]:
    """Yield the finding that something is reached without a credential, the worst of it.

    Its state is unknown if nothing is reached but by what has to be found out.

    Parameters
    ----------
    graphs : tuple of networkx.DiGraph
        Of the steps that are known to exist, and of all:
        :func:`labkit.analysis.attack_graph.steps.known_and_possible`.
    subject : str
        The apiserver's id.
    rbac : Rbac
        Where the binding stands that gives the rights.
    risk : RiskRule
    control : str
        What closes it, where labkit can: technique and control have one name.
    """
    for ways in (close(graph, CALLS) for graph in graphs):
        partly: list[Foothold] = [it for it in ways if it.kind in PARTLY and it.where]
        goal = next((it for it in (*IMPACTS, *partly) if it in ways), None)
        if goal is None:
            continue
        path = ways[goal]
        doubt = to_find_out(path)
        likelihood, weight = risk.weigh("anonymous-rights", 4, IMPACTS.get(goal, 3))
        said = {str(reason) for step in path for reason in step.because}
        source = next(
            (it.source for it in anonymous_bindings(rbac) if str(it.source) in said),
            Source(subject, None, str(path[0].because[-1])),
        )
        yield Finding(
            id=f"anonymous-rights@{subject}",
            rule="anonymous-rights",
            title="Callers without a credential have rights of their own",
            subject=subject,
            stride=("elevation of privilege", "information disclosure"),
            cwe=("CWE-306", "CWE-862"),
            attack=("T1078.001",),
            references=(
                "CIS Kubernetes Benchmark 1.2.1",
                "Kubernetes documentation: Anonymous requests",
            ),
            property="path",
            claim=Claim("unknown" if doubt else "reached", str(goal), source),
            state="unknown" if doubt else "open",
            control=control,
            technique=control,
            likelihood=likelihood,
            impact=weight,
            severity=risk.level(likelihood, weight),
            explanation="; ".join(filter(None, (" -> ".join(step.name for step in path), doubt))),
        )
        return
