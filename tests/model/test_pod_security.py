"""What Pod Security lets into a namespace: the label, the cluster's default, the exemptions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labkit.cluster import Environment, read_environment
from labkit.cluster.edits import PLAN, Edit, Flag, Key, Whole
from labkit.cluster.facts import File
from labkit.errors import ConfigError
from labkit.model.pod_security import admits, host_paths, standard

FILE, UNIT = "/etc/kubernetes/admission.yaml", "kube-apiserver.service"
EXEMPT = Key("master", FILE, "plugins.0.configuration.exemptions.namespaces", ["default", "x"])
OTHER = Key("master", FILE, "plugins.0.name", "EventRateLimit")
NONE = Flag("master", UNIT, "admission-control-config-file", None)
OFF = Flag("master", UNIT, "disable-admission-plugins", "PodSecurity,Priority")
NAMESPACE = "{apiVersion: v1, kind: Namespace, metadata: {name: default%s}}"


def hardened(*edits: Edit) -> Environment:
    return read_environment("hardened", edits)


@pytest.mark.parametrize(
    ("edits", "namespace", "value", "where"),
    [
        ((), "shop", "restricted", "workloads.yaml"),
        ((), "default", "baseline", "admission.yaml"),
        ((), "kube-system", "baseline", "admission.yaml"),
        ((NONE,), "default", "privileged", "--admission-control-config-file absent"),
        ((NONE,), "shop", "restricted", "workloads.yaml"),
        ((OTHER,), "default", "privileged", "--admission-control-config-file"),
        ((EXEMPT,), "default", "privileged", "namespaces"),
        ((OFF,), "shop", "privileged", "--disable-admission-plugins"),
    ],
)
def test_pod_security_standard_of_a_namespace(
    edits: tuple[Edit, ...], namespace: str, value: str, where: str
) -> None:
    env = hardened(*edits)
    found = standard(env, env.component("kube-apiserver@master"), namespace)
    assert (found.value, where in str(found.source)) == (value, True), found


@pytest.mark.parametrize(
    ("kind", "names", "word"),
    [
        ("usernames", ["system:serviceaccount:ci:builder"], "unknown"),
        ("runtimeClasses", ["kata"], "unknown"),
        ("usernames", [], "refused"),
    ],
)
def test_exempt_caller_leaves_what_is_refused_unknown(
    kind: str, names: list[str], word: str
) -> None:
    # Kubernetes, "Pod Security Admission": exempt requests are admitted whatever the pod asks for
    env = hardened(Key("master", FILE, f"plugins.0.configuration.exemptions.{kind}", names))
    apiserver = env.component("kube-apiserver@master")
    assert host_paths(env, apiserver, "default").value == word
    assert (standard(env, apiserver, "shop").value == "unknown") == (word == "unknown")


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        ("", "refused"),
        (", labels: {pod-security.kubernetes.io/enforce: privileged}", "admitted"),
        (", labels: {pod-security.kubernetes.io/warn: privileged}", "refused"),
    ],
)
def test_enforce_label_overrides_the_default_standard(labels: str, word: str) -> None:
    env = hardened(Whole(PLAN, "manifests/default.yaml", NAMESPACE % labels))
    assert host_paths(env, env.component("kube-apiserver@master"), "default").value == word


def test_label_of_a_namespace_in_a_list_counts() -> None:
    item = NAMESPACE % ", labels: {pod-security.kubernetes.io/enforce: privileged}"
    text = f"{{kind: NamespaceList, items: [{item}]}}".encode()
    env = replace(hardened(), manifests=(File(Path("all.yaml"), "", "all.yaml", text),))
    assert standard(env, env.component("kube-apiserver@master"), "default").value == "privileged"


def test_label_that_may_be_in_a_broken_manifest_is_not_taken_to_be_absent() -> None:
    file = File(Path("broken.yaml"), "", "broken.yaml", b"kind: [")
    env = replace(hardened(), complete=False, manifests=(file,))
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        standard(env, env.component("kube-apiserver@master"), "default")


def test_missing_admission_file_is_refused_with_its_line() -> None:
    env = hardened(Flag("master", UNIT, "admission-control-config-file", "/etc/none.yaml"))
    with pytest.raises(ConfigError, match=r"kube-apiserver\.service:\d+: .*has no such file"):
        standard(env, env.component("kube-apiserver@master"), "default")


@pytest.mark.parametrize(
    ("edits", "unread", "namespace", "known"),
    [
        ((), False, "default", True),
        # --disable-admission-plugins may be among the flags that could not be read
        ((), True, "shop", False),
        ((OFF,), True, "shop", True),
        # the configuration that an unread flag may name may exempt the namespace
        (
            (NONE, Flag("master", UNIT, "disable-admission-plugins", "Priority")),
            True,
            "shop",
            False,
        ),
    ],
)
def test_flags_that_could_not_be_read_leave_the_standard_unknown(
    edits: tuple[Edit, ...], unread: bool, namespace: str, known: bool
) -> None:
    env = hardened(*edits)
    apiserver = replace(env.component("kube-apiserver@master"), complete=not unread)
    assert (standard(env, apiserver, namespace).value != "unknown") == known
    assert (host_paths(env, apiserver, namespace).value != "unknown") == known


@pytest.mark.parametrize(
    ("version", "answer"),
    # an apiserver takes its own checks for those of a version that is newer (policy/registry.go)
    [("latest", "refused"), ("v1.33", "admitted"), ("v1.99", "refused"), ("soon", "unknown")],
)
def test_version_of_the_checks_is_that_of_the_label(version: str, answer: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    labels["pod-security.kubernetes.io/enforce-version"] = version
    text = json.dumps(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "old", "labels": labels}}
    )
    env = replace(hardened(), manifests=(File(Path("all.yaml"), "", "all.yaml", text.encode()),))
    # since 1.34 a probe of a baseline pod names no host
    pod = {"spec": {"containers": [{"livenessProbe": {"httpGet": {"host": "127.0.0.1"}}}]}}
    said = admits(env, env.component("kube-apiserver@master"), "old", pod)
    assert said.value == answer
    assert host_paths(env, env.component("kube-apiserver@master"), "old").value == (
        "unknown" if answer == "unknown" else "refused"
    )


PROBE = {"spec": {"containers": [{"livenessProbe": {"httpGet": {"host": "127.0.0.1"}}}]}}


def copied(label: str, *more: str) -> Environment:
    """Return an environment of which the version is not known, with a baseline namespace."""
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    labels |= {"pod-security.kubernetes.io/enforce-version": label} if label else {}
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "old", "labels": labels}}
    texts = "\n---\n".join([json.dumps(home), *more])
    files = (File(Path("all.yaml"), "", "all.yaml", texts.encode()),)
    return replace(hardened(), complete=False, manifests=files)


@pytest.mark.parametrize(
    ("label", "version", "word"),
    [
        # since 1.34 a probe of a baseline pod names no host
        ("", (1, 33), "admitted"),
        ("", (1, 34), "refused"),
        ("latest", (1, 30), "admitted"),
        ("latest", None, "unknown"),
        ("v1.33", None, "admitted"),
        ("v1.34", None, "unknown"),
        ("v1.34", (1, 33), "admitted"),
        ("v1.34", (1, 37), "refused"),
        # the checks of a version that is newer than labkit are not known, unless an older counts
        ("latest", (1, 99), "unknown"),
        ("v1.34", (1, 99), "refused"),
    ],
)
def test_checks_are_those_of_the_apiserver_s_version(
    label: str, version: tuple[int, int] | None, word: str
) -> None:
    env = copied(label)
    apiserver = replace(env.component("kube-apiserver@master"), version=version)
    assert admits(env, apiserver, "old", PROBE).value == word
    # what every version refuses is refused, whatever the version is
    every = "unknown" if (label, version) == ("latest", (1, 99)) else "refused"
    assert host_paths(env, apiserver, "old").value == every


@pytest.mark.parametrize(
    ("reported", "word"),
    [
        # an apiserver is up to three minor versions ahead of its kubelets (version skew policy)
        ("v1.30.1", "admitted"),
        ("v1.31.1", "unknown"),
        ("v1.33.1", "unknown"),
        ("v1.34.0-eks-1", "refused"),
        ("", "unknown"),
        ("odd", "unknown"),
    ],
)
def test_newest_kubelet_bounds_the_version_without_an_image(reported: str, word: str) -> None:
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"n{number}"},
            "status": {"nodeInfo": {"kubeletVersion": version}},
        }
        for number, version in enumerate(("v1.29.0" if "v" in reported else "", reported))
    ]
    env = copied("", *map(json.dumps, nodes))
    assert admits(env, env.component("kube-apiserver@master"), "old", PROBE).value == word


@pytest.mark.parametrize(
    ("namespace", "version", "level"),
    [
        ("old", (1, 34), "baseline"),
        # its label comes before the default of the cluster (Kubernetes, "Pod Security Admission")
        ("other", (1, 34), "unknown"),
        # the plugin is on by default since 1.23, and behind a gate in 1.22 (kube_features.go)
        ("old", (1, 23), "baseline"),
        ("old", (1, 22), "privileged"),
        ("other", (1, 21), "privileged"),
    ],
)
@pytest.mark.parametrize("edits", [(), (NONE,)])
def test_standard_of_a_namespace_that_was_not_copied_is_unknown(
    edits: tuple[Edit, ...], namespace: str, version: tuple[int, int], level: str
) -> None:
    env = replace(copied(""), components=hardened(*edits).components)
    apiserver = replace(env.component("kube-apiserver@master"), version=version)
    assert standard(env, apiserver, namespace).value == level
