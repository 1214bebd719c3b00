"""Read by which ID tokens an apiserver authenticates people, and as whom.

The list ``jwt`` of an AuthenticationConfiguration says it. The old flags ``--oidc-*`` say the same,
with other defaults for prefixes: :func:`labkit.model.id_tokens.jwt_of_flags`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labkit.cluster.syntax.placeholders import PEM
from labkit.cluster.syntax.source import Setting, Source, Unknown
from labkit.cluster.syntax.yamldoc import Document

__all__ = ["ClaimMapping", "ClaimRule", "JwtAuthenticator", "read_jwt"]

#: The expression that does what a claim and a prefix do for groups. The values of a token are of
#: the type "any" in CEL: a list of them has "map" behind "dyn" only.
PREFIXED = re.compile(
    r"(?P<has>has\(claims\.(?P<asked>\w+)\) ?\? ?)?"
    r"""dyn\(claims\.(?P<claim>\w+)\)\.map\((?P<it>\w+), ?(['"])(?P<prefix>[^'"\\]*)\5 ?\+ ?"""
    r"(?:(?P=it)|string\((?P=it)\))\)"
    r"(?(has) ?: ?\[\])"
)


@dataclass(frozen=True, slots=True)
class ClaimMapping:
    """How a name or the groups of a person come out of the claims of their ID token.

    Attributes
    ----------
    claim : str
        Empty where an expression is used.
    prefix : str
        What the apiserver puts before each value.
    expression : str
        In CEL; labkit does not evaluate it.
    source : Source
        Where the prefix was read, or the default.
    required : bool
        Whether a token without the claim is refused: an expression then has no value. A name is
        always required.
    """

    claim: str
    prefix: str
    expression: str
    source: Source
    required: bool = False


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """A rule that an ID token, or the user that it makes, has to meet.

    Attributes
    ----------
    claim, value : str
        The claim that must have this value; empty where an expression is used.
    expression : str
        In CEL.
    source : Source
    """

    claim: str
    value: str
    expression: str
    source: Source


@dataclass(frozen=True, slots=True)
class JwtAuthenticator:
    """A provider whose ID tokens an apiserver accepts.

    Attributes
    ----------
    issuer : Setting
    discovery : Setting or None
        Where its keys are found, if not at the issuer.
    audiences : tuple of str
    authority : Setting or None
        The CA by which the apiserver knows the provider: a path, or the certificate itself. None
        for the machine's own authorities.
    username : ClaimMapping
    groups : ClaimMapping or None
        None if people have no groups.
    claim_rules, user_rules : tuple of ClaimRule
    source : Source
    """

    issuer: Setting
    discovery: Setting | None
    audiences: tuple[str, ...]
    authority: Setting | None
    username: ClaimMapping
    groups: ClaimMapping | None
    claim_rules: tuple[ClaimRule, ...]
    user_rules: tuple[ClaimRule, ...]
    source: Source


def read_jwt(document: Document) -> tuple[tuple[JwtAuthenticator, ...], tuple[Unknown, ...]]:
    """Read the list ``jwt`` of an AuthenticationConfiguration.

    Parameters
    ----------
    document : Document

    Returns
    -------
    authenticators : tuple of JwtAuthenticator
    unknowns : tuple of Unknown
        One for each expression that says as whom somebody is known and that labkit does not
        evaluate: it knows the one that puts a prefix before each group.

    Raises
    ------
    ConfigError
        An entry is malformed.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#using-authentication-configuration

    Examples
    --------
    >>> from labkit.cluster.syntax.yamldoc import read_one
    >>> text = "jwt: [{issuer: {url: 'https://a', audiences: [k]}, claimMappings: {username: "
    >>> text += "{claim: sub, prefix: 'a:'}}}]"
    >>> [found], _ = read_jwt(read_one(text, "authn.yaml"))
    >>> found.username.prefix, found.groups
    ('a:', None)
    """
    found, odd = [], list[Unknown]()
    for index, _ in enumerate(document.sequence("jwt")):
        at: tuple[str | int, ...] = ("jwt", index)
        document.mapping(*at)
        issuer = document.setting(*at, "issuer", "url")
        if issuer is None:
            raise document.broken("an issuer without a url", *at, "issuer")
        username = _mapping(document, odd, *at, "claimMappings", "username")
        if username is None:
            raise document.broken("no claimMappings.username", *at, "claimMappings")
        found.append(
            JwtAuthenticator(
                issuer=issuer,
                discovery=document.setting(*at, "issuer", "discoveryURL"),
                audiences=document.words(*at, "issuer", "audiences"),
                authority=_authority(document.setting(*at, "issuer", "certificateAuthority")),
                username=username,
                groups=_mapping(document, odd, *at, "claimMappings", "groups"),
                claim_rules=tuple(_rules(document, *at, "claimValidationRules")),
                user_rules=tuple(_rules(document, *at, "userValidationRules")),
                source=document.source(*at, "issuer", "url"),
            )
        )
    return tuple(found), tuple(odd)


def _authority(given: Setting | None) -> Setting | None:
    """Return the setting with the path of a certificate that a lab puts in its place."""
    named = PEM.fullmatch(given.value) if given else None
    return Setting(named[1], given.source) if given and named else given


def _mapping(document: Document, odd: list[Unknown], *at: str | int) -> ClaimMapping | None:
    if document.get(*at) is None:
        return None
    document.mapping(*at)
    expression = document.text(*at, "expression", default="")
    if expression:
        source = document.source(*at, "expression")
        if at[-1] == "groups" and (known := _prefixed(expression, source)):
            return known
        why = "labkit does not evaluate CEL: as whom somebody is known is not followed"
        odd.append(Unknown(source.path, source.line, "expression", why))
        return ClaimMapping("", "", expression, source)
    claim = document.text(*at, "claim", default="")
    if not claim:
        return None
    return ClaimMapping(
        claim, document.text(*at, "prefix", default=""), "", document.source(*at, "prefix")
    )


def _prefixed(expression: str, source: Source) -> ClaimMapping | None:
    """Return the claim and the prefix that an expression stands for, or None."""
    match = PREFIXED.fullmatch(expression.strip())
    if match is None or match["asked"] not in (None, match["claim"]):
        return None
    return ClaimMapping(match["claim"], match["prefix"], "", source, required=not match["has"])


def _rules(document: Document, *at: str | int) -> list[ClaimRule]:
    found = []
    for index, _ in enumerate(document.sequence(*at)):
        here = (*at, index)
        document.mapping(*here)
        expression = document.text(*here, "expression", default="")
        source = document.source(*here, "expression" if expression else "claim")
        found.append(
            ClaimRule(
                document.text(*here, "claim", default=""),
                document.text(*here, "requiredValue", default=""),
                expression,
                source,
            )
        )
    return found
