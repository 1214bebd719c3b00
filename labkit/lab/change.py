"""Change the configuration of a running lab in place.

Changed files are written, and the units that read them are restarted: a unit reads its own
file and every file that its command line or its configuration names. Keys and addresses stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from docker.models.containers import Container

from labkit import agents
from labkit.cluster import Environment, Node
from labkit.lab import bootstrap
from labkit.lab.files import PEM, PLACEHOLDER, links_of, new_value, with_pem
from labkit.lab.machine import FileSpec, execute, send_files
from labkit.lab.secret_store import SecretStore
from labkit.lab.wait import stretch_of

__all__ = ["change"]

UNITS = "/etc/systemd/system/"
RANDOM_VALUE = re.compile(rb"[A-Za-z0-9+/]{43}=")
APISERVER = "kube-apiserver.service"
#: The apiserver's clients, restarted after it: they retry ever more slowly while it is down, and
#: a kubelet caches for minutes what the apiserver allowed (cacheAuthorizedTTL).
CALLERS = (
    "kube-controller-manager.service",
    "kube-scheduler.service",
    "kubelet.service",
    "kube-proxy.service",
)


@dataclass(frozen=True)
class _Step:
    """The work on one machine; false if it is empty."""

    written: tuple[str, ...]
    gone: tuple[str, ...]
    removed: tuple[str, ...]
    restarted: tuple[str, ...]
    rules: tuple[str, ...]
    accounts: tuple[str, ...]
    systemd: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.written or self.gone)


def change(machines: Mapping[str, Container], old: Environment, new: Environment) -> None:
    """Change the machines of a lab from one environment to another, and wait until they serve.

    Parameters
    ----------
    machines : mapping of str to docker.models.containers.Container
        The running machines by name.
    old, new : Environment
        The environments before and after; both have the same nodes and the same keys.

    Raises
    ------
    StartTimeout
        A component did not become ready again.
    CommandFailed
        A command on a machine failed.
    """
    steps = {node.name: _step(old.node(node.name), node) for node in new.nodes}
    etcd = next(machines[node.name] for node in new.nodes if node.role == "etcd")
    master = next(machines[node.name] for node in new.nodes if node.role == "master")
    _move_peers(etcd, old, new)
    if old.etcd_auth and old.etcd_auth != new.etcd_auth:
        # now, while etcd's administrator still has valid credentials
        bootstrap.clear_etcd_users(etcd)
    moved = SecretStore(etcd, master, old) if _encryption(old, new) else None
    if moved:
        moved.take_out()
    try:
        _bring(machines, old, new, steps)
    finally:
        if moved:
            # after a failure too: the file is the only copy of the secrets
            moved.put_back()
    if any(APISERVER in step.restarted for step in steps.values()):
        with ThreadPoolExecutor(max_workers=len(machines)) as pool:
            list(pool.map(lambda node: _restart_callers(machines[node.name], node), new.nodes))
    bootstrap.change_manifests(master, old, new)


def _bring(
    machines: Mapping[str, Container],
    old: Environment,
    new: Environment,
    steps: Mapping[str, _Step],
) -> None:
    """Write changed files, restart their readers, and wait for etcd and the apiserver."""
    etcd = next(machines[node.name] for node in new.nodes if node.role == "etcd")
    master = next(machines[node.name] for node in new.nodes if node.role == "master")
    todo = [node for node in new.nodes if steps[node.name]]
    with ThreadPoolExecutor(max_workers=max(1, len(todo))) as pool:
        list(pool.map(lambda node: _carry_out(machines[node.name], node, steps[node.name]), todo))
    roles = {node.role for node in todo}
    if "etcd" in roles or old.etcd_auth != new.etcd_auth:
        bootstrap.wait_for_etcd(etcd)
    if new.etcd_auth and old.etcd_auth != new.etcd_auth:
        bootstrap.make_etcd_users(etcd, new)
    if roles & {"etcd", "master"}:
        bootstrap.wait_for_apiserver(master, new.bootstrap_kubeconfig)


def _encryption(old: Environment, new: Environment) -> bool:
    """Say whether the two environments encrypt secrets in different ways."""
    before, after = (
        {name: item.providers for name, item in env.encryption.items()} for env in (old, new)
    )
    return before != after


def _restart_callers(machine: Container, node: Node) -> None:
    if callers := [unit for unit in bootstrap.units(node) if unit in CALLERS]:
        timeout = 60 * stretch_of(machine)
        execute(machine, ["systemctl", "restart", *callers], timeout=timeout)
        bootstrap.wait_for_units(machine, node)


def _step(old: Node, new: Node) -> _Step:
    """Compare the files of a machine before and after."""
    written = {
        path
        for path, file in new.files.items()
        if path not in old.files or old.files[path].read_bytes() != file.read_bytes()
    }
    gone = set(old.files) - set(new.files)
    touched = written | gone
    restarted = {unit for unit in bootstrap.units(new) if _reads(new, f"{UNITS}{unit}") & touched}
    if "docker.socket" in restarted:
        restarted.add("docker.service")  # it keeps the old socket open until it restarts
    return _Step(
        written=tuple(sorted(written)),
        gone=tuple(sorted(gone)),
        removed=tuple(sorted(set(bootstrap.units(old)) - set(bootstrap.units(new)))),
        restarted=tuple(sorted(restarted)),
        # writing a file resets the mode that a tmpfiles.d rule gave it
        rules=_under("/etc/tmpfiles.d/", new.files) if written else (),
        accounts=_under("/etc/sysusers.d/", written),
        systemd=_under("/etc/systemd/", touched),
    )


def _under(folder: str, paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(path for path in paths if path.startswith(folder)))


def _reads(node: Node, path: str) -> set[str]:
    """Return the path of a unit's file, and of every file that it names, directly or not."""
    found, rest = {path}, [path]
    while rest:
        text = node.files[rest.pop()].read_bytes().decode(errors="replace")
        named = {other for other in node.files if other in text} - found
        found |= named
        rest += sorted(named)
    # A deleted file is not looked for: a unit that named it has changed as well.
    return found


def _carry_out(machine: Container, node: Node, step: _Step) -> None:
    specs: list[FileSpec] = []
    for path in step.written:
        data = node.files[path].read_bytes()
        specs += [FileSpec(path, _filled(machine, path, data)), *links_of(path, data)]
    send_files(machine, specs)
    argv = [
        *(step.removed, step.restarted, step.gone),
        *(step.rules, step.accounts, step.systemd),
    ]
    timeout = 90 * stretch_of(machine)
    execute(machine, agents.argv("apply_files", *map(" ".join, argv)), timeout=timeout)
    _leave_groups(machine, node)
    bootstrap.wait_for_units(machine, node)


def _filled(machine: Container, path: str, data: bytes) -> bytes:
    """Replace the placeholders: keys by the machine's, random values by its present ones if any."""
    if PEM.search(data):
        data = with_pem(data, lambda key: execute(machine, ["cat", key]).stdout)
    if not PLACEHOLDER.search(data):
        return data
    found = execute(machine, ["cat", path], check=False)
    known = RANDOM_VALUE.findall(found.stdout)
    return PLACEHOLDER.sub(lambda _: known.pop(0) if known else new_value(), data)


def _leave_groups(machine: Container, node: Node) -> None:
    """Remove users from the groups that sysusers.d no longer lists them in."""
    wanted = {(group.name, group.member) for group in node.groups}
    people = {account.name for account in node.accounts}
    for line in execute(machine, ["cat", "/etc/group"]).text.splitlines():
        name, _, _, members = line.split(":")
        for member in set(members.split(",")) & people:
            if (name, member) not in wanted:
                execute(machine, ["gpasswd", "--delete", member, name])


def _move_peers(etcd: Container, old: Environment, new: Environment) -> None:
    """Update the peer URLs in etcd's member list, before the members listen there."""
    urls = dict(_peer_urls(new))
    if urls == dict(_peer_urls(old)):
        return
    listed = bootstrap.etcdctl(etcd, "member", "list").text
    for line in listed.splitlines():
        identity, _, name, *_ = (part.strip() for part in line.split(","))
        bootstrap.etcdctl(etcd, "member", "update", identity, f"--peer-urls={urls[name]}")


def _peer_urls(env: Environment) -> Iterable[tuple[str, str]]:
    for component in env.components:
        if component.kind == "etcd":
            url = component.setting("initial-advertise-peer-urls").value
            yield component.node, url.replace("%H", component.node)
