"""Read a secret on its way from the apiserver to etcd.

The attacker needs a foothold on the cluster network, where they poison the ARP caches of the
apiserver and etcd. The apiserver sends the whole secret to etcd each time the secret changes.
They read it if the channel is plaintext and the secret is not encrypted before it is stored. TLS
between the apiserver and etcd stops it. Encryption at rest stops it too, because the apiserver
encrypts before it sends.
"""

from __future__ import annotations

from labkit.techniques._lib.stores.etcd import stores_plaintext
from labkit.techniques._lib.technique import SECRETS
from labkit.techniques._lib.wire import eavesdropping
from labkit.techniques._lib.wire.eavesdropping import EavesdropTarget
from labkit.techniques._lib.wire.traffic import rewrite_secret, secret_written

__all__ = ["TECHNIQUE"]

TECHNIQUE = eavesdropping.technique(
    "eavesdrop-etcd",
    "Read a secret on its way from the apiserver to etcd",
    EavesdropTarget(
        "kube-apiserver@* -> etcd@*",
        secret_written,
        plaintext="plaintext gRPC, the secret is in it",
        before=rewrite_secret,
        payload=stores_plaintext,
        leaves=("annotation",),
    ),
    grants=(SECRETS,),
)
