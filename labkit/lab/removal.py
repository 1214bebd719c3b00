"""Remove labs by their labels alone, so that no file of an environment is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import docker

from labkit.errors import ConfigError
from labkit.lab.engine import STATUS, connect
from labkit.lab.lock import remove_keeper
from labkit.lab.nodes import find_labs, remove_lab

if TYPE_CHECKING:
    from labkit.lab.lab import Lab
    from labkit.lab.progress import Reporter

__all__ = ["Leftover", "find", "remove_all"]


@dataclass(frozen=True)
class Leftover:
    """A lab whose environment's folder is gone, or cannot be read.

    Attributes
    ----------
    client : docker.DockerClient
        The engine.
    name, mode : str
        The lab's name and mode.
    """

    client: docker.DockerClient
    name: str
    mode: str

    def down(self, *, force: bool = False) -> int:
        """Remove everything of the lab, without waiting for its lock.

        Parameters
        ----------
        force : bool
            Without a meaning here.

        Returns
        -------
        int
            The number of removed containers, volumes and networks.
        """
        return _remove(self.client, self.name, self.mode)


def find(
    make: Callable[..., Lab], mode: str, name: str, reporter: Reporter, wait: float | None = None
) -> Lab | Leftover:
    """Return the lab to remove, by its environment or else by its labels.

    Parameters
    ----------
    make : callable
        The class :class:`~labkit.lab.lab.Lab`.
    mode : str
        The name or the folder of an environment, or a lab's mode.
    name : str
        The lab's name.
    reporter : Reporter
        Shows the progress.
    wait : float, optional
        Seconds to wait for another process that changes the lab.

    Returns
    -------
    Lab or Leftover

    Raises
    ------
    ConfigError
        There is no such environment, and no lab of that name and mode.
    """
    try:
        return make(mode, name=name, reporter=reporter, wait=wait)
    except ConfigError as error:
        client = connect()
        if (name, mode) in find_labs(client):
            return Leftover(client, name, mode)
        error.add_note(f"  to remove a lab without its folder, give the mode that {STATUS} shows")
        raise


def remove_all(client: docker.DockerClient | None = None) -> dict[tuple[str, str], int]:
    """Remove every lab on the engine.

    Parameters
    ----------
    client : docker.DockerClient, optional
        The engine; by default the one that ``DOCKER_HOST`` names.

    Returns
    -------
    dict of tuple of str to int
        The number of removed containers, volumes and networks, by the lab's name and mode.

    Raises
    ------
    EngineError
        Docker Engine does not answer.
    LabError
        The engine refuses to remove one of them.
    """
    client = connect(client)
    return {lab: _remove(client, *lab) for lab in find_labs(client)}


def _remove(client: docker.DockerClient, name: str, mode: str) -> int:
    return remove_lab(client, name, mode) + remove_keeper(client, name, mode)
