"""The OpenID provider makes accounts only for people that somebody knows."""

from __future__ import annotations

from labkit.cluster.edits import Key
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.id_tokens import takes_id_tokens
from labkit.model.providers import provider_of

__all__ = ["CONTROL"]

FILE, KEY = "/etc/canaille/canaille.toml", "CANAILLE.ENABLE_REGISTRATION"


def holds(model: Model) -> bool:
    """Say whether the control is in place; of a provider that is no machine, nothing is known."""
    provider = provider_of(model.environment)
    if provider is None:
        return not takes_id_tokens(model.environment)
    return provider.registration.value == "enforced"


CONTROL = Control(
    name="oidc-registration",
    title="Nobody registers at the OpenID provider by themselves",
    why="Every account there is an authenticated user of the cluster, with a name of its choice.",
    on=lambda: (Key("provider", FILE, KEY, False),),
    off=lambda: (Key("provider", FILE, KEY, True),),
    holds=holds,
    changes="who can get an ID token that the apiserver accepts",
    stops=("oidc-user-collision",),
    references=(
        "Canaille documentation: configuration, ENABLE_REGISTRATION",
        "Kubernetes documentation: Authenticating, OpenID Connect Tokens",
    ),
    machines=("idp",),
    modes=("oidc-insecure", "oidc-hardened"),
)
