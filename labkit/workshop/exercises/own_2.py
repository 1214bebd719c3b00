"""Close a forgotten listener of a model by hand with as few properties as possible."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from labkit.analysis import reach
from labkit.errors import ConfigError
from labkit.model import PROPERTIES, Draft
from labkit.model.footholds import NETWORK
from labkit.workshop.checks import fewest_of, smallest_set
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

STRONG: dict[str, Any] = {
    "encryption": "tls1.3",
    "server_authentication": "verified",
    "client_authentication": "required",
    "authorization": "enforced",
}


def still_reached(said: Mapping[str, Any]) -> str:
    """Say which goals the network reaches if the second port has these properties; "" for none."""
    draft = Draft("shop")
    api, etcd = draft.component("kube-apiserver"), draft.component("etcd")
    draft.channel(api, etcd, **STRONG)
    draft.channel(api, etcd, port=2378, **said)
    found = reach(draft.model(), [NETWORK])
    goals = [*found.paths[NETWORK], *found.possible.get(NETWORK, ())]
    return f"from the cluster network: {', '.join(map(str, goals))}" if goals else ""


@cache
def fewest() -> int:
    """Return the fewest properties that put every goal out of reach."""
    return fewest_of(
        PROPERTIES, lambda chosen: still_reached({name: STRONG[name] for name in chosen})
    )


def check(lab: EditedLab, answer: object) -> Outcome:
    """Ask the model that has the properties of the answer what is still reached."""
    if not isinstance(answer, Mapping):
        return Outcome("no-answer", ("there is no answer: give a dict of properties",))
    try:
        return smallest_set(list(answer), PROPERTIES, lambda _: still_reached(answer), fewest)
    except ConfigError as error:
        return Outcome("no-model", ("this is not a channel:", error.message, error.hint))


EXERCISE = Exercise(
    name="own-2",
    title="The forgotten port, with as few lines as possible",
    notebook="12-your-own-cluster",
    kind="predict",
    mode="insecure",
    task=f"""
The draft of `shop` above says nothing about port 2378 of etcd, so the port has etcd's defaults. Say
as little as possible about it, so that nothing is reached from the cluster network: no secrets, no
cluster-admin, no root on a node. Set `answer` to a dict of properties and their values, as in

`draft.channel(api, etcd, port=2378, **answer)`

The properties are {", ".join(f"`{name}`" for name in PROPERTIES)}.
Any answer with as few of them as possible is right. Which two attackers do you have to stop?
""",
    hints=(
        Hint("One attacker calls the port. Another one listens to who calls it.", "not-enough"),
        Hint("Is a goal still out of reach without one of your lines?", "too-many"),
        Hint("labkit.model.claims.VALUES lists the values of each property.", "no-model"),
        Hint("Every property that you leave out is etcd's default: which of them are weak?"),
        Hint("labkit.attack_paths(draft.model(), 'network', 'secrets') names the next step."),
    ),
    check=check,
    solution="""
answer = {"encryption": "tls1.3", "client_authentication": "required"}
""",
    wrong=(
        WrongSolution(
            "TLS, and nobody is asked who they are",
            'answer = {"encryption": "tls1.3", "server_authentication": "verified"}',
            "not-enough",
            "from the cluster network: reads the secrets, cluster-admin",
        ),
        WrongSolution(
            "callers are asked, in plaintext",
            'answer = {"client_authentication": "required", "authorization": "enforced"}',
            "not-enough",
            "from the cluster network: reads the secrets",
        ),
        WrongSolution(
            "everything",
            f"answer = {STRONG!r}",
            "too-many",
            "these 4 are enough, and fewer are as well",
        ),
        WrongSolution(
            "a value of another property",
            'answer = {"encryption": "required", "client_authentication": "tls1.3"}',
            "no-model",
            "this is not a channel",
        ),
    ),
    techniques=(),
)
