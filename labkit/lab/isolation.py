"""Keep the Docker host out of reach of a lab, and test from inside that it is.

A bridge of Docker is an interface of the host: without more, every machine on it reaches every
address of the host. A lab's bridge has no address (``inhibit_ipv4`` in :mod:`labkit.lab.network`),
so no answer finds its way back. :func:`close_bridge` makes the host's kernel deaf on it as well.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from typing import Any

import docker
from docker.errors import APIError
from docker.models.containers import Container
from docker.models.networks import Network

from labkit import agents
from labkit.errors import LabError
from labkit.lab.engine import labels
from labkit.lab.machine import execute
from labkit.lab.network import bridge_of, create_network, host_addresses
from labkit.lab.nodes import OUTSIDER, container_name, find_nodes, remove_lab
from labkit.lab.status import UNKNOWN

__all__ = ["answering_host_addresses", "close_bridge", "trial"]

#: Nothing but the settings of the host's network is writable, and nothing of it needs a capability.
HELPER: dict[str, Any] = {
    "NetworkMode": "host",
    "UsernsMode": "host",
    "CapDrop": ["ALL"],
    "SecurityOpt": ["apparmor=unconfined", "label=disable", "no-new-privileges"],
    "ReadonlyRootfs": True,
    "ReadonlyPaths": [
        *("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger"),
        *(f"/proc/sys/{part}" for part in ("abi", "debug", "dev", "fs", "kernel", "user", "vm")),
    ],
}


def close_bridge(
    client: docker.DockerClient, network: Network, image: str, name: str, mode: str
) -> None:
    """Make the host's kernel ignore everything that comes from a lab's bridge.

    A container in the host's network namespace, with no capability at all, writes three settings
    of the bridge and ends. They vanish with the bridge.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    network : docker.models.networks.Network
        The lab's network.
    image : str
        The node image's tag.
    name, mode : str
        The lab's name and mode, for the container's labels.

    Raises
    ------
    LabError
        The engine does not run such a container, or the kernel refuses a setting.
    """
    api: Any = client.api
    bridge = bridge_of(network)
    try:
        created = api.create_container(
            image,
            entrypoint=[],
            command=agents.argv("close_bridge", bridge),
            labels=labels(name, mode),
            host_config={**api.create_host_config(), **HELPER},
        )
    except APIError as error:
        raise _refused(bridge, str(error.explanation)) from error
    try:
        api.start(created["Id"])
        code = api.wait(created["Id"], timeout=30)["StatusCode"]
        said = api.logs(created["Id"]).decode(errors="replace").strip() if code else ""
    except (APIError, OSError) as error:
        raise _refused(bridge, str(getattr(error, "explanation", error))) from error
    finally:
        with contextlib.suppress(APIError, OSError):
            api.remove_container(created["Id"], force=True)
    if code:
        raise _refused(bridge, said)


def _refused(bridge: str, said: str) -> LabError:
    return LabError(f"the settings of the bridge {bridge} cannot be changed", evidence=[said[:300]])


def answering_host_addresses(
    client: docker.DockerClient, network: Network, name: str, mode: str
) -> list[str]:
    """Return the addresses of the host that answer a lab, tested from one of its machines.

    All machines are on one link, so that one stands for all. It asks for every address that the
    engine says the host has, and for any IPv6 node. Another machine must answer it; if none does,
    the result is unknown.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    network : docker.models.networks.Network
        The lab's network.
    name, mode : str
        The lab's name and mode.

    Returns
    -------
    list of str
        Empty if the host is out of reach; ``["unknown"]`` if that is not known.
    """
    try:
        return _answering(client, network, name, mode)
    except (APIError, LabError):
        return [UNKNOWN]


def _answering(client: docker.DockerClient, network: Network, name: str, mode: str) -> list[str]:
    running = [c for c in find_nodes(client, name, mode) if c.status == "running"]
    # the attacker's machine is the quietest
    running.sort(key=lambda container: container.labels.get("labkit.role") != "attacker")
    ends = [end for container in running if (end := _end(container, network))]
    if len(running) < 2 or len(ends) != len(running):
        return [UNKNOWN]
    asker, control = running[0], ends[1]["IPAddress"]
    argv = agents.argv("who_answers", control, *host_addresses(client))
    answers = json.loads(execute(asker, argv, timeout=15).text)
    if control not in {address for address, _ in answers}:
        return [UNKNOWN]
    own = {end["MacAddress"] for end in ends}
    return sorted({address for address, hardware in answers if hardware not in own})


def _end(container: Container, network: Network) -> dict[str, Any]:
    found: dict[str, Any] = next(
        (
            end
            for end in container.attrs["NetworkSettings"]["Networks"].values()
            if end["NetworkID"] == network.id
        ),
        {},
    )
    return found


def trial(client: docker.DockerClient, image: str) -> list[str]:
    """Return the addresses of the host that answer a lab, tested with two containers.

    They are on a network like a lab's, and everything is removed at the end.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    image : str
        The node image's tag.

    Returns
    -------
    list of str
        As of :func:`answering_host_addresses`.

    Raises
    ------
    LabError
        The engine does not close the bridge, and an address of the host answers.
    docker.errors.APIError
        The engine refuses to create the network or a container.
    """
    name, mode = f"doctor-{secrets.token_hex(4)}", "trial"
    why: LabError | None = None
    try:
        network = create_network(client, name, mode)
        for node in ("asker", "control"):
            api: Any = client.api
            created = api.create_container(
                image,
                name=container_name(name, mode, node),
                labels=labels(name, mode, node=node, role="attacker"),
                host_config={**api.create_host_config(network_mode=network.name), **OUTSIDER.host},
                **OUTSIDER.own,
            )
            api.start(created["Id"])
        try:
            close_bridge(client, network, image, name, mode)
        except LabError as error:
            why = error
        answered = answering_host_addresses(client, network, name, mode)
    finally:
        remove_lab(client, name, mode)
    if why and answered:
        raise why
    return answered
