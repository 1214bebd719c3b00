"""A gate for CI: findings and paths, compared with what is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import orjson

from labkit.analysis.attack_graph.queries import AttackPaths, Reach, attack_paths, reach
from labkit.analysis.findings.finding import LEVELS, Finding, Findings
from labkit.analysis.findings.threats import find_threats
from labkit.cluster.syntax.disk import MAX_MODEL, read_bytes
from labkit.cluster.syntax.source import Source, decode
from labkit.errors import ConfigError, NotUnderstood
from labkit.gc_pause import gc_pause
from labkit.model import GOALS, Claim, Model

__all__ = [
    "Analysis",
    "analyze",
    "asked",
    "baseline_of",
    "doubts",
    "forbidden",
    "require_understood",
    "tripped",
]


@dataclass(frozen=True)
class Analysis:
    """A model with its findings.

    Attributes
    ----------
    model : Model
    findings : Findings

    Examples
    --------
    >>> from labkit.model import read_model
    >>> analysis = analyze(read_model("hardened"))
    >>> sorted(json.loads(analysis.to_json()))[:3]
    ['channels', 'components', 'findings']
    """

    model: Model
    findings: Findings

    @gc_pause()
    def to_json(self) -> str:
        """Return findings, paths and unknowns as JSON.

        Returns
        -------
        str
            An object with the keys "model", "components", "channels", "findings", "paths",
            "possible paths" and "unknowns".
        """
        # ten times as fast as json, which took a tenth of an analysis
        return orjson.dumps(self._plain()).decode()

    def _plain(self) -> dict[str, Any]:
        # the goals are those of a cluster
        found = reach(self.model) if self.model.of_cluster else Reach({})
        return {
            "model": self.model.name,
            "components": len(self.model.components),
            "channels": len(self.model.channels),
            "findings": [_finding(item) for item in self.findings],
            "paths": [
                {"from": str(start), "to": str(goal), "steps": [step.plain() for step in path]}
                for start in found.paths
                for goal in GOALS
                if (path := found.path(start, goal))
            ],
            "possible paths": [
                {"from": str(start), "to": str(goal), "steps": [step.plain() for step in path]}
                for start, paths in found.possible.items()
                for goal, path in paths.items()
            ],
            "unknowns": list(self.model.unknowns),
        }


FIELDS = tuple(name for name in Finding.__slots__ if name != "claim")
VALUES = attrgetter(*FIELDS)
COLUMNS = (*FIELDS, "value", "source")


def _finding(item: Finding) -> dict[str, Any]:
    cells = (*VALUES(item), item.claim.value, str(item.claim.source))
    return dict(zip(COLUMNS, cells, strict=True))


def analyze(model: Model, findings: Findings | None = None) -> Analysis:
    """Return the analysis of a model: its findings, and on demand its paths and unknowns.

    Parameters
    ----------
    model : Model
    findings : Findings, optional
        The model's findings, if they are known already.

    Returns
    -------
    Analysis

    Examples
    --------
    >>> from labkit.model import read_model
    >>> json.loads(analyze(read_model("hardened")).to_json())["model"]
    'hardened'
    """
    return Analysis(model, findings if findings is not None else find_threats(model))


def require_understood(model: Model, what: str, *, allow_unknown: bool = False) -> None:
    """Refuse a model that says nothing, or not all, of what it was read from.

    Parameters
    ----------
    model : Model
    what : str
        Its file or folder, for the message.
    allow_unknown : bool
        Take a model of which a part could not be read.

    Raises
    ------
    NotUnderstood
        The model has no component, or a file of objects is truncated: an analysis without
        findings would then mean nothing.

    Examples
    --------
    >>> require_understood(Model("empty", (), ()), "empty.yaml")
    Traceback (most recent call last):
    labkit.errors.NotUnderstood: empty.yaml: nothing in it was understood: no component of a cluster
      next: give files copied from a cluster's machines, or what kubectl get -o json wrote
    """
    unread = model.dump.unread if model.dump is not None else ()
    if unread and not allow_unknown:
        raise NotUnderstood(
            f"{what}: a part of it could not be read, so an analysis would miss findings",
            evidence=[str(each) for each in unread[:5]],
            hint="write it again: kubectl get ... -o json >FILE, without messages in it",
        )
    if not model.components:
        raise NotUnderstood(
            f"{what}: nothing in it was understood: no component of a cluster",
            evidence=model.unknowns[:5],
            hint="give files copied from a cluster's machines, or what kubectl get -o json wrote",
        )


def forbidden(model: Model, rules: Iterable[str]) -> list[AttackPaths]:
    """Return the paths of a model that a rule ``FROM -> TO`` forbids.

    Parameters
    ----------
    model : Model
    rules : iterable of str
        A foothold and a goal each: "pod -> secrets".

    Returns
    -------
    list of AttackPaths

    Raises
    ------
    ConfigError
        A rule is not of that form, or names a foothold that the model does not have.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> forbidden(read_model("hardened"), ["pod -> secrets"])
    []
    """
    return [found for found in asked(model, rules) if found.paths]


def asked(model: Model, rules: Iterable[str]) -> list[AttackPaths]:
    """Return the paths, known or possible, that each rule ``FROM -> TO`` asks for.

    Parameters
    ----------
    model : Model
    rules : iterable of str
        A foothold and a goal each: "pod -> secrets".

    Returns
    -------
    list of AttackPaths
        One for each rule, without any path where the goal is out of reach.

    Raises
    ------
    ConfigError
        A rule is not of that form, or names a foothold that the model does not have.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> asked(read_model("hardened"), ["pod -> secrets"])
    [inside a pod -> reads the secrets: out of reach]
    """
    found = []
    for rule in rules:
        start, arrow, goal = rule.partition("->")
        if not arrow or not start.strip() or not goal.strip():
            raise ConfigError(
                f"{rule!r} is not a rule FROM -> TO", hint='write it as "pod -> secrets"'
            )
        found.append(attack_paths(model, start, goal, count=1))
    return found


def doubts(
    model: Model,
    findings: Findings,
    level: str | None,
    baseline: frozenset[str] | None,
    paths: Sequence[AttackPaths],
) -> list[str]:
    """Return the reasons why a gate cannot say that it may open.

    Parameters
    ----------
    model : Model
    findings : Findings
    level, baseline : str, frozenset of str or None
        As :func:`tripped` takes them.
    paths : sequence of AttackPaths
        What :func:`asked` returns.

    Returns
    -------
    list of str
        Possible paths, findings whose state is unknown, and parts of a cluster that are missing
        or were not understood. Empty where no gate is asked for.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> doubts(model, find_threats(model), "low", None, asked(model, ["pod -> secrets"]))
    []
    """
    found = [repr(each) for each in paths if each.possible]
    if not model.of_cluster:
        what = f"{model.name} has no part of a cluster"
        found += [f"{each.start} -> {each.goal}: {what}" for each in paths if not each.paths]
    unknown = tripped(findings, level, baseline, "unknown")
    found += [f"unknown: {item.severity}: {item.id}: {item.claim}" for item in unknown]
    if model.dump is not None and (paths or level is not None or baseline is not None):
        found += map(str, model.dump.gaps)
    return found


def as_finding(model: Model, paths: AttackPaths) -> Finding:
    """Return a forbidden path as a finding, at the line that opened its last step."""
    because = [each for step in paths.paths[0] for each in step.because]
    claim = next((each for each in reversed(because) if isinstance(each, Claim)), None)
    steps = " -> ".join(step.name for step in paths.paths[0])
    shown = "; ".join(map(str, because))
    return Finding(
        id=f"forbidden-path@{paths.start} -> {paths.goal}",
        rule="forbidden-path",
        title="A path that is forbidden is open",
        subject=str(paths.goal),
        stride=("elevation of privilege",),
        cwe=("CWE-284",),
        attack=(),
        references=(),
        property="path",
        claim=claim or Claim("open", steps, Source(model.name, None, shown)),
        state="open",
        control="",
        technique=paths.paths[0][-1].technique if paths.paths[0] else "",
        likelihood=4,
        impact=4,
        severity="critical",
        explanation=f"{paths.start}: {steps}",
    )


def baseline_of(path: Path) -> frozenset[str]:
    """Return the ids of the open findings of an analysis that was stored as JSON.

    Parameters
    ----------
    path : Path

    Returns
    -------
    frozenset of str

    Raises
    ------
    ConfigError
        The file is not such an analysis.
    """
    try:
        rows = json.loads(decode(read_bytes(path, path.name, MAX_MODEL), path.name, utf16=True))
        known = ("open", "unknown")
        return frozenset(row["id"] for row in rows["findings"] if row["state"] in known)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not an analysis of labkit: {error}",
            hint=f"labkit analyze DIR --json > {path}",
        ) from error


def tripped(
    findings: Findings, level: str | None, baseline: frozenset[str] | None, state: str = "open"
) -> Sequence[Finding]:
    """Return the open findings for which a gate fails.

    Parameters
    ----------
    findings : Findings
    level : str or None
        The least severity that counts: "low", "medium", "high" or "critical". Without it, no
        finding counts, or with a baseline, every one.
    baseline : frozenset of str or None
        Ids that were open before, and do not count.
    state : {"open", "unknown"}
        The state of the findings that count.

    Returns
    -------
    sequence of Finding

    Raises
    ------
    ConfigError
        There is no such severity.
    """
    if level is not None and level not in LEVELS:
        raise ConfigError(f"no level {level!r}", hint=f"one of: {', '.join(LEVELS)}")
    if level is None and baseline is None:
        return ()
    least = LEVELS.index(level or LEVELS[0])
    known = baseline or frozenset()
    return [
        item
        for item in findings.state(state)
        if LEVELS.index(item.severity) >= least and item.id not in known
    ]
