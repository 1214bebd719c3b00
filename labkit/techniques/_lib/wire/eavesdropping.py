"""Helpers of the eavesdropping techniques: capture, cause traffic, judge."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Channel, Foothold, Model, read_model
from labkit.techniques._lib.machines.reach import run
from labkit.techniques._lib.stores.secret import Sample, Secret, sample
from labkit.techniques._lib.technique import (
    NETWORK,
    ROOT_ON_WORKER,
    Prediction,
    Technique,
    all_of,
    any_of,
    holds,
)
from labkit.techniques._lib.verdict import Setting, Verdict
from labkit.techniques._lib.wire.capture import LEAVES, between, capture
from labkit.techniques._lib.wire.decode import (
    Content,
    Stream,
    content,
    entropy,
    inflated,
    responses,
    streams,
    tls_records,
)

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = [
    "ATTACK",
    "SOURCES",
    "EavesdropTarget",
    "Traffic",
    "eavesdrop",
    "judge",
    "nonce",
    "predict",
    "technique",
]

ATTACK = ("T1557.002", "T1040")
SOURCES = (
    "Securing communications in Kubernetes (2016), Eavesdropping",
    "https://attack.mitre.org/techniques/T1557/002/",
    "https://attack.mitre.org/techniques/T1040/",
)
#: Seconds to wait for packets in flight, after the traffic was caused.
DRAIN_S = 0.4
CIPHERTEXT = re.compile(rb"k8s:enc:[a-z0-9]+:v[0-9]+:")


@dataclass(frozen=True, slots=True)
class Traffic:
    """The traffic that was caused on a channel.

    Parameters
    ----------
    wanted : Secret
        The value to look for.
    proof : str
        The evidence to give if it was found.
    sent : str
        Evidence that the value was sent, for the case that it was not found.
    """

    wanted: Secret
    proof: str
    sent: str


@dataclass(frozen=True, slots=True)
class EavesdropTarget:
    """A channel to eavesdrop on, and how to cause traffic there.

    Parameters
    ----------
    about : str
        A shell pattern for the ids of the channels.
    traffic : callable
        Takes a lab; a context manager that causes traffic worth seeing, and undoes it.
    process : str
        The client's process, if other processes of its machine use the same server.
    plaintext : str
        The reason to give if the value can be read.
    pushed : bool
        Whether only the server sends, because the client's request is older than the capture.
    before : callable, optional
        Takes a lab; called before the capture.
    payload : callable, optional
        Predicts whether the payload would be readable if the channel were plaintext.
    leaves : tuple of str
        The kinds of traces that `traffic` and `before` leave until they have undone them.
    machines : tuple of str
        Machines that not every lab has, and without which there is no such channel.
    """

    about: str
    traffic: Callable[[Lab], AbstractContextManager[Traffic]] = field(repr=False)
    process: str = ""
    plaintext: str = "plaintext HTTP, it can be read"
    pushed: bool = False
    before: Callable[[Lab], None] | None = field(default=None, repr=False)
    payload: Callable[[Model], Prediction] | None = field(default=None, repr=False)
    leaves: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()


def predict(model: Model, target: EavesdropTarget) -> Prediction:
    """Predict whether the channel is encrypted, and whether its payload is."""
    found = model.open_channels(target.about)
    if not found:
        closed = tuple(str(c.encryption) for c in model.closed_channels(target.about))
        return Prediction(False, closed or (f"the model has no channel {target.about}",))
    plain = any_of(*(holds(channel.encryption, "none") for channel in found))
    if plain.succeeds is False or target.payload is None:
        return plain
    inner = target.payload(model)
    if plain.succeeds and inner.succeeds is False:
        return Prediction(False, (*plain.because, *inner.because))
    return all_of(plain, inner)


def eavesdrop(lab: Lab, foothold: Foothold, name: str, target: EavesdropTarget) -> Verdict:
    """Capture the channels while their ends exchange traffic, and judge the capture.

    Raises
    ------
    ProbeTimeout
        Nothing was captured, or nothing that decides.
    ProbeError
        The capture could not be made.
    """
    found = read_model(lab.environment).open_channels(target.about)
    if not found:
        raise ProbeError(f"{name}: nothing to capture: by its files no client calls {target.about}")
    port = int(found[0].port or 0)
    if target.before is not None:
        target.before(lab)
    pairs = sorted({(c.client_node, c.server_node) for c in found})
    whole = sorted({(min(pair), max(pair)) for pair in pairs})
    with capture(lab, foothold, whole, between(lab, whole, f"tcp port {port}")) as stop:
        ports = _ports(lab, found[0], target.process)
        with target.traffic(lab) as traffic:
            time.sleep(DRAIN_S * lab.stretch())
            ports |= _ports(lab, found[0], target.process)
            pcap = stop()
    captured = [s for s in streams(pcap, port) if not target.process or s.port in ports]
    return judge(
        name, lab.mode, foothold, found[0], traffic, captured, target.plaintext, target.pushed
    )


def judge(
    name: str,
    mode: str,
    foothold: Foothold,
    channel: Channel,
    traffic: Traffic,
    captured: Sequence[Stream],
    plaintext: str,
    pushed: bool = False,
) -> Verdict:
    """Judge whether captured connections reveal the value.

    Parameters
    ----------
    name, mode : str
    foothold : Foothold
    channel : Channel
    traffic : Traffic
    captured : sequence of Stream
    plaintext : str
        The reason to give if the value can be read.
    pushed : bool
        Whether only the server sends.

    Returns
    -------
    Verdict

    Raises
    ------
    ProbeTimeout
        One direction was not captured, or the bytes hold neither the value nor ciphertext.
    """
    asks = pushed or any(s.to_server for s in captured)
    if not asks or not any(s.to_client for s in captured):
        raise ProbeTimeout(f"{mode}: no packets of {channel.id} were captured")
    seen = content(captured)
    asked = [b"".join(run) for s in captured for run in s.to_server]
    got = [b"".join(run) for s in captured for run in s.to_client]
    texts = [*asked, *got, *(text for data in got for text in responses(data))]
    texts += [inflated(run) for s in captured for run in s.to_client]
    found = next((text for text in reversed(texts) if traffic.wanted.found_in(text)), b"")
    evidence = [f"captured{'' if pushed else ' in both directions'}: {channel.id}"]
    shown = found or max(got, key=len)
    control = traffic.sent
    if found:
        evidence.append(f"read: {traffic.proof}")
        reason, control = plaintext, ""
    elif seen.kind == "TLS":
        evidence.append("0 bytes outside TLS records; the secret is nowhere in them")
        reason = "every payload is a TLS record"
    elif ciphertext := next(filter(None, map(CIPHERTEXT.search, texts)), None):
        evidence.append(f"the value begins with {ciphertext[0].decode()} and then is ciphertext")
        reason = "plaintext gRPC, but what is stored is ciphertext before it is sent"
    else:
        raise ProbeTimeout(f"{mode}: plaintext of {channel.id} was captured, but not the secret")
    details = _details(channel, traffic.wanted, seen, shown)
    return Verdict(name, mode, foothold, bool(found), reason, tuple(evidence), control, details)


def technique(
    name: str,
    title: str,
    target: EavesdropTarget,
    *,
    footholds: tuple[Foothold, ...] = (NETWORK, ROOT_ON_WORKER),
    grants: tuple[Foothold, ...] = (),
    settings: Callable[[Environment], Sequence[Setting]] | None = None,
) -> Technique:
    """Make the technique that eavesdrops on a channel."""

    def predict_technique(model: Model, foothold: Foothold) -> Prediction:
        """Predict whether the channel is encrypted, and whether its payload is."""
        return predict(model, target)

    def execute_technique(lab: Lab, foothold: Foothold) -> Verdict:
        """Cause traffic on the channel, capture it, and look for a known value in it.

        Raises
        ------
        ProbeTimeout
            One direction was not captured, or the bytes hold neither the value nor ciphertext.
        ProbeError
            The capture could not be made.
        """
        return eavesdrop(lab, foothold, name, target)

    return Technique(
        name=name,
        title=title,
        footholds=footholds,
        grants=grants,
        about=target.about,
        properties=("encryption",),
        attack=ATTACK,
        stride=("information disclosure",),
        cwe=("CWE-319",),
        sources=SOURCES,
        predict=predict_technique,
        execute=execute_technique,
        settings=settings,
        cost=2.0,
        leaves=(*LEAVES, *target.leaves),
        machines=target.machines,
    )


def nonce(what: str) -> Secret:
    """Make a random value that can be recognized in a capture."""
    return Secret("", what, "", secrets.token_hex(12).encode())


def _details(
    channel: Channel, secret: Secret, seen: Content, shown: bytes
) -> dict[str, Content | Sample | float]:
    headers = tuple((start, start + 5) for start, _, _ in tls_records(shown) or ())
    caption = f"{channel.server} to {channel.client}"
    return {
        "content": seen,
        "entropy": entropy(shown),
        "sample": sample(caption, shown, secret, headers),
    }


def _ports(lab: Lab, channel: Channel, process: str) -> set[int]:
    """Return the local ports of a client's connections."""
    if not process:
        return set()
    argv = ["ss", "--tcp", "--numeric", "--processes", "--no-header", "dport", f"= :{channel.port}"]
    lines = run(lab, channel.client_node, argv, check=True).text.splitlines()
    return {int(line.split()[3].rpartition(":")[2]) for line in lines if f'"{process}"' in line}
