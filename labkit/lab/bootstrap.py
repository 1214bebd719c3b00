"""The steps that an operator takes once, by hand, after the machines have started.

They are: etcd's users and roles, flannel's network, the manifests and the workloads' secrets.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from docker.models.containers import Container

from labkit import agents
from labkit.cluster import Environment, Node
from labkit.cluster.syntax.disk import file_text
from labkit.errors import CommandFailed, StartTimeout
from labkit.lab.machine import Output, call, execute
from labkit.lab.secret_store import APPLY, as_list
from labkit.lab.wait import wait_until

__all__ = [
    "apply_manifests",
    "change_manifests",
    "clear_etcd_users",
    "etcd_users",
    "etcdctl",
    "make_etcd_users",
    "prepare_etcd",
    "renew_pods",
    "units",
    "wait_for_all_units",
    "wait_for_apiserver",
    "wait_for_etcd",
    "wait_for_units",
    "wait_for_workloads",
]

#: The order of creation: a namespace before its objects, a secret before the pods that mount
#: it, and a service account before its token, which Kubernetes deletes otherwise.
ORDER = {"Namespace": 0, "ServiceAccount": 1, "Secret": 2}
FLANNEL_NETWORK, FLANNEL_KEY = "flannel-network.json", "/coreos.com/network/config"
KUBELET = "kubelet.service"
#: One request for the states of several units, one line each.
STATES = ("systemctl", "show", "--property=ActiveState", "--value")
#: The kubelet may refuse this request, but it must answer.
ANSWERS = ("curl", "-sko", "/dev/null", "https://localhost:10250/healthz")
#: Seconds in which an active program listens, on an idle machine.
LISTENS_S = 10.0
#: Seconds in which kubectl writes or removes all of an environment's objects: 2 on an idle machine.
APPLY_S = 180.0
DELETE = ("delete", "--ignore-not-found", "--wait=true", "--timeout=30s")
RELEASE = '--patch={"metadata":{"finalizers":null}}'


def etcdctl(etcd: Container, *arguments: str, timeout: float = 30) -> Output:
    """Run etcdctl on an etcd machine as etcd's root user.

    Parameters
    ----------
    etcd : docker.models.containers.Container
        The machine.
    *arguments : str
        The arguments of etcdctl.
    timeout : float
        Seconds.

    Returns
    -------
    Output

    Raises
    ------
    CommandFailed
        etcdctl failed, or ran longer than `timeout`.
    LabError
        The machine takes no commands.
    """
    return execute(etcd, agents.argv("as_etcd_root", "etcdctl", *arguments), timeout=timeout)


def wait_for_etcd(etcd: Container) -> None:
    """Wait until every member of etcd reports that it is healthy.

    Parameters
    ----------
    etcd : docker.models.containers.Container
        The machine of one member.

    Raises
    ------
    StartTimeout
        A member is not healthy within a minute.
    """
    unit = "etcd.service"
    # etcdctl takes a tenth of a second of CPU time, and systemd knows when etcd has started
    wait_until(etcd, ["systemctl", "is-active", unit], unit=unit, what="etcd", deadline=60)
    ask = agents.argv("as_etcd_root", "etcdctl", "endpoint", "health", "--command-timeout=3s")
    wait_until(etcd, ask, unit=unit, what="etcd", deadline=60)


def prepare_etcd(etcd: Container, env: Environment) -> None:
    """Wait for etcd, store flannel's network in it, and create etcd's users.

    Parameters
    ----------
    etcd : docker.models.containers.Container
        The machine of one member.
    env : Environment
        The environment of the lab.

    Raises
    ------
    StartTimeout
        A member is not healthy within a minute.
    LabError
        etcd refuses, or the machine takes no commands.
    """
    wait_for_etcd(etcd)
    network = next(
        file for layer in reversed(env.layers) if (file := layer / FLANNEL_NETWORK).exists()
    )
    text = file_text(network, network.name)
    etcdctl(etcd, "put", FLANNEL_KEY, text.strip())
    _make_users(etcd, env)


def make_etcd_users(etcd: Container, env: Environment) -> None:
    """Delete etcd's users and roles, then create those of the environment.

    Parameters
    ----------
    etcd : docker.models.containers.Container
        The machine of one member.
    env : Environment
        The environment of the lab.

    Raises
    ------
    LabError
        etcd refuses, or the machine takes no commands.
    """
    clear_etcd_users(etcd)
    _make_users(etcd, env)


def clear_etcd_users(etcd: Container) -> None:
    """Disable authentication in etcd, and delete all its users and roles.

    Parameters
    ----------
    etcd : docker.models.containers.Container
        The machine of one member.

    Raises
    ------
    LabError
        etcd refuses, or the machine takes no commands.
    """
    _users(etcd, "clear")


def etcd_users(etcd: Container) -> dict[str, str]:
    """Return whether etcd's authentication is enabled, its users, its roles and their grants.

    Parameters
    ----------
    etcd : docker.models.containers.Container
        The machine of one member.

    Returns
    -------
    dict of str to str
        ``authentication`` is enabled or disabled; ``user NAME`` has roles, ``role NAME`` grants.

    Raises
    ------
    LabError
        etcd refuses, or the machine takes no commands.
    """
    found: dict[str, str] = json.loads(_users(etcd, "show"))
    return found


def _make_users(etcd: Container, env: Environment) -> None:
    if env.etcd_users:
        roles = {name: [asdict(grant) for grant in env.etcd_roles[name]] for name in env.etcd_roles}
        wanted = {"users": env.etcd_users, "roles": roles}
        _users(etcd, "make", json.dumps(wanted))


def _users(etcd: Container, action: str, wanted: str = "") -> str:
    return call(etcd, "etcd_users", action, wanted, timeout=60)


def wait_for_apiserver(master: Container, kubeconfig: str) -> None:
    """Wait until ``/readyz`` of the apiserver answers that it is ready.

    Parameters
    ----------
    master : docker.models.containers.Container
        The machine of the apiserver.
    kubeconfig : str
        The path on that machine of the kubeconfig for the request.

    Raises
    ------
    StartTimeout
        The unit is not active within 90 seconds, or not ready a minute later.
    """
    unit = "kube-apiserver.service"
    wait_until(master, ["systemctl", "is-active", unit], unit=unit, what="apiserver", deadline=90)
    ask = agents.argv("apiserver_ready", kubeconfig)
    wait_until(master, ask, unit=unit, what="apiserver", deadline=60)


def apply_manifests(master: Container, env: Environment) -> None:
    """Apply the environment's manifests and the workloads' secrets.

    Parameters
    ----------
    master : docker.models.containers.Container
        The machine that kubectl runs on.
    env : Environment
        The environment of the lab.

    Raises
    ------
    CommandFailed
        kubectl failed.
    StartTimeout
        A namespace did not get its default objects within a minute.
    """
    documents = _documents(env)
    documents += [_secret(s.namespace, s.name, s.keys) for s in env.secrets]
    documents.sort(key=lambda d: ORDER.get(d["kind"], len(ORDER)))
    pods = [d for d in documents if d["kind"] == "Pod"]
    _apply(master, env, [d for d in documents if d["kind"] != "Pod"])
    _apply_pods(master, env, pods)


def _apply_pods(master: Container, env: Environment, pods: Sequence[Any]) -> None:
    # A pod that is created before the default objects of its namespace waits long for them.
    unit = "kube-controller-manager.service"
    namespaces = sorted({pod["metadata"]["namespace"] for pod in pods})
    ask = agents.argv("default_objects", env.bootstrap_kubeconfig, *namespaces)
    wait_until(master, ask, unit=unit, what="the default objects of namespaces", deadline=60)
    _apply(master, env, pods)


def change_manifests(master: Container, old: Environment, new: Environment) -> None:
    """Apply new and changed objects of the manifests, and delete the objects that are gone.

    Pods are immutable, and keep the token of their service account. So a pod is deleted and
    created again if it changed, or if a service account of its namespace changed.

    Parameters
    ----------
    master : docker.models.containers.Container
        The machine that kubectl runs on.
    old, new : Environment
        The environments before and after the change.

    Raises
    ------
    CommandFailed
        kubectl failed.
    StartTimeout
        A pod is not Ready within a minute.
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
        _kubectl(master, new, unwanted, *DELETE)
    if others := [document for document in changed if document["kind"] != "Pod"]:
        _apply(master, new, others)
    if pods:
        _apply_pods(master, new, pods)
        wait_for_workloads(master, new)


def renew_pods(master: Container, env: Environment, names: Sequence[str]) -> None:
    """Create pods of the manifests again, and delete them first, also if a finalizer holds them.

    Parameters
    ----------
    master : docker.models.containers.Container
        The machine that kubectl runs on.
    env : Environment
        The environment of the lab.
    names : sequence of str
        Namespaces and names, such as "shop/web".

    Raises
    ------
    CommandFailed
        kubectl failed.
    """
    pods = [
        d for d in _documents(env) if d["kind"] == "Pod" and "/".join(_identity(d)[1:]) in names
    ]
    if pods:
        with contextlib.suppress(CommandFailed):  # one of them is gone
            _kubectl(master, env, pods, "patch", "--type=merge", RELEASE)
        _kubectl(master, env, pods, *DELETE)
        _apply_pods(master, env, pods)


def _documents(env: Environment) -> list[Any]:
    return [item.value for item in env.objects]


def _identity(document: Any) -> tuple[str, str, str]:
    about = document["metadata"]
    return document["kind"], about.get("namespace", ""), about["name"]


def _apply(master: Container, env: Environment, documents: Sequence[object]) -> None:
    _kubectl(master, env, documents, *APPLY)


def _kubectl(
    master: Container, env: Environment, documents: Sequence[object], *arguments: str
) -> None:
    kubeconfig = f"--kubeconfig={env.bootstrap_kubeconfig}"
    argv = ["kubectl", kubeconfig, *arguments, "--filename=-"]
    execute(master, argv, stdin=as_list(documents), timeout=APPLY_S)


def wait_for_units(machine: Container, node: Node) -> None:
    """Wait until every unit of a machine is active, and its kubelet answers.

    Parameters
    ----------
    machine : docker.models.containers.Container
        The machine.
    node : Node
        The machine in the environment, which names its units.

    Raises
    ------
    StartTimeout
        A unit is not active within 30 seconds.
    """
    states = execute(machine, [*STATES, *units(node)]).text.split()
    for unit in units(node) if set(states) != {"active"} else ():
        ask = ["systemctl", "--quiet", "is-active", unit]
        wait_until(machine, ask, unit=unit, what=f"{unit} on {node.name}", deadline=30)
    if KUBELET in units(node):
        # systemd reports the kubelet as active before the kubelet listens
        what = f"the port of {KUBELET} on {node.name}"
        wait_until(machine, ANSWERS, unit=KUBELET, what=what, deadline=30)


def wait_for_all_units(machines: Mapping[str, Container], env: Environment) -> None:
    """Wait until every unit of every machine is active, and listens.

    systemd reports a program as active before it listens, and the fingerprint of a new lab has
    its listeners. The model names them. A port that does not open within 10 seconds stops nothing:
    whether the model is right about it is what ``labkit verify`` is for.

    Parameters
    ----------
    machines : mapping of str to docker.models.containers.Container
        The machines by name.
    env : Environment
        The environment of the lab.

    Raises
    ------
    StartTimeout
        A unit is not active within 30 seconds.
    """
    from labkit.model.listeners import find_listeners

    nodes = [node for node in env.nodes if node.role != "attacker"]
    ports: dict[str, set[int]] = {node.name: set() for node in nodes}
    for it in find_listeners(env):
        if it.open and it.port and it.node in ports:
            ports[it.node].add(it.port)

    def wait(node: Node) -> None:
        machine = machines[node.name]
        wait_for_units(machine, node)
        question = agents.argv("listens", *map(str, sorted(ports[node.name])))
        with contextlib.suppress(StartTimeout):
            wait_until(machine, question, what=f"the ports of {node.name}", deadline=LISTENS_S)

    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        list(pool.map(wait, nodes))


def units(node: Node) -> list[str]:
    """Return the names of the systemd units that the environment gives a machine.

    Parameters
    ----------
    node : Node
        The machine.

    Returns
    -------
    list of str
        Sorted.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> "etcd.service" in units(read_environment("hardened").node("etcd1"))
    True
    """
    folder = "/etc/systemd/system"
    return sorted(
        posixpath.basename(path) for path in node.files if posixpath.dirname(path) == folder
    )


def wait_for_workloads(master: Container, env: Environment, deadline: float = 60) -> None:
    """Wait until workers and pods of the manifests are Ready, and services lead to their pods.

    Parameters
    ----------
    master : docker.models.containers.Container
        The machine that kubectl runs on.
    env : Environment
        The environment of the lab.
    deadline : float
        Seconds on an idle machine.

    Raises
    ------
    StartTimeout
        They are not Ready in time.
    """
    workers = [f"Node/{node.name}" for node in env.nodes if node.role == "worker"]
    pods = [f"Pod/{d['metadata']['name']}" for d in _documents(env) if d["kind"] == "Pod"]
    ask = agents.argv("objects_ready", env.bootstrap_kubeconfig, *workers, *pods)
    wait_until(master, ask, what="the workloads", deadline=deadline)


def _secret(namespace: str, name: str, keys: Sequence[str]) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name},
        "stringData": {key: secrets.token_hex(12) for key in keys},
    }
