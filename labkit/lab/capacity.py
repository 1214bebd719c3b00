"""What an engine has left for more labs, asked inside a short-lived container of the engine."""

from __future__ import annotations

import re
from dataclasses import dataclass

import docker
from docker.errors import APIError, DockerException

from labkit import agents
from labkit.errors import EngineError
from labkit.lab.images import find_node_image

__all__ = ["Capacity", "capacity_of", "parse_capacity"]


@dataclass(frozen=True, slots=True)
class Capacity:
    """What an engine has left; None for what it did not say.

    Attributes
    ----------
    memory : int or None
        Bytes of memory that processes can still have.
    disk : int or None
        Free bytes where the engine keeps containers.
    threads : int or None
        Threads that can still be started.
    inotify : int or None
        The most inotify instances of a user, free or not.
    """

    memory: int | None = None
    disk: int | None = None
    threads: int | None = None
    inotify: int | None = None


def parse_capacity(text: str) -> Capacity:
    r"""Return what the answer of a container says.

    Parameters
    ----------
    text : str
        The file ``/proc/meminfo`` and the lines after it.

    Returns
    -------
    Capacity

    Examples
    --------
    >>> said = "MemAvailable:   2048 kB\nthreads 100\nmost 1000 400\ninotify 128\ndisk 4096\n"
    >>> parse_capacity(said)
    Capacity(memory=2097152, disk=4096, threads=300, inotify=128)
    >>> parse_capacity("")
    Capacity(memory=None, disk=None, threads=None, inotify=None)
    """

    def number(pattern: str) -> int | None:
        found = re.search(rf"^{pattern}\b", text, re.MULTILINE)
        return int(found[1]) if found else None

    memory, used = number(r"MemAvailable:\s+(\d+) kB"), number(r"threads (\d+)")
    most = re.search(r"^most (\d+) (\d+)$", text, re.MULTILINE)
    return Capacity(
        memory=None if memory is None else memory * 1024,
        disk=number(r"disk (\d+)"),
        threads=min(map(int, most.groups())) - used if most and used is not None else None,
        inotify=number(r"inotify (\d+)"),
    )


def capacity_of(client: docker.DockerClient) -> Capacity:
    """Ask an engine what it has left.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.

    Returns
    -------
    Capacity
        Without the node image, only the memory: all that the engine's machine has, used or not.

    Raises
    ------
    EngineError
        The engine does not run the container that looks.
    """
    image = find_node_image(client)
    if image is None:
        total = client.info().get("MemTotal")
        return Capacity(memory=total or None)
    try:
        said = client.containers.run(
            image,
            entrypoint="",
            command=agents.argv("free_resources"),
            remove=True,
            network_mode="none",
        )
    except (APIError, DockerException) as error:
        raise EngineError(
            "the engine did not say what it has left",
            evidence=[str(getattr(error, "explanation", error))[:300]],
            hint="labkit doctor",
        ) from error
    return parse_capacity(said.decode(errors="replace"))
