"""Remove labs by their labels alone, so that no file of an environment is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import docker

from labkit.errors import ConfigError, LabError
from labkit.lab import lock
from labkit.lab.engine import STATUS, connect
from labkit.lab.nodes import find_labs, labels_of, remove_lab
from labkit.lab.origin import WORKSHOP

if TYPE_CHECKING:
    from labkit.lab.lab import Lab
    from labkit.lab.progress import Reporter

__all__ = ["Leftover", "find", "find_all", "modes_of", "require_workshop"]


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
    workshop : str
        The workshop that the lab must have been made for; "" for any lab.
    """

    client: docker.DockerClient
    name: str
    mode: str
    reporter: Reporter
    wait: float | None
    workshop: str = ""

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
            The engine refuses to remove one of them, or a part of the lab was not made for the
            workshop.
        """
        if force:
            return self._remove()
        lab = (self.client, self.name, self.mode)
        wait = lock.DOWN_WAIT_S if self.wait is None else min(self.wait, lock.DOWN_WAIT_S)
        with lock.exclusive(*lab, "down", reporter=self.reporter, wait=wait):
            return self._remove()

    def _remove(self) -> int:
        lab = (self.client, self.name, self.mode)
        if self.workshop:
            require_workshop(*lab, self.workshop)
        return remove_lab(*lab) + lock.remove_keeper(*lab)


def modes_of(name: str) -> list[str]:
    """Return the modes in which a lab is on the engine, also one that lost its machines.

    Parameters
    ----------
    name : str
        The lab's name.

    Returns
    -------
    list of str
        Sorted.

    Raises
    ------
    EngineError
        Docker Engine does not answer.

    Examples
    --------
    >>> modes_of("default")  # doctest: +SKIP
    ['light-insecure']
    """
    return [mode for each, mode in find_labs(connect()) if each == name]


def require_workshop(client: docker.DockerClient, name: str, mode: str, workshop: str) -> None:
    """Refuse a lab of which a part was not made for a workshop.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    name, mode : str
        The lab's name and mode. A lab that does not exist is not refused.
    workshop : str
        The workshop.

    Raises
    ------
    LabError
        A machine, volume or network of the lab does not have the workshop's label.
    """
    if any(own.get(WORKSHOP) != workshop for own in labels_of(client, name, mode)):
        raise LabError(
            f"lab {name!r} ({mode}) was not made for the workshop {workshop!r}",
            hint=f"choose another --prefix; or remove that lab: labkit down --name {name} "
            f"--mode {mode}",
        )


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
    client: docker.DockerClient | None = None,
    *,
    reporter: Reporter,
    wait: float | None,
    workshop: str = "",
) -> list[Leftover]:
    """Return every lab on the engine, or every lab of a workshop, to remove it.

    Parameters
    ----------
    client : docker.DockerClient, optional
        The engine; by default the one that ``DOCKER_HOST`` names.
    reporter : Reporter
        Shows the progress.
    wait : float or None
        Seconds to wait for another process that changes a lab.
    workshop : str
        Only labs that were made for this workshop; "" for all labs.

    Returns
    -------
    list of Leftover

    Raises
    ------
    EngineError
        Docker Engine does not answer.
    """
    client = connect(client)
    found = find_labs(client, workshop)
    return [Leftover(client, *lab, reporter, wait, workshop) for lab in found]
