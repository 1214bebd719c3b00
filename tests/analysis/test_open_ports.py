"""Ports of a dump's control plane on which nobody is asked for a credential.

https://etcd.io/docs/v3.6/op-guide/security/: etcd asks its clients for certificates with
``--client-cert-auth`` alone. pkg/kubeapiserver/options/serving.go of Kubernetes 1.19: the insecure
port is 8080 on 127.0.0.1 by default; 1.20 starts with 0 alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labkit.analysis import attack_paths
from labkit.cluster import read_dump
from labkit.model import model_of_dump

#: What every cluster has: with it, nothing of a dump is taken to be missing.
REST = json.loads((Path(__file__).parents[1] / "cluster/data/every-cluster.json").read_text())
Object = dict[str, Any]
ANY, LOCAL = "http://0.0.0.0:2379", "http://127.0.0.1:2379"

#: Those that every apiserver makes: without one, who else has rights is not known.
BINDINGS = [
    {"kind": kind, "metadata": {"name": name, "namespace": home}, "roleRef": {"name": name}}
    for kind, home, name in (
        ("ClusterRoleBinding", "", "cluster-admin"),
        ("RoleBinding", "kube-public", "system:controller:bootstrap-signer"),
    )
]


def pod(home: str, name: str, on: str, **spec: Any) -> Object:
    about = {"name": name, "namespace": home, "uid": name}
    return {"kind": "Pod", "metadata": about, "spec": {"nodeName": on, **spec}}


def control_plane(name: str, image: str, *flags: str, env: dict[str, str] | None = None) -> Object:
    command = [image.partition(":")[0], *flags]
    variables = [{"name": key, "value": value} for key, value in (env or {}).items()]
    container: Object = {"name": name, "image": f"registry.k8s.io/{image}"}
    container |= {"command": command, "env": variables}
    owner = {"kind": "Node", "name": "cp1"}
    made = pod("kube-system", f"{name}-cp1", "cp1", containers=[container], hostNetwork=True)
    made["metadata"]["ownerReferences"] = [owner]
    return made


def ways(folder: Path, *objects: Object) -> tuple[str, str]:
    """Return what leads to cluster-admin: from a pod, and from one in the network of its node."""
    labels = {"node-role.kubernetes.io/control-plane": ""}
    nodes = ({"kind": "Node", "metadata": {"name": "cp1", "labels": labels}},)
    agent = pod("shop", "agent", "cp1", hostNetwork=True)
    file = folder / "dump.json"
    items = [*REST, *nodes, pod("shop", "web", "w1"), agent, *BINDINGS, *objects]
    file.write_text(json.dumps({"kind": "List", "items": items}))
    model = model_of_dump(read_dump(file))

    def way(start: str) -> str:
        found = attack_paths(model, start, "admin")
        return "known" if found.paths else "possible" if found.possible else "none"

    return way("pod:shop/web"), way("pod:shop/agent")


CLIENTS = "--listen-client-urls="


@pytest.mark.parametrize(
    ("flags", "env", "found"),
    [
        ([CLIENTS + ANY], {}, ("known", "known")),
        ([CLIENTS + LOCAL], {}, ("none", "known")),
        ([], {}, ("none", "known")),
        ([CLIENTS + "https://10.0.0.1:2379"], {}, ("known", "known")),
        ([CLIENTS + "https://[::1]:2379"], {}, ("none", "known")),
        ([CLIENTS + "https://10.0.0.1:2379", "--client-cert-auth"], {}, ("none", "none")),
        ([CLIENTS + "https://10.0.0.1:2379", "--trusted-ca-file=/ca"], {}, ("none", "none")),
        (
            [CLIENTS + "https://10.0.0.1:2379," + ANY, "--client-cert-auth=true"],
            {},
            ("known", "known"),
        ),
        ([], {"ETCD_LISTEN_CLIENT_URLS": ANY}, ("known", "known")),
        (["--config-file=/etc/etcd.yaml"], {}, ("possible", "possible")),
        ([CLIENTS + LOCAL, "$(MORE)"], {}, ("possible", "possible")),
    ],
)
def test_etcd_of_a_dump_that_asks_nobody(
    tmp_path: Path, flags: list[str], env: dict[str, str], found: tuple[str, str]
) -> None:
    assert ways(tmp_path, control_plane("etcd", "etcd:3.6.6-0", *flags, env=env)) == found


@pytest.mark.parametrize(
    ("tag", "flags", "found"),
    [
        ("v1.18.0", ["--insecure-bind-address=0.0.0.0"], ("known", "known")),
        ("v1.19.3", [], ("none", "known")),
        ("v1.19.3", ["--insecure-port=0"], ("none", "none")),
        ("v1.18.0", ["--insecure-bind-address=0.0.0.0", "$(MORE)"], ("possible", "possible")),
        ("latest", ["--insecure-port=8080"], ("none", "possible")),
        ("v1.20.0", [], ("none", "none")),
        ("v1.36.0", [], ("none", "none")),
    ],
)
def test_insecure_port_of_a_dump(
    tmp_path: Path, tag: str, flags: list[str], found: tuple[str, str]
) -> None:
    usual = ["--authorization-mode=Node,RBAC", "--anonymous-auth=false"]
    made = control_plane("kube-apiserver", f"kube-apiserver:{tag}", *usual, *flags)
    got = ways(tmp_path, made)
    if "$(MORE)" in flags:
        # what authorizes is not known either
        assert got == ("possible", "possible")
        return
    assert got == found


@pytest.mark.parametrize(
    ("enabled", "mode", "name", "expected"),
    [
        ("true", "AlwaysAllow", "kubelet-config", "possible"),
        ("true", "AlwaysAllow", "kubelet-config-1.23", "possible"),
        ("true", "Webhook", "kubelet-config", "none"),
        ("false", "AlwaysAllow", "kubelet-config", "none"),
        ("true", "AlwaysAllow", "other", "none"),
    ],
)
def test_configuration_that_kubelets_join_with_may_open_them(
    tmp_path: Path, enabled: str, mode: str, name: str, expected: str
) -> None:
    """kubeadm: https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/kubelet-integration/."""
    text = f"authentication: {{anonymous: {{enabled: {enabled}}}}}\nauthorization: {{mode: {mode}}}"
    about = {"name": name, "namespace": "kube-system"}
    config = {"kind": "ConfigMap", "metadata": about, "data": {"kubelet": text}}
    privileged = [{"name": "c", "securityContext": {"privileged": True}}]
    agent = pod("kube-system", "agent", "cp1", containers=privileged)
    assert ways(tmp_path, config, agent)[0] == expected
