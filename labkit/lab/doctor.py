"""Check whether this machine and its Docker Engine can run a lab."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import docker
from docker.errors import APIError

from labkit.errors import LabkitError
from labkit.lab.engine import connect
from labkit.lab.images import find_node_image, node_image_tag
from labkit.lab.isolation import trial
from labkit.lab.nodes import CAPABILITIES, UNCONFINED
from labkit.lab.status import UNKNOWN, list_labs

__all__ = ["Check", "doctor"]

GIB = 1 << 30
#: The fix of a lab that reaches the host.
LOOPBACK = "bind every service of the host to 127.0.0.1, or run labs in a virtual machine"
INOTIFY = "/proc/sys/fs/inotify/max_user_instances"
#: The number of inotify instances that the machines of two labs take (measured).
PAIR = 112
#: Bytes that two labs, the images and one build take.
DISK, MEMORY = 12 * GIB, 6 * GIB


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes
    ----------
    name : str
        What was checked.
    ok : bool
    detail : str
        The value that was found.
    fix : str
        What to do if the check failed.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""


def doctor(client: docker.DockerClient | None = None) -> list[Check]:
    """Check everything that a lab needs.

    Parameters
    ----------
    client : docker.DockerClient, optional
        The engine; by default the one that ``DOCKER_HOST`` names.

    Returns
    -------
    list of Check
        In the order in which they depend on each other. The list ends at the engine if the engine
        does not answer.

    Examples
    --------
    >>> failed = [check.name for check in doctor() if not check.ok]  # doctest: +SKIP
    """
    return list(_checks(client))


def _checks(client: docker.DockerClient | None) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or later")
    try:
        client = connect(client)
    except LabkitError as error:
        fix = "make lab (on Debian or Ubuntu, as root), or install and start Docker Engine"
        yield Check("Docker Engine", False, " ".join(error.evidence) or error.message, fix)
        return
    info = client.info()
    server = client.version()
    yield Check("Docker Engine", True, f"{server['Version']}, API {server['ApiVersion']}")
    api = tuple(int(part) for part in server["ApiVersion"].split("."))
    yield Check("Engine API", api >= (1, 41), server["ApiVersion"], "Docker Engine 20.10 or later")
    kind = info.get("OSType", "?")
    yield Check("Engine runs Linux containers", kind == "linux", kind, "switch to Linux containers")
    arch = info.get("Architecture", "?")
    yield Check("Architecture", arch in ("x86_64", "aarch64"), arch, "use x86_64 or aarch64")
    cgroup = f"v{info.get('CgroupVersion', '1')}, driver {info.get('CgroupDriver', '?')}"
    yield Check("cgroup", True, cgroup)
    memory = info.get("MemTotal", 0)
    detail = f"{memory / GIB:.1f} GiB for the engine"
    yield Check("Memory", memory >= MEMORY, detail, "give the engine 6 GiB or more")
    root = info.get("DockerRootDir", "/")
    try:
        free = shutil.disk_usage(root).free
        fix = "make room: docker system df"
        yield Check("Disk", free >= DISK, f"{free / GIB:.0f} GiB free at {root}", fix)
    except OSError:
        yield Check("Disk", True, f"not checked: {root} is not on this machine")
    tag = find_node_image(client)
    fix = "labkit image build, or labkit image load FILE"
    yield Check("Node image", tag is not None, tag or f"{node_image_tag()} is missing", fix)
    if tag:
        yield from _inside(client, tag)
        yield _host(client, tag)
    for lab in list_labs(client):
        ok = lab.state == "ready" and not lab.reached
        options = f"--name {lab.name} --mode {lab.mode}"
        fix = f"labkit up {options}, or labkit down {options}"
        if lab.reached:
            fix = f"labkit down {options}; {LOOPBACK}"
        yield Check(f"Lab {lab.name} ({lab.mode})", ok, "; ".join(lab.warnings) or lab.state, fix)


def _inside(client: docker.DockerClient, image: str) -> Iterator[Check]:
    """Start a short-lived container with the rights of a machine, and check its limits."""
    try:
        said = client.containers.run(
            image,
            entrypoint="",
            command=["cat", INOTIFY],
            remove=True,
            network_mode="none",
            cap_add=list(CAPABILITIES),
            security_opt=list(UNCONFINED),
        )
    except (APIError, LabkitError) as error:
        refused = str(getattr(error, "explanation", error))
        fix = "use an engine that is not confined (rootful Docker Engine)"
        yield Check("Capabilities", False, refused[:200], fix)
        return
    yield Check("Capabilities", True, f"all {len(CAPABILITIES)} capabilities of a machine")
    instances = int(said)
    fix = "sudo sysctl fs.inotify.max_user_instances=1024"
    detail = f"{instances} instances for each user; two labs take {PAIR}"
    yield Check("inotify", instances >= 4 * PAIR, detail, fix)


def _host(client: docker.DockerClient, image: str) -> Check:
    """Test whether the host answers a lab's network."""
    name = "Host out of reach"
    try:
        answered = trial(client, image)
    except (APIError, LabkitError) as error:
        return Check(name, False, str(getattr(error, "explanation", error))[:300], LOOPBACK)
    detail = f"{', '.join(answered)} answered a lab" if answered else "nothing answered a lab"
    if UNKNOWN in answered:
        detail = "the test had no result, because its containers did not reach each other"
    return Check(name, not answered, detail, LOOPBACK)
