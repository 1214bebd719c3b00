"""Ask the apiserver and the model the same questions: which pods Pod Security refuses.

Hypothesis draws pods, and a namespace that holds them to a standard by the checks of some version.
Each pod is created in a running lab as a dry run; the model decides by the same labels. What
differs is shrunk; keep it as a test in tests/model/test_pod_standards.py. ``make differential
KIND=pods SEED=1 COUNT=2000`` asks a lab that is up, ``python tests/differential/test_pods.py SEED
COUNT LAB`` one of another name.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from labkit.lab import Lab
from labkit.model.pod_security import ENFORCE, VERSION
from labkit.model.pod_standards import minor_of, refusals

#: Questions of the share of this test that CI asks, in a few seconds, and its seed.
SHARE, SEED = 60, 1
NAME = "labkit-standards"
LEVELS = ("baseline", "restricted")
#: Versions between which the checks differ (k8s.io/pod-security-admission, package policy).
VERSIONS = (
    "latest",
    "v1.36",
    "v1.34",
    "v1.33",
    "v1.30",
    "v1.28",
    "v1.26",
    "v1.24",
    "v1.22",
    "v1.18",
)
PLACES = [(level, version) for level in LEVELS for version in VERSIONS]
#: Seconds in which a new namespace gets its service account.
PATIENCE = 60.0

PLAIN: dict[str, Any] = {"name": "a", "image": "none"}
STRICT: dict[str, Any] = {
    **PLAIN,
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
STRICT_POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def one(path: str, *values: Any) -> st.SearchStrategy[tuple[str, Any]]:
    """Draw a value for a field."""
    return st.tuples(st.just(path), st.sampled_from(values))


OF_POD = st.one_of(
    one("hostNetwork", True, False),
    one("hostPID", True, False),
    one("hostIPC", True),
    one("hostUsers", False, True),
    one("os.name", "linux", "windows"),
    one("securityContext.runAsNonRoot", True, False),
    one("securityContext.runAsUser", 0, 1000),
    one("securityContext.seccompProfile.type", "RuntimeDefault", "Unconfined"),
    one("securityContext.appArmorProfile.type", "RuntimeDefault", "Unconfined"),
    one("securityContext.seLinuxOptions.type", "container_t", "container_engine_t", "spc_t"),
    one("securityContext.seLinuxOptions.user", "system_u", ""),
    one(
        "securityContext.sysctls",
        [{"name": "kernel.shm_rmid_forced", "value": "1"}],
        [{"name": "net.ipv4.ip_local_reserved_ports", "value": "1"}],
        [{"name": "net.ipv4.tcp_fin_timeout", "value": "1"}],
        [{"name": "net.ipv4.tcp_wmem", "value": "1"}],
        [{"name": "net.ipv4.tcp_notsent_lowat", "value": "1"}],
        [{"name": "kernel.sem", "value": "1"}],
    ),
    one(
        "volumes",
        *(
            [{"name": "v", kind: value}]
            for kind, value in {
                "emptyDir": {},
                "hostPath": {"path": "/"},
                "secret": {"secretName": "s"},
                "configMap": {"name": "c"},
                "projected": {"sources": []},
                "downwardAPI": {"items": []},
                "persistentVolumeClaim": {"claimName": "c"},
                "csi": {"driver": "d.example"},
                "image": {"reference": "none"},
                "nfs": {"server": "n", "path": "/"},
                "iscsi": {"targetPortal": "t", "iqn": "iqn.2001-04.com.example:a", "lun": 0},
            }.items()
        ),
    ),
)
OF_CONTAINER = st.one_of(
    one("securityContext.privileged", True, False),
    one("securityContext.allowPrivilegeEscalation", True, False),
    one("securityContext.runAsNonRoot", True, False),
    one("securityContext.runAsUser", 0, 1000),
    one("securityContext.procMount", "Default", "Unmasked"),
    one("securityContext.seccompProfile.type", "RuntimeDefault", "Unconfined"),
    one("securityContext.appArmorProfile.type", "RuntimeDefault", "Unconfined"),
    one("securityContext.seLinuxOptions.role", "object_r", ""),
    one("securityContext.capabilities.drop", ["ALL"], ["CHOWN"], []),
    one(
        "securityContext.capabilities.add",
        *(["NET_BIND_SERVICE"], ["CHOWN"], ["NET_ADMIN"], ["NET_RAW"], ["CHOWN", "BPF"]),
    ),
    one("ports", [{"containerPort": 80}], [{"containerPort": 80, "hostPort": 80}]),
    one("livenessProbe.httpGet", {"port": 80}, {"port": 80, "host": "127.0.0.1"}),
    one("readinessProbe.tcpSocket", {"port": 80}, {"port": 80, "host": "10.0.0.1"}),
    one("lifecycle.preStop.httpGet", {"port": 80}, {"port": 80, "host": "a.example"}),
)
ANNOTATIONS = st.one_of(
    one("container.apparmor.security.beta.kubernetes.io/a", "runtime/default", "unconfined"),
    one("seccomp.security.alpha.kubernetes.io/pod", "runtime/default", "unconfined"),
    one("container.seccomp.security.alpha.kubernetes.io/a", "localhost/x", "unconfined"),
)


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a pod: one that every standard admits or a plain one, and some changes of it."""
    is_strict = draw(st.booleans())
    first = copy.deepcopy(STRICT if is_strict else PLAIN)
    second = {**copy.deepcopy(draw(st.sampled_from((STRICT, PLAIN)))), "name": "b"}
    kind = draw(st.sampled_from((None, None, "initContainers", "containers")))
    spec: dict[str, Any] = {"containers": [first]}
    if is_strict:
        spec["securityContext"] = copy.deepcopy(STRICT_POD)
    if kind:
        spec.setdefault(kind, []).append(second)
    for path, value in draw(st.lists(OF_POD, max_size=2)):
        put(spec, path, value)
    for path, value in draw(st.lists(OF_CONTAINER, max_size=2)):
        put(
            draw(st.sampled_from([first, second] if kind == "containers" else [first])), path, value
        )
    marks = dict(draw(st.lists(ANNOTATIONS, max_size=1)))
    return {"metadata": {"name": NAME, "annotations": marks}, "spec": spec}


def put(into: dict[str, Any], path: str, value: Any) -> None:
    """Set a field of an object; what is on the way is made."""
    *way, last = path.split(".")
    for name in way:
        into = into.setdefault(name, {})
    into[last] = copy.deepcopy(value)


def namespace(level: str, version: str) -> str:
    """Return the name of the namespace that holds pods to a standard."""
    return f"{NAME}-{level}-{version.replace('.', '-')}"


def prepare(lab: Lab) -> None:
    """Make the namespaces, and wait until their service accounts are there."""
    for level, version in PLACES:
        labels = {ENFORCE: level, VERSION: version}
        body = {"metadata": {"name": namespace(level, version), "labels": labels}}
        lab.api("POST", "/api/v1/namespaces", body)
    deadline = time.monotonic() + PATIENCE
    for place in PLACES:
        path = f"/api/v1/namespaces/{namespace(*place)}/serviceaccounts/default"
        while lab.api("GET", path, check=False).exit_code:
            assert time.monotonic() < deadline, f"no service account in {namespace(*place)}"
            time.sleep(0.5)


def clean(lab: Lab) -> None:
    """Delete the namespaces."""
    for place in PLACES:
        lab.api("DELETE", f"/api/v1/namespaces/{namespace(*place)}", check=False)


def observed(lab: Lab, place: tuple[str, str], pod: dict[str, Any]) -> str | None:
    """Return what Pod Security says of a pod; None if it is not asked, as the pod is not valid."""
    path = f"/api/v1/namespaces/{namespace(*place)}/pods?dryRun=All"
    answer = json.loads(lab.api("POST", path, pod, check=False).stdout)
    if answer["kind"] == "Pod":
        return "admitted"
    if answer["reason"] == "Invalid":
        return None
    assert answer["reason"] == "Forbidden", answer
    assert "violates PodSecurity" in answer["message"], answer
    return "refused"


def compare(lab: Lab, number: int, count: int, *, shrinks: bool = True) -> tuple[int, int]:
    """Ask the questions of a seed; return how many there were, and how many pods were admitted.

    Raises
    ------
    AssertionError
        The apiserver answers something else than the model decides.
    """
    asked = admitted = 0

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, *([Phase.shrink] if shrinks else [])],
    )
    @given(st.sampled_from(PLACES), pods())
    def check(place: tuple[str, str], pod: dict[str, Any]) -> None:
        nonlocal asked, admitted
        minor = minor_of(place[1])
        assert minor is not None
        refused = refusals(pod, place[0], minor)
        theirs = observed(lab, place, pod)
        if theirs is not None:
            asked += 1
            admitted += theirs == "admitted"
            assert theirs == ("refused" if refused else "admitted"), (place, refused, pod)

    clean(lab)
    try:
        prepare(lab)
        check()
    finally:
        clean(lab)
    return asked, admitted


def test_pod_security_refuses_what_the_model_says(lab_insecure: Lab) -> None:
    asked, admitted = compare(lab_insecure, SEED, SHARE, shrinks=False)
    assert asked >= SHARE / 2
    assert 0 < admitted < asked
    lab_insecure.reset()


def main() -> int:
    """Ask the questions of one seed."""
    number, count, *rest = sys.argv[1:]
    lab, began = Lab("insecure", name=rest[0] if rest else "default"), time.monotonic()
    try:
        asked, admitted = compare(lab, int(number), int(count))
    except AssertionError as error:
        print(f"seed {number}: {error}")
        return 1
    said = f"{asked} pods, {admitted} of them admitted, 0 differences"
    print(f"seed {number}: {said}, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
