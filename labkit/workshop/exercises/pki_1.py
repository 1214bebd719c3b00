"""Predict what a control of etcd's certificates and users stops alone."""

from __future__ import annotations

from labkit.workshop.exercises._flips import flips

__all__ = ["EXERCISE"]

EXERCISE = flips(
    "pki-1",
    "Which certificate opens what?",
    "06-pki",
    "insecure",
    ("apiserver-anonymous", "docker-client-auth", "etcd-own-ca", "etcd-users"),
    (
        "csr-masters",
        "csr-self-approve",
        "docker-client-certificate",
        "docker-tls-no-client-auth",
        "etcd-any-certificate",
        "etcd-forge-credential",
    ),
    (
        "A CA of its own protects etcd only if etcd demands certificates.",
        "To approve one's own request, one has to be allowed to send it.",
        "A client's key opens nothing where no listener asks for it. A control may add one.",
    ),
    {
        "apiserver-anonymous": ("csr-self-approve",),
        "docker-client-auth": ("docker-client-certificate",),
        "etcd-own-ca": (),
        "etcd-users": ("etcd-any-certificate", "etcd-forge-credential"),
    },
)
