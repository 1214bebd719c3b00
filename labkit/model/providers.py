"""The OpenID providers of an environment: their names, their clients, and what accounts may do."""

from __future__ import annotations

import json
from dataclasses import dataclass

from labkit.cluster.facts import Component, Environment
from labkit.cluster.syntax.source import Setting
from labkit.model.claims import Claim

__all__ = ["Client", "Provider", "provider_of"]

#: The accounts and the clients with which a provider of a lab starts, as Canaille dumps them.
DIRECTORY = "/etc/canaille/directory.json"
#: The permissions of Canaille with which an account gives groups any name.
MAKE_GROUPS = frozenset({"manage_own_groups", "manage_all_groups"})


@dataclass(frozen=True, slots=True)
class Client:
    """An application for which a provider makes ID tokens.

    Attributes
    ----------
    name : str
        The audience of its tokens.
    redirect : str
        Where the provider sends a person back to.
    scope : str
    """

    name: str
    redirect: str
    scope: str


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider.

    Attributes
    ----------
    component : labkit.cluster.Component
    issuer : Setting
    client : Client or None
    """

    component: Component
    issuer: Setting
    client: Client | None

    @property
    def groups_by_accounts(self) -> Claim:
        """Whether every account may make groups of any name: "allow-all" or "enforced"."""
        given = self.component.values("permissions")
        for item in given:
            for name in item.value.split(","):
                if name in MAKE_GROUPS:
                    return Claim("allow-all", f"every account has {name}", item.source)
        source = given[0].source if given else self.component.source
        return Claim("enforced", "accounts make no groups", source)


def provider_of(env: Environment) -> Provider | None:
    """Return the OpenID provider of an environment, or None.

    Parameters
    ----------
    env : Environment

    Returns
    -------
    Provider or None

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> found = provider_of(read_environment("oidc-hardened"))
    >>> found.issuer.value, found.client.name, found.groups_by_accounts.value
    ('https://idp:8443', 'kubernetes', 'allow-all')
    >>> provider_of(read_environment("hardened"))
    """
    for it in env.components:
        if it.kind == "canaille":
            name, scheme = it.setting("server-name"), it.setting("preferred-url-scheme")
            issuer = Setting(f"{scheme.value}://{name.value}", name.source)
            return Provider(it, issuer, _client(env, it))
    return None


def _client(env: Environment, it: Component) -> Client | None:
    """Return the first client of the provider's directory."""
    file = env.node(it.node).files.get(DIRECTORY)
    if file is None:
        return None
    try:
        entry = json.loads(file.read_text())["client"][0]
        words = (entry["client_id"], entry["redirect_uris"][0], " ".join(entry["scope"]))
    except (ValueError, LookupError, TypeError):
        return None
    return Client(*map(str, words))
