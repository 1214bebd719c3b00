"""The engines on which the labs of a workshop run: one, or those of several Docker contexts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import docker
from docker.errors import DockerException

from labkit.errors import ConfigError, LabkitError
from labkit.lab.engine import LABEL, MODE, connect
from labkit.lab.origin import WORKSHOP
from labkit.workshop.ledger import Seat

__all__ = ["Place", "WorkshopEngine", "connect_to", "places", "reachable"]


@dataclass(frozen=True)
class WorkshopEngine:
    """An engine with labs of a workshop.

    Parameters
    ----------
    context : str
        The Docker context; "" for the default engine.
    client : docker.DockerClient

    Examples
    --------
    >>> str(WorkshopEngine("big", None)), str(WorkshopEngine("", None))
    ('big', 'this engine')
    """

    context: str
    client: docker.DockerClient

    def __str__(self) -> str:
        return self.context or "this engine"

    @property
    def processors(self) -> int:
        """The number of its processors; 1 if it does not say."""
        return max(1, int(self.client.info().get("NCPU", 1)))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a lab is.

    Parameters
    ----------
    engine : WorkshopEngine
    network : str
        The identifier of its network. A lab that is made again has another one.
    """

    engine: WorkshopEngine
    network: str


def connect_to(contexts: Iterable[str]) -> list[WorkshopEngine]:
    """Connect to the engines of contexts.

    Parameters
    ----------
    contexts : iterable of str
        Names of Docker contexts; "" for the default engine. Without any, the default engine.

    Returns
    -------
    list of WorkshopEngine

    Raises
    ------
    ConfigError
        There is no such context, or two of them lead to the same engine.
    EngineError
        An engine does not answer.
    """
    found = [WorkshopEngine(it, connect(context=it)) for it in dict.fromkeys(contexts) or [""]]
    by_identity: dict[tuple[object, ...], WorkshopEngine] = {}
    for engine in found if len(found) > 1 else ():
        said = engine.client.info()
        # machines that were copied have one ID, and two engines of a machine may have one as well
        identity = tuple(said.get(key) for key in ("ID", "Name", "DockerRootDir"))
        other = by_identity.setdefault(identity, engine)
        if other is not engine:
            raise ConfigError(
                f"{other} and {engine} are the same Docker Engine",
                hint="give each engine once; docker context ls",
            )
    return found


def reachable(contexts: Iterable[str]) -> tuple[list[WorkshopEngine], list[LabkitError]]:
    """Connect to those engines of contexts that answer.

    Parameters
    ----------
    contexts : iterable of str
        As for :func:`connect_to`.

    Returns
    -------
    found : list of WorkshopEngine
        At least one.
    errors : list of LabkitError
        Why there is no connection to the others.

    Raises
    ------
    LabkitError
        None of them answers.
    """
    found: list[WorkshopEngine] = []
    errors: list[LabkitError] = []
    for context in dict.fromkeys(contexts) or [""]:
        try:
            found += connect_to([context])
        except LabkitError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found, errors


def places(engines: Sequence[WorkshopEngine], workshop: str) -> dict[Seat, Place]:
    """Return where the labs of a workshop are.

    Parameters
    ----------
    engines : sequence of WorkshopEngine
    workshop : str
        The prefix of the names of its labs.

    Returns
    -------
    dict of Seat to Place
        Without the labs of an engine that has stopped to answer, if another one answers.
    """
    found: dict[Seat, Place] = {}
    silent: list[Exception] = []
    for engine in engines:
        try:
            networks = engine.client.networks.list(filters={"label": [f"{WORKSHOP}={workshop}"]})
        except (DockerException, OSError) as error:
            silent.append(error)
            continue
        found |= {
            Seat(own[LABEL], own[MODE]): Place(engine, str(network.id))
            for network in networks
            if (own := network.attrs.get("Labels")) and own.get(WORKSHOP) == workshop
        }
    if len(silent) == len(engines):
        raise silent[0]
    return found
