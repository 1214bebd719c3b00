"""The steps that the claims of channels allow an attacker, in any model of any cluster.

The techniques of the lab say the same of the kit's two environments, with more detail; these
steps need nothing but channels, components and credentials, so they hold for a cluster that
nobody can try, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from labkit.analysis.attack_graph.steps import Step
from labkit.cluster.syntax.urls import is_loopback
from labkit.model import Channel, Foothold, Model, Role, StoredCredential
from labkit.model.footholds import ADMIN, CALLS, NETWORK, NODE, POD, SECRETS
from labkit.model.listeners import ListenerKind, kind_of_listener

__all__ = ["channel_steps", "implications", "machines", "nodes_of", "technique_of_credential"]

OPEN, EVERYTHING = frozenset({"none", "anonymous"}), "allow-all"
READABLE = frozenset({"secrets", "all objects"})
STORE = ("etcd", "etcd peer")
#: One request; to get between two machines; to make a certificate and a server for it.
REQUEST, LISTENING, MIDDLE, ADMINISTRATION = 1.0, 2.0, 3.0, 1.0
#: The component that shows the role of its machine.
SIGN_OF_ROLE = {Role.MASTER: "kube-apiserver", Role.WORKER: "kubelet", Role.ETCD: "etcd"}
#: The technique that demonstrates what a component's certificate opens.
BY_CERTIFICATE = {
    "kubelet": "node-reads-secrets",
    "kube-proxy": "proxy-reads-secrets",
    "kube-scheduler": "scheduler-credential",
    "kube-controller-manager": "controller-manager-credential",
    "admin": "admin-kubeconfig",
    "super-admin": "admin-kubeconfig",
}


def machines(model: Model, role: Role) -> list[str]:
    """Return the machines that have a role, by what runs on them, sorted.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> machines(read_model("hardened"), Role.WORKER)
    ['worker1', 'worker2']
    """
    sign = SIGN_OF_ROLE[role]
    return sorted({it.node for it in model.components if it.kind == sign and it.node})


def nodes_of(model: Model) -> list[str]:
    """Return the machines of a model, sorted.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> nodes_of(read_model("hardened"))
    ['etcd1', 'etcd2', 'etcd3', 'master', 'worker1', 'worker2']
    """
    # "anyone" is at no machine: their node is the network
    return sorted({it.node for it in model.components if it.node and it.kind != "anyone"})


def implications(model: Model) -> dict[Foothold, list[Foothold]]:
    """Return the footholds that an attacker has by having another one.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> found = implications(read_model("hardened"))
    >>> [str(it) for it in found[Foothold("root", "worker1")][:4]]
    ['user on worker1', 'on the cluster network', 'root on a node', 'inside a pod']
    """
    found: dict[Foothold, list[Foothold]] = {NETWORK: [CALLS], POD: [CALLS], ADMIN: [SECRETS]}
    of_role = {role: machines(model, role) for role in Role}
    workers = frozenset(of_role[Role.WORKER])
    for node in nodes_of(model):
        worker = [NODE, POD] if node in workers else []
        found[Foothold("root", node)] = [Foothold("user", node), NETWORK, *worker]
        found[Foothold("user", node)] = [CALLS]
    for role, nodes in of_role.items():
        for kind in ("user", "root"):
            # a machine of the attacker's choice
            found[Foothold(kind, role)] = [Foothold(kind, it) for it in nodes]
    for it in model.credentials:
        found.setdefault(Foothold("root", it.node), []).append(Foothold("holds", it.id))
    # servers whose calls give that one commands them, and nothing more
    commanded = {it.server for it in model.channels if "commands" in kind_of_listener(it).gives}
    for server in sorted(commanded):
        root = Foothold("root", model.component(server).node)
        found.setdefault(root, []).append(Foothold("commands", server))
    return found


def channel_steps(model: Model) -> tuple[Step, ...]:
    """Return the steps that the claims of a model allow an attacker.

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
    >>> found = {step.name for step in channel_steps(read_model("hardened"))}
    >>> {"own-the-store", "use-socket"} <= found, "insecure-port" in found
    (True, False)
    """
    found: dict[Step, Step] = {}
    for channel in model.channels:
        for step in _by_channel(model, channel) if channel.open else ():
            known = found.setdefault(step, step)
            # of several clients, the call of anybody is what an attacker does
            if known is not step and channel.from_anyone:
                found[step] = step
    for it in model.credentials:
        found |= {step: step for step in _by_credential(model, it)}
    because = ("may create any pod",)
    for node in machines(model, Role.WORKER):
        root = Foothold("root", node)
        step = Step("host-path-pod", ADMIN, (root,), because, technique="host-path-pod")
        found[step] = step
    return (*found.values(), *_by_machine(model))


def technique_of_credential(it: StoredCredential) -> str:
    """Return the technique that demonstrates what a stolen credential opens.

    Examples
    --------
    >>> technique_of_credential(StoredCredential("kube-proxy", "worker1", "certificate"))
    'proxy-reads-secrets'
    """
    if it.kind == "key":
        return "ca-key-theft"
    if it.kind == "token" and POD in it.readable_by:
        return "pod-token" if it.rights else "nodes-proxy-exec"
    return BY_CERTIFICATE.get(it.name, "")


def _by_machine(model: Model) -> Iterator[Step]:
    """Yield the steps of root on a machine, which no channel restricts."""
    kept = () if model.secrets_encrypted else (SECRETS,)
    for it in model.components:
        root = Foothold("root", it.node)
        if it.node and it.kind == "etcd":
            because = ("root writes what etcd keeps",)
            technique = "etcd-forge-credential"
            yield Step("own-the-store", root, (ADMIN, *kept), because, technique=technique)
        elif it.node and it.kind == "kube-apiserver":
            because = ("root has every key of the apiserver",)
            yield Step("own-the-apiserver", root, (ADMIN,), because)


def _by_channel(model: Model, it: Channel) -> Iterator[Step]:
    kind = kind_of_listener(it)
    server = model.component(it.server)
    local = it.protocol == "unix" or is_loopback(it.bind)

    def call(name: str, foothold: Foothold, technique: str = "", who: str = "") -> Step:
        gains = (*kind.gains(server), *((SECRETS,) if _keeps_plaintext(model, kind) else ()))
        claims = (it.client_authentication, it.authorization)
        because = (*claims, who) if who else claims
        return Step(name, foothold, gains, because, REQUEST, technique, it.id)

    if it.client_authentication.value in OPEN and it.authorization.value == EVERYTHING:
        technique = kind.gap(it, "client_authentication").technique
        place = Foothold("user", server.node) if local else CALLS
        yield call(technique or "call-unauthenticated", place, technique)
    elif it.protocol == "unix":
        yield call("use-socket", Foothold("root", server.node))
        for user in it.members:
            user_on = Foothold("user", server.node)
            yield call("docker-group", user_on, "docker-group", who=user)
    elif it.authorization.value == EVERYTHING and it.credential:
        yield call("use-credential", _client_holds(model, it), kind.with_credential)
    if it.credential and it.authorization.value != EVERYTHING:
        yield from _as_client(model, it, kind)
    if not local and not it.from_anyone:  # nobody sends anything there
        yield from _on_the_way(model, it, kind)


def _on_the_way(model: Model, it: Channel, kind: ListenerKind) -> Iterator[Step]:
    """Yield the steps of an attacker between client and server."""
    loss = _loss(model, it, kind)
    if it.encryption.value == "none" and loss:
        technique = kind.gap(it, "encryption").technique
        name, because = technique or "eavesdrop", (it.encryption,)
        yield Step(name, NETWORK, loss, because, LISTENING, technique, it.id)
    # a false server gets what the client sends, and not what the client asks for
    elif it.server_authentication.value == "unverified" and loss and kind.name in STORE:
        technique = kind.gap(it, "server_authentication").technique
        name, because = technique or "machine-in-the-middle", (it.server_authentication,)
        yield Step(name, NETWORK, loss, because, MIDDLE, technique, it.id)


def _as_client(model: Model, it: Channel, kind: ListenerKind) -> Iterator[Step]:
    """Yield the steps of an attacker who uses a client's credential."""
    # an attacker who writes to etcd can grant themselves anything
    writes = (ADMIN,) if kind.name == "etcd" and not READABLE.isdisjoint(it.data) else ()
    if kind.name in STORE and (gains := (*writes, *_loss(model, it, kind))):
        because, technique = (it.authorization,), kind.with_credential
        held = _client_holds(model, it)
        yield Step("use-credential", held, gains, because, REQUEST, technique, it.id)


def _by_credential(model: Model, it: StoredCredential) -> Iterator[Step]:
    because = (f"{it.identity}: {it.source}",)
    held, technique = Foothold("holds", it.id), technique_of_credential(it)
    use = Step("use-credential", held, it.rights, because, REQUEST, technique)
    if it.rights:
        yield use
    for listener in it.opens:
        opened = (*because, f"opens {listener}")
        if listener.startswith("etcd@"):
            grants = (ADMIN,) if model.secrets_encrypted else (ADMIN, SECRETS)
            yield replace(use, grants=grants, because=opened, technique="etcd-any-certificate")
        else:
            yield replace(use, grants=(POD, SECRETS), because=opened)
    for place in it.readable_by:
        yield Step("steal-credential", place, (held,), because, REQUEST, technique)


def _client_holds(model: Model, it: Channel) -> Foothold:
    return Foothold("holds", f"{it.credential}@{model.component(it.client).node}")


def _keeps_plaintext(model: Model, kind: ListenerKind) -> bool:
    return kind.name in STORE and not model.secrets_encrypted


def _loss(model: Model, it: Channel, kind: ListenerKind) -> tuple[Foothold, ...]:
    """Return the loss by reading a channel; secrets may reach etcd encrypted already."""
    if READABLE.isdisjoint(it.data) or (kind.name in STORE and model.secrets_encrypted):
        return ()
    return (SECRETS,)
