"""The answers to what the page asks, and a flip in a lab (a stand-in: no Docker)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from labkit import controls, read_environment
from labkit.diagram import in_lab
from labkit.diagram.effects import path_changes
from labkit.diagram.session import Session
from labkit.errors import ConfigError, LabBusy
from labkit.lab.progress import QuietReporter
from labkit.lab.status import Timings
from labkit.model import Draft, Model, read_model
from labkit.verification import Report, Row


def control(answer: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [it for it in answer["controls"] if it["name"] == name]
    return dict(found)


def test_every_control_is_offered_for_an_environment() -> None:
    answer = Session(read_model("hardened")).shown()
    assert [it["name"] for it in answer["controls"]] == list(controls)
    assert all(it["in_lab"] is None for it in answer["controls"])


def test_control_of_hardened_can_be_taken_out() -> None:
    session = Session(read_model("hardened"))
    answer = session.flip({"kubelet-anonymous": False})
    assert control(answer, "kubelet-anonymous")["in_model"] is False
    assert control(answer, "kubelet-anonymous")["from_start"] is True
    assert any(it["after"] == "open" for it in answer["finding_changes"])


def test_control_that_is_as_at_the_start_changes_nothing() -> None:
    session = Session(read_model("insecure"))
    answer = session.flip({"docker-tcp": False})
    assert answer == session.shown()
    assert answer["finding_changes"] == answer["path_changes"] == []


def test_flips_are_counted_from_the_start() -> None:
    session = Session(read_model("insecure"))
    start = session.shown()
    session.flip({"docker-tcp": True, "kubelet-read-only-port": True})
    assert session.flip({}) == start


def test_flipping_what_is_not_offered_is_an_error() -> None:
    with pytest.raises(ConfigError, match="control nonsense cannot be flipped"):
        Session(read_model("insecure")).flip({"nonsense": True})


def test_paths_follow_the_controls() -> None:
    session = Session(read_model("insecure"))
    assert session.paths("network", "node")["answer"] == "reached"
    cut = ("docker-tcp", "insecure-port", "kubelet-anonymous")
    changed = session.flip(dict.fromkeys(cut, True))
    before = {(it["start"], it["goal"]) for it in changed["path_changes"]}
    now = session.paths("network", "node")["answer"]
    assert (("on the cluster network", "root on a node") in before) == (now != "reached")


def doubtful() -> Model:
    draft = Draft("doubtful")
    draft.component("kube-apiserver")
    draft.component("etcd")
    draft.channel(
        "kube-apiserver", "etcd", encryption="none", client_authentication="unknown",
        authorization="allow-all",
    )  # fmt: skip
    return draft.model()


def test_possible_path_says_what_to_find_out() -> None:
    found = Session(doubtful()).paths("pod", "secrets")
    assert found["answer"] == "possible"
    assert any(step["unknown"] for step in found["paths"][0]["steps"])


def test_path_that_becomes_possible_is_not_called_out_of_reach() -> None:
    from labkit.analysis import reach

    known = Draft("known")
    known.component("kube-apiserver")
    known.component("etcd")
    known.channel(
        "kube-apiserver", "etcd", encryption="none", client_authentication="none",
        authorization="allow-all",
    )  # fmt: skip
    changes = path_changes(reach(known.model()), reach(doubtful()))
    assert {"reached", "possible"} in [{it["before"], it["after"]} for it in changes]


# -- a lab ----------------------------------------------------------------------------------


class StandIn:
    """A lab that changes nothing but its own record of the configuration."""

    name, mode = "default", "insecure"

    def __init__(self) -> None:
        self.environment = read_environment("insecure")
        self.reporter = QuietReporter()
        self.refusal: Exception | None = None

    @contextlib.contextmanager
    def exclusive(self, what: str) -> Iterator[None]:
        if self.refusal is not None:
            raise self.refusal
        yield

    def recover(self) -> None:
        pass

    def apply(self, edits: Any) -> Timings:
        with self.reporter.step("insecure: change the configuration"):
            self.environment = read_environment(self.environment.folder, edits)
        return Timings(1.0)


def agreeing(lab: StandIn, model: Model, only: list[str]) -> Report:
    chosen = [it for it in model.channels if it.id in only]
    return Report(
        Row(lab.mode, it.id, "encryption", it.encryption.value, "", it.encryption.value, "seen",
            "", "agree")
        for it in chosen
    )  # fmt: skip


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(in_lab, "verify", agreeing)
    return StandIn()


def test_flip_in_the_lab_brings_new_evidence(lab: Any) -> None:
    session = Session(read_model("insecure"), lab=lab)
    lines: list[str] = []
    answer = session.flip_in_lab("etcd-client-tls", True, lines.append)
    assert lines == ["insecure: change the configuration"]
    assert control(answer, "etcd-client-tls")["in_lab"] is True
    assert control(answer, "etcd-client-tls")["in_model"] is True
    claim = answer["channels"]["kube-apiserver@master -> etcd@etcd1:2379"]["claims"][0]
    assert claim["evidence"]["verdict"] == "agree"
    assert claim["evidence"]["observed"].startswith("tls")
    assert "agree" in answer["verified"]


def test_only_the_changed_channels_are_probed(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def verify(lab: StandIn, model: Model, only: list[str]) -> Report:
        asked.append(only)
        return agreeing(lab, model, only)

    monkeypatch.setattr(in_lab, "verify", verify)
    Session(read_model("insecure"), lab=lab).flip_in_lab("kubelet-read-only-port", True, print)
    assert asked == [[f"anyone@network -> kubelet@worker{n}:10255" for n in (1, 2)]]


def test_flip_that_changes_no_claim_probes_nothing(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_lab, "verify", None)
    answer = Session(read_model("insecure"), lab=lab).flip_in_lab("pod-security", True, print)
    assert answer["verified"] == "no channel's claims changed"


def test_refusal_of_the_lab_is_raised_and_the_reporter_is_put_back(lab: Any) -> None:
    lab.refusal = LabBusy("labkit verify runs in it")
    reporter = lab.reporter
    session = Session(read_model("insecure"), lab=lab)
    with pytest.raises(LabBusy, match="labkit verify runs"):
        session.flip_in_lab("docker-tcp", True, print)
    assert lab.reporter is reporter
    lab.refusal = None
    session.flip_in_lab("docker-tcp", True, lambda line: None)


def test_second_flip_during_a_flip_is_refused(lab: Any) -> None:
    session = Session(read_model("insecure"), lab=lab)
    refusals: list[str] = []

    def tell(line: str) -> None:
        with pytest.raises(LabBusy) as caught:
            session.flip_in_lab("docker-tcp", False, print)
        refusals.append(str(caught.value))

    session.flip_in_lab("docker-tcp", True, tell)
    assert refusals


def test_flip_without_a_lab_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no lab is attached"):
        Session(read_model("insecure")).flip_in_lab("docker-tcp", True, print)
