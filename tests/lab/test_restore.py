"""What a reset does to etcd beside its keys: users, and controllers that write keys again."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.cluster import read_environment
from labkit.lab import bootstrap, restore
from labkit.lab.machine import Output

SHOWN = "Authentication Status: true\nUser: root\n"


@pytest.mark.parametrize(
    ("revision", "shown", "steps"),
    [
        (b"7", "not asked for", []),
        (b"8", SHOWN, ["keep 8"]),
        (b"8", "User: somebody\n", ["make", "keep 9"]),
    ],
)
def test_users_are_made_again_if_they_are_others(
    monkeypatch: pytest.MonkeyPatch, revision: bytes, shown: str, steps: list[str]
) -> None:
    now, done = [revision], []

    def execute(_: Any, argv: list[str], *, stdin: bytes = b"", check: bool = True) -> Output:
        if argv[0] == "tee":
            done.append(f"keep {stdin.decode()}")
        return Output(0, b"7", b"")

    def make(*_: Any) -> None:
        done.append("make")
        now[0] = b"9"

    monkeypatch.setattr(restore, "execute", execute)
    monkeypatch.setattr(bootstrap, "etcd_users_revision", lambda _: now[0])
    monkeypatch.setattr(bootstrap, "etcd_users", lambda _: shown)
    monkeypatch.setattr(bootstrap, "make_etcd_users", make)
    kept = {"etcd": {"users": {"users": SHOWN}}}
    monkeypatch.setattr(restore, "kept_fingerprint", lambda _: kept)
    it: Any = SimpleNamespace()
    restore._users(it, it, it)
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

    def execute(_: Any, argv: list[str], *, timeout: float = 0) -> Output:
        if argv[0] == "systemctl":
            assert argv[2] == "kube-controller-manager.service"
            seen.append(argv[1])
            return Output(0, b"", b"")
        seen.append("restore")
        return Output(0, json.dumps(deleted).encode(), b"")

    monkeypatch.setattr(restore, "execute", execute)
    env = read_environment("insecure")
    machines: Any = {node.name: node.name for node in env.nodes}
    restore._restore_keys(machines, env)
    assert seen == done
