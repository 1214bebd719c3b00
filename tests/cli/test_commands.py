"""What the commands hand to the library, and what they make of its answers."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner, Result

import labkit
from labkit.cli import app
from labkit.errors import ConfigError, LabError, LabkitError, StartTimeout
from labkit.lab import LabStatus, Output, Timings
from labkit.resources import environments_dir, split_mode

OUTPUT = Output(0, b"", b"")


class FakeLab:
    """A lab that only takes notes."""

    calls: ClassVar[list[tuple[Any, ...]]] = []
    output: ClassVar[Output] = OUTPUT
    fails: ClassVar[dict[str, BaseException]] = {}
    client = None

    def __init__(
        self,
        mode: str,
        *,
        name: str = "default",
        reporter: Any = None,
        wait: float | None = None,
    ) -> None:
        self.mode, self.name, self.reporter, self.wait = mode, name, reporter, wait
        self.environment = SimpleNamespace(nodes=())

    def note(self, *call: Any) -> None:
        self.calls.append((self.mode, self.name, *call))
        if self.mode in self.fails:
            raise self.fails[self.mode]

    def up(self, *, retain: bool = False) -> Timings:
        with self.reporter.step(f"{self.mode}: machines"):
            self.note("up", retain)
        return Timings(1.25, {"machines": 1.0})

    def down(self, *, force: bool = False) -> int:
        self.note("down", *["force"] * force)
        return 9

    def reset(self) -> Timings:
        self.note("reset")
        return Timings(2.5)

    def status(self) -> LabStatus:
        return LabStatus(self.name, self.mode, "stopped", {"master": "exited"})

    def drift(self) -> list[str]:
        return ["worker1: units: kube-proxy.service is gone"] * (self.mode == "hardened")

    def exec(self, node: str, argv: list[str], **more: Any) -> Output:
        self.note("exec", node, argv, more)
        return self.output

    def kubectl(self, *arguments: str, **more: Any) -> Output:
        self.note("kubectl", arguments, more)
        return self.output

    def logs(self, node: str, unit: str | None, lines: int) -> str:
        self.note("logs", node, unit, lines)
        return "first\nlast\n"


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeLab]:
    FakeLab.calls.clear()
    FakeLab.fails.clear()
    FakeLab.output = OUTPUT
    monkeypatch.setattr("labkit.lab.Lab", FakeLab)
    monkeypatch.setattr("labkit.lab.images.ensure_image", lambda *_: "labkit/node:0")
    monkeypatch.setattr("labkit.lab.removal.connect", lambda *_: None)
    monkeypatch.setattr("labkit.lab.removal.find_labs", lambda *_: [])
    monkeypatch.delenv("LABKIT_NAME", raising=False)
    monkeypatch.delenv("LABKIT_MODE", raising=False)
    return FakeLab


def run(*arguments: str, **more: Any) -> Result:
    return CliRunner().invoke(app, list(arguments), **more)


def test_version_is_printed() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"labkit {labkit.__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["up", "--help"], ["image", "--help"]])
def test_help_is_shown(arguments: list[str]) -> None:
    assert "Usage:" in run(*arguments).output


@pytest.mark.parametrize("command", ["up", "down", "reset"])
def test_command_without_a_mode_applies_to_both(command: str, fake: type[FakeLab]) -> None:
    result = run(command)
    assert result.exit_code == 0
    assert {(mode, name) for mode, name, *_ in fake.calls} == {
        ("insecure", "default"),
        ("hardened", "default"),
    }
    assert result.stdout == "", "talk goes to standard error"
    assert "hardened" in result.stderr


def test_command_takes_one_mode_and_a_name(fake: type[FakeLab]) -> None:
    assert run("up", "-m", "hardened", "--name", "b2", "--retain").exit_code == 0
    assert fake.calls == [("hardened", "b2", "up", True)]


def test_repeated_mode_counts_once(fake: type[FakeLab]) -> None:
    run("up", "-m", "hardened", "-m", "hardened")
    assert len(fake.calls) == 1


def test_lab_name_is_read_from_the_environment(fake: type[FakeLab]) -> None:
    run("down", "-m", "insecure", env={"LABKIT_NAME": "class-7"})
    assert fake.calls == [("insecure", "class-7", "down")]


@pytest.mark.parametrize("command", ["up", "down", "reset"])
def test_quiet_command_prints_nothing(command: str) -> None:
    assert run(command, "-q").output == ""


def test_up_prints_the_times() -> None:
    assert "lab default (hardened) up in 1.2 s (machines 1.0)" in run("up").stderr


@pytest.mark.parametrize("command", ["up", "down", "reset"])
def test_failure_of_one_mode_does_not_stop_the_other(command: str, fake: type[FakeLab]) -> None:
    fake.fails["insecure"] = StartTimeout("etcd was not ready", evidence=["bind: in use"])
    result = run(command)
    assert result.exit_code == 1
    assert {mode for mode, *_ in fake.calls} == {"insecure", "hardened"}
    assert "error: etcd was not ready\n  | bind: in use" in result.stderr


def test_errors_of_both_modes_are_shown(fake: type[FakeLab]) -> None:
    fake.fails.update(insecure=LabError("first"), hardened=LabError("second"))
    result = run("up")
    assert result.exit_code == 1
    assert "error: first" in result.stderr
    assert "error: second" in result.stderr


def test_modes_come_up_at_once(fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = threading.Barrier(2, timeout=60)

    def up(self: FakeLab, *, retain: bool = False) -> Timings:
        meeting.wait()
        return Timings(0.1)

    monkeypatch.setattr(fake, "up", up)
    assert run("up").exit_code == 0


def test_interrupt_removes_what_is_not_yet_up(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a lab behaves: a start ends at its next step, or when its machines are gone."""
    gone = threading.Event()
    ended: dict[str, BaseException] = {}

    def up(self: FakeLab, *, retain: bool = False) -> Timings:
        if self.mode == "insecure":
            return Timings(0.1)
        try:
            assert gone.wait(60)
            with self.reporter.step("the next one"):
                pass
        except LabkitError as error:
            ended[self.mode] = error
            raise
        return Timings(0.1)

    def find_nodes(client: None, name: str, mode: str) -> list[Any]:
        return [SimpleNamespace(kill=gone.set)]

    def wait_for(futures: Any, came: list[BaseException]) -> None:
        deadline = time.monotonic() + 60

        def waits(future: Any) -> bool:
            return not future.done() and not future.running()

        while not (any(f.done() for f in futures) and not any(map(waits, futures))):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        came.append(KeyboardInterrupt())

    monkeypatch.setattr(fake, "up", up)
    monkeypatch.setattr("labkit.lab.nodes.find_nodes", find_nodes)
    monkeypatch.setattr("labkit.lab.parallel._wait_for", wait_for)
    monkeypatch.setattr("labkit.lab.parallel.is_held", lambda client, name, mode: True)
    result = run("up")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "interrupted"
    assert "hardened" in ended
    assert fake.calls == [("hardened", "default", "down")], "what is up stays up"


def test_interrupt_leaves_the_lab_of_the_process_that_is_waited_for(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    def up(self: FakeLab, *, retain: bool = False) -> Timings:
        with self.reporter.step("wait for another") as step:
            for _ in range(1000):
                time.sleep(0.01)
                step.line("")
        return Timings(0.1)

    def wait_for(_: Any, came: list[BaseException]) -> None:
        came.append(KeyboardInterrupt())

    def find_nodes(*_: Any) -> list[Any]:
        raise AssertionError("not its machines")

    monkeypatch.setattr(fake, "up", up)
    monkeypatch.setattr("labkit.lab.nodes.find_nodes", find_nodes)
    monkeypatch.setattr("labkit.lab.parallel._wait_for", wait_for)
    monkeypatch.setattr("labkit.lab.parallel.is_held", lambda client, name, mode: False)
    assert run("up").exit_code == 130
    assert fake.calls == []


def test_no_wait_and_force_reach_the_lab(fake: type[FakeLab]) -> None:
    assert run("down", "--force", "-m", "insecure").exit_code == 0
    assert fake.calls == [("insecure", "default", "down", "force")]
    seen: list[float | None] = []
    made = fake.__init__

    def init(self: FakeLab, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)
        seen.append(self.wait)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake, "__init__", init)
        for command in ("up", "down", "reset"):
            assert run(command, "-m", "insecure", "--no-wait").exit_code == 0
            assert run(command, "-m", "insecure").exit_code == 0
    assert seen == [0.0, None] * 3


def test_status_prints_a_line_for_each_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("status", "-m", "insecure").stdout == (
        "default  insecure  stopped  0 of 1 machines run\n"
    )
    monkeypatch.setattr("labkit.lab.list_labs", list)
    empty = run("status", "--all")
    assert (empty.exit_code, empty.stdout) == (0, "")
    assert json.loads(run("status", "--all", "--json").stdout) == []


def test_status_without_a_mode_shows_every_lab_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    labs = [("default", "hook-insecure"), ("default", "insecure"), ("other", "cloud-insecure")]
    monkeypatch.setattr("labkit.lab.removal.find_labs", lambda *_: labs)
    shown = [line.split()[1] for line in run("status").stdout.splitlines()]
    assert shown == ["insecure", "hardened", "hook-insecure"]
    shown = [line.split()[1] for line in run("status", "-m", "hardened").stdout.splitlines()]
    assert shown == ["hardened"]


def test_status_prints_json() -> None:
    assert json.loads(run("status", "--json", "-m", "insecure").stdout) == [
        {
            "name": "default",
            "mode": "insecure",
            "state": "stopped",
            "machines": {"master": "exited"},
            "interrupted": "",
            "reached": [],
            "other_files": False,
            "problems": {},
            "running": "",
            "lasting": [],
        }
    ]


def test_up_and_status_warn_of_a_lab_that_reaches_its_host(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = LabStatus("default", "insecure", "ready", {}, "", ("10.1.2.254", "fe80::1"), True)
    monkeypatch.setattr(fake, "status", lambda _: told)
    for command in (("up", "--quiet"), ("status",)):
        said = run(*command, "-m", "insecure").stderr
        assert "warning: lab default (insecure) REACHES THE DOCKER HOST at 10.1.2.254, fe80" in said
        assert "was made from other files; next: labkit down" in said
    unknown = LabStatus("default", "insecure", "ready", {}, reached=("unknown",))
    monkeypatch.setattr(fake, "status", lambda _: unknown)
    assert "not known whether" in run("status", "-m", "insecure").stderr


def test_down_needs_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[tuple[str, str]] = []

    def remove(client: None, name: str, mode: str) -> int:
        removed.append((name, mode))
        return 3

    labs = [("default", "gone"), ("x", "insecure")]
    monkeypatch.setattr("labkit.lab.removal.connect", lambda *_: None)
    monkeypatch.setattr("labkit.lab.removal.find_labs", lambda *_: labs)
    monkeypatch.setattr("labkit.lab.removal.remove_lab", remove)
    monkeypatch.setattr("labkit.lab.lock.exclusive", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr("labkit.lab.lock.remove_keeper", lambda *_: 0)

    def missing(mode: str, **_: Any) -> None:
        raise ConfigError(f"no environment at {mode}")

    monkeypatch.setattr("labkit.lab.Lab", missing)
    done = run("down", "-m", "gone")
    assert "lab default (gone): 3 containers, volumes and networks removed" in done.stderr
    assert removed == [("default", "gone")]
    refused = run("down", "-m", "other")
    assert refused.exit_code != 0
    assert "labkit status --all" in refused.stderr
    removed.clear()
    assert run("down", "--all").exit_code == 0
    assert removed == labs


@pytest.mark.parametrize("options", [(), ("--mode", "insecure"), ("--name", "x")])
def test_down_names_what_is_left_of_the_lab(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    labs = [("default", "light-insecure"), ("other", "hook-hardened"), ("default", "oidc-insecure")]
    monkeypatch.setattr("labkit.lab.removal.find_labs", lambda *_: labs)
    said = run("down", *options).stderr
    # one command takes them all down
    command = "labkit down --name default --mode light-insecure --mode oidc-insecure"
    left = f"still there of default: light-insecure, oidc-insecure; next: {command}"
    assert (left in " ".join(said.split())) == (not options)
    assert "hook-hardened" not in said


def test_down_all_takes_no_name_and_no_mode() -> None:
    assert run("down", "--all", "-m", "insecure").exit_code == 2
    assert run("down", "--all", "--name", "x").exit_code == 2


def test_exec_passes_everything_through(fake: type[FakeLab]) -> None:
    fake.output = Output(7, b"\xff\x00out", b"err\n")
    result = run("exec", "worker1", "-m", "hardened", "-u", "alice", "--", "ls", "--mode", "-m")
    assert result.exit_code == 7
    assert result.stdout_bytes == b"\xff\x00out"
    assert result.stderr == "err\n"
    ((mode, _, verb, node, argv, more),) = fake.calls
    assert (mode, verb, node, argv) == ("hardened", "exec", "worker1", ["ls", "--mode", "-m"])
    assert more == {"stdin": None, "user": "alice", "timeout": 60, "check": False}


def test_exec_reads_standard_input_only_when_asked(fake: type[FakeLab]) -> None:
    run("exec", "worker1", "-m", "insecure", "-i", "--", "cat", input=b"\x00hello")
    assert fake.calls[0][5]["stdin"] == b"\x00hello"


def test_kubectl_passes_arguments_and_exit_status_through(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = LabStatus("default", "hardened", "ready", {})
    monkeypatch.setattr(fake, "status", lambda _: ready)
    fake.output = Output(1, b"", b"Error from server (NotFound)\n")
    result = run("kubectl", "--", "get", "pods", "-A", env={"LABKIT_MODE": "hardened"})
    assert result.exit_code == 1
    assert result.stderr == "Error from server (NotFound)\n"
    monkeypatch.setattr(fake, "status", lambda _: LabStatus("default", "hardened", "broken", {}))
    result = run("kubectl", "--timeout", "5", "-m", "hardened", "--", "get", "pods")
    assert result.exit_code == 1
    assert "is broken\n  next: labkit reset" in result.stderr
    assert fake.calls.pop()[-1]["timeout"] == 5
    assert fake.calls == [
        (
            "hardened",
            "default",
            "kubectl",
            ("get", "pods", "-A"),
            {"stdin": None, "timeout": 60, "check": False},
        )
    ]


def test_logs_are_printed(fake: type[FakeLab]) -> None:
    result = run("logs", "worker1", "kubelet", "-m", "insecure", "-n", "3")
    assert result.stdout == "first\nlast\n"
    assert fake.calls == [("insecure", "default", "logs", "worker1", "kubelet", 3)]


def test_verify_of_the_state_names_what_differs_and_what_to_run() -> None:
    same = run("verify", "--state", "-m", "insecure")
    assert (same.exit_code, same.stdout) == (0, "")
    assert same.stderr == "lab default (insecure): as it came up\n"
    other = run("verify", "--state")
    assert other.exit_code == 1
    assert other.stdout == "hardened: worker1: units: kube-proxy.service is gone\n"
    reset = "labkit reset --name default --mode hardened"
    assert f"lab default (hardened): 1 difference; next: {reset}\n" in other.stderr
    shown = json.loads(run("verify", "--state", "--json", "-q").stdout)
    assert shown == {"insecure": [], "hardened": ["worker1: units: kube-proxy.service is gone"]}


@pytest.mark.parametrize(("verdict", "status"), [("agree", 0), ("disagree", 1), ("unprobed", 2)])
def test_verify_exits_by_its_verdicts(
    verdict: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labkit.verification import Report, Row

    def row(mode: str) -> Row:
        values = {"mode": mode, "channel": "a -> b:1", "property": "encryption", "claimed": "none"}
        names = Row.__dataclass_fields__
        return Row(**{name: values.get(name, "") for name in names} | {"verdict": verdict})

    def hold(lab: FakeLab, model: object = None, *, reporter: object = None) -> Report:
        return Report([row(lab.mode)])

    monkeypatch.setattr("labkit.verification.verify", hold)
    result = run("verify", "--json")
    assert result.exit_code == status
    rows = json.loads(result.stdout)
    assert [each["mode"] for each in rows] == ["insecure", "hardened"]
    assert {
        "mode",
        "channel",
        "property",
        "claimed",
        "source",
        "observed",
        "reason",
        "verdict",
    } <= (set(rows[0]))
    plain = run("verify", "-m", "hardened", "-q")
    assert plain.exit_code == status
    assert re.search(r"hardened.* a -> b:1 ", plain.stdout)
    assert plain.stderr == ""


def test_doctor_without_problems_exits_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    from labkit.lab import Check

    monkeypatch.setattr("labkit.lab.doctor", lambda: [Check("Memory", True, "8 GiB")])
    result = run("doctor")
    assert (result.exit_code, result.stdout) == (0, "ok   Memory: 8 GiB\n")


@pytest.mark.parametrize("command", [("bundle",), ("image", "save")])
def test_help_names_every_image(command: tuple[str, ...]) -> None:
    from labkit.lab._recipe import IMAGES

    shown = run(*command, "--help").output
    names = {it.name for it in IMAGES.values() if it.starts_machines}
    assert {name for name in names if name in shown} == names


def test_help_names_every_profile() -> None:
    words = run("up", "--help").output
    names = {path.name for path in environments_dir().iterdir() if path.name.endswith("-insecure")}
    assert {name for name in names if f"{split_mode(name)[0]}-" in words} == names
