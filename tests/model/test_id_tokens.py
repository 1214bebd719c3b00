"""As whom an apiserver knows the person of an ID token: prefixes, rules, audiences."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import controls, find_threats, read_environment, techniques
from labkit.cluster import Environment
from labkit.cluster.edits import Edit, Flag, Key, Whole
from labkit.cluster.oidc import ClaimMapping
from labkit.cluster.syntax.source import Source
from labkit.model import read_model
from labkit.model.decision import EVERYTHING, MASTERS, Action, decide
from labkit.model.id_tokens import caller_by_id_token, unprefixed
from labkit.model.providers import CLIENTS
from labkit.model.rights import authenticated_as

ISSUER, UNIT = "https://idp:8443", "kube-apiserver.service"
FILE = "/etc/kubernetes/authentication.yaml"
CONFIG, REGISTER = "/etc/canaille/canaille.toml", "ENABLE_REGISTRATION = true"
CLAIMS = {"aud": ["kubernetes"], "sub": "mallory", "groups": [MASTERS], "email": "m@x.example"}
SECRETS = Action("list", "secrets", namespace="shop")


def flags(**given: str | None) -> list[Edit]:
    return [Flag("master", UNIT, f"oidc-{k.replace('_', '-')}", v) for k, v in given.items()]


def file(key: str, value: Any) -> Edit:
    return Key("master", FILE, f"jwt.0.{key}", value)


def known(mode: str, edits: list[Edit], **claims: Any) -> Any:
    env = read_environment(f"oidc-{mode}", edits)
    apiserver = env.component("kube-apiserver@master")
    given = {name: it for name, it in {**CLAIMS, **claims}.items() if it is not None}
    return caller_by_id_token(env, apiserver, ISSUER, given)


def said(caller: Any) -> tuple[str, list[str]]:
    return caller.user, sorted(caller.groups - {"system:authenticated"})


@pytest.mark.parametrize(
    ("given", "user", "groups"),
    [
        # staging/src/k8s.io/apiserver/plugin/pkg/authenticator/token/oidc/oidc.go,
        # pkg/kubeapiserver/options/authentication.go
        ({}, "mallory", [MASTERS]),
        ({"username_prefix": None}, f"{ISSUER}#mallory", [MASTERS]),
        ({"username_prefix": "x:"}, "x:mallory", [MASTERS]),
        ({"username_prefix": None, "username_claim": "email"}, "m@x.example", [MASTERS]),
        ({"username_prefix": "x:", "username_claim": "email"}, "x:m@x.example", [MASTERS]),
        ({"username_claim": None}, "mallory", [MASTERS]),
        ({"groups_prefix": "x:"}, "mallory", [f"x:{MASTERS}"]),
        # a hyphen is no word for groups
        ({"groups_prefix": "-"}, "mallory", [f"-{MASTERS}"]),
        ({"groups_claim": None}, "mallory", []),
        ({"groups_claim": "sub"}, "mallory", ["mallory"]),
        ({"groups_claim": "roles"}, "mallory", []),
        ({"required_claim": "sub=mallory"}, "mallory", [MASTERS]),
        ({"required_claim": "sub=alice"}, "", []),
        ({"username_claim": "name"}, "", []),
        ({"client_id": "another"}, "", []),
        ({"issuer_url": "https://idp:8444"}, "", []),
    ],
)
def test_flags_say_as_whom_a_person_is_known(
    given: dict[str, str | None], user: str, groups: list[str]
) -> None:
    caller = known("insecure", flags(**given))
    assert said(caller) == (user, groups)
    assert ("system:authenticated" in caller.groups) is bool(user)
    assert caller.claim.value == "required"


@pytest.mark.parametrize(
    ("edits", "claims", "user", "groups"),
    [
        ([], {}, "oidc:mallory", [f"oidc:{MASTERS}"]),
        ([file("claimMappings.groups.prefix", "")], {}, "oidc:mallory", [MASTERS]),
        ([file("claimMappings.groups", None)], {}, "oidc:mallory", []),
        ([file("claimMappings.username.prefix", "")], {}, "mallory", [f"oidc:{MASTERS}"]),
        ([], {"groups": "one"}, "oidc:mallory", ["oidc:one"]),
        ([], {"groups": None}, "oidc:mallory", []),
        ([], {"aud": "kubernetes"}, "oidc:mallory", [f"oidc:{MASTERS}"]),
        ([], {"aud": ["another"]}, "", []),
        ([], {"sub": None}, "", []),
        ([], {"sub": 7}, "", []),
        ([file("claimValidationRules", [{"claim": "hd", "requiredValue": "x"}])], {}, "", []),
        (
            [file("claimValidationRules", [{"claim": "hd", "requiredValue": "x"}])],
            {"hd": "x"},
            "oidc:mallory",
            [f"oidc:{MASTERS}"],
        ),
        (
            [file("claimMappings.username", {"claim": "email", "prefix": ""})],
            {"email_verified": False},
            "",
            [],
        ),
        (
            [file("claimMappings.username", {"claim": "email", "prefix": ""})],
            {"email_verified": True, "groups": None},
            "m@x.example",
            [],
        ),
    ],
)
def test_file_says_as_whom_a_person_is_known(
    edits: list[Edit], claims: dict[str, Any], user: str, groups: list[str]
) -> None:
    assert said(known("hardened", edits, **claims)) == (user, groups)


USER_RULE = {"expression": "!user.username.startsWith('system:')"}
GROUP_RULE = {"expression": 'user.groups.all(group, !group.startsWith("system:"))'}
OPEN = [file("claimMappings.groups.prefix", ""), file("claimMappings.username.prefix", "")]


@pytest.mark.parametrize(
    ("rules", "claims", "user", "value"),
    [
        ([USER_RULE, GROUP_RULE], {}, "", "required"),
        ([USER_RULE, GROUP_RULE], {"groups": ["ops"]}, "mallory", "required"),
        ([USER_RULE], {}, "mallory", "required"),
        ([USER_RULE], {"sub": "system:kube-scheduler"}, "", "required"),
        ([GROUP_RULE], {"sub": "system:kube-scheduler", "groups": []}, "system:kube-scheduler",
         "required"),
        ([{"expression": "user.username != 'x'"}], {}, "mallory", "unknown"),
        # what one rule refuses, no other lets through
        ([{"expression": "user.username != 'x'"}, GROUP_RULE], {}, "", "required"),
    ],
)  # fmt: skip
def test_rules_about_users_refuse_names_of_the_cluster(
    rules: list[dict[str, str]], claims: dict[str, Any], user: str, value: str
) -> None:
    caller = known("hardened", [*OPEN, file("userValidationRules", rules)], **claims)
    assert (caller.user, caller.claim.value) == (user, value)


@pytest.mark.parametrize(
    ("edits", "answer"),
    [
        ([file("claimMappings.username", {"expression": "'a:' + claims.sub"})], "unknown"),
        ([file("claimMappings.groups", {"expression": "claims.groups"})], "unknown"),
        # as whom they are known is clear, whether they are let in is not
        ([file("claimValidationRules", [{"expression": "claims.exp < 5"}])], "denied"),
        ([*OPEN, file("claimValidationRules", [{"expression": "claims.exp < 5"}])], "unknown"),
    ],
)
def test_expression_decides_nothing(edits: list[Edit], answer: str) -> None:
    env = read_environment("oidc-hardened", edits)
    apiserver = env.component("kube-apiserver@master")
    caller = caller_by_id_token(env, apiserver, ISSUER, CLAIMS)
    assert caller.claim.value == "unknown"
    assert decide(env, apiserver, caller, EVERYTHING).value == answer


@pytest.mark.parametrize(
    ("before", "after", "without"),
    [("", "", "required"), ("has(claims.groups) ? ", " : []", "mallory")],
)
def test_expression_that_puts_a_prefix_before_each_group_is_evaluated(
    before: str, after: str, without: str
) -> None:
    """In a lab, a token without the claim was refused where nothing asked whether it is there."""
    expression = f"{before}dyn(claims.groups).map(g, 'company:' + g){after}"
    env = read_environment(
        "oidc-hardened", [*OPEN, file("claimMappings.groups", {"expression": expression})]
    )
    apiserver = env.component("kube-apiserver@master")
    caller = caller_by_id_token(env, apiserver, ISSUER, CLAIMS)
    assert {it for it in caller.groups if it.startswith("company:")}
    assert MASTERS not in caller.groups
    nowhere = {key: value for key, value in CLAIMS.items() if key != "groups"}
    caller = caller_by_id_token(env, apiserver, ISSUER, nowhere)
    assert (caller.user or caller.claim.value) == without


@pytest.mark.parametrize("mode", ["insecure", "hardened"])
def test_flags_that_were_not_read_decide_nothing(mode: str) -> None:
    env = read_environment(mode)
    apiserver = replace(env.component("kube-apiserver@master"), complete=False)
    caller = caller_by_id_token(env, apiserver, ISSUER, CLAIMS)
    assert caller.claim.value == "unknown"
    assert decide(env, apiserver, caller, EVERYTHING).value == "unknown"


def may(env: Environment, caller: Any, action: Action) -> str:
    return decide(env, env.component("kube-apiserver@master"), caller, action).value


def test_group_of_the_provider_has_the_rights_of_its_name() -> None:
    env = read_environment("oidc-hardened")
    apiserver = env.component("kube-apiserver@master")
    claims = {"aud": ["kubernetes"], "sub": "alice", "groups": ["developers"]}
    alice = caller_by_id_token(env, apiserver, ISSUER, claims)
    assert may(env, alice, Action("list", "pods", namespace="shop")) == "allowed"
    assert may(env, alice, Action("list", "pods", namespace="payments")) == "denied"
    assert may(env, alice, SECRETS) == "denied"
    mallory = known("hardened", [])
    assert may(env, mallory, SECRETS) == "denied"
    bare = known("hardened", OPEN)
    assert may(env, bare, EVERYTHING) == "allowed"


def test_configuration_about_anonymous_callers_alone_knows_no_tokens() -> None:
    text = "{apiVersion: apiserver.config.k8s.io/v1, kind: AuthenticationConfiguration}"
    unit = Flag("master", UNIT, "authentication-config", FILE)
    env = read_environment("hardened", [unit, Whole("master", FILE, text)])
    apiserver = env.component("kube-apiserver@master")
    held = env.credential("kubelet", "worker1")
    assert held is not None
    token = replace(held, kind="token", signed_by="", common_name="")
    assert may(env, authenticated_as(apiserver, env, token), SECRETS) == "denied"
    read = known("hardened", [])
    assert read.user


# -- prefixes, for every name ----------------------------------------------------------------

PREFIXES = st.text("-:#/abosystem", max_size=9)
NAMES = st.text("-:abmrosyste ", min_size=1, max_size=16) | st.sampled_from(
    [MASTERS, "system:kube-scheduler", "em:masters", "stem:masters", ":masters"]
)


@given(PREFIXES, NAMES)
def test_prefix_that_is_called_safe_keeps_every_name_from_the_clusters(
    prefix: str, name: str
) -> None:
    mapping = ClaimMapping("sub", prefix, "", Source("authn.yaml", 1, ""))
    if f"{prefix}{name}".startswith("system:"):
        assert unprefixed(mapping)


@given(PREFIXES)
def test_prefix_that_is_called_unsafe_lets_some_name_be_one_of_the_clusters(prefix: str) -> None:
    mapping = ClaimMapping("sub", prefix, "", Source("authn.yaml", 1, ""))
    if unprefixed(mapping):
        rest = "system:".removeprefix(prefix) if "system:".startswith(prefix) else ""
        assert f"{prefix}{rest}x".startswith("system:")


# -- the model --------------------------------------------------------------------------------

KEYS = "kube-apiserver@master -> canaille@idp:8443"


@pytest.mark.parametrize("mode", ["insecure", "hardened"])
def test_channels_to_the_provider_have_their_claims(mode: str) -> None:
    found = {it.id: it for it in read_model(f"oidc-{mode}").channels if "canaille" in it.id}
    assert set(found) == {KEYS, "anyone@network -> canaille@idp:8443"}
    for it in found.values():
        assert (it.encryption.value, it.client_authentication.value) == ("tls1.2", "required")
        assert it.encryption.source.path.endswith("canaille.toml")
    trust = found[KEYS].server_authentication
    assert (trust.value, trust.detail) == ("verified", "by /etc/kubernetes/pki/oidc-ca.crt")
    assert found["anyone@network -> canaille@idp:8443"].server_authentication.value == "unverified"


GROUPS_BY_CEL = file("claimMappings.groups", {"expression": "claims.groups"})


@pytest.mark.parametrize(
    ("mode", "edits", "expected"),
    [
        ("oidc-insecure", [], "unprefixed"),
        ("oidc-insecure", flags(groups_prefix="x:"), "unprefixed"),
        ("oidc-insecure", flags(groups_prefix="x:", username_prefix="x:"), "prefixed"),
        ("oidc-insecure", flags(groups_prefix="x:", username_prefix=None), "prefixed"),
        ("oidc-insecure", flags(groups_claim=None, username_prefix=None), "prefixed"),
        ("oidc-hardened", [], "prefixed"),
        ("oidc-hardened", OPEN, "unprefixed"),
        ("oidc-hardened", [*OPEN, file("userValidationRules", [USER_RULE])], "unprefixed"),
        (
            "oidc-hardened",
            [*OPEN, file("userValidationRules", [USER_RULE, GROUP_RULE])],
            "prefixed",
        ),
        # the expression may give any name; the rules look at the names that it gave
        ("oidc-hardened", [GROUPS_BY_CEL], "unknown"),
        (
            "oidc-hardened",
            [file("claimMappings.username", {"expression": "claims.sub"})],
            "unknown",
        ),
        ("oidc-hardened", [*OPEN, GROUPS_BY_CEL], "unprefixed"),  # of the users
        ("oidc-hardened", [GROUPS_BY_CEL, file("userValidationRules", [GROUP_RULE])], "prefixed"),
        ("oidc-hardened", [GROUPS_BY_CEL, file("userValidationRules", [USER_RULE])], "unknown"),
        ("insecure", [], None),
    ],
)
def test_apiserver_claims_whether_names_may_collide(
    mode: str, edits: list[Edit], expected: str | None
) -> None:
    model = read_model(read_environment(mode, edits))
    claim = model.component("kube-apiserver@master").claim("names of ID tokens")
    assert (claim and claim.value) == expected


def test_prefix_itself_is_the_source_of_the_claim() -> None:
    model = read_model(read_environment("oidc-hardened"))
    claim = model.component("kube-apiserver@master").claim("names of ID tokens")
    assert claim is not None
    assert claim.source.text == "prefix: oidc:"


def without_its_file() -> Environment:
    """Return an environment whose AuthenticationConfiguration was not copied."""
    env = read_environment("oidc-hardened")
    files = replace(env.apiserver_files, authentication={})
    return replace(env, apiserver_files=files)


def test_configuration_that_was_not_read_leaves_the_names_unknown() -> None:
    model = read_model(without_its_file())
    claim = model.component("kube-apiserver@master").claim("names of ID tokens")
    assert claim is not None
    assert (claim.value, claim.source.path.endswith(UNIT)) == ("unknown", True)
    (threat,) = (it for it in find_threats(model) if it.rule == "colliding-names")
    assert threat.state == "unknown"


@pytest.mark.parametrize("edits", [[GROUPS_BY_CEL], OPEN])
def test_control_is_not_in_place_where_names_are_unknown_or_open(edits: list[Edit]) -> None:
    control = controls["oidc-prefix"]
    assert control.holds(read_model("oidc-hardened"))
    assert not control.holds(read_model(read_environment("oidc-hardened", edits)))
    assert not control.holds(read_model(without_its_file()))


def portal(*audiences: str) -> Whole:
    """Return the edit that gives the provider a second client, with these audiences."""
    own = {"client_id": "kubernetes", "audience": ["kubernetes"], "redirect_uris": ["http://a"]}
    other = {"client_id": "portal", "audience": audiences, "redirect_uris": ["http://b"]}
    clients = [{**it, "scope": ["openid"]} for it in (own, other)]
    return Whole("provider", CLIENTS, json.dumps({"client": clients}))


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([portal("portal", "kubernetes")], True),
        ([portal("kubernetes")], True),
        ([portal("portal")], False),
        ([portal("portal"), Flag("master", UNIT, "oidc-client-id", "portal")], True),
        ([portal("portal", "kubernetes"), Flag("master", UNIT, "oidc-client-id", "k8s")], False),
        ([portal("Kubernetes")], False),  # audiences are compared as they are
        ([portal()], False),
        # what else the provider makes tokens for is not known
        ([Whole("provider", CLIENTS, None)], None),
        ([Whole("provider", CLIENTS, "{}")], None),
        ([Whole("provider", CLIENTS, None), Flag("master", UNIT, "oidc-issuer-url", None)], False),
    ],
)
def test_token_for_another_application_counts_if_it_names_the_cluster(
    edits: list[Edit], expected: bool | None
) -> None:
    model = read_model(read_environment("oidc-insecure", edits))
    technique = techniques["oidc-shared-audience"]
    assert technique.predict(model, technique.footholds[0]).succeeds is expected
    if expected is None:
        assert not controls["oidc-audience"].holds(model)


def registration(line: str) -> Edit:
    """Return the edit that replaces the line of the provider that lets everybody register."""
    text = read_environment("oidc-insecure").node("idp").files[CONFIG].read_text()
    assert REGISTER in text
    return Whole("provider", CONFIG, text.replace(REGISTER, line))


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([], True),
        (flags(username_prefix="oidc:"), False),
        (flags(username_prefix=None), False),  # the default is the issuer
        # an account named kube-controller-manager is the cluster's behind the prefix
        (flags(username_prefix="system:"), True),
        # what the provider writes there was not read; a person chooses most of it
        (flags(username_claim="preferred_username"), None),
        (flags(issuer_url="https://other.example"), False),
    ],
)
@pytest.mark.parametrize(
    ("line", "is_open"),
    [(REGISTER, True), ("ENABLE_REGISTRATION = false", False), ("", False)],  # false is the default
)
def test_stranger_with_a_name_of_the_cluster(
    edits: list[Edit], expected: bool | None, line: str, is_open: bool
) -> None:
    model = read_model(read_environment("oidc-insecure", [*edits, registration(line)]))
    technique = techniques["oidc-user-collision"]
    predicted = technique.predict(model, technique.footholds[0])
    assert predicted.succeeds is (expected if is_open else False)
    assert controls["oidc-registration"].holds(model) is not is_open


EXPIRES = "OAUTH2_TOKEN_EXPIRES_IN.authorization_code"


def lives(seconds: Any) -> Edit:
    """Return the edit after which the provider's access tokens count for so long."""
    return Key("provider", CONFIG, EXPIRES, seconds)


def lifetime(expression: str) -> Edit:
    return file("claimValidationRules", [{"expression": expression}])


@pytest.mark.parametrize(
    ("mode", "edits", "expected"),
    [
        # authlib/oauth2/rfc6750/token.py: ten days
        ("insecure", [], True),
        ("insecure", [lives(600)], False),
        ("insecure", [lives(7200)], False),
        ("insecure", [lives(7201)], True),
        ("insecure", [Flag("master", UNIT, "oidc-client-id", "another")], False),
        ("insecure", [Flag("master", UNIT, "oidc-issuer-url", "https://idp:8444")], False),
        ("hardened", [], False),
        ("hardened", [lives(None)], True),
        ("hardened", [lives(864000), lifetime("claims.exp - claims.iat <= 3600")], False),
        ("hardened", [lives(864000), lifetime("claims.exp - claims.iat <= 864000")], True),
        # what is not known
        ("hardened", [lives("some.module.generator")], None),
        ("hardened", [lives(864000), lifetime("claims.exp - claims.iat < 3600")], None),
        ("hardened", [lives(864000), lifetime("claims.exp - claims.nbf <= 3600")], None),
    ],
)
def test_access_token_of_two_hours_ago_counts_while_it_has_not_expired(
    mode: str, edits: list[Edit], expected: bool | None
) -> None:
    model = read_model(read_environment(f"oidc-{mode}", edits))
    technique = techniques["oidc-access-token"]
    assert technique.predict(model, technique.footholds[0]).succeeds is expected


def test_setting_that_python_imports_is_not_known() -> None:
    text = read_environment("oidc-insecure").node("idp").files[CONFIG].read_text()
    named = Whole("provider", CONFIG, f'OAUTH2_TOKEN_EXPIRES_IN = "own.generator"\n{text}')
    model = read_model(read_environment("oidc-insecure", [named]))
    technique, control = techniques["oidc-access-token"], controls["oidc-token-lifetime"]
    assert technique.predict(model, technique.footholds[0]).succeeds is None
    assert not control.holds(model)


@pytest.mark.parametrize(
    ("expression", "claims", "user"),
    [
        # Kubernetes documentation: Authenticating, Using Authentication Configuration
        ("claims.exp - claims.nbf <= 86400", {"exp": 100_000, "nbf": 13_600}, "oidc:mallory"),
        ("claims.exp - claims.nbf <= 86400", {"exp": 100_001, "nbf": 13_600}, ""),
        ("claims.exp - claims.iat <= 60", {"exp": 61, "iat": 0, "nbf": 60}, ""),
        (" claims.exp - claims.iat <= 60 ", {"exp": 60, "iat": 0}, "oidc:mallory"),
    ],
)
def test_rule_for_how_long_a_token_may_count(
    expression: str, claims: dict[str, int], user: str
) -> None:
    caller = known("hardened", [lifetime(expression)], **claims)
    assert (caller.user, caller.claim.value) == (user, "required")


EXTERNAL = [
    Flag("master", UNIT, "oidc-issuer-url", "https://accounts.example"),
    Flag("master", UNIT, "oidc-client-id", "kubernetes"),
    Flag("master", UNIT, "oidc-groups-claim", "groups"),
]


@pytest.mark.parametrize(
    ("prefix", "succeeds"),
    [
        (None, True),
        # a group "masters", or "tem:masters", is system:masters behind the prefix
        ("system:", True),
        ("sys", True),
        ("company:", False),
        ("system", True),
        ("system:masters", False),
        ("System:", False),
    ],
)
def test_group_that_a_prefix_makes_one_of_the_cluster_is_tried(
    prefix: str | None, succeeds: bool
) -> None:
    edits = [Flag("master", UNIT, "oidc-groups-prefix", prefix)] if prefix else []
    model = read_model(read_environment("oidc-insecure", edits))
    technique = techniques["oidc-group-collision"]
    assert technique.predict(model, technique.footholds[0]).succeeds is succeeds


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([], False),  # no ID tokens at all
        (EXTERNAL, None),  # nobody read what its accounts may do
        ([*EXTERNAL, Flag("master", UNIT, "oidc-groups-prefix", "x:")], False),
    ],
)
def test_provider_outside_is_no_refusal_without_a_prefix(
    edits: list[Edit], expected: bool | None
) -> None:
    model = read_model(read_environment("insecure", edits))
    technique = techniques["oidc-group-collision"]
    assert technique.predict(model, technique.footholds[0]).succeeds is expected


@pytest.mark.parametrize("name", ["oidc-audience", "oidc-registration", "oidc-token-lifetime"])
@pytest.mark.parametrize(("edits", "holds"), [([], True), (EXTERNAL, False)])
def test_control_of_a_provider_outside_is_not_in_place(
    name: str, edits: list[Edit], holds: bool
) -> None:
    assert controls[name].holds(read_model(read_environment("insecure", edits))) is holds
