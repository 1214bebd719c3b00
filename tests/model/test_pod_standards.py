"""The checks of the Pod Security Standards.

The right values are from Kubernetes, "Pod Security Standards", and from the checks in
k8s.io/pod-security-admission v0.37. tests/differential/test_pods.py asks a running apiserver.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labkit.model.pod_standards import BASELINE, LATEST, RESTRICTED, refusals

BETA = "security.beta.kubernetes.io"
STRICT: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(spec: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    one = {"name": "a", "image": "a", **container}
    return {"spec": {"containers": [one], **(spec or {})}}


def strict(spec: dict[str, Any] | None = None, **context: Any) -> dict[str, Any]:
    """Return a pod that every standard admits, with some other settings."""
    return pod(spec, securityContext={**STRICT, **context})


def test_plain_pod_is_baseline_and_not_restricted() -> None:
    assert refusals(pod(), "privileged") == ()
    assert refusals(pod(), "baseline") == ()
    assert set(refusals(pod(), "restricted")) == {
        "allowPrivilegeEscalation",
        "capabilities_restricted",
        "runAsNonRoot",
        "seccompProfile_restricted",
    }


def test_strict_pod_is_restricted() -> None:
    assert refusals(strict(), "restricted") == ()
    shared = {name: STRICT[name] for name in ("runAsNonRoot", "seccompProfile")}
    own = {name: STRICT[name] for name in ("allowPrivilegeEscalation", "capabilities")}
    assert refusals(pod({"securityContext": shared}, securityContext=own), "restricted") == ()


@pytest.mark.parametrize(
    ("spec", "container", "check"),
    [
        ({"hostNetwork": True}, {}, "hostNamespaces"),
        ({"hostPID": True}, {}, "hostNamespaces"),
        ({"hostIPC": True}, {}, "hostNamespaces"),
        ({}, {"securityContext": {"privileged": True}}, "privileged"),
        ({}, {"securityContext": {"capabilities": {"add": ["NET_RAW"]}}}, "capabilities_baseline"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, {}, "hostPathVolumes"),
        ({}, {"ports": [{"containerPort": 80, "hostPort": 80}]}, "hostPorts"),
        ({}, {"livenessProbe": {"httpGet": {"host": "127.0.0.1"}}}, "hostProbesAndHostLifecycle"),
        (
            {},
            {"lifecycle": {"preStop": {"tcpSocket": {"host": "a"}}}},
            "hostProbesAndHostLifecycle",
        ),
        (
            {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
            {},
            "appArmorProfile",
        ),
        ({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}, {}, "seLinuxOptions"),
        ({}, {"securityContext": {"seLinuxOptions": {"role": "r"}}}, "seLinuxOptions"),
        ({}, {"securityContext": {"procMount": "Unmasked"}}, "procMount"),
        (
            {},
            {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
            "seccompProfile_baseline",
        ),
        ({"securityContext": {"sysctls": [{"name": "kernel.sem"}]}}, {}, "sysctls"),
        (
            {"securityContext": {"windowsOptions": {"hostProcess": True}}},
            {},
            "windowsHostProcess",
        ),
        # the containers of all kinds count
        (
            {"initContainers": [{"name": "i", "securityContext": {"privileged": True}}]},
            {},
            "privileged",
        ),
        (
            {"ephemeralContainers": [{"name": "e", "securityContext": {"privileged": True}}]},
            {},
            "privileged",
        ),
    ],
)
def test_baseline_refuses(spec: dict[str, Any], container: dict[str, Any], check: str) -> None:
    assert refusals(pod(spec, **container), "baseline") == (check,)
    assert refusals(pod(spec, **container), "privileged") == ()


@pytest.mark.parametrize(
    ("spec", "container"),
    [
        ({"hostNetwork": False, "hostPID": False}, {}),
        ({}, {"securityContext": {"capabilities": {"add": ["CHOWN", "NET_BIND_SERVICE"]}}}),
        ({"volumes": [{"name": "v", "nfs": {"server": "n", "path": "/"}}]}, {}),
        ({}, {"ports": [{"containerPort": 80, "hostPort": 0}]}),
        ({}, {"livenessProbe": {"httpGet": {"host": "", "port": 80}}}),
        ({"securityContext": {"seLinuxOptions": {"type": "container_t", "user": ""}}}, {}),
        ({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies"}]}}, {}),
        ({"securityContext": {"runAsUser": 0, "runAsNonRoot": False}}, {}),
    ],
)
def test_baseline_admits(spec: dict[str, Any], container: dict[str, Any]) -> None:
    assert refusals(pod(spec, **container), "baseline") == ()


@pytest.mark.parametrize(
    ("spec", "context", "check"),
    [
        ({}, {"allowPrivilegeEscalation": None}, "allowPrivilegeEscalation"),
        ({}, {"allowPrivilegeEscalation": True}, "allowPrivilegeEscalation"),
        ({}, {"capabilities": {"drop": ["CHOWN"]}}, "capabilities_restricted"),
        ({}, {"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}, "capabilities_restricted"),
        ({"volumes": [{"name": "v", "nfs": {}}]}, {}, "restrictedVolumes"),
        ({}, {"runAsNonRoot": None}, "runAsNonRoot"),
        ({}, {"runAsNonRoot": False}, "runAsNonRoot"),
        # what the container says does not help against the pod's own word
        ({"securityContext": {"runAsNonRoot": False}}, {}, "runAsNonRoot"),
        ({}, {"runAsUser": 0}, "runAsUser"),
        ({"securityContext": {"runAsUser": 0}}, {}, "runAsUser"),
        ({}, {"seccompProfile": None}, "seccompProfile_restricted"),
    ],
)
def test_restricted_refuses(spec: dict[str, Any], context: dict[str, Any], check: str) -> None:
    assert refusals(strict(spec, **context), "restricted") == (check,)
    assert refusals(strict(spec, **context), "baseline") == ()


def test_restricted_admits_every_kind_of_volume_that_belongs_to_the_cluster() -> None:
    kinds = ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "projected")
    volumes = [{"name": it, it: {}} for it in (*kinds, "persistentVolumeClaim", "secret")]
    assert refusals(strict({"volumes": volumes}), "restricted") == ()
    assert refusals(strict({"volumes": [{"name": "default: emptyDir"}]}), "restricted")


def test_unknown_standard_is_the_strictest() -> None:
    assert refusals(pod(), "Baseline") == refusals(pod(), "restricted")


@pytest.mark.parametrize(
    ("held", "level", "check", "refused", "admitted"),
    [
        # the two versions are neighbours
        (
            pod({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_notsent_lowat"}]}}),
            *("baseline", "sysctls", 36, 37),
        ),
        (
            pod({"securityContext": {"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}}),
            *("baseline", "sysctls", 26, 27),
        ),
        (
            pod({"securityContext": {"seLinuxOptions": {"type": "container_engine_t"}}}),
            *("baseline", "seLinuxOptions", 30, 31),
        ),
        (
            pod(livenessProbe={"httpGet": {"host": "a"}}),
            *("baseline", "hostProbesAndHostLifecycle", 34, 33),
        ),
        (
            pod({"hostUsers": False}, securityContext={"procMount": "Unmasked"}),
            *("baseline", "procMount", 34, 35),
        ),
        (strict({"hostUsers": False}, runAsNonRoot=False), "restricted", "runAsNonRoot", 34, 35),
        (strict({"hostUsers": False}, runAsUser=0), "restricted", "runAsUser", 34, 35),
        (strict(runAsUser=0), "restricted", "runAsUser", 23, 22),
        (strict(capabilities={}), "restricted", "capabilities_restricted", 22, 21),
        (
            strict({"os": {"name": "windows"}}, allowPrivilegeEscalation=None),
            *("restricted", "allowPrivilegeEscalation", 24, 25),
        ),
        (strict(seccompProfile=None), "restricted", "seccompProfile_restricted", 19, 18),
    ],
)
def test_checks_are_those_of_the_version(
    held: dict[str, Any], level: str, check: str, refused: int, admitted: int
) -> None:
    assert refusals(held, level, refused) == (check,)
    assert refusals(held, level, admitted) == ()


def test_user_namespace_does_not_excuse_a_restricted_pod_from_the_default_proc() -> None:
    held = strict({"hostUsers": False}, procMount="Unmasked")
    assert refusals(held, "restricted") == ("procMount_restricted",)


def test_annotations_of_old_profiles_count() -> None:
    held = pod()
    held["metadata"] = {"annotations": {f"container.apparmor.{BETA}/a": "unconfined"}}
    assert refusals(held, "baseline") == ("appArmorProfile",)
    held["metadata"] = {"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}}
    assert refusals(held, "baseline", 18) == ("seccompProfile_baseline",)
    assert refusals(held, "baseline", 19) == ()


def test_version_that_is_not_known_yet_is_no_answer() -> None:
    with pytest.raises(ValueError, match=r"1\.38 are not known"):
        refusals(pod(), "baseline", LATEST + 1)


def test_every_check_is_tested() -> None:
    text = Path(__file__).read_text()
    assert [it for it in (*BASELINE, *RESTRICTED) if f'"{it}"' not in text] == []


@pytest.mark.parametrize("broken", [{}, {"spec": None}, {"spec": {"containers": "a"}}, strict()])
def test_odd_objects_are_held_to_the_standard_without_an_error(broken: dict[str, Any]) -> None:
    assert isinstance(refusals(broken, "restricted"), tuple)
