"""A change of a lab's configuration that is killed in the middle loses nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from labkit.cli import app
from labkit.cluster import read_environment
from labkit.errors import CommandFailed, LabError
from labkit.lab import secret_store
from labkit.lab.fingerprint import KEPT
from labkit.lab.machine import FileSpec, Output
from labkit.lab.status import READY
from labkit.verification import verify

STORED = "/registry/secrets/"


class Machine:
    """A master whose apiserver answers, with an etcd of secrets, and files."""

    def __init__(self, *names: str) -> None:
        self.secrets = {name: secret(name) for name in names}
        self.files: dict[str, bytes] = {}
        self.down = False
        self.said: list[str] = []

    def execute(self, _: Any, argv: Sequence[str], *, stdin: bytes = b"", **how: Any) -> Output:
        self.said += argv
        match argv:
            case ["kubectl", _, "get", "secrets", *_] if not self.down:
                items = {"items": list(self.secrets.values())}
                return Output(0, json.dumps(items).encode(), b"")
            case ["kubectl", _, "apply", *_, file] if not self.down:
                items = json.loads(self.files[file.removeprefix("--filename=")])["items"]
                self.secrets |= {item["metadata"]["name"]: item for item in items}
            case ["kubectl", *_]:
                raise CommandFailed("the apiserver is down")
            case ["cat", file]:
                return Output(0 if file in self.files else 1, self.files.get(file, b""), b"")
            case ["rm", "-f", file]:
                self.files.pop(file, None)
            case ["sync", file]:
                assert file in self.files
            case ["mv", before, after]:
                self.files[after] = self.files.pop(before)
            case ["sh", "-c", *_, "etcdctl", "del", keys, "--prefix"]:
                assert keys == STORED
                assert secret_store.OUT in self.files, "the secrets are not kept yet"
                self.secrets.clear()
            case _:
                raise AssertionError(argv)
        return Output(0, b"", b"")

    def send_files(self, _: Any, specs: Sequence[FileSpec]) -> None:
        for spec in specs:
            assert spec.mode == 0o600, "only root may read the secrets"
            self.files[spec.path] = spec.data


def secret(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": "1", "resourceVersion": "7"}
    return {"kind": "Secret", "metadata": metadata, "data": {"password": f"value-of-{name}"}}


def store(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> secret_store.SecretStore:
    monkeypatch.setattr(secret_store, "execute", machine.execute)
    monkeypatch.setattr(secret_store, "send_files", machine.send_files)
    etcd: Any = None
    return secret_store.SecretStore(etcd, etcd, read_environment("hardened"))


def test_a_later_process_puts_back_what_a_killed_one_took_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine("a", "b")
    store(machine, monkeypatch).take_out()
    assert not machine.secrets
    # it was killed, and then a controller made a secret
    machine.secrets["c"] = secret("c")
    later = store(machine, monkeypatch)
    later.take_out()
    later.put_back()
    assert set(machine.secrets) == {"a", "b", "c"}
    assert machine.secrets["a"]["data"] == {"password": "value-of-a"}
    assert "uid" not in machine.secrets["a"]["metadata"]
    assert not machine.files
    assert not [word for word in machine.said if "value-of" in word]


def test_secrets_wait_in_the_file_while_the_apiserver_is_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine("a")
    store(machine, monkeypatch).take_out()
    machine.down = True
    store(machine, monkeypatch).take_out()
    with pytest.raises(CommandFailed):
        store(machine, monkeypatch).put_back()
    machine.down = False
    store(machine, monkeypatch).put_back()
    assert set(machine.secrets) == {"a"}


def test_without_an_interruption_a_silent_apiserver_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine("a")
    machine.down = True
    with pytest.raises(CommandFailed):
        store(machine, monkeypatch).take_out()
    assert set(machine.secrets) == {"a"}


def test_a_cluster_without_secrets_is_changed_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine()
    some = store(machine, monkeypatch)
    some.take_out()
    some.put_back()
    assert not machine.secrets
    assert not machine.files


def test_a_lab_that_cannot_be_recovered_is_not_verified() -> None:
    def recover() -> None:
        raise LabError("a firewall rule cannot be removed")

    lab: Any = SimpleNamespace(
        name="demo",
        mode="hardened",
        recover=recover,
        reporter=None,
        exclusive=lambda what: nullcontext(),
    )
    with pytest.raises(LabError, match="cannot be removed"):
        verify(lab)


#: Flips a control, and says when nothing but the file holds the secrets.
KILLED = """
import sys, time
from labkit import controls
from labkit.lab import Lab, change

def wait(*_):
    print("now", flush=True)
    time.sleep(600)

change._bring = wait
lab = Lab(sys.argv[1], name=sys.argv[2])
lab.apply(controls["encryption-at-rest"].flip(lab.environment, False))
"""


def secrets_of(lab: Any) -> dict[str, Any]:
    items = json.loads(lab.kubectl("get", "secrets", "-A", "-o", "json").stdout)["items"]
    return {f"{it['metadata']['namespace']}/{it['metadata']['name']}": it["data"] for it in items}


def test_a_flip_that_is_killed_loses_no_secret(lab_hardened: Any) -> None:
    lab = lab_hardened
    before = secrets_of(lab)
    assert "shop/db-credentials" in before
    argv = [sys.executable, "-c", KILLED, lab.mode, lab.name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL)
    try:
        assert secrets_of(lab) == {}
        said = lab.exec("master", ["stat", "-c", "%a %U", secret_store.OUT]).text
        assert said == "600 root\n"
        assert lab.status().interrupted
        assert not lab.status().running
        options = ["--name", lab.name, "--mode", lab.mode]
        shown = CliRunner().invoke(app, ["status", *options])
        assert f"interrupted: a change; next: labkit reset --name {lab.name}" in shown.output
        done = CliRunner().invoke(app, ["reset", *options])
        assert done.exit_code == 0, done.output
    finally:
        lab._forget()
        lab.reset()
    assert secrets_of(lab) == before
    assert not lab.status().interrupted
    assert lab.exec("master", ["test", "-e", secret_store.OUT], check=False).exit_code == 1
    assert {row.verdict for row in verify(lab).rows} == {"agree"}


def test_a_control_that_a_signal_ends_undoes_itself(lab_hardened: Any) -> None:
    lab = lab_hardened
    before = secrets_of(lab)
    options = ["--name", lab.name, "--mode", lab.mode]
    argv = [sys.executable, "-m", "labkit", "control", "off", "encryption-at-rest", *options]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while secrets_of_now(lab):
            assert time.monotonic() < deadline
        shown = CliRunner().invoke(app, ["status", *options])
        assert "running: control off encryption-at-rest" in shown.output
        assert "interrupted" not in shown.output
        process.terminate()
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(120) == 128 + signal.SIGTERM
    assert said.endswith("interrupted\n")
    lab._forget()
    assert lab.environment.edits == ()
    assert not lab.status().interrupted
    assert secrets_of(lab) == before


def secrets_of_now(lab: Any) -> str:
    """Return the keys of secrets in etcd, which answers while the apiserver restarts."""
    return str(lab.etcdctl("get", STORED, "--prefix", "--keys-only").text)


def test_a_reset_does_not_make_a_lab_ready_whose_start_did_not_end(lab_insecure: Any) -> None:
    lab, marks = lab_insecure, f"{KEPT} {READY}"
    lab.exec("master", ["sh", "-c", f"for it in {marks}; do mv $it $it.away; done"])
    try:
        lab.exec("worker2", ["systemctl", "stop", "kube-proxy.service"])  # what the reset repairs
        with pytest.raises(LabError, match=r"the start of lab .* did not end"):
            lab.reset()
        assert lab.status().state == "incomplete"
    finally:
        lab.exec("master", ["sh", "-c", f"for it in {marks}; do mv $it.away $it; done"])
        lab.reset()
    assert lab.status().state == "ready"
