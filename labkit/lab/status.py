"""The state of a lab, read from its containers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import docker
from docker.errors import APIError
from docker.models.containers import Container

from labkit import agents
from labkit.errors import LabError, LabkitError, NoSuchLab
from labkit.lab.connection import connection_to
from labkit.lab.engine import connect
from labkit.lab.health import ANSWER_S, Problem
from labkit.lab.health import problems as find_problems
from labkit.lab.nodes import find_labs, find_nodes
from labkit.lab.origin import complete
from labkit.lab.record import FILE
from labkit.lab.traces import FOLDER

__all__ = [
    "READY",
    "UNKNOWN",
    "LabStatus",
    "Timings",
    "changes_in",
    "list_labs",
    "status_of",
]

#: A file on the master that exists while the lab is up; it is on a tmpfs, so a stop removes it. It
#: lists the addresses of the Docker host that answered the lab when it came up.
READY = "/run/labkit-ready"
REACHED = "host="
GONE = Problem("is gone", lasts=True)
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
    state : {"absent", "incomplete", "stopped", "broken", "ready"}
        "incomplete" if the lab did not finish its start or lost a machine; "broken" if it did, but
        something does not run now.
    machines : dict of str to str
        Docker's status of each machine, by the machine's name.
    interrupted : str
        The attack, verification or change that did not live to undo what it did, such as
        "attack etcd-read"; "" for none. A reset undoes it.
    reached : tuple of str
        The addresses of the Docker host that answered the lab when it came up: none, or "unknown"
        if the test had no result.
    other_files : bool
        Whether the environment's files differ from those that the lab was made from.
    problems : dict of str to tuple of str
        What does not run or answer, by the machine's name.
    running : str
        The attack, verification or change that runs now, and will undo what it did; "" for none.
    lasting : tuple of str
        The machines with a problem that waiting does not mend.
    """

    name: str
    mode: str
    state: str
    machines: dict[str, str]
    interrupted: str = ""
    reached: tuple[str, ...] = ()
    other_files: bool = False
    problems: dict[str, tuple[str, ...]] = field(default_factory=dict)
    running: str = ""
    lasting: tuple[str, ...] = ()

    @property
    def may_recover(self) -> bool:
        """Whether what is broken may answer again by itself, or by who changes the lab now.

        Examples
        --------
        >>> broken = {"master": ("the apiserver does not answer",)}
        >>> LabStatus("demo", "insecure", "broken", {}, problems=broken).may_recover
        True
        >>> paused = {"master": ("is paused",)}
        >>> LabStatus(
        ...     "demo", "insecure", "broken", {}, problems=paused, lasting=("master",)
        ... ).may_recover
        False
        """
        return self.state == "broken" and (not self.lasting or bool(self.running))

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

    @property
    def remedy(self) -> str:
        """The command that makes the lab ready."""
        command = "reset" if self.state == "broken" else "up"
        return f"labkit {command} --name {self.name} --mode {self.mode}"

    def error(self) -> LabError:
        """Return the error of a command that needs the lab to be ready.

        Returns
        -------
        LabError

        Examples
        --------
        >>> paused = {"etcd1": ("is paused",)}
        >>> print(LabStatus("x", "insecure", "broken", {}, problems=paused).error())
        lab 'x' (insecure) is broken
          | etcd1: is paused
          next: labkit reset --name x --mode insecure
        """
        if self.state == "absent":
            return NoSuchLab(f"no lab {self.name!r} in mode {self.mode}", hint=self.remedy)
        return LabError(
            f"lab {self.name!r} ({self.mode}) is {self.state}",
            evidence=self.lines(),
            hint=self.remedy,
        )


def status_of(
    name: str,
    mode: str,
    found: Sequence[Container],
    wanted: Mapping[str, str] = MappingProxyType({}),
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
    wanted : mapping of str to str
        The role of each machine of a complete lab, by its name; by default those of `found`.
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
    gone = [name for name in wanted if name not in nodes]
    roles = {container.labels.get("labkit.role", ""): node for node, container in nodes.items()}
    master = roles.get("master", "")
    asked = {master: kubeconfig} if kubeconfig else {}
    with ThreadPoolExecutor(max_workers=1) as pool:
        marks = pool.submit(_marks, nodes.get(master), answer_s)
        problems: dict[str, tuple[Problem, ...]] = dict.fromkeys(gone, (GONE,))
        problems |= find_problems(nodes, asked, answer_s)
    said = marks.result()
    if said is None:
        unknown = Problem("did not say whether the lab finished its start")
        problems.setdefault(master or "master", (unknown,))
    # An attacker's machine holds nothing of the lab, so it can be made again alone.
    whole = all(wanted[name] == "attacker" for name in gone)
    if not whole or (said is not None and "ready" not in said):
        state = "incomplete"
    else:
        state = "broken" if problems else "ready"
    words = said or ()
    reached = tuple(word.removeprefix(REACHED) for word in words if word.startswith(REACHED))
    return LabStatus(
        name,
        mode,
        state,
        machines,
        interrupted=changes_in(words, "interrupted"),
        running=changes_in(words, "running"),
        reached=reached,
        problems={node: tuple(it.text for it in every) for node, every in problems.items()},
        lasting=tuple(node for node, every in problems.items() if any(it.lasts for it in every)),
    )


def _marks(master: Container | None, answer_s: float) -> list[str] | None:
    """Return what the files on the master say of the lab's start and of a change; None: unknown."""
    if master is None or master.status != "running":
        return None
    try:
        argv = agents.argv("lab_state", READY, FILE, FOLDER)
        return connection_to(master).run(argv, None, "", answer_s)[1].decode().splitlines()
    except (LabkitError, APIError):
        return None


def changes_in(said: Iterable[str], state: str) -> str:
    """Return the changes that are not undone, from the output of the program ``lab_state``.

    Parameters
    ----------
    said : iterable of str
        Its lines.
    state : {"interrupted", "running"}
        Whether the process that has to undo them is gone, or runs.

    Returns
    -------
    str
        "" for nothing.

    Examples
    --------
    >>> changes_in(["ready", "interrupted attack etcd-read", "interrupted verify"], "interrupted")
    'attack etcd-read, verify'
    """
    word = f"{state} "
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
    client = connect(client)
    labs = find_labs(client)
    with ThreadPoolExecutor(max_workers=max(1, len(labs))) as pool:
        found = list(pool.map(lambda lab: _listed(client, *lab), labs))
    # a lab without machines still has a network or volumes
    return [replace(lab, state="incomplete") if lab.state == "absent" else lab for lab in found]


def _listed(client: docker.DockerClient, name: str, mode: str) -> LabStatus:
    found = find_nodes(client, name, mode)
    return status_of(name, mode, found, *complete(container.labels for container in found))
