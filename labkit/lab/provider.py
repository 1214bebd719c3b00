"""Log in at the OpenID provider of a lab, as a person of it does."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from labkit import agents
from labkit.errors import LabError
from labkit.model.providers import DIRECTORY, Provider, provider_of

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["log_in", "required_provider"]

#: Seconds for a login, on an idle machine.
DEADLINE = 30.0
#: Canaille's access tokens say in which second they were made, and must differ: a person's second
#: login in one second fails. Seconds to wait before each attempt.
SAME_SECOND, PAUSES = "UNIQUE constraint failed: token.access_token", (0.0, 1.0, 1.0)


def required_provider(lab: Lab) -> Provider:
    """Return the OpenID provider of a lab.

    Parameters
    ----------
    lab : Lab

    Returns
    -------
    Provider

    Raises
    ------
    LabError
        The lab has none, or it has no client.
    """
    found = provider_of(lab.environment)
    if found is None or found.client is None:
        raise LabError(f"{lab.mode} has no OpenID provider", hint="labkit up --mode oidc-insecure")
    return found


def log_in(
    lab: Lab,
    node: str,
    user: str,
    *,
    client: str = "",
    kind: str = "id_token",
    authority: str = "",
    group: str = "",
    leave: str = "",
    register: bool = False,
) -> dict[str, str]:
    """Log in at the provider from a machine of the lab, and return what came of it.

    Parameters
    ----------
    lab : Lab
    node : str
        The machine of the person's client.
    user : str
        The account; its password is read from the provider, and never shown.
    client : str
        The application that the person uses, by its name at the provider; without it, the cluster.
    kind : {"id_token", "access_token"}
        Which token of the provider's answer is returned.
    authority : str
        The path on the machine of the CA by which the client knows the provider; without it, the
        client does not look.
    group : str
        A group that the person creates before.
    leave : str
        A group that the person deletes, instead of asking for a token.
    register : bool
        Whether the person makes the account first, with a password of this moment.

    Returns
    -------
    dict of str to str
        The token under its name, or ``refused`` or ``error`` with a reason.

    Raises
    ------
    LabError
        The lab has no provider, the account or the client does not exist, or the provider is no
        machine of it.
    CommandFailed
        The login did not end in time.
    """
    provider = required_provider(lab)
    used = next((it for it in provider.clients if client in ("", it.name)), None)
    if used is None:
        raise LabError(f"the provider of {lab.mode} has no client {client}")
    if urlsplit(provider.issuer.value).hostname not in lab.addresses:
        raise LabError(f"{provider.issuer.value} is no machine of this lab: nothing is sent there")
    password = secrets.token_urlsafe(16) if register else _password(lab, provider, user)
    wanted = {
        "issuer": provider.issuer.value,
        "client": used.name,
        "redirect": used.redirect,
        "scope": used.scope,
        "token": kind,
        "user": user,
        "password": password,
        "authority": authority,
        "group": group,
        "leave": leave,
        "register": "yes" if register else "",
    }
    found: dict[str, str] = {}
    for pause in PAUSES:
        time.sleep(pause)
        output = lab.exec(
            node,
            agents.argv("oidc_login"),
            stdin=json.dumps(wanted).encode(),
            timeout=DEADLINE * lab.stretch(),
        )
        found = json.loads(output.stdout)
        if SAME_SECOND not in found.get("refused", ""):
            break
        wanted["group"] = wanted["register"] = ""  # they are there already
    return found


def _password(lab: Lab, provider: Provider, user: str) -> str:
    """Return the password with which an account starts."""
    listed = json.loads(lab.exec(provider.component.node, ["cat", DIRECTORY]).stdout)
    for it in listed["user"]:
        if it["user_name"] == user:
            return str(it["password"])
    raise LabError(f"the provider of {lab.mode} starts without an account {user}")
