"""Hold the content of a lab against its environment: etcd's members, secrets, objects, bindings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from labkit.lab import Lab
from labkit.verification.report import Row

__all__ = ["contains", "content_rows"]

#: Kinds of which the lab has only those of the manifests: a binding gives rights, a pod runs what
#: nobody wrote down, and a policy refuses or changes requests.
ONLY_OURS = (
    *("RoleBinding", "ClusterRoleBinding", "Pod", "NetworkPolicy"),
    *("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"),
)
#: Kinds that are read always.
ALWAYS = ("Secret", *ONLY_OURS)
#: Kubernetes gives this label to its own roles and bindings.
OWN = "kubernetes.io/bootstrapping"
#: The fields that are compared; Kubernetes adds defaults to all others.
FIELDS = ("rules", "subjects", "roleRef", "spec")


def content_rows(lab: Lab) -> list[Row]:
    """Return one row for each part of the environment that the lab does not have as it is written.

    Parameters
    ----------
    lab : Lab
        A running lab.

    Returns
    -------
    list of Row
        Empty if the lab's members, secrets, workloads and policies are those of its environment.

    Raises
    ------
    LabkitError
        etcd or the apiserver does not answer.
    """
    found = [*_members(lab), *_objects(lab)]
    return [
        Row(
            mode=lab.mode,
            channel=what,
            property="content",
            claimed="as in the environment",
            source=source,
            observed=observed,
            reason=f"{what} is {observed}",
            control="",
            verdict="disagree",
        )
        for what, observed, source in found
    ]


def contains(found: Any, wanted: Any) -> bool:
    """Say whether an object has all fields of another one, with the same values.

    Parameters
    ----------
    found, wanted : object
        JSON objects. Lists must have the same length.

    Returns
    -------
    bool

    Examples
    --------
    >>> contains({"a": 1, "b": [{"c": 2, "d": 3}]}, {"b": [{"c": 2}]})
    True
    >>> contains({"b": [1, 2]}, {"b": [1]})
    False
    """
    if isinstance(wanted, dict):
        # an empty value is often left out
        return isinstance(found, dict) and all(
            contains(found.get(key, type(value)()), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        own = [it for it in found or () if not _is_of_admission(it)]
        return len(own) == len(wanted) and all(map(contains, own, wanted))
    return bool(found == wanted)


def _is_of_admission(item: Any) -> bool:
    """Say whether the plugin ServiceAccount added an item to a pod: the volume of a token."""
    return isinstance(item, dict) and str(item.get("name", "")).startswith("kube-api-access-")


def _members(lab: Lab) -> Iterator[tuple[str, str, str]]:
    listed = json.loads(lab.etcdctl("member", "list", "--write-out=json").stdout)["members"]
    wanted = {node.name for node in lab.environment.nodes if node.role == "etcd"}
    names = {str(member.get("name") or "without a name") for member in listed}
    for name in sorted(names ^ wanted):
        word = "missing" if name in wanted else "not in the environment"
        yield f"etcd's member {name}", word, "topology.yaml"


def _objects(lab: Lab) -> Iterator[tuple[str, str, str]]:
    env = lab.environment
    documents = [
        (document, str(path.source))
        for path in env.manifests
        for document in yaml.safe_load_all(path.read_text())
        if document
    ]
    kinds = sorted({document["kind"] for document, _ in documents} | set(ALWAYS))
    shown = lab.kubectl("get", ",".join(kinds), "--all-namespaces", "--output=json")
    there = {_name(item): item for item in json.loads(shown.stdout)["items"]}
    for document, source in documents:
        item = there.get(_name(document))
        if item is None:
            yield _name(document), "missing", source
        elif not all(contains(item.get(key), document[key]) for key in FIELDS if document.get(key)):
            yield _name(document), "different", source
        elif not contains(_labels(item), _labels(document)):
            # a namespace's labels say which pods it lets in
            yield _name(document), "different", source
    for secret in env.secrets:
        name = f"Secret {secret.namespace}/{secret.name}"
        if set(secret.keys) - set(there.get(name, {}).get("data", {})):
            yield name, "missing", "secrets.yaml"
    known = {_name(document) for document, _ in documents}
    for name, item in there.items():
        about = item["metadata"]
        ours = name in known or OWN in _labels(item)
        # what a controller made of something else, and what is just being deleted
        passes = about.get("ownerReferences") or about.get("deletionTimestamp")
        if item["kind"] in ONLY_OURS and not ours and not passes:
            yield name, "not in the environment", "manifests"


def _name(item: Any) -> str:
    about = item["metadata"]
    place = f"{about['namespace']}/" if about.get("namespace") else ""
    return f"{item['kind']} {place}{about['name']}"


def _labels(item: Any) -> dict[str, str]:
    return item["metadata"].get("labels") or {}
