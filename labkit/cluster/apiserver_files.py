"""Read the files that a kube-apiserver's flags name: who is authenticated, allowed and recorded."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.cluster.audit_policy import AuditPolicy
from labkit.cluster.digests import digest_of
from labkit.cluster.oidc import JwtAuthenticator, read_jwt
from labkit.cluster.policies import AbacRule, Encryption
from labkit.cluster.syntax.source import Setting, Source, Unknown, broken
from labkit.cluster.syntax.yamldoc import Document, read_one

if TYPE_CHECKING:
    from labkit.cluster.kubeconfig import KubeConfig

__all__ = [
    "AccessWebhook",
    "ApiserverFiles",
    "Authentication",
    "Authorizer",
    "ReviewWebhook",
    "StaticToken",
    "read_authentication",
    "read_authorizers",
    "read_tokens",
]

CONFIGURATION = "apiserver.config.k8s.io/"


@dataclass(frozen=True, slots=True)
class AccessWebhook:
    """How an apiserver asks a webhook authorizer, and what it does without an answer.

    Attributes
    ----------
    kubeconfig : Setting or None
        The path of the file that names the server; None for a server in the cluster.
    failure_policy : Setting
        "Deny", or "NoOpinion": then the next authorizer is asked.
    conditions : tuple of Setting
        Expressions in CEL: only a request that meets all of them is sent to the server.
    """

    kubeconfig: Setting | None
    failure_policy: Setting
    conditions: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class Authorizer:
    """One authorizer of an apiserver, in the order in which they are asked.

    Attributes
    ----------
    kind : str
        "Node", "RBAC", "ABAC", "Webhook", "AlwaysAllow", "AlwaysDeny", or what the file says.
    source : Source
    webhook : AccessWebhook or None
        Of the kind "Webhook".
    """

    kind: str
    source: Source
    webhook: AccessWebhook | None = None


@dataclass(frozen=True, slots=True)
class ReviewWebhook:
    """A server that an apiserver asks whose a token is, or what a caller may do.

    Attributes
    ----------
    asks : {"tokens", "access"}
    config : KubeConfig
        Where the server is, how it is known, and the apiserver's credential for it.
    """

    asks: str
    config: KubeConfig


@dataclass(frozen=True, slots=True)
class Authentication:
    """What an AuthenticationConfiguration says of anonymous callers and of ID tokens.

    Attributes
    ----------
    anonymous : Setting or None
        Whether they are let in; None if the file leaves it to ``--anonymous-auth``.
    paths : tuple of str
        The only paths for which they are let in; empty for all paths.
    source : Source
    jwt : tuple of JwtAuthenticator
        The providers whose ID tokens are accepted.
    """

    anonymous: Setting | None
    paths: tuple[str, ...]
    source: Source
    jwt: tuple[JwtAuthenticator, ...] = ()


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A line of a file of static tokens.

    Attributes
    ----------
    user : str
    groups : tuple of str
    digest : str
        SHA-256 of the token, to compare it with the token of a kubeconfig.
    source : Source
    """

    user: str
    groups: tuple[str, ...]
    digest: str = field(repr=False)
    source: Source


@dataclass(frozen=True, slots=True)
class ApiserverFiles:
    """What the files say that apiservers' flags name, by component.

    Attributes
    ----------
    abac : dict of str to tuple of AbacRule
    encryption : dict of str to Encryption
    authorizers : dict of str to tuple of Authorizer
    authentication : dict of str to Authentication
    audit : dict of str to AuditPolicy
    tokens : dict of str to tuple of StaticToken
    webhooks : dict of str to tuple of ReviewWebhook
    """

    abac: dict[str, tuple[AbacRule, ...]] = field(default_factory=dict)
    encryption: dict[str, Encryption] = field(default_factory=dict)
    authorizers: dict[str, tuple[Authorizer, ...]] = field(default_factory=dict)
    authentication: dict[str, Authentication] = field(default_factory=dict)
    audit: dict[str, AuditPolicy] = field(default_factory=dict)
    tokens: dict[str, tuple[StaticToken, ...]] = field(default_factory=dict)
    webhooks: dict[str, tuple[ReviewWebhook, ...]] = field(default_factory=dict)

    @property
    def webhook_configs(self) -> tuple[KubeConfig, ...]:
        """The kubeconfigs of all webhooks; one that serves two of them is there once."""
        every = (it.config for many in self.webhooks.values() for it in many)
        return tuple({(it.node, it.path): it for it in every}.values())


def _configuration(text: str, path: str, kind: str) -> Document:
    document = read_one(text, path)
    if document.get("kind") != kind:
        raise broken(path, document.line("kind"), f"its kind is not {kind}")
    version = document.text("apiVersion", default="")
    if not version.startswith(CONFIGURATION):
        raise broken(path, document.line("apiVersion"), f"its apiVersion is not {CONFIGURATION}v1")
    return document


def read_authorizers(text: str, path: str) -> tuple[tuple[Authorizer, ...], tuple[Unknown, ...]]:
    """Read the authorizers of an AuthorizationConfiguration, in the order of the file.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    authorizers : tuple of Authorizer
    unknowns : tuple of Unknown

    Raises
    ------
    ConfigError
        The file is malformed, of another kind, or names no authorizer.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/authorization/#using-configuration-file-for-authorization

    Examples
    --------
    >>> found, _ = read_authorizers("{kind: AuthorizationConfiguration, apiVersion: "
    ...     "apiserver.config.k8s.io/v1, authorizers: [{type: Node, name: n}]}", "authz.yaml")
    >>> found[0].kind
    'Node'
    """
    document = _configuration(text, path, "AuthorizationConfiguration")
    found = []
    for index, _ in enumerate(document.sequence("authorizers")):
        at = ("authorizers", index)
        document.mapping(*at)
        kind = document.text(*at, "type")
        webhook = _webhook(document, *at, "webhook") if kind == "Webhook" else None
        found.append(Authorizer(kind, document.source(*at, "type"), webhook))
    if not found:
        raise document.broken("no authorizers: kube-apiserver does not start so", "authorizers")
    return tuple(found), ()


def _webhook(document: Document, *at: str | int) -> AccessWebhook:
    document.mapping(*at)
    document.mapping(*at, "connectionInfo")
    policy = document.setting(*at, "failurePolicy")
    if policy is None:
        raise document.broken("no failurePolicy: kube-apiserver does not start so", *at)
    conditions = []
    for index, _ in enumerate(document.sequence(*at, "matchConditions")):
        here = (*at, "matchConditions", index)
        document.mapping(*here)
        found = document.setting(*here, "expression")
        if found is None:
            raise document.broken("a condition without an expression", *here)
        conditions.append(found)
    kubeconfig = document.setting(*at, "connectionInfo", "kubeConfigFile")
    return AccessWebhook(kubeconfig, policy, tuple(conditions))


def read_authentication(text: str, path: str) -> tuple[Authentication, tuple[Unknown, ...]]:
    """Read what an AuthenticationConfiguration says of anonymous callers and of ID tokens.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    authentication : Authentication
    unknowns : tuple of Unknown
        What labkit does not evaluate.

    Raises
    ------
    ConfigError
        The file is malformed, or of another kind.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-authenticator-configuration

    Examples
    --------
    >>> found, _ = read_authentication("{kind: AuthenticationConfiguration, apiVersion: "
    ...     "apiserver.config.k8s.io/v1, anonymous: {enabled: true, conditions: "
    ...     "[{path: /livez}]}}", "authn.yaml")
    >>> found.anonymous.value, found.paths
    ('true', ('/livez',))
    """
    document = _configuration(text, path, "AuthenticationConfiguration")
    document.mapping("anonymous")
    paths = []
    for index, _ in enumerate(document.sequence("anonymous", "conditions")):
        at = ("anonymous", "conditions", index)
        document.mapping(*at)
        paths.append(document.text(*at, "path"))
    enabled = document.setting("anonymous", "enabled")
    if enabled is None and document.get("anonymous") is not None:
        source = Source(path, document.line("anonymous"), "anonymous.enabled absent", default=True)
        enabled = Setting("false", source)
    jwt, odd = read_jwt(document)
    source = Source(path, document.line("anonymous"), "AuthenticationConfiguration")
    return Authentication(enabled, tuple(paths), source, jwt), odd


def read_tokens(text: str, path: str) -> tuple[tuple[StaticToken, ...], tuple[Unknown, ...]]:
    r"""Read a file of static tokens: token, user, user id, and optionally groups.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    tokens : tuple of StaticToken
    unknowns : tuple of Unknown
        Lines with fewer than three columns, which are malformed.

    Raises
    ------
    ConfigError
        The file is not CSV.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file

    Examples
    --------
    >>> found, _ = read_tokens('s3,admin,1,"system:masters,ops"\n', "tokens.csv")
    >>> found[0].user, found[0].groups, found[0].source.text
    ('admin', ('system:masters', 'ops'), 'token of admin')
    """
    found: list[StaticToken] = []
    odd: list[Unknown] = []
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    try:
        for row in rows:
            if not row or row[0].startswith("#"):
                continue
            if len(row) < 3 or not row[0]:
                why = 'expected token,user,uid,"group1,group2"'
                odd.append(Unknown(path, rows.line_num, "", why))
                continue
            groups = row[3].split(",") if len(row) > 3 and row[3] else []
            source = Source(path, rows.line_num, f"token of {row[1]}")
            found.append(StaticToken(row[1], tuple(groups), digest_of(row[0]), source))
    except csv.Error as error:
        raise broken(path, rows.line_num, f"not a table of tokens: {error}") from error
    return tuple(found), tuple(odd)
