"""The machines of a lab, as containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.networks import Network

from labkit.cluster import Environment, Node
from labkit.errors import EngineError, LabError, NameTaken
from labkit.lab.engine import LABEL, lab_filter, labels
from labkit.lab.machine import FileSpec, write_files

__all__ = ["container_name", "create_node", "create_nodes", "find_nodes", "remove_lab"]

#: What systemd, a container runtime and a kubelet need, by name, on top of Docker's defaults.
#: Not among them, and so out of reach of whatever breaks out of a pod: SYS_MODULE, SYS_RAWIO,
#: SYS_TIME, SYS_BOOT. SYS_RESOURCE is left out because some engines cannot give it.
CAPABILITIES = (
    "SYS_ADMIN",
    "NET_ADMIN",
    "NET_BROADCAST",
    "SYS_PTRACE",
    "SYS_NICE",
    "SYSLOG",
    "IPC_LOCK",
    "DAC_READ_SEARCH",
    "LINUX_IMMUTABLE",
    "LEASE",
)
UNCONFINED = ("seccomp=unconfined", "apparmor=unconfined")


@dataclass(frozen=True)
class Settings:
    """How a container is made: in the terms of Docker's API, of HostConfig and beside it."""

    host: Mapping[str, Any]
    own: Mapping[str, Any]


MACHINE = Settings(
    host={
        "CapAdd": list(CAPABILITIES),
        "SecurityOpt": list(UNCONFINED),
        # What "systempaths=unconfined" is to the command line.
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "CgroupnsMode": "private",
        "Tmpfs": {"/run": "exec", "/tmp": ""},  # noqa: S108
        "Devices": [
            {"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/kmsg", "CgroupPermissions": "rwm"}
        ],
    },
    own={"stop_signal": "SIGRTMIN+3"},
)
#: Default capabilities and nothing more: what any container on a shared network has.
OUTSIDER = Settings(host={"Init": True}, own={"command": ["sleep", "infinity"], "entrypoint": []})

#: Folders that must not lie on the overlay of the container itself.
VOLUMES = {
    "etcd": ("/var/lib/etcd",),
    "worker": ("/var/lib/containerd", "/var/lib/docker"),
}


def container_name(name: str, mode: str, node: str) -> str:
    """Return the name of a machine's container.

    Examples
    --------
    >>> container_name("default", "insecure", "etcd1")
    'labkit-default-insecure-etcd1'
    """
    return f"labkit-{name}-{mode}-{node}"


def create_node(
    client: docker.DockerClient,
    network: Network,
    image: str,
    env: Environment,
    node: Node,
    *,
    name: str,
    addresses: dict[str, str],
    files: Sequence[FileSpec],
) -> Container:
    """Create and start one machine.

    Parameters
    ----------
    client : docker.DockerClient
    network : docker.models.networks.Network
    image : str
        The node image's tag.
    env : Environment
    node : Node
    name : str
        The lab's name.
    addresses : dict of str to str
        The address of every machine.
    files : sequence of FileSpec
        What is written into it before it starts.

    Returns
    -------
    docker.models.containers.Container

    Raises
    ------
    NameTaken
        A container that is not this lab's has the machine's name.
    EngineError
        The engine cannot run it, for instance for want of a capability.
    """
    title = container_name(name, env.name, node.name)
    own = labels(name, env.name, node=node.name, role=node.role)
    binds: dict[str, Mapping[str, str]] = {}
    for path in VOLUMES.get(node.role, ()):
        volume = f"{title}{path.replace('/', '-')}"
        client.volumes.create(volume, labels=own)
        binds[volume] = {"bind": path, "mode": "rw"}
    api: Any = client.api
    endpoint = api.create_endpoint_config(ipv4_address=addresses[node.name], aliases=[node.name])
    settings = OUTSIDER if node.role == "attacker" else MACHINE
    try:
        created = api.create_container(
            image,
            name=title,
            hostname=node.name,
            labels=own,
            environment={"container": "docker"},
            networking_config=api.create_networking_config({network.name: endpoint}),
            host_config={
                **api.create_host_config(
                    network_mode=network.name,
                    extra_hosts={n: a for n, a in addresses.items() if n != node.name},
                    binds=binds,
                ),
                **settings.host,
            },
            **settings.own,
        )
        container = client.containers.get(created["Id"])
        write_files(container, files)
        container.start()
    except APIError as error:
        raise _explained(error, title) from error
    return container


def create_nodes(
    client: docker.DockerClient,
    network: Network,
    image: str,
    env: Environment,
    name: str,
    addresses: dict[str, str],
    files: Mapping[str, Sequence[FileSpec]],
) -> None:
    """Create and start all machines of a lab, at once; see :func:`create_node`."""
    with ThreadPoolExecutor(max_workers=len(env.nodes)) as pool:
        started = [
            pool.submit(
                create_node,
                client,
                network,
                image,
                env,
                node,
                name=name,
                addresses=addresses,
                files=files[node.name],
            )
            for node in env.nodes
        ]
    for future in started:
        future.result()


def _explained(error: APIError, title: str) -> NameTaken | EngineError:
    said = str(error.explanation or error)
    if "is already in use by container" in said:
        return NameTaken(
            f"the name {title} is taken by a container that is not this lab's",
            evidence=[said],
            hint=f"docker rm {title}, or choose another name with --name",
        )
    if "caps" in said or "operation not permitted" in said.lower():
        return EngineError(
            f"the engine cannot give {title} a capability that a machine needs",
            evidence=[said, f"asked for: {', '.join(CAPABILITIES)}"],
            hint="labkit doctor",
        )
    return EngineError(f"the engine could not run {title}", evidence=[said], hint="labkit doctor")


def find_nodes(
    client: docker.DockerClient, name: str | None = None, mode: str | None = None
) -> list[Container]:
    """Return the machines of one lab, or of every lab, running or not."""
    found = client.containers.list(all=True, filters=lab_filter(name, mode), ignore_removed=True)
    return sorted(found, key=lambda c: (c.labels[LABEL], c.name or ""))


def remove_lab(client: docker.DockerClient, name: str, mode: str) -> int:
    """Remove everything of a lab: machines, volumes, network. Nothing there is no error.

    Parameters
    ----------
    client : docker.DockerClient
    name, mode : str

    Returns
    -------
    int
        How many things were removed.
    """
    nodes = find_nodes(client, name, mode)
    with ThreadPoolExecutor(max_workers=8) as pool:
        removed = sum(pool.map(_remove_container, nodes))
    things: list[Any] = [
        *client.volumes.list(filters=lab_filter(name, mode)),
        *client.networks.list(filters=lab_filter(name, mode)),
    ]
    for thing in things:
        try:
            thing.remove()
            removed += 1
        except NotFound:
            pass
        except APIError as error:
            raise LabError(
                f"{thing.name} of lab {name!r} ({mode}) cannot be removed",
                evidence=[str(error.explanation or error)],
                hint=f"labkit down --name {name} --mode {mode}, once nobody brings it up; "
                "else restart Docker Engine",
            ) from error
    return removed


def _remove_container(container: Container) -> int:
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return 0
    except APIError as error:
        if error.status_code != 409:  # somebody else is removing it already
            raise
    return 1
