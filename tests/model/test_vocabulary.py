"""What is usual of a kind of component: https://kubernetes.io/docs/reference/networking/ports-and-protocols/."""

from __future__ import annotations

import pytest

from labkit.model import VALUES
from labkit.model.vocabulary import KINDS, kind_of


@pytest.mark.parametrize(
    ("kind", "port", "protocol"),
    [
        ("kube-apiserver", 6443, "https"),
        ("etcd", 2379, "http"),
        ("kubelet", 10250, "https"),
        ("kube-scheduler", 10259, "https"),
        ("kube-controller-manager", 10257, "https"),
        ("kube-proxy", 10256, "http"),
        ("kubectl-proxy", 8001, "http"),
    ],
)
def test_component_listens_on_its_usual_port(kind: str, port: int, protocol: str) -> None:
    assert (kind_of(kind).port, kind_of(kind).protocol) == (port, protocol)


@pytest.mark.parametrize(
    ("kind", "path"),
    [("dockerd", "/run/docker.sock"), ("containerd", "/run/containerd/containerd.sock")],
)
def test_runtime_listens_on_its_usual_socket(kind: str, path: str) -> None:
    found = kind_of(kind)
    assert (found.port, found.path, found.protocol) == (None, path, "unix")


@pytest.mark.parametrize("kind", KINDS)
def test_usual_claims_have_values_of_the_model(kind: str) -> None:
    for name, value in KINDS[kind].claims.items():
        assert value in VALUES[name]


def test_unknown_kind_has_nothing_usual() -> None:
    found = kind_of("billing")
    assert (found.port, found.path, found.zone, found.data) == (None, "", "", ())
    assert dict(found.claims) == {}
