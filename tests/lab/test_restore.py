"""What a reset does beside files and keys: etcd's users, controllers that write again, pods."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.cluster import read_environment
from labkit.errors import StartTimeout
from labkit.lab import bootstrap, restore
from labkit.lab.fingerprint import set_by_people

USERS = {"authentication": "enabled", "user root": "root"}


@pytest.mark.parametrize(
    ("now", "steps"),
    [
        (USERS, []),
        (USERS | {"user somebody": ""}, ["make"]),
        (USERS | {"authentication": "disabled"}, ["make"]),
    ],
)
def test_users_are_made_again_if_they_are_others(
    monkeypatch: pytest.MonkeyPatch, now: dict[str, str], steps: list[str]
) -> None:
    done: list[str] = []
    monkeypatch.setattr(bootstrap, "etcd_users", lambda _: now)
    monkeypatch.setattr(bootstrap, "make_etcd_users", lambda *_: done.append("make"))
    kept: Any = {"etcd": {"users": USERS}}
    it: Any = SimpleNamespace()
    restore._users(it, it, kept)
    assert done == steps


@pytest.mark.parametrize(
    ("deleted", "done"),
    [
        (["/registry/clusterroles/admin"], ["restore", "stop", "restore", "start"]),
        (["/registry/pods/shop/left"], ["restore"]),
        ([], ["restore"]),
    ],
)
def test_controllers_do_not_run_while_what_they_write_again_is_deleted(
    monkeypatch: pytest.MonkeyPatch, deleted: list[str], done: list[str]
) -> None:
    seen: list[str] = []

    def execute(_: Any, argv: list[str]) -> None:
        assert (argv[0], argv[2]) == ("systemctl", "kube-controller-manager.service")
        seen.append(argv[1])

    def call(_: Any, program: str, action: str, *_words: str, timeout: float) -> str:
        assert (program, action) == ("etcd_keys", "restore")
        seen.append("restore")
        return json.dumps(deleted)

    monkeypatch.setattr(restore, "execute", execute)
    monkeypatch.setattr(restore, "call", call)
    env = read_environment("insecure")
    machines: Any = {node.name: node.name for node in env.nodes}
    restore._restore_keys(machines, env)
    assert seen == done


POD: dict[str, Any] = {
    "metadata": {"namespace": "shop", "name": "web"},
    "spec": {"nodeName": "worker1"},
}
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
NODES = [
    {"metadata": {"name": "worker1"}, "status": READY},
    {"metadata": {"name": "worker2"}, "status": {}},
]


@pytest.mark.parametrize(
    ("pod", "late", "done"),
    [
        (POD | {"status": READY}, False, ["wait"]),
        (POD | {"status": {"phase": "Failed"}}, False, ["wait", "renew shop/web", "wait"]),
        (
            {
                **POD,
                "spec": {"nodeName": "worker1", "ephemeralContainers": [{"image": "a"}]},
                "status": READY,
            },
            False,
            ["wait", "renew shop/web", "wait"],
        ),
        (
            {**POD, "metadata": {**POD["metadata"], "deletionTimestamp": "now"}, "status": READY},
            False,
            ["wait", "renew shop/web", "wait"],
        ),
        # it is gone by the time that it is looked for
        ({}, True, ["wait", "renew shop/web", "wait"]),
        (POD | {"status": {"phase": "Pending"}}, True, ["wait", "renew shop/web", "wait"]),
        # its node is late, and nobody there can delete it
        (
            {**POD, "spec": {"nodeName": "worker2"}, "status": {"phase": "Running"}},
            True,
            ["wait", "wait"],
        ),
        # something else is late: a worker, or a service
        (POD | {"status": READY}, True, ["wait", "wait"]),
    ],
)
def test_pods_that_do_not_come_back_are_made_again(
    monkeypatch: pytest.MonkeyPatch, pod: dict[str, Any], late: bool, done: list[str]
) -> None:
    seen: list[str] = []

    def wait(_master: Any, _env: Any, _deadline: float = 60) -> None:
        seen.append("wait")
        if late and len(seen) == 1:
            raise StartTimeout("not ready")

    def renew(_master: Any, _env: Any, names: list[str]) -> None:
        seen.extend(f"renew {name}" for name in names)

    def execute(_: Any, argv: list[str], timeout: float) -> Any:
        pods = [pod] if pod else []
        return SimpleNamespace(stdout=json.dumps(NODES if argv[-1] == "nodes" else pods))

    monkeypatch.setattr(restore, "execute", execute)
    monkeypatch.setattr(bootstrap, "wait_for_workloads", wait)
    monkeypatch.setattr(bootstrap, "renew_pods", renew)
    node = pod.get("spec", POD["spec"])["nodeName"]
    as_kept = set_by_people({**POD, "spec": {"nodeName": node}})
    kept = {"objects": {"Pod": {"shop/web": as_kept}}}
    master: Any = SimpleNamespace()
    with contextlib.suppress(StartTimeout):
        restore.restore_pods(master, read_environment("insecure"), kept)
    assert seen == done
