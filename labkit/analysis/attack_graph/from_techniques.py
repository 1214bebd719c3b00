"""What the techniques of the lab let an attacker do, by their predictions."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.analysis.attack_graph.from_channels import machines
from labkit.analysis.attack_graph.steps import Graph, Step, attack_graph
from labkit.model import Foothold, Model, Role
from labkit.model.footholds import (
    ADMIN,
    NETWORK,
    NODE,
    POD,
    ROOT_ON_ETCD,
    ROOT_ON_WORKER,
    SECRETS,
    USER_ON_WORKER,
)
from labkit.techniques import FOOTHOLDS, Technique

__all__ = ["graph", "technique_steps"]

#: The footholds that an attacker has by having another one.
IMPLIES: dict[Foothold, tuple[Foothold, ...]] = {
    ROOT_ON_WORKER: (USER_ON_WORKER, POD, NETWORK, NODE),
    ROOT_ON_ETCD: (NETWORK,),
    ADMIN: (SECRETS,),
}


def graph(model: Model, only: Iterable[Technique] | None = None) -> Graph:
    """Return the attack graph of the techniques that succeed against a model.

    Its nodes are the footholds that techniques know, whether they lead anywhere or not, and of
    each machine a foothold that stands for those of its role.

    Parameters
    ----------
    model : Model
        One that was read from an environment.
    only : iterable of Technique, optional
        Without it, all there are.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> Foothold("root", "worker1") in graph(read_model("hardened"))
    True
    """
    implied: dict[Foothold, list[Foothold]] = {it: list(more) for it, more in IMPLIES.items()}
    for foothold in FOOTHOLDS:
        if isinstance(foothold.where, Role):
            for node in machines(model, foothold.where):
                implied.setdefault(Foothold(foothold.kind, node), []).append(foothold)
    found = attack_graph(technique_steps(model, only), implied)
    found.add_nodes_from(FOOTHOLDS)
    return found


def technique_steps(model: Model, only: Iterable[Technique] | None = None) -> tuple[Step, ...]:
    """Return a step for each technique that succeeds, from each of its footholds.

    Parameters
    ----------
    model : Model
        One that was read from an environment.
    only : iterable of Technique, optional
        Without it, all there are.

    Returns
    -------
    tuple of Step
        Each step is named after its technique.

    Raises
    ------
    ConfigError
        The model was not read from an environment.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> "etcd-read" in {step.technique for step in technique_steps(read_model("insecure"))}
    True
    """
    from labkit import techniques

    found = []
    for technique in techniques.values() if only is None else only:
        for foothold in technique.footholds:
            prediction = technique.predict(model, foothold)
            if prediction.succeeds:
                because, name = prediction.because, technique.name
                found.append(Step(name, foothold, technique.grants, because, technique.cost, name))
    return tuple(found)
