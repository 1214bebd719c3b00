"""The OpenID provider makes accounts only for people that somebody knows."""

from __future__ import annotations

from labkit.cluster.edits import Edit
from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model
from labkit.model.providers import provider_of

__all__ = ["CONTROL"]

FILE = "/etc/canaille/canaille.toml"


def on() -> tuple[Edit, ...]:
    """Return the edit after which nobody can register."""
    return (file_from("oidc", FILE, "provider"),)


def off() -> tuple[Edit, ...]:
    """Return the edit after which everybody can register."""
    return (file_from("oidc-insecure", FILE, "provider"),)


def holds(model: Model) -> bool:
    """Say whether the control is in place; without a provider, there are no accounts."""
    provider = provider_of(model.environment)
    return provider is None or provider.registration.value == "enforced"


CONTROL = Control(
    name="oidc-registration",
    title="Nobody registers at the OpenID provider by themselves",
    why="Every account there is an authenticated user of the cluster, with a name of its choice.",
    on=on,
    off=off,
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
