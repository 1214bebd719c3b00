"""Capture traffic between two machines of the lab with ARP poisoning.

ARP has no authentication: a machine believes any reply that names the owner of an address. The
attacker forwards the packets that they get, so that the connection continues.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from labkit import agents
from labkit.errors import ProbeError
from labkit.lab.parallel import aside
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold
from labkit.techniques._lib.machines.reach import address_in_lab, attacker, run
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.technique import ROOT_ON_WORKER

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["LEAVES", "between", "capture", "neighbours", "place_of", "wait_until_poisoned"]

#: What a capture leaves until it ends.
LEAVES = ("program", "neighbours")
#: Seconds for the whole capture, and for each condition.
LIMIT, PATIENCE = 90.0, 30.0


def place_of(lab: Lab, foothold: Foothold) -> str:
    """Return the machine on which a foothold may capture packets."""
    if foothold == ROOT_ON_WORKER:
        return next(node.name for node in lab.environment.nodes if node.role == "worker")
    return attacker(lab)


@contextmanager
def capture(
    lab: Lab, foothold: Foothold, pairs: Sequence[tuple[str, str]], filters: str
) -> Iterator[Callable[[], bytes]]:
    """Poison the ARP caches of pairs of machines; yield a function that stops and returns the pcap.

    A pair that includes the foothold's own machine is not poisoned: its packets pass there
    anyway.

    Parameters
    ----------
    lab : Lab
    foothold : Foothold
    pairs : sequence of (str, str)
        Machines that talk to each other.
    filters : str
        A capture filter of tcpdump.

    Raises
    ------
    ProbeTimeout
        The poisoning or the capture did not start in time.
    ProbeError
        The foothold's machine does not forward packets, or the capture failed.
    """
    here = place_of(lab, foothold)
    folder = f"/tmp/labkit-{secrets.token_hex(4)}"  # noqa: S108 - of the attacker's machine
    poisoned = [
        (one, other)
        for pair in pairs
        if here not in pair
        for one, other in (pair, (pair[1], pair[0]))
    ]
    _check_forwarding(lab, here)
    addresses = [address_in_lab(lab, node) for pair in poisoned for node in pair]
    lead = agents.argv("arp_poison", *addresses) if addresses else []
    argv = agents.argv("capture", folder, filters, *lead)
    program = Trace("program", folder, here)
    with (
        aside() as pool,
        leaving(lab, *neighbours(lab, poisoned), program),
    ):
        future = pool.submit(run, lab, here, argv, timeout=LIMIT, check=True)

        def stop() -> bytes:
            run(lab, here, ["touch", f"{folder}/stop"])
            return future.result().stdout

        argv = ["test", "-e", f"{folder}/pcap"]
        wait_until_poisoned(lab, here, poisoned, future.done)
        wait_for(
            lab,
            lambda: future.done() or not run(lab, here, argv).exit_code,
            PATIENCE,
            "tcpdump did not write",
        )
        if future.done():
            future.result()  # why it failed
            raise ProbeError(f"the capture on {here} ended before there was something to capture")
        yield stop


def between(lab: Lab, pairs: Sequence[tuple[str, str]], what: str) -> str:
    """Return tcpdump's filter for the traffic between pairs of machines."""
    hosts = (
        f"(host {address_in_lab(lab, one)} and host {address_in_lab(lab, other)})"
        for one, other in pairs
    )
    return f"{what} and ({' or '.join(hosts)})"


def wait_until_poisoned(
    lab: Lab, here: str, poisoned: Sequence[tuple[str, str]], ended: Callable[[], bool]
) -> None:
    """Wait until the machines have the attacker's MAC address for each other.

    The program that poisons them may have `ended` before anybody looked, and told them the truth.
    """
    if not poisoned:
        return
    own = run(lab, here, ["cat", "/sys/class/net/eth0/address"]).text.strip()

    def believes(victim: str, others: Sequence[str]) -> bool:
        return ended() or _is_at(lab, victim, others, own)

    for victim, others in _by_victim(poisoned).items():
        missing = f"{victim} did not believe {here}"
        wait_for(lab, partial(believes, victim, others), PATIENCE, missing)


def neighbours(lab: Lab, poisoned: Sequence[tuple[str, str]]) -> list[Trace]:
    """Return the ARP entries that poisoning leaves: each victim resolves them again."""
    return [
        Trace("neighbours", " ".join(address_in_lab(lab, other) for other in others), victim)
        for victim, others in _by_victim(poisoned).items()
    ]


def _check_forwarding(lab: Lab, here: str) -> None:
    if run(lab, here, ["cat", "/proc/sys/net/ipv4/ip_forward"]).text.strip() != "1":
        raise ProbeError(f"{here} does not forward packets: ARP poisoning would cut the connection")


def _by_victim(poisoned: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for victim, other in poisoned:
        found.setdefault(victim, []).append(other)
    return found


def _is_at(lab: Lab, node: str, others: Sequence[str], mac: str) -> bool:
    """Say whether a machine has one MAC address for all of some other machines."""
    shown = run(lab, node, ["ip", "neigh", "show", "dev", "eth0"]).text.splitlines()
    known = {line.split()[0] for line in shown if f"lladdr {mac} " in line}
    return {address_in_lab(lab, other) for other in others} <= known
