"""Threats by the rights of service accounts, in a model of files copied from machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.analysis.attack_graph.from_objects.step_kinds import STEP_KINDS
from labkit.analysis.attack_graph.from_rights import account_steps, assumed_accounts
from labkit.analysis.attack_graph.steps import attack_graph, paths_to
from labkit.analysis.findings.finding import Finding
from labkit.analysis.findings.risk import RiskRule
from labkit.cluster.syntax.source import Source
from labkit.model import Claim
from labkit.model.footholds import ADMIN, SECRETS

if TYPE_CHECKING:
    from labkit.model import Model

__all__ = ["account_threats"]

IMPACTS = {ADMIN: 4, SECRETS: 3}


def account_threats(model: Model, risk: RiskRule) -> Iterator[Finding]:
    """Yield a finding for each account or group of accounts whose rights lead to a goal.

    Parameters
    ----------
    model : Model
    risk : RiskRule

    Yields
    ------
    Finding

    Examples
    --------
    >>> from labkit.model import read_model
    >>> list(account_threats(read_model("hardened"), RiskRule()))
    []
    """
    steps = account_steps(model)
    if not steps or model.env is None:
        return
    graph = attack_graph(steps, {ADMIN: [SECRETS]})
    to = {goal: paths_to(graph, goal) for goal in IMPACTS}
    told = set()
    for who, why in assumed_accounts(model.env):
        goal = next((goal for goal in IMPACTS if who in to[goal]), None)
        if goal is None or who in told:
            continue
        told.add(who)
        path = to[goal][who]
        name = str(who.where)
        likelihood, impact = risk.weigh("account-rights", 3 if len(path) < 2 else 2, IMPACTS[goal])
        yield Finding(
            id=f"account-rights@{name}",
            rule="account-rights",
            title=f"The token of a pod may lead to: {goal}",
            subject=name,
            stride=("elevation of privilege",),
            cwe=("CWE-269",),
            attack=tuple(dict.fromkeys(it for s in path if (it := STEP_KINDS[s.name].attack))),
            references=("Kubernetes documentation: Role Based Access Control Good Practices",),
            property="path",
            claim=Claim("reached", str(goal), Source(model.name, None, "; ".join(why))),
            state="open",
            control="",
            technique="pod-token",
            likelihood=likelihood,
            impact=impact,
            severity=risk.level(likelihood, impact),
            explanation=" -> ".join(step.name for step in path),
        )
