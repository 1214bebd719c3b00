"""Read kubeconfig files: a client's server, its identity, and whether it verifies the server."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from labkit.cluster.digests import digest_of
from labkit.cluster.syntax.source import Setting, Source, Unknown, broken, is_true
from labkit.cluster.syntax.yamldoc import Document, read_one

__all__ = ["KubeConfig", "looks_like_kubeconfig", "read_kubeconfig"]

MARK = re.compile(rb"^[\s{,\"']*kind[\"']?\s*:\s*[\"']?Config\b", re.MULTILINE)
ACCOUNT = re.compile(r"system:serviceaccount:[a-z0-9.-]+:[a-z0-9.-]+")
#: The keys with which a client acts as somebody else (Kubernetes, "User impersonation").
ACTS_AS = ("as", "as-groups", "as-uid", "as-user-extra")
CLUSTER = frozenset(
    [
        "server",
        "certificate-authority",
        "certificate-authority-data",
        "insecure-skip-tls-verify",
        "tls-server-name",
        "proxy-url",
        "disable-compression",
        "extensions",
    ]
)
USER = frozenset(
    [
        "client-certificate",
        "client-certificate-data",
        "client-key",
        "client-key-data",
        "token",
        "tokenFile",
        "username",
        "password",
        "exec",
        "auth-provider",
        *ACTS_AS,
        "extensions",
    ]
)
TOP = frozenset(
    [
        "apiVersion",
        "kind",
        "current-context",
        "clusters",
        "contexts",
        "users",
        "preferences",
        "extensions",
    ]
)


@dataclass(frozen=True, slots=True)
class KubeConfig:
    """The current context of a kubeconfig. ``str`` gives its path.

    Attributes
    ----------
    path, node : str
        The file on the machine, and the machine.
    user : str
    server : Setting
        The apiserver's URL.
    authority : Setting or None
        The pinned CA: a path, or "inline".
    skip_verify : Setting or None
        Set if the client does not verify the server.
    method : str
        "certificate", "token", "password", "exec", or "" if it has no credential.
    user_source : Setting
        The user, with the line of the credential.
    certificate, key : str
        Paths on the machine.
    certificate_data : bytes
        An inline certificate as PEM text.
    token_digest : str
        The digest of an inline token, see :func:`labkit.cluster.digests.digest_of`.
    account : str
        The service account whose token it is: "system:serviceaccount:NAMESPACE:NAME".
    acts_as : str
        Whom it acts as, in place of the user whose credential it is; "" for nobody.
    unknowns : tuple of Unknown

    Examples
    --------
    >>> from labkit import read_environment
    >>> admin = read_environment("insecure").kubeconfigs[0]
    >>> str(admin), admin.server.value, admin.method
    ('/etc/kubernetes/admin.conf', 'https://master:6443', 'certificate')
    """

    path: str
    node: str
    user: str
    server: Setting
    authority: Setting | None
    skip_verify: Setting | None
    method: str
    user_source: Setting
    certificate: str = ""
    key: str = ""
    certificate_data: bytes = field(default=b"", repr=False)
    token_digest: str = field(default="", repr=False)
    account: str = ""
    acts_as: str = ""
    unknowns: tuple[Unknown, ...] = ()

    def __str__(self) -> str:
        return self.path


def looks_like_kubeconfig(data: bytes) -> bool:
    r"""Say whether a file claims to be a kubeconfig.

    Parameters
    ----------
    data : bytes
        Its content.

    Returns
    -------
    bool

    Examples
    --------
    >>> looks_like_kubeconfig(b"apiVersion: v1\nkind: Config\n")
    True
    """
    # the pattern is slow on many empty lines, and most files lack the word
    return b"Config" in data and bool(MARK.search(data))


def _named(document: Document, kind: str, name: str, entry: str) -> tuple[str | int, ...]:
    for index, item in enumerate(document.sequence(kind)):
        if not isinstance(item, dict):
            raise document.broken("expected an entry with a name", kind, index)
        if item.get("name") == name:
            document.mapping(kind, index, entry)
            return (kind, index, entry)
    raise broken(
        document.path,
        document.line(kind),
        f"no entry named {name!r} in {kind}",
        f"add it, or correct the context that names it in {document.path}",
    )


def _other_users(document: Document, current: str) -> Iterator[Unknown]:
    """Yield the users of other contexts, whose credentials are not read."""
    for index, item in enumerate(document.sequence("users")):
        name = item.get("name") if isinstance(item, dict) else None
        if name not in (None, current) and item.get("user"):
            why = "a user of another context: whose rights the holder of this file has is not known"
            yield Unknown(document.path, document.line("users", index), f"user {name}", why)


def read_kubeconfig(text: str, path: str, *, machine_path: str = "", node: str = "") -> KubeConfig:
    """Read a kubeconfig's current context.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages and sources.
    machine_path : str, optional
        The file's path on the machine; its relative paths start there.
    node : str, optional
        The machine.

    Returns
    -------
    KubeConfig

    Raises
    ------
    ConfigError
        The file is malformed, or its current context is incomplete.

    References
    ----------
    https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/

    Examples
    --------
    >>> config = read_kubeconfig('''
    ... kind: Config
    ... current-context: lab
    ... clusters: [{name: lab, cluster: {server: "http://localhost:8080"}}]
    ... contexts: [{name: lab, context: {cluster: lab, user: alice}}]
    ... users: [{name: alice, user: {}}]
    ... ''', "config")
    >>> config.user, config.server.value, config.method
    ('alice', 'http://localhost:8080', '')
    """
    document = read_one(text, path)
    unknowns = list(document.unknown_keys(TOP, "not a key of a kubeconfig"))
    if document.get("kind", default="Config") != "Config":
        raise broken(path, document.line("kind"), "not a kubeconfig: its kind is not Config")
    current = document.text("current-context", default="")
    if not current:
        raise broken(
            path,
            document.line("current-context"),
            "no current-context",
            f"name the context to use as current-context in {path}",
        )
    context = _named(document, "contexts", current, "context")
    cluster = _named(document, "clusters", document.text(*context, "cluster"), "cluster")
    user_name = document.text(*context, "user")
    user = _named(document, "users", user_name, "user")
    unknowns += _other_users(document, user_name)
    unknowns += document.unknown_keys(CLUSTER, "not a key of a cluster", *cluster)
    unknowns += document.unknown_keys(USER, "not a key of a user", *user)

    server_text = document.text(*cluster, "server")
    try:
        url = urlsplit(server_text)
        good = url.scheme in {"http", "https"} and bool(url.hostname) and (url.port or 1)
    except ValueError:
        good = False
    if not good:
        raise broken(
            path,
            document.line(*cluster, "server"),
            f"server {server_text!r} is not an http:// or https:// URL",
            f"write server: https://HOST:PORT in {path}",
        )
    base = PurePosixPath(machine_path).parent
    authority = document.setting(*cluster, "certificate-authority-data")
    if authority:
        authority = Setting("inline", _without_secret(authority))
    elif authority := document.setting(*cluster, "certificate-authority"):
        authority = Setting(str(base / authority.value), authority.source)
    skip = document.setting(*cluster, "insecure-skip-tls-verify")

    data = document.text(*user, "client-certificate-data", default="")
    pem = b""
    if data:
        try:
            pem = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            line = document.line(*user, "client-certificate-data")
            raise broken(path, line, "client-certificate-data is not base64") from error
    named = document.text(*user, "client-certificate", default="")
    key = document.text(*user, "client-key", default="")
    methods = {
        "certificate": ("client-certificate-data", "client-certificate"),
        "token": ("token", "tokenFile"),
        "password": ("username",),
        "exec": ("exec", "auth-provider"),
    }
    method, place = "", (*user,)
    for name, keys in methods.items():
        present = [k for k in keys if document.get(*user, k) not in (None, "")]
        if present:
            method, place = name, (*user, present[0])
            break
    if method == "exec":
        unknowns.append(
            Unknown(path, document.line(*place), user_name, "a program provides the credential")
        )
    acting = [key for key in ACTS_AS if document.get(*user, key) not in (None, "", [], {})]
    for key in acting:
        why = "the client acts as somebody else (impersonation); whose rights those are is not read"
        unknowns.append(Unknown(path, document.line(*user, key), f"{user_name}: {key}", why))
    for key_name in ("proxy-url", "tls-server-name"):
        if document.get(*cluster, key_name) is not None:
            source = document.source(*cluster, key_name)
            unknowns.append(
                Unknown(
                    path,
                    source.line,
                    key_name,
                    "changes the client's server; not read",
                )
            )
    if skip and skip.value not in ("true", "false"):
        raise document.broken(
            f"insecure-skip-tls-verify: {skip.value!r} is neither true nor false",
            *cluster,
            "insecure-skip-tls-verify",
        )
    token = document.text(*user, "token", default="") if method == "token" else ""
    source = document.source(*place)
    if method in {"token", "password"} or data:
        source = _without_secret(Setting(method, source))
    return KubeConfig(
        path=machine_path,
        node=node,
        user=user_name,
        server=Setting(server_text, document.source(*cluster, "server")),
        authority=authority,
        skip_verify=skip if skip and is_true(skip.value) else None,
        method=method,
        user_source=Setting(user_name, source),
        certificate=str(base / named) if named and not pem else "",
        key=str(base / key) if key else "",
        certificate_data=pem,
        token_digest=digest_of(token) if token else "",
        account=_account_of(token),
        acts_as=str(document.get(*user, acting[0])) if acting else "",
        unknowns=tuple(unknowns),
    )


def _account_of(token: str) -> str:
    """Return the service account that a token says it is of; empty for any other token.

    Whether the apiserver signed it is not asked.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return ""
    try:
        said = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return ""
    subject = said.get("sub") if isinstance(said, dict) else None
    found = isinstance(subject, str) and re.fullmatch(ACCOUNT, subject)
    return str(subject) if found else ""


def _without_secret(setting: Setting) -> Source:
    """Return the source of a secret without the secret."""
    source = setting.source
    return Source(source.path, source.line, source.text.split(":")[0] + ": …")
