"""Read bearer tokens that the apiserver sends to its token webhook.

An apiserver with a token webhook sends every bearer token that it does not know itself to another
server: TokenReview holds the token as it is. The attacker needs a foothold on the cluster network,
where they poison the ARP caches of both ends. Over plain HTTP they read the tokens, and whose each
is stands in the answer. TLS between the apiserver and the webhook stops it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.techniques._lib.api.webhooks import CHANNEL, who
from labkit.techniques._lib.machines.reach import legitimate
from labkit.techniques._lib.technique import COPIED_CREDENTIAL
from labkit.techniques._lib.wire import eavesdropping
from labkit.techniques._lib.wire.eavesdropping import EavesdropTarget, Traffic, nonce

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]


@contextmanager
def token_shown(lab: Lab) -> Iterator[Traffic]:
    """Show the apiserver a new bearer token.

    What a webhook said of a token, the apiserver remembers for two minutes, and does not ask
    again. A real attacker would wait.
    """
    token = nonce("bearer token")
    with legitimate():
        who(lab, COPIED_CREDENTIAL, token.value.decode())
    yield Traffic(
        token,
        "the bearer token that a caller showed the apiserver",
        "a caller showed the apiserver a bearer token during the capture",
    )


TECHNIQUE = replace(
    eavesdropping.technique(
        "eavesdrop-token-review",
        "Read bearer tokens on their way to the token webhook",
        EavesdropTarget(
            about=CHANNEL,
            traffic=token_shown,
            plaintext="plaintext HTTP, the token is in it",
            machines=("review",),
        ),
    ),
    modes=("hook-insecure", "hook-hardened"),
)
