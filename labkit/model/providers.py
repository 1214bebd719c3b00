"""The OpenID providers of an environment: their names, their clients, and what accounts may do."""

from __future__ import annotations

import json
from dataclasses import dataclass

from labkit.cluster.facts import Component, Environment
from labkit.cluster.syntax.source import Setting
from labkit.model.claims import Claim

__all__ = ["ID_TOKEN_LIFETIME", "Client", "Provider", "provider_of"]

#: Seconds for which an ID token of Canaille counts; there is no setting for it
#: (authlib/oidc/core/grants/_legacy.py, DEFAULT_EXPIRES_IN).
ID_TOKEN_LIFETIME = 3600

#: The accounts with which a provider of a lab starts, and its clients, as Canaille dumps them.
DIRECTORY, CLIENTS = "/etc/canaille/directory.json", "/etc/canaille/clients.json"
#: The permissions of Canaille with which an account gives groups any name.
MAKE_GROUPS = frozenset({"manage_own_groups", "manage_all_groups"})


@dataclass(frozen=True, slots=True)
class Client:
    """An application for which a provider makes ID tokens.

    Attributes
    ----------
    name : str
    redirect : str
        Where the provider sends a person back to.
    scope : str
    audiences : tuple of str
        Whom its tokens name: the applications that may accept them.
    """

    name: str
    redirect: str
    scope: str
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider.

    Attributes
    ----------
    component : labkit.cluster.Component
    issuer : Setting
    clients : tuple of Client
        The first one is the cluster's.
    """

    component: Component
    issuer: Setting
    clients: tuple[Client, ...]

    @property
    def client(self) -> Client | None:
        """The client with which people log in for the cluster."""
        return self.clients[0] if self.clients else None

    @property
    def registration(self) -> Claim:
        """Whether everybody may make an account: "allow-all" or "enforced"."""
        given = self.component.setting("enable-registration")
        if given.value == "true":
            return Claim("allow-all", "everybody may register", given.source)
        return Claim("enforced", "nobody may register", given.source)

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

    @property
    def access_token_seconds(self) -> int | None:
        """For how many seconds an access token counts; None if that is not known."""
        given = self.component.setting("access-token-expires-in").value
        return int(given) if given.isdecimal() else None

    def claims(
        self, person: str, client: Client, groups: tuple[str, ...] = (), *, access: bool = False
    ) -> dict[str, object]:
        """Return the claims of the token that a login at a client ends with.

        Parameters
        ----------
        person : str
            The account.
        client : Client
        groups : tuple of str
            The groups of the person at the provider.
        access : bool
            Of the access token, which is one of the same form here, and not of the ID token.

        Returns
        -------
        dict of str to object
            Times are seconds since the login; ``exp`` is missing if it is not known, and
            ``groups`` if the person is in none.
        """
        found: dict[str, object] = {"aud": list(client.audiences), "sub": person, "iat": 0}
        if groups:
            found["groups"] = list(groups)
        seconds = self.access_token_seconds if access else ID_TOKEN_LIFETIME
        return found if seconds is None else {**found, "exp": seconds}

    def starts_in(self, person: str, env: Environment) -> tuple[str, ...]:
        """Return the groups in which a person is when the lab starts."""
        file = env.node(self.component.node).files.get(DIRECTORY)
        listed = json.loads(file.read_text()).get("group", ()) if file else ()
        return tuple(it["display_name"] for it in listed if person in it["members"])


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
            return Provider(it, issuer, _clients(env, it))
    return None


def _clients(env: Environment, it: Component) -> tuple[Client, ...]:
    """Return the clients of a provider; none if their file is missing or cannot be read."""
    file = env.node(it.node).files.get(CLIENTS)
    if file is None:
        return ()
    try:
        return tuple(
            Client(
                name=str(each["client_id"]),
                redirect=str(each["redirect_uris"][0]),
                scope=" ".join(each["scope"]),
                audiences=tuple(map(str, each["audience"])),
            )
            for each in json.loads(file.read_text())["client"]
        )
    except (ValueError, LookupError, TypeError):
        return ()
