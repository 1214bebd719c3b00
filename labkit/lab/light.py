"""Light labs in place of full ones: which environment is the light form of which."""

from __future__ import annotations

import docker

from labkit.errors import LabError, NoSuchLab
from labkit.lab.engine import connect
from labkit.lab.network import find_network
from labkit.lab.status import LabStatus
from labkit.resources import environments_dir

__all__ = ["error_of_absent", "full_form", "light_form", "light_lab_beside", "mode_that_is_up"]

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
    """Return a mode, or its light form if only light labs are there.

    Notebooks and exercises name the full modes, and work in light labs as well. Who has the light
    lab of another mode means the light one of this mode too, also while it is not up.

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
    if find_network(engine, name, mode) is not None:
        return mode
    if find_network(engine, name, light) is not None or light_lab_beside(light, name, engine):
        return light
    return mode


def light_lab_beside(mode: str, name: str, client: docker.DockerClient) -> str:
    """Return the light lab that is there of another mode, where no full lab is.

    Parameters
    ----------
    mode : str
        A light form.
    name : str
        The labs' name.
    client : docker.DockerClient

    Returns
    -------
    str
        Its mode; empty without one, if `mode` is a full form, or if one of the labs is a
        full one.
    """
    if full_form(mode) == mode:
        return ""
    lights = sorted(folder.name for folder in environments_dir().glob(f"{LIGHT}*"))
    others = [it for it in lights if it != mode and full_form(it) != it]
    if any(find_network(client, name, full_form(it)) is not None for it in others):
        return ""
    return next((it for it in others if find_network(client, name, it) is not None), "")


def error_of_absent(mode: str, name: str, client: docker.DockerClient) -> LabError:
    """Return the error of a command that needs a lab which is not there.

    Parameters
    ----------
    mode, name : str
        The lab's mode and name.
    client : docker.DockerClient

    Returns
    -------
    LabError
        Beside a light lab, its hint is the command that puts one in the other's place.
    """
    if other := light_lab_beside(mode, name, client):
        return NoSuchLab(
            f"{mode} is not up: {other} is",
            hint=f"labkit workshop switch {full_form(mode)}"
            f"{'' if name == 'default' else f' --name {name}'}",
        )
    return LabStatus(name, mode, "absent", {}).error()
