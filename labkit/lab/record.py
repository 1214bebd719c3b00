"""What the master keeps of the changes of its lab, so that any process that attaches knows."""

from __future__ import annotations

import json
from typing import NamedTuple

from docker.models.containers import Container

from labkit.cluster import Environment
from labkit.cluster.edits import Edit, from_json, to_json
from labkit.errors import LabError
from labkit.lab.machine import FileSpec, read_file, write_files

__all__ = ["FILE", "Record", "read", "write"]

FILE = "/var/lib/labkit/edits.json"


class Record(NamedTuple):
    """The edits that a lab's environment has, and while they change, those from before."""

    edits: tuple[Edit, ...] = ()
    before: tuple[Edit, ...] | None = None


def read(master: Container) -> Record:
    """Return what a master keeps; nothing is kept where nothing was ever changed."""
    try:
        kept = json.loads(read_file(master, FILE))
    except LabError:
        return Record()
    before = tuple(from_json(kept["before"])) if "before" in kept else None
    return Record(tuple(from_json(kept["edits"])), before)


def write(master: Container, env: Environment, before: Environment | None = None) -> None:
    """Keep what a lab runs; with `before`, that it is changing from there."""
    kept = {"edits": to_json(env.edits)}
    if before is not None:
        kept["before"] = to_json(before.edits)
    write_files(master, [FileSpec(FILE, json.dumps(kept).encode(), 0o600)])
