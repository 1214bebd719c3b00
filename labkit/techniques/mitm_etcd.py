"""Be etcd for the apiserver: get what it stores, before it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.techniques import _middle
from labkit.techniques._etcd import as_apiserver
from labkit.techniques._middle import Trap
from labkit.techniques._talks import annotated

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]


def call(lab: Lab) -> None:
    """Make the apiserver store something."""
    with annotated(lab, "service", "shop", "web"):
        pass


def well(lab: Lab) -> str:
    """Show that etcd answers the apiserver when nobody is in the way."""
    as_apiserver(lab, "get", "/registry/services/specs/shop/web", "--keys-only")
    return "the true etcd answers to the apiserver's certificate"


TECHNIQUE = _middle.technique(
    "mitm-etcd",
    "Be etcd for the apiserver",
    Trap(
        about="kube-apiserver@* -> etcd@*",
        call=call,
        wanted="/registry/",
        read="what the apiserver asks of etcd; any answer to it could have been made up",
        well=well,
    ),
    stride=("spoofing", "tampering", "information disclosure"),
    sources=("https://etcd.io/docs/latest/op-guide/security/",),
)
