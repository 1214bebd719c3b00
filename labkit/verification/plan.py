"""Plan the probes of a model's channels, and the machine that each of them runs on."""

from __future__ import annotations

import base64
import json
import secrets
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from labkit import agents
from labkit.cluster import Credential, DockerClient, Environment
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.lab.pki import Authority, Leaf
from labkit.model import Channel
from labkit.model.decision import ALLOWED, EVERYTHING, decide
from labkit.model.etcd_rights import etcd_client, etcd_may, keys_of_others
from labkit.model.listeners.etcd import RAFT
from labkit.model.providers import Provider, provider_of
from labkit.model.rights import authenticated_as
from labkit.verification.questions import etcd_questions, questions

__all__ = ["ProbePlan", "authority_of", "make_plan"]

Job = dict[str, Any]
KUBECTL = ["kubectl", "--request-timeout=10s", "get"]
#: Seconds that an interception waits for its clients.
PATIENCE = 25.0
YEAR_2100 = 4102444800


@dataclass
class ProbePlan:
    """Jobs by machine.

    Attributes
    ----------
    looks : dict of str to dict of str to Job
        The jobs that only observe: ``{machine: {job id: job}}``.
    intercepts : dict of str to dict of str to Job
        The jobs that redirect clients, in the same form.
    """

    looks: dict[str, dict[str, Job]] = field(default_factory=lambda: defaultdict(dict))
    intercepts: dict[str, dict[str, Job]] = field(default_factory=lambda: defaultdict(dict))


def make_plan(lab: Lab, channels: Iterable[Channel], model: Iterable[Channel] = ()) -> ProbePlan:
    """Return the jobs that probe the claims of some channels.

    Parameters
    ----------
    lab : Lab
        A running lab. Its authorities' keys sign certificates for the probes.
    channels : iterable of Channel
        The channels to probe.
    model : iterable of Channel
        All channels of the model. An open one proves that the machine of a closed one is alive.

    Returns
    -------
    ProbePlan

    Raises
    ------
    KeyError
        No request is known for the kind of a server.
    LabError
        The key of an authority is on no machine.
    """
    channels = list(channels)
    others = [*channels, *model]
    env = lab.environment
    outside = next(node.name for node in env.nodes if node.role == "attacker")
    unknown_ca = Authority.create("labkit-unknown-ca")
    plan = ProbePlan()
    for channel in channels:
        if channel.protocol == "unix":
            plan.looks[node_of(channel.server)][f"unix {channel.path}"] = _socket_job(channel)
            if channel.open:
                _socket_questions(plan, channel)
            continue
        if channel.client.startswith("local-users@"):
            continue  # the port listens on loopback only: another machine cannot probe it
        _network_jobs(plan, channel, outside, unknown_ca)
        if channel.open:
            _own_jobs(plan, lab, channel, outside)
            _intercept_job(plan, env, channel, unknown_ca)
    for channel in channels:
        if not channel.open and channel.protocol != "unix":
            plan.looks[outside][f"alive {node_of(channel.server)}"] = _alive_job(channel, others)
    return plan


def node_of(component: str) -> str:
    """Return the name of the machine that a component runs on.

    Parameters
    ----------
    component : str
        The component's id.

    Returns
    -------
    str
    """
    return component.split("@", 1)[1]


def client_of(channel: Channel) -> str:
    """Return the kind of a channel's client: "kubelet", "kubectl/alice".

    Parameters
    ----------
    channel : Channel

    Returns
    -------
    str
    """
    return channel.client.split("@", 1)[0]


def listener_of(channel: Channel) -> str:
    """Return the name of a channel's listener, which several channels may share.

    Parameters
    ----------
    channel : Channel

    Returns
    -------
    str
    """
    return f"{node_of(channel.server)}:{channel.port}"


def credential_of(env: Environment, channel: Channel) -> Credential | None:
    """Return the credential that a channel's client uses on its machine.

    Parameters
    ----------
    env : Environment
    channel : Channel

    Returns
    -------
    Credential or None
    """
    if channel.credential is None:
        return None
    return env.credential(channel.credential, node_of(channel.client))


def _target(channel: Channel) -> Job:
    return {
        "host": node_of(channel.server),
        "port": channel.port,
        "tls": channel.protocol == "https",
    }


def _leaf(leaf: Leaf) -> Job:
    return {"certificate_pem": leaf.certificate.decode(), "key_pem": leaf.key.decode()}


def _network_jobs(plan: ProbePlan, channel: Channel, outside: str, unknown_ca: Authority) -> None:
    """Add the probes that any machine on the cluster network can make of a listener."""
    name, jobs = listener_of(channel), plan.looks[outside]
    target = _target(channel)
    jobs[f"look {name}"] = {"op": "look", **target}
    if not channel.open:
        return
    if channel.protocol == "https":
        # Without a certificate, TLS 1.2 only answers "handshake failure", which is ambiguous.
        jobs[f"look {name}"] |= _leaf(unknown_ca.issue("labkit-unknown-client"))
    _, closed, _ = questions(channel)
    jobs[f"nobody {name}"] = {"op": "http", **target, **closed.job()}
    guess: Job = {"op": "http", **target, **closed.job()}
    if channel.protocol == "https":
        guess |= _leaf(unknown_ca.issue("labkit-unknown-client", organization="system:masters"))
    else:
        guess["headers"] = {**guess["headers"], "Authorization": "Bearer labkit-unknown-token"}
    jobs[f"guess {name}"] = guess


def _own_jobs(plan: ProbePlan, lab: Lab, channel: Channel, outside: str) -> None:
    """Add the requests of the channel's own client: one for its work, and one beyond its rights."""
    client, node = channel.client.split("@", 1)
    held = None if node == "network" else credential_of(lab.environment, channel)
    if node == "network" and channel.data == RAFT:
        # The port of a single member, which no other one calls: it would call itself so.
        client, node = channel.server.split("@", 1)
        held = _peer_credential(lab.environment, channel.server)
    jobs = plan.looks[outside if node == "network" else node]
    own, _, power = questions(channel)
    if channel.server.startswith("etcd@") and client != "etcd":
        writes = _only_writes(lab.environment, channel)
        own_etcd, power_etcd = etcd_questions(channel, writes_only=writes)
        # labkit.agents.probe ends it earlier, as soon as it fits the machine
        etcdctl = ["etcdctl", "--command-timeout=60s", f"--endpoints={url_of(channel)}"]
        if held is not None:
            authority = _authority_file(lab.environment, held.signed_by)
            etcdctl += [f"--cert={held.certificate}", f"--key={held.key}", f"--cacert={authority}"]
        if node == "network" and lab.environment.etcd_auth:
            # The channel has no client with a credential: the administrator's request on the
            # member's machine proves that it serves its users.
            argv = agents.argv("as_etcd_root", "etcdctl", *own_etcd)
            plan.looks[node_of(channel.server)][f"own {channel.id}"] = {"op": "run", "argv": argv}
        else:
            jobs[f"own {channel.id}"] = {"op": "run", "argv": [*etcdctl, *own_etcd]}
        jobs[f"power {channel.id}"] = {"op": "run", "argv": [*etcdctl, *power_etcd]}
        return
    files = {"certificate": held.certificate, "key": held.key} if held else {}
    jobs[f"own {channel.id}"] = {"op": "http", **_target(channel), **own.job(), **files}
    jobs[f"power {channel.id}"] = {"op": "http", **_target(channel), **power.job(), **files}
    if held is not None and (may_do_everything(client) or _is_administrator(lab, held)):
        # The client itself may do everything, so the request is made with another identity.
        # etcd checks a peer's certificate for the name of its machine, so it has that name.
        leaf = authority_of(lab, held.signed_by).issue(
            "labkit-other-client", hosts=[node], usages=["client", "server"]
        )
        jobs[f"power {channel.id}"] = {
            "op": "http",
            **_target(channel),
            **power.job(),
            **_leaf(leaf),
        }


def _peer_credential(env: Environment, member: str) -> Credential | None:
    """Return the credential with which a member of etcd calls the others."""
    etcd = env.component(member)
    given = etcd.given("peer-cert-file")
    own = (it for it in env.credentials if given and it.node == etcd.node)
    return next((it for it in own if given and it.certificate == given.value), None)


def _only_writes(env: Environment, channel: Channel) -> bool:
    """Say whether etcd lets a client write the keys of others that it may not read."""
    client = next((it for it in env.components if it.id == channel.client), None)
    if client is None:
        return False
    etcd, keys = env.component(channel.server), keys_of_others(env, client)
    caller = etcd_client(env, etcd, client, channel.credential)
    read, write = (etcd_may(env, etcd, caller, it, keys).value for it in ("read", "write"))
    return write == ALLOWED != read


def authority_of(lab: Lab, name: str) -> Authority:
    """Return a certificate authority whose key is on a machine of the lab.

    Parameters
    ----------
    lab : Lab
        A running lab.
    name : str
        The authority's name in the environment's ``pki.yaml``.

    Returns
    -------
    Authority

    Raises
    ------
    LabError
        The key is on no machine.
    """
    for plan in lab.environment.authorities:
        if plan.name == name and plan.key and plan.key_nodes:
            node = plan.key_nodes[0]
            return Authority(lab.read_file(node, plan.certificate), lab.read_file(node, plan.key))
    raise LabError(f"the key of authority {name!r} is on no machine of {lab.mode}")


def _authority_file(env: Environment, name: str) -> str:
    return next(plan.certificate for plan in env.authorities if plan.name == name)


def may_do_everything(client: str) -> bool:
    """Say whether a client needs every right on its channel for its own work.

    Parameters
    ----------
    client : str
        The kind of the client, as :func:`client_of` returns it.

    Returns
    -------
    bool
    """
    return client.startswith("kubectl") or client in ("kube-apiserver", "etcd")


def _is_administrator(lab: Lab, held: Credential) -> bool:
    """Say whether a component's own identity may do everything at an apiserver."""
    env = lab.environment
    callers = [
        (it, authenticated_as(it, env, held))
        for it in env.components
        if it.kind == "kube-apiserver"
    ]
    return any(decide(env, it, who, EVERYTHING).value == ALLOWED for it, who in callers)


def url_of(channel: Channel) -> str:
    """Return the URL of a channel's listener.

    Parameters
    ----------
    channel : Channel

    Returns
    -------
    str
    """
    return f"{channel.protocol}://{node_of(channel.server)}:{channel.port}"


def _intercept_job(
    plan: ProbePlan, env: Environment, channel: Channel, unknown_ca: Authority
) -> None:
    """Add the job that redirects a real client to a server of an unknown authority."""
    node = node_of(channel.client)
    if node == "network":
        return
    server = node_of(channel.server)
    name = f"intercept {listener_of(channel)}"
    job = plan.intercepts[node].setdefault(
        name,
        {
            **_target(channel),
            **_leaf(unknown_ca.issue(server, hosts=[server, "localhost"], usages=["server"])),
            "hosts": [server, "127.0.0.1"] if server == node else [server],
            "clients": [],
            "triggers": [],
            "errands": [],
            "seconds": PATIENCE,
        },
    )
    job["clients"].append(process_of(env, channel))
    if client_of(channel).startswith("kubectl/"):
        job["triggers"].append([*KUBECTL, process_of(env, channel), "--raw=/version"])
    if client_of(channel) == "docker":
        job["triggers"].append(agents.argv("docker_version", _docker_client(env, channel).path))
    job["errands"] += _errands(env, channel)


def process_of(env: Environment, channel: Channel) -> str:
    """Return what identifies a client's process: its unit, or a part of its command line.

    Parameters
    ----------
    env : Environment
    channel : Channel

    Returns
    -------
    str
    """
    client, node = channel.client.split("@", 1)
    if client.startswith("kubectl/"):
        user, _, path = client.removeprefix("kubectl/").partition(":")
        found = (k for k in env.kubeconfigs if k.node == node and k.user == user)
        return f"--kubeconfig={path or next(found).path}"
    if client == "docker":
        return f"--host={_docker_client(env, channel).host.value}"
    return f"{client}.service"


def _docker_client(env: Environment, channel: Channel) -> DockerClient:
    """Return the client of a Docker Engine, which has a file of environment variables."""
    node, server = node_of(channel.client), node_of(channel.server)
    return next(
        client
        for client in env.docker_clients
        if client.node == node and urlsplit(client.host.value).hostname == server
    )


def _errands(env: Environment, channel: Channel) -> list[list[str]]:
    """Return commands that make a client connect, if it connects only on request."""
    if client_of(channel) == "kubectl-proxy":
        return [["curl", "-s", "-m", "10", "http://localhost:8080/version"]]
    if client_of(channel) == "kube-apiserver" and channel.server.startswith("kubelet@"):
        path = f"--raw=/api/v1/nodes/{node_of(channel.server)}/proxy/pods"
        return [[*KUBECTL, f"--kubeconfig={env.bootstrap_kubeconfig}", path]]
    if client_of(channel) == "systemd-journal-upload":
        return [["logger", "--tag=labkit", "labkit-probe"]]
    if channel.server.startswith("opa@"):
        # of a token that it has not seen before, it asks the webhook
        return [_with_token(env, channel, f"labkit-probe-{secrets.token_hex(8)}")]
    if channel.server.startswith("canaille@") and (provider := provider_of(env)):
        # a token that no known key signed makes it ask for the keys again
        return [_with_token(env, channel, unsigned_token(provider))]
    return []


def _with_token(env: Environment, channel: Channel, token: str) -> list[str]:
    """Return the command that shows a channel's client, an apiserver, a bearer token."""
    port = env.component(channel.client).setting("secure-port").value
    asked = ["curl", "-sk", "-m", "10", "-H", f"Authorization: Bearer {token}"]
    return [*asked, f"https://localhost:{port}/version"]


def unsigned_token(provider: Provider) -> str:
    """Return an ID token of a provider that no key of it signed.

    Parameters
    ----------
    provider : Provider

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> unsigned_token(provider_of(read_environment("oidc-insecure"))).count(".")
    2
    """
    audience = provider.client.name if provider.client else ""
    header = {"alg": "RS256", "kid": "labkit-probe"}
    claims = {"iss": provider.issuer.value, "aud": [audience], "sub": "labkit", "exp": YEAR_2100}
    parts = [json.dumps(part).encode() for part in (header, claims)] + [b"no signature" * 20]
    return ".".join(base64.urlsafe_b64encode(it).rstrip(b"=").decode() for it in parts)


def _socket_job(channel: Channel) -> Job:
    connect = agents.argv("connect_socket", str(channel.path))
    return {"op": "unix", "unix": channel.path, "users": ["root", "alice"], "connect": connect}


def _socket_questions(plan: ProbePlan, channel: Channel) -> None:
    jobs = plan.looks[node_of(channel.server)]
    if channel.server.startswith("containerd@"):
        argv = [
            "ctr",
            f"--address={channel.path}",
            "--namespace=k8s.io",
            "containers",
            "list",
            "-q",
        ]
        jobs[f"power {channel.id}"] = {"op": "run", "argv": argv}
        return
    _, _, power = questions(channel)
    jobs[f"power {channel.id}"] = {"op": "http", "unix": channel.path, **power.job()}


def _alive_job(channel: Channel, channels: list[Channel]) -> Job:
    """Return a probe of another port of the machine, so that a dead machine is not "closed"."""
    node = node_of(channel.server)
    others = (c for c in channels if c.open and c.port and node_of(c.server) == node)
    other = next(others, channel)
    return {"op": "look", **_target(other)}
