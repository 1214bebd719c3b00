"""As whom an apiserver authenticates a person by the ID token of an OpenID provider."""

from __future__ import annotations

import re
from collections.abc import Mapping

from labkit.cluster.facts import Component, Environment
from labkit.cluster.oidc import ClaimMapping, ClaimRule, JwtAuthenticator
from labkit.cluster.syntax.source import Setting, Source
from labkit.model.admission_plugins import unread_flags
from labkit.model.claims import Claim
from labkit.model.decision import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, UNKNOWN, Caller

__all__ = [
    "caller_by_id_token",
    "collides",
    "id_token_authenticators",
    "jwt_of_flags",
    "takes_id_tokens",
    "unprefixed",
]

#: The value of --oidc-username-prefix that stands for no prefix.
NO_PREFIX = "-"
#: The claim that has no prefix where --oidc-username-prefix is not given.
EMAIL = "email"
#: How the names begin that Kubernetes keeps for itself.
RESERVED = "system:"
#: The two rules of Kubernetes' documentation that keep names of the cluster for the cluster.
USER_RULE = re.compile(r"""!user\.username\.startsWith\((['"])(?P<prefix>[^'"\\]*)\1\)""")
GROUP_RULE = re.compile(
    r"""user\.groups\.all\((?P<it>\w+), ?!(?P=it)\.startsWith\((['"])(?P<prefix>[^'"\\]*)\2\)\)"""
)

#: The rule of Kubernetes' documentation for how long a token may count, in seconds.
LIFETIME_RULE = re.compile(r"claims\.exp - claims\.(?P<since>iat|nbf) <= (?P<seconds>\d{1,18})")


def id_token_authenticators(
    env: Environment, apiserver: Component
) -> tuple[JwtAuthenticator, ...] | None:
    """Return the providers whose ID tokens an apiserver accepts; None if that was not read.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("oidc-hardened")
    >>> [it] = id_token_authenticators(env, env.component("kube-apiserver@master"))
    >>> it.groups.prefix
    'oidc:'
    """
    if unread_flags(apiserver, "oidc-issuer-url") or unread_flags(
        apiserver, "authentication-config"
    ):
        return None
    file = apiserver.given("authentication-config")
    if file and file.value:
        read = env.apiserver_files.authentication.get(apiserver.id)
        return None if read is None else read.jwt
    found = jwt_of_flags(apiserver)
    return () if found is None else (found,)


def takes_id_tokens(env: Environment) -> bool:
    """Say whether an apiserver accepts ID tokens, or may: what it accepts was not read.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> [takes_id_tokens(read_environment(mode)) for mode in ("hardened", "oidc-hardened")]
    [False, True]
    """
    apiservers = (it for it in env.components if it.kind == "kube-apiserver")
    return any(id_token_authenticators(env, it) != () for it in apiservers)


def jwt_of_flags(apiserver: Component) -> JwtAuthenticator | None:
    """Return the provider that an apiserver's flags name.

    Parameters
    ----------
    apiserver : Component

    Returns
    -------
    JwtAuthenticator or None
        None without ``--oidc-issuer-url``.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#using-flags

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> apiserver = read_environment("oidc-insecure").component("kube-apiserver@master")
    >>> found = jwt_of_flags(apiserver)
    >>> found.issuer.value, found.username.prefix, found.groups.prefix
    ('https://idp:8443', '', '')
    """
    issuer = apiserver.given("oidc-issuer-url")
    if issuer is None or not issuer.value:
        return None

    def value(flag: str, default: str = "") -> Setting:
        given = apiserver.given(flag)
        absent = Source(issuer.source.path, None, f"--{flag} absent", default=True)
        return given or Setting(default, absent)

    claim, prefix = value("oidc-username-claim", "sub"), value("oidc-username-prefix")
    text = prefix.value
    if not text and claim.value != EMAIL:
        text = f"{issuer.value}#"
    elif text == NO_PREFIX:
        text = ""
    groups, before = value("oidc-groups-claim"), value("oidc-groups-prefix")
    mapping = ClaimMapping(groups.value, before.value, "", before.source)
    authority, client = value("oidc-ca-file"), value("oidc-client-id")
    rules = []
    for item in apiserver.settings.get("oidc-required-claim", ()):
        name, _, wanted = item.value.partition("=")
        rules.append(ClaimRule(name, wanted, "", item.source))
    return JwtAuthenticator(
        issuer=issuer,
        discovery=None,
        audiences=(client.value,) if client.value else (),
        authority=authority if authority.value else None,
        username=ClaimMapping(claim.value, text, "", prefix.source),
        groups=mapping if groups.value else None,
        claim_rules=tuple(rules),
        user_rules=(),
        source=issuer.source,
    )


def caller_by_id_token(
    env: Environment, apiserver: Component, issuer: str, claims: Mapping[str, object]
) -> Caller:
    """Return the caller that an apiserver authenticates by a valid ID token of a provider.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component
    issuer : str
        The provider: the token's claim ``iss``.
    claims : mapping of str to object
        The token's other claims, as in its JSON.

    Returns
    -------
    Caller
        Without a user if the apiserver refuses the token. The claim is "unknown" where an
        expression in CEL decides, which labkit does not evaluate.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#openid-connect-tokens

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("oidc-insecure")
    >>> claims = {"aud": ["kubernetes"], "sub": "mallory", "groups": ["system:masters"]}
    >>> apiserver = env.component("kube-apiserver@master")
    >>> it = caller_by_id_token(env, apiserver, "https://idp:8443", claims)
    >>> it.user, sorted(it.groups)
    ('mallory', ['system:authenticated', 'system:masters'])
    """
    known = id_token_authenticators(env, apiserver)
    if known is None:
        claim = Claim(UNKNOWN, "whose ID tokens it accepts could not be read", apiserver.source)
        return _nobody(claim)
    it = next((each for each in known if each.issuer.value == issuer), None)
    if it is None:
        return _nobody(Claim("required", f"no ID tokens of {issuer}", apiserver.source))
    if refusal := _refusal(it, claims):
        return _nobody(refusal)
    doubt = next(
        (_cel(rule.source) for rule in it.claim_rules if _claim_rule(rule, claims) is None), None
    )
    user = _name(it.username, claims)
    if isinstance(user, Claim):
        return _nobody(user)
    groups = _groups(it.groups, claims)
    if isinstance(groups, Claim):
        return _nobody(groups)
    for rule in it.user_rules:
        said = _user_rule(rule.expression, user, groups)
        if said is None:
            doubt = doubt or _cel(rule.source)
        elif not said:
            return _nobody(Claim("required", f"a rule refuses {user}", rule.source))
    if user != ANONYMOUS and not groups & {AUTHENTICATED, UNAUTHENTICATED}:
        groups |= {AUTHENTICATED}
    mapping = it.groups or it.username
    how = f"prefix {mapping.prefix}" if mapping.prefix else "no prefix"
    return Caller(user, groups, doubt or Claim("required", f"{user}, {how}", mapping.source))


def _refusal(it: JwtAuthenticator, claims: Mapping[str, object]) -> Claim | None:
    """Return the claim that a token does not meet what is asked of its claims, or None."""
    audience = claims.get("aud", ())
    named = {audience} if isinstance(audience, str) else set(_words(audience) or ())
    if not named & set(it.audiences):
        return Claim("required", f"another audience: {', '.join(it.audiences)}", it.source)
    for rule in it.claim_rules:
        if _claim_rule(rule, claims) is False:
            wanted = rule.expression or f"{rule.claim} must be {rule.value}"
            return Claim("required", wanted, rule.source)
    return None


def _claim_rule(rule: ClaimRule, claims: Mapping[str, object]) -> bool | None:
    """Say whether a token meets a rule; None for a rule that labkit does not evaluate."""
    if not rule.expression:
        return claims.get(rule.claim) == rule.value
    match = LIFETIME_RULE.fullmatch(rule.expression.strip())
    if match is None:
        return None
    end, since = claims.get("exp"), claims.get(match["since"])
    if not (isinstance(end, int) and isinstance(since, int)):
        return None
    return end - since <= int(match["seconds"])


def _name(mapping: ClaimMapping, claims: Mapping[str, object]) -> str | Claim:
    """Return a person's name with its prefix, or the claim that the token has none."""
    if mapping.expression:
        return _cel(mapping.source)
    value = claims.get(mapping.claim)
    if not isinstance(value, str):
        return Claim("required", f"no claim {mapping.claim}", mapping.source)
    if mapping.claim == "email" and claims.get("email_verified", True) is not True:
        return Claim("required", "the email is not verified", mapping.source)
    return f"{mapping.prefix}{value}"


def _groups(mapping: ClaimMapping | None, claims: Mapping[str, object]) -> frozenset[str] | Claim:
    """Return a person's groups with their prefix, or the claim that they are not known."""
    if mapping is None:
        return frozenset()
    if mapping.expression:
        return _cel(mapping.source)
    value = claims.get(mapping.claim)
    if value is None and mapping.required:
        return Claim("required", f"no claim {mapping.claim}", mapping.source)
    named = [value] if isinstance(value, str) else _words(value) or ()
    return frozenset(f"{mapping.prefix}{name}" for name in named)


def _words(value: object) -> list[str] | None:
    """Return a list of words; None for anything else."""
    if isinstance(value, (list, tuple)) and all(isinstance(it, str) for it in value):
        return list(value)
    return None


def _user_rule(expression: str, user: str, groups: frozenset[str]) -> bool | None:
    """Say whether a user meets a rule; None for a rule that labkit does not evaluate."""
    if match := USER_RULE.fullmatch(expression.strip()):
        return not user.startswith(match["prefix"])
    if match := GROUP_RULE.fullmatch(expression.strip()):
        return not any(group.startswith(match["prefix"]) for group in groups)
    return None


def _cel(source: Source) -> Claim:
    return Claim(UNKNOWN, "an expression decides that labkit does not evaluate", source)


def _nobody(claim: Claim) -> Caller:
    return Caller("", frozenset(), claim)


def collides(it: JwtAuthenticator) -> Claim | None:
    """Return the claim that a provider's names may be names of the cluster, or None.

    It is unknown where an expression in CEL makes the names, and no rule keeps the reserved ones.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> apiserver = read_environment("oidc-insecure").component("kube-apiserver@master")
    >>> collides(jwt_of_flags(apiserver)).detail
    'its groups have no prefix'
    """
    names = {"groups": it.groups, "users": it.username}
    rules = {"groups": GROUP_RULE, "users": USER_RULE}
    doubt = None
    for what, mapping in names.items():
        if mapping is None or not (mapping.expression or unprefixed(mapping)):
            continue
        kept = (rules[what].fullmatch(rule.expression.strip()) for rule in it.user_rules)
        if any(rule and RESERVED.startswith(rule["prefix"]) for rule in kept):
            continue
        if not mapping.expression:
            return Claim("unprefixed", f"its {what} have no prefix", mapping.source)
        doubt = doubt or _cel(mapping.source)
    return doubt


def unprefixed(mapping: ClaimMapping) -> bool:
    """Say whether a value of the claim can become a name that begins with ``system:``.

    Examples
    --------
    >>> source = Source("authn.yaml", 4, "")
    >>> [unprefixed(ClaimMapping("sub", it, "", source)) for it in ("", "sys", "system:", "oidc:")]
    [True, True, True, False]
    """
    return RESERVED.startswith(mapping.prefix) or mapping.prefix.startswith(RESERVED)
