"""Light labs in place of full ones: which environment is the light form of which."""

from __future__ import annotations

import docker

from labkit.lab.engine import connect
from labkit.lab.network import find_network
from labkit.resources import environments_dir

__all__ = ["full_form", "light_form", "mode_that_is_up"]

LIGHT = "light-"


def light_form(mode: str) -> str:
    """Return the environment that is a mode on fewer machines.

    Parameters
    ----------
    mode : str
        The name of an environment.

    Returns
    -------
    str
        Empty if the mode has no light form.

    Examples
    --------
    >>> light_form("insecure"), light_form("light-insecure")
    ('light-insecure', '')
    """
    name = f"{LIGHT}{mode}"
    return name if (environments_dir() / name / "environment.yaml").is_file() else ""


def full_form(mode: str) -> str:
    """Return the mode of which an environment is the light form.

    Parameters
    ----------
    mode : str
        The name of an environment.

    Returns
    -------
    str
        The mode itself if it is no light form.

    Examples
    --------
    >>> full_form("light-insecure"), full_form("insecure")
    ('insecure', 'insecure')
    """
    full = mode.removeprefix(LIGHT)
    return full if light_form(full) == mode else mode


def mode_that_is_up(mode: str, name: str, client: docker.DockerClient | None = None) -> str:
    """Return a mode, or its light form if a lab is there in that form only.

    Notebooks and exercises name the full modes, and work in light labs as well.

    Parameters
    ----------
    mode : str
        The name of an environment, or the path of its folder.
    name : str
        The lab's name.
    client : docker.DockerClient, optional
        The engine; by default the one that ``DOCKER_HOST`` names.

    Returns
    -------
    str

    Raises
    ------
    EngineError
        Docker Engine does not answer.
    """
    light = light_form(mode)
    if not light:
        return mode
    engine = connect(client)
    if find_network(engine, name, mode) is None and find_network(engine, name, light) is not None:
        return light
    return mode
