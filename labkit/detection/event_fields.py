"""The fields of an audit event, by which a rule can find it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["INTEGERS", "WORDS", "has_many", "is_field", "values_at"]

USER = ("username", "uid", "groups", "extra.*")
#: The fields of audit.k8s.io/v1 Event. Below one that ends with ".*", any name may stand.
FIELDS = frozenset(
    (
        *("kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb"),
        *("sourceIPs", "userAgent", "requestReceivedTimestamp", "stageTimestamp"),
        *(f"user.{name}" for name in USER),
        *(f"impersonatedUser.{name}" for name in USER),
        # since Kubernetes 1.35, where impersonation is constrained
        "authenticationMetadata.impersonationConstraint",
        *(
            f"objectRef.{name}"
            for name in ("resource", "subresource", "namespace", "name", "uid", "apiGroup")
        ),
        *("objectRef.apiVersion", "objectRef.resourceVersion"),
        *(f"responseStatus.{name}" for name in ("status", "message", "reason", "code")),
        *("responseStatus.metadata.*", "responseStatus.details.*"),
        *("requestObject.*", "responseObject.*", "annotations.*"),
    )
)
INTEGERS = frozenset({"responseStatus.code"})
#: The values that a field can have, where they are few.
WORDS: Mapping[str, frozenset[str]] = {
    "kind": frozenset({"event"}),
    "apiVersion": frozenset({"audit.k8s.io/v1"}),
    "level": frozenset({"metadata", "request", "requestresponse"}),
    "stage": frozenset({"requestreceived", "responsestarted", "responsecomplete", "panic"}),
}
LISTS = frozenset({"sourceIPs", "user.groups", "impersonatedUser.groups"})


def is_field(name: str) -> bool:
    """Say whether an audit event can have a field.

    Parameters
    ----------
    name : str
        Its name below those that contain it, with dots between them.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_field("objectRef.resource"), is_field("hostPath")
    (True, False)
    >>> is_field("requestObject.spec.hostPID"), is_field("user")
    (True, False)
    """
    if name in FIELDS:
        return True
    parts = name.split(".")
    return any(".".join((*parts[:at], "*")) in FIELDS for at in range(1, len(parts)))


def has_many(name: str) -> bool:
    """Say whether an event can have several values in a field, such as the groups of a user.

    Parameters
    ----------
    name : str

    Returns
    -------
    bool

    Examples
    --------
    >>> has_many("user.groups"), has_many("requestObject.spec.containers.image"), has_many("verb")
    (True, True, False)
    """
    free = ("requestObject.", "responseObject.", "user.extra.", "impersonatedUser.extra.")
    return name in LISTS or name.startswith(free)


def values_at(event: Any, name: str) -> list[Any]:
    """Return the values that an event has in a field; those in a list one by one.

    Parameters
    ----------
    event : dict
    name : str
        Its name below those that contain it, with dots between them.

    Returns
    -------
    list

    Examples
    --------
    >>> values_at({"user": {"groups": ["a", "b"]}}, "user.groups")
    ['a', 'b']
    >>> values_at({"annotations": {"authorization.k8s.io/decision": "allow"}},
    ...           "annotations.authorization.k8s.io/decision")
    ['allow']
    """
    return list(_values(event, name.split(".")))


def _values(inside: Any, parts: list[str]) -> Iterator[Any]:
    if isinstance(inside, list):
        for item in inside:
            yield from _values(item, parts)
    elif not parts:
        if inside is not None and not isinstance(inside, dict):
            yield inside
    elif isinstance(inside, dict):
        # a name may have dots itself
        for count in range(1, len(parts) + 1):
            name = ".".join(parts[:count])
            if name in inside:
                yield from _values(inside[name], parts[count:])
