"""Read the traffic between a remote client and the Docker Engine of a worker.

The attacker needs a foothold on the cluster network, where they poison the ARP caches of the
client and the worker. They read the requests if dockerd listens on a TCP port without TLS. TLS on
the port, or no TCP port at all, stops it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model, read_model
from labkit.techniques._lib.machines.reach import request, run
from labkit.techniques._lib.stores.docker import listens_on
from labkit.techniques._lib.technique import NETWORK, ROOT_ON_WORKER, Prediction, Technique, holds
from labkit.techniques._lib.verdict import Verdict
from labkit.techniques._lib.wire import eavesdropping
from labkit.techniques._lib.wire.capture import LEAVES, between, capture
from labkit.techniques._lib.wire.decode import streams
from labkit.techniques._lib.wire.eavesdropping import ATTACK, SOURCES
from labkit.techniques._lib.wire.traffic import docker_asked

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

ABOUT = "* -> dockerd@worker1:237[0-9]"
CLOSED = "connection refused"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether dockerd listens on the network in plaintext."""
    found = model.open_channels(ABOUT)
    if found:
        return holds(found[0].encryption, "none")
    said = (f"{what}: {value}: {read_in}" for what, value, read_in in listens_on(model.environment))
    return Prediction(False, tuple(said))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Send a request from the master to the Docker Engine of worker1, and capture it."""
    found = read_model(lab.environment).open_channels(ABOUT)
    if not found:
        refusal = request(lab, "http://worker1:2375/containers/json", foothold=foothold).refusal
        if refusal != CLOSED:
            raise ProbeError(
                f"dockerd@worker1 has no TCP port, but it answered: {refusal or 'HTTP 200'}"
            )
        argv = ["curl", "--silent", "--fail", "--unix-socket", "/run/docker.sock"]
        run(lab, "worker1", [*argv, "http://docker/_ping"], check=True)
        asked = ("there is nothing to capture: nothing listens for remote clients",)
        control = "the Docker Engine answers root on its socket"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, False, refusal, asked, control)
    channel = found[0]
    port, pairs = int(channel.port or 0), [("master", "worker1")]
    filters = between(lab, pairs, f"tcp port {port}")
    with capture(lab, foothold, pairs, filters) as stop, docker_asked(lab, channel) as traffic:
        pcap = stop()
    plaintext = "plaintext HTTP, it can be read"
    captured = streams(pcap, port)
    return eavesdropping.judge(
        TECHNIQUE.name, lab.mode, foothold, channel, traffic, captured, plaintext
    )


TECHNIQUE = Technique(
    name="eavesdrop-docker",
    title="Read what a remote client says to the Docker Engine",
    footholds=(NETWORK, ROOT_ON_WORKER),
    grants=(),
    about="",
    properties=(),
    attack=ATTACK,
    stride=("information disclosure",),
    cwe=("CWE-319",),
    sources=(*SOURCES, "https://docs.docker.com/engine/security/protect-access/"),
    predict=predict,
    execute=execute,
    leaves=LEAVES,
    settings=listens_on,
)
