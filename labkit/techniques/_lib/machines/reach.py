"""How a technique reaches the lab's machines, and nothing but them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from labkit import agents
from labkit.errors import CommandFailed, ProbeError, ProbeTimeout
from labkit.model import Foothold
from labkit.techniques._lib.technique import (
    NETWORK,
    POD,
    ROOT_ON_ETCD,
    ROOT_ON_WORKER,
    USER_ON_MASTER,
    USER_ON_WORKER,
)

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = [
    "Answer",
    "attacker",
    "digest",
    "execution_place",
    "inside",
    "request",
    "run",
    "run_from",
]

#: Seconds for one request, and for one command without a limit of its own.
PATIENCE = 5
DEADLINE = 20.0
#: Somebody with an account on the machines and no rights on them.
PERSON = "alice"
ON_A_MACHINE = (USER_ON_MASTER, USER_ON_WORKER, ROOT_ON_WORKER, ROOT_ON_ETCD)
#: The container of the pod ``shop/web``, and the number of its user.
WEB = ("web", "1000")
#: curl's exit codes: the server could not be reached, and no answer came in time.
NO_CONNECTION, TIMED_OUT = 7, 28
#: A server that closes while it is still being sent something may wipe out the alert that it
#: sent before: the client then only sees the reset. It is asked again.
ATTEMPTS = 8


class _Addressed(Protocol):
    @property
    def addresses(self) -> dict[str, str]: ...


def inside(lab: _Addressed, host: str, foothold: Foothold = NETWORK) -> str:
    """Return the address of a machine of the lab; anything else is refused.

    Whoever stands on a machine of the lab may mean it by its loopback address.

    The lab's network alone is not enough: its gateway is the machine that Docker runs on. Nor is
    what files say: the addresses are those that the engine has given to the running machines.

    Parameters
    ----------
    lab : Lab
    host : str
        The name or the address of a machine.
    foothold : str
        From where.

    Raises
    ------
    ProbeError
        It is none of the lab's machines.
    """
    addresses = lab.addresses
    if host in ("localhost", "127.0.0.1") and foothold in ON_A_MACHINE:
        return "127.0.0.1"
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


def digest(lab: Lab, node: str, path: str) -> str:
    """Return the hash of a machine's file, by which its bytes are known without being shown.

    Raises
    ------
    ProbeError
        It was not said.
    """
    said = run(lab, node, ["sha256sum", path], check=True).text.split()
    if not said:  # the engine lost what was written
        raise ProbeError(f"{node} did not say the hash of {path}")
    return said[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request got: a body, or why it was refused."""

    status: int
    body: bytes
    refusal: str


def run_from(
    lab: Lab,
    foothold: Foothold,
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    timeout: float = DEADLINE,
) -> Output:
    """Run a command where, and as whom, an attacker at a foothold would.

    Parameters
    ----------
    lab : Lab
    foothold : str
    argv : sequence of str
    stdin : bytes, optional
    timeout : float
        Seconds.

    Notes
    -----
    Inside a pod means: in the network of the pod ``shop/web``, as its user and without
    capabilities, but with the tools of the machine, as if the attacker had brought them along.

    Raises
    ------
    ProbeTimeout
        It did not end in time.
    """
    node, user, prefix = execution_place(lab, foothold)
    try:
        return lab.exec(
            node, [*prefix, *argv], stdin=stdin, user=user, timeout=timeout, check=False
        )
    except CommandFailed as error:
        raise ProbeTimeout(error.message, evidence=error.evidence) from error


def execution_place(lab: Lab, foothold: Foothold) -> tuple[str, str | None, list[str]]:
    """Return the machine, the user and what stands before a command."""
    first = {node.role: node.name for node in reversed(lab.environment.nodes)}
    if foothold == POD:
        return first["worker"], None, agents.argv("in_pod", *WEB)
    if foothold in (USER_ON_MASTER, USER_ON_WORKER):
        role = "master" if foothold == USER_ON_MASTER else "worker"
        return first[role], PERSON, []
    role = {ROOT_ON_WORKER: "worker", ROOT_ON_ETCD: "etcd"}.get(foothold, "attacker")
    return first[role], None, []


def request(
    lab: Lab,
    url: str,
    *,
    foothold: Foothold = NETWORK,
    body: bytes | None = None,
    options: Sequence[str] = (),
) -> Answer:
    """Ask something of a machine of the lab, from a foothold, with curl.

    Parameters
    ----------
    lab : Lab
    url : str
    foothold : str
        By whom; without it, the attacker's machine on the network.
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
    host = urlsplit(url).hostname or ""
    address = inside(lab, host, foothold)
    # An attacker has no reason to trust, and none to verify.
    argv = ["curl", "--verbose", "--silent", "--show-error", "--insecure", "--noproxy", "*"]
    argv += ["--max-time", str(PATIENCE), "--write-out", "\n%{http_code}", *options]
    if host != address:  # a name means the machine, whatever /etc/hosts says there
        argv += ["--resolve", f"{host}:{_port(url)}:{address}"]
    if body is not None:
        argv += ["--header", "Content-Type: application/json", "--data-binary", "@-"]
    for _ in range(ATTEMPTS):
        output = run_from(lab, foothold, [*argv, url], stdin=body)
        # curl always writes a status: without one, the engine lost what it wrote
        if output.stdout and "reset by peer" not in output.error:
            break
    content, _, status = output.stdout.rpartition(b"\n")
    return answer(output.exit_code, output.error, int(status or b"0"), content, url)


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


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
