"""Restore a clean lab without creating it again.

When a lab comes up, each machine saves a copy of its /etc, and one saves etcd's content. To
restore the lab, both are put back, and units that were started or changed since then are
restarted. Pods that were changed, have ended or do not become ready are created again. Keys,
addresses and everything unchanged stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from docker.models.containers import Container

from labkit import agents
from labkit.agents._services import ENDED, has_condition, name_of
from labkit.cluster import Environment, Node
from labkit.errors import StartTimeout
from labkit.lab import bootstrap
from labkit.lab.fingerprint import Fingerprint, kept_fingerprint, set_by_people
from labkit.lab.machine import call, execute
from labkit.lab.wait import stretch_of

__all__ = ["keep", "restore", "restore_machine", "restore_pods"]

KEEP = "/var/lib/labkit"
KEYS, ROUTES = f"{KEEP}/etcd-keys.json", f"{KEEP}/routes"
CONTROLLERS = "kube-controller-manager.service"
#: Seconds in which pods become ready that only wait for their machine, on an idle machine.
SETTLED_S = 20.0
#: Objects that a controller writes again, also by server-side apply, if it has read them a moment
#: before they are deleted.
MADE_AGAIN = ("/registry/clusterroles/", "/registry/configmaps/", "/registry/serviceaccounts/")


def keep(machines: Mapping[str, Container], env: Environment) -> None:
    """Save the state that :func:`restore` puts back.

    Parameters
    ----------
    machines : mapping of str to docker.models.containers.Container
        The running machines by name.
    env : Environment
        The environment of the lab.

    Raises
    ------
    CommandFailed
        A command on a machine failed.
    """
    nodes = _machines(env)
    first = next(node for node in nodes if node.role == "etcd")

    def keep_node(node: Node) -> None:
        call(machines[node.name], "machine_state", timeout=60)
        _routes(machines, [node], "keep")
        if node is first:
            _keys(machines, env, "keep")

    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        list(pool.map(keep_node, nodes))


def restore(machines: Mapping[str, Container], env: Environment) -> None:
    """Put back the state that :func:`keep` saved, and wait until every machine serves.

    Parameters
    ----------
    machines : mapping of str to docker.models.containers.Container
        The running machines by name.
    env : Environment
        The environment of the lab.

    Raises
    ------
    CommandFailed
        A command on a machine failed.
    StartTimeout
        A component did not become ready again.
    """
    nodes = _machines(env)
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        list(pool.map(lambda node: restore_machine(machines[node.name], node), nodes))
    etcd, master = _first(machines, env, "etcd"), _first(machines, env, "master")
    kept = kept_fingerprint(master)
    bootstrap.wait_for_etcd(etcd)
    with ThreadPoolExecutor(max_workers=1) as aside:
        ready = aside.submit(bootstrap.wait_for_apiserver, master, env.bootstrap_kubeconfig)
        _users(etcd, env, kept)
        _restore_keys(machines, env)
        _routes(machines, nodes, "restore")  # after the leases that flanneld learns routes from
        ready.result()
    restore_pods(master, env, kept)


def restore_pods(master: Container, env: Environment, kept: Fingerprint) -> None:
    """Wait for the workloads, and create those pods again that do not come back by themselves.

    They are the pods of the manifests that somebody changed, that are being deleted, that have
    ended (an ended pod is never started again: Kubernetes, "Pod Lifecycle"), or that are gone or
    not ready in time on a machine that is: a pod whose container failed often waits minutes for
    its next start.

    Parameters
    ----------
    master : docker.models.containers.Container
        The machine that kubectl runs on.
    env : Environment
        The environment of the lab.
    kept : dict
        The fingerprint that the lab had when it came up.

    Raises
    ------
    CommandFailed
        A command on the master failed.
    StartTimeout
        A worker or a pod is not ready in time.
    """
    as_kept = kept["objects"]["Pod"]
    with ThreadPoolExecutor(max_workers=1) as aside:
        waited = aside.submit(bootstrap.wait_for_workloads, master, env, SETTLED_S)
        pods = _listed(master, env, "pods")
        again = [name for name in as_kept if name in pods and _is_over(pods[name], as_kept[name])]
        bootstrap.renew_pods(master, env, again)
        try:
            waited.result()
            late = False
        except StartTimeout:
            bootstrap.renew_pods(master, env, _late(master, env, as_kept))
            late = True
    if again or late:
        bootstrap.wait_for_workloads(master, env)


def _late(master: Container, env: Environment, names: Iterable[str]) -> list[str]:
    """Return those pods that are gone, or not ready on a node that is.

    No kubelet deletes the pods of the others.
    """
    nodes, pods = (_listed(master, env, kind) for kind in ("nodes", "pods"))
    waiting = {it["metadata"]["name"] for it in nodes.values() if not has_condition(it, "Ready")}
    ready = {name for name, pod in pods.items() if has_condition(pod, "Ready")}
    stuck = {name for name, pod in pods.items() if pod["spec"].get("nodeName") in waiting}
    return [name for name in names if name not in ready | stuck]


def _listed(master: Container, env: Environment, kind: str) -> dict[str, Any]:
    """Return the objects of a kind by namespace and name."""
    argv = agents.argv("objects", env.bootstrap_kubeconfig, kind)
    return {name_of(it): it for it in json.loads(execute(master, argv, timeout=60).stdout)}


def _is_over(pod: Any, as_kept: str) -> bool:
    """Say whether a pod has ended or soon will, or is not as it once was."""
    ends = pod["status"].get("phase") in ENDED or "deletionTimestamp" in pod["metadata"]
    return ends or set_by_people(pod) != as_kept


def restore_machine(machine: Container, node: Node) -> None:
    """Put back the files of one machine as :func:`keep` saved them, and wait until its units run.

    Parameters
    ----------
    machine : docker.models.containers.Container
        The running machine.
    node : Node
        The machine in the environment of the lab.

    Raises
    ------
    CommandFailed
        A command on the machine failed.
    StartTimeout
        A unit did not become ready again.
    """
    argv = agents.argv("machine_state", *bootstrap.units(node))
    restarted = execute(machine, argv, timeout=90 * stretch_of(machine)).text.split()
    if restarted:
        bootstrap.wait_for_units(machine, node)


def _users(etcd: Container, env: Environment, kept: Fingerprint) -> None:
    """Create etcd's users again if they are not those that the lab came up with."""
    if bootstrap.etcd_users(etcd) != kept["etcd"]["users"]:
        bootstrap.make_etcd_users(etcd, env)


def _machines(env: Environment) -> list[Node]:
    return [node for node in env.nodes if node.role != "attacker"]


def _first(machines: Mapping[str, Container], env: Environment, role: str) -> Container:
    return machines[next(node.name for node in env.nodes if node.role == role)]


def _routes(machines: Mapping[str, Container], nodes: list[Node], action: str) -> None:
    workers = [machines[node.name] for node in nodes if node.role == "worker"]
    with ThreadPoolExecutor(max_workers=max(1, len(workers))) as pool:
        list(pool.map(lambda it: execute(it, agents.argv("routes", action, ROUTES)), workers))


def _restore_keys(machines: Mapping[str, Container], env: Environment) -> None:
    """Put etcd's keys back, so that no controller writes again what was deleted."""
    deleted: list[str] = json.loads(_keys(machines, env, "restore"))
    if any(key.startswith(MADE_AGAIN) for key in deleted):
        master = _first(machines, env, "master")
        execute(master, ["systemctl", "stop", CONTROLLERS])
        _keys(machines, env, "restore")
        execute(master, ["systemctl", "start", CONTROLLERS])


def _keys(machines: Mapping[str, Container], env: Environment, action: str) -> str:
    return call(_first(machines, env, "etcd"), "etcd_keys", action, KEYS, timeout=60)
