"""Escapes from a pod to its node, by what its containers may use of the host.

A pod counts as one place: an attacker inside it has the most powerful of its containers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePosixPath

from labkit.analysis.attack_graph.from_objects.builder import doubts
from labkit.cluster.objects.etcd_data import DATA
from labkit.cluster.objects.facts import Container, HostPath, PodGroup, PodSpec

__all__ = ["Escape", "escapes", "reads_folder", "touches", "within", "writes_logs"]

#: What an escape gives: all of the node, the kubelet's identity, what its pods hold, etcd, the keys
#: of the control plane, a person's kubeconfig, or what a person of the node may do.
ROOT, KUBELET, TOKENS, ETCD, PKI = "root", "kubelet", "tokens", "etcd", "pki"
CONFIG, PERSON = "config", "person"
#: What has to be found out where a pod asks for a user namespace, and the cluster may ignore it.
IGNORED = "whether the node has user namespaces: Kubernetes before 1.33 ignores hostUsers"
HOST_PROCESS = "host-process"
OF_THE_SAME_USER = "whether another container of the node runs as the same user"
#: How an ordinary user gets the capabilities that were added to the container.
BY_A_PROGRAM = "whether a program of its image is setuid, or has these capabilities"
OF_OTHERS = "whether another container of the node has no more capabilities than this one"


@dataclass(frozen=True, slots=True)
class Escape:
    """One way out of a pod.

    Attributes
    ----------
    name : str
    gives : str
        "root", "kubelet" (its identity), "tokens" (of the pods of the node), "etcd" (its data),
        "pki" (the control plane's keys and kubeconfigs), "config" (a person's kubeconfig) or
        "person" (what somebody who logs in may do).
    why : str
    cost : float
    unknown : str
        What has to be found out, for an escape that may not exist.
    of_distribution : bool
        The path is one of a distribution, whose control plane may run on any node.
    """

    name: str
    gives: str
    why: str
    cost: float
    unknown: str = ""
    of_distribution: bool = False


#: Paths through which a writer becomes root on the node: root reads, runs or mounts them.
WRITABLE = (
    "/bin",
    "/boot",
    "/etc/NetworkManager/dispatcher.d",
    "/etc/anacrontab",
    "/etc/apt/apt.conf.d",
    "/etc/bash.bashrc",
    "/etc/cloud",
    "/etc/cni/net.d",
    "/etc/containerd",
    "/etc/cron.d",
    "/etc/cron.daily",
    "/etc/cron.hourly",
    "/etc/cron.monthly",
    "/etc/cron.weekly",
    "/etc/crontab",
    "/etc/default",
    "/etc/docker",
    "/etc/group",
    "/etc/init.d",
    "/etc/kubernetes/manifests",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/logrotate.d",
    "/etc/modprobe.d",
    "/etc/pam.d",
    "/etc/passwd",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/rancher",
    "/etc/rc.local",
    "/etc/shadow",
    "/etc/ssh",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/sysconfig",
    "/etc/systemd/system",
    "/etc/systemd/system-generators",
    "/etc/udev/rules.d",
    "/etc/update-motd.d",
    "/lib",
    "/lib64",
    "/opt/bin",
    "/opt/cni/bin",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/root/.bashrc",
    "/root/.profile",
    "/root/.ssh",
    "/run/systemd/generator",
    "/run/systemd/system",
    "/run/systemd/transient",
    "/run/udev/rules.d",
    "/sbin",
    "/sys/kernel/uevent_helper",
    "/usr/bin",
    "/usr/lib",
    "/usr/libexec",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/sbin",
    "/var/lib/cloud/scripts",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/kubeadm-flags.env",
    "/var/lib/kubelet/plugins",
    "/var/spool/cron",
)
#: Of distributions: they count for a mount of these folders, and not for one of a folder above.
WRITABLE_OF_DISTRIBUTIONS = (
    "/var/lib/k0s/bin",
    "/var/lib/k0s/manifests",
    "/var/lib/rancher/k3s/agent",
    "/var/lib/rancher/k3s/data",
    "/var/lib/rancher/rke2/agent",
    "/var/lib/rancher/rke2/bin",
    "/var/lib/rancher/rke2/data",
    "/var/snap/microk8s",
)
#: Paths through which a writer may become root, each with what has to be found out.
MAYBE_WRITABLE = {
    # https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/: a
    # plugin answers with mounts and devices for the containers that ask for its resource
    "/var/lib/kubelet/device-plugins": "whether a pod asks for a resource of this plugin",
    "/var/lib/kubelet/plugins_registry": "whether a pod asks for what this plugin gives",
    # cgroups(7), release_agent; Linux 5.17 asks for CAP_SYS_ADMIN
    "/sys/fs/cgroup": "whether the node has cgroups of version 1, and an older kernel",
}
#: Sockets of container runtimes: a read-only mount does not keep anybody from connecting.
SOCKETS = (
    "/run/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
    "/run/crio/crio.sock",
    "/run/docker.sock",
    "/run/dockershim.sock",
    "/run/k0s/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    # of plugins, which add mounts to every container: on by default since containerd 2.0
    "/run/nri/nri.sock",
    "/run/podman/podman.sock",
)
#: Those of systemd, which starts units for root of the node, and looks who calls.
SOCKETS_OF_ROOT = ("/run/dbus/system_bus_socket", "/run/systemd/private")
#: Where a mount has no mapping of users, so that a pod with a user namespace does not start.
UNMAPPED = ("/proc", "/sys")
#: As the folders of distributions above.
SOCKETS_OF_DISTRIBUTIONS = (
    # Talos' machined, which asks nobody on its socket
    "/system/run/machined/machine.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
)
#: The sockets that a group of the node may open; the others are root's.
SOCKETS_OF_A_GROUP = (
    "/run/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
    "/run/crio/crio.sock",
    "/run/docker.sock",
    "/run/k0s/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
)
#: Where nobody has etcd keep its data.
OF_THE_SYSTEM = ("/dev", "/etc", "/lib", "/proc", "/run", "/sys", "/usr", "/var/log")
#: What can be read where, and what it gives.
READABLE = (
    ("/var/lib/kubelet/pki", KUBELET),
    ("/etc/kubernetes/kubelet.conf", KUBELET),
    ("/var/lib/kubelet/kubeconfig", KUBELET),
    ("/var/lib/kubelet/pods", TOKENS),
    ("/etc/kubernetes/pki", PKI),
    ("/etc/kubernetes/admin.conf", PKI),
    ("/etc/kubernetes/super-admin.conf", PKI),
    ("/etc/kubernetes/controller-manager.conf", PKI),
    (DATA, ETCD),
)
#: The same of distributions. Those of k3s, RKE2, k0s, MicroK8s, kubespray, minikube, kops,
#: OpenShift (3 and 4) and Talos.
READABLE_OF_DISTRIBUTIONS = (
    ("/var/lib/rancher/k3s/agent", KUBELET),
    ("/var/lib/rancher/rke2/agent", KUBELET),
    ("/var/lib/k0s/kubelet", KUBELET),
    ("/var/snap/microk8s/current/credentials", PKI),
    ("/var/snap/microk8s/current/certs", PKI),
    ("/var/snap/microk8s/current/var/kubernetes/backend", PKI),
    ("/etc/rancher/k3s", PKI),
    ("/etc/rancher/rke2", PKI),
    ("/var/lib/rancher/k3s/server", PKI),
    ("/var/lib/rancher/rke2/server", PKI),
    ("/var/lib/k0s/pki", PKI),
    ("/var/lib/k0s/etcd", PKI),
    ("/etc/kubernetes/ssl", PKI),
    ("/etc/ssl/etcd", PKI),
    ("/etc/etcd", PKI),
    ("/var/lib/minikube/certs", PKI),
    ("/srv/kubernetes", PKI),
    ("/etc/kubernetes/static-pod-resources", PKI),
    ("/etc/origin", PKI),
    ("/system/secrets", PKI),
    ("/system/state", PKI),
)
#: Files of a node that may hold what opens its cloud or its cluster, each with what has to be found
#: out: https://cloud-provider-azure.sigs.k8s.io/install/configs/ and cloud-init's user data.
MAYBE_READABLE = {
    "/etc/kubernetes/azure.json": "what the cloud's identity in azure.json may do",
    "/etc/kubernetes/cloud-config": "what the cloud's identity in cloud-config may do",
    "/etc/kubernetes/cloud.conf": "what the cloud's identity in cloud.conf may do",
    "/var/lib/cloud/instance": "whether the user data of the machine holds a token or a key",
    "/var/lib/cloud/instances": "whether the user data of the machine holds a token or a key",
}
#: A path of a Windows node, by its drive or as that of a named pipe, in its normal form.
WINDOWS = re.compile(r"/(?:[A-Za-z]:|\\\\)")
#: Where people keep what they log in with, and their kubeconfigs.
HOMES = ("/home", "/root")
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


def within(mounted: str, place: str) -> bool:
    """Say whether a mounted path is in the folder of a distribution, and touches a place in it.

    A folder above it, such as ``/var``, does not say that the distribution runs there.

    Examples
    --------
    >>> within("/var/lib/rancher", "/var/lib/rancher/k3s/server")
    True
    >>> within("/var/lib", "/var/lib/rancher/k3s/server")
    False
    """
    if not touches(mounted, place):
        return False
    roots = (it for it in DISTRIBUTIONS if place.startswith(it))
    return any(mounted == root or mounted.startswith(f"{root}/") for root in roots)


#: The folders that only a distribution makes.
DISTRIBUTIONS = (
    "/etc/etcd",
    "/etc/kubernetes/ssl",
    "/etc/rancher",
    "/etc/ssl/etcd",
    "/etc/kubernetes/static-pod-resources",
    "/etc/origin",
    "/srv/kubernetes",
    "/system",
    "/var/lib/k0s",
    "/var/lib/minikube",
    "/var/lib/rancher",
    "/var/snap/microk8s",
)


def escapes(group: PodGroup) -> tuple[Escape, ...]:
    """Return the cheapest escape from a pod to each thing that an escape gives.

    Root of a pod with a user namespace of its own is an ordinary user of the node, whose
    capabilities count in the pod alone. In the volumes of the pod it is root still: the
    kubelet has them mounted with the mapping of the pod, so that files of the node's root are
    those of the pod's root.

    References
    ----------
    https://kubernetes.io/docs/concepts/workloads/pods/user-namespaces/ and its KEP-127, "Handling
    of volumes"; mount_setattr(2), "ID-mapped mounts".

    Examples
    --------
    >>> from labkit.cluster.objects.facts import HostPath, PodSpec
    >>> path = HostPath("/run/docker.sock", read_only=True)
    >>> spec = PodSpec(containers=(Container("agent", host_paths=(path,)),))
    >>> [found] = escapes(PodGroup("ops", "agent", "default", spec, ("worker1",), ("agent-1",)))
    >>> found.name, found.gives
    ('runtime-socket', 'root')
    """
    return _escapes(group.spec) if group.spec.containers else ()


@lru_cache(maxsize=4096)
def _escapes(spec: PodSpec) -> tuple[Escape, ...]:
    best: dict[tuple[str, bool], Escape] = {}
    for container in spec.containers:
        for found in _ways(spec, container):
            key = (found.gives, bool(found.unknown))
            known = best.get(key)
            if known is None or found.cost < known.cost:
                best[key] = found
    root = best.get((ROOT, False))
    if root is None:
        return tuple(best.values())
    # an escape to less than root is listed only if it is known, and costs less than root
    return tuple(e for e in best.values() if e is root or (e.cost < root.cost and not e.unknown))


def _ways(spec: PodSpec, it: Container) -> Iterator[Escape]:
    who = f"container {it.name}"
    if it.host_process:
        yield Escape(HOST_PROCESS, ROOT, f"{who}: hostProcess", 1.0)
    shared = spec.host_users
    yield from _of_the_node(_by_power(spec, it, who), shared)
    if not it.root:
        yield from _by_group(it)
        return
    for mounted in it.host_paths:
        by = f"{mounted.by}: " if mounted.by else ""
        why = f"{who}: {by}hostPath {mounted.path}".rstrip()
        yield from _of_the_node(_by_peer(mounted.path, why), shared)
        ways = _by_path(mounted, why)
        # the kernel maps no user in these file systems
        unmapped = mounted.path.startswith(UNMAPPED)
        yield from _of_the_node(ways, shared) if unmapped else ways


def _of_the_node(ways: Iterator[Escape], shared: bool | None) -> Iterator[Escape]:
    """Yield the ways of one who is root of the node, not of a user namespace alone."""
    if shared is not False:
        for found in ways:
            yield found if shared else replace(found, unknown=doubts(found.unknown, IGNORED))


def _by_power(spec: PodSpec, it: Container, who: str) -> Iterator[Escape]:
    """Yield the escapes by capabilities, and by the processes of the node.

    A runtime gives added capabilities to the bounding set of an ordinary user, and no ambient ones:
    only a program that is setuid, or whose file has capabilities, gets them (capabilities(7)), and
    none where ``allowPrivilegeEscalation`` is false (no_new_privs).
    """
    if it.privileged:
        # an ordinary user in a privileged container needs a setuid program of its image
        yield Escape("privileged-container", ROOT, f"{who}: privileged", 1.0 if it.root else 3.0)
    if it.root:
        yield from _by_capabilities(spec, it, who)
    elif not it.no_new_privileges:
        for found in _by_capabilities(spec, it, who):
            unknown = doubts(found.unknown, BY_A_PROGRAM)
            yield replace(found, cost=found.cost + 1.0, unknown=unknown)
    if spec.host_pid:
        # /proc/PID/root leads into the other containers of the same user (proc(5); ptrace(2),
        # access mode PTRACE_MODE_READ_FSCREDS)
        unknown = OF_OTHERS if it.root else OF_THE_SAME_USER
        yield Escape("read-host-processes", TOKENS, f"{who}: hostPID", 2.0, unknown)


def _by_capabilities(spec: PodSpec, it: Container, who: str) -> Iterator[Escape]:
    every = "ALL" in it.capabilities
    if every or "SYS_MODULE" in it.capabilities:
        yield Escape("load-kernel-module", ROOT, f"{who}: SYS_MODULE", 2.0)
    if every or "DAC_READ_SEARCH" in it.capabilities:
        yield Escape("open-by-handle", ROOT, f"{who}: DAC_READ_SEARCH", 2.0)
    if every or "SYS_ADMIN" in it.capabilities:
        yield Escape("mount-from-container", ROOT, f"{who}: SYS_ADMIN", 2.0)
    if spec.host_pid and (every or {"SYS_PTRACE", "SYS_ADMIN"} & set(it.capabilities)):
        yield Escape("host-process-injection", ROOT, f"{who}: hostPID and SYS_PTRACE", 1.5)
    if "SYS_RAWIO" in it.capabilities:
        unknown = "whether the node's disk or memory can be reached by I/O ports"
        yield Escape("raw-io", ROOT, f"{who}: SYS_RAWIO", 3.0, unknown)
    if {"BPF", "PERFMON"} <= set(it.capabilities):
        unknown = "whether eBPF programs of the container may see the node's kernel"
        yield Escape("load-ebpf", ROOT, f"{who}: BPF and PERFMON", 3.0, unknown)


def _by_peer(path: str, why: str) -> Iterator[Escape]:
    """Yield the escape by a socket whose server asks who calls, and obeys the node's root."""
    if path and _any(path, SOCKETS_OF_ROOT, ()):
        yield Escape("runtime-socket", ROOT, why, 1.0)


def _by_path(mounted: HostPath, why: str) -> Iterator[Escape]:
    """Yield the escapes of a container that is root by way of one path of the node."""
    path = mounted.path
    if mounted.unknown:
        name = "read-host-path" if mounted.read_only else "write-host-path"
        yield Escape(name, ROOT, why, 2.0, mounted.unknown)
    if not path:
        return
    if WINDOWS.match(path):
        # https://kubernetes.io/docs/concepts/storage/volumes/#hostpath: pipes of a runtime as well
        unknown = f"what the user of the container may do with {path[1:]} of a Windows node"
        yield Escape("write-host-path", ROOT, why, 2.0, unknown)
        return
    if path == "/proc":
        # the processes of the node are there, as with hostPID
        yield Escape("read-host-processes", TOKENS, why, 2.0, OF_OTHERS)
    if _any(path, SOCKETS, SOCKETS_OF_DISTRIBUTIONS):
        yield Escape("runtime-socket", ROOT, why, 1.0)
    if not mounted.read_only and _any(path, WRITABLE, WRITABLE_OF_DISTRIBUTIONS):
        yield Escape("write-host-path", ROOT, why, 1.5)
    if not mounted.read_only:
        for place, unknown in MAYBE_WRITABLE.items():
            if touches(path, place) and path != "/":
                yield Escape("write-host-path", ROOT, why, 2.5, unknown)
    if path.endswith(PUBLIC):
        return
    name, how = "read-host-path", f"{why}{', read-only' * mounted.read_only}"
    for gives, of_distribution in _readable(path):
        yield Escape(name, gives, how, 1.0, of_distribution=of_distribution)
    for place, unknown in MAYBE_READABLE.items():
        if path != "/" and touches(path, place):
            yield Escape(name, CONFIG, how, 2.0, unknown)
    if any(path == home or path.startswith(f"{home}/") for home in HOMES):
        unknown = "whether a kubeconfig, a key or a password of somebody is there"
        gives = CONFIG if mounted.read_only else PERSON
        yield Escape(name, gives, how, 2.0, unknown)


# The pods of a cluster mount few different paths.
@lru_cache(maxsize=4096)
def _readable(path: str) -> tuple[tuple[str, bool], ...]:
    """Return what a path gives its readers, each with whether only distributions have it."""
    usual = [(gives, False) for place, gives in READABLE if touches(path, place)]
    others = [gives for place, gives in READABLE_OF_DISTRIBUTIONS if within(path, place)]
    return (*usual, *((gives, gives == PKI) for gives in others))


@lru_cache(maxsize=4096)
def _any(path: str, places: tuple[str, ...], of_distributions: tuple[str, ...]) -> bool:
    return any(touches(path, it) for it in places) or any(
        within(path, it) for it in of_distributions
    )


def _by_group(it: Container) -> Iterator[Escape]:
    """Yield the escapes of a container that is not root: a group may open a runtime's socket."""
    for mounted in it.host_paths if it.groups else ():
        if not mounted.path:
            continue
        sockets = [place for place in SOCKETS_OF_A_GROUP if touches(mounted.path, place)]
        if sockets:
            why = f"container {it.name}: hostPath {mounted.path}"
            groups = ", ".join(map(str, it.groups))
            unknown = f"whether a group of the container ({groups}) may open the runtime's socket"
            yield Escape("runtime-socket", ROOT, why, 1.5, unknown)


def reads_folder(group: PodGroup, folder: str) -> str:
    """Return why root of a pod reads a folder of its node, or perhaps does; "" if it does not.

    Parameters
    ----------
    group : PodGroup
    folder : str
        Empty for one of which nobody knows where it is: then every path may lead to it but those
        of the system.

    Examples
    --------
    >>> from labkit.cluster.objects.facts import PodSpec
    >>> spec = PodSpec(containers=(Container("agent", host_paths=(HostPath("/srv", True),)),))
    >>> group = PodGroup("ops", "agent", "default", spec, ("worker1",), ("agent-1",))
    >>> reads_folder(group, "/srv/etcd"), reads_folder(group, "/data"), reads_folder(group, "")
    ('container agent: hostPath /srv', '', 'container agent: hostPath /srv')
    """
    for it in group.spec.containers:
        for mounted in it.host_paths if it.root else ():
            path = mounted.path
            if path and (touches(path, folder) if folder else not _of_the_system(path)):
                return f"container {it.name}: hostPath {path}"
    return ""


def _of_the_system(path: str) -> bool:
    return any(PurePosixPath(path).is_relative_to(folder) for folder in OF_THE_SYSTEM)


def writes_logs(group: PodGroup) -> bool:
    """Say whether a pod puts links into ``/var/log`` of its node, where the kubelet follows them.

    Examples
    --------
    >>> from labkit.cluster.objects.facts import PodSpec
    >>> path = HostPath("/var/log/app", read_only=False)
    >>> spec = PodSpec(containers=(Container("agent", host_paths=(path,)),))
    >>> writes_logs(PodGroup("ops", "agent", "default", spec, ("worker1",), ("agent-1",)))
    True
    """
    return any(
        it.root and path.path and not path.read_only and touches(path.path, "/var/log")
        for it in group.spec.containers
        for path in it.host_paths
    )
