"""Read a secret on the apiserver's way to etcd."""

from __future__ import annotations

from labkit.techniques._lib.stores.etcd import keeps_plaintext
from labkit.techniques._lib.technique import SECRETS
from labkit.techniques._lib.wire import listen as _listen
from labkit.techniques._lib.wire.listen import Tap
from labkit.techniques._lib.wire.traffic import secret_settled, secret_written

__all__ = ["TECHNIQUE"]

TECHNIQUE = _listen.technique(
    "eavesdrop-etcd",
    "Read a secret on its way from the apiserver to etcd",
    Tap(
        "kube-apiserver@* -> etcd@*",
        secret_written,
        plaintext="plaintext gRPC, the secret is in it",
        before=secret_settled,
        sealed=keeps_plaintext,
    ),
    grants=(SECRETS,),
)
