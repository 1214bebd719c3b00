"""Helpers of the techniques with service account tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold
from labkit.techniques._lib.api.access import api_url
from labkit.techniques._lib.api.ask import ask
from labkit.techniques._lib.machines.admin import create
from labkit.techniques._lib.machines.reach import Answer, request
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = [
    "KEY",
    "NAME",
    "NAMESPACE",
    "PATH",
    "new_token",
    "new_token_is_known",
    "present",
]

#: The secret to ask for.
NAMESPACE, NAME, KEY = "shop", "db-credentials", "password"
PATH = f"/api/v1/namespaces/{NAMESPACE}/secrets/{NAME}"

REQUEST = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}


def new_token(lab: Lab, namespace: str, account: str, bound_to: str = "") -> str:
    """Create a token of a service account as the administrator, with the same API as the kubelet.

    It can be bound to a Secret of the same namespace, and becomes invalid with it.
    """
    spec: dict[str, object] = {}
    if bound_to:
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Secret", "name": bound_to}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return str(create(lab, path, {**REQUEST, "spec": spec})["status"]["token"])


def present(
    lab: Lab, technique: str, foothold: Foothold, token: str, whose: str, control: Callable[[], str]
) -> Verdict:
    """Ask the apiserver for a secret with a token, and return the verdict."""
    secret = true_secret(lab, NAMESPACE, NAME, KEY)

    def proof(answer: Answer) -> str:
        if not secret.found_in(answer.body):
            raise ProbeError("the apiserver answered, but not with the secret")
        return f"with {whose}, read: {secret.proof}"

    url = api_url(lab, PATH)
    return ask(lab, technique, foothold, url, token=token, proof=proof, control=control)


def new_token_is_known(lab: Lab, foothold: Foothold, account: str) -> str:
    """Show that the apiserver accepts a new token of the account: the positive control.

    Raises
    ------
    ProbeError
        The new token is refused, too.
    """
    made = new_token(lab, NAMESPACE, account)
    answer = request(lab, api_url(lab, PATH), foothold=foothold, token=made)
    if answer.refusal not in ("", "HTTP 403"):
        raise ProbeError(f"a new token of {NAMESPACE}/{account} is refused, too: {answer.refusal}")
    if answer.refusal:
        lab.api("GET", PATH)
        return "a new token of the same account is known there; the administrator reads the secret"
    return "a new token of the same account, made for the apiserver, reads it"
