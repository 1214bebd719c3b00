"""Access to the lab's machines, and to no other machine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
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
    from labkit.cluster.facts import Credential
    from labkit.lab import Lab, Output

__all__ = [
    "ATTACK",
    "CONTROL",
    "Answer",
    "address_in_lab",
    "attacker",
    "audit_id",
    "curl_config",
    "digest",
    "execution_place",
    "legitimate",
    "marked",
    "request",
    "request_as",
    "run",
    "run_from",
]

#: Seconds for one request, and for one command without its own time limit; a busy machine gets
#: more.
PATIENCE, DEADLINE = 5.0, 20.0
#: An ordinary user of the machines, without any special rights.
PERSON = "alice"
ON_A_MACHINE = (USER_ON_MASTER, USER_ON_WORKER, ROOT_ON_WORKER, ROOT_ON_ETCD)
#: The container of the pod ``shop/web``, and its user ID.
WEB = ("web", "1000")
#: curl's exit codes: the server could not be reached, and no answer came in time.
NO_CONNECTION, TIMED_OUT = 7, 28
#: A server that closes a connection while the client still sends may discard its own TLS alert.
#: The client then sees only a reset, and sends the request again.
ATTEMPTS = 8
#: The beginnings of the audit ids of an attack's requests, and of those of its positive controls.
ATTACK, CONTROL = "labkit-attack", "labkit-control"
#: The beginning and the end of the audit ids that requests get; empty if they get none.
_mark: ContextVar[tuple[str, str]] = ContextVar("mark", default=("", ""))


class _Addressed(Protocol):
    @property
    def addresses(self) -> dict[str, str]: ...


def address_in_lab(lab: _Addressed, host: str, foothold: Foothold = NETWORK) -> str:
    """Return the address of a machine of the lab; refuse every other host.

    An address in the lab's network is not enough: its gateway is the machine that runs Docker.
    The addresses come from the engine and not from configuration files. On a machine of the lab,
    a foothold may use the loopback address.

    Parameters
    ----------
    lab : Lab
    host : str
        The name or the IP address of a machine.
    foothold : Foothold
        Where the request starts.

    Returns
    -------
    str
        An IPv4 address.

    Raises
    ------
    ProbeError
        The host is not a machine of this lab.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> lab = SimpleNamespace(addresses={"etcd1": "10.1.0.11"})
    >>> address_in_lab(lab, "etcd1")
    '10.1.0.11'
    >>> address_in_lab(lab, "example.com")
    Traceback (most recent call last):
        ...
    labkit.errors.ProbeError: 'example.com' is no machine of this lab: nothing is sent there
      next: choose one of: etcd1
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
    """Return the name of the attacker's machine, which has no credentials."""
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
    """Run a command on a machine as root.

    Parameters
    ----------
    lab : Lab
    node : str
    argv : sequence of str
    stdin : bytes, optional
    timeout : float
        Seconds on an idle machine.
    check : bool
        Whether a non-zero exit status raises.

    Returns
    -------
    Output

    Raises
    ------
    ProbeTimeout
        The command did not end in time.
    ProbeError
        The command failed, and `check` is set.
    """
    try:
        output = lab.exec(node, argv, stdin=stdin, timeout=timeout * lab.stretch(), check=False)
    except CommandFailed as error:  # without check, only after a timeout
        raise ProbeTimeout(error.message, evidence=error.evidence) from error
    if check and output.exit_code:
        raise ProbeError(
            f"{node}: {argv[0]} exited with {output.exit_code}",
            evidence=(output.error + output.text).strip().splitlines()[-5:],
        )
    return output


def digest(lab: Lab, node: str, path: str) -> str:
    """Return the SHA-256 of a machine's file, to compare the file without showing it.

    Raises
    ------
    ProbeError
        The file cannot be read, or its hash did not arrive.
    """
    said = run(lab, node, ["sha256sum", path], check=True).text.split()
    if not said:  # the engine lost the output
        raise ProbeError(f"{node} returned no hash of {path}")
    return said[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request: a body, or the reason of a refusal."""

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
    """Run a command at a foothold, as the user that the attacker has there.

    Parameters
    ----------
    lab : Lab
    foothold : Foothold
    argv : sequence of str
    stdin : bytes, optional
    timeout : float
        Seconds on an idle machine.

    Returns
    -------
    Output

    Raises
    ------
    ProbeTimeout
        The command did not end in time.

    Notes
    -----
    A foothold in a pod is the network and the user of the pod ``shop/web``, without
    capabilities, but with the machine's tools, as if the attacker had brought them.
    """
    node, user, prefix = execution_place(lab, foothold)
    try:
        return lab.exec(
            node,
            [*prefix, *argv],
            stdin=stdin,
            user=user,
            timeout=timeout * lab.stretch(),
            check=False,
        )
    except CommandFailed as error:
        raise ProbeTimeout(error.message, evidence=error.evidence) from error


def execution_place(lab: Lab, foothold: Foothold) -> tuple[str, str | None, list[str]]:
    """Return a foothold's machine, its user, and the words to put before a command."""
    first = {node.role: node.name for node in reversed(lab.environment.nodes)}
    if foothold == POD:
        return first["worker"], None, agents.argv("in_pod", *WEB)
    if foothold in (USER_ON_MASTER, USER_ON_WORKER):
        role = "master" if foothold == USER_ON_MASTER else "worker"
        return first[role], PERSON, []
    role = {ROOT_ON_WORKER: "worker", ROOT_ON_ETCD: "etcd"}.get(foothold, "attacker")
    return first[role], None, []


@contextmanager
def marked(run: str) -> Iterator[None]:
    """Give each request of a block an audit id by which an apiserver's log tells whose it is.

    Parameters
    ----------
    run : str
        What the ids end with. They begin with :data:`ATTACK`, or with :data:`CONTROL` in a block
        :func:`legitimate`. An apiserver takes the id of the header Audit-ID, and acts on it in no
        way; every other server ignores it.

    Yields
    ------
    None

    Examples
    --------
    >>> with marked("0a1b"):
    ...     audit_id()
    'labkit-attack-0a1b'
    """
    before = _mark.set((ATTACK, run))
    try:
        yield
    finally:
        _mark.reset(before)


@contextmanager
def legitimate() -> Iterator[None]:
    """Mark the requests of a block as a positive control, and not as the attack."""
    before = _mark.set((CONTROL, _mark.get()[1]))
    try:
        yield
    finally:
        _mark.reset(before)


def audit_id() -> str:
    """Return the audit id for a request, or nothing outside a block :func:`marked`."""
    whose, run = _mark.get()
    return f"{whose}-{run}" if run else ""


def _marked() -> tuple[str, ...]:
    """Return curl's option for the audit id of a request, or nothing."""
    return ("--header", f"Audit-ID: {mark}") if (mark := audit_id()) else ()


def request(
    lab: Lab,
    url: str,
    *,
    foothold: Foothold = NETWORK,
    body: bytes | None = None,
    options: Sequence[str] = (),
    token: str = "",
) -> Answer:
    """Send an HTTP request to a machine of the lab, from a foothold, with curl.

    Parameters
    ----------
    lab : Lab
    url : str
    foothold : Foothold
        The default is the attacker's machine on the network.
    body : bytes, optional
        JSON; with it, the request is a POST.
    options : sequence of str
        More options of curl, such as a client certificate.
    token : str
        A bearer token. curl reads it from standard input, because a list of processes shows
        arguments to every user of the host.

    Returns
    -------
    Answer

    Raises
    ------
    ProbeTimeout
        No answer came in time.
    ProbeError
        The host is not in the lab, or the result is neither an answer nor a known refusal.
    """
    host = urlsplit(url).hostname or ""
    address = address_in_lab(lab, host, foothold)
    # An attacker does not verify certificates.
    argv = ["curl", "--verbose", "--silent", "--show-error", "--insecure", "--noproxy", "*"]
    argv += ["--max-time", f"{PATIENCE * lab.stretch():.0f}", "--write-out", "\n%{http_code}"]
    argv += [*options, *_marked()]
    if host != address:  # the name stands for the machine, not for its entry in /etc/hosts
        argv += ["--resolve", f"{host}:{_port(url)}:{address}"]
    stdin = body
    if body is not None:
        argv += ["--header", "Content-Type: application/json"]
        argv += [] if token else ["--data-binary", "@-"]
    if token:
        argv, stdin = [*argv, "--config", "-"], curl_config(token, body)
    for _ in range(ATTEMPTS):
        output = run_from(lab, foothold, [*argv, url], stdin=stdin)
        # curl always writes a status: without one, the engine lost the output
        if output.stdout and "reset by peer" not in output.error:
            break
    content, _, status = output.stdout.rpartition(b"\n")
    return answer(output.exit_code, output.error, int(status or b"0"), content, url)


def request_as(
    lab: Lab,
    held: Credential,
    node: str,
    url: str,
    *options: str,
    body: bytes | None = None,
    seconds: float = PATIENCE,
) -> Answer:
    """Send an HTTP request with a certificate, as root on the machine that has it.

    Parameters
    ----------
    lab : Lab
    held : Credential
        A certificate with its key.
    node : str
        The machine.
    url : str
    *options : str
        More options of curl.
    body : bytes, optional
        JSON; with it, the request is a POST.
    seconds : float
        The time for an answer on an idle machine.

    Returns
    -------
    Answer

    Raises
    ------
    ProbeTimeout
        No answer came in time.
    ProbeError
        The host is not in the lab, or the result is neither an answer nor a known refusal.
    """
    address_in_lab(lab, urlsplit(url).hostname or "")
    argv = ["curl", "--silent", "--show-error", "--insecure", "--noproxy", "*"]
    argv += ["--max-time", f"{seconds * lab.stretch():.0f}", "--write-out", "\n%{http_code}"]
    argv += ["--cert", held.certificate, "--key", held.key, *options, *_marked()]
    if body is not None:
        argv += ["--header", "Content-Type: application/json", "--data-binary", "@-"]
    output = run(lab, node, [*argv, url], stdin=body)
    content, _, status = output.stdout.rpartition(b"\n")
    return answer(output.exit_code, output.error, int(status or b"0"), content, url)


def curl_config(token: str, body: bytes | None = None) -> bytes:
    r"""Return what curl reads with ``--config -``: a bearer token, and the body of a request.

    Parameters
    ----------
    token : str
    body : bytes, optional
        JSON.

    Returns
    -------
    bytes

    Examples
    --------
    >>> print(curl_config("abc", b'{"a": 1}').decode())
    header = "Authorization: Bearer abc"
    data-binary = "{\"a\": 1}"
    """
    lines = [("header", f"Authorization: Bearer {token}")]
    if body is not None:
        lines.append(("data-binary", body.decode()))
    quotes = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
    return "\n".join(f'{name} = "{text.translate(quotes)}"' for name, text in lines).encode()


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def answer(exit_code: int, error: str, status: int, body: bytes, url: str) -> Answer:
    """Turn curl's exit code and output into an answer.

    Raises
    ------
    ProbeTimeout
        curl ran out of time.
    ProbeError
        curl failed for a reason that is not a refusal.

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
        raise ProbeTimeout(f"{url} did not answer in time", evidence=last)
    if alert:
        return Answer(status, b"", f"TLS alert: {alert[1]}")
    if exit_code == NO_CONNECTION and "Connection refused" in error:
        return Answer(status, b"", "connection refused")
    if exit_code:
        raise ProbeError(f"{url}: curl exited with {exit_code}", evidence=last)
    return Answer(status, body, "" if status < 300 else f"HTTP {status}")
