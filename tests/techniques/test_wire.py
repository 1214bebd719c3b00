"""What a capture reveals, with packets that scapy makes: without Docker."""

from __future__ import annotations

import gzip
import io
import random
import struct
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import PcapWriter

from labkit.errors import ProbeTimeout
from labkit.model import Channel, read_model
from labkit.techniques import eavesdrop
from labkit.techniques._lib.stores.secret import Secret
from labkit.techniques._lib.wire.decode import content, responses, streams, tls_records

CLIENT, SERVER, PORT = "10.161.4.21", "10.161.4.10", 6443
SECRET = Secret("payments", "card-processor", "api-key", b"0f1e2d3c4b5a69788796a5b4")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"


def record(kind: int, size: int) -> bytes:
    return bytes([kind, 3, 3]) + struct.pack(">H", size) + random.Random(size).randbytes(size)


def frame(up: bool, seq: int, payload: bytes, port: int = 40000) -> Ether:
    ip = IP(src=CLIENT, dst=SERVER) if up else IP(src=SERVER, dst=CLIENT)
    ports: dict[str, Any] = {"sport": port, "dport": PORT} if up else {"sport": PORT, "dport": port}
    packet: Ether = Ether() / ip / TCP(seq=seq % 2**32, flags="PA", **ports) / payload
    return packet


def pcap(*frames: Ether) -> bytes:
    buffer = io.BytesIO()
    buffer.close = lambda: None  # type: ignore[method-assign]
    with PcapWriter(buffer, linktype=1) as writer:
        for packet in frames:
            writer.write(packet)
    return buffer.getvalue()


def channel() -> Channel:
    return eavesdrop.TECHNIQUE.channels(read_model("hardened"))[0]


# -- connections ----------------------------------------------------------------------------


def test_duplicate_and_reordered_packets_give_one_stream() -> None:
    parts = [frame(True, 100, b"abc"), frame(True, 103, b"def"), frame(True, 106, b"ghi")]
    found = streams(pcap(parts[1], parts[0], parts[0], parts[2], parts[1]), PORT)
    assert [(s.port, s.to_server, s.to_client) for s in found] == [
        (40000, ((b"abc", b"def", b"ghi"),), ())
    ]


def test_sequence_numbers_wrap_around() -> None:
    frames = [frame(False, 2**32 - 2, b"ab"), frame(False, 0, b"cd")]
    assert streams(pcap(*frames), PORT)[0].to_client == ((b"ab", b"cd"),)


def test_overlapping_segments_are_merged_and_gaps_split_runs() -> None:
    frames = [frame(True, 10, b"abcd"), frame(True, 12, b"cdef"), frame(True, 30, b"xyz")]
    assert streams(pcap(*frames), PORT)[0].to_server == ((b"abcd", b"ef"), (b"xyz",))


def test_padding_of_short_frames_is_no_payload() -> None:
    frames = [Ether(bytes(frame(True, 1, b"")) + b"\0" * 6), frame(True, 1, b"a")]
    assert streams(pcap(*frames), PORT)[0].to_server == ((b"a",),)


def test_other_ports_are_left_out() -> None:
    other = Ether() / IP(src=CLIENT, dst=SERVER) / TCP(sport=1, dport=2) / b"x"
    assert streams(pcap(other), PORT) == []


# -- TLS or not -----------------------------------------------------------------------------


def test_stream_of_tls_records_is_recognized() -> None:
    data = record(22, 300) + record(20, 1) + record(23, 900) + record(21, 2)
    frames = [frame(False, at, data[at : at + 100]) for at in range(0, len(data), 100)]
    seen = content(streams(pcap(*frames, frame(True, 0, record(22, 200))), PORT))
    assert seen.kind == "TLS"
    assert seen.readable == 0
    assert seen.protected == len(data) + 205
    assert seen.records["handshake"] == 2
    assert seen.records["application data"] == 1


def test_capture_that_begins_within_a_record_is_tls() -> None:
    tail, whole = record(23, 500)[250:], record(23, 100)
    seen = content(streams(pcap(frame(False, 0, tail), frame(False, len(tail), whole)), PORT))
    assert (seen.kind, seen.records.total()) == ("TLS", 1)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /api/v1/secrets HTTP/1.1\r\n\r\n",
        record(23, 50) + b"plain text after a record",
        b"\x17\x03\x03\x00\x00",
        b"\x17\x03\x03\xff\xff" + b"x" * 40,
        b"\x17\x02\x03\x00\x05hello",
    ],
)
def test_data_that_is_not_tls_is_plaintext(data: bytes) -> None:
    assert tls_records(data) is None
    assert content(streams(pcap(frame(True, 0, data)), PORT)).kind == "plaintext"


def test_empty_capture_is_neither_tls_nor_plaintext() -> None:
    assert content([]).kind == "nothing"


# -- HTTP -----------------------------------------------------------------------------------


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_gzip_answer_is_unpacked_while_incomplete() -> None:
    packed = gzip.compress(b"the secret is here")[:-8]  # a watch's answer has no end
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nHTTP"
    found = responses(first + ANSWER + chunked(packed[:7]) + chunked(packed[7:]))
    assert found == [first, ANSWER + b"the secret is here"]


def test_answer_cut_off_within_a_chunk_is_kept() -> None:
    assert responses(b"xx" + ANSWER.replace(b"gzip", b"none") + b"ff\r\nabc")[0].endswith(b"abc")


def test_answer_that_is_not_gzip_is_kept() -> None:
    assert responses(ANSWER + chunked(b"plain"))[0].endswith(b"plain")


# -- the verdict ----------------------------------------------------------------------------


def test_secret_in_plaintext_succeeds() -> None:
    asked = b"GET /api/v1/namespaces/payments/secrets?name%3Dcard-processor&w=1 HTTP/1.1\r\n\r\n"
    answered = ANSWER + chunked(gzip.compress(b"api-key: " + SECRET.value))
    captured = streams(pcap(frame(True, 0, asked), frame(False, 0, answered)), PORT)
    verdict = eavesdrop.judge("insecure", channel(), SECRET, captured)
    assert verdict.succeeded
    assert verdict.evidence[1] == f"read: {SECRET.proof}"
    assert SECRET.value not in verdict.details["sample"].data
    assert SECRET.value.decode() not in f"{verdict} {verdict._repr_html_()} {verdict.details}"


def test_tls_records_only_are_a_refusal() -> None:
    captured = streams(pcap(frame(True, 0, record(23, 80)), frame(False, 0, record(23, 80))), PORT)
    verdict = eavesdrop.judge("hardened", channel(), SECRET, captured)
    assert not verdict.succeeded
    assert verdict.reason == "every payload is a TLS record"
    assert verdict.control


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no packets of kubelet@worker1 -> .* were captured"),
        ([frame(True, 0, record(23, 80))], "no packets of kubelet@worker1 -> .* were captured"),
        (
            [
                frame(True, 0, b"GET / HTTP/1.1\r\n\r\n"),
                frame(False, 0, b"HTTP/1.1 404 \r\n\r\n"),
            ],
            "was captured, but not the secret",
        ),
    ],
    ids=["nothing", "one direction", "plaintext without the secret"],
)
def test_too_little_is_no_refusal(frames: list[Ether], message: str) -> None:
    with pytest.raises(ProbeTimeout, match=message):
        eavesdrop.judge("hardened", channel(), SECRET, streams(pcap(*frames), PORT))
