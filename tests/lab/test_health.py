"""What is frozen, stopped, paused or gone is named by status, and repaired by reset."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from labkit import techniques
from labkit.agents import health as agent
from labkit.errors import LabError
from labkit.lab import Lab, engine
from labkit.lab.health import Problem, problems
from labkit.lab.pki import Authority

#: Seconds in which a look at a broken lab must end; 3 s without other work.
ENDS = 120


def process(root: Path, number: int, state: str) -> None:
    (root / f"proc/{number}").mkdir(parents=True)
    (root / f"proc/{number}/stat").write_text(f"{number} (a (b) c) {state} 1 1 1")


NO_PODS = ["echo", '{"items": []}']


@pytest.mark.parametrize(
    ("ready", "pods", "problem"),
    [
        (["sh", "-c", "echo '[-]etcd failed' >&2; exit 1"], NO_PODS, "[-]etcd failed"),
        # a refusal without a word is a refusal
        (["false"], NO_PODS, "exit status 1"),
        (["true"], ["sh", "-c", "echo Forbidden; exit 22"], "Forbidden"),
        (["true"], NO_PODS, None),
    ],
)
def test_apiserver_that_is_not_ready_is_named(
    ready: list[str],
    pods: list[str],
    problem: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "proc").mkdir()
    monkeypatch.setattr(agent, "full", lambda _: ())
    found = agent.look(tmp_path, ready, pods)
    # it may still be starting
    fault = agent.Fault(f"is not ready: {problem}", lasts=False)
    assert found == ({"the apiserver": fault} if problem else {})


def test_pods_that_are_not_listed_are_not_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc").mkdir()
    monkeypatch.setattr(agent, "full", lambda _: ())
    fault = agent.Fault("does not say which pods there are", lasts=False)
    assert agent.look(tmp_path, ["true"], ["echo", "no JSON"]) == {"the apiserver": fault}


def pod(name: str, phase: str = "Running", waits: str = "", **about: str) -> dict[str, Any]:
    state = {"waiting": {"reason": waits}} if waits else {"running": {}}
    status = {"phase": phase, "containerStatuses": [{"state": state}]}
    return {"metadata": {"namespace": "shop", "name": name, **about}, "status": status}


@pytest.mark.parametrize(
    ("found", "how"),
    [
        (pod("web"), None),
        (pod("web", "Failed"), agent.Fault("has ended: Failed")),
        (pod("web", "Succeeded"), agent.Fault("has ended: Succeeded")),
        (pod("web", "Pending", "ContainerCreating"), None),
        (pod("web", "Pending", "ErrImageNeverPull"), "does not start: ErrImageNeverPull"),
        (pod("web", "Running", "CrashLoopBackOff"), "does not start: CrashLoopBackOff"),
        (pod("web", "Failed", deletionTimestamp="2026-12-01T00:00:00Z"), None),
        # of a person or an attack: it may end
        (pod("more", "Failed"), None),
    ],
)
def test_pod_of_the_lab_that_does_not_run_is_named(
    found: dict[str, Any],
    how: agent.Fault | str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "proc").mkdir()
    monkeypatch.setattr(agent, "full", lambda _: ())
    kept = tmp_path / agent.FINGERPRINT
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"objects": {"Pod": {"shop/web": ""}}}))
    said = agent.look(tmp_path, ["true"], ["echo", json.dumps({"items": [found]})])
    fault = agent.Fault(how, lasts=False) if isinstance(how, str) else how
    assert said == ({"pod shop/web": fault} if fault else {})


def test_processes_that_a_signal_stopped_are_found(tmp_path: Path) -> None:
    for number, state in ((1, "S"), (20, "T"), (30, "R"), (40, "t")):
        process(tmp_path, number, state)
    (tmp_path / "proc/self").mkdir()
    assert sorted(agent.stopped(tmp_path / "proc")) == [20, 40]


def test_enabled_units_are_those_whose_files_are_in_etc(tmp_path: Path) -> None:
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "etcd.service").symlink_to("/etc/systemd/system/etcd.service")
    (wants / "remote-fs.target").symlink_to("/usr/lib/systemd/system/remote-fs.target")
    assert agent.enabled(tmp_path) == ["etcd.service"]


def test_file_in_the_place_of_a_link_enables_no_unit(tmp_path: Path) -> None:
    folder = tmp_path / "etc/systemd/system/multi-user.target.wants"
    folder.mkdir(parents=True)
    (folder / "etcd.service").touch()
    assert agent.enabled(tmp_path) == []


def test_full_file_system_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def statvfs(folder: str) -> Any:
        room, names = rooms.get(folder, (1 << 20, 0))
        return SimpleNamespace(f_bavail=room, f_frsize=4096, f_files=names, f_favail=0)

    monkeypatch.setattr(os, "statvfs", statvfs)
    rooms = {"/dev": (1, 0)}
    assert list(agent.full(["/", "/dev", "/no/such/folder"])) == ["/dev"]
    rooms = {"/dev": (1 << 20, 500)}
    assert list(agent.full(["/", "/dev"])) == ["/dev"], "no file can be created"
    rooms = dict.fromkeys(["/", "/etc", "/usr/.."], (1, 0))
    assert list(agent.full([*rooms])) == ["/"], "one folder for each file system"


def test_certificates_are_valid_from_one_date_to_another(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    (tmp_path / "etcd/pki").mkdir(parents=True)
    authority = Authority.create("ca")
    file = tmp_path / "etcd/pki/ca.crt"
    file.write_bytes(b"# a comment\n" + authority.certificate + authority.issue("a").certificate)
    (tmp_path / "etcd/pki/broken.pem").write_text("-----BEGIN CERTIFICATE-----\nA\n-----END C")
    known = x509.load_pem_x509_certificate(authority.certificate)
    assert list(agent.dates(authority.certificate)) == [
        (known.not_valid_before_utc, known.not_valid_after_utc)
    ]
    for hours in (-23, 0, 29 * 24):
        assert list(agent.invalid(tmp_path, now + timedelta(hours=hours))) == []
    for when, word in ((timedelta(hours=-25), "before"), (timedelta(days=31), "after")):
        found = dict(agent.invalid(tmp_path, now + when))
        assert list(found) == [f"the certificate {file}"]
        assert found[f"the certificate {file}"].startswith(f"is not valid {word} 2")


def test_late_dates_of_a_certificate_have_four_digits() -> None:
    """RFC 5280, 4.1.2.5: dates from 2050 on are GeneralizedTimes."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "late")])
    first, last = datetime(1999, 12, 31, tzinfo=UTC), datetime(2051, 1, 2, tzinfo=UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, first, last)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    assert list(agent.dates(made)) == [(first, last)]


def test_silent_systemd_is_a_fault_and_never_a_healthy_machine() -> None:
    assert agent.faults("", []) == {"systemd": agent.Fault("is silent", lasts=False)}


@pytest.mark.parametrize(
    ("state", "job", "lasts"),
    [
        # systemd's states: man org.freedesktop.systemd1, ActiveState and Job
        ("failed", "", True),
        ("inactive", "", True),
        ("inactive", "578", False),
        ("failed", "578", False),
        ("activating", "", False),
        ("deactivating", "", False),
    ],
)
def test_unit_that_systemd_starts_again_does_not_stay_down(
    state: str, job: str, lasts: bool
) -> None:
    shown = f"MainPID=0\nId=etcd.service\nActiveState={state}\nJob={job}"
    assert agent.faults(shown, []) == {"etcd.service": agent.Fault(f"is {state}", lasts)}


def test_paused_and_stopped_machines_are_named_without_being_asked() -> None:
    machines: Any = {
        name: SimpleNamespace(status=status)
        for name, status in (("etcd1", "paused"), ("etcd2", "exited"), ("etcd3", "dead"))
    }
    assert problems(machines) == {
        "etcd1": (Problem("is paused", lasts=True),),
        "etcd2": (Problem("is stopped", lasts=True),),
        "etcd3": (Problem("is dead", lasts=True),),
    }


@pytest.fixture
def silent_engine(tmp_path: Path) -> Iterator[str]:
    """Yield the address of an engine that accepts every connection, and never answers."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "docker.sock"))
        server.listen(50)
        taken: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    taken.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield f"unix://{tmp_path}/docker.sock"
        for connection in taken:
            connection.close()


@pytest.mark.parametrize(
    "command",
    [["status"], ["attack", "etcd-read", "-m", "insecure"], ["doctor"], ["down"]],
    ids=lambda command: command[0],
)
def test_engine_that_never_answers_is_reported(command: list[str], silent_engine: str) -> None:
    code = (
        "from labkit.lab import engine; engine.FIRST_ANSWER_S = 0.5\n"
        f"import sys; sys.argv[1:] = {command}\n"
        "from labkit.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DOCKER_HOST": silent_engine},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert engine.FIRST_ANSWER_S <= 10, "shortened above"
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert "does not answer" in done.stderr or "Read timed out" in done.stdout


def test_every_damage_is_named_and_repaired(lab_insecure: Lab) -> None:
    lab = lab_insecure
    damage: dict[str, Any] = {
        "etcd2": lambda: lab.exec("etcd2", ["systemctl", "stop", "etcd"]),
        "etcd3": lambda: lab.exec("etcd3", ["systemctl", "kill", "--signal=STOP", "etcd"]),
        "master": lambda: lab.exec(
            "master", ["systemctl", "kill", "--signal=STOP", "kube-scheduler"]
        ),
        "worker1": lambda: lab.container("worker1").pause(),
        "worker2": lambda: lab.container("worker2").kill(),
        "attacker": lambda: lab.container("attacker").remove(force=True),
    }
    address = lab.addresses["attacker"]
    try:
        for act in damage.values():
            act()
        began = time.monotonic()
        status = lab.status()
        assert time.monotonic() - began < ENDS
        assert status.state == "broken"
        assert set(status.problems) == set(damage)
        assert status.problems["etcd2"][0] in ("etcd.service is inactive", "etcd.service is failed")
        assert status.problems["etcd3"] == ("etcd.service is stopped by a signal",)
        assert status.problems["master"][0] == "kube-scheduler.service is stopped by a signal"
        assert status.problems["worker1"] == ("is paused",)
        assert status.problems["worker2"] == ("is stopped",)
        assert status.problems["attacker"] == ("is gone",)
        began = time.monotonic()
        with pytest.raises(LabError, match="is broken") as caught, lab.exclusive("attack"):
            pass
        assert time.monotonic() - began < ENDS
        assert "worker1: is paused" in caught.value.evidence
        assert caught.value.hint.startswith("labkit reset")
    finally:
        lab.reset()
    assert lab.status().state == "ready"
    assert lab.addresses["attacker"] == address
    assert lab.kubectl("get", "nodes").text.count(" Ready ") == 2
    # a pod of worker1 waited for the answer of a pod of worker2, which is another one now
    assert techniques["token-replay"].run(lab).succeeded


PODS = {
    # the kubelet refuses a pod for which it has no place, and the pod has failed for good
    "no place": (
        "worker1",
        "echo 'maxPods: 1' >>/etc/kubernetes/kubelet.yaml; systemctl restart kubelet",
        "has ended: OutOfpods",
    ),
    "deadline": (
        "master",
        """$K patch pod web --type=merge --patch='{"spec": {"activeDeadlineSeconds": 1}}'""",
        "has ended: DeadlineExceeded",
    ),
    "image": ("master", "$K set image pod/web web=none:1", "does not start: ErrImageNeverPull"),
    # reset comes while it ends
    "deleted": ("master", "$K delete pod web --wait=false", ""),
    "labels": ("master", "$K label pod web app=other --overwrite", ""),
    "finalizer": (
        "master",
        """$K patch pod web --type=merge --patch='{"metadata": {"finalizers": ["a.example/b"]}}'
        $K delete pod web --wait=false""",
        "",
    ),
}


@pytest.mark.parametrize("name", PODS)
def test_pod_that_does_not_come_back_is_made_again(
    name: str, lab_insecure: Lab, settled: Callable[[Lab], list[str]]
) -> None:
    lab = lab_insecure
    machine, script, problem = PODS[name]
    kubectl = "K='kubectl --kubeconfig=/etc/kubernetes/admin.conf --namespace=shop'"
    lab.exec(machine, ["sh", "-ec", f"{kubectl}\n{script}"], timeout=90)
    try:
        deadline = time.monotonic() + ENDS
        while problem and f"pod shop/web {problem}" not in lab.status().problems.get("master", ()):
            assert time.monotonic() < deadline, lab.status()
            time.sleep(0.5)
    finally:
        lab.reset()
    assert lab.status().state == "ready"
    assert settled(lab) == []


def test_up_makes_a_failed_pod_again(lab_insecure: Lab) -> None:
    lab = lab_insecure
    patch = '{"spec": {"activeDeadlineSeconds": 1}}'
    lab.kubectl("patch", "pod", "web", "--namespace=shop", "--type=merge", f"--patch={patch}")
    deadline = time.monotonic() + ENDS
    while lab.status().state == "ready" and time.monotonic() < deadline:
        time.sleep(0.5)
    assert lab.status().lasting == ("master",), "no waiting mends it"
    lab.up()
    assert lab.status().state == "ready"


def test_frozen_systemd_and_apiserver_are_repaired(lab_insecure: Lab) -> None:
    lab = lab_insecure
    lab.exec("master", ["systemctl", "kill", "--signal=STOP", "kube-apiserver"])
    lab.container("etcd1").kill(signal="STOP")
    status = lab.status()
    assert status.problems["master"] == ("kube-apiserver.service is stopped by a signal",)
    assert status.problems["etcd1"] == ("systemd is stopped by a signal",)
    lab.reset()
    assert lab.status().state == "ready"


def test_machine_without_its_files_is_reset(
    lab_hardened: Lab, settled: Callable[[Lab], list[str]]
) -> None:
    lab = lab_hardened
    lab.exec("master", ["rm", "-rf", "/etc/kubernetes"])
    lab.exec("master", ["systemctl", "stop", "kube-apiserver"])
    link = "/etc/systemd/system/multi-user.target.wants/kube-scheduler.service"
    lab.exec("master", ["sh", "-c", f"rm {link}; touch {link}"])
    # a file that a killed process has emptied
    lab.exec("worker2", ["truncate", "--size=0", "/var/lib/labkit/since"])
    lab.reset()
    assert lab.status().state == "ready"
    assert settled(lab) == []


def test_a_ready_lab_is_up_and_a_broken_one_is_repaired_by_up(lab_hardened: Lab) -> None:
    lab = lab_hardened
    etcd = lab.container("etcd1").id
    lab.exec("etcd1", ["systemctl", "kill", "--signal=STOP", "etcd"])
    assert lab.status().state == "broken"
    lab.up()
    assert lab.status().state == "ready"
    assert lab.container("etcd1").id == etcd, "it was repaired, and not made again"


def old_certificate() -> tuple[bytes, bytes]:
    """Return a certificate that has expired an hour ago, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "system:kube-scheduler")])
    last = datetime.now(UTC) - timedelta(hours=1)
    first = last - timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, first, last)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM), key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


FILL = """
systemctl stop etcd
mount -t tmpfs -o size=40m none /var/lib/etcd
head -c 39m /dev/zero >/var/lib/etcd/full
systemctl start --no-block etcd
"""


def test_full_disk_and_old_certificate_are_named_and_repaired(lab_hardened: Lab) -> None:
    """A clock that is wrong makes certificates invalid; a container's clock is its host's."""
    lab = lab_hardened
    lab.exec("etcd3", ["sh", "-c", FILL])
    certificate, key = old_certificate()
    lab.write_file("master", "/etc/kubernetes/pki/scheduler.crt", certificate)
    lab.write_file("master", "/etc/kubernetes/pki/scheduler.key", key, 0o600)
    lab.exec("master", ["systemctl", "restart", "kube-scheduler"])
    try:
        status = lab.status()
        assert status.state == "broken"
        assert "/var/lib/etcd has no space left" in status.problems["etcd3"]
        (said,) = status.problems["master"]
        assert said.startswith("the certificate /etc/kubernetes/pki/scheduler.crt is not valid af")
        with pytest.raises(LabError, match=r"etcd3 cannot be repaired: /var/lib/etcd: no space"):
            lab.reset()
    finally:
        # it starts again and again, and may hold a file there at this moment
        lab.exec("etcd3", ["systemctl", "stop", "etcd"])
        lab.exec("etcd3", ["umount", "/var/lib/etcd"])
        lab.reset()
    assert lab.status().problems == {}
