"""What an operator does once, by hand, when the machines are up.

That is: etcd's users and roles, flannel's network, the manifests and the workloads' secrets.
"""

from __future__ import annotations

import json
import posixpath
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import yaml
from docker.models.containers import Container

from labkit import agents
from labkit.cluster import Environment, Node
from labkit.lab.machine import Output, execute
from labkit.lab.secret_store import APPLY, as_list
from labkit.lab.wait import wait_until

__all__ = [
    "apply_manifests",
    "change_manifests",
    "clear_etcd_users",
    "ensure_etcd_users",
    "etcd_users",
    "etcdctl",
    "make_etcd_users",
    "prepare_etcd",
    "units",
    "wait_for_all_units",
    "wait_for_apiserver",
    "wait_for_etcd",
    "wait_for_units",
    "wait_for_workloads",
]

#: Namespaces before what is in them, secrets before the pods that mount them; and a token whose
#: service account is not there yet is deleted at once.
ORDER = {"Namespace": 0, "ServiceAccount": 1, "Secret": 2}
FLANNEL_NETWORK, FLANNEL_KEY = "flannel-network.json", "/coreos.com/network/config"
KUBELET = "kubelet.service"
#: What curl asks may be refused, but it has to be answered.
ANSWERS = ("curl", "-sko", "/dev/null", "https://localhost:10250/healthz")


def etcdctl(etcd: Container, *arguments: str, timeout: float = 30) -> Output:
    """Run etcdctl on an etcd machine as its root user.

    Parameters
    ----------
    etcd : docker.models.containers.Container
    *arguments : str
    timeout : float
        Seconds.

    Returns
    -------
    Output
    """
    return execute(etcd, agents.argv("as_etcd_root", "etcdctl", *arguments), timeout=timeout)


def wait_for_etcd(etcd: Container) -> None:
    """Wait until every member of etcd says that it is healthy.

    Parameters
    ----------
    etcd : docker.models.containers.Container
        One member's machine.
    """
    ask = agents.argv("as_etcd_root", "etcdctl", "endpoint", "health", "--command-timeout=3s")
    wait_until(etcd, ask, unit="etcd.service", what="etcd", deadline=60)


def prepare_etcd(etcd: Container, env: Environment) -> None:
    """Wait for etcd, write flannel's network into it and make its users.

    Parameters
    ----------
    etcd : docker.models.containers.Container
        One member's machine.
    env : Environment
    """
    wait_for_etcd(etcd)
    network = next(
        file for layer in reversed(env.layers) if (file := layer / FLANNEL_NETWORK).exists()
    )
    etcdctl(etcd, "put", FLANNEL_KEY, network.read_text().strip())
    _make_users(etcd, env)


def ensure_etcd_users(etcd: Container, env: Environment, kept: str) -> None:
    """See to it that etcd's users, roles and grants are those of the environment.

    Parameters
    ----------
    etcd : docker.models.containers.Container
        One member's machine.
    env : Environment
    kept : str
        What :func:`etcd_users` returned when they were.
    """
    if etcd_users(etcd) != kept:
        make_etcd_users(etcd, env)


def make_etcd_users(etcd: Container, env: Environment) -> None:
    """Make etcd's users and roles anew, as the environment has them.

    Parameters
    ----------
    etcd : docker.models.containers.Container
        One member's machine.
    env : Environment
    """
    clear_etcd_users(etcd)
    _make_users(etcd, env)


def clear_etcd_users(etcd: Container) -> None:
    """Take away all users and roles of etcd, which then asks nobody who calls.

    Parameters
    ----------
    etcd : docker.models.containers.Container
        One member's machine.
    """
    _users(etcd, "clear")


def etcd_users(etcd: Container) -> str:
    """Return in a few lines whether etcd asks who calls, whom it knows and who may do what.

    Parameters
    ----------
    etcd : docker.models.containers.Container
        One member's machine.

    Returns
    -------
    str
    """
    return _users(etcd, "show")


def _make_users(etcd: Container, env: Environment) -> None:
    if env.etcd_users:
        roles = {name: [asdict(grant) for grant in env.etcd_roles[name]] for name in env.etcd_roles}
        wanted = {"users": env.etcd_users, "roles": roles}
        _users(etcd, "make", json.dumps(wanted).encode())


def _users(etcd: Container, action: str, stdin: bytes | None = None) -> str:
    argv = agents.argv("as_etcd_root", *agents.argv("etcd_users", action))
    return execute(etcd, argv, stdin=stdin, timeout=60).text


def wait_for_apiserver(master: Container, kubeconfig: str) -> None:
    """Wait until the apiserver says of itself that it is ready.

    Parameters
    ----------
    master : docker.models.containers.Container
    kubeconfig : str
        The path of the one to ask with.
    """
    unit = "kube-apiserver.service"
    wait_until(master, ["systemctl", "is-active", unit], unit=unit, what="apiserver", deadline=90)
    ask = ["kubectl", f"--kubeconfig={kubeconfig}", "get", "--raw=/readyz"]
    wait_until(master, ask, unit=unit, what="apiserver", deadline=60)


def apply_manifests(master: Container, env: Environment) -> None:
    """Apply the environment's manifests and the workloads' secrets.

    Parameters
    ----------
    master : docker.models.containers.Container
    env : Environment
    """
    documents = _documents(env)
    documents += [_secret(s.namespace, s.name, s.keys) for s in env.secrets]
    documents.sort(key=lambda d: ORDER.get(d["kind"], len(ORDER)))
    pods = [d for d in documents if d["kind"] == "Pod"]
    _apply(master, env, [d for d in documents if d["kind"] != "Pod"])
    _apply_pods(master, env, pods)


def _apply_pods(master: Container, env: Environment, pods: Sequence[Any]) -> None:
    # A pod that comes before what the controllers put into its namespace waits long for it.
    unit = "kube-controller-manager.service"
    for namespace in sorted({pod["metadata"]["namespace"] for pod in pods}):
        ask = ["kubectl", f"--kubeconfig={env.bootstrap_kubeconfig}", f"--namespace={namespace}"]
        ask += ["get", "serviceaccount/default", "configmap/kube-root-ca.crt"]
        wait_until(master, ask, unit=unit, what=f"the defaults of {namespace}", deadline=60)
    _apply(master, env, pods)


def change_manifests(master: Container, old: Environment, new: Environment) -> None:
    """Apply what is new or different in an environment's manifests, and delete what is gone.

    A pod cannot be changed, and keeps the token of its service account: it is made anew.

    Parameters
    ----------
    master : docker.models.containers.Container
    old, new : Environment
    """
    before = {_identity(document): document for document in _documents(old)}
    after = {_identity(document): document for document in _documents(new)}
    gone = [before[key] for key in before if key not in after]
    changed = [after[key] for key in after if after[key] != before.get(key)]
    spaces = {_identity(d)[1] for d in [*gone, *changed] if d["kind"] == "ServiceAccount"}
    pods = [
        document
        for (kind, namespace, _), document in after.items()
        if kind == "Pod" and (document in changed or namespace in spaces)
    ]
    if unwanted := gone + [pod for pod in pods if _identity(pod) in before]:
        options = ("--ignore-not-found", "--wait=true", "--timeout=30s")
        _kubectl(master, new, unwanted, "delete", *options)
    if others := [document for document in changed if document["kind"] != "Pod"]:
        _apply(master, new, others)
    if pods:
        _apply_pods(master, new, pods)
        wait_for_workloads(master, new)


def _documents(env: Environment) -> list[Any]:
    return [d for path in env.manifests for d in yaml.safe_load_all(path.read_text()) if d]


def _identity(document: Any) -> tuple[str, str, str]:
    about = document["metadata"]
    return document["kind"], about.get("namespace", ""), about["name"]


def _apply(master: Container, env: Environment, documents: Sequence[object]) -> None:
    _kubectl(master, env, documents, *APPLY)


def _kubectl(
    master: Container, env: Environment, documents: Sequence[object], *arguments: str
) -> None:
    kubeconfig = f"--kubeconfig={env.bootstrap_kubeconfig}"
    argv = agents.argv("kubectl_with_manifests", kubeconfig, *arguments)
    execute(master, argv, stdin=as_list(documents), timeout=60)


def wait_for_units(machine: Container, node: Node) -> None:
    """Wait until every unit of a machine's role is active, and its kubelet answers.

    Parameters
    ----------
    machine : docker.models.containers.Container
    node : Node
    """
    for unit in units(node):
        ask = ["systemctl", "--quiet", "is-active", unit]
        wait_until(machine, ask, unit=unit, what=f"{unit} on {node.name}", deadline=30)
    if KUBELET in units(node):
        # systemd takes it for active before it listens
        what = f"the port of {KUBELET} on {node.name}"
        wait_until(machine, ANSWERS, unit=KUBELET, what=what, deadline=30)


def wait_for_all_units(machines: Mapping[str, Container], env: Environment) -> None:
    """Wait until every unit of every machine is active.

    Parameters
    ----------
    machines : mapping of str to docker.models.containers.Container
        By name.
    env : Environment
    """
    nodes = [node for node in env.nodes if node.role != "attacker"]
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        list(pool.map(lambda node: wait_for_units(machines[node.name], node), nodes))


def units(node: Node) -> list[str]:
    """Return the names of the systemd units that the environment gives a machine."""
    folder = "/etc/systemd/system"
    return sorted(
        posixpath.basename(path) for path in node.files if posixpath.dirname(path) == folder
    )


def wait_for_workloads(master: Container, env: Environment) -> None:
    """Wait until every worker is Ready and every pod of the manifests is there and Ready.

    Parameters
    ----------
    master : docker.models.containers.Container
    env : Environment
    """
    workers = [f"Node/{node.name}" for node in env.nodes if node.role == "worker"]
    pods = [f"Pod/{d['metadata']['name']}" for d in _documents(env) if d["kind"] == "Pod"]
    ask = agents.argv("objects_ready", env.bootstrap_kubeconfig, *workers, *pods)
    wait_until(master, ask, what="the workload", deadline=60)


def _secret(namespace: str, name: str, keys: Sequence[str]) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name},
        "stringData": {key: secrets.token_hex(12) for key in keys},
    }
