"""Read a secret on its way between the members of etcd."""

from __future__ import annotations

from labkit.techniques._lib.stores.etcd import keeps_plaintext
from labkit.techniques._lib.technique import SECRETS
from labkit.techniques._lib.wire import listen as _listen
from labkit.techniques._lib.wire.listen import Tap
from labkit.techniques._lib.wire.traffic import secret_settled, secret_written

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
