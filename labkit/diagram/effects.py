"""What a change of controls does to the findings and to the attack paths of a model."""

from __future__ import annotations

from labkit.analysis import Findings, Reach
from labkit.diagram.scene import Json
from labkit.model import GOALS

__all__ = ["finding_changes", "path_changes"]

#: The state of a finding that a model does not have.
ABSENT = "absent"
OUT_OF_REACH = "out of reach"


def finding_changes(before: Findings, after: Findings) -> list[Json]:
    """Return the findings whose state differs: open, unknown, accepted, residual, mitigated.

    Parameters
    ----------
    before, after : Findings

    Returns
    -------
    list of dict
        Each with the state before and after; "absent" if its subject does not exist there.

    Examples
    --------
    >>> from labkit.analysis import find_threats, with_control
    >>> from labkit.model import read_model
    >>> model = read_model("insecure")
    >>> changed = with_control(model, "kubelet-read-only-port")
    >>> found = finding_changes(find_threats(model), find_threats(changed))
    >>> {(it["before"], it["after"]) for it in found}
    {('open', 'mitigated')}
    """
    old = {item.id: item for item in before}
    new = {item.id: item for item in after}
    changes = []
    for key, item in {**old, **new}.items():
        states = [side[key].state if key in side else ABSENT for side in (old, new)]
        # a threat that nothing opened, and whose subject comes or goes, is no news
        if states[0] != states[1] and set(states) - {ABSENT, "mitigated"}:
            changes.append(
                {
                    "title": item.title,
                    "where": key.partition("@")[2],
                    "severity": item.severity,
                    "before": states[0],
                    "after": states[1],
                }
            )
    return changes


def path_changes(before: Reach, after: Reach) -> list[Json]:
    """Return the pairs of a foothold and a goal for which the answer differs.

    Parameters
    ----------
    before, after : Reach

    Returns
    -------
    list of dict
        Each answer is "reached", "possible" (it depends on something unknown) or "out of reach".

    Examples
    --------
    >>> from labkit.analysis import reach, with_control
    >>> from labkit.model import read_model
    >>> model = read_model("insecure")
    >>> path_changes(reach(model), reach(with_control(model, "kubelet-read-only-port")))
    []
    """
    starts = dict.fromkeys([*before.paths, *after.paths])
    changes = []
    for start in starts:
        for goal in GOALS:
            answers = []
            for side in (before, after):
                known = goal in side.paths.get(start, {})
                perhaps = side.possible_path(start, goal) is not None
                answers.append("reached" if known else "possible" if perhaps else OUT_OF_REACH)
            if answers[0] != answers[1]:
                changes.append(
                    {"start": str(start), "goal": str(goal)}
                    | {"before": answers[0], "after": answers[1]}
                )
    return changes
