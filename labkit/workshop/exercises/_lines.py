"""Lines of the configuration of `hardened` that somebody changes, and the claims that change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from labkit.cluster import read_environment
from labkit.cluster.edits import Edit
from labkit.loading import load_model
from labkit.model import PROPERTIES, Channel, read_model

__all__ = ["NAMES", "UNITS", "changed_claims"]

KUBELET, PROXY = "/etc/kubernetes/kubelet.yaml", "/etc/kubernetes/kube-proxy.conf"
#: The files that the lines stand in, by the component that reads them.
UNITS: Mapping[str, str] = MappingProxyType(
    {
        "kube-apiserver": "kube-apiserver.service",
        "etcd": "etcd.service",
        "kubelet": KUBELET,
        "kube-proxy": PROXY,
    }
)
#: The four properties of a channel, as the exercises list them.
NAMES = ", ".join(f"`{name}`" for name in PROPERTIES)


def changed_claims(edit: Edit) -> Iterator[tuple[Channel, str]]:
    """Yield the claims of `hardened` that an edit changes.

    Parameters
    ----------
    edit : Edit

    Yields
    ------
    channel : Channel
        As it was before the edit.
    property : str
        The property whose value differs after the edit.

    Examples
    --------
    >>> from labkit.cluster.edits import Flag
    >>> edit = Flag("master", UNITS["kube-apiserver"], "anonymous-auth", "true")
    >>> {name for _, name in changed_claims(edit)}
    {'client_authentication'}
    """
    after = {it.id: it for it in read_model(read_environment("hardened", (edit,))).channels}
    for channel in load_model("hardened").channels:
        now = after[channel.id]
        for name in PROPERTIES:
            if getattr(channel, name).value != getattr(now, name).value:
                yield channel, name
