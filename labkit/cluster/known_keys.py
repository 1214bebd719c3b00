"""The keys of the configuration files that kubelet and kube-proxy decode strictly.

``make flags`` writes the tables in ``data/keys``: it asks the programs in the lab's image, and a
lab test compares the tables with them. A table is read on first use.

https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

__all__ = ["FOLDER", "key_table", "known_keys"]

FOLDER = Path(__file__).with_name("data") / "keys"


@cache
def known_keys(kind: str) -> Mapping[tuple[str, ...], frozenset[str]]:
    """Return the keys of each mapping in a kind of file, by the path of the mapping.

    Parameters
    ----------
    kind : str
        "KubeletConfiguration" or "KubeProxyConfiguration".

    Returns
    -------
    mapping of tuple of str to frozenset of str

    Examples
    --------
    >>> keys = known_keys("KubeletConfiguration")
    >>> "authentication" in keys[()], sorted(keys["authentication", "anonymous"])
    (True, ['enabled'])
    """
    found: dict[tuple[str, ...], set[str]] = {}
    for path in key_table(kind):
        *parents, key = path.split(".")
        found.setdefault(tuple(parents), set()).add(key)
    return {parents: frozenset(keys) for parents, keys in found.items()}


def key_table(kind: str) -> tuple[str, ...]:
    """Return the keys of a kind of file as dotted paths, in the order of the table.

    Parameters
    ----------
    kind : str
        "KubeletConfiguration" or "KubeProxyConfiguration".

    Returns
    -------
    tuple of str
    """
    lines = (FOLDER / f"{kind}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))
