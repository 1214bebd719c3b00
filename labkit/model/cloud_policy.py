"""What a policy of a cloud allows, by the rules of AWS; what labkit does not evaluate is unknown.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from labkit.cluster.syntax.yamldoc import Document
from labkit.errors import ConfigError
from labkit.model.claims import Claim
from labkit.model.decision import ALLOWED, DENIED, UNKNOWN

__all__ = ["Resource", "policy_decides"]

#: The parts of a statement that labkit evaluates.
KNOWN = frozenset({"Sid", "Effect", "Action", "Resource", "Condition"})
#: The keys of conditions about a tag of the resource.
TAG_KEYS = ("aws:ResourceTag/", "ec2:ResourceTag/")
#: How operators compare a text with a wanted one; "Not" after "String" turns them round.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
COMPARES: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": str.__eq__,
    "StringEqualsIgnoreCase": lambda text, wanted: text.lower() == wanted.lower(),
    "StringLike": lambda text, wanted: _like(text, wanted),
}
#: How a variable of a policy begins: it stands for something of the request.
VARIABLE = "${"


@dataclass(frozen=True, slots=True)
class Resource:
    """A machine or a volume of a cloud, whose number is not known before it is made.

    Attributes
    ----------
    place : str
        The first parts of its ARN: "arn:aws:ec2:us-east-1:123456789012".
    kind : str
        "instance", "volume".
    tags : mapping of str to str
    """

    place: str
    kind: str
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)


def policy_decides(policy: Document, action: str, resources: Iterable[Resource]) -> Claim:
    """Say whether a policy allows an action on every one of some resources.

    Parameters
    ----------
    policy : Document
    action : str
        With its service: "ec2:AttachVolume".
    resources : iterable of Resource
        None for an action that is on no resource: a statement about some does not allow it.

    Returns
    -------
    Claim
        "allowed", "denied", or "unknown" where a statement that labkit does not evaluate decides.

    Examples
    --------
    >>> from labkit.cluster.syntax.yamldoc import read_one
    >>> policy = read_one("Statement: {Effect: Allow, Action: 'ec2:*', Resource: '*'}", "p.yaml")
    >>> policy_decides(policy, "ec2:DescribeVolumes", []).value
    'allowed'
    >>> policy_decides(policy, "iam:ListUsers", []).value
    'denied'
    """
    allowing: list[Claim] = []
    doubt: Claim | None = None
    for resource in tuple(resources) or (None,):
        found = _decided(policy, action, resource)
        if found.value == DENIED:
            return found
        if found.value == UNKNOWN:
            doubt = doubt or found
        allowing.append(found)
    return doubt or allowing[-1]


def _decided(policy: Document, action: str, resource: Resource | None) -> Claim:
    allows: Claim | None = None
    doubts: dict[str, Claim] = {}
    for at, statement in _statements(policy):
        fits = _fits(statement, action, resource)
        if fits is False:
            continue
        source, effect = policy.source(*at), _effect(statement)
        if fits is None or not effect:
            unknown = Claim(UNKNOWN, f"labkit does not evaluate it: {action}", source)
            doubts.setdefault(effect or "Deny", unknown)
        elif effect == "Deny":
            return Claim(DENIED, f"a statement denies {action}", source)
        else:
            allows = allows or Claim(ALLOWED, action, source)
    if allows is None and "Allow" not in doubts:
        return Claim(DENIED, f"no statement allows {action} there", policy.source())
    return doubts.get("Deny") or allows or doubts["Allow"]


def _effect(statement: Any) -> str:
    """Return "Allow" or "Deny", or nothing for a statement without either."""
    found = statement.get("Effect") if isinstance(statement, dict) else None
    return found if found in ("Allow", "Deny") else ""


def _statements(policy: Document) -> Iterable[tuple[tuple[str | int, ...], Any]]:
    found = policy.get("Statement", default=[])
    if isinstance(found, dict):
        return [(("Statement",), found)]
    if not isinstance(found, list):
        raise ConfigError(f"{policy.path}: Statement is no list")
    return [(("Statement", index), it) for index, it in enumerate(found)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _fits(statement: Any, action: str, resource: Resource | None) -> bool | None:
    """Say whether a statement is about an action on a resource; None if that is not known."""
    if not isinstance(statement, dict) or not {"Action", "Resource"} <= set(statement):
        return None
    if not any(_like(action.lower(), str(it).lower()) for it in _listed(statement["Action"])):
        return False
    about = [_about(str(it), resource) for it in _listed(statement["Resource"])]
    if True not in about:
        return None if None in about else False
    if not set(statement) <= KNOWN:
        return None
    return _met(statement.get("Condition") or {}, resource)


def _like(text: str, pattern: str) -> bool:
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _about(pattern: str, resource: Resource | None) -> bool | None:
    if pattern == "*" or VARIABLE in pattern:
        return True if pattern == "*" else None
    if resource is None:
        return False
    # any number that the resource may get: only a pattern for every number surely fits
    if pattern.endswith("*") and _like(f"{resource.place}:{resource.kind}/", pattern):
        return True
    head, named, _ = pattern.rpartition("/")
    return None if named and _like(f"{resource.place}:{resource.kind}", head) else False


def _met(conditions: Any, resource: Resource | None) -> bool | None:
    if not isinstance(conditions, dict):
        return None
    doubt = False
    for operator, wanted in conditions.items():
        if not isinstance(wanted, dict):
            doubt = True
            continue
        for key, values in wanted.items():
            prefix = next((it for it in TAG_KEYS if str(key).startswith(it)), "")
            words = [str(it) for it in _listed(values)]
            if not prefix or any(VARIABLE in it for it in words):
                doubt = True
                continue
            tag = resource.tags.get(str(key)[len(prefix) :]) if resource else None
            holds = _compare(str(operator), tag, words)
            if holds is False:
                return False
            doubt = doubt or holds is None
    return None if doubt else True


def _compare(operator: str, tag: str | None, wanted: list[str]) -> bool | None:
    """Say whether a tag, or its absence, meets an operator; None for one that is not known."""
    if operator == "Null":
        return any((it.lower() == "true") == (tag is None) for it in wanted)
    name = operator.removesuffix("IfExists")
    compare = COMPARES.get(name.replace("StringNot", "String", 1))
    if compare is None:
        return None
    negated = name.startswith("StringNot")
    if tag is None:
        return negated or name != operator
    return any(compare(tag, it) for it in wanted) != negated
