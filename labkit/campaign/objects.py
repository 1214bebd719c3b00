"""The catalogue's rows of objects: permissions, pods and namespaces."""

from __future__ import annotations

import json
from collections.abc import Iterator

from labkit.campaign._base import Edits, Setting, manifest
from labkit.cluster import Environment
from labkit.cluster.edits import PLAN, Edit, Whole

__all__ = ["objects"]

RBAC = "rbac.authorization.k8s.io"
SUBJECTS: dict[str, dict[str, str]] = {
    "system:anonymous": {"kind": "User", "name": "system:anonymous"},
    "system:unauthenticated": {"kind": "Group", "name": "system:unauthenticated"},
    "system:authenticated": {"kind": "Group", "name": "system:authenticated"},
    "system:serviceaccounts": {"kind": "Group", "name": "system:serviceaccounts"},
    "system:serviceaccounts:shop": {"kind": "Group", "name": "system:serviceaccounts:shop"},
    "shop/default": {"kind": "ServiceAccount", "namespace": "shop", "name": "default"},
    "shop/reporter": {"kind": "ServiceAccount", "namespace": "shop", "name": "reporter"},
    "payments/default": {"kind": "ServiceAccount", "namespace": "payments", "name": "default"},
    "monitoring/agent": {"kind": "ServiceAccount", "namespace": "monitoring", "name": "agent"},
    "system:nodes": {"kind": "Group", "name": "system:nodes"},
    "system:kube-proxy": {"kind": "User", "name": "system:kube-proxy"},
    "system:kube-scheduler": {"kind": "User", "name": "system:kube-scheduler"},
}
#: Roles that every cluster has: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
ROLES = ("cluster-admin", "admin", "edit", "view", "system:kubelet-api-admin", "system:node")


def _rule(verbs: str, resources: str, group: str = "", names: str = "") -> dict[str, object]:
    rule: dict[str, object] = {
        "apiGroups": [group],
        "resources": resources.split(),
        "verbs": verbs.split(),
    }
    return rule | ({"resourceNames": names.split()} if names else {})


#: Rules that a role of the campaign may have, by what they allow.
RULES: dict[str, list[dict[str, object]]] = {
    "everything": [_rule("*", "*", "*")],
    "reads secrets": [_rule("get", "secrets")],
    "lists secrets": [_rule("list", "secrets")],
    "watches secrets": [_rule("watch", "secrets")],
    "reads one secret": [_rule("get", "secrets", names="db-credentials")],
    "lists one secret": [_rule("list", "secrets", names="db-credentials")],
    "reads a secret of no such name": [_rule("get", "secrets", names="absent")],
    "creates pods": [_rule("create", "pods")],
    "creates daemonsets": [_rule("create", "daemonsets", "apps")],
    "executes in pods by POST": [_rule("create", "pods/exec")],
    "executes in pods by GET": [_rule("get", "pods/exec")],
    "reads nodes/proxy": [_rule("get", "nodes/proxy")],
    "creates nodes/proxy": [_rule("create", "nodes/proxy")],
    "reads nodes/log": [_rule("get", "nodes/log")],
    "reads nodes/metrics": [_rule("get", "nodes/metrics")],
    "reads nodes/*": [_rule("get", "nodes/*")],
    "lists pods": [_rule("get list watch", "pods")],
    "writes nodes": [_rule("update patch", "nodes nodes/status")],
    "impersonates users": [_rule("impersonate", "users")],
    "impersonates users and groups": [_rule("impersonate", "users groups")],
    "impersonates system:masters alone": [_rule("impersonate", "groups", names="system:masters")],
    "impersonates service accounts": [_rule("impersonate", "serviceaccounts")],
    "requests tokens": [_rule("create", "serviceaccounts/token")],
    "escalates": [
        _rule("escalate", "clusterroles", RBAC),
        _rule("update patch", "clusterroles", RBAC),
    ],
    "binds": [
        _rule("bind", "clusterroles", RBAC),
        _rule("create", "clusterrolebindings", RBAC),
    ],
    "requests and approves certificates": [
        _rule("create get", "certificatesigningrequests", "certificates.k8s.io"),
        _rule("update patch", "certificatesigningrequests/approval", "certificates.k8s.io"),
        _rule("approve", "signers", "certificates.k8s.io"),
    ],
    "requests certificates": [
        _rule("create get", "certificatesigningrequests", "certificates.k8s.io")
    ],
    "uses every path": [{"nonResourceURLs": ["*"], "verbs": ["*"]}],
}


def objects() -> Iterator[Setting]:
    """Yield the settings of permissions, pods and namespaces.

    Yields
    ------
    Setting

    Examples
    --------
    >>> "cluster-admin" in {it.name: it for it in objects()}["system:anonymous may"].values
    True
    """
    for name in SUBJECTS:
        texts = {role: _bound(name, role) for role in ROLES}
        texts |= {what: _allowed(name, what) for what in RULES}
        texts |= {f"{it} in payments": _bound(name, it, "payments") for it in ("admin", "view")}
        for what in ("reads secrets", "creates pods", "executes in pods by POST"):
            texts[f"{what} in shop"] = _allowed(name, what, "shop")
        texts["reads secrets, by aggregation"] = _aggregated(name)
        yield manifest(f"{name} may", texts)
    yield from _namespaces()
    yield from _pods()


def _bound(subject: str, role: str, namespace: str = "") -> str:
    return json.dumps(_binding(subject, {"kind": "ClusterRole", "name": role}, namespace))


def _allowed(subject: str, what: str, namespace: str = "") -> str:
    word = _word(f"{subject} {what}")
    kind = "Role" if namespace else "ClusterRole"
    role = _object(kind, word, namespace) | {"rules": RULES[what]}
    return _documents(role, _binding(subject, {"kind": kind, "name": word}, namespace))


def _aggregated(subject: str) -> str:
    word = _word(f"{subject} aggregated")
    label = {f"labkit.test/{word}": "true"}
    whole = _object("ClusterRole", word) | {
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": label}]},
        "rules": [],
    }
    part = _object("ClusterRole", f"{word}-part") | {"rules": RULES["reads secrets"]}
    part["metadata"] = {"name": f"{word}-part", "labels": label}
    return _documents(whole, part, _binding(subject, {"kind": "ClusterRole", "name": word}))


def _binding(subject: str, role: dict[str, str], namespace: str = "") -> dict[str, object]:
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    who = SUBJECTS[subject]
    group = {} if who["kind"] == "ServiceAccount" else {"apiGroup": RBAC}
    return _object(kind, _word(f"{subject} {role['name']}"), namespace) | {
        "roleRef": {"apiGroup": RBAC, **role},
        "subjects": [{**group, **who}],
    }


def _object(kind: str, name: str, namespace: str = "") -> dict[str, object]:
    about = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": about}


def _word(text: str) -> str:
    """Return a text as the name of an object, and of a label."""
    letters = "".join(it if it.isalnum() else "-" for it in text.lower().replace("*", "all"))
    return f"campaign-{letters}"[:60].strip("-")


def _documents(*items: dict[str, object]) -> str:
    return "\n---\n".join(map(json.dumps, items)) + "\n"


def _namespaces() -> Iterator[Setting]:
    file = "manifests/workloads.yaml"
    for name in ("shop", "payments"):
        old = f"name: {name}\n  labels: {{pod-security.kubernetes.io/enforce: restricted}}"
        values: dict[str, Edits] = {
            word: _replaced(file, old, f"name: {name}{labels}")
            for word, labels in {
                "privileged": "\n  labels: {pod-security.kubernetes.io/enforce: privileged}",
                "baseline": "\n  labels: {pod-security.kubernetes.io/enforce: baseline}",
                "warn alone": "\n  labels: {pod-security.kubernetes.io/warn: restricted}",
                "absent": "",
            }.items()
        }
        yield Setting(f"Pod Security of namespace {name}", values)


def _replaced(path: str, *changes: str) -> Edits:
    """Return the edit of a manifest in which texts are replaced: old, new, old, new."""

    def edits(env: Environment) -> tuple[Edit, ...]:
        file = next(it for it in env.manifests if it.source.endswith(path))
        text = file.read_text()
        for old, new in zip(changes[::2], changes[1::2], strict=True):
            if old not in text:
                raise ValueError(f"{path} has no text {old!r}")
            text = text.replace(old, new)
        return (Whole(PLAN, path, text),)

    return edits


def _pods() -> Iterator[Setting]:
    account = "terminationGracePeriodSeconds: 0"
    yield Setting(
        "pod agent",
        {
            "without a token": _replaced(
                "manifests/agent.yaml", account, f"automountServiceAccountToken: false\n  {account}"
            ),
            "on the machine's network": _replaced(
                "manifests/agent.yaml", account, f"hostNetwork: true\n  {account}"
            ),
        },
    )
    for name, path in (("agent", "/var/log"), ("builder", "/run")):
        yield Setting(
            f"pod {name} mounts",
            {
                new: _replaced(f"manifests/{name}.yaml", f"path: {path},", f"path: {new},")
                for new in ("/", "/etc", "/etc/kubernetes", "/home")
            },
            ("insecure",),
        )
    yield Setting(
        "pod builder is root",
        {
            "yes": _replaced(
                "manifests/builder.yaml", "runAsNonRoot: true, runAsUser: 1000", "runAsUser: 0"
            )
        },
        ("insecure",),
    )
    specs: dict[str, dict[str, object]] = {
        "mounts /": {"path": "/"},
        "mounts containerd's socket": {"path": "/run/containerd"},
        "mounts the kubelet's folder": {"path": "/var/lib/kubelet"},
        "uses the machine's network": {"hostNetwork": True},
        "sees the machine's processes": {"hostPID": True},
        "is plain": {},
    }
    yield manifest(
        "pod extra",
        {
            name: _documents(
                {
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {
                        "name": "extra",
                        "labels": {"pod-security.kubernetes.io/enforce": "privileged"},
                    },
                },
                _pod(spec),
            )
            for name, spec in specs.items()
        },
    )


def _pod(spec: dict[str, object]) -> dict[str, object]:
    spec = dict(spec)
    path = spec.pop("path", None)
    container: dict[str, object] = {
        "name": "extra",
        "image": "labkit/workload:1",
        "imagePullPolicy": "Never",
        "command": ["sleep", "infinity"],
    }
    if path:
        container["volumeMounts"] = [{"name": "machine", "mountPath": "/extra"}]
        spec["volumes"] = [{"name": "machine", "hostPath": {"path": path, "type": "Directory"}}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "extra", "namespace": "extra"},
        "spec": {
            "nodeName": "worker1",
            "terminationGracePeriodSeconds": 0,
            **spec,
            "containers": [container],
        },
    }
