"""The events in the log are held against the prediction, one by one, with a positive control."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import read_environment, techniques
from labkit.cluster import Environment
from labkit.cluster.edits import Flag
from labkit.detection import audit_log, observation
from labkit.detection.audit_log import open_log, parse_events
from labkit.detection.observation import Observation, observe
from labkit.detection.run import detect
from labkit.detection.sigma_rules import own_rules
from labkit.errors import LabkitError, ProbeError, ProbeTimeout
from labkit.model import read_model
from labkit.techniques import Technique, Verdict
from labkit.techniques._lib.machines.reach import audit_id, legitimate

SCHEDULER, SILENT = techniques["scheduler-credential"], techniques["etcd-read"]


def event(ident: str, user: str = "system:kube-scheduler", verb: str = "get") -> dict[str, Any]:
    about = {"resource": "secrets", "namespace": "shop", "name": "db-credentials"}
    caller = {"username": user}
    return {"kind": "Event", "auditID": ident, "verb": verb, "user": caller, "objectRef": about}


class FakeLab:
    """A lab whose log gets what a technique writes, and the request that proves that it is read."""

    mode, name = "hardened", "fake"

    def __init__(self, mode: str = "hardened", *, proves: bool = True) -> None:
        self.environment: Environment = read_environment(mode)
        self.mode, self.proves = mode, proves
        self.log: list[dict[str, Any]] = [event("older")]
        self.inode, self.counted = "7", 3

    def exec(self, node: str, argv: list[str], **_: object) -> Any:
        text = "".join(json.dumps(it) + "\n" for it in self.log).encode()
        if argv[0] == "stat":
            return SimpleNamespace(text=f"{self.inode} {len(text)}\n", exit_code=0, error="")
        if argv[0] == "tail":
            start = int(argv[1].partition("+")[2]) - 1
            return SimpleNamespace(stdout=text[start:])
        ident = next(it for it in argv if it.startswith("Audit-ID")).partition(": ")[2]
        if self.proves:
            self.log.append(event(ident, "kubernetes-admin"))
        return SimpleNamespace(text="404", exit_code=0, error="")

    def api(self, *_: str) -> Any:
        return SimpleNamespace(text=f"apiserver_audit_event_total {self.counted}\n")

    def stretch(self) -> float:
        return 1.0

    def recover(self) -> None:
        """Nothing was interrupted."""

    def exclusive(self, what: str) -> Any:
        return contextlib.nullcontext()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "PATIENCE_S", 0.0)
    monkeypatch.setattr(observation, "PAUSE_S", 0.0)


def seen(lab: FakeLab, technique: Technique, act: Callable[[FakeLab], None]) -> Observation:
    """Observe a technique that does in the lab what a test says."""

    def execute(lab: Any, foothold: Any) -> Verdict:
        act(lab)
        return Verdict(technique.name, lab.mode, foothold, False, "HTTP 403", (), "HTTP 200")

    fake: Any = lab
    acting = replace(technique, execute=execute)
    model = read_model(lab.environment)
    return observe(fake, model, open_log(fake, model), acting, acting.footholds[0])


def attacks(lab: FakeLab) -> None:
    lab.log.append(event(audit_id()))


def test_predicted_event_in_the_log_agrees() -> None:
    found = seen(FakeLab(), SCHEDULER, attacks)
    assert (found.verdict, found.word, found.outcome) == ("agree", "seen", "refused")
    assert [it["verb"] for it in found.attack] == ["get"]
    assert found.ordinary == ()


def test_missing_event_disagrees() -> None:
    found = seen(FakeLab(), SCHEDULER, lambda lab: None)
    assert (found.verdict, found.word) == ("disagree", "none")
    assert found.difference == "not in the log: get secrets in shop by system:kube-scheduler"


def test_event_that_nobody_predicted_disagrees() -> None:
    found = seen(FakeLab(), SILENT, attacks)
    assert (found.verdict, found.word) == ("disagree", "seen")
    assert found.difference.startswith("in the log, not predicted: get secrets in shop")


@pytest.mark.parametrize("other", [{"user": "alice"}, {"verb": "list"}])
def test_another_event_than_the_predicted_one_disagrees(other: dict[str, str]) -> None:
    found = seen(FakeLab(), SCHEDULER, lambda lab: lab.log.append(event(audit_id(), **other)))
    assert found.verdict == "disagree"
    assert found.difference.count("; ") == 1


def test_control_and_other_clients_are_ordinary() -> None:
    def act(lab: FakeLab) -> None:
        attacks(lab)
        with legitimate():
            lab.log.append(event(audit_id(), verb="list"))
            # the attacker's own credential, refused: no legitimate client
            lab.log.append({**event(audit_id()), "responseStatus": {"code": 403}})
        lab.log.append(event("0f0f", "system:apiserver"))

    found = seen(FakeLab(), SCHEDULER, act)
    assert found.verdict == "agree"
    assert [(it["verb"], it["user"]["username"]) for it in found.ordinary] == [
        ("list", "system:kube-scheduler"),
        ("get", "system:apiserver"),
    ]


def test_log_without_our_own_request_is_no_evidence() -> None:
    for technique in (SCHEDULER, SILENT):
        found = seen(FakeLab(proves=False), technique, lambda lab: None)
        assert (found.verdict, found.word) == ("unprobed", "unprobed")
        assert "what the log lacks is no evidence" in found.reason


def test_rotated_log_is_no_evidence() -> None:
    def rotate(lab: FakeLab) -> None:
        lab.inode = str(int(lab.inode) + 1)

    found = seen(FakeLab(), SILENT, rotate)
    assert (found.verdict, "rotated" in found.reason) == ("unprobed", True)


def test_technique_without_a_result_is_unprobed_and_tried_again() -> None:
    tries = []

    def fail(lab: FakeLab) -> None:
        tries.append(lab)
        raise ProbeTimeout("no answer")

    found = seen(FakeLab(), SCHEDULER, fail)
    assert (found.verdict, found.reason, len(tries)) == ("unprobed", "no answer", 3)


def test_apiserver_without_a_log_is_asked_how_many_events_it_counts() -> None:
    assert seen(FakeLab("insecure"), SCHEDULER, lambda lab: None).verdict == "agree"

    def count(lab: FakeLab) -> None:
        lab.counted += 1

    found = seen(FakeLab("insecure"), SCHEDULER, count)
    assert (found.verdict, "rose from 5 to 6" in found.reason) == ("unprobed", True)


@given(st.binary(max_size=60))
def test_any_bytes_are_events_or_an_error(text: bytes) -> None:
    try:
        found = parse_events(text)
    except ProbeError:
        return
    assert all(it["kind"] == "Event" for it in found)


def test_events_that_go_to_a_webhook_are_not_read() -> None:
    unit = "kube-apiserver.service"
    env = read_environment(
        "hardened",
        [
            Flag("master", unit, "audit-log-path", None),
            Flag("master", unit, "audit-webhook-config-file", "/etc/kubernetes/audit-webhook.conf"),
        ],
    )
    fake: Any = SimpleNamespace(environment=env)
    with pytest.raises(LabkitError, match="the audit events go to a webhook"):
        open_log(fake, read_model(env))


class LabWithJournal(FakeLab):
    """A lab whose apiserver writes its events into the journal, among its other lines."""

    def __init__(self) -> None:
        super().__init__("logs-hardened")

    def exec(self, node: str, argv: list[str], **options: object) -> Any:
        if argv[0] != "journalctl":
            return super().exec(node, argv, **options)
        assert "--unit=kube-apiserver.service" in argv
        cursor = next((it for it in argv if it.startswith("--after-cursor=")), "")
        if not cursor:
            text = json.dumps({"__CURSOR": f"s=1;i={len(self.log)}"})
            return SimpleNamespace(text=text, exit_code=0, error="")
        lines = [json.dumps(it, separators=(",", ":")) for it in self.log]
        after = lines[int(cursor.rpartition("=")[2]) :]
        text = "".join(f"{it}\n" for it in ["I1128 trace.go:1", *after])
        return SimpleNamespace(text=text, exit_code=0, error="")


def test_events_in_the_journal_are_read_from_a_cursor_on() -> None:
    lab = LabWithJournal()
    lab.log.append(event("labkit-before"))
    found = seen(lab, SCHEDULER, attacks)
    assert (found.verdict, found.word) == ("agree", "seen")
    assert [it["auditID"] for it in found.ordinary] == []
    assert seen(LabWithJournal(), SCHEDULER, lambda lab: None).verdict == "disagree"


def test_rules_are_run_over_the_attack_and_over_everything_else() -> None:
    def execute(lab: Any, foothold: Any) -> Verdict:
        attacks(lab)
        # the certificate of kube-proxy in the positive control
        lab.log.append(event("0e0e", "system:kube-proxy"))
        return Verdict(SCHEDULER.name, lab.mode, foothold, False, "HTTP 403", (), "HTTP 200")

    fake: Any = FakeLab()
    fake.kubectl = lambda *_: None
    lines: list[str] = []
    rules = own_rules().rules
    acting = replace(SCHEDULER, execute=execute)
    quiet = detect(fake, [acting], rules, traffic=0.0, tell=lines.append)
    [cell] = quiet.cells
    assert cell.fires == ("scheduler-reads-secrets",)
    assert (cell.on_ordinary, quiet.exit_code) == ((), 0)
    assert quiet.loud == ("kube-proxy-leaves-its-work",)
    assert f"{len(rules)} rules over 1 events of ordinary traffic" in lines
    # the same request by somebody who may: the rule is too loud
    fake.kubectl = lambda *_: fake.log.append(event("0d0d"))
    noisy = detect(fake, [acting], rules, traffic=0.0)
    [cell] = noisy.cells
    assert noisy.loud == ("kube-proxy-leaves-its-work", "scheduler-reads-secrets")
    assert cell.on_ordinary == ("scheduler-reads-secrets",)
    assert cell.row[-2:] == ("scheduler-reads-secrets", "scheduler-reads-secrets")


def test_an_hour_of_traffic_is_read_round_by_round(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds
        fake.log.append(event(f"idle-{now}"))

    fake: Any = FakeLab()
    worked: list[str] = []

    def work(*arguments: str) -> None:
        worked.append(arguments[0])
        fake.log.append(event(f"work-{len(worked)}"))

    fake.kubectl = work
    clock = SimpleNamespace(monotonic=lambda: now, sleep=pass_time)
    monkeypatch.setattr(observation, "time", clock)
    log = open_log(fake, read_model(fake.environment))
    lines: list[str] = []
    found = observation.ordinary_traffic(fake, log, 150.0, lines.append)
    assert len(worked) == 3 * len(observation.WORK)
    assert now == 150
    # each event once, and none is lost between two rounds; what was there before is left out
    names = [it["auditID"] for it in found]
    assert len(names) == len(set(names)) == len(worked) + 3
    # a client chooses its audit id, so two events may have the same
    fake.kubectl = lambda *_: fake.log.append(event("chosen", f"user {len(fake.log)}"))
    chosen = observation.ordinary_traffic(fake, log, 0.0)
    assert [it["auditID"] for it in chosen].count("chosen") == len(observation.WORK)
    assert [line.partition(":")[0] for line in lines] == ["1 of 2 min", "2 of 2 min"]


def test_the_administrator_works_in_a_light_lab_as_well() -> None:
    known = {node.name for node in read_environment("hardened").nodes}
    light = {node.name for node in read_environment("light-hardened").nodes}
    named = known & {word for arguments in observation.WORK for word in arguments}
    assert named
    assert named <= light
