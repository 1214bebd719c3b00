"""The requests that an audit log must show are made, and looked for in it."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import read_environment
from labkit.cluster import Environment
from labkit.model import read_model
from labkit.model.credentials import AUDITED
from labkit.verification.audit import audit_question, audit_rows

ALL = len(AUDITED)
POLICY = "/etc/kubernetes/audit-policy.yaml"


class FakeLab:
    """A lab whose apiserver records the requests that a test says."""

    def __init__(self, env: Environment, records: str, answers: str = "404") -> None:
        self.environment, self.mode = env, env.name
        self._records, self._answers = re.compile(records), answers
        self._log: list[str] = []
        self._events = 0
        #: The request at which the apiserver starts again, and counts its events from 0.
        self.starts_at, self.then = 0, "000"
        self.asked = self.waits = 0

    def exec(self, node: str, argv: list[str], **_: object) -> Any:
        if argv[0] == "grep":
            return SimpleNamespace(text="\n".join(self._log), exit_code=0, error="")
        path = next(it for it in argv if it.startswith(("https://", "http://")))
        ident = next(it for it in argv if it.startswith("Audit-ID")).partition(": ")[2]
        if self._records.search(path):
            self._log.append(json.dumps({"auditID": ident}))
            self._events += 1
        self.asked += 1
        if self.asked == self.starts_at:
            self._events = 0
            return SimpleNamespace(text=self.then, exit_code=0, error="refused")
        return SimpleNamespace(text=self._answers, exit_code=0, error="refused")

    def api(self, *_: str) -> Any:
        return SimpleNamespace(text=f"apiserver_audit_event_total {self._events}\n")

    def wait(self) -> None:
        self.waits += 1


@pytest.mark.parametrize(
    ("mode", "records", "observed", "verdict", "reason"),
    [
        ("hardened", ".", "on", "agree", f"all {ALL} requests"),
        ("hardened", "secrets", "partial", "disagree", "get pods/exec"),
        ("hardened", "nowhere", "none", "disagree", "get secrets, list secrets"),
        ("insecure", "nowhere", "none", "agree", "stays at 0"),
        ("insecure", "exec", "partial", "disagree", "rose from 0 to 2"),
    ],
)
def test_log_is_held_against_its_claim(
    mode: str, records: str, observed: str, verdict: str, reason: str
) -> None:
    env = read_environment(mode)
    lab: Any = FakeLab(env, records)
    [row] = audit_rows(lab, read_model(env))
    assert (row.observed, row.verdict) == (observed, verdict)
    assert reason in row.reason
    assert "HTTP 404" in row.control


def test_apiserver_that_does_not_answer_is_unprobed() -> None:
    env = read_environment("hardened")
    lab: Any = FakeLab(env, "nowhere", answers="000")
    [row] = audit_rows(lab, read_model(env))
    assert (row.observed, row.verdict) == ("", "unprobed")
    assert lab.waits == 1


@pytest.mark.parametrize(
    ("mode", "records", "observed"), [("insecure", "nowhere", "none"), ("hardened", ".", "on")]
)
def test_apiserver_that_starts_again_is_asked_again(mode: str, records: str, observed: str) -> None:
    env = read_environment(mode)
    lab: Any = FakeLab(env, records)
    lab.starts_at = 3
    [row] = audit_rows(lab, read_model(env))
    assert (row.observed, row.verdict) == (observed, "agree")
    assert lab.waits == 1


def test_count_of_events_that_begins_again_says_nothing() -> None:
    env = read_environment("insecure")
    lab: Any = FakeLab(env, "nowhere")
    lab._events, lab.starts_at, lab.then = 7, 3, "404"
    [row] = audit_rows(lab, read_model(env))
    assert (row.observed, row.verdict) == ("none", "agree")
    assert lab.waits == 1


def test_metrics_that_do_not_count_events_are_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLab, "api", lambda *_: SimpleNamespace(text="go_goroutines 7\n"))
    env = read_environment("insecure")
    lab: Any = FakeLab(env, "nowhere")
    [row] = audit_rows(lab, read_model(env))
    assert (row.observed, row.verdict) == ("", "unprobed")


def test_no_question_changes_the_cluster() -> None:
    for request in AUDITED:
        question = audit_question(request)
        assert question.method == "GET" or re.search(r"labkit-probe/|dryRun=All", question.path)


@pytest.mark.lab
def test_audit_claim_agrees_and_a_changed_policy_does_not(labs: dict[str, Any]) -> None:
    for lab in labs.values():
        [row] = audit_rows(lab, read_model(lab.environment))
        assert row.verdict == "agree", row
    lab = labs["hardened"]
    text = lab.read_file("master", POLICY).decode()
    assert "[pods/exec, " in text
    try:
        lab.write_file("master", POLICY, text.replace("[pods/exec, ", "[").encode())
        lab.exec("master", ["systemctl", "restart", "kube-apiserver"], timeout=60)
        lab.wait()
        [row] = audit_rows(lab, read_model(lab.environment))
    finally:
        lab.reset()
    assert (row.claimed, row.observed, row.verdict) == ("on", "partial", "disagree")
    assert row.reason.endswith(": get pods/exec")
