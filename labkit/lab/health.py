"""Find what does not run in a lab, and repair it: machines, and the units on them."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import NamedTuple

from docker.errors import APIError, NotFound
from docker.models.containers import Container

from labkit.errors import LabError, LabkitError
from labkit.lab.engine import LABEL, MODE
from labkit.lab.machine import call
from labkit.lab.wait import stretch_of, wait_until

__all__ = ["Problem", "problems", "repair"]

#: Seconds for the answers of all machines.
ANSWER_S = 3.0
#: A request that systemd answers as soon as it can.
ANSWERS = ("systemctl", "show", "--property=Version")
STATES = {"exited": "is stopped", "created": "was never started"}


class Problem(NamedTuple):
    """What does not run or answer.

    Parameters
    ----------
    text : str
    lasts : bool
        Whether waiting does not mend it: a unit that nothing starts again, for example.
    """

    text: str
    lasts: bool = False


def problems(
    machines: Mapping[str, Container],
    kubeconfigs: Mapping[str, str] = MappingProxyType({}),
    answer_s: float = ANSWER_S,
) -> dict[str, tuple[Problem, ...]]:
    """Return what does not run or answer, by the machine's name.

    Parameters
    ----------
    machines : mapping of str to docker.models.containers.Container
        The machines by name, with their present status.
    kubeconfigs : mapping of str to str
        For the machine of the apiserver, the kubeconfig with which it is asked.
    answer_s : float
        Seconds for the answers of all machines.

    Returns
    -------
    dict of str to tuple of Problem
        Only machines with a problem.
    """
    answers: queue.Queue[tuple[str, tuple[Problem, ...]]] = queue.Queue()
    found: dict[str, tuple[Problem, ...]] = {}
    running = {name for name, machine in machines.items() if machine.status == "running"}
    for name in machines.keys() - running:
        status = machines[name].status
        found[name] = (Problem(STATES.get(status, f"is {status}"), lasts=True),)
    for name in running:
        # A thread that gets no answer must not keep the process from its end.
        threading.Thread(
            target=_ask,
            args=(name, machines[name], kubeconfigs.get(name, ""), answers),
            daemon=True,
        ).start()
    deadline = time.monotonic() + answer_s
    while running:
        try:
            name, said = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            silent = Problem(f"did not answer within {answer_s:.0f} s")
            found |= dict.fromkeys(running, (silent,))
            break
        running.discard(name)
        if said:
            found[name] = said
    return dict(sorted(found.items()))


def _ask(
    name: str,
    machine: Container,
    kubeconfig: str,
    answers: queue.Queue[tuple[str, tuple[Problem, ...]]],
) -> None:
    try:
        said = call(machine, "health", "look", kubeconfig, timeout=10 * ANSWER_S)
        found = tuple(Problem(*it) for it in json.loads(said))
    except (LabkitError, APIError, NotFound, OSError, ValueError) as error:
        found = (Problem(f"takes no commands: {str(error).splitlines()[0][:200]}"),)
    answers.put((name, found))


def repair(machines: Iterable[Container]) -> list[str]:
    """Start and continue machines, and restart the units that do not run on them.

    Parameters
    ----------
    machines : iterable of docker.models.containers.Container
        The machines, with their present status.

    Returns
    -------
    list of str
        What was repaired.

    Raises
    ------
    LabError
        The engine cannot start a machine, or a machine takes no commands.
    """
    machines = list(machines)
    with ThreadPoolExecutor(max_workers=max(1, len(machines))) as pool:
        return [line for lines in pool.map(_repair, machines) for line in lines]


def _repair(machine: Container) -> list[str]:
    node = machine.labels["labkit.node"]
    repaired = []
    if machine.status != "running":
        repaired.append(f"{node}: {STATES.get(machine.status, machine.status)}")
        try:
            machine.unpause() if machine.status == "paused" else machine.start()
        except APIError as error:
            raise LabError(
                f"{machine.name} is {machine.status}, and cannot be started",
                evidence=[str(error.explanation or error)],
                hint="labkit down, then labkit up",
            ) from error
        if machine.labels["labkit.role"] != "attacker":
            wait_until(machine, ANSWERS, what=f"systemd on {node}", deadline=30)
    patience = 30 * stretch_of(machine)
    try:
        said = call(machine, "health", "repair", timeout=patience)
    except LabError as error:
        about = machine.labels
        options = f"--name {about[LABEL]} --mode {about[MODE]}"
        raise LabError(
            f"{node} cannot be repaired: {str(error).splitlines()[0][:200]}",
            evidence=["if every machine says so, free space on the machine that Docker runs on"],
            hint=f"labkit down {options}; then labkit up {options}",
        ) from error
    return repaired + [f"{node}: {line}" for line in said.splitlines()]
