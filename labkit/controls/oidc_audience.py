"""ID tokens for another application do not name the cluster."""

from __future__ import annotations

from labkit.cluster.edits import Edit
from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model
from labkit.model.id_tokens import takes_id_tokens
from labkit.model.providers import CLIENTS, provider_of

__all__ = ["CONTROL"]


def on() -> tuple[Edit, ...]:
    """Return the edit after which each application's tokens name it alone."""
    return (file_from("oidc", CLIENTS, "provider"),)


def off() -> tuple[Edit, ...]:
    """Return the edit after which tokens for the portal name the cluster as well."""
    return (file_from("oidc-insecure", CLIENTS, "provider"),)


def holds(model: Model) -> bool:
    """Say whether the control is in place; of a provider that is no machine, nothing is known."""
    provider = provider_of(model.environment)
    if provider is None:
        return not takes_id_tokens(model.environment)
    own = provider.client
    if own is None:
        return False
    return all(own.name not in it.audiences for it in provider.clients if it is not own)


CONTROL = Control(
    name="oidc-audience",
    title="ID tokens for another application do not name the cluster",
    why="Who runs an application, or reads its logs, holds the tokens of the people who use it.",
    on=on,
    off=off,
    holds=holds,
    changes="whose ID tokens the apiserver accepts",
    stops=("oidc-shared-audience",),
    references=(
        "OpenID Connect Core 1.0, 3.1.3.7: ID Token Validation",
        "Kubernetes documentation: Authenticating, OpenID Connect Tokens",
    ),
    machines=("idp",),
    modes=("oidc-insecure", "oidc-hardened"),
)
