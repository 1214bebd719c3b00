"""Defaults of the components, as the reference pages of each project state them."""

from __future__ import annotations

import pytest

from labkit.cluster.defaults import (
    DEFAULTS,
    KUBELET_FLAG_DEFAULTS,
    KUBELET_FLAGS,
    REFERENCES,
)


@pytest.mark.parametrize(
    ("component", "flag", "value"),
    [
        # kubernetes.io, Command line tools reference
        ("kube-apiserver", "secure-port", "6443"),
        ("kube-apiserver", "bind-address", "0.0.0.0"),
        ("kube-apiserver", "anonymous-auth", "true"),
        ("kube-apiserver", "authorization-mode", "AlwaysAllow"),
        ("kube-apiserver", "kubelet-certificate-authority", ""),
        ("kube-controller-manager", "secure-port", "10257"),
        ("kube-scheduler", "secure-port", "10259"),
        ("kubectl-proxy", "address", "127.0.0.1"),
        ("kubectl-proxy", "port", "8001"),
        ("kubectl-proxy", "accept-hosts", r"^localhost$,^127\.0\.0\.1$,^\[::1\]$"),
        # kubernetes.io, kube-apiserver
        ("kube-apiserver", "etcd-prefix", "/registry"),
        # kubernetes.io, KubeletConfiguration v1beta1
        ("kubelet", "port", "10250"),
        ("kubelet", "readOnlyPort", "0"),
        ("kubelet", "authentication.anonymous.enabled", "false"),
        ("kubelet", "authentication.webhook.enabled", "true"),
        ("kubelet", "authorization.mode", "Webhook"),
        ("kubelet", "enableServer", "true"),
        ("kubelet", "enableSystemLogHandler", "true"),
        # etcd.io, Configuration options
        ("etcd", "listen-client-urls", "http://localhost:2379"),
        ("etcd", "listen-peer-urls", "http://localhost:2380"),
        ("etcd", "client-cert-auth", "false"),
        ("etcd", "peer-client-cert-auth", "false"),
        ("etcd", "tls-min-version", "TLS1.2"),
        # github.com/flannel-io/flannel, Documentation/configuration.md
        ("flanneld", "etcd-prefix", "/coreos.com/network"),
        ("flanneld", "etcd-endpoints", "http://127.0.0.1:4001,http://127.0.0.1:2379"),
        ("flanneld", "kube-subnet-mgr", "false"),
        # docs.docker.com, dockerd
        ("dockerd", "host", "unix:///var/run/docker.sock"),
        ("dockerd", "group", "docker"),
        ("dockerd", "tlsverify", "false"),
        # containerd-config.toml(5)
        ("containerd", "grpc.address", "/run/containerd/containerd.sock"),
        ("containerd", "grpc.gid", "0"),
    ],
)
def test_default_is_that_of_the_reference(component: str, flag: str, value: str) -> None:
    assert DEFAULTS[component][flag] == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        # applyLegacyDefaults in cmd/kubelet/app/options/options.go
        ("authentication.anonymous.enabled", "true"),
        ("authentication.webhook.enabled", "false"),
        ("authorization.mode", "AlwaysAllow"),
        ("readOnlyPort", "10255"),
    ],
)
def test_kubelet_without_a_configuration_file_has_its_legacy_defaults(key: str, value: str) -> None:
    assert KUBELET_FLAG_DEFAULTS[key] == value
    assert set(KUBELET_FLAG_DEFAULTS) <= set(DEFAULTS["kubelet"])


def test_every_component_has_a_reference_page() -> None:
    assert set(REFERENCES) == set(DEFAULTS)
    assert all(page.startswith("https://") for page in REFERENCES.values())


def test_every_kubelet_flag_stands_for_a_key_with_a_default() -> None:
    assert set(KUBELET_FLAGS.values()) <= set(DEFAULTS["kubelet"])
    assert KUBELET_FLAGS["anonymous-auth"] == "authentication.anonymous.enabled"
    assert KUBELET_FLAGS["read-only-port"] == "readOnlyPort"
