"""Remove labs by their labels alone, so that no file of an environment is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import docker

from labkit.errors import ConfigError
from labkit.lab import lock
from labkit.lab.engine import STATUS, connect
from labkit.lab.nodes import find_labs, remove_lab

if TYPE_CHECKING:
    from labkit.lab.lab import Lab
    from labkit.lab.progress import Reporter

__all__ = ["Leftover", "find", "find_all"]


@dataclass(frozen=True)
class Leftover:
    """A lab whose environment's folder is not needed, is gone, or cannot be read.

    Attributes
    ----------
    client : docker.DockerClient
        The engine.
    name, mode : str
        The lab's name and mode.
    reporter : Reporter
        Shows for whom the removal waits.
    wait : float or None
        Seconds to wait for another process that changes the lab.
    """

    client: docker.DockerClient
    name: str
    mode: str
    reporter: Reporter
    wait: float | None

    def down(self, *, force: bool = False) -> int:
        """Remove everything of the lab.

        Parameters
        ----------
        force : bool
            Do not wait for a process that changes the lab.

        Returns
        -------
        int
            The number of removed containers, volumes and networks.

        Raises
        ------
        LabBusy
            Another process changes the lab.
        LabError
            The engine refuses to remove one of them.
        """
        lab = (self.client, self.name, self.mode)
        if force:
            return remove_lab(*lab) + lock.remove_keeper(*lab)
        wait = lock.DOWN_WAIT_S if self.wait is None else min(self.wait, lock.DOWN_WAIT_S)
        with lock.exclusive(*lab, "down", reporter=self.reporter, wait=wait):
            return remove_lab(*lab) + lock.remove_keeper(*lab)


def find(
    make: Callable[..., Lab], mode: str, name: str, *, reporter: Reporter, wait: float | None
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
    wait : float or None
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
            return Leftover(client, name, mode, reporter, wait)
        error.add_note(f"  to remove a lab without its folder, give the mode that {STATUS} shows")
        raise


def find_all(
    client: docker.DockerClient | None = None, *, reporter: Reporter, wait: float | None
) -> list[Leftover]:
    """Return every lab on the engine, to remove it.

    Parameters
    ----------
    client : docker.DockerClient, optional
        The engine; by default the one that ``DOCKER_HOST`` names.
    reporter : Reporter
        Shows the progress.
    wait : float or None
        Seconds to wait for another process that changes a lab.

    Returns
    -------
    list of Leftover

    Raises
    ------
    EngineError
        Docker Engine does not answer.
    """
    client = connect(client)
    return [Leftover(client, *lab, reporter, wait) for lab in find_labs(client)]
