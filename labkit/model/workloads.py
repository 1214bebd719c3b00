"""Facts about the pods of the manifests: service account tokens, folders of their machine."""

from __future__ import annotations

from pathlib import PurePosixPath

from labkit.cluster.facts import Environment
from labkit.cluster.syntax.source import Setting, Source, is_true
from labkit.cluster.syntax.yamldoc import Document
from labkit.model.claims import Claim
from labkit.model.decision import Caller
from labkit.model.rights import service_account

__all__ = [
    "account_of",
    "audience_in",
    "endless_tokens",
    "mounted",
    "node_of_pod",
    "pods",
    "token_caller",
    "token_in",
    "user_of",
]

AUTOMOUNT = "automountServiceAccountToken"
TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105 - a type


def pods(env: Environment) -> tuple[tuple[str, str], ...]:
    """Return namespace and name of every pod of the manifests.

    Parameters
    ----------
    env : Environment

    Returns
    -------
    tuple of (str, str)

    Raises
    ------
    ConfigError
        A manifest cannot be read. The files of a copied cluster may be incomplete: there it is
        left out.
    """
    return tuple(
        (_namespace(document), document.text("metadata", "name"))
        for document in env.objects
        # the apiserver names a pod without a name
        if document.get("kind") == "Pod" and document.get("metadata", "name")
    )


def account_of(env: Environment, namespace: str, pod: str) -> str:
    """Return the name of a pod's service account.

    Parameters
    ----------
    env : Environment
    namespace, pod : str
        The pod.

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> account_of(read_environment("insecure"), "shop", "web")
    'default'
    """
    owner = _object(env, "Pod", namespace, pod)
    if owner is None:
        return "default"
    # the old name of the field counts where the new one is absent
    old = owner.text("spec", "serviceAccount", default="default")
    return owner.text("spec", "serviceAccountName", default=old)


def node_of_pod(env: Environment, namespace: str, pod: str) -> str:
    """Return the machine that a pod is bound to; empty if the scheduler decides.

    Parameters
    ----------
    env : Environment
    namespace, pod : str
        The pod.

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> node_of_pod(read_environment("insecure"), "shop", "web")
    'worker1'
    """
    owner = _object(env, "Pod", namespace, pod)
    return owner.text("spec", "nodeName", default="") if owner else ""


def token_in(env: Environment, namespace: str, pod: str) -> Claim:
    """Say whether a token is mounted in a pod: the pod decides, or else its service account.

    Parameters
    ----------
    env : Environment
    namespace, pod : str
        The pod.

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
        return Claim("none", "there is no such pod", _no_pod(namespace, pod))
    said = owner.setting("spec", AUTOMOUNT)
    name = account_of(env, namespace, pod)
    if said is None and (account := _object(env, "ServiceAccount", namespace, name)):
        said = account.setting(AUTOMOUNT)
    absent = Source(owner.path, None, f"{AUTOMOUNT} absent", default=True)
    said = said or Setting("true", absent)
    word = "mounted" if is_true(said.value) else "none"
    return Claim(word, f"the token of {namespace}/{name}", said.source)


def token_caller(env: Environment, namespace: str, pod: str) -> Caller | None:
    """Return the caller that a pod's token authenticates; None if the pod has no token.

    Parameters
    ----------
    env : Environment
    namespace, pod : str
        The pod.

    Returns
    -------
    Caller or None

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> token_caller(read_environment("hardened"), "monitoring", "agent").user
    'system:serviceaccount:monitoring:agent'
    """
    token = token_in(env, namespace, pod)
    if token.value != "mounted":
        return None
    return service_account(namespace, account_of(env, namespace, pod), token.source)


def user_of(env: Environment, namespace: str, pod: str) -> Setting:
    """Return the user id that a pod's first container runs as.

    Parameters
    ----------
    env : Environment
    namespace, pod : str
        The pod.

    Returns
    -------
    Setting

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> user_of(read_environment("insecure"), "ci", "builder").value
    '1000'
    """
    owner = _object(env, "Pod", namespace, pod)
    if owner is None:
        return Setting("0", _no_pod(namespace, pod))
    said = owner.setting("spec", "containers", 0, "securityContext", "runAsUser")
    said = said or owner.setting("spec", "securityContext", "runAsUser")
    # the lab's image names no user
    return said or Setting("0", Source(owner.path, None, "runAsUser absent", default=True))


def mounted(env: Environment, namespace: str, pod: str, path: str) -> Claim:
    """Say whether a pod's first container mounts a path of its machine.

    Parameters
    ----------
    env : Environment
    namespace, pod : str
        The pod.
    path : str
        A path on the machine.

    Returns
    -------
    Claim
        Its value is "writable", "read-only" or "none"; its detail is the path in the container.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> mounted(read_environment("insecure"), "ci", "builder", "/run/docker.sock").detail
    '/machine/run/docker.sock'
    """
    owner = _object(env, "Pod", namespace, pod)
    if owner is None:
        return Claim("none", "there is no such pod", _no_pod(namespace, pod))
    for number, volume in enumerate(owner.sequence("spec", "volumes")):
        at = ("spec", "volumes", number, "hostPath")
        host = owner.text(*at, "path", default="")
        if not host or not PurePosixPath(path).is_relative_to(host):
            continue
        for mount in owner.sequence("spec", "containers", 0, "volumeMounts"):
            if mount["name"] == volume["name"]:
                inside = PurePosixPath(mount["mountPath"], PurePosixPath(path).relative_to(host))
                word = "read-only" if mount.get("readOnly") else "writable"
                return Claim(word, str(inside), owner.source(*at, "path"))
    absent = Source(owner.path, None, f"hostPath of {path} absent", default=True)
    return Claim("none", f"{namespace}/{pod} is not given {path}", absent)


def _no_pod(namespace: str, pod: str) -> Source:
    return Source("manifests", None, f"pod {namespace}/{pod} absent", default=True)


def audience_in(env: Environment, namespace: str, pod: str) -> Setting | None:
    """Return the audience of the token in a pod's projected volume; None if it has no token.

    Parameters
    ----------
    env : Environment
    namespace, pod : str
        The pod.

    Returns
    -------
    Setting or None
        Empty if the volume names no audience: then the token is for the apiserver.

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
    """Return the Secrets that hold a token that never expires, each with its service account.

    Parameters
    ----------
    env : Environment

    Returns
    -------
    dict of (str, str) to Setting
        The service account's name by the Secret's namespace and name.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> found = endless_tokens(read_environment("insecure"))
    >>> {key: account.value for key, account in found.items()}
    {('shop', 'reporter-token'): 'reporter'}
    """
    found = {}
    for document in env.objects:
        if (document.get("kind"), document.get("type")) != ("Secret", TOKEN_TYPE):
            continue
        account = document.setting("metadata", "annotations", "kubernetes.io/service-account.name")
        key = (_namespace(document), document.text("metadata", "name"))
        if account is not None:
            found[key] = account
    return found


def _object(env: Environment, kind: str, namespace: str, name: str) -> Document | None:
    wanted = (kind, namespace, name)
    found = None
    for document in env.objects:
        about = document.get("kind"), _namespace(document), document.get("metadata", "name")
        found = document if about == wanted else found
    return found


def _namespace(document: Document) -> str:
    """Return the namespace of an object; kubectl's default is "default"."""
    return document.text("metadata", "namespace", default="default")
