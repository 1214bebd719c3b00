"""What the pods of the manifests carry that proves an identity: service account tokens."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.cluster.facts import Environment
from labkit.cluster.source import Setting, Source, is_true
from labkit.cluster.yamldoc import Document, read_documents
from labkit.model.claims import Claim

__all__ = ["account_of", "audience_in", "endless_tokens", "pods", "token_in"]

AUTOMOUNT = "automountServiceAccountToken"
TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105 - a type


def pods(env: Environment) -> tuple[tuple[str, str], ...]:
    """Return namespace and name of every pod of the manifests."""
    return tuple(
        (document.text("metadata", "namespace"), document.text("metadata", "name"))
        for document in _documents(env)
        if document.get("kind") == "Pod"
    )


def account_of(env: Environment, namespace: str, pod: str) -> str:
    """Return the name of a pod's service account.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> account_of(read_environment("insecure"), "shop", "web")
    'default'
    """
    owner = _object(env, "Pod", namespace, pod)
    return owner.text("spec", "serviceAccountName", default="default") if owner else "default"


def token_in(env: Environment, namespace: str, pod: str) -> Claim:
    """Say whether a pod is given a token: the pod decides, or else its service account.

    Returns
    -------
    Claim
        Its value is "mounted" or "none".

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> token_in(read_environment("insecure"), "shop", "web").value
    'mounted'
    """
    owner = _object(env, "Pod", namespace, pod)
    if owner is None:
        absent = Source("manifests", None, f"pod {namespace}/{pod} absent", default=True)
        return Claim("none", "there is no such pod", absent)
    said = owner.setting("spec", AUTOMOUNT)
    name = account_of(env, namespace, pod)
    if said is None and (account := _object(env, "ServiceAccount", namespace, name)):
        said = account.setting(AUTOMOUNT)
    absent = Source(owner.path, None, f"{AUTOMOUNT} absent", default=True)
    said = said or Setting("true", absent)
    word = "mounted" if is_true(said.value) else "none"
    return Claim(word, f"the token of {namespace}/{name}", said.source)


def audience_in(env: Environment, namespace: str, pod: str) -> Setting | None:
    """Return for whom the token is that a pod has projected into a volume; None without one.

    Without an audience of its own it is for the apiserver.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> audience_in(read_environment("hardened"), "shop", "reporter").value
    'collector'
    """
    owner = _object(env, "Pod", namespace, pod)
    if owner is None:
        return None
    for i, _ in enumerate(owner.sequence("spec", "volumes")):
        for j, _ in enumerate(owner.sequence("spec", "volumes", i, "projected", "sources")):
            at = ("spec", "volumes", i, "projected", "sources", j, "serviceAccountToken")
            if owner.get(*at) is not None:
                absent = Source(owner.path, None, "audience absent", default=True)
                return owner.setting(*at, "audience") or Setting("", absent)
    return None


def endless_tokens(env: Environment) -> dict[tuple[str, str], Setting]:
    """Return the Secrets that hold a token without an end, each with its service account.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> found = endless_tokens(read_environment("insecure"))
    >>> {key: account.value for key, account in found.items()}
    {('shop', 'reporter-token'): 'reporter'}
    """
    found = {}
    for document in _documents(env):
        if (document.get("kind"), document.get("type")) != ("Secret", TOKEN_TYPE):
            continue
        account = document.setting("metadata", "annotations", "kubernetes.io/service-account.name")
        key = (document.text("metadata", "namespace"), document.text("metadata", "name"))
        if account is not None:
            found[key] = account
    return found


def _object(env: Environment, kind: str, namespace: str, name: str) -> Document | None:
    wanted = (kind, namespace, name)
    found = None
    for document in _documents(env):
        about = (
            document.get("kind"),
            document.get("metadata", "namespace"),
            document.get("metadata", "name"),
        )
        found = document if about == wanted else found
    return found


def _documents(env: Environment) -> Iterator[Document]:
    for file in env.manifests:
        for document in read_documents(file.read_text(), file.source):
            if isinstance(document.value, dict):
                yield document
