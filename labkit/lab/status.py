"""The state of a lab, read from its containers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import docker
from docker.models.containers import Container

from labkit import agents
from labkit.errors import LabkitError
from labkit.lab.engine import LABEL, connect
from labkit.lab.machine import execute
from labkit.lab.nodes import find_nodes
from labkit.lab.record import FILE
from labkit.lab.traces import FOLDER

__all__ = ["READY", "LabStatus", "Timings", "interrupted_in", "list_labs", "status_of"]

#: A file on the master that exists while the lab is up; it is on a tmpfs, so a stop removes it.
READY = "/run/labkit-ready"


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
    interrupted : str
        The attack, verification or change that did not live to undo what it did, such as
        "attack etcd-read"; "" for none. A reset undoes it.
    """

    name: str
    mode: str
    state: str
    machines: dict[str, str]
    interrupted: str = ""


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
        ask = agents.argv("lab_state", READY, FILE, FOLDER)
        with contextlib.suppress(LabkitError):
            said = execute(master, ask).text.splitlines() if master else []
    ready = "ready" in said and (wanted is None or set(machines) == set(wanted))
    state = "ready" if ready else "incomplete"
    return LabStatus(name, mode, state, machines, interrupted_in(said))


def interrupted_in(said: Iterable[str]) -> str:
    """Return what was interrupted, from the output of the program ``lab_state``.

    Parameters
    ----------
    said : iterable of str
        Its lines.

    Returns
    -------
    str
        "" for nothing.

    Examples
    --------
    >>> interrupted_in(["ready", "interrupted attack etcd-read", "interrupted verify"])
    'attack etcd-read, verify'
    """
    word = "interrupted "
    found = (line.removeprefix(word) for line in said if line.startswith(word))
    return ", ".join(dict.fromkeys(found))


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
    groups: dict[tuple[str, str], list[Container]] = {}
    for container in find_nodes(connect(client)):
        key = (container.labels[LABEL], container.labels.get("labkit.mode", ""))
        groups.setdefault(key, []).append(container)
    return [status_of(*key, found) for key, found in sorted(groups.items())]
