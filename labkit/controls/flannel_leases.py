"""Each worker may write only the lease of its own network in etcd."""

from __future__ import annotations

from labkit.cluster.edits import Edit, Flag
from labkit.controls._base import Control
from labkit.controls._etcd import CA, ETCD, clients, serve_tls, users
from labkit.controls._files import file_from
from labkit.model import Model
from labkit.model.decision import DENIED
from labkit.model.etcd_rights import KeyRange, etcd_client, etcd_may

__all__ = ["CONTROL"]

LEASES = KeyRange.prefix("/coreos.com/network/subnets/")


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    env = model.environment
    found = [
        etcd_may(
            env,
            env.component(channel.server),
            etcd_client(
                env,
                env.component(channel.server),
                env.component(channel.client),
                channel.credential,
            ),
            "write",
            LEASES,
        )
        for channel in model.open_channels("flanneld@* -> etcd@*")
    ]
    return bool(found) and all(it.value == DENIED for it in found)


def _on() -> tuple[Edit, ...]:
    return (
        *serve_tls(),
        *clients(),
        Flag("etcd", ETCD, "client-cert-auth", "true"),
        Flag("etcd", ETCD, "trusted-ca-file", CA),
        file_from("hardened", "etcd-auth.yaml"),
    )


CONTROL = Control(
    name="flannel-leases",
    title="Each worker may write only the lease of its own network in etcd",
    why="Root on a worker cannot draw the packets of the other workers to itself.",
    on=_on,
    off=users(),
    holds=holds,
    changes="authorization of flanneld@* -> etcd@*:2379: a user and a role for each worker",
    stops=("flannel-lease",),
    references=(
        "etcd documentation: Role-based access control",
        "flannel documentation: Reservations",
    ),
)
