"""Predict which setting lets a machine in the middle in."""

from __future__ import annotations

from labkit.workshop.exercises._flips import flips

__all__ = ["EXERCISE"]

EXERCISE = flips(
    "middle-1",
    "One client that does not verify",
    "05-machine-in-the-middle",
    "hardened",
    ("apiserver-ca-pinned", "etcd-client-tls", "kubelet-apiserver-tls", "tls-min-version"),
    ("mitm-apiserver", "mitm-etcd", "mitm-kubelet"),
    (
        "A machine in the middle needs one client that accepts any server.",
        "In plaintext no client can verify its server.",
        "An old version of TLS is weak in other ways. It still has certificates.",
    ),
    {
        "apiserver-ca-pinned": ("mitm-apiserver",),
        "etcd-client-tls": ("mitm-etcd",),
        "kubelet-apiserver-tls": ("mitm-apiserver",),
        "tls-min-version": (),
    },
)
