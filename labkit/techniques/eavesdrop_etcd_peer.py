"""Read a secret on its way between the members of etcd."""

from __future__ import annotations

from labkit.techniques._lib.stores.etcd import stores_plaintext
from labkit.techniques._lib.technique import SECRETS
from labkit.techniques._lib.wire import eavesdropping
from labkit.techniques._lib.wire.eavesdropping import EavesdropTarget
from labkit.techniques._lib.wire.traffic import rewrite_secret, secret_written

__all__ = ["TECHNIQUE"]

TECHNIQUE = eavesdropping.technique(
    "eavesdrop-etcd-peer",
    "Read a secret that etcd's members replicate",
    EavesdropTarget(
        "etcd@* -> etcd@*:2380",
        secret_written,
        plaintext="plaintext HTTP, the secret is in it",
        # a follower has asked the leader for its log long before, and then only listens
        pushed=True,
        before=rewrite_secret,
        payload=stores_plaintext,
    ),
    grants=(SECRETS,),
)
