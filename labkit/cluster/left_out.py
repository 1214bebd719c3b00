"""The files of an environment whose topology leaves machines of another one out.

A light lab has the configuration of a full one, without its second and third member of etcd and
without its second worker. Nobody writes that configuration again: what names a machine that is left
out goes from the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from labkit.cluster.facts import File
from labkit.cluster.topology import Machine, Topology

__all__ = ["forget_machines", "without_files"]

#: A word with values that are separated by commas; before them, perhaps a flag or a variable.
LISTED = re.compile(r"(?<!\S)(--[\w-]+=|[A-Z_]+=)?([^\s,\"']+(?:,[^\s,\"']+)+)(?!\S)")


def without_files(files: Mapping[str, File], topology: Topology) -> dict[str, File]:
    """Return files without what they say of the machines that a topology leaves out.

    Parameters
    ----------
    files : mapping of str to File
        By their paths.
    topology : Topology

    Returns
    -------
    dict of str to File
        A file with the name of such a machine, as ``worker2.env``, is not among them. The lines of
        all others keep their numbers.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> files = read_environment("light-insecure").node("worker1").files
    >>> [path for path in files if path.startswith("/etc/flannel/worker")]
    ['/etc/flannel/worker1.env']
    """
    names = [it.name for it in topology.left_out]
    if not names:
        return dict(files)
    heirs = {it.name: _heir(it, topology.machines) for it in topology.left_out}
    found = {}
    for path, file in files.items():
        if PurePosixPath(path).stem in names:
            continue
        found[path] = file
        if any(name.encode() in file.read_bytes() for name in names):
            old = file.read_text()
            new = forget_machines(old, heirs)
            if new != old:
                found[path] = replace(file, changed=new.encode())
    return found


def _heir(machine: Machine, machines: Sequence[Machine]) -> str:
    """Return the first machine of the same role; empty if the role has no other."""
    return next((it.name for it in machines if it.role == machine.role), "")


def forget_machines(text: str, heirs: Mapping[str, str]) -> str:
    """Return a file's text without what names machines that are left out.

    Of values that are separated by commas, those that name such a machine go, unless all do. A pod
    that is bound to such a machine is bound to its heir.

    Parameters
    ----------
    text : str
    heirs : mapping of str to str
        For each machine that is left out, the one that gets its pods; "" for none.

    Returns
    -------
    str

    Examples
    --------
    >>> forget_machines("--servers=http://a:1,http://b:1 --v=2", {"b": "a"})
    '--servers=http://a:1 --v=2'
    >>> forget_machines("  nodeName: b", {"b": "a"})
    '  nodeName: a'
    """
    named = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, heirs))})(?![\w.-])")

    def shorter(match: re.Match[str]) -> str:
        kept = [item for item in match[2].split(",") if not named.search(item)]
        return f"{match[1] or ''}{','.join(kept)}" if kept else match[0]

    text = LISTED.sub(shorter, text)
    for name, heir in heirs.items():
        if heir:
            text = re.sub(rf"(?m)^(\s*nodeName: *){re.escape(name)}$", rf"\g<1>{heir}", text)
    return text
