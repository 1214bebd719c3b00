"""Templates of pods in objects of kinds that Kubernetes does not have, as Rollout or RayCluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["templates_in"]


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
