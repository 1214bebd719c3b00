"""What the pods of the manifests carry that proves an identity: service account tokens."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.cluster.facts import Environment
from labkit.cluster.source import Setting, Source, is_true
from labkit.cluster.yamldoc import Document, read_documents
from labkit.model.claims import Claim

__all__ = ["pods", "service_account_of", "token_in"]

AUTOMOUNT = "automountServiceAccountToken"


def pods(env: Environment) -> tuple[tuple[str, str], ...]:
    """Return namespace and name of every pod of the manifests."""
    return tuple(
        (document.text("metadata", "namespace"), document.text("metadata", "name"))
        for document in _documents(env)
        if document.get("kind") == "Pod"
    )


def service_account_of(env: Environment, namespace: str, pod: str) -> str:
    """Return the name by which the apiserver knows a pod's service account.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> service_account_of(read_environment("insecure"), "shop", "web")
    'system:serviceaccount:shop:default'
    """
    return f"system:serviceaccount:{namespace}:{_account(env, namespace, pod)}"


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
    name = _account(env, namespace, pod)
    if said is None and (account := _object(env, "ServiceAccount", namespace, name)):
        said = account.setting(AUTOMOUNT)
    absent = Source(owner.path, None, f"{AUTOMOUNT} absent", default=True)
    said = said or Setting("true", absent)
    word = "mounted" if is_true(said.value) else "none"
    return Claim(word, f"the token of {namespace}/{name}", said.source)


def _account(env: Environment, namespace: str, pod: str) -> str:
    owner = _object(env, "Pod", namespace, pod)
    return owner.text("spec", "serviceAccountName", default="default") if owner else "default"


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
