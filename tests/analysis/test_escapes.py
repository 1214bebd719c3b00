"""What a pod may use of its node: folders of distributions, processes and capabilities."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.analysis.attack_graph.from_objects.escapes import escapes
from labkit.cluster.objects.facts import Container, HostPath, PodGroup, PodSpec
from labkit.cluster.objects.pods import spec_of


def ways(
    host_pid: bool = False, host_users: bool | None = True, **container: Any
) -> set[tuple[str, bool]]:
    """Return what the escapes of a pod give, each with whether something has to be found out."""
    held = (Container("c", **container),)
    spec = PodSpec(host_pid=host_pid, host_users=host_users, containers=held)
    found = escapes(PodGroup("ops", "agent", "default", spec, ("n",), ("agent-1",)))
    return {(it.gives, bool(it.unknown)) for it in found}


@pytest.mark.parametrize(
    ("path", "read_only", "found"),
    [
        # OpenShift: the certificates and kubeconfigs of its static pods (cluster-kube-apiserver-
        # operator, bindata/assets/kube-apiserver/pod.yaml: resource-dir)
        ("/etc/kubernetes/static-pod-resources/kube-apiserver-certs", True, {("pki", False)}),
        ("/etc/origin/master", True, {("pki", False)}),
        # Talos (talos/pkg/machinery/constants): the keys of its control plane, its configuration,
        # and the socket of machined, which takes every caller for an administrator
        ("/system/secrets", True, {("pki", False)}),
        ("/system/run/machined/machine.sock", True, {("root", False)}),
        ("/var/lib/kubelet/kubeconfig", True, {("kubelet", False)}),
        # NetworkManager(8), apt.conf(5), cloud-init: root runs what is there
        ("/etc/NetworkManager", False, {("root", False)}),
        ("/etc/apt", False, {("root", False)}),
        ("/etc/apt", True, set()),
        ("/etc/cloud/cloud.cfg.d", False, {("root", False)}),
        ("/etc/update-motd.d", False, {("root", False)}),
        # Kubernetes, "Device Plugins": a plugin's answer names mounts of the node
        ("/var/lib/kubelet/device-plugins", False, {("root", True)}),
        ("/var/lib/kubelet/device-plugins", True, set()),
        ("/var/lib/kubelet/plugins_registry", False, {("root", True)}),
        # cgroups(7): release_agent
        ("/sys/fs/cgroup", False, {("root", True)}),
        ("/sys/fs/cgroup", True, set()),
        ("/system-data", False, set()),
        # the pods of a Windows node: its drives, and the pipe of its container runtime
        ("/C:\\", True, {("root", True)}),
        ("/c:/k/config", True, {("root", True)}),
        ("/\\\\.\\pipe\\containerd-containerd", False, {("root", True)}),
        # proc(5), as with hostPID
        ("/proc", True, {("tokens", True)}),
        ("/proc/sys", True, set()),
        # cloud-provider-azure, "Configs"; cloud-init(1)
        ("/etc/kubernetes/azure.json", True, {("config", True)}),
        ("/var/lib/cloud/instance", True, {("config", True)}),
    ],
)
def test_folders_of_a_node(path: str, read_only: bool, found: set[tuple[str, bool]]) -> None:
    assert ways(host_paths=(HostPath(path, read_only),)) == found


@pytest.mark.parametrize(
    ("more", "found"),
    [
        # proc(5), /proc/PID/root and environ: PTRACE_MODE_READ_FSCREDS (ptrace(2))
        ({"host_pid": True}, {("tokens", True)}),
        # of the same user, who may have the user of another pod
        ({"host_pid": True, "root": False}, {("tokens", True)}),
        ({"host_pid": True, "capabilities": ("SYS_PTRACE",)}, {("root", False)}),
        # capabilities(7)
        ({"capabilities": ("SYS_RAWIO",)}, {("root", True)}),
        ({"capabilities": ("BPF", "PERFMON")}, {("root", True)}),
        ({"capabilities": ("BPF",)}, set()),
        ({"capabilities": ("NET_ADMIN",)}, set()),
    ],
)
def test_processes_and_capabilities(more: dict[str, Any], found: set[tuple[str, bool]]) -> None:
    assert ways(**more) == found


@pytest.mark.parametrize(
    ("capability", "more", "of_root"),
    [
        ("SYS_MODULE", {}, {("root", False)}),
        ("SYS_ADMIN", {}, {("root", False)}),
        ("DAC_READ_SEARCH", {}, {("root", False)}),
        ("ALL", {}, {("root", False)}),
        ("SYS_PTRACE", {"host_pid": True}, {("root", False)}),
        ("SYS_RAWIO", {}, {("root", True)}),
        ("SYS_PTRACE", {}, set()),
        ("NET_ADMIN", {}, set()),
        ("NET_RAW", {}, set()),
    ],
)
def test_capabilities_of_a_user_need_a_program_that_has_them(
    capability: str, more: dict[str, Any], of_root: set[tuple[str, bool]]
) -> None:
    """containerd (internal/cri, WithAmbientCapabilities) gives what the CRI's message names.

    The kubelet names none (KEP-2763 is not in Kubernetes), so a process of another user has an
    added capability in its bounding set alone. After execve(2) it has it if the file is setuid root
    or has the capability, and not with no_new_privs: capabilities(7), "Transformation of
    capabilities during execve()".
    """
    assert ways(capabilities=(capability,), **more) == of_root
    of_user = ways(capabilities=(capability,), root=False, **more)
    processes = {("tokens", True)} if more else set()
    assert of_user == {(gives, True) for gives, _ in of_root} | processes
    held = ways(capabilities=(capability,), root=False, no_new_privileges=True, **more)
    assert held == processes


@pytest.mark.parametrize(
    ("security", "found"),
    [
        ({}, {("root", False)}),
        ({"runAsUser": 0}, {("root", False)}),
        # https://kubernetes.io/docs/tasks/configure-pod-container/security-context/: the field
        # says whether no_new_privs is set, and it is not unless it is false
        ({"runAsUser": 1000}, {("root", True)}),
        ({"runAsNonRoot": True}, {("root", True)}),
        ({"runAsUser": 1000, "allowPrivilegeEscalation": True}, {("root", True)}),
        ({"runAsUser": 1000, "allowPrivilegeEscalation": False}, set()),
        ({"allowPrivilegeEscalation": False}, {("root", False)}),
    ],
)
def test_capabilities_of_a_pod(security: dict[str, Any], found: set[tuple[str, bool]]) -> None:
    added = {"capabilities": {"add": ["CAP_SYS_MODULE"]}, **security}
    spec = spec_of({"spec": {"containers": [{"name": "c", "securityContext": added}]}}, None)
    group = PodGroup("ops", "agent", "default", spec, ("n",), ("agent-1",))
    assert {(it.gives, bool(it.unknown)) for it in escapes(group)} == found


@pytest.mark.parametrize(
    ("path", "read_only", "found"),
    [
        ("/", False, {("root", False)}),
        ("/etc/cron.d", False, {("root", False)}),
        ("/run/containerd/containerd.sock", True, {("root", False)}),
        ("/var/lib/kubelet/pki", True, {("kubelet", False)}),
        ("/var/lib/kubelet/device-plugins", False, {("root", True)}),
        # systemd asks the kernel who calls: an ordinary user of the node
        ("/run/systemd/private", False, set()),
        ("/run/dbus", False, set()),
        # proc and sysfs take no mapping: mount_setattr(2)
        ("/proc/sys/kernel/core_pattern", False, set()),
        ("/sys/fs/cgroup", False, set()),
    ],
)
def test_volumes_of_a_pod_with_a_user_namespace_are_mapped(
    path: str, read_only: bool, found: set[tuple[str, bool]]
) -> None:
    """KEP-127, "Handling of volumes": files of the node's root are those of the pod's root.

    The kubelet sets ``uid_mappings`` of each mount to those of the pod, and the runtime makes
    ID-mapped mounts (mount_setattr(2)). So a volume of the node's path gives root of the pod what
    it gives root of the node, whether the kubelet knows user namespaces or not.
    """
    for shared in (False, None):
        held = ways(host_users=shared, host_paths=(HostPath(path, read_only),))
        assert {it for it in held if shared is False or not it[1] or it in found} == found


@pytest.mark.parametrize("shared", [False, None])
def test_capabilities_in_a_user_namespace_count_in_the_pod(shared: bool | None) -> None:
    """user_namespaces(7); a kubelet before 1.33 may ignore ``hostUsers``."""
    for more in ({"privileged": True}, {"capabilities": ("SYS_ADMIN",)}):
        assert ways(host_users=shared, **more) == (set() if shared is False else {("root", True)})
