"""What a lab was made from, as labels of everything in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from labkit.cluster import Environment
from labkit.errors import LabError
from labkit.lab.engine import PREFIX

__all__ = [
    "WORKSHOP",
    "complete",
    "is_made_from",
    "made_from_others",
    "may_be_of",
    "of_workshop",
    "origin",
    "origin_of",
]

FILES, FOLDER = f"{PREFIX}files", f"{PREFIX}folder"
MACHINES, KUBECONFIG = f"{PREFIX}machines", f"{PREFIX}kubeconfig"
#: The workshop that a lab was made for; other labs do not have this label.
WORKSHOP = f"{PREFIX}workshop"


def origin(env: Environment) -> dict[str, str]:
    """Return the labels that distinguish an environment from others, without their prefix.

    Parameters
    ----------
    env : Environment
        The environment, without edits.

    Returns
    -------
    dict of str to str
        ``files``, a hash of all that a lab is made from; ``folder``, the environment's path;
        ``machines``, the names and roles of a complete lab's machines; and ``kubeconfig``, the path
        on the master of the kubeconfig with which the apiserver is asked.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> sorted(origin(read_environment("insecure")))
    ['files', 'folder', 'kubeconfig', 'machines']
    """
    sha = hashlib.sha256()

    def add(*parts: str | bytes) -> None:
        # with their lengths, so that no two environments give the same bytes
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            sha.update(b"%d:" % len(data) + data)

    for node in env.nodes:
        add(node.name, node.role, str(node.host), str(len(node.files)))
        for path, file in sorted(node.files.items()):
            add(path, file.read_bytes())
    for secret in env.secrets:
        add(secret.namespace, secret.name, *secret.keys)
    for manifest in env.manifests:
        add(manifest.read_bytes())
    for layer in env.layers:
        for plan in sorted(layer.iterdir()):
            if plan.is_file():
                add(plan.name, plan.read_bytes())
    return {
        "files": sha.hexdigest()[:16],
        "folder": str(env.folder),
        "machines": " ".join(f"{node.name}={node.role}" for node in env.nodes),
        "kubeconfig": env.bootstrap_kubeconfig,
    }


def origin_of(found: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the labels of a lab that say what it was made from, without their prefix.

    Parameters
    ----------
    found : iterable of mapping of str to str
        The labels of the lab's machines.

    Returns
    -------
    dict of str to str
        Empty if the lab has none.

    Examples
    --------
    >>> origin_of([{"labkit.lab": "demo", "labkit.folder": "/srv/demo"}])
    {'folder': '/srv/demo'}
    """
    for own in found:
        return {
            label.removeprefix(PREFIX): own[label]
            for label in (FILES, FOLDER, MACHINES, KUBECONFIG, WORKSHOP)
            if label in own
        }
    return {}


def of_workshop(found: Mapping[str, str] | None) -> dict[str, str]:
    """Return the label that names the workshop of a lab, without its prefix.

    Parameters
    ----------
    found : mapping of str to str, or None
        The labels of a container, volume or network.

    Returns
    -------
    dict of str to str
        Empty if the lab was not made for a workshop.

    Examples
    --------
    >>> of_workshop({"labkit.lab": "p01", "labkit.workshop": "p"}), of_workshop(None)
    ({'workshop': 'p'}, {})
    """
    return {"workshop": found[WORKSHOP]} if found and found.get(WORKSHOP) else {}


def complete(found: Iterable[Mapping[str, str]]) -> tuple[dict[str, str], str]:
    """Return what a complete lab has, from the labels of what is left of it.

    Parameters
    ----------
    found : iterable of mapping of str to str
        The labels of the lab's machines.

    Returns
    -------
    roles : dict of str to str
        The role of each machine, by its name.
    kubeconfig : str
        The path on the master of the kubeconfig with which the apiserver is asked.

    Examples
    --------
    >>> complete([{"labkit.machines": "etcd1=etcd master=master", "labkit.kubeconfig": "/a"}])
    ({'etcd1': 'etcd', 'master': 'master'}, '/a')
    """
    known = origin_of(found)
    words = (word.partition("=") for word in known.get("machines", "").split())
    return {name: role for name, _, role in words}, known.get("kubeconfig", "")


def is_made_from(env: Environment, found: Iterable[Mapping[str, str]]) -> bool:
    """Say whether a lab was made from exactly the files that an environment has now.

    Parameters
    ----------
    env : Environment
        The environment, without edits.
    found : iterable of mapping of str to str
        The labels of the lab's machines.

    Returns
    -------
    bool
    """
    files = origin(env)["files"]
    return all(own.get(FILES) == files for own in found)


def may_be_of(env: Environment, found: Iterable[Mapping[str, str]]) -> bool:
    """Say whether a lab was made from an environment's folder, or from files like those in it.

    Parameters
    ----------
    env : Environment
        The environment, without edits.
    found : iterable of mapping of str to str
        The labels of the lab's machines.

    Returns
    -------
    bool
        False if another folder's lab has the same name and mode.
    """
    own = origin(env)
    return all(
        each.get(FILES) == own["files"] or each.get(FOLDER) == own["folder"] for each in found
    )


def made_from_others(
    env: Environment, name: str, mode: str, found: Iterable[Mapping[str, str]]
) -> LabError:
    """Return the error of a command whose environment is not the one that the lab was made from.

    Parameters
    ----------
    env : Environment
        The command's environment.
    name, mode : str
        The lab's name and mode.
    found : iterable of mapping of str to str
        The labels of the lab's machines.

    Returns
    -------
    LabError
    """
    folders = sorted({each.get(FOLDER, "not recorded") for each in found})
    evidence = [f"the lab's: {', '.join(folders)}", f"this command's: {env.folder}"]
    return LabError(
        f"lab {name} ({mode}) was made from other files",
        evidence=evidence,
        hint=f"give the environment a name of its own; or remove the lab: cd / && labkit down "
        f"--name {name} --mode {mode}",
    )
