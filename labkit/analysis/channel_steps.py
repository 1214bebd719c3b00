"""What an attacker can do by what is claimed of the channels: for any model, of any cluster.

The techniques of the lab say the same of the kit's two environments, with more detail; these
steps need nothing but channels, components and credentials, so they hold for a cluster that
nobody can try, too.
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.analysis.roles import ADMIN, NODE_ROOT, POD, SECRETS, Role, role_of
from labkit.analysis.steps import Step
from labkit.cluster.urls import is_loopback
from labkit.model import Channel, Component, Held, Model
from labkit.model.strangers import STRANGERS

__all__ = ["CALLS", "NETWORK", "OUTSIDE", "channel_steps", "implications", "on", "root_on"]

NETWORK = "on the cluster network"
#: Without the right to make packets by hand, one may call, and not get between others.
CALLS = "calls on the cluster network"
OUTSIDE = "outside, with a copied credential"
OPEN, EVERYTHING = frozenset({"none", "anonymous"}), "allow-all"
READABLE = frozenset({"secrets", "all objects"})
STORE = ("etcd", "etcd peer")
#: One request; to get between two machines; to make a certificate and a server for it.
REQUEST, LISTENING, MIDDLE, ADMINISTRATION = 1.0, 2.0, 3.0, 1.0


def on(node: str) -> str:
    """Return the foothold of an ordinary user of a machine."""
    return f"user on {node}"


def root_on(node: str) -> str:
    """Return the foothold of root on a machine."""
    return f"root on {node}"


def implications(model: Model) -> dict[str, list[str]]:
    """Return what somebody has by having something else.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> implications(read_model("hardened"))["root on worker1"][:4]
    ['user on worker1', 'on the cluster network', 'root on a node', 'inside a pod']
    """
    found: dict[str, list[str]] = {NETWORK: [CALLS], POD: [CALLS], ADMIN: [SECRETS]}
    nodes = sorted({it.node for it in model.components if it.node})
    workers = _workers(model)
    for node in nodes:
        worker = [NODE_ROOT, POD] if node in workers else []
        found[root_on(node)] = [on(node), NETWORK, *worker]
        found[on(node)] = [CALLS]
    for held in model.credentials:
        found.setdefault(root_on(held.node), []).append(_holds(held))
    return found


def channel_steps(model: Model) -> tuple[Step, ...]:
    """Return everything that the claims of a model let an attacker do.

    Parameters
    ----------
    model : Model

    Returns
    -------
    tuple of Step
        In a stable order.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> found = {step.technique for step in channel_steps(read_model("hardened"))}
    >>> {"own-the-store", "use-socket"} <= found, "insecure-port" in found
    (True, False)
    """
    found: dict[Step, None] = {}
    for channel in model.channels:
        if channel.open:
            found |= dict.fromkeys(_by_channel(model, channel))
    for held in model.credentials:
        found |= dict.fromkeys(_by_credential(held))
    for node in _workers(model):
        step = Step("host-path-pod", ADMIN, (root_on(node),), ("may create any pod",))
        found[step] = None
    return (*found, *_by_machine(model))


def _by_machine(model: Model) -> Iterator[Step]:
    """Yield what root of a machine has by what runs there, whatever the channels demand."""
    kept = () if model.sealed else (SECRETS,)
    for it in model.components:
        if it.node and it.kind == "etcd":
            because = ("root writes what etcd keeps",)
            yield Step("own-the-store", root_on(it.node), (ADMIN, *kept), because)
        elif it.node and it.kind == "kube-apiserver":
            because = ("root has every key of the apiserver",)
            yield Step("own-the-apiserver", root_on(it.node), (ADMIN,), because)


def _by_channel(model: Model, it: Channel) -> Iterator[Step]:
    role = role_of(it)
    server = model.component(it.server)
    gains = _gains(model, role, server)
    local = it.protocol == "unix" or is_loopback(it.bind)
    place = on(server.node) if local else CALLS
    claims = (str(it.client_authentication), str(it.authorization))
    if it.client_authentication.value in OPEN and it.authorization.value == EVERYTHING:
        name = role.gaps["client_authentication"].technique if role.gaps else ""
        yield Step(name or "call-unauthenticated", place, gains, claims, REQUEST)
    elif it.protocol == "unix":
        yield Step("use-socket", root_on(server.node), gains, claims, REQUEST)
        for user in it.members:
            yield Step("docker-group", on(server.node), gains, (*claims, user), REQUEST)
    elif it.authorization.value == EVERYTHING and it.credential:
        held = f"holds {it.credential}@{model.component(it.client).node}"
        yield Step("use-credential", held, gains, claims, REQUEST)
    if it.credential and it.authorization.value != EVERYTHING:
        yield from _as_client(model, it, role)
    if local or it.client.startswith(STRANGERS):  # of what nobody sends, nothing is overheard
        return
    loss = _loss(model, it, role)
    if it.encryption.value == "none" and loss:
        technique = role.gaps["encryption"].technique if role.gaps else "eavesdrop"
        yield Step(technique or "eavesdrop", NETWORK, loss, (str(it.encryption),), LISTENING)
    # what a client asks for, a false server has not: only what it is sent is lost
    elif it.server_authentication.value == "unverified" and loss and role.name in STORE:
        technique = role.gaps["server_authentication"].technique if role.gaps else ""
        because = (str(it.server_authentication),)
        yield Step(technique or "machine-in-the-middle", NETWORK, loss, because, MIDDLE)


def _as_client(model: Model, it: Channel, role: Role) -> Iterator[Step]:
    """Yield what the holder of a client's credential does as that client."""
    # who may write what the apiserver believes may grant himself anything
    writes = (ADMIN,) if role.name == "etcd" and READABLE & set(it.data) else ()
    if role.name in STORE and (gains := (*writes, *_loss(model, it, role))):
        held = f"holds {it.credential}@{model.component(it.client).node}"
        yield Step("use-credential", held, gains, (str(it.authorization),), REQUEST)


def _by_credential(held: Held) -> Iterator[Step]:
    because = (f"{held.identity}: {held.source}",)
    if held.rights:
        yield Step("use-credential", _holds(held), held.rights, because, REQUEST)
    for listener in held.opens:
        yield Step("use-credential", _holds(held), (POD, SECRETS), (*because, listener), REQUEST)
    for place in held.readable_by:
        yield Step("steal-credential", place, (_holds(held),), because, REQUEST)


def _holds(held: Held) -> str:
    return f"holds {held.name}@{held.node}"


def _gains(model: Model, role: Role, server: Component) -> tuple[str, ...]:
    gains = [gain.format(node=server.node, server=server.id) for gain in role.gives]
    if role.name in STORE and not model.sealed:
        gains.append(SECRETS)
    return tuple(gains)


def _loss(model: Model, it: Channel, role: Role) -> tuple[str, ...]:
    """Return what is lost with what a channel carries: to etcd, it may be sealed already."""
    sealed = role.name in STORE and model.sealed
    return (SECRETS,) if READABLE & set(it.data) and not sealed else ()


def _workers(model: Model) -> list[str]:
    return sorted({it.node for it in model.components if it.kind == "kubelet" and it.node})
