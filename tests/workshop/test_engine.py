"""Labs edited by hand, flags, progress, magics and participants' copies, without Docker."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import labkit
from labkit import read_environment
from labkit.agents import configuration, workshop_key
from labkit.analysis.findings.finding import Findings
from labkit.analysis.findings.threats import find_threats
from labkit.cluster import Node, read_cluster
from labkit.cluster.edits import Whole
from labkit.cluster.syntax.source import Source
from labkit.errors import (
    CommandFailed,
    ConfigError,
    LabBusy,
    LabError,
    NoSuchLab,
    ProbeTimeout,
    StartTimeout,
)
from labkit.lab import LabStatus, Output
from labkit.lab.files import machine_files
from labkit.lab.progress import PlainReporter, QuietReporter
from labkit.model import read_model
from labkit.model.claims import Claim
from labkit.model.decision import Caller, decide
from labkit.model.rules import Action
from labkit.workshop import Outcome, checks, exercises, flags, magics, participant_copy, session
from labkit.workshop.copied import copy_machines
from labkit.workshop.edited import hand_edits
from labkit.workshop.participants import BEGIN, END, STUB
from labkit.workshop.records import PROGRESS, Record, read_progress, write_progress

ROOT = Path(__file__).resolve().parent.parent.parent
MASTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
UNIT = "/etc/systemd/system/etcd.service"
ENCRYPTION = "/etc/kubernetes/encryption.yaml"


# -- labs that were edited by hand ----------------------------------------------------------


def machines(mode: str) -> tuple[dict[str, Node], dict[str, dict[str, str]]]:
    """Return the machines of a mode, and their files as they come up."""
    nodes = {it.name: it for it in read_environment(mode).nodes if it.role != "attacker"}
    files = {
        name: {path: file.read_text() for path, file in node.files.items()}
        for name, node in nodes.items()
    }
    return nodes, files


@pytest.mark.parametrize("mode", ["insecure", "hardened"])
def test_new_lab_has_no_edits(mode: str) -> None:
    assert hand_edits(*machines(mode)) == ((), ())


def test_random_values_are_no_edits() -> None:
    nodes, files = machines("hardened")
    key = base64.b64encode(bytes(range(32))).decode()
    files["master"][ENCRYPTION] = files["master"][ENCRYPTION].replace("${RANDOM_BASE64_32}", key)
    assert key in files["master"][ENCRYPTION]
    assert hand_edits(nodes, files) == ((), ())


@pytest.mark.parametrize("mode", ["oidc-insecure", "oidc-hardened"])
def test_keys_and_certificates_that_the_lab_wrote_are_no_edits(mode: str) -> None:
    env = read_environment(mode)
    nodes = {it.name: it for it in env.nodes if it.role != "attacker"}
    made = machine_files(env, {node.name: "10.160.0.9" for node in env.nodes})
    files = {
        name: {it.path: it.data.decode() for it in made[name] if it.path in node.files}
        for name, node in nodes.items()
    }
    assert "BEGIN PRIVATE KEY" in files["idp"]["/etc/canaille/secrets/CANAILLE_OIDC"]
    assert hand_edits(nodes, files) == ((), ())
    people = "/etc/canaille/directory.json"
    files["idp"][people] = files["idp"][people].replace('"mallory"', '"carol"')
    [edit], _ = hand_edits(nodes, files)
    assert edit.path == people
    assert str(edit.text).count("${RANDOM_BASE64_32}") == 2


def test_file_changed_on_all_machines_of_a_role_is_one_edit() -> None:
    nodes, files = machines("insecure")
    for member in ("etcd1", "etcd2", "etcd3"):
        files[member][UNIT] = "changed"
    assert hand_edits(nodes, files) == ((Whole("etcd", UNIT, "changed"),), ())


def test_file_changed_on_one_machine_of_a_role_is_uneven() -> None:
    nodes, files = machines("insecure")
    files["etcd2"][UNIT] = "changed"
    edits, uneven = hand_edits(nodes, files)
    assert edits == (Whole("etcd", UNIT, "changed"),)
    assert uneven == (f"{UNIT} of etcd1 and etcd3 is not that of etcd2",)


@pytest.mark.parametrize(("server", "is_even"), [("master", True), ("elsewhere", False)])
def test_certificate_of_each_machine_in_its_kubeconfig_is_no_difference(
    server: str, is_even: bool
) -> None:
    """As kubeadm writes it: the certificate and the key are in the file."""
    nodes, files = machines("insecure")
    path = "/etc/kubernetes/kube-proxy.conf"
    text = "server: {}\nuser: {{client-certificate-data: {}, client-key-data: {}}}\n"
    files["worker1"][path] = text.format("master", "Zmlyc3Q=", "a2V5MQ==")
    files["worker2"][path] = text.format(server, "c2Vjb25k", "a2V5Mg==")
    edits, uneven = hand_edits(nodes, files)
    assert [it.path for it in edits] == [path]
    assert (uneven == ()) == is_even


def test_files_that_come_and_go_are_edits() -> None:
    nodes, files = machines("insecure")
    gone = "/etc/kubernetes/scheduler.conf"
    del files["master"][gone]
    files["master"][f"{UNIT}.d/10.conf"] = "[Service]"
    edits, uneven = hand_edits(nodes, files)
    assert set(edits) == {
        Whole("master", gone, None),
        Whole("master", f"{UNIT}.d/10.conf", "[Service]"),
    }
    assert uneven == ()


def test_program_reads_known_files_drop_ins_and_new_files_but_no_keys(tmp_path: Path) -> None:
    for name in (
        "etc/systemd/system/etcd.service",
        "etc/systemd/system/etcd.service.d/10.conf",
        "etc/systemd/system/other.service.d/10.conf",
        "etc/kubernetes/extra.yaml",
        "etc/kubernetes/flag",
        "etc/kubernetes/pki/odd.yaml",
        "etc/shadow",
        "etc/tmpfiles.d/zz.conf",
        "etc/sysusers.d/more.conf",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    found = configuration.read([UNIT, "/etc/gone"], tmp_path)
    # a later file of tmpfiles.d or sysusers.d changes what an earlier one says
    later = {"/etc/tmpfiles.d/zz.conf", "/etc/sysusers.d/more.conf"}
    assert set(found) == {UNIT, f"{UNIT}.d/10.conf", "/etc/kubernetes/extra.yaml", *later}


def test_file_that_cannot_be_read_does_not_count_as_deleted(tmp_path: Path) -> None:
    file = tmp_path / UNIT.lstrip("/")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(SystemExit, match=r"etcd\.service is too large"):
        configuration.read([UNIT], tmp_path)


# -- checks ---------------------------------------------------------------------------------


class FakeLab:
    """A lab with a state, an environment, and an error on the way in."""

    name, mode, cluster = "demo", "insecure", ("etcd1", "etcd2")
    problem = "etcd.service is failed"
    reporter = QuietReporter()
    states: tuple[dict[str, Any], dict[str, Any]] = ({}, {})

    def __init__(
        self, state: str = "ready", error: Exception | None = None, broken: tuple[str, ...] = ()
    ) -> None:
        machines = dict.fromkeys((*self.cluster, "attacker"), "running")
        problems: dict[str, tuple[str, ...]] = dict.fromkeys(broken, (self.problem,))
        self._status = LabStatus("demo", "insecure", state, machines, problems=problems)
        self.error = error
        self.environment = read_environment("insecure")
        self.uneven: tuple[str, ...] = ()
        self.by_hand: tuple[Whole, ...] = ()
        self.with_keys: tuple[tuple[str, str], ...] = ()

    def exclusive(self, _: str) -> FakeLab:
        if self.error:
            raise self.error
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def recover(self) -> None: ...

    def wait_for_units(self) -> None: ...

    def status(self) -> LabStatus:
        return self._status

    def states_of_machines(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.states

    def exec(self, node: str, argv: Sequence[str]) -> Any:
        """Say of each unit that it runs, and starts with its machine."""
        shown = (f"Id={it}\nActiveState=active\nUnitFileState=enabled\n" for it in argv[3:])
        return SimpleNamespace(text="\n".join(shown))


def look(
    monkeypatch: pytest.MonkeyPatch,
    *,
    succeeded: bool | Exception,
    predicted: bool | None,
    reason: str = "HTTP 401",
    rows: tuple[Any, ...] = (),
    keep: tuple[str, ...] = ("kube-apiserver@master -> etcd@*",),
    demand: dict[str, str] | None = None,
    came: Sequence[tuple[str, str]] = (),
) -> Outcome:
    """Check a lab in which a technique ends as given."""

    def run(*_: object) -> object:
        if isinstance(succeeded, Exception):
            raise succeeded
        return SimpleNamespace(succeeded=succeeded, reason=reason)

    technique = SimpleNamespace(
        name="try-it",
        footholds=("here",),
        run=run,
        predict=lambda *_: SimpleNamespace(succeeds=predicted, because=()),
    )
    report = SimpleNamespace(disagree=rows, unprobed=())
    monkeypatch.setattr(checks, "techniques", {"try-it": technique})
    monkeypatch.setattr(checks, "verify", lambda *_, **__: report)
    lab: Any = FakeLab()
    attempt = checks.Attempt("try-it", "HTTP 401")
    return checks.hardened_state(lab, [attempt], keep, demand or {}, came=came)


def test_refused_attack_with_working_clients_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(monkeypatch, succeeded=False, predicted=False).solved


def test_check_says_what_it_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(FakeLab, "reporter", PlainReporter(stream))
    look(monkeypatch, succeeded=False, predicted=False)
    assert stream.getvalue().startswith(" … insecure: try try-it (here)\n")


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ({"succeeded": True, "predicted": True}, "open"),
        ({"succeeded": True, "predicted": False}, "not-restarted"),
        ({"succeeded": False, "predicted": True}, "not-in-files"),
        ({"succeeded": False, "predicted": None}, "files-unclear"),
        ({"succeeded": False, "predicted": False, "reason": "HTTP 500"}, "other-reason"),
        ({"succeeded": ProbeTimeout("no answer"), "predicted": False}, "unclear"),
        ({"succeeded": False, "predicted": False, "keep": ("nobody -> *",)}, "client-gone"),
        (
            {"succeeded": False, "predicted": False, "demand": {"encryption": "tls1.3"}},
            "weak",
        ),
    ],
)
def test_what_is_open_is_named(
    monkeypatch: pytest.MonkeyPatch, seen: dict[str, Any], state: str
) -> None:
    assert look(monkeypatch, **seen).state == state


@pytest.mark.parametrize(
    ("state", "mend"),
    [("disabled", "enable"), ("masked", "unmask"), ("masked-runtime", "unmask --runtime")],
)
def test_unit_that_does_not_start_with_its_machine_is_named(
    monkeypatch: pytest.MonkeyPatch, state: str, mend: str
) -> None:
    told = FakeLab.exec

    def without(self: FakeLab, node: str, argv: Sequence[str]) -> Any:
        said = told(self, node, argv)
        said.text = said.text.replace("enabled", state) if node == "etcd2" else said.text
        return said

    monkeypatch.setattr(FakeLab, "exec", without)
    outcome = look(monkeypatch, succeeded=False, predicted=False)
    assert outcome.state == "does-not-run"
    assert outcome.lines == (
        "etcd.service of etcd2 runs, but will not after the machine's next start",
        f"systemctl {mend} etcd.service",
    )


@pytest.mark.parametrize(
    ("unit", "called"),
    # of another one nobody asks anything any more
    [("etcd", True), ("kubectl-proxy", False)],
)
def test_unit_that_others_call_and_that_is_switched_off_is_named(
    monkeypatch: pytest.MonkeyPatch, unit: str, *, called: bool
) -> None:
    def off(_: FakeLab, node: str, argv: Sequence[str]) -> Any:
        said = f"Id={unit}.service\nActiveState=inactive\nUnitFileState=disabled\n"
        return SimpleNamespace(text=said)

    monkeypatch.setattr(FakeLab, "exec", off)
    outcome = look(monkeypatch, succeeded=False, predicted=False)
    if not called:
        assert outcome.solved, outcome
        return
    assert outcome.state == "does-not-run"
    assert outcome.lines == (
        "etcd.service of etcd1 does not run any more, and kube-apiserver@master calls it",
        "systemctl enable etcd.service; systemctl start etcd.service",
    )


def edit_by_hand(monkeypatch: pytest.MonkeyPatch, *by_hand: Whole) -> None:
    """Let somebody have edited the files of the lab, and restarted what reads them."""
    built = FakeLab.__init__

    def edited(self: FakeLab, *arguments: Any, **options: Any) -> None:
        built(self, *arguments, **options)
        self.environment, self.by_hand = read_environment("insecure", by_hand), by_hand

    monkeypatch.setattr(FakeLab, "__init__", edited)
    monkeypatch.setattr(checks, "_unread", lambda _: None)


def test_what_the_files_open_beside_the_task_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/etc/kubernetes/kube-proxy.yaml"
    text = read_environment("insecure").node("worker1").files[path].read_text()
    edit_by_hand(monkeypatch, Whole("worker", path, f"{text}metricsBindAddress: 0.0.0.0:10249\n"))
    outcome = look(monkeypatch, succeeded=False, predicted=False)
    assert outcome.state == "opened"
    assert "kube-proxy@worker1" in repr(outcome)
    assert "anyone@network" in repr(outcome)


@pytest.mark.parametrize(("mode", "opened"), [("0644", True), ("0600", False)])
def test_kubeconfig_with_a_key_that_people_may_read_is_named(
    monkeypatch: pytest.MonkeyPatch, mode: str, *, opened: bool
) -> None:
    """It was readable before, so no mode has changed: the key came into it."""
    path = "/etc/kubernetes/kube-proxy.conf"
    built = FakeLab.__init__

    def edited(self: FakeLab, *arguments: Any, **options: Any) -> None:
        built(self, *arguments, **options)
        self.with_keys = (("worker1", path),)

    states = {"worker1": {"files": {path: f"{mode} 0:0 0123456789abcdef"}}}
    monkeypatch.setattr(FakeLab, "__init__", edited)
    monkeypatch.setattr(FakeLab, "states", (states, states))
    outcome = look(monkeypatch, succeeded=False, predicted=False)
    assert outcome.state == ("opened" if opened else "solved")
    assert (f"{path} of worker1 has a private key in it" in repr(outcome)) is opened


def test_setting_that_is_not_understood_is_not_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/etc/systemd/system/kube-proxy.service"
    text = read_environment("insecure").node("worker1").files[path].read_text()
    odd = text.replace("--config=", "--no-such-flag=1 --config=")
    assert odd != text
    edit_by_hand(monkeypatch, Whole("worker", path, odd))
    outcome = look(monkeypatch, succeeded=False, predicted=False)
    assert outcome.state == "files-unclear"
    assert "--no-such-flag" in repr(outcome)


def test_finding_that_becomes_unknown_is_not_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig whose program provides the credential: whom it is, nobody has read."""
    plain, path = read_environment("insecure"), "/etc/kubernetes/kube-proxy.conf"
    edit_by_hand(monkeypatch, Whole("worker", path, plain.node("worker1").files[path].read_text()))
    found = find_threats(read_model(plain))
    other = replace(found.open[0], id="new", state="unknown", title="Perhaps open", subject="it")
    both = iter((found, Findings([*found.findings, other], found.name)))
    monkeypatch.setattr(checks, "find_threats", lambda _: next(both))
    outcome = look(monkeypatch, succeeded=False, predicted=False)
    assert outcome.state == "files-unclear"
    assert "Perhaps open: it" in outcome.lines


def test_mode_on_one_machine_of_a_role_alone_is_not_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    def state(mode: str) -> dict[str, Any]:
        return {"files": {"/etc/kubernetes/kubelet.yaml": f"{mode} 0:0 0123456789abcdef"}}

    before = {name: state("0644") for name in ("worker1", "worker2")}
    monkeypatch.setattr(FakeLab, "states", (before, {**before, "worker1": state("0600")}))
    outcome = look(monkeypatch, succeeded=False, predicted=False)
    assert outcome.state == "uneven"
    assert "on worker2 is not that on worker1" in repr(outcome)


def test_key_that_people_may_read_since_is_another_door(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "/etc/etcd/pki/server.key"
    states = [
        {"etcd1": {"files": {key: f"{mode} 0:0 0123456789abcdef"}}} for mode in ("0600", "0644")
    ]
    monkeypatch.setattr(FakeLab, "states", (states[0], states[1]))
    outcome = look(monkeypatch, succeeded=False, predicted=False)
    assert outcome.state == "opened"
    assert outcome.lines[1] == f"{key} of etcd1 can be read by the users of the machine"


@pytest.mark.parametrize(
    ("section", "word", "lines"),
    [
        ("listeners", "", ("etcd1: tcp 0.0.0.0:2378 (socat)", "etcd1: tcp 0.0.0.0:9 (nc)")),
        ("processes", "kube", ("etcd1: kube-proxy of old.service (runs)",)),
        ("processes", "etcd", ()),
    ],
)
def test_what_runs_or_listens_since_is_named(
    monkeypatch: pytest.MonkeyPatch, section: str, word: str, lines: tuple[str, ...]
) -> None:
    before = {"listeners": {"tcp 0.0.0.0:2378": "etcd", "tcp 0.0.0.0:1": "x"}, "processes": {}}
    after = {
        "listeners": {"tcp 0.0.0.0:2378": "socat", "tcp 0.0.0.0:9": "nc"},
        "processes": {"kube-proxy of old.service": "runs", "sh of no unit": "runs"},
    }
    # every check looks for listeners, so the other section differs alone
    after = {**before, section: after[section]}
    found = checks.newcomers({"etcd1": before}, {"etcd1": after}, section, word)
    monkeypatch.setattr(FakeLab, "states", ({"etcd1": before}, {"etcd1": after}))
    outcome = look(monkeypatch, succeeded=False, predicted=False, came=[(section, word)])
    assert outcome.state == ("moved" if lines else "solved")
    assert (found.lines[1:] if found else ()) == lines


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        # an attack may restart the client that it listens to, so the files are asked before
        ({"succeeded": ProbeTimeout("no packets"), "predicted": False}, "not-restarted"),
        ({"succeeded": True, "predicted": True}, "open"),
        ({"succeeded": False, "predicted": False}, "not-restarted"),
    ],
)
def test_file_that_was_not_read_before_the_attacks_counts(
    monkeypatch: pytest.MonkeyPatch, seen: dict[str, Any], state: str
) -> None:
    stale = [Outcome("not-restarted", ("x has not read y",))]
    monkeypatch.setattr(checks, "_unread", lambda _: stale.pop())
    monkeypatch.setattr(checks, "_may_be_starting", lambda _: False)
    assert look(monkeypatch, **seen).state == state


@pytest.mark.parametrize("stale", [True, False])
def test_attack_that_the_files_forbid_names_what_was_not_read(
    monkeypatch: pytest.MonkeyPatch, stale: bool
) -> None:
    found = Outcome("not-restarted", ("x has not read y",)) if stale else None
    monkeypatch.setattr(checks, "_unread", lambda _: found)
    said = repr(look(monkeypatch, succeeded=True, predicted=False))
    assert ("nothing has read them since" in said) == ("x has not read y" in said) == stale
    assert ("something else allows it" in said) != stale


def test_client_that_does_not_work_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    row = SimpleNamespace(channel="a -> b", property="encryption", reason="closed")
    outcome = look(monkeypatch, succeeded=False, predicted=False, rows=(row,))
    assert outcome.state == "client-broken"
    assert "a -> b: encryption: closed" in repr(outcome)


@pytest.mark.parametrize(
    ("broken", "ways"),
    [
        ((), ["%lab reset insecure"]),
        (("etcd2",), ["%lab reset insecure etcd2", "%lab reset insecure"]),
        (("attacker",), ["%lab reset insecure"]),
        (
            ("etcd1", "etcd2"),
            [
                "%lab reset insecure etcd1",
                "%lab reset insecure etcd2",
                "%lab reset insecure",
            ],
        ),
    ],
)
def test_broken_lab_is_offered_the_reset_of_a_machine_and_its_own(
    broken: tuple[str, ...], ways: list[str]
) -> None:
    lab: Any = FakeLab("broken", CommandFailed("no"), broken)
    outcome = checks.hardened_state(lab, [], [])
    assert outcome.state == "does-not-run"
    commands = [line.partition(" #")[0].strip() for line in outcome.lines]
    assert [line for line in commands if line.startswith("%lab")] == ways
    # why it is broken stands in the journal of the same machines
    own = [name for name in broken if name in lab.cluster]
    assert [line for line in commands if line.startswith("labkit logs")] == [
        f"labkit logs {name} etcd --name demo --mode insecure" for name in own
    ]


@pytest.mark.parametrize("problem", ["is paused", "/var/lib/etcd has no room left"])
def test_journal_of_a_machine_is_named_where_no_unit_is_at_fault(
    problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeLab, "problem", problem)
    lab: Any = FakeLab("broken", CommandFailed("no"), ("etcd2",))
    lines = checks.hardened_state(lab, [], []).lines
    assert "labkit logs etcd2 --name demo --mode insecure" in lines
    assert not any("reset-failed" in line for line in lines)


def test_start_that_systemd_refuses_has_its_way_out() -> None:
    lab: Any = FakeLab("broken", CommandFailed("no"), ("etcd2",))
    lines = checks.hardened_state(lab, [], []).lines
    assert "systemctl reset-failed" in lines[lines.index("find out why, and mend it:") + 2]


@pytest.mark.parametrize("state", ["broken", "ready"])
@pytest.mark.parametrize("first", ["unclear", "client-broken", CommandFailed("6443: refused")])
def test_lab_that_was_just_starting_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, first: str | Exception, state: str
) -> None:
    done: list[str] = []

    def look_once(*_: object) -> Outcome:
        done.append("look")
        if len(done) > 1:
            return Outcome("solved", ())
        if isinstance(first, Exception):
            raise first
        return Outcome(first, ())

    monkeypatch.setattr(checks, "_look", look_once)
    starting: Any = FakeLab(state)
    monkeypatch.setattr(starting, "wait_for_units", lambda: done.append("wait"))
    assert checks.hardened_state(starting, [], []).solved
    assert done == ["look", "wait", "look"]


@pytest.mark.parametrize(("state", "found"), [("stopped", "unclear"), ("ready", "open")])
def test_clear_answer_or_stopped_lab_is_looked_at_once(
    monkeypatch: pytest.MonkeyPatch, state: str, found: str
) -> None:
    looks = [Outcome(found, ()), Outcome("solved", ())]
    monkeypatch.setattr(checks, "_look", lambda *_: looks.pop(0))
    lab: Any = FakeLab(state)
    assert checks.hardened_state(lab, [], []).state == found


def test_failure_of_a_lab_that_runs_is_unclear() -> None:
    lab: Any = FakeLab("ready", CommandFailed("no"))
    assert checks.hardened_state(lab, [], []).state == "unclear"


def test_file_that_cannot_be_understood_is_named() -> None:
    lab: Any = FakeLab("ready", ConfigError("kubelet.yaml:3: not YAML"))
    outcome = checks.hardened_state(lab, [], [])
    assert outcome.state == "unreadable"
    assert "kubelet.yaml:3" in repr(outcome)


@pytest.mark.parametrize(
    ("state", "error"), [("ready", LabBusy("later")), ("absent", NoSuchLab("no lab"))]
)
def test_busy_or_absent_lab_is_no_outcome(state: str, error: Exception) -> None:
    lab: Any = FakeLab(state, error)
    with pytest.raises(type(error)):
        checks.hardened_state(lab, [], [])


# -- flags ----------------------------------------------------------------------------------


class Files:
    """A lab of which only the files of the master exist."""

    mode, master = "insecure", "master"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exec(
        self, _: str, argv: list[str], *, stdin: bytes | None = None, check: bool = True
    ) -> Output:
        path = self.folder / argv[-1].lstrip("/")
        if argv[0] == "cat":
            if not path.exists():
                return Output(1, b"", b"cat: x: No such file or directory")
            return Output(0, path.read_bytes(), b"")
        if stdin is None:
            return Output(0, f"{workshop_key.key(path)}\n".encode(), b"")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stdin)
        return Output(0, b"", b"")


def test_flag_stays_in_one_lab_and_differs_in_another(tmp_path: Path) -> None:
    first: Any = Files(tmp_path / "first")
    other: Any = Files(tmp_path / "other")
    flag = flags.flag_of(first, "etcd-1")
    assert flag == flags.flag_of(first, "etcd-1")
    assert flag != flags.flag_of(first, "worker-1")
    assert flag != flags.flag_of(other, "etcd-1")


def test_only_root_reads_the_key(tmp_path: Path) -> None:
    file = tmp_path / "workshop" / "key"
    workshop_key.key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert [it.name for it in file.parent.iterdir()] == ["key"]


def test_answers_to_an_attack_are_compared(tmp_path: Path) -> None:
    lab: Any = Files(tmp_path)
    flag = flags.flag_of(lab, "etcd-1")
    encoded = base64.b64encode(flag.encode()).decode()
    given = [flag, f"{flag}\n", flag.encode(), encoded, flags.flag_of(lab, "x"), "", None]
    states = [flags.check_flag(lab, "etcd-1", answer).state for answer in given]
    assert states == ["solved"] * 3 + ["encoded", "wrong-answer", "no-answer", "no-answer"]
    # what a shell printed next to it, without a line's end between
    more = flags.check_flag(lab, "etcd-1", f"{flag}Untagged: image")
    assert (more.state, "give the flag alone" in repr(more)) == ("wrong-answer", True)


# -- progress -------------------------------------------------------------------------------


def test_progress_is_read_as_it_was_written(tmp_path: Path) -> None:
    lab: Any = Files(tmp_path)
    assert read_progress(lab) == {}
    records = {"etcd-2": Record(True, 3, "solved", (0, 2))}
    write_progress(lab, records)
    assert read_progress(lab) == records


@pytest.mark.parametrize("text", ["", "[]", '{"etcd-2": 1}', '{"etcd-2": {"tricks": 1}}'])
def test_spoilt_progress_is_an_error_with_its_remedy(tmp_path: Path, text: str) -> None:
    lab: Any = Files(tmp_path)
    file = tmp_path / PROGRESS.lstrip("/")
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(labkit.errors.LabError) as caught:
        read_progress(lab)
    assert caught.value.hint.endswith(f"rm {PROGRESS}")


@pytest.fixture
def no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lab is up, and nothing was done without one."""

    def refuse(mode: str, name: str | None) -> None:
        raise LabStatus(name or "default", mode, "absent", {}).error()

    monkeypatch.setattr(session, "_lab", refuse)
    monkeypatch.setattr(session, "connect", lambda: None)
    monkeypatch.setattr(session, "modes_of", lambda _: [])
    monkeypatch.setattr(session, "light_lab_beside", lambda *_: "")
    monkeypatch.setattr(session, "WITHOUT_LAB", {})


@pytest.mark.usefixtures("no_lab")
def test_prediction_needs_no_lab_and_keeps_its_progress_without_one() -> None:
    assert session.check("own-2", {"encryption": "tls1.3"}).state == "not-enough"
    assert "One attacker calls the port" in session.hint("own-2")
    assert "Every property" in session.hint("own-2")
    assert session.check("own-2", {"encryption": "tls1.3", "authorization": "enforced"}).solved
    [row] = [line for line in session.progress().splitlines() if " own-2 " in line]
    assert row.split()[-2:] == ["solved", "2"]


@pytest.mark.usefixtures("no_lab")
def test_progress_names_the_labs_that_are_not_up_in_one_line() -> None:
    [last] = [line for line in session.progress(lab="p07").splitlines() if "not up" in line]
    assert {"insecure", "hardened", "oidc-insecure", "hook-insecure"} <= set(
        last.partition(";")[0].removeprefix("not up: ").split(", ")
    )
    assert "; next: labkit up --name p07 --mode " in last


@pytest.mark.usefixtures("no_lab")
@pytest.mark.parametrize("name", ["etcd-1", "etcd-2"])
def test_other_exercises_need_a_lab(name: str) -> None:
    for ask in (session.check, session.hint):
        with pytest.raises(NoSuchLab):
            ask(name)


def test_progress_of_a_prediction_stays_in_the_lab_that_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab: Any = Files(tmp_path)
    monkeypatch.setattr(session, "_lab", lambda *_: lab)
    monkeypatch.setattr(session, "WITHOUT_LAB", {})
    reporter = PlainReporter()
    session.check("own-2", {"encryption": "tls1.3"}, reporter=reporter)
    assert read_progress(lab)["own-2"] == Record(False, 1, "not-enough")
    assert session.WITHOUT_LAB == {}
    assert lab.reporter is reporter, "a terminal shows what the check does"


class LightLabs:
    """Two light labs of which one is up: what a switch does to them, in order."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, workshop: str = "") -> None:
        self.done: list[str] = []
        self.up = "light-insecure"
        self.fails = False
        labels = {"labkit.workshop": workshop}
        network = SimpleNamespace(attrs={"Labels": labels})
        labs = self

        class FakeLab(Files):
            def __init__(self, mode: str, *, name: str, reporter: object) -> None:
                super().__init__(folder / mode)
                self.mode, self.name, self.client, self.reporter = mode, name, None, reporter

            def status(self) -> Any:
                return SimpleNamespace(state="ready" if labs.up == self.mode else "absent")

            def up(self) -> None:
                labs.done.append(f"up {self.mode}")
                if labs.fails:
                    raise StartTimeout("etcd1 did not start")
                labs.up = self.mode

            def down(self) -> None:
                labs.done.append(f"down {self.mode}")
                labs.up = ""

        def beside(mode: str, *_: object) -> str:
            return labs.up if labs.up != mode else ""

        self.lab: Any = FakeLab
        monkeypatch.setattr(session, "Lab", FakeLab)
        monkeypatch.setattr(session, "EditedLab", FakeLab)
        monkeypatch.setattr(session, "WITHOUT_LAB", {})
        monkeypatch.setattr(session, "light_lab_beside", beside)
        monkeypatch.setattr(session, "find_network", lambda *_: network)
        monkeypatch.setattr(session, "ensure_image", lambda *_: labs.done.append("image"))

    def of(self, mode: str) -> Any:
        return self.lab(mode, name="default", reporter=None)


def test_switch_puts_one_light_lab_in_the_place_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labs = LightLabs(tmp_path, monkeypatch)
    solved = {"etcd-2": Record(True, 2, "solved")}
    write_progress(labs.of("light-insecure"), solved)
    said = session.switch("hardened")
    assert said == "light-hardened is up, in place of light-insecure; the progress is kept"
    # the image is there before the old lab gives way, and the two are never up together
    assert labs.done == ["image", "down light-insecure", "up light-hardened"]
    assert read_progress(labs.of("light-hardened")) == solved
    assert session.switch("light-hardened") == "light-hardened is up"
    assert len(labs.done) == 3


def test_switch_that_fails_keeps_the_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labs = LightLabs(tmp_path, monkeypatch)
    solved = {"etcd-2": Record(True, 2, "solved")}
    write_progress(labs.of("light-insecure"), solved)
    labs.fails = True
    with pytest.raises(StartTimeout):
        session.switch("hardened")
    labs.fails = False
    assert session.switch("hardened") == "light-hardened is up"
    assert read_progress(labs.of("light-hardened")) == solved


def test_switch_leaves_the_lab_of_a_workshop_and_modes_without_light_labs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labs = LightLabs(tmp_path, monkeypatch, workshop="p")
    with pytest.raises(LabError, match="belongs to the workshop 'p'") as caught:
        session.switch("hardened")
    assert "ask the trainer" in caught.value.hint
    with pytest.raises(ConfigError, match="oidc-insecure has no light lab"):
        session.switch("oidc-insecure")
    assert labs.done == []


def test_progress_of_a_prediction_stays_in_the_light_lab_of_the_other_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab: Any = Files(tmp_path)

    def find(mode: str, name: str | None) -> Any:
        if mode != "light-hardened":
            raise LabStatus(name or "default", mode, "absent", {}).error()
        return lab

    asked: list[str] = []

    def beside(mode: str, *_: object) -> str:
        asked.append(mode)
        return "light-hardened"

    monkeypatch.setattr(session, "_lab", find)
    monkeypatch.setattr(session, "connect", lambda: None)
    monkeypatch.setattr(session, "modes_of", lambda _: [])
    monkeypatch.setattr(session, "light_lab_beside", beside)
    monkeypatch.setattr(session, "WITHOUT_LAB", {})
    session.check("own-2", {"encryption": "tls1.3"})
    assert read_progress(lab)["own-2"] == Record(False, 1, "not-enough")
    assert asked == ["light-insecure"]
    assert session.WITHOUT_LAB == {}


# -- copied files ---------------------------------------------------------------------------


def test_files_are_copied_for_each_machine_but_the_forgotten(tmp_path: Path) -> None:
    env = read_environment("hardened")
    copy_machines(env, tmp_path, forgotten=[UNIT])
    found = {f"/{it.relative_to(tmp_path)}" for it in tmp_path.rglob("*") if it.is_file()}
    every = {f"/{node.name}{path}" for node in env.nodes for path in node.files}
    assert found == {it for it in every if not it.endswith(UNIT)} | {"/rbac.yaml"}
    assert any(it.endswith(UNIT) for it in every)


def test_copy_has_the_rights_of_the_environment(tmp_path: Path) -> None:
    env = read_environment("hardened")
    copy_machines(env, tmp_path)
    copied = read_cluster(tmp_path)
    assert not copied.rbac.missing
    for user, action in (
        ("system:kube-proxy", Action("list", "services")),
        ("system:kube-proxy", Action("list", "secrets")),
        ("system:serviceaccount:shop:default", Action("get", "secrets", namespace="shop")),
    ):
        caller = Caller(user, frozenset(), Claim("required", user, Source("", None, "")))
        values = [
            decide(it, it.component("kube-apiserver@master"), caller, action).value
            for it in (env, copied)
        ]
        assert values[0] == values[1] != "unknown", (user, action)


# -- the magics -----------------------------------------------------------------------------


class Shell:
    """What an extension sees of IPython."""

    def __init__(self) -> None:
        self.user_ns: dict[str, object] = {}
        self.magics: dict[str, Callable[[str], object]] = {}

    def register_magic_function(
        self, function: Callable[[str], object], kind: str, name: str
    ) -> None:
        assert kind == "line"
        self.magics[name] = function


@pytest.fixture
def shell() -> Shell:
    made = Shell()
    labkit.load_ipython_extension(made)
    return made


def test_magics_are_registered(shell: Shell) -> None:
    assert set(shell.magics) == {"attack", "check", "exercise", "hint", "lab", "progress"}


def test_exercise_magic_shows_the_task(shell: Shell) -> None:
    shown: Any = shell.magics["exercise"]("etcd-2")
    assert shown._repr_markdown_() == repr(shown) == exercises["etcd-2"].text


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("exercise", "etcd-22", "next: did you mean 'etcd-2'?"),
        ("check", "", "usage: %check NAME [VARIABLE]"),
        ("check", "own-2 answer", "there is no variable 'answer'"),
        ("check", "own-2", "next: set it, then: %check own-2 answer"),
        ("attack", "no-such-technique-at-all", "next: labkit technique list"),
        ("lab", "burn", "next: %lab reset|status [MODE [MACHINE]]"),
        ("lab", "status insecure etcd1", "next: %lab reset|status [MODE [MACHINE]]"),
        ("hint", "'", "usage: %hint NAME"),
    ],
)
def test_magic_prints_an_error_and_no_traceback(
    shell: Shell, capsys: pytest.CaptureFixture[str], name: str, line: str, said: str
) -> None:
    shell.magics[name](line)
    assert said in capsys.readouterr().out


@pytest.mark.usefixtures("no_lab")
def test_check_names_the_missing_lab_before_the_missing_answer(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.magics["check"]("etcd-1 answer")
    said = capsys.readouterr().out
    assert "next: labkit up --name default --mode insecure" in said
    assert "variable" not in said


@pytest.mark.parametrize(
    ("up", "reset"),
    [
        ([], ["insecure", "hardened"]),
        ([("default", "hardened"), ("default", "insecure")], ["insecure", "hardened"]),
        ([("default", "oidc-hardened"), ("default", "oidc-insecure")], None),
        ([("default", "hook-insecure"), ("default", "insecure"), ("p01", "hardened")], None),
    ],
)
def test_lab_magic_without_a_mode_is_about_the_labs_that_are_up(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, up: list[tuple[str, str]], reset: Any
) -> None:
    done: list[str] = []
    monkeypatch.delenv("LABKIT_NAME", raising=False)
    monkeypatch.setattr("labkit.lab.removal.connect", lambda: None)
    monkeypatch.setattr("labkit.lab.removal.find_labs", lambda _: up)
    monkeypatch.setattr(session, "reset", done.append)
    shell.magics["lab"]("reset")
    expected = reset or sorted(mode for name, mode in up if name == "default")
    assert sorted(done) == sorted(expected)
    if reset or "insecure" in done:
        assert done[0] == "insecure"


def test_attack_magic_without_a_mode_takes_one_of_the_technique(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def lab(mode: str) -> None:
        asked.append(mode)
        raise NoSuchLab(f"no {mode}")

    monkeypatch.setattr(magics, "_lab", lab)
    for line in ("etcd-read", "oidc-group-collision", "webhook-outage hook-hardened"):
        shell.magics["attack"](line)
    assert asked == ["insecure", "oidc-insecure", "hook-hardened"]


def test_check_magic_hands_over_the_variable(
    shell: Shell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def check(name: str, *answer: object) -> Outcome:
        seen.append((name, *answer))
        return Outcome("solved", ("well done",))

    monkeypatch.setattr(session, "check", check)
    shell.user_ns["mine"] = {"a": 1}
    shell.magics["check"]("etcd-1 mine")
    shell.magics["check"]("etcd-2")
    assert seen == [("etcd-1", {"a": 1}), ("etcd-2",)]
    assert capsys.readouterr().out == "solved: well done\n" * 2


# -- the participants' copies ---------------------------------------------------------------


def cells(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(data)["cells"]
    return found


@pytest.mark.parametrize("path", MASTERS, ids=lambda it: it.name)
def test_copy_has_no_solution_and_no_output(path: Path) -> None:
    import nbformat

    copy = participant_copy(path.read_bytes(), path.name)
    nbformat.validate(nbformat.reads(copy.decode(), as_version=4))
    of_notebook = [it for it in exercises.values() if it.notebook == path.stem]
    text = "".join("".join(cell["source"]) for cell in cells(copy))
    assert text.count(STUB) == len(of_notebook)
    for exercise in of_notebook:
        for line in exercise.solution.splitlines():
            if len(line.strip()) > 12 and not line.startswith("import "):
                assert line.strip() not in text
    for cell in cells(copy):
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", MASTERS, ids=lambda it: it.name)
def test_copy_is_the_master_elsewhere(path: Path) -> None:
    master = json.loads(path.read_bytes())
    copy = json.loads(participant_copy(path.read_bytes()))
    assert {**copy, "cells": None} == {**master, "cells": None}
    for before, after in zip(master["cells"], copy["cells"], strict=True):
        if BEGIN not in "".join(before["source"]):
            assert "".join(after["source"]) == "".join(before["source"])


@pytest.mark.parametrize("text", [f"{BEGIN}\nx = 1\n", f"x = 1\n{END}\n", f"{END}\n{BEGIN}\n"])
def test_marker_without_partner_is_refused(text: str) -> None:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": text}
    with pytest.raises(ConfigError, match="without the other one"):
        participant_copy(json.dumps({"cells": [cell]}).encode())


def test_file_that_is_no_notebook_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not a notebook"):
        participant_copy(b"[]")


ETCD, KUBELET = "/etc/systemd/system/etcd.service", "/etc/kubernetes/kubelet.yaml"
CONFIG = "/etc/kubernetes/authorization.yaml"


@pytest.mark.parametrize(
    ("mode", "edit", "asked"),
    [
        # every machine of the role, not only the one that is attacked
        (
            "insecure",
            Whole("etcd", ETCD, "x"),
            [(it, "etcd.service", ETCD) for it in ("etcd1", "etcd2", "etcd3")],
        ),
        (
            "insecure",
            Whole("worker", KUBELET, "x"),
            [(it, "kubelet.service", KUBELET) for it in ("worker1", "worker2")],
        ),
        (
            "insecure",
            Whole("etcd", f"{ETCD}.d/more.conf", "x"),
            [(it, "etcd.service", f"{ETCD}.d/more.conf") for it in ("etcd1", "etcd2", "etcd3")],
        ),
        # its configuration names the kubeconfig
        (
            "insecure",
            Whole("worker", "/etc/kubernetes/kube-proxy.conf", "x"),
            [
                (it, "kube-proxy.service", "/etc/kubernetes/kube-proxy.conf")
                for it in ("worker1", "worker2")
            ],
        ),
        ("insecure", Whole("worker", KUBELET, None), []),
        ("insecure", Whole("master", "/etc/tmpfiles.d/kubernetes.conf", "x"), []),
        # kube-apiserver reads it again by itself
        ("hook-insecure", Whole("master", CONFIG, "x"), []),
    ],
)
def test_units_that_read_an_edited_file_are_asked_on_every_machine(
    monkeypatch: pytest.MonkeyPatch, mode: str, edit: Whole, asked: list[tuple[str, str, str]]
) -> None:
    seen: list[tuple[str, str, str]] = []
    monkeypatch.setattr(checks, "unread", lambda _, *what: seen.append(what))
    lab: Any = SimpleNamespace(by_hand=(edit,), environment=read_environment(mode))
    assert checks._unread(lab) is None
    assert seen == asked


@pytest.mark.parametrize(
    ("changed", "started", "active", "reload", "state"),
    [
        (1764444444, "@1764444445", "active", "no", None),
        # in one second: first the file, then the restart
        (1764444444, "@1764444444", "active", "no", None),
        (1764444445, "@1764444444", "active", "no", "not-restarted"),
        # it was started with the unit that systemd had read before
        (1764444444, "@1764444445", "active", "yes", "not-restarted"),
        # it does not run, and reads the file when it starts
        (1764444445, "@1764444444", "inactive", "no", None),
        (1764444445, "", "inactive", "no", None),
        # it ends again and again
        (1764444445, "@1764444444", "activating", "no", "not-restarted"),
    ],
)
def test_file_that_changed_after_the_start_was_not_read(
    changed: int, started: str, active: str, reload: str, state: str | None
) -> None:
    shown = {
        "ExecMainStartTimestamp": started,
        "ActiveState": active,
        "NeedDaemonReload": reload,
    }
    told = "".join(f"{key}={value}\n" for key, value in shown.items())
    said = {"stat": f"{changed}\n", "systemctl": told}
    lab: Any = SimpleNamespace(exec=lambda _, argv: SimpleNamespace(text=said[argv[0]]))
    found = checks.unread(lab, "master", "kube-apiserver.service", "/etc/policy.yaml")
    assert (found.state if found else None) == state
