"""Read a secret on the apiserver's way to etcd."""

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
    ),
    grants=(SECRETS,),
)
