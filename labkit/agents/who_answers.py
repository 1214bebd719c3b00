"""Ask on the network's link which addresses answer this machine. Arguments: CONTROL ADDRESS ...

The questions are frames that this program writes itself, so routes and neighbour tables of this
machine have no influence: ARP requests and ICMP echo requests for each IPv4 address, and an ICMPv6
echo request to all IPv6 nodes on the link. The control is the address of another machine, which
must answer; the program ends soon after it did. It prints a JSON list: the IP address and the
hardware address of everything that answered.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

LINK = "eth0"
EVERYONE, ALL_NODES = b"\xff" * 6, bytes.fromhex("333300000001")
ARP, IPV4, IPV6, ALL_PROTOCOLS = 0x0806, 0x0800, 0x86DD, 3
#: What follows the Ethernet type of ARP: Ethernet, IPv4, the lengths of their addresses.
ARP_HEAD = bytes.fromhex("000108000604")
REQUEST, REPLY = 1, 2
ECHO, ECHO_REPLY, ECHO6, ECHO6_REPLY, NEIGHBOUR_SOLICITATION = 8, 0, 128, 129, 135
MULTICAST_NODES = "ff02::1"
#: Seconds to wait for the control; seconds to wait for others after it; seconds between questions.
PATIENCE, AFTER, AGAIN = 5.0, 0.15, 0.1
#: From linux/if_packet.h; Python's socket module does not name them.
SOL_PACKET, ADD_MEMBERSHIP, ALL_MULTICAST = 263, 1, 2

Answer = tuple[str, str]


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of an even number of bytes.

    Examples
    --------
    >>> hex(checksum(bytes.fromhex("0001f203f4f5f6f7")))
    '0x220d'
    """
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def arp_request(own: bytes, source: bytes, target: bytes) -> bytes:
    """Return a broadcast frame that asks who has an IPv4 address."""
    head = EVERYONE + own + struct.pack("!H", ARP) + ARP_HEAD + struct.pack("!H", REQUEST)
    return head + own + source + bytes(6) + target


def echo_request(own: bytes, source: bytes, target: bytes, identifier: int) -> bytes:
    """Return a broadcast frame with an ICMP echo request for an IPv4 address."""
    icmp = struct.pack("!BBHHH", ECHO, 0, 0, identifier, 1)
    icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(icmp), identifier, 0, 64, 1, 0)
    ip = ip[:10] + struct.pack("!H", checksum(ip + source + target)) + source + target
    return EVERYONE + own + struct.pack("!H", IPV4) + ip + icmp


def echo_request_6(own: bytes, source: bytes, identifier: int) -> bytes:
    """Return a frame with an ICMPv6 echo request to all IPv6 nodes on the link."""
    target = socket.inet_pton(socket.AF_INET6, MULTICAST_NODES)
    icmp = struct.pack("!BBHHH", ECHO6, 0, 0, identifier, 1)
    pseudo = source + target + struct.pack("!II", len(icmp), socket.IPPROTO_ICMPV6)
    icmp = icmp[:2] + struct.pack("!H", checksum(pseudo + icmp)) + icmp[4:]
    ip = struct.pack("!IHBB", 6 << 28, len(icmp), socket.IPPROTO_ICMPV6, 255)
    return ALL_NODES + own + struct.pack("!H", IPV6) + ip + source + target + icmp


def answer(frame: bytes, own: bytes, own_6: bytes, identifier: int) -> Answer | None:
    """Return who sent a frame, or None if the frame is no answer to this machine.

    A node that resolves this machine's IPv6 address is about to answer, and counts already.
    """
    sender, kind, rest = frame[6:12].hex(":"), int.from_bytes(frame[12:14], "big"), frame[14:]
    if kind == ARP and rest[6:8] == struct.pack("!H", REPLY) and rest[18:24] == own:
        return socket.inet_ntoa(rest[14:18]), rest[8:14].hex(":")
    if kind == IPV4 and rest[9:10] == b"\x01":
        icmp = rest[(rest[0] & 15) * 4 :]
        if icmp[:1] == bytes([ECHO_REPLY]) and icmp[4:6] == struct.pack("!H", identifier):
            return socket.inet_ntoa(rest[12:16]), sender
    if kind == IPV6 and rest[6:7] == bytes([socket.IPPROTO_ICMPV6]):
        icmp, source = rest[40:], socket.inet_ntop(socket.AF_INET6, rest[8:24])
        replies = icmp[:1] == bytes([ECHO6_REPLY]) and icmp[4:6] == struct.pack("!H", identifier)
        asks = icmp[:1] == bytes([NEIGHBOUR_SOLICITATION]) and icmp[8:24] == own_6
        if replies or asks:
            return source, sender
    return None


def ask(
    link: socket.socket, frames: Sequence[bytes], mine: tuple[bytes, bytes, int], control: str
) -> set[Answer]:
    """Send the questions until the control has answered, and return everything that answered."""
    found: set[Answer] = set()
    end, again = time.monotonic() + PATIENCE, 0.0
    heard = False
    while (now := time.monotonic()) < end:
        if now >= again:
            for frame in frames:
                link.send(frame)
            again = now + AGAIN
        link.settimeout(max(0.001, min(again, end) - now))
        try:
            frame, about = link.recvfrom(2048)
        except TimeoutError:
            continue
        if about[2] == socket.PACKET_OUTGOING or not (one := answer(frame, *mine)):
            continue
        found.add(one)
        if one[0] == control and not heard:
            heard, end = True, time.monotonic() + AFTER
    return found


def main() -> None:
    """Print who answers."""
    control, *addresses = sys.argv[1:]
    own = bytes.fromhex(Path(f"/sys/class/net/{LINK}/address").read_text().strip().replace(":", ""))
    # a new one each time, because a node remembers for a while that it could not resolve one
    own_6 = bytes.fromhex("fe80000000000000") + os.urandom(8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as some:
        some.connect((control, 9))
        source = socket.inet_aton(some.getsockname()[0])
    identifier = os.getpid() & 0xFFFF
    frames = [echo_request_6(own, own_6, identifier)]
    for address in (control, *addresses):
        target = socket.inet_aton(address)
        frames += [arp_request(own, source, target), echo_request(own, source, target, identifier)]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS)) as link:
        link.bind((LINK, ALL_PROTOCOLS))
        membership = struct.pack("iHH8s", socket.if_nametoindex(LINK), ALL_MULTICAST, 0, b"")
        link.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, membership)
        print(json.dumps(sorted(ask(link, frames, (own, own_6, identifier), control))))


if __name__ == "__main__":
    main()
