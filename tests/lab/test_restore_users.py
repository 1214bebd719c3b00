"""Whether a reset creates etcd's users again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

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
