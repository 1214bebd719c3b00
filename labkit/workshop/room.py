"""A room full of people: a lab for each participant, on one engine or spread over several."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import docker

from labkit.errors import ConfigError, LabError
from labkit.lab import Lab, Timings, removal
from labkit.lab.capacity import Capacity, capacity_of
from labkit.lab.doctor import GIB, PAIR
from labkit.lab.images import ensure_image, find_node_image
from labkit.lab.light import full_form
from labkit.lab.network import find_network
from labkit.lab.nodes import find_labs
from labkit.lab.parallel import bring_up_labs, in_parallel
from labkit.lab.progress import ProgressStep, Reporter
from labkit.workshop.engines import connect_to, reachable
from labkit.workshop.flags import key_of
from labkit.workshop.ledger import Ledger, Seat, ledger_of

__all__ = [
    "MOST",
    "NEEDS",
    "Need",
    "fitting",
    "left_for_labs",
    "names_of",
    "open_room",
    "remove_room",
    "require_capacity",
    "spread",
]

#: The most participants: their numbers have two digits.
MOST = 99
PREFIX = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")
#: The most labs that are removed at the same time.
REMOVED_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Need:
    """What labs take of one resource.

    Parameters
    ----------
    name : str
        The resource: a field of :class:`~labkit.lab.capacity.Capacity`.
    each, light : int
        What one lab takes, and what one light lab takes.
    spare : int
        What must stay free for everything else.
    fix : str
        What to do if there is too little.
    """

    name: str
    each: int
    light: int
    spare: int
    fix: str

    def left(self, capacity: Capacity) -> int | None:
        """Return what an engine has left; None if it did not say.

        Parameters
        ----------
        capacity : Capacity

        Returns
        -------
        int or None
        """
        left: int | None = getattr(capacity, self.name)
        return left

    def of(self, modes: Iterable[str]) -> int:
        """Return what labs of some modes take together.

        Parameters
        ----------
        modes : iterable of str
            The mode of each lab.

        Returns
        -------
        int

        Examples
        --------
        >>> need = Need("memory", each=100, light=60, spare=50, fix="")
        >>> need.of(["insecure", "light-insecure", "light-hardened"])
        220
        """
        return sum(self.each if full_form(mode) == mode else self.light for mode in modes)

    def fitting(self, capacity: Capacity, amount: int) -> float:
        """Return how many times an amount fits; infinity if the engine did not say what is left.

        Parameters
        ----------
        capacity : Capacity
        amount : int

        Returns
        -------
        float

        Examples
        --------
        >>> need = Need("memory", each=100, light=60, spare=50, fix="")
        >>> need.fitting(Capacity(memory=360), 100), need.fitting(Capacity(), 100)
        (3, inf)
        """
        left = self.left(capacity)
        return math.inf if left is None else max(0, (left - self.spare) // amount)

    def shown(self, amount: int) -> str:
        """Return an amount of the resource as text.

        Parameters
        ----------
        amount : int

        Returns
        -------
        str

        Examples
        --------
        >>> NEEDS[0].shown(3 << 29), NEEDS[2].shown(700)
        ('1.5 GiB', '700')
        """
        return f"{amount / GIB:.1f} GiB" if self.name in ("memory", "disk") else str(amount)


INOTIFY = Need(
    "inotify", PAIR // 2, PAIR // 3, PAIR, "sudo sysctl fs.inotify.max_user_instances=8192"
)
#: What a lab of one mode takes. Measured with six insecure labs: 0.72 GiB of memory for each after
#: the start and 0.83 while all are checked at once, 0.4 GiB of disk, 300 threads. And
#: with four light ones: 0.49 GiB after the start (0.66 GiB after every technique was tried), 220
#: threads, 32 inotify instances.
NEEDS = (
    Need("memory", GIB, 7 * GIB // 10, GIB, "free -h; end other programs, or use a larger machine"),
    Need("disk", GIB // 2, GIB // 2, 2 * GIB, "docker system df"),
    Need("threads", 600, 400, 2000, "sudo sysctl kernel.pid_max=4194304"),
    INOTIFY,
)


def names_of(prefix: str, participants: int) -> list[str]:
    """Return the names of the labs of a workshop.

    Parameters
    ----------
    prefix : str
        A lower-case letter, then up to 29 lower-case letters, digits and hyphens.
    participants : int
        From 1 to 99.

    Returns
    -------
    list of str

    Raises
    ------
    ConfigError
        The prefix or the number is another one.

    Examples
    --------
    >>> names_of("p", 3)
    ['p01', 'p02', 'p03']
    """
    if not PREFIX.fullmatch(prefix):
        raise ConfigError(
            f"{prefix!r} is not a valid prefix for the names of labs",
            hint="use a lower-case letter, then up to 29 lower-case letters, digits and hyphens",
        )
    if not 1 <= participants <= MOST:
        raise ConfigError(
            f"a workshop has 1 to {MOST} participants, and not {participants}",
            hint="use a second --prefix for the others",
        )
    return [f"{prefix}{number:02}" for number in range(1, participants + 1)]


def left_for_labs(client: docker.DockerClient) -> Capacity:
    """Return what an engine has left for more labs.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.

    Returns
    -------
    Capacity
        The labs that are up have taken their part of the inotify instances.

    Raises
    ------
    EngineError
        The engine does not answer.
    """
    found = capacity_of(client)
    if found.inotify is None:
        return found
    return replace(found, inotify=found.inotify - INOTIFY.of(mode for _, mode in find_labs(client)))


def fitting(capacity: Capacity, modes: Sequence[str]) -> float:
    """Return how many participants fit on an engine.

    Parameters
    ----------
    capacity : Capacity
        What the engine has left.
    modes : sequence of str
        The modes of the labs of each participant.

    Returns
    -------
    float
        Infinity if the engine did not say what it has left.

    Examples
    --------
    >>> fitting(Capacity(memory=6 << 30), ["insecure", "hardened"])
    2
    """
    return min(need.fitting(capacity, need.of(modes)) for need in NEEDS)


def spread(names: Iterable[str], rooms: Mapping[str, float]) -> dict[str, str]:
    """Choose an engine for each participant: always the one with most room left.

    Parameters
    ----------
    names : iterable of str
        The participants.
    rooms : mapping of str to float
        How many participants fit on each engine, by its Docker context.

    Returns
    -------
    dict of str to str
        The context of each participant, also of those that do not fit.

    Examples
    --------
    >>> spread(names_of("p", 4), {"big": 3, "small": 1})
    {'p01': 'big', 'p02': 'big', 'p03': 'small', 'p04': 'big'}
    """
    taken = dict.fromkeys(rooms, 0)
    chosen = {}
    for name in names:
        context = max(rooms, key=lambda it: (rooms[it] - taken[it], -taken[it]))
        taken[context] += 1
        chosen[name] = context
    return chosen


def require_capacity(
    left: Mapping[str, Capacity],
    missing: Mapping[str, Mapping[str, Sequence[str]]],
    again: str,
) -> None:
    """Refuse to start more labs than fit.

    Parameters
    ----------
    left : mapping of str to Capacity
        What each engine has left, by its Docker context; "" for the default engine.
    missing : mapping of str to mapping of str to sequence of str
        The modes of the labs that are not up, by the context and the participant's name.
    again : str
        The command that brings up fewer labs, with ``{}`` for the number of participants.

    Raises
    ------
    LabError
        There is too little of a resource. It says what is free, what is needed and how many
        participants fit.

    Examples
    --------
    >>> missing = {"": dict.fromkeys(["p01", "p02"], ["insecure", "hardened"])}
    >>> require_capacity({"": Capacity(memory=6 << 30)}, missing, "up {}")
    >>> require_capacity({"": Capacity(memory=4 << 30)}, missing, "up {}")
    Traceback (most recent call last):
    labkit.errors.LabError: 4 more labs do not fit on this engine: 1 of 2 participants fits
      | memory: 4.0 GiB free, 5.0 GiB needed (1.0 GiB for a lab, and 1.0 GiB to spare)
      next: up 1
    """
    evidence: list[str] = []
    fix, fit = "", 0
    for context, labs in missing.items():
        capacity, modes = left[context], [mode for each in labs.values() for mode in each]
        short = [need for need in NEEDS if need.fitting(capacity, need.of(modes)) < 1]
        fit += _first_that_fit(capacity, labs, short)
        fix = fix or (short[0].fix if short else "")
        where = f"{context}: " if context else ""
        evidence += [f"{where}{_shortage(need, capacity, modes)}" for need in short]
    if not evidence:
        return
    labs_count = sum(len(each) for labs in missing.values() for each in labs.values())
    people = sum(map(len, missing.values()))
    engines = "this engine" if len(left) == 1 else f"these {len(left)} engines"
    raise LabError(
        f"{labs_count} more labs do not fit on {engines}: "
        f"{fit} of {people} participants {'fits' if fit == 1 else 'fit'}",
        evidence=evidence,
        hint=again.format(fit) if fit else fix,
    )


def _first_that_fit(
    capacity: Capacity, labs: Mapping[str, Sequence[str]], short: Sequence[Need]
) -> int:
    taken: list[str] = []
    for count, modes in enumerate(labs.values()):
        taken += modes
        if any(need.fitting(capacity, need.of(taken)) < 1 for need in short):
            return count
    return len(labs)


def _shortage(need: Need, capacity: Capacity, modes: Sequence[str]) -> str:
    each = " or ".join(dict.fromkeys(need.shown(need.of([mode])) for mode in modes))
    return (
        f"{need.name}: {need.shown(need.left(capacity) or 0)} free, "
        f"{need.shown(need.of(modes) + need.spare)} needed ({each} for a lab, and "
        f"{need.shown(need.spare)} to spare)"
    )


class _Named:
    """A reporter whose steps begin with the name of a lab."""

    def __init__(self, inner: Reporter, name: str) -> None:
        self._inner, self._name = inner, name

    def step(self, title: str) -> AbstractContextManager[ProgressStep]:
        return self._inner.step(f"{self._name} {title}")


class _ParticipantsLab(Lab):
    """A lab whose key the trainer's machine notes before anybody else can work in the lab."""

    ledger: Ledger
    came_up: Callable[[], None]

    def up(self, *, retain: bool = False) -> Timings:
        timings = super().up(retain=retain)
        network = find_network(self.client, self.name, self.mode)
        seat = Seat(self.name, self.mode)
        if network is not None and (seat, str(network.id)) not in self.ledger.read().keys:
            self.ledger.add_key(seat, str(network.id), key_of(self).hex())
        self.came_up()
        return timings


def open_room(
    prefix: str,
    participants: int,
    modes: Sequence[str],
    contexts: Sequence[str] = (),
    *,
    reporter: Reporter,
    retain: bool = False,
    wait_s: float | None = None,
) -> list[tuple[Lab, Timings, str]]:
    """Bring up the labs of all participants, a few at a time; labs that are up stay as they are.

    First it checks that all of them fit. If one lab cannot start, the others go on. An interrupt
    removes the labs that are not up yet, and leaves those that are.

    Parameters
    ----------
    prefix : str
        The workshop: the beginning of the names of its labs.
    participants : int
        How many.
    modes : sequence of str
        Names or folders of environments: each participant has a lab in each of them.
    contexts : sequence of str
        The Docker contexts over whose engines new participants are spread; without any, those of
        the workshop, or the default engine. All labs of a participant are on one engine.
    reporter : Reporter
        Shows the progress.
    retain : bool
        Keep the machines of a lab that does not start.
    wait_s : float, optional
        Seconds to wait for another process that changes one of these labs.

    Returns
    -------
    list of tuple of Lab, Timings and str
        Each lab with the Docker context of its engine; "" for the default engine.

    Raises
    ------
    LabError
        The labs do not fit, a lab of that name was not made for this workshop, or a lab did not
        start.
    ConfigError
        The prefix, the number, a mode or a context is not valid.
    EngineError
        An engine does not answer.
    """
    names, ledger = names_of(prefix, participants), ledger_of(prefix)
    modes = list(dict.fromkeys(modes))
    engines = connect_to(dict.fromkeys([*contexts, *ledger.read().contexts]))
    there = {name: it.context for it in engines for name, _ in find_labs(it.client, prefix)}
    if not there:  # a new workshop, for which the engines of the last one do not count
        engines = [it for it in engines if it.context in contexts] or connect_to(())
    clients = {it.context: it.client for it in engines}
    new = list(contexts) or list(clients)
    rooms = {it: fitting(left_for_labs(clients[it]), modes) if len(new) > 1 else 0.0 for it in new}
    chosen = there | spread((name for name in names if name not in there), rooms)
    labs = [
        _ParticipantsLab(
            mode,
            name=name,
            client=clients[chosen[name]],
            reporter=_Named(reporter, name),
            wait=wait_s,
            workshop=prefix,
        )
        for name in names
        for mode in modes
    ]
    missing = _missing(labs, prefix, chosen)
    options = "".join(f" --mode {mode}" for mode in modes)
    options += "".join(f" --context {context}" for context in contexts)
    again = f"labkit workshop up --participants {{}} --prefix {prefix}{options}"
    require_capacity({it: left_for_labs(clients[it]) for it in missing}, missing, again)
    without_image = [it for it in missing if find_node_image(clients[it]) is None]
    for context in without_image:  # only its memory in total was known
        ensure_image(clients[context], "node", reporter)
    if without_image:
        require_capacity({it: left_for_labs(clients[it]) for it in missing}, missing, again)
    if not there:
        ledger.start_again()
    for context in clients:
        if context not in ledger.read().contexts:
            ledger.add_context(context)
    used = {chosen[name] for name in names}
    at_once = sum(engine.processors for engine in engines if engine.context in used)
    with reporter.step(f"workshop {prefix}: {len(labs)} labs, {at_once} at a time") as step:
        up = itertools.count(1)
        step.line(f"0 of {len(labs)} are up")
        for lab in labs:
            lab.ledger = ledger
            lab.came_up = lambda: step.line(f"{next(up)} of {len(labs)} are up")
        done = bring_up_labs(labs, reporter=reporter, retain=retain, at_once=at_once)
        return [(lab, timings, chosen[lab.name]) for lab, timings in done]


def _missing(
    labs: Sequence[Lab], workshop: str, chosen: Mapping[str, str]
) -> dict[str, dict[str, list[str]]]:
    """Return the modes of each participant's labs that are not up; refuse labs of somebody else."""

    def is_missing(lab: Lab) -> bool:
        removal.require_workshop(lab.client, lab.name, lab.mode, workshop)
        return lab.status().state != "ready"

    missing: dict[str, dict[str, list[str]]] = {}
    for lab, absent in zip(labs, in_parallel(labs, is_missing), strict=True):
        if absent:
            of_engine = missing.setdefault(chosen[lab.name], {})
            of_engine.setdefault(lab.name, []).append(lab.mode)
    return missing


def remove_room(
    prefix: str, *, reporter: Reporter, force: bool = False, wait_s: float | None = None
) -> dict[Seat, int]:
    """Remove the labs that were made for a workshop, and no other lab.

    The engines are those that the ledger names.

    Parameters
    ----------
    prefix : str
        The workshop.
    reporter : Reporter
        Shows the progress.
    force : bool
        Do not wait for a process that changes a lab.
    wait_s : float, optional
        Seconds to wait for such a process.

    Returns
    -------
    dict of Seat to int
        The number of removed containers, volumes and networks of each lab.

    Raises
    ------
    LabError
        A lab cannot be removed.
    EngineError
        An engine does not answer; what is on the others has been removed.
    """
    names_of(prefix, 1)
    engines, silent = reachable(ledger_of(prefix).read().contexts)
    found = [
        lab
        for engine in engines
        for lab in removal.find_all(engine.client, reporter=reporter, wait=wait_s, workshop=prefix)
    ]
    removed: dict[Seat, int] = {}
    for start in range(0, len(found), REMOVED_AT_ONCE):
        batch = found[start : start + REMOVED_AT_ONCE]
        with reporter.step(f"remove {', '.join(f'{lab.name} ({lab.mode})' for lab in batch)}"):
            counts = in_parallel(batch, lambda lab: lab.down(force=force))
        removed |= {
            Seat(lab.name, lab.mode): count for lab, count in zip(batch, counts, strict=True)
        }
    if silent:
        raise silent[0]
    return removed
