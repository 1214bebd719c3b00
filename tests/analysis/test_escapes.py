"""What a pod may use of its node: folders of distributions, processes and capabilities."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.analysis.attack_graph.from_objects.escapes import escapes
from labkit.cluster.objects.facts import Container, HostPath, PodGroup, PodSpec


def ways(host_pid: bool = False, **container: Any) -> set[tuple[str, bool]]:
    """Return what the escapes of a pod give, each with whether something has to be found out."""
    spec = PodSpec(host_pid=host_pid, containers=(Container("c", **container),))
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
    ],
)
def test_folders_of_a_node(path: str, read_only: bool, found: set[tuple[str, bool]]) -> None:
    assert ways(host_paths=(HostPath(path, read_only),)) == found


@pytest.mark.parametrize(
    ("more", "found"),
    [
        # proc(5), /proc/PID/root and environ: PTRACE_MODE_READ_FSCREDS (ptrace(2))
        ({"host_pid": True}, {("tokens", True)}),
        ({"host_pid": True, "root": False}, set()),
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
