"""Predict what protects flannel's network in etcd."""

from __future__ import annotations

from labkit.workshop.exercises._flips import flips

__all__ = ["EXERCISE"]

EXERCISE = flips(
    "flannel-1",
    "flannel's certificate",
    "07-etcd-peers-and-flannel",
    "hardened",
    ("etcd-client-cert-auth", "etcd-client-tls", "etcd-peer-tls", "etcd-users", "flannel-leases"),
    ("eavesdrop-flannel", "etcd-forge-credential", "flannel-lease"),
    (
        "A worker's lease says where the packets of its pods go. Who may write another's lease?",
        "etcd knows a user by the name in its certificate. Without certificates it has no users.",
        "What is read on the wire needs no rights in etcd.",
    ),
    {
        "etcd-client-cert-auth": ("etcd-forge-credential", "flannel-lease"),
        "etcd-client-tls": ("eavesdrop-flannel", "etcd-forge-credential", "flannel-lease"),
        "etcd-peer-tls": (),
        "etcd-users": ("etcd-forge-credential", "flannel-lease"),
        "flannel-leases": ("flannel-lease",),
    },
)
