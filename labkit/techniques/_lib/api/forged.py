"""What an attacker asks the apiserver with a certificate that they forged in etcd."""

from __future__ import annotations

from collections.abc import Sequence

from labkit.model import Model
from labkit.techniques._lib.api.access import ASK_IDENTITY, caller_at, signed_as
from labkit.techniques._lib.stores.forge import GROUP, USER
from labkit.techniques._lib.technique import NETWORK, Prediction, SentRequest

__all__ = ["requests_after"]


def requests_after(model: Model, written: Prediction) -> Sequence[SentRequest]:
    """Return the questions who one is, without and with the certificate, once it was signed."""
    nobody = caller_at(model.environment, NETWORK)
    return [
        SentRequest(nobody, ASK_IDENTITY, written),
        SentRequest(signed_as(USER, GROUP), ASK_IDENTITY, written),
    ]
