"""What a control would change: a new model, and the difference; no file is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labkit.analysis.attack_graph.queries import reach
from labkit.analysis.attack_graph.steps import Path
from labkit.analysis.findings.finding import Finding
from labkit.analysis.findings.rules import COMPONENT_RULES, RULES, ThreatRule
from labkit.analysis.findings.threats import find_threats
from labkit.cluster.syntax.source import Source
from labkit.model import GOALS, PROPERTIES, Channel, Claim, Component, Foothold, Goal, Model
from labkit.model.claims import closed, listener_of
from labkit.tables import columns, html

if TYPE_CHECKING:
    from labkit.cluster import Environment

__all__ = [
    "Difference",
    "diff",
    "editable",
    "missing_controls",
    "with_control",
    "with_missing",
]

#: Controls that close a port instead of guarding it.
CLOSE = frozenset({"insecure-port", "docker-tcp", "kubelet-read-only-port"})


def with_control(model: Model, *names: str) -> Model:
    """Return a model as it would be with controls in place.

    The environment's files, if the model was read from them, are changed in memory and read
    again. In any other model, the claims that the controls close are changed.

    Parameters
    ----------
    model : Model
    *names : str
        Names of controls, see :mod:`labkit.controls`.

    Returns
    -------
    Model

    Raises
    ------
    ConfigError
        There is no control of that name.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("insecure")
    >>> len(find_threats(with_control(model, "kubelet-read-only-port")).open) < len(
    ...     find_threats(model).open
    ... )
    True
    """
    from labkit import controls
    from labkit.controls import with_controls
    from labkit.model import read_model

    for name in names:
        controls[name]
    if (env := editable(model)) is not None:
        return read_model(with_controls(env, dict.fromkeys(names, True)))
    for name in names:
        model = _by_claims(model, name)
    return model


def _by_claims(model: Model, name: str) -> Model:
    found = [item for item in find_threats(model).state("open", "unknown") if item.control == name]
    source = Source("what if", None, name)
    channels = {it.id: it for it in model.channels}
    components = {it.id: it for it in model.components}
    held = {it.id: it for it in model.credentials}
    rules = {rule.name: rule for rule in (*RULES, *COMPONENT_RULES)}
    for item in found:
        rule = rules.get(item.rule)
        if rule is None:
            one = held[item.subject]
            held[item.subject] = replace(one, readable_by=(), perhaps_readable_by=())
        elif rule.property in PROPERTIES:
            for key, it in channels.items():
                if _is_about(item, it, rule):
                    channels[key] = _closed(it, source) if name in CLOSE else _set(it, rule, source)
        else:
            components[item.subject] = _claimed(components[item.subject], rule, source)
    return replace(
        model,
        channels=tuple(channels.values()),
        components=tuple(components.values()),
        credentials=tuple(held.values()),
    )


def _is_about(item: Finding, it: Channel, rule: ThreatRule) -> bool:
    where = listener_of(it) if rule.listener else it.id
    return item.id == f"{rule.name}@{where}"


def _set(it: Channel, rule: ThreatRule, source: Source) -> Channel:
    claim = Claim(rule.good, source.text, source)
    if rule.property == "encryption" and it.server_authentication.value == "none":
        return replace(it, encryption=claim, server_authentication=Claim("verified", "", source))
    # replace() takes the property's name as a keyword only
    return replace(it, **{rule.property: claim})  # type: ignore[arg-type]


def _closed(it: Channel, source: Source) -> Channel:
    shut = closed(source.text, source)
    return replace(it, open=False, credential=None, **dict.fromkeys(PROPERTIES, shut))  # type: ignore[arg-type]


def _claimed(it: Component, rule: ThreatRule, source: Source) -> Component:
    claims = {**dict(it.claims), rule.property: Claim(rule.good, source.text, source)}
    return replace(it, claims=tuple(claims.items()))


@dataclass(frozen=True)
class Difference:
    """The open findings and paths that only one of two models has.

    Attributes
    ----------
    before, after : str
        The models' names.
    removed, added : tuple of Finding
        Open findings that are gone, and that are new. One whose state is unknown now is not gone.
    paths_removed, paths_added : tuple of (Foothold, Foothold)
        Pairs of a foothold and a goal that a path no longer connects, not even a possible one, and
        that a path connects now.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("insecure")
    >>> changed = diff(model, with_control(model, "docker-tcp"))
    >>> changed.added, sorted({it.subject for it in changed.removed})[-1]
    ((), 'dockerd@worker2')
    """

    before: str
    after: str
    removed: tuple[Finding, ...]
    added: tuple[Finding, ...]
    paths_removed: tuple[tuple[Foothold, Goal], ...]
    paths_added: tuple[tuple[Foothold, Goal], ...]
    HEAD = ("", "what", "where", "because")

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for sign, found in (("-", self.removed), ("+", self.added)):
            rows += [
                (sign, f.title, f.subject, f"{f.claim.value}: {f.claim.source}") for f in found
            ]
        for sign, pairs in (("-", self.paths_removed), ("+", self.paths_added)):
            rows += [(sign, "a path", f"{start} -> {goal}", "") for start, goal in pairs]
        return rows

    @property
    def _title(self) -> str:
        return (
            f"{self.before} -> {self.after}: findings -{len(self.removed)} +{len(self.added)}, "
            f"paths -{len(self.paths_removed)} +{len(self.paths_added)}"
        )

    def __repr__(self) -> str:
        rows = self._rows()
        return self._title + (f"\n{columns(self.HEAD, rows)}" if rows else "")

    def _repr_html_(self) -> str:
        return html(self.HEAD, self._rows(), self._title)


def diff(before: Model, after: Model) -> Difference:
    """Return the open findings and paths that only one of two models has.

    Parameters
    ----------
    before, after : Model

    Returns
    -------
    Difference

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("insecure")
    >>> diff(model, with_control(model, "docker-tcp")).paths_added
    ()
    """
    old = {item.id: item for item in find_threats(before).open}
    found, reached = find_threats(after), reach(after)
    new = {item.id: item for item in found.open}
    left = {item.id for item in found.state("open", "unknown")}
    ways, now = _joined(reach(before).paths), _joined(reached.paths)
    perhaps = _joined(reached.possible)
    return Difference(
        before.name,
        after.name,
        tuple(item for key, item in old.items() if key not in left),
        tuple(item for key, item in new.items() if key not in old),
        tuple(pair for pair in ways if pair not in now and pair not in perhaps),
        tuple(pair for pair in now if pair not in ways),
    )


def _joined(found: Mapping[Foothold, Mapping[Goal, Path]]) -> dict[tuple[Foothold, Goal], None]:
    return {
        (start, goal): None for start, paths in found.items() for goal in GOALS if paths.get(goal)
    }


def missing_controls(model: Model) -> frozenset[str]:
    """Return the names of the controls that are not in place.

    An environment's files decide it; without them, the open findings do.

    Parameters
    ----------
    model : Model

    Returns
    -------
    frozenset of str

    Examples
    --------
    >>> from labkit.model import read_model
    >>> "docker-tcp" in missing_controls(read_model("insecure"))
    True
    """
    from labkit import controls

    if editable(model) is not None:
        return frozenset(control.name for control in controls.values() if not control.holds(model))
    named = {item.control for item in find_threats(model).state("open", "unknown")}
    return frozenset(named & {control.name for control in controls.values()})


def with_missing(model: Model, missing: frozenset[str]) -> Model:
    """Return a model with controls in place that it is known to lack.

    Parameters
    ----------
    model : Model
    missing : frozenset of str
        Some of what :func:`missing_controls` returns.

    Returns
    -------
    Model
    """
    from labkit import controls
    from labkit.controls import put_in_place
    from labkit.model import read_model

    env = editable(model)
    if env is None:
        return with_control(model, *sorted(missing))
    chosen = [controls[name] for name in sorted(missing)]
    return read_model(put_in_place(env, chosen))


def editable(model: Model) -> Environment | None:
    """Return the environment of a model, unless it was read from files copied from machines.

    Controls edit the files of an environment; a copied cluster may keep its files elsewhere.

    Parameters
    ----------
    model : Model

    Returns
    -------
    Environment or None

    Examples
    --------
    >>> from labkit.model import read_model
    >>> editable(read_model("hardened")).name
    'hardened'
    """
    env = model.env
    return env if env is not None and (env.folder / "environment.yaml").is_file() else None
