"""Which pods the Pod Security Standards refuse: the checks of ``baseline`` and ``restricted``.

The same checks in the same words as Kubernetes has them (k8s.io/pod-security-admission, package
policy). ``make differential KIND=pods`` holds them against a running apiserver, at random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from labkit.cluster.versions import LATEST

__all__ = ["LATEST", "minor_of", "refusals"]

Part: TypeAlias = Mapping[str, Any]

VERSION = re.compile(r"v1\.(\d+)")
HOST_NAMESPACES = ("hostNetwork", "hostPID", "hostIPC")
CAPABILITIES = frozenset(
    [
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
        *("NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    ]
)
#: The kernel settings that a pod may set, by the version since which it may.
SYSCTLS = {
    "kernel.shm_rmid_forced": 0,
    "net.ipv4.ip_local_port_range": 0,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.ping_group_range": 0,
    "net.ipv4.ip_unprivileged_port_start": 0,
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_fin_timeout": 29,
    "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
    "net.ipv4.tcp_slow_start_after_idle": 37,
    "net.ipv4.tcp_notsent_lowat": 37,
}
SELINUX_TYPES = {
    "": 0,
    "container_t": 0,
    "container_init_t": 0,
    "container_kvm_t": 0,
    "container_engine_t": 31,
}
PROFILES = ("RuntimeDefault", "Localhost")
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
APPARMOR_VALUE = re.compile(r"(runtime/default|localhost/.*)?", re.DOTALL)
VOLUMES = frozenset(
    [
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image"),
        *("persistentVolumeClaim", "projected", "secret"),
    ]
)
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
HOOKS = ("postStart", "preStop")
#: The versions since which probes name no host, a pod in a user namespace may be root in it, a pod
#: for Windows needs no settings of Linux, and fields (no annotations) choose the seccomp profile.
HOSTS_SINCE, USER_NAMESPACES_SINCE, WINDOWS_SINCE, SECCOMP_SINCE = 34, 35, 25, 19
#: The versions since which these checks exist.
SINCE = {"allowPrivilegeEscalation": 8, "capabilities_restricted": 22, "runAsUser": 23}
#: The annotations of the seccomp profile before there were fields.
SECCOMP = "seccomp.security.alpha.kubernetes.io/"
SECCOMP_VALUE = re.compile(r"runtime/default|docker/default|localhost/.*", re.DOTALL)


@dataclass(frozen=True)
class _Pod:
    """A pod and the version of the checks that it is held to."""

    annotations: Part
    spec: Part
    minor: int

    @property
    def context(self) -> Part:
        return _part(self.spec, "securityContext")

    @property
    def containers(self) -> list[Part]:
        kinds = ("initContainers", "containers", "ephemeralContainers")
        return [one for kind in kinds for one in _list(self.spec, kind)]

    @property
    def contexts(self) -> list[Part]:
        """The security contexts of the containers."""
        return [_part(one, "securityContext") for one in self.containers]

    @property
    def is_windows(self) -> bool:
        return self.minor >= WINDOWS_SINCE and _part(self.spec, "os").get("name") == "windows"

    @property
    def is_relaxed(self) -> bool:
        """Whether the pod has a user namespace of its own, in a version in which that counts."""
        return self.minor >= USER_NAMESPACES_SINCE and self.spec.get("hostUsers") is False


def refusals(pod: Part, level: str, minor: int = LATEST) -> tuple[str, ...]:
    """Return the checks of a standard that refuse a pod.

    Parameters
    ----------
    pod : mapping
        The pod as the API has it, with its defaults or without.
    level : str
        "privileged", "baseline" or "restricted". Another word counts as "restricted", as it does
        for the apiserver.
    minor : int
        The minor version of Kubernetes whose checks count, up to `LATEST`.

    Returns
    -------
    tuple of str
        The identifiers of the checks; empty if the pod is admitted.

    Raises
    ------
    ValueError
        The checks of the version are not known.

    References
    ----------
    Kubernetes, "Pod Security Standards".

    Examples
    --------
    >>> pod = {"spec": {"hostPID": True, "containers": [{"name": "a", "image": "a"}]}}
    >>> refusals(pod, "baseline")
    ('hostNamespaces',)
    >>> "runAsNonRoot" in refusals(pod, "restricted")
    True
    """
    if minor > LATEST:
        raise ValueError(f"the checks of 1.{minor} are not known, only those up to 1.{LATEST}")
    if level == "privileged":
        return ()
    held = _Pod(_part(_part(pod, "metadata"), "annotations"), _part(pod, "spec"), minor)
    checks = BASELINE if level == "baseline" else {**BASELINE, **RESTRICTED}
    known = {name: it for name, it in checks.items() if SINCE.get(name, 0) <= minor}
    return tuple(name for name, refuses in known.items() if refuses(held))


def minor_of(version: str, apiserver: int = LATEST) -> int | None:
    """Return the minor version whose checks count for a label; None if they are not known.

    An apiserver takes its own newest checks for those of a version that is newer than it is
    (k8s.io/pod-security-admission, policy/registry.go).

    Parameters
    ----------
    version : str
        "latest", or a version as the label ``pod-security.kubernetes.io/enforce-version`` has it.
    apiserver : int
        The minor version of the apiserver.

    Returns
    -------
    int or None

    Examples
    --------
    >>> minor_of("latest"), minor_of("v1.34"), minor_of("v1.34", 30), minor_of("soon")
    (37, 34, 30, None)
    """
    found = VERSION.fullmatch(version)
    if not found and version != "latest":
        return None
    minor = min(int(found[1]), apiserver) if found else apiserver
    return minor if minor <= LATEST else None


def _part(of: Part, name: str) -> Part:
    found = of.get(name)
    return found if isinstance(found, Mapping) else {}


def _list(of: Part, name: str) -> list[Part]:
    found = of.get(name)
    return [it for it in found if isinstance(it, Mapping)] if isinstance(found, Sequence) else []


# -- baseline ------------------------------------------------------------------------------------


def _host_namespaces(pod: _Pod) -> bool:
    return any(pod.spec.get(name) for name in HOST_NAMESPACES)


def _privileged(pod: _Pod) -> bool:
    return any(it.get("privileged") for it in pod.contexts)


def _added(context: Part) -> set[str]:
    return set(_part(context, "capabilities").get("add") or ())


def _capabilities(pod: _Pod) -> bool:
    return any(_added(it) - CAPABILITIES for it in pod.contexts)


def _host_paths(pod: _Pod) -> bool:
    return any(it.get("hostPath") is not None for it in _list(pod.spec, "volumes"))


def _host_ports(pod: _Pod) -> bool:
    return any(port.get("hostPort") for it in pod.containers for port in _list(it, "ports"))


def _handlers(container: Part) -> Iterator[Part]:
    yield from (_part(container, name) for name in PROBES)
    yield from (_part(_part(container, "lifecycle"), name) for name in HOOKS)


def _probe_hosts(pod: _Pod) -> bool:
    handlers = [handler for it in pod.containers for handler in _handlers(it)]
    actions = [_part(it, name) for it in handlers for name in ("httpGet", "tcpSocket")]
    return pod.minor >= HOSTS_SINCE and any(it.get("host") for it in actions)


def _types(pod: _Pod, name: str) -> list[object]:
    """Return the types that the pod and its containers set for a profile."""
    found = (it.get(name) for it in (pod.context, *pod.contexts))
    return [it.get("type") for it in found if isinstance(it, Mapping)]


def _apparmor(pod: _Pod) -> bool:
    annotated = (str(it) for name, it in pod.annotations.items() if name.startswith(APPARMOR))
    return any(it not in PROFILES for it in _types(pod, "appArmorProfile")) or any(
        not APPARMOR_VALUE.fullmatch(it) for it in annotated
    )


def _selinux(pod: _Pod) -> bool:
    options = [_part(it, "seLinuxOptions") for it in (pod.context, *pod.contexts)]
    return any(
        it.get("user") or it.get("role") or not _is_since(SELINUX_TYPES, it.get("type") or "", pod)
        for it in options
    )


def _is_since(known: Mapping[str, int], name: str, pod: _Pod) -> bool:
    return name in known and known[name] <= pod.minor


def _proc_mount(pod: _Pod) -> bool:
    return not pod.is_relaxed and _any_proc_mount(pod)


def _any_proc_mount(pod: _Pod) -> bool:
    return any(it.get("procMount") not in (None, "Default") for it in pod.contexts)


def _seccomp(pod: _Pod) -> bool:
    if pod.minor < SECCOMP_SINCE:
        names = [f"container.{SECCOMP}{it.get('name')}" for it in pod.containers]
        said = [pod.annotations.get(name) for name in (f"{SECCOMP}pod", *names)]
        return any(it is not None and not SECCOMP_VALUE.fullmatch(str(it)) for it in said)
    return any(it not in PROFILES for it in _types(pod, "seccompProfile"))


def _sysctls(pod: _Pod) -> bool:
    names = [str(it.get("name")) for it in _list(pod.context, "sysctls")]
    return any(not _is_since(SYSCTLS, name, pod) for name in names)


def _windows_host_process(pod: _Pod) -> bool:
    options = (_part(it, "windowsOptions") for it in (pod.context, *pod.contexts))
    return any(it.get("hostProcess") for it in options)


# -- restricted ----------------------------------------------------------------------------------


def _volumes(pod: _Pod) -> bool:
    volumes = _list(pod.spec, "volumes")
    return any(not any(it.get(kind) is not None for kind in VOLUMES) for it in volumes)


def _escalation(pod: _Pod) -> bool:
    allowed = (it.get("allowPrivilegeEscalation") is not False for it in pod.contexts)
    return not pod.is_windows and any(allowed)


def _root(pod: _Pod) -> bool:
    if pod.is_relaxed:
        return False
    whole = pod.context.get("runAsNonRoot")
    own = [it.get("runAsNonRoot") for it in pod.contexts]
    return whole is False or any(it is False or (it is None and not whole) for it in own)


def _user_0(pod: _Pod) -> bool:
    users = [it.get("runAsUser") for it in (pod.context, *pod.contexts)]
    return not pod.is_relaxed and any(it == 0 for it in users)


def _no_seccomp(pod: _Pod) -> bool:
    whole = isinstance(pod.context.get("seccompProfile"), Mapping)
    own = all(isinstance(it.get("seccompProfile"), Mapping) for it in pod.contexts)
    exempt = pod.is_windows or pod.minor < SECCOMP_SINCE
    return not exempt and (_seccomp(pod) or not (whole or own))


def _kept_capabilities(pod: _Pod) -> bool:
    dropped = ("ALL" in (_part(it, "capabilities").get("drop") or ()) for it in pod.contexts)
    added = (_added(it) - {"NET_BIND_SERVICE"} for it in pod.contexts)
    return not pod.is_windows and (not all(dropped) or any(added))


#: The checks by the identifiers that Kubernetes gives them.
BASELINE: dict[str, Callable[[_Pod], bool]] = {
    "appArmorProfile": _apparmor,
    "capabilities_baseline": _capabilities,
    "hostNamespaces": _host_namespaces,
    "hostPathVolumes": _host_paths,
    "hostPorts": _host_ports,
    "hostProbesAndHostLifecycle": _probe_hosts,
    "privileged": _privileged,
    "procMount": _proc_mount,
    "seLinuxOptions": _selinux,
    "seccompProfile_baseline": _seccomp,
    "sysctls": _sysctls,
    "windowsHostProcess": _windows_host_process,
}
RESTRICTED: dict[str, Callable[[_Pod], bool]] = {
    "allowPrivilegeEscalation": _escalation,
    "capabilities_restricted": _kept_capabilities,
    "procMount_restricted": _any_proc_mount,
    "restrictedVolumes": _volumes,
    "runAsNonRoot": _root,
    "runAsUser": _user_0,
    "seccompProfile_restricted": _no_seccomp,
}
