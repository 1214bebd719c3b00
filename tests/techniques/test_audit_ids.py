"""A request of a technique bears the audit id of its run, in whichever way it is sent."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.lab import Output
from labkit.model import read_model
from labkit.techniques._lib.machines.reach import legitimate, marked, request, request_as

URL = "https://master:6443/metrics"


class Machines:
    """A lab that notes the commands of its machines and answers each with HTTP 200."""

    def __init__(self) -> None:
        self.addresses = {"master": "10.1.0.10"}
        self.environment = read_model("logs-insecure").environment
        self.commands: list[list[str]] = []

    def stretch(self) -> float:
        return 1.0

    def exec(self, node: str, argv: list[str], **_: object) -> Output:
        self.commands.append(argv)
        return Output(0, b"\n200", b"")


def without_certificate(lab: Any) -> None:
    request(lab, URL)


def with_certificate(lab: Any) -> None:
    held = SimpleNamespace(certificate="/etc/prometheus/a.crt", key="/etc/prometheus/a.key")
    request_as(lab, held, "monitor", URL)  # type: ignore[arg-type]


SENT = [without_certificate, with_certificate]


@pytest.mark.parametrize("send", SENT)
def test_request_bears_the_audit_id_of_its_run(send: Callable[[Any], None]) -> None:
    lab = Machines()
    with marked("0a1b"):
        send(lab)
        with legitimate():
            send(lab)
    attack, control = lab.commands
    assert attack[attack.index("Audit-ID: labkit-attack-0a1b") - 1] == "--header"
    assert control[control.index("Audit-ID: labkit-control-0a1b") - 1] == "--header"


@pytest.mark.parametrize("send", SENT)
def test_request_outside_a_run_bears_no_audit_id(send: Callable[[Any], None]) -> None:
    lab = Machines()
    send(lab)
    assert not [it for it in lab.commands[0] if it.startswith("Audit-ID")]
