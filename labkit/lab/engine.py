"""The connection to Docker Engine, and the labels of everything in a lab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import docker
from docker.context import ContextAPI
from docker.errors import DockerException

from labkit.errors import ConfigError, EngineError, LabError

__all__ = [
    "ALL_LABS",
    "LABEL",
    "LOCK",
    "MODE",
    "NODE",
    "PREFIX",
    "ROLE",
    "STATUS",
    "connect",
    "is_of",
    "lab_filter",
    "labels",
]

#: The label that every container, network and volume of a lab carries: the lab's name.
LABEL = "labkit.lab"
#: The beginning of all labels.
PREFIX = "labkit."
#: The label with the lab's mode, on everything of a lab as well.
MODE = "labkit.mode"
#: The label of a machine: its name. Other containers of a lab have none.
NODE = "labkit.node"
#: The label with the role of a container, and the role of the one that holds the lab's lock.
ROLE, LOCK = "labkit.role", "lock"
#: What every part of every lab has.
ALL_LABS = {"label": [LABEL, MODE]}
#: The command that lists all labs.
STATUS = "labkit status --all"
#: Seconds for the engine's first answer, and for every later one: to stop a machine takes long.
FIRST_ANSWER_S, ANSWER_S = 10, 120


def connect(client: docker.DockerClient | None = None, context: str = "") -> docker.DockerClient:
    """Return a client of a Docker Engine that answers.

    Parameters
    ----------
    client : docker.DockerClient, optional
        A client to check; by default one for the engine that ``DOCKER_HOST`` names.
    context : str
        The name of a Docker context (``docker context ls``), whose engine is taken; "" for the
        default one.

    Returns
    -------
    docker.DockerClient
        A client whose engine has just answered.

    Raises
    ------
    ConfigError
        There is no such context, or its files cannot be read.
    EngineError
        No engine answers.

    Examples
    --------
    >>> connect().version()["Version"]  # doctest: +SKIP
    '27.5.1'
    """
    try:
        if context:
            client = docker.DockerClient(
                **_of_context(context), timeout=FIRST_ANSWER_S, max_pool_size=64
            )
        client = client or docker.from_env(timeout=FIRST_ANSWER_S, max_pool_size=64)
        client.api.timeout = FIRST_ANSWER_S
        client.ping()
        client.api.timeout = ANSWER_S
    except (DockerException, OSError) as error:
        raise EngineError(
            f"the Docker Engine of the context {context!r} does not answer"
            if context
            else "Docker Engine does not answer",
            evidence=[str(error).splitlines()[0][:300]],
            hint=f"docker --context {context} version" if context else "labkit doctor",
        ) from error
    return client


def _of_context(name: str) -> dict[str, Any]:
    """Return the address of a context's engine, and what TLS needs for it."""
    try:
        found = ContextAPI.get_context(name)
        # without an address, the SDK would take the default engine in silence
        host = found.Host if found else ""
        tls = found.TLSConfig if found else None
    except Exception as error:  # the SDK lets any error of a malformed file through
        raise ConfigError(
            f"the Docker context {name!r} cannot be read: {error}",
            hint=f"docker context inspect {name}",
        ) from error
    if not host:
        what = "there is no Docker context" if found is None else "no host in the Docker context"
        raise ConfigError(f"{what} {name!r}", hint="docker context ls")
    return {"base_url": host, "tls": tls} if tls else {"base_url": host}


def labels(name: str, mode: str, **more: str) -> dict[str, str]:
    """Return the labels of one container, volume or network of a lab.

    Parameters
    ----------
    name, mode : str
        The lab's name and mode.
    **more : str
        More labels, without their prefix ``labkit.``.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> labels("default", "insecure", node="etcd1")["labkit.node"]
    'etcd1'
    """
    return {LABEL: name, MODE: mode, **{f"{PREFIX}{k}": v for k, v in more.items()}}


def lab_filter(name: str, mode: str) -> dict[str, Any]:
    """Return the filter that finds the containers, volumes and networks of one lab.

    Parameters
    ----------
    name, mode : str
        The lab's name and mode; neither may be empty.

    Returns
    -------
    dict
        A value for the argument ``filters`` of the Docker SDK's list functions.

    Raises
    ------
    LabError
        The name or the mode is empty, so that the filter would find more than one lab.

    Examples
    --------
    >>> lab_filter("default", "insecure")
    {'label': ['labkit.lab=default', 'labkit.mode=insecure']}
    """
    if not name or not mode:
        raise LabError(f"no lab has the name {name!r} and the mode {mode!r}", hint=STATUS)
    return {"label": [f"{LABEL}={name}", f"{MODE}={mode}"]}


def is_of(found: Mapping[str, str] | None, name: str, mode: str) -> bool:
    """Say whether labels are those of a part of one lab.

    Parameters
    ----------
    found : mapping of str to str, or None
        The labels of a container, volume or network.
    name, mode : str
        The lab's name and mode.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_of(labels("default", "insecure"), "default", "hardened")
    False
    """
    return bool(name and mode and found and (found.get(LABEL), found.get(MODE)) == (name, mode))
