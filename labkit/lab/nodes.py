"""Create, find and remove the machines of a lab: containers with systemd."""

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
from labkit.errors import ConfigError, EngineError, LabError, NameTaken
from labkit.lab._recipe import IMAGES, recipe_tag
from labkit.lab.engine import ALL_LABS, LABEL, LOCK, MODE, NODE, ROLE, is_of, lab_filter, labels
from labkit.lab.machine import FileSpec, write_files
from labkit.lab.origin import FOLDER, WORKSHOP, of_workshop, origin

__all__ = [
    "container_name",
    "create_node",
    "create_nodes",
    "find_labs",
    "find_nodes",
    "image_of",
    "images_of",
    "labels_of",
    "remove_lab",
]

#: The capabilities that systemd, a container runtime and a kubelet need beyond Docker's defaults.
#: SYS_MODULE, SYS_RAWIO, SYS_TIME and SYS_BOOT are left out, so a breakout from a pod cannot use
#: them. SYS_RESOURCE is left out because some engines cannot give it.
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
    """The options of Docker's API for one container: its HostConfig, and all other options."""

    host: Mapping[str, Any]
    own: Mapping[str, Any]


#: Settings of the kernel that no namespace separates: they are the host's, so they are read-only.
#: Paths that a kernel does not have are left out by the engine.
HOST_SETTINGS = (
    *(f"/proc/sys/{part}" for part in ("abi", "debug", "dev", "fs", "kernel", "user", "vm")),
    *(f"/proc/{part}" for part in ("acpi", "asound", "bus", "fs", "irq", "mtrr", "scsi")),
    "/proc/sysrq-trigger",
    *(f"/sys/{part}" for part in ("block", "bus", "class", "dev", "devices", "firmware")),
    *(f"/sys/{part}" for part in ("hypervisor", "kernel", "module", "power")),
)
GIB = 1 << 30
#: The most memory (bytes) and the most processes of one machine, by its role: several times what
#: its components take. They keep a machine out of control from exhausting the host.
LIMITS: Mapping[str, tuple[int, int]] = {
    "etcd": (2 * GIB, 2048),
    "master": (4 * GIB, 4096),
    "worker": (4 * GIB, 8192),
    "attacker": (2 * GIB, 1024),
    "provider": (1 * GIB, 1024),
    "reviewer": (1 * GIB, 1024),
    "cloud": (1 * GIB, 1024),
    "monitor": (1 * GIB, 1024),
}
#: The limits of a machine of another role.
OTHER_LIMITS = (4 * GIB, 8192)

MACHINE = Settings(
    host={
        "CapAdd": list(CAPABILITIES),
        "SecurityOpt": list(UNCONFINED),
        "MaskedPaths": [],
        "ReadonlyPaths": list(HOST_SETTINGS),
        "CgroupnsMode": "private",
        "Tmpfs": {"/run": "exec", "/tmp": ""},  # noqa: S108
        "Devices": [
            {"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/kmsg", "CgroupPermissions": "rwm"}
        ],
    },
    own={"stop_signal": "SIGRTMIN+3"},
)
#: Docker's default capabilities only, as any container on a shared network has.
OUTSIDER = Settings(host={"Init": True}, own={"command": ["sleep", "infinity"], "entrypoint": []})
#: Docker's resolver forwards here what is no machine's name: to the machine itself, where no server
#: is. Without it, some engines ask the host's own servers, from the host.
NO_SERVER = "127.0.0.2"

#: Folders that need a volume, because they must not lie on the container's overlay file system.
VOLUMES = {
    "etcd": ("/var/lib/etcd",),
    "worker": ("/var/lib/containerd", "/var/lib/docker"),
}

#: The roles whose machines are made of an image of their own, which has the role's name.
OWN_IMAGES = frozenset(name for name, it in IMAGES.items() if it.starts_machines) - {"node"}


def images_of(env: Environment) -> list[str]:
    """Return the names of the images that an environment needs beside the node image.

    Parameters
    ----------
    env : Environment

    Returns
    -------
    list of str

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> images_of(read_environment("insecure")), images_of(read_environment("oidc-insecure"))
    ([], ['provider'])
    """
    return sorted({image_of(node) for node in env.nodes} - {"node"})


def image_of(node: Node) -> str:
    """Return the name of the image in the recipe that a machine is made of.

    Parameters
    ----------
    node : Node

    Returns
    -------
    str
        What its topology says; or else its role, if the recipe has an image of that name, or
        "node".

    Raises
    ------
    ConfigError
        Its topology names an image that starts no machines.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> [image_of(read_environment(f"{it}insecure").node("worker1")) for it in ("", "logs-")]
    ['node', 'monitor']
    """
    if node.image and node.image not in {*OWN_IMAGES, "node"}:
        known = ", ".join(sorted({*OWN_IMAGES, "node"}))
        raise ConfigError(
            f"no image {node.image!r} for {node.name}", hint=f"choose one of: {known}"
        )
    return node.image or (node.role if node.role in OWN_IMAGES else "node")


def container_name(name: str, mode: str, node: str) -> str:
    """Return the name of a machine's container.

    Parameters
    ----------
    name, mode : str
        The lab's name and mode.
    node : str
        The machine's name.

    Returns
    -------
    str

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
        The engine.
    network : docker.models.networks.Network
        The lab's network.
    image : str
        The node image's tag; a machine of another image (:func:`image_of`) has that one.
    env : Environment
        The environment of the lab.
    node : Node
        The machine.
    name : str
        The lab's name.
    addresses : dict of str to str
        The IPv4 address of every machine, by name.
    files : sequence of FileSpec
        The files to write before the machine starts.

    Returns
    -------
    docker.models.containers.Container

    Raises
    ------
    NameTaken
        A container of something else has the machine's name.
    EngineError
        The engine cannot run it, for example because it cannot give a capability.
    """
    title = container_name(name, env.name, node.name)
    made_from = {**origin(env), **of_workshop(network.attrs["Labels"])}
    own = labels(name, env.name, node=node.name, role=node.role, **made_from)
    binds: dict[str, Mapping[str, str]] = {}
    for path in VOLUMES.get(node.role, ()):
        volume = f"{title}{path.replace('/', '-')}"
        client.volumes.create(volume, labels=own)
        binds[volume] = {"bind": path, "mode": "rw"}
    api: Any = client.api
    endpoint = api.create_endpoint_config(ipv4_address=addresses[node.name], aliases=[node.name])
    settings = OUTSIDER if node.role == "attacker" else MACHINE
    if (other := image_of(node)) != "node":
        image = recipe_tag(other)
    memory, processes = LIMITS.get(node.role, OTHER_LIMITS)
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
                    dns=[NO_SERVER],
                    mem_limit=memory,
                    pids_limit=processes,
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
    """Create and start all machines of a lab at once.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    network : docker.models.networks.Network
        The lab's network.
    image : str
        The node image's tag.
    env : Environment
        The environment of the lab.
    name : str
        The lab's name.
    addresses : dict of str to str
        The IPv4 address of every machine, by name.
    files : mapping of str to sequence of FileSpec
        The files of each machine, by name.

    Raises
    ------
    NameTaken
        A container of something else has a machine's name.
    EngineError
        The engine cannot run a machine.
    """
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
            f"the name {title} is taken by a container that does not belong to this lab",
            evidence=[said],
            hint=f"docker rm {title}, or choose another name with --name",
        )
    if "caps" in said or "operation not permitted" in said.lower():
        return EngineError(
            f"the engine cannot give {title} a capability that a machine needs",
            evidence=[said, f"requested: {', '.join(CAPABILITIES)}"],
            hint="labkit doctor",
        )
    return EngineError(f"the engine could not run {title}", evidence=[said], hint="labkit doctor")


def find_nodes(client: docker.DockerClient, name: str, mode: str) -> list[Container]:
    """Return the machines of one lab, running or stopped.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    name, mode : str
        The lab's name and mode.

    Returns
    -------
    list of docker.models.containers.Container
        Sorted by name.

    Raises
    ------
    LabError
        The name or the mode is empty.
    """
    # without the lock: the engine answers late for a container in which it starts a process
    found = _containers(client, name, mode, NODE)
    return sorted(found, key=lambda container: container.name or "")


def find_labs(client: docker.DockerClient, workshop: str = "") -> list[tuple[str, str]]:
    """Return the name and the mode of every lab, also of one that lost its machines.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    workshop : str
        Only labs that were made for this workshop; "" for all labs.

    Returns
    -------
    list of tuple of str
        Sorted, without duplicates.
    """
    found = [
        *(container["Labels"] for container in client.api.containers(all=True, filters=ALL_LABS)),
        *(thing.attrs["Labels"] for thing in client.volumes.list(filters=ALL_LABS)),
        *(thing.attrs["Labels"] for thing in client.networks.list(filters=ALL_LABS)),
    ]
    named = {
        (own.get(LABEL), own.get(MODE))
        for own in found
        if own and (not workshop or own.get(WORKSHOP) == workshop)
    }
    return sorted((name, mode) for name, mode in named if name and mode)


def labels_of(client: docker.DockerClient, name: str, mode: str) -> list[Mapping[str, str]]:
    """Return the labels of the machines, the lock, the volumes and the network of a lab.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    name, mode : str
        The lab's name and mode.

    Returns
    -------
    list of mapping of str to str

    Raises
    ------
    LabError
        The name or the mode is empty.
    """
    wanted = lab_filter(name, mode)
    listed = client.api.containers(all=True, filters=wanted)
    found = [
        # others have no origin: the helper of a start, and a lock that an older version made
        *(one["Labels"] for one in listed if NODE in one["Labels"] or FOLDER in one["Labels"]),
        *(thing.attrs["Labels"] for thing in client.volumes.list(filters=wanted)),
        *(thing.attrs["Labels"] for thing in client.networks.list(filters=wanted)),
    ]
    return [own for own in found if is_of(own, name, mode)]


def _containers(client: docker.DockerClient, name: str, mode: str, *others: str) -> list[Container]:
    """Return the containers of a lab, or those that have other labels as well."""
    wanted = lab_filter(name, mode)
    wanted["label"].extend(others)
    listed = client.containers.list(all=True, filters=wanted, ignore_removed=True)
    return [container for container in listed if is_of(container.labels, name, mode)]


def remove_lab(client: docker.DockerClient, name: str, mode: str) -> int:
    """Remove the machines, volumes and network of a lab; do nothing if there is no such lab.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    name, mode : str
        The lab's name and mode.

    Returns
    -------
    int
        The number of removed containers, volumes and networks.

    Raises
    ------
    LabError
        The engine refuses to remove a volume or the network.
    docker.errors.APIError
        The engine refuses to remove a container.
    """
    # its lock is not a part of it, and removed by its own function
    containers = [c for c in _containers(client, name, mode) if c.labels.get(ROLE) != LOCK]
    with ThreadPoolExecutor(max_workers=8) as pool:
        removed = sum(pool.map(_remove_container, containers))
    things: list[Any] = [
        *client.volumes.list(filters=lab_filter(name, mode)),
        *client.networks.list(filters=lab_filter(name, mode)),
    ]
    for thing in things:
        if not is_of(thing.attrs["Labels"], name, mode):
            continue
        try:
            thing.remove()
            removed += 1
        except NotFound:
            pass
        except APIError as error:
            raise LabError(
                f"{thing.name} of lab {name!r} ({mode}) cannot be removed",
                evidence=[str(error.explanation or error)],
                hint=f"end every labkit process that uses the lab, then: labkit down --name {name} "
                f"--mode {mode}; if that fails too, restart Docker Engine",
            ) from error
    return removed


def _remove_container(container: Container) -> int:
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return 0
    except APIError as error:
        if error.status_code != 409:  # another process is removing it already
            raise
    return 1
