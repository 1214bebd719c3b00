"""Make random models of any size, equal in every run and for every tool."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

__all__ = ["Flow", "Part", "Shape", "by_hand", "shape"]

ON_A_MACHINE = ("kubelet", "dockerd", "kube-proxy", "datastore", "process")
PORTS = {"kube-apiserver": 6443, "etcd": 2379, "kubelet": 10250, "dockerd": 2375}


@dataclass(frozen=True, slots=True)
class Part:
    """A component: its name, its kind, its machine and its zone."""

    name: str
    kind: str
    node: str
    zone: str


@dataclass(frozen=True, slots=True)
class Flow:
    """A channel; ``safe`` says whether it has TLS, authentication and authorization."""

    client: int
    server: int
    port: int
    safe: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """A model that every tool gets in its own format: components and channels."""

    parts: tuple[Part, ...]
    flows: tuple[Flow, ...]


def shape(components: int, channels: int, *, seed: int = 1, named_apart: bool = False) -> Shape:
    """Return a cluster of machines with random channels, half of them safe.

    Parameters
    ----------
    components, channels : int
        Their numbers.
    seed : int
        The seed of the random numbers.
    named_apart : bool
        Give every component a different name, so that a picture groups none of them.

    Returns
    -------
    Shape
    """
    chance = random.Random(seed)  # noqa: S311
    zones = max(3, min(8, components // 10))
    parts = [
        Part("kube-apiserver@machine0", "kube-apiserver", "machine0", "zone 0"),
        Part("etcd@machine0", "etcd", "machine0", "zone 0"),
    ]
    for number in range(components - len(parts)):
        machine, which = divmod(number, len(ON_A_MACHINE))
        kind = ON_A_MACHINE[which]
        name = f"{kind}-{number}" if named_apart else kind
        node = f"machine{machine + 1}"
        parts.append(Part(f"{name}@{node}", kind, node, f"zone {machine % zones}"))
    seen = set()
    flows = []
    while len(flows) < channels:
        client, server = chance.sample(range(components), 2)
        if chance.random() < 0.25:
            server = chance.choice((0, 1))
        # most channels stay within a zone, as in a real system
        elif parts[client].zone != parts[server].zone and chance.random() < 0.6:
            continue
        port = PORTS.get(parts[server].kind, 8443 if chance.random() < 0.5 else 8080)
        if client == server or (client, server, port) in seen:
            continue
        seen.add((client, server, port))
        flows.append(Flow(client, server, port, chance.random() < 0.5))
    return Shape(tuple(parts), tuple(flows))


def by_hand(made: Shape) -> str:
    """Return the model in labkit's format of a model by hand (JSON, which is also YAML)."""
    claims = ("encryption", "server_authentication", "client_authentication", "authorization")
    safe = dict(zip(claims, ("tls1.3", "verified", "required", "enforced"), strict=True))
    bare = dict(zip(claims, ("none", "none", "none", "allow-all"), strict=True))
    channels = [
        {
            "from": made.parts[flow.client].name,
            "to": made.parts[flow.server].name,
            "port": flow.port,
            "protocol": "https" if flow.safe else "http",
            **(safe if flow.safe else bare),
        }
        for flow in made.flows
    ]
    components = {
        part.name: {"kind": part.kind, "node": part.node, "zone": part.zone} for part in made.parts
    }
    document = {"name": "synthetic", "components": components, "channels": channels}
    return json.dumps(document, indent=1)
