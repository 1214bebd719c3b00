"""Which machine and which apiserver a name in the configuration means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labkit.cluster import read_environment
from labkit.cluster.syntax.source import Setting
from labkit.model.addresses import apiserver_of, node_of

ENV = read_environment("hardened")
[ADMIN] = [it for it in ENV.kubeconfigs if it.path.endswith("/admin.conf")]


@pytest.mark.parametrize(
    ("host", "node"),
    [
        ("master", "master"),
        ("master.example.org", "master"),
        ("localhost", "worker2"),
        ("127.0.0.1", "worker2"),
        ("::1", "worker2"),
        ("masters", None),
        ("example.org", None),
    ],
)
def test_host_means_a_machine_as_seen_from_worker2(host: str, node: str | None) -> None:
    assert node_of(ENV, host, "worker2") == node


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ("https://master:6443", "kube-apiserver@master"),
        ("https://localhost:6443", "kube-apiserver@master"),
        ("https://master:6444", None),
        ("https://master", None),
        ("https://worker1:6443", None),
    ],
)
def test_kubeconfig_names_an_apiserver_by_host_and_port(server: str, found: str | None) -> None:
    config = replace(ADMIN, server=Setting(server, ADMIN.server.source))
    component = apiserver_of(ENV, config)
    assert (component and component.id) == found
