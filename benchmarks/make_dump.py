"""Write a cluster's dump of some size: the same seed, the same bytes.

::

    python benchmarks/make_dump.py 25000 /tmp/dump.json

What it is made of is meant to be ordinary: namespaces of some teams with deployments, a few of
which carry too much, agents on each node, a control plane as kubeadm makes it, most service
accounts without rights, some operators with many.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PODS_PER_NODE = 50
PODS_PER_NAMESPACE = 100
Object = dict[str, Any]


def rule(verbs: str, resources: str, group: str = "", names: tuple[str, ...] = ()) -> Object:
    """Return one rule of a role."""
    made: Object = {
        "apiGroups": [group],
        "resources": resources.split(),
        "verbs": verbs.split(),
    }
    if names:
        made["resourceNames"] = list(names)
    return made


RBAC, READ = "rbac.authorization.k8s.io", "get list watch"
EVERY = "create delete get list patch update watch"
EDIT = [
    rule(EVERY, "pods pods/attach pods/exec pods/portforward pods/proxy"),
    rule(EVERY, "secrets configmaps services serviceaccounts persistentvolumeclaims"),
    rule("create", "serviceaccounts/token"),
    rule(EVERY, "deployments daemonsets statefulsets replicasets", "apps"),
    rule(EVERY, "jobs cronjobs", "batch"),
]
CLUSTER_ROLES = {
    "cluster-admin": [rule("*", "*", "*")],
    "view": [rule(READ, "pods configmaps services endpoints events"), rule(READ, "*", "apps")],
    "edit": EDIT,
    "admin": [*EDIT, rule(EVERY, "roles rolebindings", RBAC)],
    "system:node": [rule(READ, "pods services nodes"), rule("create", "nodes pods")],
    "system:kube-scheduler": [rule(READ, "pods nodes"), rule("create", "pods/binding")],
    "system:controller:clusterrole-aggregation-controller": [
        rule("escalate get list patch update watch", "clusterroles", RBAC)
    ],
    "system:controller:daemon-set-controller": [
        rule(READ, "nodes"),
        rule("create delete list watch patch", "pods"),
        rule(READ, "daemonsets", "apps"),
    ],
    "ingress": [rule(READ, "services endpoints secrets"), rule(READ, "*", "networking.k8s.io")],
    "metrics": [rule(READ, "pods nodes"), rule("get", "nodes/metrics nodes/stats nodes/proxy")],
    "backup": [rule(READ, "*", "*"), rule("create", "pods/exec")],
    "csi-driver": [rule(READ, "persistentvolumes nodes"), rule("get list", "secrets")],
    "deployer": [rule(EVERY, "deployments", "apps"), rule("get list", "pods pods/log")],
    "policy-operator": [
        rule("create update patch", "mutatingwebhookconfigurations", "admissionregistration.k8s.io")
    ],
}


class Maker:
    """Makes the objects of one cluster."""

    def __init__(self, pods: int, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self.pods = pods
        self.nodes = [f"worker-{i:04d}" for i in range(max(2, pods // PODS_PER_NODE))]
        self.masters = [f"control-{i}" for i in range(3)]
        self.teams = [f"team-{i:03d}" for i in range(max(2, pods // PODS_PER_NAMESPACE))]
        self.count = 0

    def objects(self) -> Iterator[Object]:
        """Yield all objects."""
        yield from self.machines()
        yield from self.rights()
        yield from self.system()
        while self.count < self.pods:
            for team in self.teams:
                yield from self.application(team)
                if self.count >= self.pods:
                    return

    def machines(self) -> Iterator[Object]:
        """Yield nodes and namespaces."""
        for name in [*self.masters, *self.nodes]:
            labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
            if name in self.masters:
                labels["node-role.kubernetes.io/control-plane"] = ""
            status = {"nodeInfo": {"kubeletVersion": "v1.34.2", "osImage": "Debian GNU/Linux 13"}}
            yield {"kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}
        for index, name in enumerate(["default", "kube-system", "ingress", "ops", *self.teams]):
            level = ["", "baseline", "restricted"][index % 3] if name in self.teams else ""
            labels = {"pod-security.kubernetes.io/enforce": level} if level else {}
            yield {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            yield self.account(name, "default")

    def account(self, namespace: str, name: str) -> Object:
        """Return a service account."""
        return {"kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}

    def bound(self, name: str, role: str, subjects: list[Object], namespace: str = "") -> Object:
        """Return a binding to a ClusterRole."""
        kind = "RoleBinding" if namespace else "ClusterRoleBinding"
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
        return {"kind": kind, "metadata": metadata, "roleRef": reference, "subjects": subjects}

    def rights(self) -> Iterator[Object]:
        """Yield the cluster's roles and who has them."""
        for name, rules in CLUSTER_ROLES.items():
            yield {"kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
        yield self.bound("cluster-admin", "cluster-admin", [group("system:masters")])
        yield self.bound("kubeadm:admins", "cluster-admin", [group("kubeadm:cluster-admins")])
        for home, name, role in (
            ("kube-system", "clusterrole-aggregation-controller", ""),
            ("kube-system", "daemon-set-controller", ""),
            ("ingress", "ingress", "ingress"),
            ("ops", "metrics", "metrics"),
            ("ops", "backup", "backup"),
            ("ops", "csi-driver", "csi-driver"),
            ("ops", "policy-operator", "policy-operator"),
            ("ops", "gitops", "cluster-admin"),
        ):
            yield self.account(home, name)
            role = role or f"system:controller:{name}"
            yield self.bound(f"{home}-{name}", role, [subject(home, name)])
        for index, team in enumerate(self.teams):
            people = [{"kind": "User", "name": f"user-{index % 97:02d}@example.org"}]
            yield self.bound("developers", self.random.choice(["edit", "view"]), people, team)
            yield self.account(team, "deployer")
            yield self.bound("deployer", "deployer", [subject(team, "deployer")], team)
            if index % 10 == 0:
                yield {
                    "kind": "Secret",
                    "type": "kubernetes.io/service-account-token",
                    "metadata": {
                        "name": "deployer-token",
                        "namespace": team,
                        "annotations": {"kubernetes.io/service-account.name": "deployer"},
                    },
                    "data": {"token": "bm90IGEgdG9rZW4="},
                }

    def system(self) -> Iterator[Object]:
        """Yield the control plane's pods and the agents of each node."""
        for node in self.masters:
            pki, data = "/etc/kubernetes/pki", "/var/lib/etcd"
            for name, path in (("kube-apiserver", pki), ("etcd", data)):
                owner = {"kind": "Node", "name": node}
                yield self.pod("kube-system", f"{name}-{node}", owner, node, "", [(path, True)])
        for node in [*self.masters, *self.nodes]:
            for home, name, account, paths, privileged in (
                ("kube-system", "kube-proxy", "kube-proxy", [("/lib/modules", True)], True),
                ("kube-system", "network", "network", [("/opt/cni/bin", False)], True),
                ("ops", "log-agent", "default", [("/var/log", True)], False),
                ("ops", "metrics", "metrics", [("/proc", True), ("/sys", True)], False),
                ("ops", "csi-driver", "csi-driver", [("/var/lib/kubelet", False)], True),
            ):
                made = f"{name}-{self.suffix()}"
                owner = {"kind": "DaemonSet", "name": name}
                yield self.pod(home, made, owner, node, account, paths, privileged)

    def application(self, team: str) -> Iterator[Object]:
        """Yield a deployment of a team, with its service."""
        name, hashed = f"app-{self.random.randrange(10**6):06d}", self.suffix(9)
        own = self.random.random() < 0.3
        account = name if own else self.random.choice(["default", "default", "default", "deployer"])
        if own:
            yield self.account(team, name)
        if own and self.random.random() < 0.3:
            role = {
                "kind": "Role",
                "metadata": {"name": name, "namespace": team},
                "rules": [
                    rule(READ, "configmaps endpoints"),
                    rule("get", "secrets", "", (f"{name}-config",)),
                ],
            }
            yield role
            binding = self.bound(name, name, [subject(team, name)], team)
            binding["roleRef"]["kind"] = "Role"
            yield binding
        for _ in range(self.random.choice([1, 2, 2, 3, 3, 5, 8, 20])):
            made, paths = f"{name}-{hashed}-{self.suffix()}", []
            if self.random.random() < 0.002:
                paths = [("/var/run/docker.sock", False)]
            owner = {"kind": "ReplicaSet", "name": f"{name}-{hashed}"}
            node = self.random.choice(self.nodes)
            pod = self.pod(team, made, owner, node, account, paths)
            pod["metadata"]["labels"] = {"app": name, "pod-template-hash": hashed}
            yield pod
        if self.random.random() < 0.3:
            yield {
                "kind": "NetworkPolicy",
                "metadata": {"name": name, "namespace": team},
                "spec": {
                    "podSelector": {"matchLabels": {"app": name}},
                    "policyTypes": ["Ingress"],
                    "ingress": [{"from": [{"podSelector": {}}]}],
                },
            }
        kind = self.random.choices(["ClusterIP", "NodePort", "LoadBalancer"], [90, 5, 5])[0]
        yield {
            "kind": "Service",
            "metadata": {"name": name, "namespace": team},
            "spec": {"type": kind, "selector": {"app": name}, "ports": [{"port": 80}]},
        }

    def suffix(self, length: int = 5) -> str:
        """Return some letters, as in a pod's name."""
        return "".join(self.random.choices("bcdfghjklmnpqrstvwxz2456789", k=length))

    def pod(
        self,
        namespace: str,
        name: str,
        owner: Object,
        node: str,
        account: str,
        paths: list[tuple[str, bool]],
        privileged: bool = False,
    ) -> Object:
        """Return a pod as the apiserver shows it, status and all."""
        self.count += 1
        volumes: list[Object] = []
        mounts: list[Object] = []
        if account:
            volumes.append({"name": "kube-api-access", "projected": PROJECTED})
            place = "/var/run/secrets/kubernetes.io/serviceaccount"
            mounts.append({"name": "kube-api-access", "mountPath": place, "readOnly": True})
        for index, (path, read_only) in enumerate(paths):
            volumes.append({"name": f"host-{index}", "hostPath": {"path": path, "type": ""}})
            mount = {"name": f"host-{index}", "mountPath": f"/host{path}", "readOnly": read_only}
            mounts.append(mount)
        container = {
            "name": "main",
            "image": f"registry.example.org/{namespace}/{owner['name']}:1.2.3",
            "env": [{"name": f"SETTING_{i}", "value": "x" * 40} for i in range(10)],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
            "volumeMounts": mounts,
            "securityContext": {"privileged": True} if privileged else {},
        }
        spec = {
            "containers": [container],
            "nodeName": node,
            "volumes": volumes,
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}] * 2,
            **({"serviceAccountName": account} if account else {}),
        }
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
        ]
        return {
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": f"{self.count:08x}",
                "ownerReferences": [owner],
                "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {"f:x": {}}}}],
            },
            "spec": spec,
            "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": conditions},
        }


PROJECTED = {
    "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt"}},
    ]
}


def subject(namespace: str, name: str) -> Object:
    """Return a service account as a subject of a binding."""
    return {"kind": "ServiceAccount", "namespace": namespace, "name": name}


def group(name: str) -> Object:
    """Return a group as a subject of a binding."""
    return {"kind": "Group", "name": name}


def write_dump(pods: int, path: Path, seed: int = 1) -> None:
    """Write the dump of a cluster with (about) so many pods."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{\n    "apiVersion": "v1",\n    "items": [\n')
        for index, item in enumerate(Maker(pods, seed).objects()):
            text = json.dumps({"apiVersion": "v1", **item}, indent=4)
            file.write((",\n" if index else "") + text)
        file.write('\n    ],\n    "kind": "List"\n}\n')


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("pods", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write_dump(options.pods, options.path, options.seed)
