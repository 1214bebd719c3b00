"""No machine and no pod of a lab reaches the Docker host; each test has its positive control."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import docker
import pytest
from docker.models.containers import Container
from docker.models.networks import Network

from labkit import agents
from labkit.errors import LabError
from labkit.lab import Lab, doctor, isolation, network
from labkit.lab.engine import connect, labels
from labkit.lab.images import find_node_image
from labkit.lab.isolation import answering_host_addresses, close_bridge, trial
from labkit.lab.network import bridge_of, create_network, find_network
from labkit.lab.nodes import OUTSIDER, remove_lab

pytestmark = pytest.mark.lab
OTHER, MODE = f"host-{os.getpid()}", "trial"
PROGRAMS = Path(__file__).parent / "programs"


class Host(NamedTuple):
    """A program that listens on every address of the Docker host."""

    port: int
    addresses: list[tuple[str, str]]
    hardware: dict[str, str]

    @property
    def ipv4(self) -> list[str]:
        return [address for _, address in self.addresses if ":" not in address]

    def on_link(self, link: str) -> list[str]:
        """Return the link-local addresses of one interface, as its neighbours write them."""
        found = [a for name, a in self.addresses if name == link and a.startswith("fe80:")]
        return [f"{address}%eth0" for address in found]


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    client = connect()
    yield client
    remove_lab(client, OTHER, MODE)
    client.close()


@pytest.fixture(scope="module")
def image(client: docker.DockerClient) -> str:
    image = find_node_image(client)
    assert image
    return image


@pytest.fixture
def small_lab(
    client: docker.DockerClient, image: str
) -> Iterator[Callable[..., tuple[Network, list[Container]]]]:
    """Return a function that makes a network and two containers on it."""
    remove_lab(client, OTHER, MODE)

    def make(*, inhibited: bool) -> tuple[Network, list[Container]]:
        with pytest.MonkeyPatch.context() as patch:
            if not inhibited:
                patch.setattr(network, "OPTIONS", {})
            made = create_network(client, OTHER, MODE)
        return made, [on(client, image, made, node) for node in ("one", "two")]

    yield make
    remove_lab(client, OTHER, MODE)


def on(client: docker.DockerClient, image: str, made: Network, node: str) -> Container:
    return client.containers.run(
        image,
        name=f"labkit-{OTHER}-{MODE}-{node}",
        detach=True,
        network=made.name,
        labels=labels(OTHER, MODE, node=node, role="attacker"),
        sysctls={"net.ipv6.conf.all.disable_ipv6": "0"},
        cap_add=["NET_ADMIN"],
        **OUTSIDER.own,
    )


def start_listener(client: docker.DockerClient, image: str) -> Host:
    """Listen on every address that the host has now, until the small lab is removed."""
    listener = client.containers.run(
        image,
        detach=True,
        network_mode="host",
        labels=labels(OTHER, MODE),
        entrypoint=[],
        command=["python3", "-c", (PROGRAMS / "host_listener.py").read_text()],
    )
    end = time.monotonic() + 20
    while not (said := listener.logs(stderr=False)).endswith(b"}\n"):
        assert time.monotonic() < end, listener.logs()
        time.sleep(0.1)
    return Host(**json.loads(said))


def reached(say: Callable[[list[str]], bytes], host: Host, *addresses: str) -> set[str]:
    argv = ["python3", "-c", (PROGRAMS / "reach.py").read_text(), str(host.port), *addresses]
    return set(json.loads(say(argv)))


def said_by(container: Container) -> Callable[[list[str]], bytes]:
    def say(argv: list[str]) -> bytes:
        output: Any = container.exec_run(argv, demux=True).output
        return bytes(output[0])

    return say


def test_no_machine_and_no_pod_reaches_the_host(
    client: docker.DockerClient,
    image: str,
    labs: dict[str, Lab],
    small_lab: Any,
) -> None:
    open_network, (outside, _) = small_lab(inhibited=False)
    host = start_listener(client, image)
    gateway = open_network.attrs["IPAM"]["Config"][0]["Gateway"]
    neighbours = host.on_link(bridge_of(open_network))
    assert neighbours, "an open bridge has a link-local address"
    # the positive control: from a network that is not closed, the same program finds the host
    wanted, end = {gateway, "172.17.0.1", *neighbours}, time.monotonic() + 10
    while not (found := reached(said_by(outside), host, *host.ipv4, *neighbours)) >= wanted:
        # an IPv6 address is not used before its duplicates have been looked for
        assert time.monotonic() < end, wanted - found
    # The host's other bridges stand for a closed one that still had an address.
    targets = [*host.ipv4, *(f"{a}%eth0" for _, a in host.addresses if a.startswith("fe80:"))]

    def from_machine(lab: Lab, node: str) -> set[str]:
        return reached(lambda argv: lab.exec(node, argv).stdout, host, *targets)

    def from_pod(lab: Lab, node: str, pod: str) -> set[str]:
        inside = agents.argv("in_pod", pod, "1000")
        return reached(lambda argv: lab.exec(node, [*inside, *argv]).stdout, host, *host.ipv4)

    with ThreadPoolExecutor(max_workers=20) as pool:
        tried = {
            (mode, node.name): pool.submit(from_machine, lab, node.name)
            for mode, lab in labs.items()
            for node in lab.environment.nodes
        }
        for mode, lab in labs.items():
            objects = json.loads(lab.kubectl("get", "pods", "-A", "-o", "json").text)["items"]
            assert len(objects) >= 5
            for each in objects:
                node, pod = each["spec"]["nodeName"], each["spec"]["containers"][0]["name"]
                tried[mode, pod] = pool.submit(from_pod, lab, node, pod)
        assert {what: future.result() for what, future in tried.items() if future.result()} == {}


def test_root_who_changes_routes_and_neighbours_reaches_no_host_either(
    client: docker.DockerClient,
    small_lab: Any,
    image: str,
    lab_hardened: Lab,
) -> None:
    opened, (outside, _) = small_lab(inhibited=False)
    host = start_listener(client, image)

    def prepare(gateway: str, bridge: str) -> list[str]:
        neighbour = f"ip neigh replace {gateway} lladdr {host.hardware[bridge]} dev eth0"
        return ["sh", "-c", f"sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0; {neighbour}"]

    gateway = opened.attrs["IPAM"]["Config"][0]["Gateway"]
    code, said = outside.exec_run(prepare(gateway, bridge_of(opened)))
    assert code == 0, said
    assert reached(said_by(outside), host, "172.17.0.1") == {"172.17.0.1"}
    closed = find_network(client, lab_hardened.name, "hardened")
    assert closed
    gateway = closed.attrs["IPAM"]["Config"][0]["Gateway"]
    try:
        lab_hardened.exec("worker1", prepare(gateway, bridge_of(closed)))
        to_link = [f"fe80::{tail}%eth0" for tail in ("1", link_local(host, bridge_of(closed)))]
        found = reached(
            lambda argv: lab_hardened.exec("worker1", argv).stdout, host, *host.ipv4, *to_link
        )
        assert found == set()
    finally:
        undo = f"ip neigh del {gateway} dev eth0; sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1"
        lab_hardened.exec("worker1", ["sh", "-c", undo])


def link_local(host: Host, link: str) -> str:
    """Return the end of the address that an interface would have by its hardware address."""
    own = bytearray.fromhex(host.hardware[link].replace(":", ""))
    own[0] ^= 2
    whole = own[:3] + b"\xff\xfe" + own[3:]
    return ":".join(whole[i : i + 2].hex() for i in range(0, 8, 2))


def answering(client: docker.DockerClient, made: Network) -> list[str]:
    """Return what answers as soon as the bridge uses its IPv6 address, after a second or two."""
    end = time.monotonic() + 10
    while True:
        found = answering_host_addresses(client, made, OTHER, MODE)
        if any(address.startswith("fe80:") for address in found):
            return found
        assert time.monotonic() < end, found


def test_each_of_the_two_measures_is_needed(
    client: docker.DockerClient, image: str, small_lab: Any
) -> None:
    made, _ = small_lab(inhibited=False)
    gateway = made.attrs["IPAM"]["Config"][0]["Gateway"]
    assert gateway in answering(client, made)
    remove_lab(client, OTHER, MODE)

    made, _ = small_lab(inhibited=True)
    assert "172.17.0.1" in answering(client, made), "the kernel answers ARP for all its addresses"
    close_bridge(client, made, image, OTHER, MODE)
    assert answering_host_addresses(client, made, OTHER, MODE) == []


def test_without_an_answer_of_another_machine_the_result_is_unknown(
    client: docker.DockerClient, small_lab: Any
) -> None:
    made, (_, second) = small_lab(inhibited=True)
    second.exec_run(["ip", "link", "set", "eth0", "down"])
    assert answering_host_addresses(client, made, OTHER, MODE) == ["unknown"]
    second.stop(timeout=0)
    assert answering_host_addresses(client, made, OTHER, MODE) == ["unknown"]


def test_doctor_tries_it_out(
    client: docker.DockerClient, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trial(client, image) == []
    monkeypatch.setattr(network, "OPTIONS", {})

    def refused(*_: Any) -> None:
        raise LabError("the settings of the bridge cannot be changed")

    monkeypatch.setattr(isolation, "close_bridge", refused)
    check = next(check for check in doctor(client) if check.name == "Host out of reach")
    assert not check.ok
    assert "cannot be changed" in check.detail
    monkeypatch.setattr(isolation, "close_bridge", lambda *_: None)
    assert trial(client, image) != []


def test_names_are_not_looked_up_at_the_servers_of_the_host(lab_insecure: Lab) -> None:
    # Docker's resolver forwards to an address of the machine itself: a server there is asked
    serve = "import socket; s = socket.socket(type=2); s.bind(('127.0.0.2', 53)); s.settimeout(9)"
    script = f"{serve}; print(b'outside' in s.recv(512))"
    ask = 'python3 -c "$0" & sleep 0.3; timeout 2 getent hosts outside.example; wait %1'
    assert lab_insecure.exec("attacker", ["bash", "-c", ask, script]).text == "True\n"


def test_a_lab_that_came_up_within_reach_of_its_host_says_so(lab_insecure: Lab) -> None:
    ready = "/run/labkit-ready"
    assert lab_insecure.status().reached == ()
    try:
        lab_insecure.exec("master", ["tee", ready], stdin=b"10.1.2.254\nfe80::1\n")
        status = lab_insecure.status()
        assert status.state == "ready"
        assert status.reached == ("10.1.2.254", "fe80::1")
    finally:
        lab_insecure.exec("master", ["tee", ready], stdin=b"")
