"""The guard in front of the engine: what labkit needs gets through, and nothing else does."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import stat
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from labkit.errors import ConfigError
from labkit.lab.machine import FileSpec, archive
from labkit.workshop import guard_socket
from labkit.workshop.guard import OPERATIONS, PROCESS, Guard, Refused, Request
from labkit.workshop.guard_socket import guarding, joining_hub

VERSION = "1.43"
OWN = {"lab": "p01", "mode": "insecure", "workshop": "p"}
RUN = {**PROCESS, "Cmd": ["id"]}


class Room:
    """An engine with the labs of two participants, and the guard of the first one."""

    def __init__(self, engine: Any, client: docker.DockerClient) -> None:
        self.engine = engine
        self.own = engine.add("labkit-p01-insecure-master", **OWN, node="master")
        self.other = engine.add("labkit-p02-insecure-master", **OWN | {"lab": "p02"})
        #: labkit's helper in the host's network: it has the lab's name, and not the workshop's
        self.helper = engine.add("helper", lab="p01", mode="insecure")
        self.hub = engine.add("jupyterhub")
        self.own_network = engine.add_network("labkit-p01-insecure", **OWN)
        self.other_network = engine.add_network("labkit-p02-insecure", **OWN | {"lab": "p02"})
        self.guard = Guard(client, "p01", "p")
        engine.asked.clear()

    def ask(self, method: str, target: str, body: object = b"", *, upgrade: bool = False) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.guard.answer(Request(method, target, data, upgrade))

    def json(self, target: str) -> Any:
        return json.loads(self.ask("GET", target).body)

    @property
    def foreign(self) -> tuple[str, ...]:
        return self.other, self.helper, self.hub

    def assert_nothing_happened(self) -> None:
        """Nothing was changed, and only the engine's description of what was named was read."""
        assert self.engine.changes == []
        for _, path, _, _ in self.engine.asked:
            assert (
                path in ("/containers/json", "/networks", "/volumes", "/version", "/_ping")
                or (path.startswith("/containers/") and path.endswith("/json"))
                or path.startswith("/networks/")
            )


@pytest.fixture
def room(fake_engine: tuple[Any, str]) -> Iterator[Room]:
    engine, address = fake_engine
    client = docker.DockerClient(base_url=address)
    yield Room(engine, client)
    client.close()


# -- what labkit needs --------------------------------------------------------------------


def test_lists_hold_the_participants_own_parts_only(room: Room) -> None:
    assert [one["Id"] for one in room.json("/containers/json?all=1")] == [room.own]
    assert [one["Id"] for one in room.json("/networks")] == [room.own_network]
    assert [one["Id"] for one in room.json("/volumes")["Volumes"]] == [room.own_network]


def test_lists_ask_the_engine_for_the_participants_labels_as_well(room: Room) -> None:
    room.json('/containers/json?filters={"label":["labkit.node"]}')
    [(_, _, query, _)] = room.engine.asked
    labels = {"labkit.node": True, "labkit.lab=p01": True, "labkit.workshop=p": True}
    found = json.loads(query["filters"][0])["label"]
    assert sorted(found) == sorted(labels)


def test_own_machine_is_described_by_name_and_identifier(room: Room) -> None:
    for reference in (room.own, room.own[:12], "labkit-p01-insecure-master"):
        assert room.json(f"/v{VERSION}/containers/{reference}/json")["Id"] == room.own
    assert room.json(f"/networks/{room.own_network}")["Id"] == room.own_network


def test_process_is_made_by_the_guards_own_request(room: Room) -> None:
    named = "labkit-p01-insecure-master"
    made = json.loads(room.ask("POST", f"/containers/{named}/exec", RUN).body)
    method, path, _, body = room.engine.asked[-1]
    # the engine hears the identifier, and not the name that was given
    assert (method, path) == ("POST", f"/containers/{room.own}/exec")
    sent = json.loads(body)
    assert sent["Cmd"] == ["id"]
    assert sent["Privileged"] is False
    assert sent["WorkingDir"] == "/"

    terminal = room.ask("POST", f"/exec/{made['Id']}/start", STAY, upgrade=True)
    terminal.write(b"world")
    read = b""
    while len(read) < len(b"hello world"):
        read += terminal.read()
    assert read == b"hello world"
    terminal.close()
    with pytest.raises(Refused, match="no process"):
        room.ask("POST", f"/exec/{made['Id']}/start", STAY, upgrade=True)


STAY = {"Tty": False, "Detach": False}


def test_stopped_and_paused_machines_are_started(room: Room) -> None:
    assert room.ask("POST", f"/containers/{room.own}/start").status == 204
    assert room.ask("POST", f"/containers/{room.own}/unpause").status == 204
    assert room.engine.changes == [
        f"POST /containers/{room.own}/start",
        f"POST /containers/{room.own}/unpause",
    ]


def test_files_are_read(room: Room) -> None:
    answer = room.ask("GET", f"/containers/{room.own}/archive?path=%2Fetc%2Fkubernetes%2Fa.yaml")
    assert answer.body == b"a tar"


def test_last_lines_of_a_log_are_read(room: Room) -> None:
    target = f"/containers/{room.own}/logs?stderr=1&stdout=1&timestamps=0&follow=0&tail=10"
    assert room.ask("GET", target).body[8:] == b"words"
    for tail in ("all", "100000", "-1", ""):
        with pytest.raises(Refused):
            room.ask("GET", target.replace("tail=10", f"tail={tail}"))
    with pytest.raises(Refused, match="follow"):
        room.ask("GET", target.replace("follow=0", "follow=1"))


# -- what is refused ----------------------------------------------------------------------

#: Requests by which a participant would get the host, with what they would do there.
HOST = {
    "a privileged machine": ("POST", "/containers/create", {"HostConfig": {"Privileged": True}}),
    "the host's files": ("POST", "/containers/create?name=a", {"HostConfig": {"Binds": ["/:/h"]}}),
    "labkit's own helper": ("POST", "/containers/create", {"HostConfig": {"NetworkMode": "host"}}),
    "a volume of the host": ("POST", "/volumes/create", {"DriverOpts": {"device": "/"}}),
    "a build": ("POST", "/build?networkmode=host", b""),
    "a build by BuildKit": ("POST", "/session", b""),
    "gRPC": ("POST", "/grpc", b""),
    "an image": ("POST", "/images/create?fromImage=a", b""),
    "an image's archive": ("POST", "/images/load", b""),
    "images": ("GET", "/images/json", b""),
    "a commit": ("POST", "/commit?container={own}", b""),
    "an export": ("GET", "/containers/{own}/export", b""),
    "a plugin": ("POST", "/plugins/pull?remote=a", b""),
    "a swarm": ("POST", "/swarm/init", {}),
    "a network": ("POST", "/networks/create", {"Name": "a", "Driver": "macvlan"}),
    "a join": ("POST", "/networks/{other_network}/connect", {"Container": "{own}"}),
    "a rename": ("POST", "/containers/{own}/rename?name=labkit-p02-insecure-master", b""),
    "other limits": ("POST", "/containers/{own}/update", {"Memory": 0, "Devices": []}),
    "a removal": ("DELETE", "/containers/{own}?force=1&v=1", b""),
    "a pause": ("POST", "/containers/{own}/pause", b""),
    "a terminal": ("POST", "/containers/{own}/attach?stream=1&stdin=1", b""),
    "a terminal by WebSocket": ("GET", "/containers/{own}/attach/ws", b""),
    "everybody's events": ("GET", "/events", b""),
    "the engine's settings": ("GET", "/info", b""),
    "the engine's disk": ("GET", "/system/df", b""),
    "the head of a list": ("HEAD", "/containers/json", b""),
    "a tunnel": ("CONNECT", "/containers/json", b""),
    "another host": ("GET", "http://127.0.0.1:2375/containers/json", b""),
    "everything": ("OPTIONS", "*", b""),
    "a debugger": ("GET", "/debug/pprof/heap", b""),
    # an old engine takes these settings when it starts a machine
    "settings at the start": ("POST", "/containers/{own}/start", {"Binds": ["/:/host"]}),
    "an old version": ("POST", "/v1.20/containers/{own}/start", b""),
    "a later version": ("GET", "/v1.99/containers/json", b""),
    "two versions": ("GET", "/v1.43/v1.43/containers/json", b""),
}


@pytest.mark.parametrize("what", HOST)
def test_requests_for_the_host_are_refused(room: Room, what: str) -> None:
    method, target, body = HOST[what]
    for name in ("own", "other", "other_network"):
        target = target.replace(f"{{{name}}}", getattr(room, name))
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Refused) as refused:
        room.ask(method, target, data)
    assert refused.value.status == 403
    room.assert_nothing_happened()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "json", b""),
        ("GET", "logs?tail=5", b""),
        ("GET", "archive?path=/etc/shadow", b""),
        ("POST", "start", b""),
        ("POST", "unpause", b""),
        ("POST", "exec", json.dumps(RUN).encode()),
    ],
)
def test_what_is_not_the_participants_own_does_not_exist(
    room: Room, method: str, path: str, body: bytes
) -> None:
    said = set()
    titles = ("labkit-p02-insecure-master", "helper", "jupyterhub")
    for reference in (*room.foreign, *titles, room.other[:12], "absent"):
        with pytest.raises(Refused, match="no container") as refused:
            room.ask(method, f"/containers/{reference}/{path}", body)
        said.add(str(refused.value).replace(reference, ""))
        assert refused.value.status == 404
    # the answer does not tell what exists elsewhere
    assert len(said) == 1
    room.assert_nothing_happened()


def test_networks_of_others_do_not_exist(room: Room) -> None:
    for reference in (room.other_network, "bridge"):
        with pytest.raises(Refused, match="no network"):
            room.ask("GET", f"/networks/{reference}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Privileged", True),
        ("Privileged", 1),
        ("privileged", True),  # Go reads keys in any case
        ("PRIVILEGED", True),
        ("WorkingDir", "/proc/self/fd/8"),
        ("WorkingDir", None),
        ("User", "1000"),
        ("Tty", True),
        ("AttachStdin", False),
        ("Env", ["LD_PRELOAD=/a.so"]),
        ("DetachKeys", "ctrl-c"),
        ("ConsoleSize", [1, 1]),
        ("Cmd", "id"),
        ("Cmd", []),
        ("Cmd", [["id"]]),
    ],
)
def test_processes_with_more_rights_are_refused(room: Room, key: str, value: object) -> None:
    with pytest.raises(Refused):
        room.ask("POST", f"/containers/{room.own}/exec", RUN | {key: value})
    room.assert_nothing_happened()


def test_process_in_the_machine_that_the_body_names_is_not_made(room: Room) -> None:
    room.ask("POST", f"/containers/{room.own}/exec", RUN | {"Container": room.other})
    assert room.engine.changes == [f"POST /containers/{room.own}/exec"]
    assert room.other.encode() not in room.engine.asked[-1][3]


def test_key_that_is_given_twice_is_refused(room: Room) -> None:
    text = json.dumps(RUN)[:-1] + ', "Cmd": ["other"]}'
    with pytest.raises(Refused, match="plain JSON"):
        room.ask("POST", f"/containers/{room.own}/exec", text.encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_objects_are_refused(room: Room, body: bytes) -> None:
    with pytest.raises(Refused):
        room.ask("POST", f"/containers/{room.own}/exec", body)
    room.assert_nothing_happened()


def test_process_that_the_guard_did_not_make_is_not_started(room: Room) -> None:
    with pytest.raises(Refused, match="no process"):
        room.ask("POST", f"/exec/{'1' * 64}/start", STAY, upgrade=True)
    room.assert_nothing_happened()


@pytest.mark.parametrize("body", [STAY | {"Detach": True}, STAY | {"Tty": True}, {}])
def test_process_starts_connected_and_without_a_terminal(room: Room, body: object) -> None:
    made = json.loads(room.ask("POST", f"/containers/{room.own}/exec", RUN).body)
    with pytest.raises(Refused):
        room.ask("POST", f"/exec/{made['Id']}/start", body, upgrade=True)
    with pytest.raises(Refused):
        room.ask("POST", f"/exec/{made['Id']}/start", STAY, upgrade=False)
    assert room.engine.changes == [f"POST /containers/{room.own}/exec"]


def test_number_of_noted_processes_is_bounded(room: Room) -> None:
    for number in range(1000):
        room.guard.note_process(str(number))
    assert room.guard.take_process("999") == "999"
    with pytest.raises(Refused):
        room.guard.take_process("1")


@pytest.mark.parametrize(
    "target",
    [
        "/containers/json?all=2",
        "/containers/json?all=1&all=0",
        "/containers/json?limit=5",
        "/containers/json?before=a",
        "/containers/json?filters=%5B%5D",
        '/containers/json?filters={"name":["a"]}',
        '/containers/json?filters={"label":"a"}',
        "/containers/json?filters=" + "[" * 2000,
        "/containers/json?%FF=1",
        "/containers/json?" + "&".join(f"a{n}=1" for n in range(50)),
        "/networks?dangling=1",
        "/version?a=b",
    ],
)
def test_queries_that_labkit_does_not_send_are_refused(room: Room, target: str) -> None:
    with pytest.raises(Refused):
        room.ask("GET", target)
    assert room.engine.asked == []


@pytest.mark.parametrize(
    "path", ["", "etc", "/../etc", "/etc/../..", "/a/./..", "//", "/a%00", "/a b"]
)
def test_paths_that_labkit_does_not_use_are_refused(room: Room, path: str) -> None:
    with pytest.raises(Refused, match="path of the file"):
        room.ask("GET", f"/containers/{room.own}/archive?path={path.replace(' ', '%20')}")
    room.assert_nothing_happened()


def tar_of(name: str, **changes: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(name)
        for key, value in changes.items():
            setattr(info, key, value)
        tar.addfile(info)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        archive([FileSpec("/etc/kubernetes/a.yaml", b"text", 0o600)]),
        tar_of("etc/a", type=tarfile.SYMTYPE, linkname="/proc/1/root"),
        tar_of("etc/a", type=tarfile.LNKTYPE, linkname="etc/shadow"),
        tar_of("dev/sda", type=tarfile.BLKTYPE, devmajor=8),
        tar_of("dev/mem", type=tarfile.CHRTYPE, devmajor=1, devminor=1),
        tar_of("etc/a", type=tarfile.FIFOTYPE),
        tar_of("etc/a", type=tarfile.DIRTYPE),
        tar_of("../../etc/cron.d/a"),
        tar_of("etc/../../a"),
        b"no archive",
        b"\x1f\x8b" + b"\x00" * 600,
    ],
)
def test_archives_are_refused(room: Room, body: bytes) -> None:
    for machine in (room.own, room.other):
        for path in ("/", "/etc"):
            with pytest.raises(Refused):
                room.ask("PUT", f"/containers/{machine}/archive?path={path}", body)
    room.assert_nothing_happened()


def test_guard_without_a_name_is_refused(room: Room) -> None:
    for name, workshop in (("", "p"), ("p01", "")):
        with pytest.raises(ValueError, match="every lab"):
            Guard(room.guard.client, name, workshop)


# -- whatever is asked --------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *("", ".", "..", "%2e%2e", "%2F", "//", "v1.43", "v1.20", "V1.43", "containers", "json"),
        *(
            "exec",
            "start",
            "archive",
            "create",
            "networks",
            "images",
            "_ping",
            "version",
            "unpause",
        ),
        *("OWN", "OTHER", "HUB", "labkit-p02-insecure-master", "labkit-p01-insecure-master"),
        *("\u2025", "\uff0e\uff0e", "a\nb", "\x00", ";", "#", "?", "containers/OTHER/exec?", "@"),
    ]
)
QUERIES = st.sampled_from(
    ["", "?", "?path=/", "?all=1", "?all=1&name=OTHER", "?path=/../..", "?force=1", "?x", "?a=%"]
)
BODIES = st.sampled_from(
    [
        b"",
        json.dumps(RUN).encode(),
        json.dumps(RUN | {"Privileged": True}).encode(),
        json.dumps(STAY).encode(),
        b'{"HostConfig": {"Privileged": true}}',
        archive([FileSpec("/etc/a", b"a")]),
    ]
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "get", "POST ", ""])


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(METHODS, st.lists(PIECES, max_size=6), QUERIES, BODIES, st.booleans())
@example("POST", ["containers", "OWN", "..", "OTHER", "exec"], "", json.dumps(RUN).encode(), False)
@example("POST", ["containers", "OTHER", "start"], "", b"", False)
def test_whatever_is_asked_the_engine_changes_the_participants_lab_only(
    room: Room, method: str, pieces: list[str], query: str, body: bytes, upgrade: bool
) -> None:
    room.engine.asked.clear()
    target = "/" + "/".join(pieces) + query
    for word, number in (("OWN", room.own), ("OTHER", room.other), ("HUB", room.hub)):
        target = target.replace(word, number)
    try:
        answer = room.guard.answer(Request(method, target, body, upgrade))
    except Refused:
        assert room.engine.changes == []
        return
    assert all(
        change.startswith((f"POST /containers/{room.own}/", f"PUT /containers/{room.own}/"))
        for change in room.engine.changes
    )
    text = getattr(answer, "body", b"")
    assert room.other.encode() not in text
    assert room.hub.encode() not in text


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60), st.sampled_from(["GET", "POST", "PUT"]))
@example("a", "POST")
def test_paths_of_any_text_reach_no_operation_or_one_exactly(
    room: Room, text: str, method: str
) -> None:
    room.engine.asked.clear()
    try:
        room.guard.answer(Request(method, f"/containers/{text}/start", b""))
    except Refused:
        room.assert_nothing_happened()
    else:
        # the engine takes the start of an id as well, if no other container's id starts so
        assert room.own.startswith(text) or text == "labkit-p01-insecure-master"
        assert room.engine.changes == [f"POST /containers/{room.own}/start"]


def test_list_of_operations_is_the_tested_one() -> None:
    # a new operation needs tests of its own as well
    assert [f"{one.method} {one.path.split('?P')[0]}" for one in OPERATIONS] == [
        "GET /_ping",
        "GET /version",
        "GET /containers/json",
        "GET /networks",
        "GET /volumes",
        "GET /networks/(",
        "GET /containers/(",
        "GET /containers/(",
        "GET /containers/(",
        "POST /containers/(",
        "POST /containers/(",
        "POST /containers/(",
        "POST /exec/(",
    ]
    assert [one.path.rpartition("/")[2] for one in OPERATIONS[6:]] == [
        *("json", "logs", "archive", "start", "unpause", "exec", "start"),
    ]


# -- on the wire --------------------------------------------------------------------------


@pytest.fixture
def wire(room: Room, tmp_path: Path) -> Iterator[tuple[Room, Path, list[str]]]:
    reported: list[str] = []
    with guarding(room.guard, tmp_path / "p01", reported.append) as path:
        yield room, path, reported


def exchange(path: Path, data: bytes, *, patience: float = 10) -> bytes:
    """Send bytes, and return everything that comes back until the connection ends."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(patience)
        stream.connect(str(path))
        found = b""
        # a connection that is refused may end before the bytes are sent
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            stream.sendall(data)
            while more := stream.recv(1 << 16):
                found += more
        return found


Wire = tuple[Room, Path, list[str]]


def test_docker_sdk_works_through_the_socket(wire: Wire) -> None:
    room, path, reported = wire
    client = docker.DockerClient(base_url=f"unix://{path}")
    assert client.ping()
    [own] = client.containers.list(all=True, filters={"label": ["labkit.lab=p01"]})
    assert own.id == room.own
    own.start()
    assert own.logs(tail=10) == b"words"
    chunks, _ = own.get_archive("/etc/a")
    assert b"".join(chunks) == b"a tar"
    made = client.api.exec_create(own.id, ["id"], stdin=True, workdir="/")
    stream: Any = client.api.exec_start(made["Id"], socket=True)
    raw = getattr(stream, "_sock", stream)
    raw.sendall(b"\x01\x00\x00\x00\x00\x00\x00\x05there")
    raw.shutdown(socket.SHUT_WR)
    found = b""
    while more := raw.recv(1024):
        found += more
    assert found.endswith(b"there")
    stream._response.close()
    raw.close()
    assert reported == []
    with pytest.raises(APIError, match="is not among the requests") as refused:
        client.api.create_container("labkit/node", "sh", host_config={"Privileged": True})
    assert refused.value.status_code == 403
    assert "POST /v1.43/containers/create" in reported[0]
    client.close()
    room.engine.asked.clear()


def test_second_request_on_a_connection_is_not_answered(wire: Wire) -> None:
    room, path, _ = wire
    ping = b"GET /_ping HTTP/1.1\r\nHost: a\r\n\r\n"
    start = f"POST /containers/{room.own}/start HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    found = exchange(path, ping + start)
    assert found.count(b"HTTP/1.1") == 1
    assert b"connection: close" in found.lower()
    assert room.engine.changes == []


def test_refusal_of_a_head_has_no_body(wire: Wire) -> None:
    _, path, _ = wire
    found = exchange(path, b"HEAD /_ping HTTP/1.1\r\nHost: a\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 403")
    assert found.endswith(b"\r\n\r\n")


SMUGGLED = b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
        b"Content-Length: 0\r\nContent-Length: 100\r\n\r\n",
        b"Content-Length: +0\r\n\r\n",
        b"Content-Length: 0, 0\r\n\r\n",
        b"Content-Length : 0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n\r\n",
        b"X: a\rTransfer-Encoding: chunked\r\n\r\n",
        b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: a\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
    ],
)
def test_smuggled_requests_do_not_reach_the_engine(wire: Wire, head: bytes) -> None:
    room, path, _ = wire
    found = exchange(path, b"GET /_ping HTTP/1.1\r\nHost: a\r\n" + head + SMUGGLED)
    assert found.count(b"HTTP/1.1") <= 1
    room.assert_nothing_happened()


def test_refused_process_does_not_open_the_connection(wire: Wire) -> None:
    """What follows an upgrade that the engine refused is not spoken to the engine."""
    room, path, _ = wire
    room.engine.connects = 409
    room.guard.note_process("1" * 64)
    body = json.dumps(STAY).encode()
    start = (
        f"POST /exec/{'1' * 64}/start HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
        f"Upgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    found = exchange(path, start + body + SMUGGLED)
    assert found.startswith(b"HTTP/1.1 409")
    assert b"it cannot be started" in found
    assert room.engine.changes == [f"POST /exec/{'1' * 64}/start"]


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\n\r\n",  # without a host
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nA: " + b"x" * 200_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    ],
)
def test_bytes_that_are_no_request_are_refused(wire: Wire, data: bytes) -> None:
    room, path, reported = wire
    assert exchange(path, data).startswith(b"HTTP/1.1 400")
    assert "refused a request" in reported[0]
    assert room.engine.asked == []


def test_body_without_an_end_is_refused(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    room, path, _ = wire
    monkeypatch.setattr(guard_socket, "MOST_BODY", 100_000)
    head = f"POST /containers/{room.own}/exec HTTP/1.1\r\nHost: a\r\n".encode()
    found = exchange(path, head + b"Content-Length: 99999999999\r\n\r\n" + b"a" * 200_000)
    assert found.startswith(b"HTTP/1.1 413")
    room.assert_nothing_happened()


def test_request_that_does_not_end_is_dropped(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path, _ = wire
    monkeypatch.setattr(guard_socket, "REQUEST_S", 0.3)
    assert exchange(path, b"GET /_ping HTTP/1.1\r\nHost:", patience=5) == b""


def test_number_of_connections_is_bounded(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_socket, "MOST_CONNECTIONS", 3)
    reported: list[str] = []
    with guarding(room.guard, tmp_path / "p01", reported.append) as path:
        idle = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for one in idle:
            one.connect(str(path))
        assert exchange(path, b"GET /_ping HTTP/1.1\r\nHost: a\r\n\r\n") == b""
        assert reported == ["p01: more than 3 connections at once"]
        for one in idle:
            one.close()
        # they are given back
        for _ in range(50):
            if exchange(path, b"GET /_ping HTTP/1.1\r\nHost: a\r\n\r\n"):
                break
            time.sleep(0.1)
        else:
            pytest.fail("no connection is free again")


def test_socket_is_removed_and_made_again(room: Room, tmp_path: Path) -> None:
    for _ in range(2):
        with guarding(room.guard, tmp_path / "p01", lambda _: None) as path:
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
            assert stat.S_IMODE(path.parent.stat().st_mode) & 0o022 == 0
        assert not path.exists()
        path.touch()  # as a guard that was killed leaves it


def test_socket_that_cannot_be_made_is_said(room: Room, tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="cannot be made"),
        guarding(room.guard, tmp_path / ("x" * 120), lambda _: None),
    ):
        pass


def test_hubs_socket_leads_to_its_port_and_is_closed_with_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hub:

        def answer() -> None:
            connection, _ = hub.accept()
            with connection:
                connection.sendall(b"hub: " + connection.recv(100))

        thread = threading.Thread(target=answer)
        thread.start()
        port = hub.getsockname()[1]
        with joining_hub("p01", port, tmp_path / "p01", lambda _: None) as path:
            assert exchange(path, b"hello") == b"hub: hello"
            thread.join()
            hub.close()
            assert exchange(path, b"hello") == b""
