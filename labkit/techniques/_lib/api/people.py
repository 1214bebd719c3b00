"""Requests to the apiserver with the ID token of a person of the OpenID provider."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.lab.provider import log_in
from labkit.model import Foothold
from labkit.techniques._lib.api.access import IDENTITY, api_url, identity
from labkit.techniques._lib.machines.reach import Answer, request
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.technique import COPIED_CREDENTIAL

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["PERSON", "ask_who", "new_token", "person_is_known"]

#: A person of the provider whom nobody attacks by her account there.
PERSON = "alice"
#: Where the lab's own people have the provider's authority.
AUTHORITY = "/etc/kubernetes/pki/oidc-ca.crt"
#: Seconds until an apiserver that has just started knows the provider's keys: it asks every
#: ten seconds (pkg/authenticator/token/oidc/oidc.go, New).
PATIENCE = 30.0
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


def ask_who(lab: Lab, foothold: Foothold, token: str) -> Answer:
    """Ask the apiserver as whom it knows a token."""
    body = json.dumps(REVIEW).encode()
    return request(lab, api_url(lab, IDENTITY), foothold=foothold, body=body, token=token)


def new_token(lab: Lab, client: str = "", kind: str = "id_token") -> str:
    """Return the token that the provider makes when the person logs in to an application.

    Parameters
    ----------
    lab : Lab
    client : str
        The application's name at the provider; without it, the cluster.
    kind : {"id_token", "access_token"}

    Raises
    ------
    ProbeError
        The provider refuses them, or does not answer.
    """
    master = next(node.name for node in lab.environment.nodes if node.role == "master")

    def logged_in() -> dict[str, str]:
        said = log_in(lab, master, PERSON, client=client, kind=kind, authority=AUTHORITY)
        return {} if "error" in said else said

    # a provider that was restarted takes some seconds until it listens
    said = wait_for(lab, logged_in, PATIENCE, f"{PERSON} cannot log in: no answer")
    if "refused" in said:
        raise ProbeError(f"{PERSON} cannot log in: {said['refused']}")
    return said[kind]


def person_is_known(lab: Lab, token: str = "") -> str:
    """Show that a person of the provider logs in and is known to the apiserver: the control.

    Parameters
    ----------
    lab : Lab
    token : str
        The ID token of a login just now; without it, the person logs in.

    Returns
    -------
    str

    Raises
    ------
    ProbeError
        The provider or the apiserver refuses them.
    """
    token = token or new_token(lab)

    def known() -> str:
        answer = ask_who(lab, COPIED_CREDENTIAL, token)
        return "" if answer.refusal == "HTTP 401" else identity(answer)[0]

    user = wait_for(lab, known, PATIENCE, f"the apiserver does not know {PERSON}'s token")
    return f"{PERSON} logs in with TLS verified, and the apiserver knows {user}"
