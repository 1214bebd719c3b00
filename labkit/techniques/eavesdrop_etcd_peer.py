"""Read a secret on its way between the members of etcd."""

from __future__ import annotations

from labkit.techniques import _listen
from labkit.techniques._base import SECRETS
from labkit.techniques._etcd import keeps_plaintext
from labkit.techniques._listen import Tap
from labkit.techniques._talks import secret_settled, secret_written

__all__ = ["TECHNIQUE"]

TECHNIQUE = _listen.technique(
    "eavesdrop-etcd-peer",
    "Read a secret that etcd's members replicate",
    Tap(
        "etcd@* -> etcd@*:2380",
        secret_written,
        plaintext="plaintext HTTP, the secret is in it",
        # a follower has asked the leader for its log long before, and then only listens
        pushed=True,
        before=secret_settled,
        sealed=keeps_plaintext,
    ),
    grants=(SECRETS,),
)
