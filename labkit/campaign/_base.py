"""The Setting class: one thing of a configuration that can vary, with its values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from labkit.cluster import Environment
from labkit.cluster.edits import PLAN, Edit, Flag, Key, TmpfilesLine, Whole

__all__ = ["Edits", "Setting", "every", "file_mode", "flag", "key", "manifest"]

MODES = ("insecure", "hardened")
Edits: TypeAlias = tuple[Edit, ...] | Callable[[Environment], tuple[Edit, ...]]


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing of a configuration that can vary.

    It says nothing of the result: the model predicts it, and the lab answers.

    Parameters
    ----------
    name : str
        The component and its flag or key, the file, or the object.
    values : mapping of str to tuple of Edit, or callable
        The edits for each value. A function takes the plain environment and returns them.
    modes : tuple of str
        The modes whose files the edits fit.

    Examples
    --------
    >>> setting = flag("master", "kube-apiserver", "anonymous-auth", "false")
    >>> [edit.value for edit in setting.values["false"]]
    ['false']
    """

    name: str
    values: Mapping[str, Edits] = field(repr=False)
    modes: tuple[str, ...] = MODES

    def edits(self, value: str, plain: Environment) -> tuple[Edit, ...]:
        """Return the edits for one value.

        Parameters
        ----------
        value : str
            One of `values`.
        plain : Environment
            The environment of the mode, without edits.

        Returns
        -------
        tuple of Edit
        """
        edits = self.values[value]
        return edits(plain) if callable(edits) else edits


def flag(
    role: str,
    component: str,
    name: str,
    *values: str | None,
    also: tuple[Edit, ...] = (),
    modes: tuple[str, ...] = MODES,
) -> Setting:
    """Return the setting of a flag of a component.

    Parameters
    ----------
    role : str
        The role of its machines.
    component : str
        Its unit, without ``.service``.
    name : str
        The flag, without the two hyphens.
    *values : str or None
        The values; None stands for no such flag.
    also : tuple of Edit
        What every value needs beside the flag.
    modes : tuple of str

    Returns
    -------
    Setting

    Examples
    --------
    >>> list(flag("etcd", "etcd", "client-cert-auth", "false", None).values)
    ['false', 'absent']
    """
    edits: dict[str, Edits] = {}
    for value in values:
        edit = Flag(role, f"{component}.service", name, value)
        edits["absent" if value is None else value] = (*also, edit)
    return Setting(f"{component} --{name}", edits, modes)


def key(
    role: str, path: str, name: str, *values: object, modes: tuple[str, ...] = MODES
) -> Setting:
    """Return the setting of a key of a YAML file.

    Parameters
    ----------
    role : str
        The role of the machines with the file.
    path : str
        The file on them.
    name : str
        Keys joined by dots.
    *values : object
        The values; None stands for no such key.
    modes : tuple of str

    Returns
    -------
    Setting

    Examples
    --------
    >>> list(key("worker", "/etc/kubernetes/kubelet.yaml", "readOnlyPort", 0, None).values)
    ['0', 'absent']
    """
    edits: dict[str, Edits] = {}
    for value in values:
        word = str(value).lower() if isinstance(value, bool) else str(value)
        edits["absent" if value is None else word] = (Key(role, path, name, value),)
    return Setting(f"{path.rpartition('/')[2]} {name}", edits, modes)


def file_mode(
    role: str, rules: str, path: str, *rights: str, modes: tuple[str, ...] = MODES
) -> Setting:
    """Return the setting of a file's mode and owner.

    Parameters
    ----------
    role : str
        The role of the machines with the file.
    rules : str
        The tmpfiles.d file. In each of the modes, it must have a line that covers the path: the
        lab returns to that.
    path : str
        The file or folder.
    *rights : str
        Mode, owner and group: ``0640 root docker``.
    modes : tuple of str

    Returns
    -------
    Setting

    Examples
    --------
    >>> setting = file_mode("master", "kubernetes", "/etc/kubernetes/admin.conf", "0640 root root")
    >>> setting.values["0640 root root"][0].line
    'z /etc/kubernetes/admin.conf 0640 root root'
    """
    file = f"/etc/tmpfiles.d/{rules}.conf"
    values: dict[str, Edits] = {
        right: (TmpfilesLine(role, file, path, f"z {path} {right}"),) for right in rights
    }
    return Setting(f"{role} {path}", values, modes)


def manifest(name: str, texts: Mapping[str, str], modes: tuple[str, ...] = MODES) -> Setting:
    """Return the setting of objects that are added to the cluster.

    Parameters
    ----------
    name : str
        The setting's name; the file's name is made from it.
    texts : mapping of str to str
        The YAML documents, by value.
    modes : tuple of str

    Returns
    -------
    Setting

    Examples
    --------
    >>> setting = manifest("pod extra", {"none": "kind: Pod"})
    >>> setting.values["none"][0].path
    'manifests/campaign-pod-extra.yaml'
    """
    word = "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")
    path = f"manifests/campaign-{word}.yaml"
    return Setting(
        name, {value: (Whole(PLAN, path, text),) for value, text in texts.items()}, modes
    )


def every(items: Iterable[Setting]) -> dict[str, Setting]:
    """Return settings by their names.

    Parameters
    ----------
    items : iterable of Setting

    Returns
    -------
    dict of str to Setting

    Raises
    ------
    ValueError
        Two settings have the same name.
    """
    found: dict[str, Setting] = {}
    for item in items:
        if item.name in found:
            raise ValueError(f"two settings are named {item.name}")
        found[item.name] = item
    return found
