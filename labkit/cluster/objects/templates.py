"""Templates of pods in objects of kinds that Kubernetes does not have, as Rollout or RayCluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labkit.cluster.objects.facts import CustomWorkload
from labkit.cluster.syntax.values import mapping, sequence, text_of

__all__ = ["kind_of_definition", "kind_of_object", "templates_in"]

#: The mark of a part of a schema that says nothing of what may stand there.
ANYTHING = "x-kubernetes-preserve-unknown-fields"


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
                if _is_name(key) and _is_pod(inner):
                    yield inner
                else:
                    left.append(inner)


def _is_name(key: object) -> bool:
    return isinstance(key, str) and key.lower().endswith("template")


def _is_pod(value: object) -> bool:
    spec = value.get("spec") if isinstance(value, dict) else None
    return isinstance(spec, dict) and isinstance(spec.get("containers"), list)


def kind_of_object(item: Mapping[str, Any], kind: str) -> CustomWorkload | None:
    """Return the kind of an object with templates of pods; None if its group cannot be read.

    The name of its resource is guessed as client-go does it, which a few kinds do not follow. An
    object does not say whether its kind is in namespaces: a manifest may leave its namespace out.

    Parameters
    ----------
    item : mapping
        The object.
    kind : str

    Returns
    -------
    CustomWorkload or None

    References
    ----------
    https://pkg.go.dev/k8s.io/apimachinery/pkg/api/meta#UnsafeGuessKindToResource

    Examples
    --------
    >>> kind_of_object({"apiVersion": "argoproj.io/v1alpha1"}, "Rollout").resource
    'rollouts'
    """
    group, slash, version = text_of(item, "apiVersion").partition("/")
    single = kind.lower()
    if single.endswith("s"):
        name = f"{single}es"
    else:
        name = f"{single[:-1]}ies" if single.endswith("y") else f"{single}s"
    return CustomWorkload(group, name, kind, version) if slash and single else None


def kind_of_definition(item: Mapping[str, Any]) -> CustomWorkload | None:
    """Return the kind that a CustomResourceDefinition makes, if its objects have templates of pods.

    Parameters
    ----------
    item : mapping
        The CustomResourceDefinition.

    Returns
    -------
    CustomWorkload or None
        With a version that is served. None if no schema has a template.

    Raises
    ------
    ValueError
        The object is malformed.

    Examples
    --------
    >>> pod = {"properties": {"spec": {"properties": {"containers": {"type": "array"}}}}}
    >>> schema = {"properties": {"spec": {"properties": {"template": pod}}}}
    >>> version = {"name": "v1", "served": True, "schema": {"openAPIV3Schema": schema}}
    >>> names = {"plural": "rollouts", "kind": "Rollout"}
    >>> spec = {"group": "argoproj.io", "names": names, "versions": [version]}
    >>> found = kind_of_definition({"spec": spec})
    >>> found.resource, found.version
    ('rollouts', 'v1')
    """
    # v1beta1 has one schema for all versions
    schemas = [mapping(item, "spec", "validation")]
    served = text_of(item, "spec", "version")
    for version in sequence(item, "spec", "versions"):
        schemas.append(mapping(version, "schema"))
        if mapping(version).get("served") is True:
            served = text_of(version, "name")
    if not any(_has_template(it.get("openAPIV3Schema")) for it in schemas):
        return None
    group, names = text_of(item, "spec", "group"), mapping(item, "spec", "names")
    in_none = text_of(item, "spec", "scope") == "Cluster"
    return CustomWorkload(group, text_of(names, "plural"), text_of(names, "kind"), served, in_none)


def _has_template(schema: object) -> bool:
    """Say whether a schema has a property for a template of pods."""
    properties = _properties(schema)
    # what stands in the status is the controller's
    left = [properties.get("spec")]
    while left:
        value = left.pop()
        for key, inner in _properties(value).items():
            if _is_name(key) and _is_template(inner):
                return True
            left.append(inner)
        if isinstance(value, dict):
            left += [value.get("items"), value.get("additionalProperties")]
    return False


def _is_template(schema: object) -> bool:
    """Say whether a schema is that of a template of pods, or of something that may be one."""
    known = _properties(schema)
    if not known:
        return isinstance(schema, dict) and schema.get(ANYTHING) is True
    spec = known.get("spec")
    inner = _properties(spec)
    if not inner:
        return isinstance(spec, dict) and spec.get(ANYTHING) is True
    return "containers" in inner


def _properties(schema: object) -> Mapping[str, Any]:
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}
