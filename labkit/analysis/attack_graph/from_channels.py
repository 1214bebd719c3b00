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
from labkit.model.claims import listener_of
from labkit.model.footholds import ADMIN, CALLS, NETWORK, NODE, POD, SECRETS
from labkit.model.listeners import ListenerKind, kind_of_listener

__all__ = [
    "AT_REST",
    "channel_steps",
    "implications",
    "machines",
    "nodes_of",
    "technique_of_credential",
]

OPEN, EVERYTHING = frozenset({"none", "anonymous"}), frozenset({"allow-all"})
PLAINTEXT, UNVERIFIED = frozenset({"none"}), frozenset({"unverified"})
#: What has to be found out where a claim is unknown; a listener, and the client of a channel.
QUESTIONS = {
    "encryption": "whether {listener} encrypts what {client} sends",
    "server_authentication": "whether {client} verifies who {listener} is",
    "client_authentication": "whether {listener} demands a credential",
    "authorization": "whether {listener} lets every caller do everything",
}
AT_REST = "whether secrets are encrypted before etcd gets them"
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
        found[Foothold("user", node)] = [CALLS, Foothold("local", node)]
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
            _keep(found, step, preferred=channel.from_anyone)
    for it in model.credentials:
        for step in _by_credential(model, it):
            _keep(found, step, preferred=True)
    because = ("may create any pod",)
    for node in machines(model, Role.WORKER):
        root = Foothold("root", node)
        step = Step("host-path-pod", ADMIN, (root,), because, technique="host-path-pod")
        found[step] = step
    return (*found.values(), *_by_machine(model))


def _keep(found: dict[Step, Step], step: Step, *, preferred: bool) -> None:
    """Keep one of equal steps: a known one before a possible one, then the preferred one."""
    other = found.get(step)
    if other is None or (bool(step.unknown), not preferred) < (bool(other.unknown), True):
        # of several clients, the call of anybody is what an attacker does
        found[step] = step


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
    for it in model.components:
        root = Foothold("root", it.node)
        if it.node and it.kind == "etcd":
            because = ("root writes what etcd keeps",)
            technique = "etcd-forge-credential"
            step = Step("own-the-store", root, (ADMIN,), because, technique=technique)
            yield from _with_secrets(model, step)
        elif it.node and it.kind == "kube-apiserver":
            because = ("root has every key of the apiserver",)
            yield Step("own-the-apiserver", root, (ADMIN,), because)


def _by_channel(model: Model, it: Channel) -> Iterator[Step]:
    kind = kind_of_listener(it)
    server = model.component(it.server)
    local = it.protocol == "unix" or is_loopback(it.bind)
    # a pod in the network of its node reaches loopback, and no socket
    own = Foothold("user" if it.protocol == "unix" else "local", server.node)
    place = own if local else CALLS
    claims = (it.client_authentication, it.authorization)

    def call(
        name: str, foothold: Foothold, technique: str = "", who: str = "", unknown: str = ""
    ) -> Iterator[Step]:
        because = (*claims, who) if who else claims
        gains = kind.gains(server)
        step = Step(name, foothold, gains, because, REQUEST, technique, it.id, unknown)
        return _with_secrets(model, step) if kind.name in STORE else iter((step,))

    anybody = _doubt(it, client_authentication=OPEN, authorization=EVERYTHING)
    everything = _doubt(it, authorization=EVERYTHING)
    if anybody is not None:
        technique = kind.gap(it, "client_authentication").technique
        yield from call(technique or "call-unauthenticated", place, technique, unknown=anybody)
    if anybody != "":
        if it.protocol == "unix":
            yield from call("use-socket", Foothold("root", server.node))
            for user in it.members:
                user_on = Foothold("user", server.node)
                yield from call("docker-group", user_on, "docker-group", who=user)
        elif everything is not None and it.credential:
            held = _client_holds(model, it)
            yield from call("use-credential", held, kind.with_credential, unknown=everything)
        elif everything is not None and _unsaid(model, it):
            question = "; ".join(
                filter(None, (f"with which credential {it.client} calls", everything))
            )
            root = Foothold("root", model.component(it.client).node)
            yield from call("use-credential", root, kind.with_credential, unknown=question)
    if it.credential and everything != "":
        yield from _as_client(model, it, kind)
    if not local and not it.from_anyone:  # nobody sends anything there
        yield from _on_the_way(model, it, kind)


def _doubt(it: Channel, **wanted: frozenset[str]) -> str | None:
    """Return what has to be found out before claims have wanted values.

    Empty if they are known to have them; None if one is known not to.
    """
    questions = []
    for name, values in wanted.items():
        value = getattr(it, name).value
        if value == "unknown" and name == "client_authentication" and it.protocol == "unix":
            questions.append(f"which users may connect to {listener_of(it)}")
        elif value == "unknown":
            named = {"listener": listener_of(it), "client": it.client}
            questions.append(QUESTIONS[name].format(**named))
        elif value not in values:
            return None
    return "; ".join(questions)


def _unsaid(model: Model, it: Channel) -> bool:
    """Say whether a person who wrote a model left out with what a client authenticates."""
    by_hand = model.env is None and model.dump is None
    return by_hand and not it.from_anyone and bool(model.component(it.client).node)


def _with_secrets(model: Model, step: Step) -> Iterator[Step]:
    """Yield a step that gives what etcd keeps; secrets may reach it encrypted already."""
    if model.secrets_at_rest == "unknown":
        unknown = "; ".join(filter(None, (step.unknown, AT_REST)))
        yield replace(step, grants=(SECRETS,), unknown=unknown)
    elif model.secrets_at_rest == "none":
        step = replace(step, grants=(*step.grants, SECRETS))
    if step.grants:
        yield step


def _on_the_way(model: Model, it: Channel, kind: ListenerKind) -> Iterator[Step]:
    """Yield the steps of an attacker between client and server."""
    plain = _doubt(it, encryption=PLAINTEXT)
    if plain is not None:
        technique = kind.gap(it, "encryption").technique
        name, because = technique or "eavesdrop", (it.encryption,)
        step = Step(name, NETWORK, (), because, LISTENING, technique, it.id, plain)
        yield from _losing(model, it, kind, step)
    # a false server gets what the client sends, and not what the client asks for
    false_server = _doubt(it, server_authentication=UNVERIFIED)
    if plain != "" and false_server is not None and kind.name in STORE:
        technique = kind.gap(it, "server_authentication").technique
        name, because = technique or "machine-in-the-middle", (it.server_authentication,)
        step = Step(name, NETWORK, (), because, MIDDLE, technique, it.id, false_server)
        yield from _losing(model, it, kind, step)


def _as_client(model: Model, it: Channel, kind: ListenerKind) -> Iterator[Step]:
    """Yield the steps of an attacker who uses a client's credential."""
    if kind.name not in STORE:
        return
    # an attacker who writes to etcd can grant themselves anything
    writes = (ADMIN,) if kind.name == "etcd" and not READABLE.isdisjoint(it.data) else ()
    own = f"{it.client} reads and writes {', '.join(sorted(it.data))} with it"
    because = (own, it.client_authentication)
    held = _client_holds(model, it)
    step = Step("use-credential", held, writes, because, REQUEST, channel=it.id)
    yield from _losing(model, it, kind, step)


def _losing(model: Model, it: Channel, kind: ListenerKind, step: Step) -> Iterator[Step]:
    """Yield a step that gives what a channel carries as well."""
    if READABLE.isdisjoint(it.data):
        if step.grants:
            yield step
    elif kind.name in STORE:
        yield from _with_secrets(model, step)
    else:
        yield replace(step, grants=(*step.grants, SECRETS))


def _by_credential(model: Model, it: StoredCredential) -> Iterator[Step]:
    because = (f"{it.identity}: {it.source}",)
    held, technique = Foothold("holds", it.id), technique_of_credential(it)
    use = Step("use-credential", held, it.rights, because, REQUEST, technique)
    if it.rights:
        yield use
    for listener in it.opens:
        opened = (*because, f"opens {listener}")
        if listener.startswith("etcd@"):
            opens = replace(use, grants=(ADMIN,), because=opened)
            yield from _with_secrets(model, replace(opens, technique="etcd-any-certificate"))
        else:
            yield replace(use, grants=(POD, SECRETS), because=opened)
    steal = Step("steal-credential", held, (held,), because, REQUEST, technique)
    for place in it.readable_by:
        yield replace(steal, foothold=place)
    for place in it.perhaps_readable_by:
        yield replace(steal, foothold=place, unknown=f"whether a {place} can read {it.id}")


def _client_holds(model: Model, it: Channel) -> Foothold:
    return Foothold("holds", f"{it.credential}@{model.component(it.client).node}")
