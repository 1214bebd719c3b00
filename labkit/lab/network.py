"""The lab's network: a bridge of its own with no way out, in a free range of addresses."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator

import docker
from docker.errors import APIError
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from labkit.errors import LabError
from labkit.lab.engine import lab_filter, labels

__all__ = ["candidates", "create_network", "find_network", "subnet_of"]

#: RFC 1918 space that neither Docker's defaults (172.17/16 and up, 192.168/16) nor the pods
#: (10.244/16) and services (10.96/16) of a cluster use.
SPACE = ipaddress.IPv4Network("10.160.0.0/12")


def candidates(name: str, mode: str) -> Iterator[ipaddress.IPv4Network]:
    """Yield ranges for a lab's network, the same ones in the same order for the same lab.

    Parameters
    ----------
    name, mode : str
        The lab.

    Yields
    ------
    ipaddress.IPv4Network
        Sixteen different /24.

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
    """Return the lab's network, or None."""
    found = client.networks.list(filters=lab_filter(name, mode))
    return found[0] if found else None


def subnet_of(network: Network) -> ipaddress.IPv4Network:
    """Return the range of addresses of a lab's network."""
    network.reload()
    return ipaddress.IPv4Network(network.attrs["IPAM"]["Config"][0]["Subnet"])


def create_network(client: docker.DockerClient, name: str, mode: str) -> Network:
    """Make the lab's network in the first range that is free.

    It is *internal*: Docker gives it no route out, so that nothing in the lab can reach, or be
    reached from, the network that the user's machine is on.

    Parameters
    ----------
    client : docker.DockerClient
    name, mode : str
        The lab.

    Returns
    -------
    docker.models.networks.Network

    Raises
    ------
    LabError
        None of the candidates is free.
    """
    refused = []
    for subnet in candidates(name, mode):
        pool = IPAMPool(subnet=str(subnet), gateway=str(subnet.broadcast_address - 1))
        try:
            return client.networks.create(
                f"labkit-{name}-{mode}",
                driver="bridge",
                internal=True,
                labels=labels(name, mode),
                ipam=IPAMConfig(pool_configs=[pool]),
                check_duplicate=True,
            )
        except APIError as error:
            if "overlap" not in str(error.explanation):
                raise
            refused.append(f"{subnet}: {error.explanation}")
    raise LabError(
        f"no free range of addresses for lab {name!r} ({mode})",
        evidence=refused[-3:],
        hint="docker network prune",
    )
