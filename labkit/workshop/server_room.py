"""What JupyterHub needs for a room: the image of a participant's Jupyter, networks, passwords.

``workshop/jupyterhub_config.py`` uses it.
"""

from __future__ import annotations

import io
import json
import secrets
import tarfile
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException
from docker.types import IPAMConfig, IPAMPool

from labkit.errors import ConfigError, EngineError, ImageError
from labkit.lab.images import find_node_image
from labkit.lab.network import candidates
from labkit.lab.progress import ProgressStep, Reporter
from labkit.resources import server_room_dir, state_dir
from labkit.workshop.bundle import download, own_wheel
from labkit.workshop.linked_pages import with_pages
from labkit.workshop.participants import participants_notebooks

__all__ = [
    "IMAGE",
    "ROOM",
    "jupyter_of",
    "make_image",
    "passwords_file",
    "passwords_of",
    "prepare",
    "remove_jupyters",
]

#: The image of a participant's Jupyter.
IMAGE = "labkit/jupyter:latest"
#: The label of the participants' Jupyters, their networks and their volumes: the workshop.
ROOM = "labkit.room"
#: The Python of the node image (Debian 13).
PYTHON = "3.13"


def make_image(client: docker.DockerClient, report: Reporter, tag: str = IMAGE) -> str:
    """Build the image of a participant's Jupyter from the node image; needs a network for pip.

    Only pip on this machine uses the network: the build itself has none.

    Parameters
    ----------
    client : docker.DockerClient
        The engine, which must have the node image.
    report : Reporter
        Shows the steps.
    tag : str
        The name of the image.

    Returns
    -------
    str
        The name of the image.

    Raises
    ------
    ImageError
        The node image is missing, or the build failed.
    ConfigError
        A package cannot be had.
    """
    node = find_node_image(client)
    if node is None:
        raise ImageError("the node image is missing", hint="labkit image build")
    with tempfile.TemporaryDirectory(prefix="labkit-jupyter-") as name:
        wheels = Path(name, "wheels")
        own = own_wheel(wheels, report)
        wanted = [f"{own}[notebooks]", "jupyterhub", "pip"]
        download(wheels, PYTHON, wanted, report)
        with report.step(f"build {tag}") as step:
            _build(client, _context(wheels), node, tag, step)
    return tag


def _context(wheels: Path) -> bytes:
    """Return the build context: the Dockerfile, the wheels, the participants' notebooks."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(server_room_dir() / "Dockerfile", "Dockerfile")
        tar.add(wheels, "wheels")
        for name, data in with_pages(participants_notebooks()).items():
            info = tarfile.TarInfo(f"notebooks/{name}")
            info.size, info.mode, info.mtime = len(data), 0o644, int(time.time())
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _build(
    client: docker.DockerClient, context: bytes, node: str, tag: str, step: ProgressStep
) -> None:
    lines: list[str] = []
    try:
        events: Iterable[dict[str, Any]] = client.api.build(
            fileobj=io.BytesIO(context),
            custom_context=True,
            tag=tag,
            buildargs={"NODE": node},
            network_mode="none",
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in events:
            said = str(event.get("error") or event.get("stream") or "").strip()
            lines += said.splitlines()
            step.line(lines[-1] if lines else "")
            if "error" in event:
                raise ImageError(f"{tag} could not be built", evidence=lines[-8:])
    except DockerException as error:
        raise ImageError(f"{tag} could not be built", evidence=[str(error)[:300]]) from error


def jupyter_of(name: str) -> str:
    """Return the name of a participant's Jupyter, of its network and of its volume.

    Parameters
    ----------
    name : str
        The participant.

    Returns
    -------
    str

    Examples
    --------
    >>> jupyter_of("p01")
    'labkit-jupyter-p01'
    """
    return f"labkit-jupyter-{name}"


def prepare(client: docker.DockerClient, name: str, workshop: str) -> str:
    """Create the network and the volume of a participant's Jupyter, if they do not exist.

    Each participant has a network of their own, so that one Jupyter does not reach another. It is
    internal: it has no way out of this machine.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    name : str
        The participant.
    workshop : str
        The workshop, as a label of both.

    Returns
    -------
    str
        Their name.

    Raises
    ------
    EngineError
        The engine does not make the network.
    """
    title, labels = jupyter_of(name), {ROOM: workshop}
    client.volumes.create(title, labels=labels)
    if client.networks.list(names=[f"^{title}$"], filters={"label": f"{ROOM}={workshop}"}):
        return title
    said = ""
    for subnet in candidates(name, "jupyter"):
        try:
            client.networks.create(
                title,
                driver="bridge",
                internal=True,
                labels=labels,
                ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))]),
                check_duplicate=True,
            )
        except APIError as error:
            said = str(error.explanation)
            if "overlap" not in said:
                break
        else:
            return title
    raise EngineError(f"the network {title} cannot be made", evidence=[said[:300]])


def remove_jupyters(client: docker.DockerClient, workshop: str) -> int:
    """Remove the participants' Jupyters and their networks; the volumes with their work stay.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    workshop : str
        The workshop; not "".

    Returns
    -------
    int
        The number of removed containers and networks.
    """
    wanted: dict[str, Any] = {"label": f"{ROOM}={workshop}"}
    containers = client.containers.list(all=True, filters=wanted, ignore_removed=True)
    for container in containers:
        container.remove(force=True)
    networks = client.networks.list(filters=wanted)
    for network in networks:
        network.remove()
    return len(containers) + len(networks)


def passwords_of(workshop: str, names: Iterable[str]) -> dict[str, str]:
    """Return the participants' passwords; make those that are missing.

    They are kept in a file that only this user can read, so they stay when the Hub starts again.

    Parameters
    ----------
    workshop : str
        The workshop.
    names : iterable of str
        The participants.

    Returns
    -------
    dict of str to str
        By the participant's name.

    Raises
    ------
    ConfigError
        The file cannot be read or written.
    """
    file = passwords_file(workshop)
    try:
        known = json.loads(file.read_text()) if file.exists() else {}
        found = {name: known.get(name) or secrets.token_urlsafe(9) for name in names}
        if known != (both := known | found):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(json.dumps(both, indent=1) + "\n")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the passwords in {file} cannot be used: {error}", hint=f"rm {file}, for new ones"
        ) from error
    return found


def passwords_file(workshop: str) -> Path:
    """Return the file of a workshop's passwords.

    Parameters
    ----------
    workshop : str

    Returns
    -------
    pathlib.Path
    """
    return state_dir() / "workshop" / f"{workshop}.passwords.json"
