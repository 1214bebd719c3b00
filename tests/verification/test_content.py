"""A lab whose members, secrets, workloads or policies are not its environment's is another one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from labkit.cluster import read_environment
from labkit.lab import Output
from labkit.verification.content import content_rows

Items = dict[str, dict[str, Any]]


class FakeLab:
    """A lab with the objects of its environment, as the apiserver lists them."""

    mode = "hardened"

    def __init__(self) -> None:
        self.environment = read_environment(self.mode)
        self.members = [{"name": it.name} for it in self.environment.nodes if it.role == "etcd"]
        self.items: Items = {}
        for path in self.environment.manifests:
            for document in filter(None, yaml.safe_load_all(path.read_text())):
                about = document["metadata"]
                name = f"{about.get('namespace', '')}/{about['name']}"
                self.items[f"{document['kind']} {name}"] = copy.deepcopy(document)
        for secret in self.environment.secrets:
            about = {"name": secret.name, "namespace": secret.namespace}
            data = dict.fromkeys(secret.keys, "eA==")
            name = f"Secret {secret.namespace}/{secret.name}"
            self.items[name] = {"kind": "Secret", "metadata": about, "data": data}

    def etcdctl(self, *_: str) -> Output:
        return Output(0, json.dumps({"members": self.members}).encode(), b"")

    def kubectl(self, verb: str, kinds: str, *_: str) -> Output:
        assert verb == "get"
        found = [it for it in self.items.values() if it["kind"] in kinds.split(",")]
        return Output(0, json.dumps({"items": found}).encode(), b"")


def add(items: Items, kind: str, **more: Any) -> None:
    about = {"name": "left", **more}
    items[f"{kind} left"] = {"kind": kind, "metadata": about}


def adding(kind: str) -> tuple[Callable[[Items], object], str, str]:
    return lambda items: add(items, kind), f"{kind} left", "not in the environment"


def relabel(items: Items) -> None:
    namespace = items["Namespace /shop"]["metadata"]
    namespace["labels"] = {"pod-security.kubernetes.io/enforce": "privileged"}


DIFFERENT: dict[str, tuple[Callable[[Items], object], str, str]] = {
    "no secret": (
        lambda items: items.pop("Secret shop/db-credentials"),
        "Secret shop/db-credentials",
        "missing",
    ),
    "no pod": (lambda items: items.pop("Pod shop/web"), "Pod shop/web", "missing"),
    "another image": (
        lambda items: items["Pod shop/web"]["spec"]["containers"][0].update(image="x"),
        "Pod shop/web",
        "different",
    ),
    "a namespace that lets every pod in": (relabel, "Namespace shop", "different"),
    "a namespace without its policy": (
        lambda items: items["Namespace /shop"]["metadata"].pop("labels"),
        "Namespace shop",
        "different",
    ),
    **{
        f"one more {kind}": adding(kind)
        for kind in ("Pod", "ClusterRoleBinding", "NetworkPolicy", "MutatingWebhookConfiguration")
    },
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_lab_of_another_content_is_not_the_environments(what: str) -> None:
    lab: Any = FakeLab()
    assert content_rows(lab) == []
    change, name, observed = DIFFERENT[what]
    change(lab.items)
    found = [(row.channel, row.observed, row.verdict) for row in content_rows(lab)]
    assert found == [(name, observed, "disagree")]


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Pod", {"ownerReferences": [{"kind": "ReplicaSet", "name": "a"}]}),
        ("Pod", {"deletionTimestamp": "2026-11-26T23:14:57Z"}),
        ("ClusterRoleBinding", {"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}),
        ("ConfigMap", {}),
    ],
)
def test_what_the_cluster_makes_itself_is_no_difference(kind: str, more: dict[str, Any]) -> None:
    lab: Any = FakeLab()
    add(lab.items, kind, **more)
    assert content_rows(lab) == []


def test_members_of_etcd_are_those_of_the_topology() -> None:
    lab: Any = FakeLab()
    lab.members[0] = {"name": "rogue"}
    assert [(row.channel, row.observed) for row in content_rows(lab)] == [
        ("etcd's member etcd1", "missing"),
        ("etcd's member rogue", "not in the environment"),
    ]
