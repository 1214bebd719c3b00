"""How a technique reaches the lab's machines, and nothing but them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from labkit.errors import CommandFailed, ProbeError, ProbeTimeout

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = ["Answer", "attacker", "inside", "request", "run"]

#: Seconds for one request, and for one command without a limit of its own.
PATIENCE = 5
DEADLINE = 20.0
#: curl's exit codes: the server could not be reached, and no answer came in time.
NO_CONNECTION, TIMED_OUT = 7, 28
#: A server that closes while it is still being sent something may wipe out the alert that it
#: sent before: the client then only sees the reset. It is asked again.
ATTEMPTS = 8


class _Addressed(Protocol):
    @property
    def addresses(self) -> dict[str, str]: ...


def inside(lab: _Addressed, host: str) -> str:
    """Return the address of a machine of the lab; anything else is refused.

    The lab's network alone is not enough: its gateway is the machine that Docker runs on.

    Parameters
    ----------
    lab : Lab
    host : str
        The name or the address of a machine.

    Raises
    ------
    ProbeError
        It is none of the lab's machines.
    """
    addresses = lab.addresses
    if host in addresses:
        return addresses[host]
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        address = ""
    if address not in addresses.values():
        raise ProbeError(
            f"{host!r} is no machine of this lab: nothing is sent there",
            hint=f"choose one of: {', '.join(sorted(addresses))}",
        )
    return address


def attacker(lab: Lab) -> str:
    """Return the name of the machine that stands on the network without a credential."""
    return next(node.name for node in lab.environment.nodes if node.role == "attacker")


def run(
    lab: Lab,
    node: str,
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    timeout: float = DEADLINE,
    check: bool = False,
) -> Output:
    """Run a command in a machine.

    Raises
    ------
    ProbeTimeout
        It did not end in time.
    ProbeError
        It failed, and `check` is set.
    """
    try:
        output = lab.exec(node, argv, stdin=stdin, timeout=timeout, check=False)
    except CommandFailed as error:  # without check only where it ran out of time
        raise ProbeTimeout(error.message, evidence=error.evidence) from error
    if check and output.exit_code:
        raise ProbeError(
            f"{node}: {argv[0]} exited with {output.exit_code}",
            evidence=(output.error + output.text).strip().splitlines()[-5:],
        )
    return output


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request got: a body, or why it was refused."""

    status: int
    body: bytes
    refusal: str


def request(
    lab: Lab, url: str, *, body: bytes | None = None, options: Sequence[str] = ()
) -> Answer:
    """Ask something of a machine of the lab, from the attacker's, with curl.

    Parameters
    ----------
    lab : Lab
    url : str
    body : bytes, optional
        Is posted, as JSON.
    options : sequence of str
        More of curl's: a client certificate, say.

    Returns
    -------
    Answer

    Raises
    ------
    ProbeTimeout
        No answer came.
    ProbeError
        Something happened that says nothing.
    """
    inside(lab, urlsplit(url).hostname or "")
    # An attacker has no reason to trust, and none to verify.
    argv = ["curl", "--verbose", "--silent", "--show-error", "--insecure", "--noproxy", "*"]
    argv += ["--max-time", str(PATIENCE), "--write-out", "\n%{http_code}", *options]
    if body is not None:
        argv += ["--header", "Content-Type: application/json", "--data-binary", "@-"]
    for _ in range(ATTEMPTS):
        output = run(lab, attacker(lab), [*argv, url], stdin=body)
        if "reset by peer" not in output.error:
            break
    content, _, status = output.stdout.rpartition(b"\n")
    return answer(output.exit_code, output.error, int(status or b"0"), content, url)


def answer(exit_code: int, error: str, status: int, body: bytes, url: str) -> Answer:
    """Judge what curl left.

    Examples
    --------
    >>> said = "curl: (56) SSL routines::tlsv13 alert certificate required, errno 0"
    >>> answer(56, said, 0, b"", "https://etcd1:2379/").refusal
    'TLS alert: certificate required'
    >>> answer(0, "", 403, b"", "https://master:6443/").refusal
    'HTTP 403'
    """
    alert = re.search(r"^curl: .*alert ([a-z ]+[a-z])", error, re.MULTILINE)
    last = error.strip().splitlines()[-1:]
    if exit_code == TIMED_OUT:
        raise ProbeTimeout(f"{url} did not answer within {PATIENCE} s", evidence=last)
    if alert:
        return Answer(status, b"", f"TLS alert: {alert[1]}")
    if exit_code == NO_CONNECTION and "Connection refused" in error:
        return Answer(status, b"", "connection refused")
    if exit_code:
        raise ProbeError(f"{url}: curl exited with {exit_code}", evidence=last)
    return Answer(status, body, "" if status < 300 else f"HTTP {status}")
