"""What a server of an unknown CA sees of a client that is redirected to it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labkit.agents import intercept
from labkit.lab.pki import Authority, Leaf

KUBELET = {"unit": "kubelet.service", "command": "/usr/bin/kubelet --config=/etc/kubelet.yaml"}
ALICE = {"unit": "", "command": "kubectl get --kubeconfig=/home/alice/.kube/config --raw=/version"}


def meet(peer: Any, server: ssl.SSLContext, client: Any) -> dict[str, Any]:
    """Return what the server says of a client."""
    return intercept.receive(peer(client), server)


def request(shake: Any, context: ssl.SSLContext) -> Any:
    def client(connection: socket.socket) -> None:
        with shake(connection, context) as wrapped:
            wrapped.sendall(b"GET /api HTTP/1.1\r\nAuthorization: Bearer secret\r\n\r\n")
            wrapped.recv(1)

    return client


def test_accepting_client_is_recorded_without_its_headers(
    peer: Any, shake: Any, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    found = meet(peer, server_context, request(shake, client_context))
    assert found == {"spoke": "tls", "accepted": True, "sent": "GET /api HTTP/1.1"}
    assert intercept.tells({**found, "client": "kubelet.service"})


def test_verifying_client_is_recorded_with_its_alert(
    peer: Any, shake: Any, server_context: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cadata=Authority.create("its own").certificate.decode())
    found = meet(peer, server_context, request(shake, trusting))
    assert (found["accepted"], found["error"], found["text"]) == (False, "alert", "unknown ca")
    assert intercept.tells(found)


def test_plaintext_client_is_recorded_without_its_headers(
    peer: Any, server_context: ssl.SSLContext
) -> None:
    def client(connection: socket.socket) -> None:
        connection.sendall(b"GET /api HTTP/1.1\r\nAuthorization: Bearer secret\r\n\r\n")
        connection.recv(1)

    found = meet(peer, server_context, client)
    assert found == {"spoke": "plaintext", "sent": "GET /api HTTP/1.1"}
    assert intercept.tells(found)


def test_client_that_closes_after_the_handshake_decides_nothing(
    peer: Any, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    def client(connection: socket.socket) -> None:
        with client_context.wrap_socket(connection) as wrapped:
            wrapped.unwrap()

    found = meet(peer, server_context, client)
    assert (found["accepted"], found["error"]) == (False, "closed")
    assert not intercept.tells(found)


def test_client_that_sends_nothing_decides_nothing(
    peer: Any, server_context: ssl.SSLContext
) -> None:
    found = meet(peer, server_context, lambda connection: None)
    assert found == {"error": "closed", "text": "no byte was sent"}


def test_silent_client_is_a_timeout(
    peer: Any, server_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intercept, "SILENCE", 0.05)
    with pytest.raises(TimeoutError):
        meet(peer, server_context, lambda connection: connection.recv(1))


@pytest.mark.parametrize(
    ("process", "clients", "client"),
    [
        (KUBELET, {"kubelet.service"}, "kubelet.service"),
        (KUBELET, {"kube-proxy.service"}, None),
        # a unit is identified by its name only, not by its command line
        (KUBELET, {"--config=/etc/kubelet.yaml"}, None),
        (ALICE, {"--kubeconfig=/home/alice/.kube/config"}, "--kubeconfig=/home/alice/.kube/config"),
        (ALICE, {"kubelet.service"}, None),
        ({"unit": "", "command": ""}, {"kubelet.service"}, None),
    ],
)
def test_client_is_identified_by_its_unit_or_its_command_line(
    process: dict[str, str], clients: set[str], client: str | None
) -> None:
    assert intercept.client_of(process, clients) == client


def test_caller_is_the_owner_of_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net").mkdir()
    head = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  to i\n"
    )
    line = (
        "   0: 0100000A:{port:04X} 0200000A:192B 01 00000000:00000000 00:00000000 0 0 0 {inode} 1"
    )
    (tmp_path / "net" / "tcp").write_text(
        head + line.format(port=40000, inode=0) + "\n" + line.format(port=40000, inode=77)
    )
    (tmp_path / "net" / "tcp6").write_text(head)
    # the fake server itself holds the other end of the connection on the same machine
    for pid, inode in ((str(os.getpid()), 77), ("1234567", 77), ("1234568", 78)):
        descriptors = tmp_path / pid / "fd"
        descriptors.mkdir(parents=True)
        (descriptors / "3").symlink_to(f"socket:[{inode}]")
        unit = "labkit.service" if pid == str(os.getpid()) else "kubelet.service"
        (tmp_path / pid / "cgroup").write_text(f"0::/system.slice/{unit}\n")
        (tmp_path / pid / "cmdline").write_text("/usr/bin/kubelet\0--v=2\0")
    monkeypatch.setattr(intercept, "PROC", tmp_path)
    assert intercept.caller(40000) == {
        "unit": "kubelet.service",
        "command": "/usr/bin/kubelet --v=2",
    }
    assert intercept.caller(40001) == {"unit": "", "command": ""}


def test_caller_of_a_real_connection_is_found() -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("only Linux says who owns a connection")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        program = (
            "import socket\n"
            f"socket.create_connection(('127.0.0.1', {port})).recv(1)  # labkit-was-here"
        )
        with subprocess.Popen([sys.executable, "-c", program]) as process:
            connection, (_, peer) = listener.accept()
            try:
                assert "labkit-was-here" in intercept.caller(peer)["command"]
            finally:
                connection.close()
                process.wait(60)


def test_interception_ends_when_every_client_is_recorded(
    server_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    met = iter([{"spoke": "tls", "accepted": False, "error": "reset", "text": ""},
                {"spoke": "tls", "accepted": False, "error": "alert", "text": "unknown ca"},
                {"error": "closed", "text": "no byte was sent"},
                {"spoke": "plaintext", "sent": "GET /"}])  # fmt: skip
    units = iter(["a.service", "a.service", "b.service", "b.service"])
    monkeypatch.setattr(intercept, "receive", lambda connection, server: next(met))
    monkeypatch.setattr(intercept, "caller", lambda peer: {"unit": next(units), "command": ""})
    meetings = intercept.Meetings(["a.service", "b.service"], server_context)
    absent = []
    for _ in range(4):
        meetings.serve(socket.socket(), 1)
        absent.append((meetings.absent(), meetings.enough.is_set()))
    both = {"a.service", "b.service"}
    assert absent == [(both, False), ({"b.service"}, False), ({"b.service"}, False), (set(), True)]
    assert [entry["client"] for entry in meetings.seen] == ["a.service", "a.service", "b.service"]


def test_unwanted_client_is_not_counted(
    server_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intercept, "receive", lambda *_: {"spoke": "plaintext", "sent": ""})
    monkeypatch.setattr(intercept, "caller", lambda peer: {"unit": "ssh.service", "command": ""})
    meetings = intercept.Meetings(["a.service"], server_context)
    meetings.serve(socket.socket(), 1)
    assert not meetings.seen


def job(leaf: Leaf, **more: Any) -> dict[str, Any]:
    return {
        "certificate_pem": leaf.certificate.decode(),
        "key_pem": leaf.key.decode(),
        "hosts": ["127.0.0.1"],
        "port": 6443,
        "clients": ["a.service"],
        "triggers": [],
        "errands": [],
        "seconds": 0.3,
        **more,
    }


def test_rules_are_removed_and_connections_cut_twice(
    commands: Any, leaf: Leaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    iptables, ss, systemctl = (commands(name) for name in ("iptables", "ss", "systemctl"))
    monkeypatch.setattr(intercept.call_until_met, "__defaults__", (0.05,))
    assert intercept.attempt(job(leaf)) == {"seen": []}
    added, deleted = iptables.read_text().splitlines()
    assert added.replace(" -I ", " -D ") == deleted
    assert added.startswith("-w 5 -t nat -I OUTPUT -p tcp -d 127.0.0.1 --dport 6443 -m owner ! ")
    assert ss.read_text().splitlines() == ["-K -t dst 127.0.0.1 dport = :6443"] * 2
    # a client that does not connect is restarted once
    assert systemctl.read_text().splitlines() == ["restart --no-block a.service"]


def test_client_is_restarted_before_the_time_is_up_on_a_busy_machine(
    commands: Any, leaf: Leaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pause may last longer than the job's whole time."""
    systemctl = [commands(name) for name in ("iptables", "ss", "systemctl")][2]
    monkeypatch.setattr(intercept, "stretch", lambda: 1.0)
    monkeypatch.setattr(intercept.call_until_met, "__defaults__", (0.5,))
    assert intercept.attempt(job(leaf)) == {"seen": []}
    assert systemctl.read_text().splitlines() == ["restart --no-block a.service"]


@pytest.mark.parametrize(("trigger", "several"), [(["sleep", "20"], False), (["true"], True)])
def test_client_is_not_called_again_while_it_is_called(
    server_context: ssl.SSLContext,
    leaf: Leaf,
    trigger: list[str],
    several: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intercept, "stretch", lambda: 1.0)
    called: list[subprocess.Popen[bytes]] = []
    meetings = intercept.Meetings(["a.service"], server_context)
    asked = job(leaf, triggers=[trigger], clients=[], seconds=2)
    try:
        intercept.call_until_met(asked, meetings, called, pause=0.1)
        assert (len(called) > 1) == several
    finally:
        for process in called:
            process.kill()
            process.wait()


def test_rules_are_removed_even_if_the_firewall_refused(commands: Any, leaf: Leaf) -> None:
    iptables = commands("iptables", 'case "$*" in *-I*) exit 1;; esac')
    commands("ss")
    assert intercept.attempt(job(leaf))["error"] == "failed"
    assert [line.split()[4] for line in iptables.read_text().splitlines()] == ["-I", "-D"]


def test_calling_client_is_recorded(
    commands: Any, shake: Any, leaf: Leaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ss", "systemctl"):
        commands(name)
    iptables = commands("iptables")
    monkeypatch.setattr(intercept, "caller", lambda peer: {"unit": "a.service", "command": ""})
    context = ssl.create_default_context(cadata=Authority.create("its own").certificate.decode())

    def call(job: Any, meetings: Any, called: Any, pause: float = 2) -> None:
        port = int(iptables.read_text().split()[-1])
        with (
            socket.create_connection(("127.0.0.1", port), 5) as raw,
            contextlib.suppress(ssl.SSLError),
        ):
            shake(raw, context)
        assert meetings.enough.wait(60)

    monkeypatch.setattr(intercept, "call_until_met", call)
    jobs = {"intercept master:6443": job(leaf)}
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(jobs)))
    monkeypatch.setattr(sys, "stdout", out)
    intercept.main()
    (seen,) = json.loads(out.getvalue())["intercept master:6443"]["seen"]
    assert seen == {
        "client": "a.service",
        "spoke": "tls",
        "accepted": False,
        "error": "alert",
        "text": "unknown ca",
    }
