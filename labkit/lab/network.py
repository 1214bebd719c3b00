"""The lab's network: an internal bridge without a route out, in a free address range."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator
from itertools import islice

import docker
from docker.errors import APIError
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from labkit.cluster import Node
from labkit.errors import ConfigError, LabError
from labkit.lab.engine import is_of, lab_filter, labels

__all__ = [
    "addresses_in",
    "bridge_of",
    "candidates",
    "create_network",
    "find_network",
    "host_addresses",
    "planned_addresses",
]

#: RFC 1918 space that neither Docker's defaults (172.17/16 and up, 192.168/16) nor the pods
#: (10.244/16) and services (10.96/16) of a cluster use.
SPACE = ipaddress.IPv4Network("10.160.0.0/12")


#: The bridge, which is an interface of the host, gets no address.
OPTIONS = {"com.docker.network.bridge.inhibit_ipv4": "true"}


def candidates(name: str, mode: str) -> Iterator[ipaddress.IPv4Network]:
    """Yield candidate address ranges for a lab's network, always in the same order for one lab.

    Parameters
    ----------
    name, mode : str
        The lab's name and mode.

    Yields
    ------
    ipaddress.IPv4Network
        Sixteen different /24 ranges.

    Examples
    --------
    >>> len(set(candidates("default", "insecure")))
    16
    """
    count = 2 ** (24 - SPACE.prefixlen)
    start = int.from_bytes(hashlib.sha256(f"{name}/{mode}".encode()).digest()[:4])
    for step in range(16):
        offset = (start + step * 257) % count
        yield ipaddress.IPv4Network((int(SPACE.network_address) + 256 * offset, 24))


def find_network(client: docker.DockerClient, name: str, mode: str) -> Network | None:
    """Return the lab's network, or None if it does not exist.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    name, mode : str
        The lab's name and mode.

    Returns
    -------
    docker.models.networks.Network or None
    """
    found = client.networks.list(filters=lab_filter(name, mode))
    return next((one for one in found if is_of(one.attrs.get("Labels"), name, mode)), None)


def planned_addresses(network: Network, nodes: Iterable[Node]) -> dict[str, str]:
    """Return the address of each machine of a new lab, computed from its host number.

    Parameters
    ----------
    network : docker.models.networks.Network
        The lab's network.
    nodes : iterable of Node
        The machines.

    Returns
    -------
    dict of str to str
        IPv4 addresses by the machine's name.

    Raises
    ------
    ConfigError
        A host number gives the gateway's address, which belongs to the Docker host.
    """
    network.reload()
    first = _subnets(network)[0].network_address
    planned = {node.name: str(first + node.host) for node in nodes}
    for name, address in planned.items():
        if address in _gateways(network):
            number = int(ipaddress.IPv4Address(address)) - int(first)
            raise ConfigError(
                f"{name} cannot have host number {number}: it is the gateway of a lab's network",
                hint=f"give {name} another host number in the topology file",
            )
    return planned


def addresses_in(
    client: docker.DockerClient, network: Network, name: str, mode: str
) -> dict[str, str]:
    """Return the present addresses of the running machines of a lab, as the engine reports them.

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
    dict of str to str
        IPv4 addresses by the machine's name. The network's gateway (an address of the Docker host)
        and addresses outside the network are left out.
    """
    network.reload()
    gateways, subnets = _gateways(network), _subnets(network)
    found: dict[str, str] = {}
    for container in client.api.containers(filters=lab_filter(name, mode)):
        if not is_of(container["Labels"], name, mode):
            continue
        for end in container["NetworkSettings"]["Networks"].values():
            address = end.get("IPAddress")
            if end.get("NetworkID") != network.id or not address:
                continue
            known = any(ipaddress.IPv4Address(address) in subnet for subnet in subnets)
            if known and address not in {*gateways, end.get("Gateway")}:
                found[container["Labels"]["labkit.node"]] = address
    return dict(sorted(found.items()))


def bridge_of(network: Network) -> str:
    """Return the name of a network's bridge, an interface of the Docker host.

    Parameters
    ----------
    network : docker.models.networks.Network
        The network.

    Returns
    -------
    str
    """
    return f"br-{str(network.id)[:12]}"


def host_addresses(client: docker.DockerClient) -> list[str]:
    """Return the IPv4 addresses of the Docker host that the engine knows: those of its bridges.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.

    Returns
    -------
    list of str
        Sorted, without duplicates.
    """
    gateways = {gateway for network in client.networks.list() for gateway in _gateways(network)}
    return sorted(gateway for gateway in gateways if ":" not in gateway)


def _pools(network: Network) -> list[dict[str, str]]:
    pools: list[dict[str, str]] | None = network.attrs["IPAM"]["Config"]
    return pools or []


def _subnets(network: Network) -> list[ipaddress.IPv4Network]:
    return [ipaddress.IPv4Network(pool["Subnet"]) for pool in _pools(network)]


def _gateways(network: Network) -> set[str]:
    """Return the addresses of a network's bridge.

    Docker names none for its default bridge until the engine has started a second time. It takes
    the first address of the range then.
    """
    found = set()
    for pool in _pools(network):
        named, first = pool.get("Gateway"), ipaddress.ip_network(pool["Subnet"]).hosts()
        found |= {named.partition("/")[0]} if named else {str(it) for it in islice(first, 1)}
    return found


def create_network(client: docker.DockerClient, name: str, mode: str, **more: str) -> Network:
    """Create the lab's network in the first free address range.

    The network is *internal*: Docker gives it no route out. So the lab cannot reach the network of
    the user's machine, and cannot be reached from there. Its bridge has no IPv4 address; what else
    keeps the host out of reach is in :mod:`labkit.lab.isolation`.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    name, mode : str
        The lab's name and mode.
    **more : str
        More labels, without their prefix.

    Returns
    -------
    docker.models.networks.Network

    Raises
    ------
    LabError
        No candidate range is free.
    docker.errors.APIError
        The engine refuses for another reason.
    """
    refused = []
    for subnet in candidates(name, mode):
        pool = IPAMPool(subnet=str(subnet), gateway=str(subnet.broadcast_address - 1))
        try:
            return client.networks.create(
                f"labkit-{name}-{mode}",
                driver="bridge",
                internal=True,
                options=OPTIONS,
                labels=labels(name, mode, **more),
                ipam=IPAMConfig(pool_configs=[pool]),
                check_duplicate=True,
            )
        except APIError as error:
            if "overlap" not in str(error.explanation):
                raise
            refused.append(f"{subnet}: {error.explanation}")
    raise LabError(
        f"no free address range for lab {name!r} ({mode})",
        evidence=refused[-3:],
        hint="docker network prune",
    )
