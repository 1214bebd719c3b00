"""Pods with equal specifications are read once, and pods that only look alike are not mixed up."""

from __future__ import annotations

import datetime
import json
from typing import Any, ClassVar
from unittest import mock

import pytest

from labkit.cluster.objects import pods
from labkit.cluster.objects.facts import HostPath, PodSpec

Equal = dict[tuple[bytes, bool, bool | None], PodSpec]
TOKEN: dict[str, Any] = {"projected": {"sources": [{"serviceAccountToken": {}}]}}
NODE = {"hostPath": {"path": "/etc"}}


def pod(volumes: dict[str, Any], mounted: str, **more: Any) -> dict[str, Any]:
    """Return a pod that runs, with volumes of which it mounts one."""
    mounts = [{"name": mounted, "mountPath": "/mnt"}]
    spec = {
        "containers": [{"name": "main", "volumeMounts": mounts}],
        "volumes": [{"name": name, **it} for name, it in volumes.items()],
        **more,
    }
    # as out of a file: two equal texts are two objects
    read: dict[str, Any] = json.loads(json.dumps({"metadata": {"uid": "1"}, "spec": spec}))
    return read


def test_pods_whose_names_alone_differ_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node and the affinity of a daemon set's pod, and the volume of its token, are its own."""
    affinity = {"nodeAffinity": {"a": 1}}
    some = [
        pod({f"kube-api-access-{own}": TOKEN}, f"kube-api-access-{own}", nodeName=own)
        for own in ("abc12", "x9z8y", "00000")
    ]
    some[1]["spec"]["affinity"] = affinity
    equal = Equal()
    read = mock.Mock(wraps=pods._read)
    monkeypatch.setattr(pods, "_read", read)
    found = [pods.spec_of(each, None, equal=equal) for each in some]
    assert (read.call_count, {it.token for it in found}, set(found)) == (1, {True}, {found[0]})


@pytest.mark.parametrize(
    "other",
    [
        pod(
            {"kube-api-access-abc12": NODE, "kube-api-access-x9z8y": TOKEN}, "kube-api-access-abc12"
        ),
        pod({"kube-api-access-abc12": NODE}, "kube-api-access-abc12"),
        pod({"kube-api-access-abc12": TOKEN}, "kube-api-access-x9z8y"),
        pod({"kube-api-access-abc123": TOKEN}, "kube-api-access-abc123", hostPID=True),
        pod({"data": TOKEN, "kube-api-access-abc12": NODE}, "kube-api-access-abc12"),
    ],
)
def test_pods_that_look_alike_are_told_apart(other: dict[str, Any]) -> None:
    """Each is read after one with a token in the usual volume."""
    first = pod(
        {"kube-api-access-abc12": NODE, "kube-api-access-x9z8y": TOKEN}, "kube-api-access-x9z8y"
    )
    for before in (first, pod({"kube-api-access-q1w2e": TOKEN}, "kube-api-access-q1w2e")):
        equal = Equal()
        pods.spec_of(before, None, equal=equal)
        assert pods.spec_of(other, None, equal=equal) == pods.spec_of(other, None)


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("automount", [True, False, None])
def test_token_follows_the_account_and_whether_the_pod_runs(
    runs: bool, automount: bool | None
) -> None:
    equal = Equal()
    for known in (True, False, None):
        for uid in ("1", None):
            given = {"metadata": {"uid": uid}, "spec": {"containers": [{"name": "main"}]}}
            pods.spec_of(given, known, equal=equal)
    given = {"metadata": {"uid": "1" if runs else None}, "spec": {"containers": [{"name": "main"}]}}
    # without a volume, a pod that runs has no token
    assert pods.spec_of(given, automount, equal=equal).token is (
        not runs and automount is not False
    )


def test_what_is_behind_a_claim_is_not_taken_from_an_equal_pod() -> None:
    given, equal = pod({"data": {"persistentVolumeClaim": {"claimName": "a"}}}, "data"), Equal()
    behind = {"data": HostPath("/etc", False)}
    plain, claimed = (pods.spec_of(given, None, it, equal) for it in ({}, behind))
    assert (plain.containers, [it.host_paths for it in claimed.containers]) == (
        (),
        [(HostPath("/etc", False),)],
    )


def test_value_that_json_does_not_have_is_read_as_before() -> None:
    given = pod({"data": NODE}, "data")
    given["spec"]["containers"][0]["livenessProbe"] = datetime.date(2026, 1, 1)
    assert pods.spec_of(given, None, equal=Equal()) == pods.spec_of(given, None)


def test_only_what_makes_pods_equal_is_read() -> None:
    """A key that is read and is not in READ would be taken from another pod."""

    class Watched(dict[str, Any]):
        asked: ClassVar[set[str]] = set()

        def get(self, key: str, default: Any = None) -> Any:
            self.asked.add(key)
            return super().get(key, default)

        def __getitem__(self, key: str) -> Any:
            self.asked.add(key)
            return super().__getitem__(key)

    container = {"name": "main", "securityContext": {"capabilities": {"add": ["NET_RAW"]}}}
    spec = Watched(containers=[container], hostNetwork=True, hostPID=True)
    pods._read(spec, False, None, {})
    assert Watched.asked == set(pods.READ)
