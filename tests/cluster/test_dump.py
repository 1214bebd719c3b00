"""Read kubectl's output: lists, several files, several lists in one file, malformed files."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.analysis import attack_graph, object_steps, paths_to
from labkit.cluster import Dump, read_dump
from labkit.cluster.objects.access import objects
from labkit.cluster.objects.live import LISTS
from labkit.cluster.objects.network import NETWORK
from labkit.cluster.objects.reader import DUMP_COMMAND, KINDS, READERS, Builder
from labkit.errors import ConfigError
from labkit.model.footholds import ADMIN

POD = {
    "kind": "Pod",
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "1",
        "ownerReferences": [{"kind": "StatefulSet", "name": "web"}],
    },
    "spec": {
        "nodeName": "worker1",
        "serviceAccountName": "web",
        "volumes": [
            {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
            {"name": "h", "hostPath": {"path": "/var/run/docker.sock"}},
            {"name": "s", "secret": {"secretName": "token"}},
        ],
        "containers": [
            {
                "name": "web",
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "db", "key": "k"}}}],
                "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}, "runAsUser": 0},
                "volumeMounts": [{"name": "t"}, {"name": "h", "readOnly": True}, {"name": "s"}],
            }
        ],
    },
}
OBJECTS: list[dict[str, Any]] = [
    {"kind": "Node", "metadata": {"name": "worker1"}},
    {
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": "token",
            "namespace": "shop",
            "annotations": {
                "kubernetes.io/service-account.name": "web",
                "kubectl.kubernetes.io/last-applied-configuration": "HUNTER2",
            },
        },
        "data": {"token": "HUNTER2"},
        "stringData": {"x": "HUNTER2"},
    },
    POD,
    {
        "kind": "ClusterRole",
        "metadata": {"name": "r", "labels": {"a": "b"}},
        "rules": [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}],
        "aggregationRule": {
            "clusterRoleSelectors": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
        },
    },
    {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "shop", "name": "web"}],
    },
]
# values that replace another value
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.none() | st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers(), max_size=2),
)


def whole(text: str) -> list[tuple[str, str]]:
    return [(item.get("metadata", {}).get("name", ""), kind) for item, kind in objects(text, "d")]


def analysed(dump: Dump) -> None:
    paths_to(attack_graph(object_steps(dump)), ADMIN)
    for item in dump.unknowns:
        str(item).encode()


def test_lists_and_single_objects_are_read_in_order():
    one = {"kind": "Node", "metadata": {"name": "a"}}
    plain = {"metadata": {"name": "b"}}
    listed = {"kind": "NodeList", "metadata": {}, "items": [plain, plain]}
    mixed = {"apiVersion": "v1", "items": [one], "kind": "List"}
    expected = [("a", "Node"), ("b", "Node"), ("b", "Node"), ("a", "Node")]
    for indent in (None, 4):
        text = "\n".join(json.dumps(item, indent=indent) for item in (one, listed, mixed))
        assert whole(text) == expected
    assert whole("") == whole("  \n ") == whole('{"kind": "List", "items": []}') == []


def test_truncated_dump_gives_the_objects_before_its_end(tmp_path: Path):
    good = json.dumps({"kind": "List", "items": OBJECTS}, indent=1)
    (tmp_path / "dump.json").write_text(good[: good.index('"ClusterRoleBinding"')])
    dump = read_dump(tmp_path / "dump.json")
    assert [pod.id for pod in dump.pods] == ["shop/web on worker1"]
    [broken] = [item for item in dump.unknowns if "no valid JSON" in item.why]
    assert broken.path == "dump.json"
    assert broken.line == good[: good.index('"ClusterRoleBinding"')].count("\n") + 1


def test_folder_of_files_is_one_dump(tmp_path: Path):
    for number, item in enumerate(OBJECTS):
        (tmp_path / f"{number}.json").write_text(json.dumps(item))
    (tmp_path / "broken.json").write_bytes(b"\xff\xfe{")
    (tmp_path / "other.txt").write_text("not read")
    dump = read_dump(tmp_path)
    assert repr(dump).endswith("1 pods in 1 groups on 1 nodes, 1 roles, 1 bindings")
    assert [item.path for item in dump.unknowns if item.why == "not UTF-8 text"] == ["broken.json"]


def test_empty_folder_is_refused_with_the_dump_command(tmp_path: Path):
    with pytest.raises(ConfigError, match="kubectl get"):
        read_dump(tmp_path)


def test_documented_dump_command_lists_every_kind():
    document = Path(__file__).resolve().parents[2] / "docs" / "your-own-cluster.md"
    assert f"{DUMP_COMMAND} > dump.json" in document.read_text()


def test_pod_keeps_account_token_secrets_and_mounts(tmp_path: Path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"kind": "List", "items": OBJECTS}))
    [pod] = read_dump(path).pods
    assert (pod.account, pod.nodes, pod.pods) == ("web", ("worker1",), ("web-1",))
    assert pod.spec.token
    assert pod.spec.secrets == ("token", "db")
    [container] = pod.spec.containers
    assert container.capabilities == ("NET_ADMIN",)
    assert container.host_paths[0].path == "/run/docker.sock"


def test_secret_values_are_not_kept(tmp_path: Path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"kind": "List", "items": OBJECTS}))
    dump = read_dump(path)
    assert [(s.name, s.account) for s in dump.secrets] == [("token", "web")]
    everything = [*dump.secrets, *dump.pods, *dump.unknowns, *dump.rbac.roles, *object_steps(dump)]
    assert "HUNTER2" not in "".join(map(repr, everything))


def test_missing_kinds_and_roles_are_unknowns():
    unknowns = Builder("empty").finish().unknowns
    kinds = (
        "Node Namespace Pod ServiceAccount Secret Role ClusterRole RoleBinding ClusterRoleBinding "
        "APIService ConfigMap"
    )
    assert [item.text for item in unknowns] == [f"no {kind} in the dump" for kind in kinds.split()]
    builder = Builder("d")
    builder.add(OBJECTS[4], "ClusterRoleBinding", "d.json")
    said = list(map(str, builder.finish().unknowns))
    assert any("ClusterRole r is not in the dump" in each for each in said)


def test_finished_pods_are_ignored():
    builder = Builder("d")
    builder.add({**POD, "status": {"phase": "Succeeded"}}, "Pod", "d.json")
    assert builder.finish().pods == ()


def test_malformed_object_is_an_unknown_and_the_rest_is_read():
    builder = Builder("d")
    builder.add({"metadata": {"name": "x"}, "spec": {"containers": 3}}, "Pod", "d.json")
    builder.add({"metadata": 7}, "Pod", "d.json")
    builder.add(POD, "Pod", "d.json")
    dump = builder.finish()
    assert [pod.id for pod in dump.pods] == ["shop/web on worker1"]
    assert "containers: expected a list" in "".join(map(str, dump.unknowns))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of keys to all values inside a value."""
    if isinstance(value, dict):
        inner = [p for key, item in value.items() for p in places(item, (*at, key))]
    elif isinstance(value, list):
        inner = [p for index, item in enumerate(value) for p in places(item, (*at, index))]
    else:
        inner = []
    return [at, *inner]


PLACES = places(OBJECTS)[1:]


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=4))
def test_objects_with_odd_values_raise_no_exception(changes):
    changed = json.loads(json.dumps(OBJECTS))
    for way, odd in changes:
        inside = changed
        try:
            for key in way[:-1]:
                inside = inside[key]
            inside[way[-1]] = odd
        except (TypeError, KeyError, IndexError):
            continue
    builder = Builder("fuzz")
    for item, kind in objects(json.dumps({"items": changed}), "fuzz.json"):
        builder.add(item, kind, "fuzz.json")
    analysed(builder.finish())


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_arbitrary_bytes_raise_no_exception(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("d") / "d.json"
    path.write_bytes(data)
    analysed(read_dump(path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["kind", "items", "metadata", "name", "spec", "rules"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200)
@given(st.lists(JSON, max_size=3), st.sampled_from([*KINDS, "List", "PodList"]))
def test_arbitrary_json_raises_no_exception(tmp_path_factory, values, kind):
    path = tmp_path_factory.mktemp("d") / "d.json"
    path.write_text(" ".join(json.dumps(v) for v in [{"kind": kind, "items": values}, *values]))
    analysed(read_dump(path))


NAMED = {"name": "web", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}}
BACKEND = {"service": {"name": "web"}}
SOURCES = [{"ipBlock": {"cidr": "192.0.2.0/24"}}, {"podSelector": {}, "namespaceSelector": {}}]
NETWORK_SPECS = {
    "Service": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80}]},
    "EndpointSlice": [{"targetRef": {"kind": "Pod", "name": "web-1"}}],
    "Endpoints": [{"addresses": [{"targetRef": {"kind": "Pod", "name": "web-1"}}]}],
    "NetworkPolicy": {
        "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": SOURCES}],
    },
    "Ingress": {
        "defaultBackend": BACKEND,
        "rules": [{"http": {"paths": [{"backend": BACKEND}]}}],
    },
}


@pytest.mark.parametrize("kind", NETWORK)
@settings(max_examples=300)
@given(data=st.data())
def test_network_objects_with_odd_values_raise_no_exception(kind, data):
    spec: Any = {"": copy.deepcopy(NETWORK_SPECS[kind])}
    *way, last = data.draw(st.sampled_from(places(spec)[1:]))
    inside = spec
    for key in way:
        inside = inside[key]
    inside[last] = data.draw(JSON)
    builder = Builder("test")
    for item in (*OBJECTS, {"kind": "Service", "spec": NETWORK_SPECS["Service"]}):
        builder.add({"metadata": NAMED, **item}, item["kind"], "d.json")
    builder.add(
        {"metadata": NAMED, **dict.fromkeys(("spec", "endpoints", "subsets"), spec[""])},
        kind,
        "d.json",
    )
    analysed(builder.finish())


@pytest.mark.parametrize("text", ["[" * 100000, '{"items": [' + "[" * 100000, '{"a":' * 5000])
def test_deeply_nested_json_is_an_unknown(tmp_path: Path, text: str):
    (tmp_path / "d.json").write_text(text)
    assert "no valid JSON" in "".join(map(str, read_dump(tmp_path / "d.json").unknowns))


def test_every_kind_that_is_read_is_asked_for():
    """A workload without pods, and what answers for the apiserver, is in no other object."""
    read = {*READERS, *NETWORK} - {"Endpoints"}
    assert read <= set(LISTS)
    # the resource of a kind ends its path
    resources = {LISTS[kind].rpartition("/")[2] for kind in read if "AdmissionPolicy" not in kind}
    assert resources == set(DUMP_COMMAND.split()[2].split(","))
