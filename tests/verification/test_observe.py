"""What was seen decides; what was not seen, or only timed out, decides nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from labkit.model import PROPERTIES, Channel, read_model
from labkit.verification.observe import Results, Unprobed, observe
from labkit.verification.questions import questions
from labkit.verification.report import Report
from labkit.verification.run import _row

HARDENED = {c.id: c for c in read_model("hardened").channels}
KUBELET = HARDENED["kubelet@worker1 -> kube-apiserver@master:6443"]
READ_ONLY = HARDENED["anyone@network -> kubelet@worker1:10255"]
SOCKET = HARDENED["local-users@worker1 -> dockerd@worker1:/run/docker.sock"]

OK = {"status": 200, "body": ""}
UNAUTHORIZED = {"status": 401, "body": ""}
FORBIDDEN = {"status": 403, "body": ""}
TIMEOUT = {"error": "timeout", "text": "timed out"}
REFUSED = {"error": "refused", "text": ""}
HTTPS_ONLY = {"status": 400, "body": "Client sent an HTTP request to an HTTPS server.\n"}
OLD = {"error": "alert", "text": "protocol version"}
NEED = {"error": "alert", "text": "certificate required"}
SHOOK = {"version": "TLSv1.3", "cipher": "", "der": ""}
LOOK = {"plaintext": HTTPS_ONLY, "TLSv1_1": OLD, "TLSv1_2": OLD, "TLSv1_3": SHOOK}
OPEN = {"plaintext": OK, "TLSv1_1": REFUSED, "TLSv1_2": REFUSED, "TLSv1_3": REFUSED}
ALERT = {"spoke": "tls", "accepted": False, "error": "alert", "text": "bad certificate"}
WENT_ON = {"spoke": "tls", "accepted": True, "sent": "GET /api"}
PLAIN = {"spoke": "plaintext", "sent": "GET /api HTTP/1.1"}


def results(**seen: Any) -> Results:
    usual: dict[str, Any] = {
        "look": LOOK,
        "nobody": UNAUTHORIZED,
        "guess": UNAUTHORIZED,
        "own": OK,
        "power": FORBIDDEN,
        "alive": None,
        "socket": None,
        "met": (ALERT,),
    }
    return Results(**{**usual, **seen})


@pytest.mark.parametrize(
    ("name", "seen", "value"),
    [
        ("encryption", {}, "tls1.3"),
        ("encryption", {"look": {**LOOK, "TLSv1_2": SHOOK}}, "tls1.2"),
        ("encryption", {"look": {**LOOK, "TLSv1_2": NEED}}, "tls1.2"),
        ("encryption", {"look": {**LOOK, "TLSv1_1": SHOOK}}, "tls1.1"),
        ("encryption", {"look": OPEN, "met": ()}, "none"),
        ("encryption", {"met": (PLAIN,)}, "none"),
        ("encryption", {"look": REFUSED}, "closed"),
        ("server_authentication", {}, "verified"),
        ("server_authentication", {"met": (ALERT, WENT_ON)}, "unverified"),
        ("server_authentication", {"met": (PLAIN,)}, "none"),
        ("client_authentication", {}, "required"),
        ("client_authentication", {"nobody": NEED}, "required"),
        ("client_authentication", {"nobody": FORBIDDEN}, "anonymous"),
        ("client_authentication", {"nobody": OK}, "anonymous"),
        ("client_authentication", {"nobody": OK, "guess": OK}, "none"),
        ("authorization", {}, "enforced"),
        ("authorization", {"power": {"status": 201, "body": ""}}, "allow-all"),
        ("authorization", {"power": {"code": 1, "stdout": "", "stderr": "permission denied"}},
         "enforced"),
        ("authorization", {"power": {"code": 1, "stdout": "", "stderr": "user name is empty"}},
         "enforced"),
        ("authorization", {"power": {"code": 0, "stdout": "/registry/x", "stderr": ""}},
         "allow-all"),
    ],
)  # fmt: skip
def test_probe_results_decide_the_observed_value(
    name: str, seen: dict[str, Any], value: str
) -> None:
    assert observe(KUBELET, name, results(**seen)).value == value


@pytest.mark.parametrize(
    ("name", "seen", "why"),
    [
        *((name, {"look": TIMEOUT}, "connect: timeout") for name in PROPERTIES),
        (
            "encryption",
            {"look": {**LOOK, "TLSv1_2": TIMEOUT}},
            "neither taken nor refused: timeout",
        ),
        (
            "encryption",
            {"look": {**LOOK, "TLSv1_2": {"error": "closed", "text": ""}}},
            "neither taken nor refused: closed",
        ),
        (
            "encryption",
            {"look": {**LOOK, "TLSv1_2": {"error": "alert", "text": "unrecognized name"}}},
            "neither taken nor refused: alert: unrecognized name",
        ),
        (
            "server_authentication",
            {"met": ({**ALERT, "text": "no application protocol"},)},
            "the client broke off without an alert about the certificate: no application protocol",
        ),
        ("server_authentication", {"met": ()}, "the client made no connection"),
        (
            "server_authentication",
            {"met": ({**ALERT, "error": "closed"},)},
            "the client broke off without an alert",
        ),
        ("client_authentication", {"nobody": TIMEOUT}, "without a credential: timeout"),
        (
            "client_authentication",
            {"nobody": {"error": "reset", "text": ""}},
            "without a credential: reset",
        ),
        (
            "client_authentication",
            {"nobody": OK, "guess": TIMEOUT},
            "with an unknown credential: timeout",
        ),
        ("authorization", {"power": TIMEOUT}, "beyond its rights: timeout"),
        ("authorization", {"power": UNAUTHORIZED}, "beyond its rights: 401"),
        (
            "authorization",
            {"power": {"code": 0, "stdout": "", "stderr": ""}},
            "beyond its rights: exit 0: no output",
        ),
    ],
)
def test_unanswered_probe_is_unprobed_and_not_a_refusal(
    name: str, seen: dict[str, Any], why: str
) -> None:
    with pytest.raises(Unprobed, match=why):
        observe(KUBELET, name, results(**seen))


@pytest.mark.parametrize(
    "name", ["server_authentication", "client_authentication", "authorization"]
)
@pytest.mark.parametrize("own", [UNAUTHORIZED, REFUSED, TIMEOUT, None])
def test_refusal_counts_only_where_the_legitimate_client_passes(name: str, own: Any) -> None:
    with pytest.raises(Unprobed, match="the legitimate client"):
        observe(KUBELET, name, results(own=own))


@pytest.mark.parametrize("name", PROPERTIES)
def test_closed_listener_needs_a_live_machine(name: str) -> None:
    nothing = dict.fromkeys(("nobody", "guess", "own", "power"))
    seen = results(look=REFUSED, alive=LOOK, met=(), **nothing)
    assert observe(READ_ONLY, name, seen).value == "closed"
    with pytest.raises(Unprobed, match="nothing else on the machine answers"):
        observe(READ_ONLY, name, results(look=REFUSED, alive=REFUSED, met=(), **nothing))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encryption", "none"),
        ("server_authentication", "none"),
        ("client_authentication", "none"),
        ("authorization", "allow-all"),
    ],
)
def test_open_listener_claimed_closed_is_observed(name: str, value: str) -> None:
    nothing = dict.fromkeys(("nobody", "guess", "own", "power"))
    seen = results(look=OPEN, alive=LOOK, met=(), **nothing)
    assert observe(READ_ONLY, name, seen).value == value


def socket(**more: Any) -> dict[str, Any]:
    usual = {"socket": True, "mode": "0600", "owner": "root", "group": "root", "server": "dockerd"}
    denied = {"error": "permission", "text": "PermissionError"}
    return {**usual, "root": {"connected": True}, "alice": denied, **more}


def test_socket_client_authentication_is_observed_by_who_connects() -> None:
    def client(**more: Any) -> str:
        return observe(SOCKET, "client_authentication", results(socket=socket(**more))).value

    assert client() == "file-mode"
    assert client(alice={"connected": True}) == "none"
    with pytest.raises(Unprobed, match="root cannot connect"):  # root is the control
        client(root={"error": "refused", "text": ""})
    with pytest.raises(Unprobed, match="failed: no such user"):
        client(alice={"error": "failed", "text": "no such user"})


#: containerd speaks gRPC, and is asked with ctr.
HTTP = [it for it in HARDENED.values() if not it.server.startswith("containerd@")]


@pytest.mark.parametrize("channel", HTTP, ids=str)
def test_every_http_channel_has_three_questions(channel: Channel) -> None:
    paths = [question.path for question in questions(channel)]
    assert len(paths) == 3
    assert all(path.startswith("/") for path in paths)


@pytest.mark.parametrize(("value", "verdict"), [("unknown", "found out"), ("none", "disagree")])
def test_probe_of_an_unknown_claim_finds_out_and_does_not_disagree(
    value: str, verdict: str
) -> None:
    doubted = replace(KUBELET, encryption=replace(KUBELET.encryption, value=value))
    row = _row("hardened", doubted, "encryption", results())
    assert (row.claimed, row.observed, row.verdict) == (value, "tls1.3", verdict)
    report = Report([row])
    assert bool(report.disagree) == (verdict == "disagree")
    assert report.exit_code == (1 if report.disagree else 0)
    assert f"claimed {value}, observed tls1.3" in report.differences()
    assert ("1 found out" in report.summary()) == (verdict == "found out")
