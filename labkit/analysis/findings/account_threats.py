"""Threats by the rights of service accounts, in a model of files copied from machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.analysis.attack_graph.from_objects.step_kinds import STEP_KINDS
from labkit.analysis.attack_graph.from_rights import account_steps, assumed_accounts
from labkit.analysis.attack_graph.steps import Path, known_and_possible, paths_to, to_find_out
from labkit.analysis.findings.finding import Finding
from labkit.analysis.findings.risk import RiskRule
from labkit.cluster.syntax.source import Source
from labkit.model import Claim, Foothold
from labkit.model.footholds import ADMIN, SECRETS

if TYPE_CHECKING:
    from labkit.model import Model

__all__ = ["account_threats"]

IMPACTS = {ADMIN: 4, SECRETS: 3}


def account_threats(model: Model, risk: RiskRule) -> Iterator[Finding]:
    """Yield a finding for each account or group of accounts whose rights lead to a goal.

    The state of one that leads there only if something unknown is true is unknown.

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
    known, possible = known_and_possible(steps, {ADMIN: [SECRETS]})
    told = set()
    for graph in dict.fromkeys((known, possible)):
        to = {goal: paths_to(graph, goal) for goal in IMPACTS}
        for who, why in assumed_accounts(model.env):
            goal = next((goal for goal in IMPACTS if who in to[goal]), None)
            if goal is not None and who not in told:
                told.add(who)
                yield _finding(model, risk, str(who.where), why, goal, to[goal][who])


def _finding(
    model: Model, risk: RiskRule, name: str, why: tuple[str, ...], goal: Foothold, path: Path
) -> Finding:
    likelihood, impact = risk.weigh("account-rights", 3 if len(path) < 2 else 2, IMPACTS[goal])
    doubt = to_find_out(path)
    return Finding(
        id=f"account-rights@{name}",
        rule="account-rights",
        title=f"The token of a pod may lead to: {goal}",
        subject=name,
        stride=("elevation of privilege",),
        cwe=("CWE-269",),
        attack=tuple(dict.fromkeys(it for s in path if (it := STEP_KINDS[s.name].attack))),
        references=("Kubernetes documentation: Role Based Access Control Good Practices",),
        property="path",
        claim=Claim(
            "unknown" if doubt else "reached",
            str(goal),
            Source(model.name, None, "; ".join(why)),
        ),
        state="unknown" if doubt else "open",
        control="",
        technique="pod-token",
        likelihood=likelihood,
        impact=impact,
        severity=risk.level(likelihood, impact),
        explanation="; ".join(filter(None, (" -> ".join(step.name for step in path), doubt))),
    )
