"""Escapes from a pod to its node, by what its containers may use of the host.

A pod counts as one place: an attacker inside it has the most powerful of its containers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labkit.cluster.objects.facts import Container, PodGroup

__all__ = ["Escape", "escapes", "touches"]

#: What an escape gives: all of the node, the kubelet's identity, what its pods hold, or etcd.
ROOT, KUBELET, TOKENS, ETCD, PKI = "root", "kubelet", "tokens", "etcd", "pki"


@dataclass(frozen=True, slots=True)
class Escape:
    """One way out of a pod.

    Attributes
    ----------
    name : str
    gives : str
        "root", "kubelet" (its identity), "tokens" (of the pods of the node), "etcd" (its data)
        or "pki" (the control plane's keys and kubeconfigs).
    why : str
    cost : float
    """

    name: str
    gives: str
    why: str
    cost: float


#: Paths through which a writer becomes root on the node: root reads, runs or mounts them.
WRITABLE = (
    "/bin",
    "/etc/cni/net.d",
    "/etc/cron.d",
    "/etc/cron.daily",
    "/etc/kubernetes/manifests",
    "/etc/ld.so.preload",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/ssh",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/systemd/system",
    "/lib",
    "/opt/cni/bin",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/root/.bashrc",
    "/root/.ssh",
    "/sbin",
    "/sys/kernel/uevent_helper",
    "/usr/bin",
    "/usr/lib",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/sbin",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/kubelet/plugins",
    "/var/spool/cron",
)
#: Sockets of container runtimes: a read-only mount does not keep anybody from connecting.
SOCKETS = (
    "/run/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
    "/run/crio/crio.sock",
    "/run/docker.sock",
    "/run/dockershim.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/podman/podman.sock",
)
#: What can be read where, and what it gives.
READABLE = (
    ("/var/lib/kubelet/pki", KUBELET),
    ("/etc/kubernetes/kubelet.conf", KUBELET),
    ("/var/lib/kubelet/pods", TOKENS),
    ("/etc/kubernetes/pki", PKI),
    ("/etc/kubernetes/admin.conf", PKI),
    ("/etc/kubernetes/super-admin.conf", PKI),
    ("/etc/kubernetes/controller-manager.conf", PKI),
    ("/var/lib/etcd", ETCD),
)
#: A certificate or a public key gives nothing away.
PUBLIC = (".crt", ".pub")


def touches(mounted: str, place: str) -> bool:
    """Say whether a mounted path contains another path, or a part of it.

    Examples
    --------
    >>> touches("/etc", "/etc/shadow"), touches("/etc/systemd/system/a.d", "/etc/systemd/system")
    (True, True)
    >>> touches("/etc/ssl", "/etc/shadow"), touches("/", "/run/docker.sock")
    (False, True)
    """
    if mounted == "/" or mounted == place:
        return True
    return place.startswith(f"{mounted}/") or mounted.startswith(f"{place}/")


def escapes(group: PodGroup) -> tuple[Escape, ...]:
    """Return the cheapest escape from a pod to each thing that an escape gives.

    A pod with its own user namespace has none: its root is an ordinary user of the node.

    Examples
    --------
    >>> from labkit.cluster.objects.facts import HostPath, PodSpec
    >>> path = HostPath("/run/docker.sock", read_only=True)
    >>> spec = PodSpec(containers=(Container("agent", host_paths=(path,)),))
    >>> [found] = escapes(PodGroup("ops", "agent", "default", spec, ("worker1",), ("agent-1",)))
    >>> found.name, found.gives
    ('runtime-socket', 'root')
    """
    best: dict[str, Escape] = {}
    for container in group.spec.containers:
        for found in _ways(group, container):
            known = best.get(found.gives)
            if known is None or found.cost < known.cost:
                best[found.gives] = found
    root = best.get(ROOT)
    # an escape to less than root is listed only if it costs less than root
    return tuple(e for e in best.values() if e is root or root is None or e.cost < root.cost)


def _ways(group: PodGroup, it: Container) -> Iterator[Escape]:
    who = f"container {it.name}"
    if it.host_process:
        yield Escape("host-process", ROOT, f"{who}: hostProcess", 1.0)
    if not group.spec.host_users:
        return
    if it.privileged:
        # an ordinary user in a privileged container needs a setuid program of its image
        yield Escape("privileged-container", ROOT, f"{who}: privileged", 1.0 if it.root else 3.0)
    if not it.root:
        return
    every = "ALL" in it.capabilities
    if every or "SYS_MODULE" in it.capabilities:
        yield Escape("load-kernel-module", ROOT, f"{who}: SYS_MODULE", 2.0)
    if every or "DAC_READ_SEARCH" in it.capabilities:
        yield Escape("open-by-handle", ROOT, f"{who}: DAC_READ_SEARCH", 2.0)
    if every or "SYS_ADMIN" in it.capabilities:
        yield Escape("mount-from-container", ROOT, f"{who}: SYS_ADMIN", 2.0)
    if group.spec.host_pid and (every or {"SYS_PTRACE", "SYS_ADMIN"} & set(it.capabilities)):
        yield Escape("host-process-injection", ROOT, f"{who}: hostPID and SYS_PTRACE", 1.5)
    for mounted in it.host_paths:
        why = f"{who}: hostPath {mounted.path}"
        if any(touches(mounted.path, place) for place in SOCKETS):
            yield Escape("runtime-socket", ROOT, why, 1.0)
        if not mounted.read_only and any(touches(mounted.path, place) for place in WRITABLE):
            yield Escape("write-host-path", ROOT, why, 1.5)
        for place, gives in READABLE:
            if touches(mounted.path, place) and not mounted.path.endswith(PUBLIC):
                name = "read-host-path"
                yield Escape(name, gives, f"{why}{', read-only' * mounted.read_only}", 1.0)
