"""Read a secret on its way from one etcd member to another.

Each member sends its log, with every secret, to the others. The attacker needs a foothold on the
cluster network, where they poison the ARP caches of two members. They read the secret if the
peers speak plaintext and the secret is not encrypted at rest. TLS between the members stops it,
and so does encryption at rest.
"""

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
        # a follower asks the leader for the log once, then only receives
        pushed=True,
        before=rewrite_secret,
        payload=stores_plaintext,
        leaves=("annotation",),
        machines=("etcd2",),
    ),
    grants=(SECRETS,),
)
