"""What a change leaves in a lab until it is undone, written down on the master before it is done.

A record outlives the process that made the change. So whatever ends that process, the next
command finds the record, says what was interrupted, and undoes it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

from labkit import agents
from labkit.errors import LabError, LabkitError

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = [
    "FOLDER",
    "KINDS",
    "Record",
    "Trace",
    "current",
    "leaving",
    "records",
    "undertaking",
    "undo_interrupted",
]

#: The folder of the records on the master.
FOLDER = "/var/lib/labkit/pending"
#: Seconds to try to undo a change through the apiserver, which may just be reconnecting to etcd.
PATIENCE, PAUSE = 10.0, 0.3


@dataclass(frozen=True, slots=True)
class Trace:
    """One thing that a change leaves until it is undone.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    what : str
        A path, a name or an address, as the kind says.
    node : str
        The machine, for the kinds that belong to one.

    Raises
    ------
    ValueError
        There is no such kind.

    Examples
    --------
    >>> print(Trace("file", "/tmp/labkit-1", "worker1"))
    file /tmp/labkit-1 on worker1
    """

    kind: str
    what: str
    node: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such kind of trace: {self.kind!r}")

    def __str__(self) -> str:
        return f"{self.kind} {self.what}{f' on {self.node}' if self.node else ''}"


class Record(NamedTuple):
    """The record of a change that has to be undone.

    Attributes
    ----------
    name : str
        The name of its file.
    who : str
        What made the change: "attack etcd-read", "verify".
    own : bool
        Whether this process made the change, over its present connection.
    traces : tuple of Trace
    """

    name: str
    who: str
    own: bool
    traces: tuple[Trace, ...]


#: What makes changes now, and the kinds of traces that it may leave; None for all kinds.
_CURRENT: ContextVar[tuple[str, Collection[str] | None]] = ContextVar(
    "undertaking", default=("a change", None)
)


@contextlib.contextmanager
def undertaking(who: str, kinds: Collection[str]) -> Iterator[None]:
    """Name what makes the changes of a block, and the kinds of traces that it may leave.

    Parameters
    ----------
    who : str
        Its name, for messages: "attack etcd-read".
    kinds : collection of str
        Kinds of :data:`KINDS`.

    Examples
    --------
    >>> with undertaking("verify", ["rules"]):
    ...     pass
    """
    before = _CURRENT.set((who, kinds))
    try:
        yield
    finally:
        _CURRENT.reset(before)


def current(*kinds: str) -> str:
    """Return the name of the present undertaking, and check that it may leave such traces.

    Parameters
    ----------
    *kinds : str
        Kinds of :data:`KINDS`.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        It does not declare one of them.

    Examples
    --------
    >>> with undertaking("verify", ["rules"]):
    ...     current("rules")
    'verify'
    """
    who, declared = _CURRENT.get()
    for kind in kinds:
        if declared is not None and kind not in declared:
            raise ValueError(f"{who} does not declare that it leaves: {kind}")
    return who


@contextlib.contextmanager
def leaving(lab: Lab, *traces: Trace) -> Iterator[None]:
    """Write down what a block leaves, and undo it at the end of the block.

    Parameters
    ----------
    lab : Lab
    *traces : Trace
        What to undo, the last one first.

    Raises
    ------
    ValueError
        The :func:`undertaking` may not leave such traces.
    LabError
        A trace could not be undone; its record stays.
    """
    who = current(*(trace.kind for trace in traces))
    name = f"{time.time_ns()}-{secrets.token_hex(2)}"
    text = f"{who}\n{json.dumps([asdict(trace) for trace in traces])}\n"
    _pending(lab, "add", name, stdin=text.encode())
    try:
        yield
    finally:
        _undo(lab, traces)
        _pending(lab, "remove", name)


def records(lab: Lab) -> list[Record]:
    """Return the records of a lab, oldest first.

    Parameters
    ----------
    lab : Lab

    Returns
    -------
    list of Record
    """
    lines = _pending(lab, "list").text.splitlines()
    found = []
    for head, who, traces in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        name, state = head.split()
        known = tuple(Trace(**each) for each in json.loads(traces))
        found.append(Record(name, who, state == "own", known))
    return found


def undo_interrupted(lab: Lab, *, tolerant: bool = False) -> list[Record]:
    """Undo every change that another process made and did not undo.

    Parameters
    ----------
    lab : Lab
        Locked, so that no other process changes it (:meth:`Lab.exclusive`).
    tolerant : bool
        Go on with the other records if one cannot be undone.

    Returns
    -------
    list of Record
        The records that could not be undone.

    Raises
    ------
    LabkitError
        One could not be undone, and `tolerant` is not set. Its record stays.
    """
    left = []
    for record in reversed(records(lab)):
        if record.own:
            continue
        try:
            with lab.reporter.step(f"{lab.mode}: undo an interrupted {record.who}"):
                _undo(lab, record.traces)
                _pending(lab, "remove", record.name)
        except LabkitError:
            if not tolerant:
                raise
            left.append(record)
    return left


def _pending(lab: Lab, *arguments: str, stdin: bytes | None = None) -> Output:
    master = next(node.name for node in lab.environment.nodes if node.role == "master")
    return lab.exec(master, agents.argv("pending", FOLDER, *arguments), stdin=stdin)


def _undo(lab: Lab, traces: Sequence[Trace]) -> None:
    for trace in reversed(traces):
        KINDS[trace.kind](lab, trace)


# -- how each kind is undone ---------------------------------------------------------------------


def _remove_file(lab: Lab, trace: Trace) -> None:
    try:
        lab.container(trace.node)
    except LabError:  # the machine was removed, and the file with it
        return
    lab.exec(trace.node, agents.argv("remove", trace.what))


def _remove_rules(lab: Lab, trace: Trace) -> None:
    lab.exec(trace.node, agents.argv("remove_rules", trace.what))


def _flush_neighbours(lab: Lab, trace: Trace) -> None:
    for address in trace.what.split():
        lab.exec(trace.node, ["ip", "neigh", "flush", "to", address, "dev", "eth0"])


def _delete_object(lab: Lab, trace: Trace) -> None:
    _ask(lab, "DELETE", trace.what, {"gracePeriodSeconds": 0})


def _remove_mark(lab: Lab, trace: Trace) -> None:
    path, name = trace.what.split()
    _ask(lab, "PATCH", path, {"metadata": {f"{trace.kind}s": {name: None}}})


def _ask(lab: Lab, method: str, path: str, body: object) -> None:
    """Send a request as the administrator, again and again; what is gone already is no error."""
    began = time.monotonic()
    while True:
        output = lab.api(method, path, body, check=False)
        answer = json.loads(output.stdout) if output.stdout.startswith(b"{") else {}
        if not output.exit_code or answer.get("code") == 404:
            return
        waited = time.monotonic() - began
        if waited > PATIENCE and waited > PATIENCE * lab.stretch():
            said = answer.get("message") or output.error.strip()
            raise LabError(f"{method} {path} as the administrator failed", evidence=[said])
        time.sleep(PAUSE)


def _delete_key(lab: Lab, trace: Trace) -> None:
    lab.etcdctl("del", trace.what)


def _forget_lease(lab: Lab, trace: Trace) -> None:
    """Delete a lease of flannel, and wait until every worker has forgotten its network."""
    lab.etcdctl("del", trace.what)
    network = trace.what.rpartition("/")[2].replace("-", "/")
    argv = agents.argv("forget_network", network, f"{PATIENCE * lab.stretch():.0f}")
    for node in lab.environment.nodes:
        if node.role == "worker":
            lab.exec(node.name, argv, timeout=2 * PATIENCE * lab.stretch())


def _remove_member(lab: Lab, trace: Trace) -> None:
    listed = json.loads(lab.etcdctl("member", "list", "--write-out=json", "--hex").stdout)
    for member in listed["members"]:
        if trace.what in member.get("peerURLs", ()):
            lab.etcdctl("member", "remove", str(member["ID"]))


def _remove_container(lab: Lab, trace: Trace) -> None:
    for what in ("rm", "rmi"):
        lab.exec(trace.node, ["docker", what, "--force", trace.what], check=False)


def _delete_group(lab: Lab, trace: Trace) -> None:
    """Delete a group of the OpenID provider as its owner; one that is gone is no error."""
    from labkit.lab.provider import log_in

    name, owner = trace.what.split()
    said = log_in(lab, trace.node, owner, leave=name)
    reason = said.get("error") or said.get("refused", "")
    if reason and not reason.startswith("HTTP 404"):
        raise LabError(f"the group {name} of {owner} cannot be deleted", evidence=[reason])


def _delete_account(lab: Lab, trace: Trace) -> None:
    """Delete an account of the OpenID provider as its administrator, if it is there."""
    argv = agents.argv("delete_account", trace.what)
    lab.exec(trace.node, argv, user="canaille", timeout=60)


def _detach_volume(lab: Lab, trace: Trace) -> None:
    """Detach a volume of the stand-in for a cloud; one that is attached to nothing is no error."""
    from labkit.model.clouds import detach_url

    lab.exec(trace.node, ["curl", "-sSf", "-m", "10", "-X", "DELETE", detach_url(trace.what)])


def _restore_configuration(lab: Lab, trace: Trace) -> None:
    lab.apply(())


#: How each kind of trace is undone: a file or a folder by its path; a program by the path of its
#: folder (labkit.agents._program); firewall rules by their comment; neighbours (ARP entries) by
#: their addresses; an object of the API by its path; a label or an annotation by the path of its
#: object and its name; a key of etcd; a lease of flannel by its key; a member of etcd by its peer
#: URL; a container and its image by their common name; a group of the OpenID provider by its name
#: and its owner, who deletes it from a machine; an account of the provider, whose machine it is, by
#: its name; the attachment of a volume by its name; the edits of the lab's configuration.
KINDS: dict[str, Callable[[Lab, Trace], None]] = {
    "file": _remove_file,
    "program": _remove_file,
    "rules": _remove_rules,
    "neighbours": _flush_neighbours,
    "object": _delete_object,
    "label": _remove_mark,
    "annotation": _remove_mark,
    "key": _delete_key,
    "lease": _forget_lease,
    "member": _remove_member,
    "container": _remove_container,
    "provider group": _delete_group,
    "provider account": _delete_account,
    "volume attachment": _detach_volume,
    "configuration": _restore_configuration,
}
