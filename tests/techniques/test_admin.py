"""Requests as the administrator, and a client that has to call again."""

from __future__ import annotations

import json
import threading
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import read_environment, techniques
from labkit.errors import LabError, ProbeError, ProbeTimeout
from labkit.lab import Output
from labkit.lab.curl import as_curl
from labkit.model import read_model
from labkit.model.footholds import ROOT_ON_WORKER
from labkit.techniques._lib.machines import admin as _admin
from labkit.techniques._lib.wire import interception

POD = "/api/v1/namespaces/default/pods/labkit"


class FakeLab:
    """A lab whose apiserver always gives the same answer."""

    def __init__(self, body: object, status: int = 0) -> None:
        self.output = Output(status, json.dumps(body).encode(), b"curl: (22) 403")
        self.asked: list[tuple[str, str, object]] = []

    def api(self, method: str, path: str, body: object = None, *, check: bool = True) -> Output:
        assert not check
        self.asked.append((method, path, body))
        return self.output


def test_missing_object_is_read_as_empty_and_removed_silently() -> None:
    lab: Any = FakeLab({"kind": "Status", "code": 404, "message": "not found"}, 22)
    assert _admin.read(lab, POD) == {}
    _admin.remove(lab, POD)
    assert [method for method, _, _ in lab.asked] == ["GET", "DELETE"]
    with pytest.raises(ProbeError, match=r"may not POST /api/v1.*: not found"):
        _admin.create(lab, POD, {})
    with pytest.raises(ProbeError, match=r"may not PATCH /api/v1.*: not found"):
        _admin.label(lab, POD, "name", None)


def test_refusal_to_read_is_an_error() -> None:
    for body in ({"code": 403, "message": "no"}, {}, "no JSON object"):
        with pytest.raises(ProbeError, match="the administrator may not GET"):
            _admin.read(FakeLab(body, 22), POD)  # type: ignore[arg-type]


def test_annotations_and_labels_are_removed_with_null() -> None:
    lab: Any = FakeLab({})
    _admin.annotate(lab, POD, "labkit/mark", None)
    _admin.label(lab, POD, "labkit/mark", "1")
    assert [body for _, _, body in lab.asked] == [
        {"metadata": {"annotations": {"labkit/mark": None}}},
        {"metadata": {"labels": {"labkit/mark": "1"}}},
    ]


@pytest.mark.parametrize("mode", ["insecure", "hardened"])
def test_request_uses_the_administrators_certificate(mode: str) -> None:
    argv = as_curl(read_environment(mode), "PATCH", f"{POD}?dryRun=All")
    assert argv[-1] == f"https://master:6443{POD}?dryRun=All"
    assert "/etc/kubernetes/pki/admin.key" in " ".join(argv).replace("super-", "")
    assert "Content-Type: application/merge-patch+json" in argv
    assert ("--insecure" in argv) == (mode == "insecure")
    assert "--data-binary" in argv
    assert "--data-binary" not in as_curl(read_environment(mode), "GET", POD)


def test_request_without_an_administrator_certificate_is_refused() -> None:
    nobody: Any = SimpleNamespace(name="odd", kubeconfigs=(), bootstrap_kubeconfig="/admin.conf")
    with pytest.raises(LabError, match=r"odd: /admin\.conf has no client certificate"):
        as_curl(nobody, "GET", POD)


# -- interception ---------------------------------------------------------------------------


def test_client_whose_call_was_lost_calls_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The false server meets the client only on its second call."""
    calls: list[int] = []
    second = threading.Event()

    def call(lab: Any) -> bytes:
        calls.append(1)
        if len(calls) == 2:
            second.set()
        return b"connection reset by peer" if len(calls) == 1 else b"unknown authority"

    def run(*_: Any, **__: Any) -> Output:
        seen = [{"alert": "bad certificate"}] if second.wait(60) else []
        return Output(0, json.dumps(seen).encode(), b"")

    found = techniques["mitm-kubelet"]
    target = interception.InterceptionTarget(
        "kube-apiserver@* -> kubelet@worker2:*", call, "", "", lambda lab: "well"
    )
    monkeypatch.setattr(interception, "CALL", 0.05)
    monkeypatch.setattr(interception, "run", run)
    monkeypatch.setattr(interception, "wait_until_poisoned", lambda *_: None)
    monkeypatch.setattr(interception, "leaving", lambda *_: nullcontext())
    monkeypatch.setattr(interception, "place_of", lambda *_: "worker1")
    lab: Any = SimpleNamespace(
        environment=read_environment("hardened"),
        mode="hardened",
        addresses={"master": "10.1.0.10", "worker2": "10.1.0.22"},
        stretch=lambda: 1.0,
    )
    assert read_model(lab.environment).open_channels(found.about)
    verdict = interception.intercept(lab, found.footholds[0], found.name, target)
    assert (verdict.reason, verdict.control) == ("TLS alert: bad certificate", "well")
    assert len(calls) >= 2


def test_client_that_never_calls_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interception, "intercept_calls", lambda *_: ([], []))
    lab: Any = SimpleNamespace(environment=read_environment("hardened"), mode="hardened")
    target = interception.InterceptionTarget(
        "kube-apiserver@* -> kubelet@worker2:*", lambda _: None, "", "", str
    )
    with pytest.raises(ProbeTimeout, match="did not call"):
        interception.intercept(lab, ROOT_ON_WORKER, "mitm-kubelet", target)
