"""Templates of pods in objects of kinds that Kubernetes does not have, as Rollout or RayCluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["owner_named_in", "templates_in"]


def templates_in(item: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield each template of pods that an object has below its specification.

    A controller that labkit does not know starts pods of it. Such kinds take Kubernetes' own type
    for it, ``PodTemplateSpec``, and name it ``template``, or ``workerTemplate``.

    Parameters
    ----------
    item : mapping
        The object.

    Yields
    ------
    mapping
        With ``spec``, which has ``containers``.

    Examples
    --------
    >>> inner = {"spec": {"containers": [{"name": "head"}]}}
    >>> cluster = {"kind": "RayCluster", "spec": {"headGroupSpec": {"template": inner}}}
    >>> list(templates_in(cluster)) == [inner]
    True
    """
    left = [item.get("spec")]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += reversed(value)
        elif isinstance(value, dict):
            for key, inner in reversed(value.items()):
                if isinstance(key, str) and key.lower().endswith("template") and _is_pod(inner):
                    yield inner
                else:
                    left.append(inner)


def _is_pod(value: object) -> bool:
    spec = value.get("spec") if isinstance(value, dict) else None
    return isinstance(spec, dict) and isinstance(spec.get("containers"), list)


def owner_named_in(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return kind and name of the first object that an object names as its owner; else empty.

    Parameters
    ----------
    item : mapping
        The object, which may be malformed.

    Returns
    -------
    kind, name : str

    Examples
    --------
    >>> owner_named_in({"metadata": {"ownerReferences": [{"kind": "Rollout", "name": "web"}]}})
    ('Rollout', 'web')
    >>> owner_named_in({"metadata": {}})
    ('', '')
    """
    about = item.get("metadata")
    owners = about.get("ownerReferences") if isinstance(about, dict) else None
    owner = owners[0] if isinstance(owners, list) and owners else None
    if not isinstance(owner, dict):
        return "", ""
    return str(owner.get("kind", "")), str(owner.get("name", ""))
