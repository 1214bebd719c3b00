"""The state of a lab, read from its containers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import docker
from docker.errors import APIError
from docker.models.containers import Container

from labkit import agents
from labkit.cluster import Node
from labkit.errors import LabkitError
from labkit.lab.connection import connection_to
from labkit.lab.engine import LABEL, connect
from labkit.lab.health import ANSWER_S
from labkit.lab.health import problems as find_problems
from labkit.lab.nodes import find_nodes
from labkit.lab.record import FILE

__all__ = ["READY", "LabStatus", "Timings", "list_labs", "status_of"]

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
    state : {"absent", "incomplete", "stopped", "broken", "ready"}
        "incomplete" if the lab did not finish its start or lost a machine; "broken" if it did, but
        something does not run now.
    machines : dict of str to str
        Docker's status of each machine, by the machine's name.
    interrupted : bool
        Whether a change of the configuration began and did not end; a reset undoes it.
    problems : dict of str to tuple of str
        What does not run or answer, by the machine's name.
    """

    name: str
    mode: str
    state: str
    machines: dict[str, str]
    interrupted: bool = False
    problems: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the problems as lines of text.

        Returns
        -------
        list of str

        Examples
        --------
        >>> LabStatus("x", "insecure", "broken", {}, problems={"etcd1": ("is paused",)}).lines()
        ['etcd1: is paused']
        """
        return [f"{node}: {it}" for node, every in self.problems.items() for it in every]


def status_of(
    name: str,
    mode: str,
    found: Sequence[Container],
    wanted: Iterable[Node] | None = None,
    kubeconfig: str = "",
    answer_s: float = ANSWER_S,
) -> LabStatus:
    """Return the state of a lab, read from its containers and asked of its machines.

    Parameters
    ----------
    name, mode : str
        The lab's name and mode.
    found : sequence of docker.models.containers.Container
        The lab's containers.
    wanted : iterable of Node, optional
        The machines of a complete lab; by default those of `found`.
    kubeconfig : str
        The kubeconfig on the master with which the apiserver is asked; "" to ask only systemd.
    answer_s : float
        Seconds for the answers of the machines.

    Returns
    -------
    LabStatus

    Examples
    --------
    >>> status_of("default", "insecure", []).state
    'absent'
    """
    nodes = {container.labels["labkit.node"]: container for container in found}
    machines = {node: container.status for node, container in nodes.items()}
    if not machines:
        return LabStatus(name, mode, "absent", {})
    if set(machines.values()) == {"exited"}:
        return LabStatus(name, mode, "stopped", machines)
    gone = [node for node in wanted or () if node.name not in nodes]
    roles = {container.labels["labkit.role"]: node for node, container in nodes.items()}
    master = roles.get("master", "")
    asked = {master: kubeconfig} if kubeconfig else {}
    with ThreadPoolExecutor(max_workers=1) as pool:
        marks = pool.submit(_marks, nodes.get(master), answer_s)
        problems: dict[str, tuple[str, ...]] = {node.name: ("is gone",) for node in gone}
        problems |= find_problems(nodes, asked, answer_s)
    said = marks.result()
    # An attacker's machine holds nothing of the lab, so it can be made again alone.
    whole = all(node.role == "attacker" for node in gone)
    if not whole or (said is not None and "ready" not in said):
        state = "incomplete"
    else:
        state = "broken" if problems else "ready"
    interrupted = said is not None and "interrupted" in said
    return LabStatus(name, mode, state, machines, interrupted, problems)


def _marks(master: Container | None, answer_s: float) -> list[str] | None:
    """Return what the files on the master say of the lab's start and of a change; None: unknown."""
    if master is None or master.status != "running":
        return None
    try:
        argv = agents.argv("lab_state", READY, FILE)
        return connection_to(master).run(argv, None, "", answer_s)[1].decode().split()
    except (LabkitError, APIError):
        return None


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
