"""Webhooks that an apiserver asks: in labkit's own environments, and in a user's copied files.

The rules are Kubernetes': "Webhook Mode", "Webhook Token Authentication" and "Configuring the API
server using a configuration file" of its documentation.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labkit import controls, techniques
from labkit.cluster import Source, read_cluster, read_environment
from labkit.cluster.edits import Flag, Key, Whole
from labkit.cluster.syntax.source import Setting
from labkit.errors import ConfigError
from labkit.model import Channel, Model, read_model
from labkit.model.decision import EVERYTHING, Action, decide, member_of
from labkit.model.reviewers import reviewer_of
from labkit.model.webhooks import is_asked

KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
MANIFEST = "cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
MODES = ("hook-insecure", "hook-hardened")
ASKS = "kube-apiserver@master -> opa@review:8181"
TOKENS = "--authentication-token-webhook-config-file=/etc/kubernetes/tokens.conf"
LIST = Action("list", "secrets", namespace="shop")
POLICY = "authorizers.{}.webhook.{}"
AUTHORIZATION = "/etc/kubernetes/authorization.yaml"


def claims(channel: Channel) -> tuple[str, ...]:
    found = (channel.encryption, channel.server_authentication)
    return tuple(it.value for it in (*found, channel.client_authentication, channel.authorization))


# -- labkit's own environments ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("hook-insecure", ("none", "none", "none", "allow-all")),
        # what its policy in Rego decides is not evaluated
        ("hook-hardened", ("tls1.3", "verified", "required", "unknown")),
    ],
)
def test_channel_to_the_reviewer_has_its_claims(mode: str, expected: tuple[str, ...]) -> None:
    [found] = read_model(mode).open_channels(ASKS)
    assert claims(found) == expected
    assert found.data == ("bearer tokens", "decisions", "identities", "requests")
    held = "kube-apiserver-review-client" if mode == "hook-hardened" else None
    assert found.credential == held


def test_weaker_of_two_webhooks_at_one_server_counts() -> None:
    for file in ("token", "access"):
        path = f"/etc/kubernetes/{file}-webhook.conf"
        unpinned = Key("master", path, "clusters.0.cluster.certificate-authority", None)
        skips = Key("master", path, "clusters.0.cluster.insecure-skip-tls-verify", True)
        model = read_model(read_environment("hook-hardened", (unpinned, skips)))
        [found] = model.open_channels(ASKS)
        assert found.server_authentication.value == "unverified", file
        assert not controls["webhook-tls"].holds(model)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"authentication": None}, ("tls1.3", "verified", "none", "unknown")),
        ({"authentication": "token"}, ("tls1.3", "verified", "unknown", "unknown")),
        ({"authorization": None}, ("tls1.3", "verified", "required", "allow-all")),
        ({"min-tls-version": None}, ("tls1.2", "verified", "required", "unknown")),
        ({"min-tls-version": "2"}, ("unknown", "verified", "required", "unknown")),
        ({"addr": None}, ("closed", "closed", "closed", "closed")),
    ],
)
def test_reviewer_demands_what_its_flags_say(
    flags: dict[str, str | None], expected: tuple[str, ...]
) -> None:
    edits = [Flag("reviewer", "opa.service", name, value) for name, value in flags.items()]
    found = {it.id: it for it in read_model(read_environment("hook-hardened", edits)).channels}
    assert claims(found[ASKS]) == expected


@pytest.mark.parametrize("mode", MODES)
def test_only_contractors_are_asked_of_the_webhook(mode: str) -> None:
    env, plain = read_environment(mode), read_environment(mode.removeprefix("hook-"))
    master = env.component("kube-apiserver@master")
    other = plain.component("kube-apiserver@master")
    for groups in (("system:authenticated",), ("system:nodes", "system:authenticated")):
        caller = member_of(*groups, user="system:node:worker1")
        for action in (LIST, EVERYTHING, Action("get", "", path="/metrics")):
            same = (
                decide(env, master, caller, action).value,
                decide(plain, other, caller, action).value,
            )
            assert same[0] == same[1], (groups, action)
    reviewer = reviewer_of(env)
    assert reviewer
    mallory = reviewer.person("mallory")
    assert mallory
    assert decide(env, master, mallory, LIST).value == "unknown"


@pytest.mark.parametrize(
    ("mode", "index", "policy", "value"),
    [
        ("hook-insecure", 0, "NoOpinion", "allowed"),
        ("hook-insecure", 0, "Deny", "denied"),
        ("hook-hardened", 1, "NoOpinion", "allowed"),
        ("hook-hardened", 1, "Deny", "denied"),
        # kube-apiserver does not start with it
        ("hook-hardened", 1, "Ignore", "unknown"),
    ],
)
def test_failure_policy_decides_without_an_answer(
    mode: str, index: int, policy: str, value: str
) -> None:
    edit = Key("master", AUTHORIZATION, POLICY.format(index, "failurePolicy"), policy)
    env = read_environment(mode, [edit])
    reviewer = reviewer_of(env)
    assert reviewer
    mallory = reviewer.person("mallory")
    assert mallory
    master = env.component("kube-apiserver@master")
    assert decide(env, master, mallory, LIST, unanswered=True).value == value


def test_webhook_that_comes_last_denies_nothing_that_others_allow() -> None:
    text = read_environment("hook-hardened").node("master").files[AUTHORIZATION].read_text()
    _, webhook, rbac = text.split("authorizers:\n")[1].split("  - type:")[1:][0:3]
    order = f"{text.split('authorizers:')[0]}authorizers:\n  - type:{rbac}\n  - type:{webhook}"
    env = read_environment("hook-hardened", [Whole("master", AUTHORIZATION, order)])
    reviewer = reviewer_of(env)
    assert reviewer
    mallory = reviewer.person("mallory")
    assert mallory
    master = env.component("kube-apiserver@master")
    for unanswered in (False, True):
        assert decide(env, master, mallory, LIST, unanswered=unanswered).value == "allowed"


@pytest.mark.parametrize("condition", ["request.user == 'alice'", "request.user != 'alice'"])
def test_condition_on_the_user_leaves_a_caller_of_whom_only_groups_are_known_open(
    condition: str,
) -> None:
    text = read_environment("hook-hardened").node("master").files[AUTHORIZATION].read_text()
    named = text.replace("\"'contractors' in request.groups\"", f'"{condition}"')
    assert named != text
    env = read_environment("hook-hardened", [Whole("master", AUTHORIZATION, named)])
    master = env.component("kube-apiserver@master")
    # the webhook may allow it to alice, and she is one of them
    assert decide(env, master, member_of("system:authenticated"), LIST).value == "unknown"
    alice = member_of("system:authenticated", user="alice")
    asked = "==" in condition
    assert decide(env, master, alice, LIST).value == ("unknown" if asked else "denied")


def test_old_flags_leave_the_next_authorizer_to_decide() -> None:
    unit = "kube-apiserver.service"
    edits = (
        Flag("master", unit, "authorization-config", None),
        Flag("master", unit, "authorization-mode", "Webhook,ABAC"),
        Flag(
            "master",
            unit,
            "authorization-webhook-config-file",
            "/etc/kubernetes/access-webhook.conf",
        ),
    )
    model = read_model(read_environment("hook-insecure", edits))
    assert not controls["webhook-fail-closed"].holds(model)
    technique = techniques["webhook-outage"]
    assert technique.predict(model, technique.footholds[0]).succeeds
    # and every caller is asked of the webhook
    master = model.environment.component("kube-apiserver@master")
    everybody = member_of("system:authenticated")
    assert decide(model.environment, master, everybody, LIST).value == "unknown"


# -- conditions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expressions", "asked"),
    [
        ([], True),
        (["'a' in request.groups"], True),
        (['"b" in request.groups'], False),
        (["!('b' in request.groups)"], True),
        (["!('a' in request.groups)"], False),
        (["has(request.resourceAttributes)"], True),
        (
            ["has(request.resourceAttributes) && request.resourceAttributes.namespace == 'shop'"],
            True,
        ),
        (["request.resourceAttributes.namespace == 'ci'"], False),
        (["'a' in request.groups", "'b' in request.groups"], False),
        (["request.resourceAttributes.resource == 'secrets'"], True),
        (["request.resourceAttributes.resource != 'secrets'"], False),
        (['request.resourceAttributes.verb == "get"'], False),
        (["request.resourceAttributes.group == ''"], True),
        (["request.resourceAttributes.subresource == 'status'"], False),
        # the request is for some secret: which one is not said
        (["request.resourceAttributes.name == 'db'"], None),
        (["request.user == 'u'"], True),
        (["request.user != 'u'", "'a' in request.groups"], False),
        (
            [
                "has(request.resourceAttributes) && request.resourceAttributes.resource == "
                "'secrets' && 'a' in request.groups"
            ],
            True,
        ),
        (["request.user.startsWith('u')"], None),
        # a false condition decides, whatever the others are
        (["request.user.endsWith('x')", "'b' in request.groups"], False),
        (["request.user.endsWith('x')", "'a' in request.groups"], None),
        (["'a' in request.groups || 'b' in request.groups"], None),
        # "and" binds tighter: the first group is enough
        (["'a' in request.groups || 'a' in request.groups && 'b' in request.groups"], None),
        (["'a' in request.groups ? true : true && 'b' in request.groups"], None),
    ],
)
def test_conditions_of_the_documentation_are_evaluated(
    expressions: list[str], asked: bool | None
) -> None:
    source = Source("authz.yaml", 1, "")
    found = is_asked([Setting(it, source) for it in expressions], "u", frozenset({"a"}), LIST)
    assert found is asked if asked is not None else isinstance(found, Setting)


def test_request_without_a_resource_is_in_no_namespace() -> None:
    source, path = Source("authz.yaml", 1, ""), Action("get", "", path="/metrics")
    for text, asked in (("has(request.resourceAttributes)", False), ("true", None)):
        found = is_asked([Setting(text, source)], "u", frozenset(), path)
        assert found is asked if asked is not None else isinstance(found, Setting)
    namespace = Setting("request.resourceAttributes.namespace == 'shop'", source)
    # who may do everything may do it there: whether the webhook is asked is not known
    assert isinstance(is_asked([namespace], "u", frozenset(), EVERYTHING), Setting)
    resource = Setting("request.resourceAttributes.resource == 'pods'", source)
    assert isinstance(is_asked([resource], "u", frozenset(), EVERYTHING), Setting)
    # an attribute that a request does not have is an error in CEL, and the failure policy decides
    assert isinstance(is_asked([resource], "u", frozenset(), path), Setting)
    # of a group alone it is not known who asks
    name = Setting("request.user == 'u'", source)
    assert isinstance(is_asked([name], "", frozenset({"a"}), LIST), Setting)


def test_condition_that_is_not_evaluated_leaves_every_caller_unknown() -> None:
    edit = Key(
        "master",
        AUTHORIZATION,
        POLICY.format(1, "matchConditions.0.expression"),
        "request.user != ''",
    )
    env = read_environment("hook-hardened", [edit])
    master = env.component("kube-apiserver@master")
    scheduler = member_of("system:authenticated", user="system:kube-scheduler")
    assert decide(env, master, scheduler, Action("list", "pods")).value == "unknown"
    assert decide(env, master, member_of("system:masters"), EVERYTHING).value == "allowed"


# -- a user's own files -----------------------------------------------------------------------


def copied(folder: Path, kubeconfig: str | None, *flags: str) -> Model:
    """Return the model of kubeadm's files with a webhook's kubeconfig, and more flags."""
    shutil.copytree(KUBEADM, folder)
    file = folder / MANIFEST
    line = "    - kube-apiserver\n"
    assert line in file.read_text()
    more = "".join(f"    - {flag}\n" for flag in flags)
    file.write_text(file.read_text().replace(line, line + more))
    if kubeconfig is not None:
        (folder / "cp1/etc/kubernetes/tokens.conf").write_text(kubeconfig)
    return read_model(read_cluster(folder))


def config(cluster: str, user: str = "{}") -> str:
    # as in "Webhook Token Authentication" of Kubernetes' documentation
    return f"""
apiVersion: v1
kind: Config
clusters: [{{name: remote, cluster: {cluster}}}]
users: [{{name: apiserver, user: {user}}}]
current-context: webhook
contexts: [{{name: webhook, context: {{cluster: remote, user: apiserver}}}}]
"""


@pytest.mark.parametrize(
    ("cluster", "encryption", "trust"),
    [
        ("{server: 'http://authn.example.com/authenticate'}", "none", "none"),
        (
            "{server: 'https://authn.example.com/authenticate', insecure-skip-tls-verify: true}",
            "unknown",
            "unverified",
        ),
        (
            "{server: 'https://authn.example', certificate-authority: /etc/kubernetes/pki/ca.crt}",
            "unknown",
            "verified",
        ),
    ],
)
def test_webhook_outside_the_cluster_is_a_channel(
    tmp_path: Path, cluster: str, encryption: str, trust: str
) -> None:
    found = copied(tmp_path / "c", config(cluster), TOKENS)
    [channel] = [it for it in found.channels if it.server.startswith("webhook@")]
    assert channel.server.startswith("webhook@authn.example")
    assert (channel.encryption.value, channel.server_authentication.value) == (encryption, trust)
    assert channel.data == ("bearer tokens", "identities")
    # it is no person's kubeconfig
    assert not [it for it in found.channels if it.client.startswith("kubectl/apiserver")]
    assert controls["webhook-tls"].holds(found) is False


@pytest.mark.parametrize("text", [None, "kind: Config\nclusters: [", "kind: Config\n"])
def test_webhook_whose_kubeconfig_cannot_be_read_is_an_unknown(
    tmp_path: Path, text: str | None
) -> None:
    found = copied(tmp_path / "c", text, TOKENS)
    assert not [it for it in found.channels if it.server.startswith("webhook@")]
    assert any("tokens.conf" in str(it) for it in found.unknowns)


def test_webhooks_of_a_copied_authorization_configuration_are_read(tmp_path: Path) -> None:
    text = read_environment("hook-insecure").node("master").files[AUTHORIZATION].read_text()
    folder = tmp_path / "c"
    shutil.copytree(KUBEADM, folder)
    file = folder / MANIFEST
    kept = [it for it in file.read_text().splitlines() if "--authorization-mode" not in it]
    flag = f"    - --authorization-config={AUTHORIZATION}"
    at = kept.index("    - kube-apiserver") + 1
    file.write_text("\n".join([*kept[:at], flag, *kept[at:]]))
    (folder / f"cp1{AUTHORIZATION}").write_text(text)
    server = config("{server: 'https://10.9.9.9:8443/authorize', insecure-skip-tls-verify: true}")
    (folder / "cp1/etc/kubernetes/access-webhook.conf").write_text(server)
    found = read_model(read_cluster(folder))
    [channel] = [it for it in found.channels if it.server.startswith("webhook@")]
    assert channel.server_authentication.value == "unverified"
    assert channel.data == ("decisions", "requests")
    assert not controls["webhook-fail-closed"].holds(found)


@pytest.mark.parametrize(
    ("key", "message"),
    [("failurePolicy", "no failurePolicy"), ("matchConditions.0.expression", "without an expr")],
)
def test_webhook_that_lacks_what_it_needs_is_refused(key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_environment(
            "hook-insecure", [Key("master", AUTHORIZATION, POLICY.format(0, key), None)]
        )


# -- front proxies ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "succeeds"),
    [(None, True), ("metrics-adapter", True), ("front-proxy-client", False)],
)
def test_allowed_names_decide_who_is_a_front_proxy(names: str | None, succeeds: bool) -> None:
    unit = "kube-apiserver.service"
    for mode in MODES:
        edit = Flag("master", unit, "requestheader-allowed-names", names)
        model = read_model(read_environment(mode, [edit]))
        technique = techniques["front-proxy-headers"]
        assert technique.predict(model, technique.footholds[0]).succeeds is succeeds
