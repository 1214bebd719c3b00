"""The connection to Docker Engine, and the labels of everything in a lab."""

from __future__ import annotations

from typing import Any

import docker
from docker.errors import DockerException

from labkit.errors import EngineError

__all__ = ["LABEL", "connect", "lab_filter", "labels"]

#: The label that every container, network and volume of a lab carries: the lab's name.
LABEL = "labkit.lab"
#: Seconds for the engine's first answer, and for every later one: to stop a machine takes long.
FIRST_ANSWER_S, ANSWER_S = 10, 120


def connect(client: docker.DockerClient | None = None) -> docker.DockerClient:
    """Return a client of a Docker Engine that answers.

    Parameters
    ----------
    client : docker.DockerClient, optional
        A client to check; by default one for the engine that ``DOCKER_HOST`` names.

    Returns
    -------
    docker.DockerClient
        A client whose engine has just answered.

    Raises
    ------
    EngineError
        No engine answers.

    Examples
    --------
    >>> connect().version()["Version"]  # doctest: +SKIP
    '27.5.1'
    """
    try:
        client = client or docker.from_env(timeout=FIRST_ANSWER_S, max_pool_size=64)
        client.api.timeout = FIRST_ANSWER_S
        client.ping()
        client.api.timeout = ANSWER_S
    except (DockerException, OSError) as error:
        raise EngineError(
            "Docker Engine does not answer",
            evidence=[str(error).splitlines()[0][:300]],
            hint="labkit doctor",
        ) from error
    return client


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
    return {LABEL: name, "labkit.mode": mode, **{f"labkit.{k}": v for k, v in more.items()}}


def lab_filter(name: str | None = None, mode: str | None = None) -> dict[str, Any]:
    """Return the filter that finds the containers, volumes and networks of one lab, or of all.

    Parameters
    ----------
    name, mode : str, optional
        The lab's name and mode; by default every name and every mode.

    Returns
    -------
    dict
        A value for the argument ``filters`` of the Docker SDK's list functions.

    Examples
    --------
    >>> lab_filter("default")
    {'label': ['labkit.lab=default']}
    """
    wanted = [f"{LABEL}={name}" if name else LABEL]
    if mode:
        wanted.append(f"labkit.mode={mode}")
    return {"label": wanted}
