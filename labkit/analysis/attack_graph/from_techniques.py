"""What the techniques of the lab let an attacker do, by their predictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from labkit.analysis.attack_graph.from_channels import machines
from labkit.analysis.attack_graph.steps import Graph, Step, known_and_possible
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

__all__ = ["graphs", "technique_steps"]

#: The footholds that an attacker has by having another one. A cluster-admin creates any pod, in a
#: namespace whose labels admit it, so also one with a worker's files.
IMPLIES: dict[Foothold, tuple[Foothold, ...]] = {
    ROOT_ON_WORKER: (USER_ON_WORKER, POD, NETWORK, NODE),
    ROOT_ON_ETCD: (NETWORK,),
    ADMIN: (SECRETS, ROOT_ON_WORKER),
}


def graphs(model: Model, only: Iterable[Technique] | None = None) -> tuple[Graph, Graph]:
    """Return the attack graph of the techniques that succeed against a model, and a wider one.

    The wider one has the techniques as well of which the model does not know whether they succeed.

    Its nodes are the footholds that techniques know, whether they lead anywhere or not, and of
    each machine a foothold that stands for those of its role.

    Parameters
    ----------
    model : Model
        One that was read from an environment.
    only : iterable of Technique, optional
        Without it, all there are.

    Returns
    -------
    known, possible : networkx.DiGraph
        As :func:`labkit.analysis.attack_graph.steps.known_and_possible`.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> known, possible = graphs(read_model("hardened"))
    >>> Foothold("root", "worker1") in known, known is possible
    (True, True)
    """
    implied: dict[Foothold, list[Foothold]] = {it: list(more) for it, more in IMPLIES.items()}
    for foothold in FOOTHOLDS:
        if isinstance(foothold.where, Role):
            for node in machines(model, foothold.where):
                implied.setdefault(Foothold(foothold.kind, node), []).append(foothold)
    known, possible = known_and_possible(technique_steps(model, only), implied)
    for found in (known, possible):
        found.add_nodes_from(FOOTHOLDS)
    return known, possible


def technique_steps(model: Model, only: Iterable[Technique] | None = None) -> tuple[Step, ...]:
    """Return a step for each technique that may succeed, from each of its footholds.

    Parameters
    ----------
    model : Model
        One that was read from an environment.
    only : iterable of Technique, optional
        Without it, all there are.

    Returns
    -------
    tuple of Step
        Each step is named after its technique; it says what has to be found out where the model
        does not know whether it succeeds. A technique that does not apply has no step.

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
        if technique.why_not(model.environment):
            continue
        for foothold in technique.footholds:
            prediction = technique.predict(model, foothold)
            if prediction.succeeds is False:
                continue
            because, name = prediction.because, technique.name
            unknown = "" if prediction.succeeds else f"whether {name} succeeds"
            step = Step(name, foothold, technique.grants, because, technique.cost, name)
            found.append(replace(step, unknown=unknown))
    return tuple(found)
