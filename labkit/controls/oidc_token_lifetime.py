"""An access token of the OpenID provider counts for minutes."""

from __future__ import annotations

from labkit.cluster.edits import Key
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.id_tokens import takes_id_tokens
from labkit.model.providers import ID_TOKEN_LIFETIME, provider_of

__all__ = ["CONTROL"]

FILE = "/etc/canaille/canaille.toml"
KEY = "OAUTH2_TOKEN_EXPIRES_IN.authorization_code"


def holds(model: Model) -> bool:
    """Say whether the control is in place: whether access tokens expire no later than ID tokens."""
    provider = provider_of(model.environment)
    if provider is None:
        return not takes_id_tokens(model.environment)
    seconds = provider.access_token_seconds
    return seconds is not None and seconds <= ID_TOKEN_LIFETIME


CONTROL = Control(
    name="oidc-token-lifetime",
    title="An access token of the OpenID provider counts for minutes",
    why="The apiserver takes an access token for an ID token, and nobody can call a token back.",
    on=lambda: (Key("provider", FILE, KEY, 600),),
    off=lambda: (Key("provider", FILE, KEY, None),),
    holds=holds,
    changes="how long a stolen token counts",
    stops=("oidc-access-token",),
    references=(
        "RFC 6819, 5.1.5.3: Short Expiration Time",
        "Kubernetes documentation: Authenticating, OpenID Connect Tokens",
    ),
    machines=("idp",),
    modes=("oidc-insecure", "oidc-hardened"),
)
