"""The program that asks who answers on a link; the frames are those of the RFCs."""

from __future__ import annotations

import socket
import struct

import pytest

from labkit.agents import who_answers

OWN, OTHER = bytes.fromhex("02420a000001"), bytes.fromhex("02420a0000fe")
MINE, GATEWAY = socket.inet_aton("10.0.0.1"), socket.inet_aton("10.0.0.254")
OWN_6 = socket.inet_pton(socket.AF_INET6, "fe80::1234")
HOST_6 = socket.inet_pton(socket.AF_INET6, "fe80::42")
IDENTIFIER = 0x1234


def arp_reply(to: bytes = OWN) -> bytes:
    # RFC 826: the reply carries the sender's addresses, then those of who asked
    return to + OTHER + bytes.fromhex("0806000108000604 0002") + OTHER + GATEWAY + to + MINE


def echo_reply(identifier: int = IDENTIFIER, kind: int = 0) -> bytes:
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, 1, 0) + GATEWAY + MINE
    return OWN + OTHER + b"\x08\x00" + ip + struct.pack("!BBHHH", kind, 0, 0, identifier, 1)


def solicitation(target: bytes = OWN_6) -> bytes:
    # RFC 4861: a node that wants to answer asks for the hardware address first
    icmp = struct.pack("!BBHI", 135, 0, 0, 0) + target
    ip = struct.pack("!IHBB", 6 << 28, len(icmp), 58, 255) + HOST_6 + target
    return OWN + OTHER + b"\x86\xdd" + ip + icmp


@pytest.mark.parametrize(
    ("frame", "address"),
    [
        (arp_reply(), "10.0.0.254"),
        (arp_reply(OTHER), None),
        (echo_reply(), "10.0.0.254"),
        (echo_reply(identifier=7), None),
        (echo_reply(kind=8), None),
        (solicitation(), "fe80::42"),
        (solicitation(HOST_6), None),
        (b"\xff" * 14, None),
    ],
)
def test_answers_to_this_machine_are_told_from_other_frames(
    frame: bytes, address: str | None
) -> None:
    expected = (address, "02:42:0a:00:00:fe") if address else None
    assert who_answers.answer(frame, OWN, OWN_6, IDENTIFIER) == expected


def test_questions_are_broadcast_with_valid_checksums() -> None:
    asked = who_answers.arp_request(OWN, MINE, GATEWAY)
    assert asked[:14] == b"\xff" * 6 + OWN + b"\x08\x06"
    assert asked[20:22] == b"\x00\x01"
    assert (asked[28:32], asked[38:42]) == (MINE, GATEWAY)
    frame = who_answers.echo_request(OWN, MINE, GATEWAY, IDENTIFIER)
    # RFC 1071: the checksum over data that holds a valid checksum is 0
    assert who_answers.checksum(frame[14:34]) == 0
    assert who_answers.checksum(frame[34:]) == 0
    frame = who_answers.echo_request_6(OWN, OWN_6, IDENTIFIER)
    assert frame[:6] == bytes.fromhex("333300000001")
    icmp = frame[54:]
    pseudo = frame[22:54] + struct.pack("!II", len(icmp), 58)
    assert who_answers.checksum(pseudo + icmp) == 0
