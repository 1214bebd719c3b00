"""Coming back to a clean lab without making it anew.

When a lab is up, each machine keeps its /etc as it was, and etcd what it holds. Coming back is
to put both in their place and to restart what was started or changed since; keys, addresses
and whatever still is as it was stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from docker.models.containers import Container

from labkit import agents
from labkit.cluster import Environment, Node
from labkit.lab import bootstrap
from labkit.lab.machine import FileSpec, execute, read_file, write_files

__all__ = ["keep", "restore"]

KEEP = "/var/lib/labkit"
KEYS, USERS = f"{KEEP}/etcd-keys.json", f"{KEEP}/etcd-users"


def keep(machines: Mapping[str, Container], env: Environment) -> None:
    """Keep what :func:`restore` comes back to.

    Parameters
    ----------
    machines : mapping of str to docker.models.containers.Container
        By name; all running.
    env : Environment
    """
    nodes = _machines(env)
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        argv = agents.argv("machine_state", "save")
        list(pool.map(lambda node: execute(machines[node.name], argv), nodes))
    _keys(machines, env, "keep")
    etcd = _first(machines, env, "etcd")
    write_files(etcd, [FileSpec(USERS, bootstrap.etcd_users(etcd).encode(), 0o600)])


def restore(machines: Mapping[str, Container], env: Environment) -> None:
    """Bring every machine back to what :func:`keep` kept, and wait until it serves.

    Parameters
    ----------
    machines : mapping of str to docker.models.containers.Container
    env : Environment
    """
    nodes = _machines(env)
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        list(pool.map(lambda node: _restore_node(machines[node.name], node), nodes))
    etcd = _first(machines, env, "etcd")
    bootstrap.wait_for_etcd(etcd)
    bootstrap.ensure_etcd_users(etcd, env, read_file(etcd, USERS).decode())
    _keys(machines, env, "restore")
    master = _first(machines, env, "master")
    bootstrap.wait_for_apiserver(master, env.bootstrap_kubeconfig)
    bootstrap.wait_for_workloads(master, env)


def _machines(env: Environment) -> list[Node]:
    return [node for node in env.nodes if node.role != "attacker"]


def _first(machines: Mapping[str, Container], env: Environment, role: str) -> Container:
    return machines[next(node.name for node in env.nodes if node.role == role)]


def _restore_node(machine: Container, node: Node) -> None:
    argv = agents.argv("machine_state", "restore", *bootstrap.units(node))
    execute(machine, argv, timeout=90)
    bootstrap.wait_for_units(machine, node)


def _keys(machines: Mapping[str, Container], env: Environment, action: str) -> None:
    argv = agents.argv("as_etcd_root", *agents.argv("etcd_keys", action, KEYS))
    execute(_first(machines, env, "etcd"), argv, timeout=60)
