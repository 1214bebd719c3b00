"""What a reset does to etcd beside its keys: users, and controllers that write keys again."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.cluster import read_environment
from labkit.lab import bootstrap, restore

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
    kept = {"etcd": {"users": USERS}}
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
