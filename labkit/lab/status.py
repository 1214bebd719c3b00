"""The state of a lab, read from its containers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import docker
from docker.models.containers import Container

from labkit import agents
from labkit.errors import LabkitError
from labkit.lab.engine import connect
from labkit.lab.machine import execute
from labkit.lab.nodes import find_labs, find_nodes
from labkit.lab.record import FILE

__all__ = ["READY", "UNKNOWN", "LabStatus", "Timings", "list_labs", "status_of"]

#: A file on the master that exists while the lab is up; it is on a tmpfs, so a stop removes it. It
#: lists the addresses of the Docker host that answered the lab when it came up.
READY = "/run/labkit-ready"
REACHED = "host="
#: Stands for the addresses in :attr:`LabStatus.reached` if the test had no result.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Timings:
    """The duration of a lab's start, reset or change.

    Attributes
    ----------
    seconds : float
        The total.
    steps : dict of str to float
        Seconds of each step, by its title; only a start has steps.
    """

    seconds: float
    steps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LabStatus:
    """The state of a lab.

    Attributes
    ----------
    name, mode : str
        The lab's name and mode.
    state : {"absent", "incomplete", "stopped", "ready"}
    machines : dict of str to str
        Docker's status of each machine, by the machine's name.
    interrupted : bool
        Whether a change of the configuration began and did not end; a reset undoes it.
    reached : tuple of str
        The addresses of the Docker host that answered the lab when it came up: none, or "unknown"
        if the test had no result.
    other_files : bool
        Whether the environment's files differ from those that the lab was made from.
    """

    name: str
    mode: str
    state: str
    machines: dict[str, str]
    interrupted: bool = False
    reached: tuple[str, ...] = ()
    other_files: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person has to know about the lab: that it reaches the host, for example.

        Examples
        --------
        >>> LabStatus("demo", "insecure", "ready", {}, reached=("172.17.0.1",)).warnings[0]
        'lab demo (insecure) REACHES THE DOCKER HOST at 172.17.0.1; next: labkit doctor'
        """
        named, found = f"lab {self.name} ({self.mode})", []
        if UNKNOWN in self.reached:
            found.append(f"not known whether {named} reaches the Docker host; next: labkit doctor")
        elif self.reached:
            where = ", ".join(self.reached)
            found.append(f"{named} REACHES THE DOCKER HOST at {where}; next: labkit doctor")
        if self.other_files:
            command = f"labkit down --name {self.name} --mode {self.mode}"
            found.append(f"{named} was made from other files; next: {command}, then labkit up")
        return tuple(found)


def status_of(
    name: str, mode: str, found: Sequence[Container], wanted: Iterable[str] | None = None
) -> LabStatus:
    """Return the state of a lab, read from its containers.

    Parameters
    ----------
    name, mode : str
        The lab's name and mode.
    found : sequence of docker.models.containers.Container
        The lab's containers.
    wanted : iterable of str, optional
        The names of the machines of a complete lab; by default those of `found`.

    Returns
    -------
    LabStatus

    Examples
    --------
    >>> status_of("default", "insecure", []).state
    'absent'
    """
    machines = {c.labels["labkit.node"]: c.status for c in found}
    if not machines:
        return LabStatus(name, mode, "absent", {})
    if set(machines.values()) == {"exited"}:
        return LabStatus(name, mode, "stopped", machines)
    said: list[str] = []
    if set(machines.values()) == {"running"}:
        master = next((c for c in found if c.labels["labkit.role"] == "master"), None)
        ask = agents.argv("lab_state", READY, FILE)
        with contextlib.suppress(LabkitError):
            said = execute(master, ask).text.split() if master else []
    ready = "ready" in said and (wanted is None or set(machines) == set(wanted))
    state = "ready" if ready else "incomplete"
    reached = tuple(word.removeprefix(REACHED) for word in said if word.startswith(REACHED))
    return LabStatus(name, mode, state, machines, "interrupted" in said, reached)


def list_labs(client: docker.DockerClient | None = None) -> list[LabStatus]:
    """Return the state of every lab on the engine, incomplete labs as well.

    Parameters
    ----------
    client : docker.DockerClient, optional
        The engine; by default the one that ``DOCKER_HOST`` names.

    Returns
    -------
    list of LabStatus
        Sorted by name and mode.

    Raises
    ------
    EngineError
        Docker Engine does not answer.

    Examples
    --------
    >>> [lab.mode for lab in list_labs()]  # doctest: +SKIP
    ['hardened', 'insecure']
    """
    client = connect(client)
    found = [status_of(*lab, find_nodes(client, *lab)) for lab in find_labs(client)]
    # a lab without machines still has a network or volumes
    return [replace(lab, state="incomplete") if lab.state == "absent" else lab for lab in found]
