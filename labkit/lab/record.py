"""The record of a lab's edits, on its master: every process that attaches can read it."""

from __future__ import annotations

import json
from typing import NamedTuple

from docker.models.containers import Container

from labkit import agents
from labkit.cluster import Environment
from labkit.cluster.edits import Edit, from_json, to_json
from labkit.errors import LabError
from labkit.lab.machine import execute, read_file

__all__ = ["FILE", "Record", "read", "write"]

FILE = "/var/lib/labkit/edits.json"
#: What cat says of a file that does not exist; any other failure says nothing about the record.
ABSENT = "No such file or directory"


class Record(NamedTuple):
    """The edits of a lab's environment.

    Attributes
    ----------
    edits : tuple of Edit
        The present edits; during a change, the new ones.
    before : tuple of Edit or None
        During a change, the edits before it.
    """

    edits: tuple[Edit, ...] = ()
    before: tuple[Edit, ...] | None = None


def read(master: Container) -> Record:
    """Return the record on a master; empty if the lab was never changed.

    Parameters
    ----------
    master : docker.models.containers.Container
        The machine.

    Returns
    -------
    Record
    """
    try:
        done = execute(master, ["cat", FILE], check=False)
        text: bytes | None = done.stdout
        if done.exit_code:
            text = None if ABSENT in done.error else _read_stopped(master)
    except LabError:
        text = _read_stopped(master)
    if text is None:
        return Record()
    kept = json.loads(text)
    before = tuple(from_json(kept["before"])) if "before" in kept else None
    return Record(tuple(from_json(kept["edits"])), before)


def _read_stopped(master: Container) -> bytes | None:
    """Return the file of a machine that takes no commands; None if it has no such file."""
    try:
        return read_file(master, FILE)
    except LabError:
        return None


def write(
    master: Container,
    env: Environment,
    before: Environment | None = None,
    who: str = "",
    *,
    running: bool = False,
) -> None:
    """Write the record of a lab's edits on its master.

    Parameters
    ----------
    master : docker.models.containers.Container
        The machine.
    env : Environment
        The environment that the lab runs, or changes to.
    before : Environment, optional
        During a change, the environment before it.
    who : str
        During a change, what makes it: "control off etcd-users".
    running : bool
        Whether this process goes on with the change. As long as its connection to the master
        lives, the change counts as running, and later as interrupted.

    Raises
    ------
    LabError
        The engine refuses.
    """
    kept: dict[str, object] = {"edits": to_json(env.edits)}
    if before is not None:
        kept |= {"before": to_json(before.edits), "who": who}
        if running:
            kept["server"] = "@SERVER@"
    # a process that is killed here leaves the old record or the new one
    execute(master, agents.argv("replace_file", FILE), stdin=json.dumps(kept).encode())
