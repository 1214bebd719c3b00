"""Decode a capture of one channel: TLS records, or readable bytes."""

from __future__ import annotations

import io
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Content",
    "Stream",
    "content",
    "entropy",
    "inflated",
    "responses",
    "streams",
    "tls_records",
]

RECORDS = {20: "change cipher spec", 21: "alert", 22: "handshake", 23: "application data"}
#: The maximum length of a record in bytes: 2^14, and up to 2048 for its protection.
LONGEST = 2**14 + 2048
HEADER = 5
#: The first bytes of a gzip stream that Go writes.
GZIP = bytes.fromhex("1f8b08000000000004ff")


@dataclass(frozen=True, slots=True)
class Stream:
    """One captured TCP connection, as runs of bytes without a gap in each direction.

    ``port`` is the client's port. Each run is a tuple of segments.
    """

    port: int
    to_server: tuple[tuple[bytes, ...], ...] = field(repr=False)
    to_client: tuple[tuple[bytes, ...], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Content:
    """The content of some streams.

    Parameters
    ----------
    records : Counter
        The number of TLS records of each type.
    protected, readable : int
        The number of bytes inside and outside TLS records.
    """

    records: Counter[str]
    protected: int
    readable: int

    @property
    def kind(self) -> str:
        """Return "nothing", "TLS" or "plaintext"."""
        if not self.protected + self.readable:
            return "nothing"
        return "plaintext" if self.readable else "TLS"


def streams(pcap: bytes, port: int) -> list[Stream]:
    """Reassemble the packets of a capture into connections.

    Parameters
    ----------
    pcap : bytes
        The output of tcpdump.
    port : int
        The server's port.

    Returns
    -------
    list of Stream
        Sorted by the client's port. A forwarded packet is captured twice and counts once.
    """
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether  # noqa: F401 - tells scapy how a frame is read
    from scapy.utils import PcapReader

    seen: dict[tuple[int, str, str], tuple[dict[int, bytes], dict[int, bytes]]] = {}
    first: dict[tuple[tuple[int, str, str], bool], int] = {}
    capture: Any = io.BytesIO(pcap)  # scapy's type hints accept only file names
    with PcapReader(capture) as reader:
        for packet in reader:
            if not (packet.haslayer(IP) and packet.haslayer(TCP)):
                continue
            tcp, ip = packet[TCP], packet[IP]
            # Short frames are padded, so the lengths in the headers count.
            size = ip.len - 4 * ip.ihl - 4 * tcp.dataofs
            payload = bytes(tcp.payload)[: max(0, size)]
            upward = tcp.dport == port
            if not payload or port not in (tcp.sport, tcp.dport):
                continue
            client = (tcp.sport, ip.src, ip.dst) if upward else (tcp.dport, ip.dst, ip.src)
            begin = first.setdefault((client, upward), tcp.seq)
            # Sequence numbers wrap at 2^32, and packets may arrive out of order.
            at = (tcp.seq - begin + 2**31) % 2**32 - 2**31
            segments = seen.setdefault(client, ({}, {}))[0 if upward else 1]
            if len(payload) > len(segments.get(at, b"")):
                segments[at] = payload
    return [Stream(port, _runs(up), _runs(down)) for (port, *_), (up, down) in sorted(seen.items())]


def _runs(segments: dict[int, bytes]) -> tuple[tuple[bytes, ...], ...]:
    runs: list[list[bytes]] = []
    end: int | None = None
    for at, payload in sorted(segments.items()):
        if end is None or at > end:
            runs.append([payload])
        elif at + len(payload) > end:
            runs[-1].append(payload[end - at :])
        else:
            continue
        end = at + len(payload)
    return tuple(tuple(run) for run in runs)


def tls_records(data: bytes) -> list[tuple[int, int, str]] | None:
    r"""Split bytes into TLS records; return None if they are anything else.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    list of (int, int, str) or None
        The start, the end and the type of each record. The last one may be incomplete.

    References
    ----------
    RFC 8446, section 5.1.

    Examples
    --------
    >>> tls_records(bytes.fromhex("16 0301 0002 0100 17 0303 0005 00"))
    [(0, 7, 'handshake'), (7, 17, 'application data')]
    >>> tls_records(b"GET / HTTP/1.1\r\n\r\n")
    """
    found = []
    at = 0
    while at < len(data):
        head = data[at : at + HEADER]
        length = int.from_bytes(head[3:5])
        if head[0] not in RECORDS or head[1:2] not in (b"\x03", b""):
            return None
        if head[2:3] > b"\x04" or (len(head) == HEADER and not 0 < length <= LONGEST):
            return None
        found.append((at, at + HEADER + length, RECORDS[head[0]]))
        at += HEADER + length
    return found


def content(captured: Iterable[Stream]) -> Content:
    """Count the captured bytes inside and outside TLS records.

    A capture can start in the middle of a record. The bytes before the first record count as TLS
    if records follow, and as readable if not.
    """
    records: Counter[str] = Counter()
    protected = readable = 0
    for stream in captured:
        for run in (*stream.to_server, *stream.to_client):
            data = b"".join(run)
            for skipped in range(len(run)):
                found = tls_records(b"".join(run[skipped:]))
                if found is not None:
                    records.update(kind for _, _, kind in found)
                    protected += len(data)
                    break
            else:
                readable += len(data)
    return Content(records, protected, readable)


def responses(data: bytes) -> list[bytes]:
    r"""Split one direction of HTTP/1.1 into responses, each with its head and its decoded body.

    A response that has not ended, such as that of a watch, is decoded up to its last byte.

    Examples
    --------
    >>> responses(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n")
    [b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nabc']
    """
    found = []
    at = data.find(b"HTTP/1.")
    while at >= 0:
        head, gap, rest = data[at:].partition(b"\r\n\r\n")
        fields = head.lower()
        length = re.search(rb"\r\ncontent-length: *(\d+)", fields)
        if b"\r\ntransfer-encoding: chunked" in fields:
            body, used = _chunks(rest)
        else:
            used = int(length[1]) if length else 0
            body = rest[:used]
        if b"\r\ncontent-encoding: gzip" in fields:
            body = _unpacked(body)
        found.append(head + gap + body)
        at = data.find(b"HTTP/1.", at + len(head) + len(gap) + used)
    return found


def _chunks(data: bytes) -> tuple[bytes, int]:
    body, at = b"", 0
    while match := re.compile(rb"([0-9a-fA-F]+)\r\n").match(data, at):
        size = int(match[1], 16)
        body += data[match.end() : match.end() + size]
        at = match.end() + size + 2
        if not size:
            break
    return body, min(at, len(data))


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data)
    except zlib.error:
        return data


def inflated(run: Iterable[bytes]) -> bytes:
    """Decompress the chunks of a gzip response whose start was not captured.

    Each segment counts as one chunk. Text that a chunk repeats from an earlier one is lost.
    """
    found = []
    for segment in run:
        body = _chunks(segment)[0].removeprefix(GZIP)
        with suppress(zlib.error):
            found.append(zlib.decompressobj(-zlib.MAX_WBITS, zdict=bytes(2**15)).decompress(body))
    return b"".join(found)


def entropy(data: bytes) -> float:
    """Return the entropy of single bytes, in bits per byte; ciphertext is close to 8.

    Examples
    --------
    >>> entropy(bytes(range(256))), entropy(b"aaaa")
    (8.0, 0.0)
    """
    counts = Counter(data).values()
    return sum(count / len(data) * math.log2(len(data) / count) for count in counts)
