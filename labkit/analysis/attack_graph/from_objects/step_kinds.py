"""The kinds of steps through a cluster's objects: one row each."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["STEP_KINDS", "StepKind"]


class StepKind(NamedTuple):
    """What is known of a kind of step.

    Attributes
    ----------
    attack : str
        The technique of MITRE ATT&CK that it is a case of; empty if there is no such technique.
    technique : str
        The technique of this kit that demonstrates it in a lab; empty if no technique does.
    """

    attack: str = ""
    technique: str = ""


STEP_KINDS = {
    "aggregated-apiserver": StepKind("T1557"),
    "answer-for-service": StepKind(),
    "any-namespace": StepKind(),
    "any-request": StepKind(),
    "auto-approved-request": StepKind("T1649", "csr-self-approve"),
    "approve-request": StepKind("T1649", "csr-self-approve"),
    "ask-controller": StepKind("T1610"),
    "attach": StepKind("T1609"),
    "bind": StepKind("T1098.006"),
    "bootstrap-token": StepKind("T1552.007"),
    "call-unauthenticated": StepKind("T1078.001", "apiserver-anonymous"),
    "change-workload": StepKind("T1610"),
    "control-plane-keys": StepKind("T1552.004", "ca-key-theft"),
    "cloud-identity": StepKind("T1078.004"),
    "cloud-metadata": StepKind("T1552.005"),
    "cloud-users": StepKind("T1098.006"),
    "conversion-webhook": StepKind("T1557"),
    "create-pod": StepKind("T1610", "host-path-pod"),
    "debug-container": StepKind("T1609"),
    "draw-pods": StepKind("T1610"),
    "enter-pod": StepKind("T1609"),
    "escalate": StepKind("T1098.006"),
    "escape-from-own-pod": StepKind("T1611", "host-path-pod"),
    "etcd-read": StepKind("T1552.007", "etcd-read"),
    "exec": StepKind("T1609"),
    "exec-by-websocket": StepKind("T1609"),
    "exec-through-kubelet": StepKind("T1609", "nodes-proxy-exec"),
    "exploit-port": StepKind("T1190"),
    "exploit-public-service": StepKind("T1190"),
    "granted-everything": StepKind(),
    "group-membership": StepKind(),
    "host-process": StepKind("T1611"),
    "host-process-injection": StepKind("T1611"),
    "impersonate": StepKind("T1078", "impersonate"),
    "kubelet-flaw": StepKind("T1611"),
    "insecure-port": StepKind("T1552.007", "insecure-port"),
    "issued-certificate": StepKind("T1649", "csr-self-approve"),
    "kubelet-caller-token": StepKind("T1528"),
    "kubelet-credential": StepKind("T1552.004", "node-reads-secrets"),
    "kubelet-exec": StepKind("T1609", "kubelet-exec"),
    "listen-on-node": StepKind("T1557"),
    "load-ebpf": StepKind("T1611"),
    "load-kernel-module": StepKind("T1611"),
    "member-of-masters": StepKind(),
    "mount-from-container": StepKind("T1611"),
    "mount-secret": StepKind("T1552.007"),
    "mounted-token": StepKind("T1528", "pod-token"),
    "mutating-policy": StepKind("T1610"),
    "mutating-webhook": StepKind("T1610"),
    "node-root": StepKind(),
    "node-log-symlink": StepKind("T1552.001", "kubelet-log-symlink"),
    "open-by-handle": StepKind("T1611"),
    "own-volume": StepKind("T1611"),
    "pod-for-flaw": StepKind("T1610"),
    "pod-with-account": StepKind("T1610"),
    "pod-not-in-dump": StepKind(),
    "pods-of-the-node": StepKind("T1528"),
    "port-forward": StepKind("T1572"),
    "privileged-container": StepKind("T1611"),
    "privileged-debug-container": StepKind("T1611"),
    "privileged-pod": StepKind("T1610", "host-path-pod"),
    "proxy": StepKind("T1572"),
    "raw-io": StepKind("T1611"),
    "read-config": StepKind("T1552.007"),
    "read-pod": StepKind("T1552.007"),
    "read-host-path": StepKind("T1552.001"),
    "read-host-processes": StepKind("T1552.001"),
    "redirect-kubelet": StepKind("T1557"),
    "redirect-service": StepKind("T1557"),
    "read-secrets": StepKind("T1552.007", "pod-token"),
    "relabel-namespace": StepKind("T1685"),
    "replace-image": StepKind("T1610"),
    "runtime-socket": StepKind("T1611", "docker-socket-in-pod"),
    "stored-credential": StepKind("T1552.007"),
    "token-in-secret": StepKind("T1528", "long-lived-token"),
    "token-request": StepKind("T1528", "controller-manager-token"),
    "token-request-of-kubelet": StepKind("T1528"),
    "token-secret": StepKind("T1528"),
    "validating-webhook": StepKind("T1552.007"),
    "write-host-path": StepKind("T1611"),
}
