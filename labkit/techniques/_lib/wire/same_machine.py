"""Eavesdropping on a channel whose client and server share a machine."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Channel, Foothold, Model, read_model
from labkit.techniques._lib.machines.reach import address_in_lab, run, run_from
from labkit.techniques._lib.technique import NETWORK, USER_ON_MASTER, Prediction, Technique, holds
from labkit.techniques._lib.verdict import Verdict
from labkit.techniques._lib.wire.capture import LEAVES, capture
from labkit.techniques._lib.wire.eavesdropping import ATTACK, SOURCES
from labkit.techniques._lib.wire.traffic import annotated

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = ["technique"]

#: Seconds for the component to send something, and for tcpdump to end after it.
PATIENCE, MARGIN = 15.0, 5.0
#: tcpdump's error if it may not open a capture socket.
FORBIDDEN = "Operation not permitted"


def predict(model: Model, about: str) -> Prediction:
    """Predict whether the channel leaves its machine, and whether it is encrypted if so."""
    channel = model.open_channels(about)[0]
    node = channel.client_node
    if channel.server_node != node:
        return holds(channel.encryption, "none")
    config = model.environment.component(channel.client).kubeconfig
    source = config.server.source if config else channel.encryption.source
    return Prediction(False, (f"both ends are on {node}: {source}",))


def eavesdrop(lab: Lab, foothold: Foothold, name: str, about: str) -> Verdict:
    """Try to capture the channel from the network, or on its machine as an ordinary user.

    Raises
    ------
    ProbeTimeout
        The component sent nothing during the capture.
    ProbeError
        tcpdump was not refused as expected, or packets were captured on the network.
    """
    channel = read_model(lab.environment).open_channels(about)[0]
    node = channel.client_node
    filters = _filter(lab, channel, node)
    control = f"root on {node} captures it: {channel.id}"
    if foothold == USER_ON_MASTER:
        said = run_from(lab, foothold, ["tcpdump", "-i", "lo", "-c", "1", filters])
        if said.exit_code == 0 or FORBIDDEN not in said.error:
            raise ProbeError(
                "tcpdump did not fail with a permission error, as expected",
                evidence=[said.error[-200:]],
            )
        _confirm_traffic(lab, node, filters)
        asked = ("tried: tcpdump on the loopback device",)
        return Verdict(name, lab.mode, foothold, False, "permission denied", asked, control)
    here = address_in_lab(lab, node)
    own = f"tcp and src host {here} and dst host {here}"
    with capture(lab, foothold, [("worker1", node)], own) as stop:
        _confirm_traffic(lab, node, filters)
        pcap = stop()
    if len(pcap) > PCAP_HEADER:
        raise ProbeError(f"packets from {node} to itself were captured on the network")
    asked = (f"0 packets of it were captured, in the middle of worker1 and {node}",)
    reason = "its packets never leave the machine"
    return Verdict(name, lab.mode, foothold, False, reason, asked, control)


#: The length of an empty pcap file, in bytes.
PCAP_HEADER = 24


def _filter(lab: Lab, channel: Channel, node: str) -> str:
    """Return tcpdump's filter for a component's connections."""
    argv = ["ss", "--tcp", "--numeric", "--processes", "--no-header", "dport", f"= :{channel.port}"]
    # the kernel keeps 15 characters of a process's name
    process = channel.client_name[:15]
    lines = run(lab, node, argv, check=True).text.splitlines()
    ports = [line.split()[3].rpartition(":")[2] for line in lines if f'"{process}"' in line]
    if not ports:
        raise ProbeTimeout(f"{channel.client} is not connected to {channel.server}")
    return f"tcp and ({' or '.join(f'port {port}' for port in ports)})"


def _confirm_traffic(lab: Lab, node: str, filters: str) -> None:
    """Cause traffic of the component, and check as root on its machine that it is there."""
    seconds = PATIENCE * lab.stretch()
    tcpdump = ["tcpdump", "-i", "lo", "-c", "1", "-w", "/dev/null", filters]
    argv = ["timeout", f"{seconds:.0f}", *tcpdump]
    with ThreadPoolExecutor(max_workers=1) as pool:
        future: Future[Output] = pool.submit(run, lab, node, argv, timeout=seconds + MARGIN)
        while not future.done():
            with annotated(lab, "pods", "shop", "web"):
                pass
        if future.result().exit_code:
            raise ProbeTimeout(f"{node}: no traffic of the component within {seconds:.0f} s")


def technique(name: str, title: str, about: str) -> Technique:
    """Make the technique that tries to eavesdrop on a component beside its server."""

    def predict_technique(model: Model, foothold: Foothold) -> Prediction:
        """Predict whether the channel leaves its machine, and whether it is encrypted if so."""
        return predict(model, about)

    def execute_technique(lab: Lab, foothold: Foothold) -> Verdict:
        """Try to capture the channel, while root on its machine confirms the traffic.

        Raises
        ------
        ProbeTimeout
            The component sent nothing during the capture.
        ProbeError
            tcpdump was not refused as expected, or packets were captured on the network.
        """
        return eavesdrop(lab, foothold, name, about)

    return Technique(
        name=name,
        title=title,
        footholds=(NETWORK, USER_ON_MASTER),
        grants=(),
        about=about,
        properties=("encryption",),
        attack=ATTACK,
        stride=("information disclosure",),
        cwe=("CWE-319",),
        sources=SOURCES,
        predict=predict_technique,
        execute=execute_technique,
        leaves=(*LEAVES, "annotation"),
    )
