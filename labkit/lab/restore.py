"""Coming back to a clean lab without making it anew.

When a lab is up, each machine keeps its /etc as it was, and etcd what it holds. Coming back is
to put both in their place and to restart what was started or changed since; keys, addresses
and whatever still is as it was stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docker.models.containers import Container

from labkit.cluster import Environment, Node
from labkit.lab import bootstrap
from labkit.lab.machine import FileSpec, execute, read_file, write_files

__all__ = ["keep", "restore"]

KEEP = "/var/lib/labkit"
KEYS, USERS = f"{KEEP}/etcd-keys.json", f"{KEEP}/etcd-users"
SOCKETS = "/run/docker.sock /run/containerd/containerd.sock"

#: Docker mounts the excluded three from outside, and flanneld's unit writes the fourth.
SAVE = f"""
set -e; umask 077; mkdir -p {KEEP}
tar -C / -cf {KEEP}/etc.tar --exclude=etc/hosts --exclude=etc/hostname \\
  --exclude=etc/resolv.conf --exclude=etc/cni etc
for socket in {SOCKETS}; do
  [ ! -S "$socket" ] || stat -c '%a %U:%G %n' "$socket"
done >{KEEP}/sockets
cut -d. -f1 /proc/uptime >{KEEP}/since
"""

#: What the environment has no file for is taken away, drop-ins above all. A unit that is as it
#: was when the files were kept is left running. A file that was changed and changed back is no
#: other file: only when it was written differs.
RESTORE = f"""
set -e
since=$(cat {KEEP}/since)
touched() {{
  [ -n "$(find /etc /run/systemd/system -xdev -cnewer {KEEP}/etc.tar -not -path '/etc/cni*' \\
    -not -path /etc -not -path /run/systemd/system -print -quit)" ]
}}
differs() {{
  [ -z "$(find /run/systemd/system -mindepth 1 -print -quit)" ] || return 0
  tar -C / --compare -f {KEEP}/etc.tar 2>&1 | grep -qv 'Mod time differs$' && return 0
  tar -tf {KEEP}/etc.tar | sed 's,/$,,' | sort >/run/labkit-kept
  (cd / && find etc -xdev -path etc/cni -prune -o -print) | sort | comm -13 /run/labkit-kept - |
    grep -qvx -e etc/hosts -e etc/hostname -e etc/resolv.conf
}}
if touched && differs; then
  rm -rf /etc/systemd/system /etc/kubernetes /etc/etcd /etc/flannel /etc/containerd /etc/docker
  find /run/systemd/system -mindepth 1 -delete
  tar -C / -xpf {KEEP}/etc.tar
  systemctl daemon-reload
  systemd-tmpfiles --create /etc/tmpfiles.d/*.conf
  since=0
fi
touch {KEEP}/etc.tar
systemctl reset-failed
stale=
for unit in "$@"; do
  entered=$(systemctl show --property=ActiveEnterTimestampMonotonic --value "$unit")
  if ! systemctl --quiet is-active "$unit" || [ "$entered" -gt "${{since}}000000" ]; then
    stale="$stale $unit"
  fi
done
[ -z "$stale" ] || systemctl restart $stale
while read -r mode owner socket; do
  chown "$owner" "$socket"; chmod "$mode" "$socket"
done <{KEEP}/sockets
cut -d. -f1 /proc/uptime >{KEEP}/since
if [ -S /run/docker.sock ]; then
  ids=$(docker --host=unix:///run/docker.sock ps --all --quiet)
  [ -z "$ids" ] || docker --host=unix:///run/docker.sock rm --force $ids
fi
"""


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
        list(pool.map(lambda node: execute(machines[node.name], ["sh", "-c", SAVE]), nodes))
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
    argv = ["sh", "-c", RESTORE, "restore", *bootstrap.units(node)]
    execute(machine, argv, timeout=90)
    bootstrap.wait_for_units(machine, node)


def _keys(machines: Mapping[str, Container], env: Environment, action: str) -> None:
    program = Path(__file__).with_name("_keys.py").read_text()
    argv = ["python3", "-c", program, action, KEYS]
    execute(_first(machines, env, "etcd"), argv, timeout=60)
