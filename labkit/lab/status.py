"""What is there of a lab, told from its containers: there is no other record."""

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

__all__ = ["READY", "LabStatus", "Timings", "list_labs", "status_of"]

#: Written on the master when the lab is up; it is gone when the machine stops.
READY = "/run/labkit-ready"


@dataclass(frozen=True)
class Timings:
    """How long each part of a lab's start took.

    Attributes
    ----------
    seconds : float
        All of it.
    steps : dict of str to float
        Seconds by step.
    """

    seconds: float
    steps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LabStatus:
    """What is there of a lab.

    Attributes
    ----------
    name, mode : str
    state : {"absent", "incomplete", "stopped", "ready"}
    machines : dict of str to str
        Docker's word for each machine's state.
    interrupted : bool
        A change of its configuration began and did not end: a reset undoes it.
    """

    name: str
    mode: str
    state: str
    machines: dict[str, str]
    interrupted: bool = False


def status_of(
    name: str, mode: str, found: Sequence[Container], wanted: Iterable[str] | None = None
) -> LabStatus:
    """Tell what is there of a lab from its containers.

    Parameters
    ----------
    name, mode : str
    found : sequence of docker.models.containers.Container
    wanted : iterable of str, optional
        The machines that it should have; without it, those that it has.

    Returns
    -------
    LabStatus
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
    return LabStatus(name, mode, state, machines, "interrupted" in said)


def list_labs(client: docker.DockerClient | None = None) -> list[LabStatus]:
    """Return every lab on the engine, half-made ones too.

    Parameters
    ----------
    client : docker.DockerClient, optional

    Returns
    -------
    list of LabStatus
        By name and mode.
    """
    groups: dict[tuple[str, str], list[Container]] = {}
    for container in find_nodes(connect(client)):
        key = (container.labels[LABEL], container.labels.get("labkit.mode", ""))
        groups.setdefault(key, []).append(container)
    return [status_of(*key, found) for key, found in sorted(groups.items())]
