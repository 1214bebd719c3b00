"""What exercises judge by the files of a lab, beside the attacks that they try."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.cluster import Environment, read_environment
from labkit.cluster.audit_policy import read_audit_policy
from labkit.cluster.edits import Edit, Flag, Key, Whole
from labkit.workshop import Outcome, checks, exercises, session
from labkit.workshop.edited import by_machine
from labkit.workshop.exercises import (
    cloud_2,
    delegation_2,
    etcd_2,
    identity_2,
    least_privilege_2,
    logs_2,
)
from labkit.workshop.exercises._callers import CALLERS

VERSION = "abac.authorization.kubernetes.io/v1beta1"


def edited(mode: str, machine: str, path: str, code: str) -> Environment:
    """Return an environment after the code of a solution, of which one file counts."""
    plain, written = read_environment(mode), {}
    lab: Any = SimpleNamespace(
        exec=lambda *_, **__: None,
        read_file=lambda node, name: plain.node(node).files[name].read_text().encode(),
        write_file=lambda node, name, data: written.update({(node, name): data.decode()}),
    )
    exec(code, {"insecure": lab})
    return read_environment(mode, [Whole(machine, path, written[machine, path])])


def policy(*lines: dict[str, Any]) -> Environment:
    """Return the insecure environment with the solution's policy and more lines."""
    text = policy_text(*lines)
    return read_environment("insecure", [Whole("master", least_privilege_2.FILE, text)])


def policy_text(*lines: dict[str, Any]) -> str:
    return "".join(
        json.dumps({"apiVersion": VERSION, "kind": "Policy", "spec": it}) + "\n" for it in lines
    )


def line(resource: str, api_group: str = "", **more: Any) -> dict[str, Any]:
    spec = {"user": "system:kube-proxy", "namespace": "*", "readonly": True}
    spec |= {"apiGroup": api_group, "resource": resource, **more}
    return {key: it for key, it in spec.items() if it is not None}


GIVEN = [line(resource, group) for group, resource in least_privilege_2.READS]


def test_policy_of_the_solution_gives_what_kube_proxy_needs_and_nothing_else() -> None:
    """What kube-proxy reads: the role system:node-proxier of plugin/pkg/auth/authorizer/rbac."""
    assert least_privilege_2.wrong_rights(policy(*GIVEN)) is None
    solution = exercises["least-privilege-2"].solution
    env = edited("insecure", "master", least_privilege_2.FILE, solution)
    assert least_privilege_2.wrong_rights(env) is None


@pytest.mark.parametrize("index", range(len(GIVEN)))
def test_policy_without_a_kind_is_too_little(index: int) -> None:
    found = least_privilege_2.wrong_rights(policy(*GIVEN[:index], *GIVEN[index + 1 :]))
    assert found is not None
    assert (found.state, found.lines) == (
        "too-little",
        (f"kube-proxy may not read {GIVEN[index]['resource']}",),
    )


@pytest.mark.parametrize("index", range(len(GIVEN)))
def test_policy_for_one_namespace_is_too_little(index: int) -> None:
    narrow = [*GIVEN]
    narrow[index] = {**GIVEN[index], "namespace": "shop"}
    found = least_privilege_2.wrong_rights(policy(*narrow))
    assert found is not None
    assert found.state == "too-little"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (line("secrets", namespace="kube-system"), "kube-proxy may still get secrets in kube-sys"),
        (line("secrets", namespace="payments"), "kube-proxy may still get secrets in payments"),
        (line("pods"), "kube-proxy may still get pods"),
        (line("nodes", readonly=False), "kube-proxy may still update nodes"),
        (line("nodes", "*"), "kube-proxy may still get nodes"),
        (line("*"), "kube-proxy may still get secrets"),
        (
            line("pods", user=None, group="system:unauthenticated"),
            "a caller without a credential may still get pods",
        ),
        (
            line("nodes", user=None, group="system:unauthenticated"),
            "a caller without a credential may still get nodes",
        ),
        (
            line("services", user="system:anonymous", namespace="shop"),
            "a caller without a credential may still get services in shop",
        ),
        (
            line("pods", user=None, group="system:authenticated"),
            "kube-proxy may still get pods",
        ),
        (
            # "*" stands for everybody with a credential (pkg/apis/abac/v1beta1/conversion.go)
            {"user": "*", "nonResourcePath": "*", "readonly": True},
            "kube-proxy may still get *",
        ),
    ],
)
def test_policy_that_gives_more_is_too_much(more: dict[str, Any], says: str) -> None:
    found = least_privilege_2.wrong_rights(policy(*GIVEN, more))
    assert found is not None
    assert found.state == "too-much"
    assert any(it.startswith(says) for it in found.lines), found


EVERYTHING = {"namespace": "*", "apiGroup": "*", "resource": "*", "nonResourcePath": "*"}


@pytest.mark.parametrize(
    ("whose", "says"),
    [
        ({"user": "alice"}, "alice may still "),
        ({"user": "docker-client"}, "docker-client may still "),
        ({"user": "system:node:worker1"}, "system:node:worker1 may still "),
        ({"user": "system:node:worker9"}, "system:node:worker9 may still "),
        ({"user": "system:kube-scheduler"}, "system:kube-scheduler may still "),
        ({"user": "system:serviceaccount:hr:web"}, "system:serviceaccount:hr:web may still "),
        ({"group": "system:nodes"}, "system:node:worker1 may still "),
        ({"group": "system:serviceaccounts"}, "system:serviceaccount:shop:web may still "),
        ({"group": "system:serviceaccounts:hr"}, "somebody in system:serviceaccounts:hr may still"),
        ({"group": "developers"}, "somebody in developers may still "),
        # both have to fit (pkg/auth/authorizer/abac/abac.go)
        ({"user": "alice", "group": "developers"}, "alice may still "),
    ],
    ids=str,
)
def test_line_for_anybody_of_the_lab_is_too_much(whose: dict[str, str], says: str) -> None:
    for what in (EVERYTHING, {"namespace": "shop", "resource": "pods", "readonly": True}):
        found = least_privilege_2.wrong_rights(policy(*GIVEN, {**whose, **what}))
        assert found is not None
        assert found.state == "too-much"
        assert any(it.startswith(says) for it in found.lines), found


def test_right_to_a_path_is_named_as_one() -> None:
    found = least_privilege_2.wrong_rights(policy(*GIVEN, {"user": "*", "nonResourcePath": "*"}))
    assert found is not None
    assert found.lines[0] == "kube-proxy may still get * (a path: nonResourcePath)"


@pytest.mark.parametrize("name", ["ann", "zoe", "kubernetes-admins"])
def test_line_for_a_name_that_is_nobodys_yet_gives_it_something(name: str) -> None:
    """A token or a certificate may make somebody of that name."""
    found = least_privilege_2.wrong_rights(policy(*GIVEN, line("pods", user=name)))
    assert found is not None
    assert found.lines[0] == f"{name} may still get pods in every namespace"


@pytest.mark.parametrize(
    ("modes", "right"),
    [
        ("AlwaysDeny,ABAC", True),
        ("ABAC,AlwaysDeny", True),
        ("ABAC,RBAC", False),
        ("Webhook,ABAC", False),
        ("AlwaysAllow", False),
    ],
)
def test_authorizer_that_gives_nothing_may_stand_beside_the_policy(
    modes: str, *, right: bool
) -> None:
    env = read_environment(
        "insecure",
        [
            Whole("master", least_privilege_2.FILE, policy_text(*GIVEN)),
            Flag("master", "kube-apiserver.service", "authorization-mode", modes),
        ],
    )
    found = least_privilege_2.wrong_rights(env)
    assert (found is None) == right, found


def test_policy_by_a_file_of_authorizers_is_right() -> None:
    config = """apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers: [{type: ABAC, name: abac}]
"""
    unit, path = "kube-apiserver.service", "/etc/kubernetes/authz.yaml"
    edits: list[Edit] = [
        Whole("master", least_privilege_2.FILE, policy_text(*GIVEN)),
        Whole("master", path, config),
        Flag("master", unit, "authorization-mode", None),
        Flag("master", unit, "authorization-config", path),
    ]
    assert least_privilege_2.wrong_rights(read_environment("insecure", edits)) is None


#: The solution's statement beside another one.
DENIAL = """  - Effect: Deny
    Action: ec2:AttachVolume
    Resource: "*"
    Condition:
      {}: {{aws:ResourceTag/kubernetes.io/created-for/pvc/namespace: {}}}
"""


def by_policy(*statements: str, conditional: bool = False) -> Environment:
    code = cloud_2.START
    if conditional:
        code += cloud_2.CONDITION.format("shop")
    code += "".join(f"text += {it!r}\n" for it in statements) + cloud_2.END
    return edited("cloud-insecure", "cloud", cloud_2.FILE, code)


def by_tag_like(pattern: str) -> Environment:
    condition = cloud_2.CONDITION.replace("StringEquals", "StringLike").format(f"'{pattern}'")
    return edited("cloud-insecure", "cloud", cloud_2.FILE, cloud_2.START + condition + cloud_2.END)


@pytest.mark.parametrize(
    ("env", "state"),
    [
        (by_policy(conditional=True), None),
        # whatever is not the own namespace is denied, also without a tag
        (by_policy(DENIAL.format("StringNotEquals", "shop")), None),
        (by_policy(), "others"),
        (by_policy(DENIAL.format("StringEquals", "payments")), "others"),
        (by_policy(DENIAL.format("StringEquals", "[payments, hr]")), "others"),
        (by_policy(DENIAL.format("ArnLike", "payments")), "others"),
        (by_tag_like("shop*"), "others"),
        (by_tag_like("*shop"), "others"),
        (by_tag_like("s*"), "others"),
        (by_tag_like("shop"), None),
        (
            by_policy(
                '  - {Effect: Allow, Action: "ec2:CreateTags", Resource: "*"}\n', conditional=True
            ),
            "tags",
        ),
    ],
)
def test_policy_of_a_role_is_judged_for_volumes_that_come_later(
    env: Environment, state: str | None
) -> None:
    found = cloud_2.other_volumes(env)
    assert (found.state if found else None) == state


def by_condition(condition: str) -> Environment:
    text = f"    Condition: {{{condition}}}\n"
    code = f"{cloud_2.START}text += {text!r}\n{cloud_2.END}"
    return edited("cloud-insecure", "cloud", cloud_2.FILE, code)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (f"StringEquals: {{{cloud_2.TAG}: [shop, default]}}", "of the namespace default"),
        (f"StringEquals: {{{cloud_2.TAG}: [of-nobody, shop]}}", "of the namespace of-nobody"),
        (f"StringLike: {{{cloud_2.TAG}: 'sho?'}}", "of the namespace shox"),
        (f"StringLike: {{{cloud_2.TAG}: ['shop', 'k*']}}", "of the namespace kx"),
        (
            f"StringEqualsIfExists: {{{cloud_2.TAG.replace('aws', 'ec2')}: [shop, x]}}",
            "namespace x",
        ),
        ("StringEquals: {aws:ResourceTag/Name: shop-data}", "with the tag Name: shop-data"),
        ("StringEquals: {aws:ResourceTag/team: [a, shop]}", "with the tag team: a"),
    ],
)
def test_condition_that_fits_other_volumes_as_well_is_named(condition: str, says: str) -> None:
    """One value of several is enough (IAM, "Multivalued context keys")."""
    found = cloud_2.wrong_rights(by_condition(condition))
    assert found is not None
    assert (found.state, says in found.lines[0]) == ("others", True), found


def allowed(action: str, resource: str = '"*"') -> Environment:
    statement = f"  - {{Effect: Allow, Action: {action}, Resource: {resource}}}\n"
    return by_policy(statement, conditional=True)


@pytest.mark.parametrize(
    "action",
    [
        '"iam:*"',
        '"*"',
        "ec2:DeleteVolume",
        "ec2:CreateSnapshot",
        "ec2:CreateVolume",
        "ec2:ModifyInstanceMetadataOptions",
        "[ec2:DescribeVolumes, ec2:RunInstances]",
        '"ec2:Describe*"',
        "sts:AssumeRole",
        "s3:GetObject",
        "EC2:DELETEVOLUME",
    ],
)
@pytest.mark.parametrize("resource", ['"*"', "arn:aws:ec2:*:*:volume/*", "arn:aws:s3:::backups/*"])
def test_action_that_the_cluster_does_not_need_is_too_much(action: str, resource: str) -> None:
    found = cloud_2.wrong_rights(allowed(action, resource))
    assert found is not None
    # who may do everything there attaches every volume
    everything = action == '"*"' and "s3" not in resource
    assert found.state == ("others" if everything else "too-much")


@pytest.mark.parametrize(
    "statement",
    [
        '{Effect: Allow, NotAction: "iam:*", Resource: "arn:aws:s3:::backups/*"}',
        '{Effect: Maybe, Action: "ec2:DescribeVolumes", Resource: "*"}',
        "just words",
    ],
)
def test_statement_that_labkit_does_not_evaluate_is_no_right_answer(statement: str) -> None:
    assert cloud_2.wrong_rights(by_policy(f"  - {statement}\n", conditional=True)) is not None


@pytest.mark.parametrize(
    "statement",
    [
        'Effect: Allow, Action: "ec2:DetachVolume", Resource: "*"',
        'Effect: Allow, Action: "ec2:describevolumes", Resource: "*"',
        'Effect: Deny, Action: "ec2:DeleteVolume", Resource: "*"',
        'Effect: Deny, Action: "iam:*", Resource: "*"',
    ],
)
def test_statement_that_gives_no_more_than_before_is_right(statement: str) -> None:
    assert cloud_2.wrong_rights(by_policy(f"  - {{{statement}}}\n", conditional=True)) is None


@pytest.mark.parametrize(
    ("old", "says"),
    [
        ("ec2:DescribeInstances, ", "ec2:DescribeInstances"),
        (", ec2:DescribeVolumes", "ec2:DescribeVolumes"),
        (", ec2:DetachVolume", "ec2:DetachVolume a volume of the namespace shop"),
        ("ec2:AttachVolume, ", "ec2:AttachVolume a volume of the namespace shop"),
    ],
)
def test_right_that_the_cluster_needs_is_missed(old: str, says: str) -> None:
    change = f"assert {old!r} in text\ntext = text.replace({old!r}, '')\n"
    code = cloud_2.START + cloud_2.CONDITION.format("shop") + change + cloud_2.END
    found = cloud_2.wrong_rights(edited("cloud-insecure", "cloud", cloud_2.FILE, code))
    assert found is not None
    assert found.state == "too-little"
    assert says in found.lines[0]


def test_new_volume_of_the_own_namespace_is_attached_as_well() -> None:
    condition = f"StringEquals: {{{cloud_2.TAG}: shop, aws:ResourceTag/Name: shop-data}}"
    found = cloud_2.wrong_rights(by_condition(condition))
    assert found is not None
    assert found.state == "too-little"


@pytest.mark.parametrize("name", ["cloud-insecure", "cloud-hardened"])
def test_policies_of_the_environments_give_what_the_cluster_needs(name: str) -> None:
    found = cloud_2.wrong_rights(read_environment(name))
    assert (found.state if found else "") == ("others" if name == "cloud-insecure" else "")


def test_solution_of_the_volumes_gives_neither_more_nor_less() -> None:
    solution = exercises["cloud-2"].solution
    env = edited("cloud-insecure", "cloud", cloud_2.FILE, solution)
    assert cloud_2.wrong_rights(env) is None


@pytest.mark.parametrize(
    ("urls", "state"),
    [
        ("https://0.0.0.0:2379", None),
        ("https://0.0.0.0:2379,https://127.0.0.1:2379", None),
        ("https://0.0.0.0:2379,http://127.0.0.1:2378", "loopback"),
        ("http://[::1]:2378,https://0.0.0.0:2379", "loopback"),
        ("https://0.0.0.0:2379,http://0.0.0.0:2377", "moved"),
        ("https://0.0.0.0:2379,unix:///run/etcd.sock", "moved"),
    ],
)
def test_second_port_for_users_of_the_machine_is_open(urls: str, state: str | None) -> None:
    unit = "etcd.service"
    env = read_environment("insecure", [Flag("etcd", unit, "listen-client-urls", urls)])
    found = etcd_2.still_open(env)
    assert (found.state if found else None) == state


@pytest.mark.parametrize("flag", ["listen-client-http-urls", "listen-metrics-urls"])
@pytest.mark.parametrize("port", [2377, 2378])
def test_second_port_may_be_opened_by_another_flag(flag: str, port: int) -> None:
    """etcd's flags that open a port: server/etcdmain/help.go."""
    unit = "etcd.service"
    plain = Flag("etcd", unit, "listen-client-urls", "https://0.0.0.0:2379")
    more = Flag("etcd", unit, flag, f"http://127.0.0.1:{port}")
    found = etcd_2.still_open(read_environment("insecure", [plain, more]))
    # metrics alone are no door to the keys
    elsewhere = "moved" if "client" in flag else None
    assert (found.state if found else None) == ("loopback" if port == 2378 else elsewhere)


def test_policy_beside_another_authorizer_is_too_much() -> None:
    """Each authorizer allows by itself (Kubernetes, "Authorization": the first decision counts)."""
    text = exercises["least-privilege-2"].solution
    env = edited("insecure", "master", least_privilege_2.FILE, text)
    for modes in ("ABAC,RBAC", "Node,ABAC", "ABAC,AlwaysAllow"):
        more = Flag("master", "kube-apiserver.service", "authorization-mode", modes)
        found = least_privilege_2.wrong_rights(read_environment("insecure", [*env.edits, more]))
        assert found is not None
        assert (found.state, modes in repr(found)) == ("too-much", True)


RULE = "  - {{level: None, {}resources: [{{group: '', resources: [secrets]}}]}}\n"


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("verbs: [list, watch], ", "list secrets in shop by alice"),
        ("verbs: [watch], ", "watch secrets in shop by alice"),
        ("userGroups: ['system:serviceaccounts'], ", "system:serviceaccount:shop:web"),
        ("users: [prometheus], ", "by prometheus"),
        ("namespaces: [payments], ", "in payments by alice"),
        ("users: [kube-proxy-of-nobody], ", ""),
        ("verbs: [patch], ", ""),
    ],
)
def test_each_way_to_read_a_secret_has_an_event(part: str, says: str) -> None:
    """The first rule that fits a request decides (Kubernetes, "Auditing")."""
    path = logs_2.FILE
    text = read_environment("logs-insecure").node("master").files[path].read_text()
    changed = text.replace("rules:\n", "rules:\n" + RULE.format(part))
    assert changed != text
    found = logs_2.without_event(
        read_environment("logs-insecure", [Whole("master", path, changed)])
    )
    assert (found.state if found else "") == ("no-event" if says else "")
    assert says in repr(found)


PLAIN_LOGS = read_environment("logs-insecure")
SHORT = PLAIN_LOGS.node("master").files[logs_2.FILE].read_text().replace("Response", "")


def audited(text: str) -> Outcome | None:
    """Say what the log has no more by a policy of another text."""
    changed = read_environment("logs-insecure", [Whole("master", logs_2.FILE, text)])
    return logs_2.lost_event(PLAIN_LOGS, changed)


def with_rule(conditions: str, level: str = "None") -> str:
    """Return the untouched policy with a rule before the others."""
    text = PLAIN_LOGS.node("master").files[logs_2.FILE].read_text()
    return text.replace("rules:\n", f"rules:\n  - {{level: {level}, {conditions}}}\n")


SECRETS = "resources: [{group: '', resources: [secrets]}]"
NAMES = ", ".join(
    f"'{name}'" for name in CALLERS if "somebody" not in name and "another" not in name
)


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        (f"namespaces: [kube-system], {SECRETS}", "secrets in kube-system by"),
        (f"namespaces: [of-nobody], {SECRETS}", "secrets in of-nobody by"),
        ("namespaces: ['']", "secrets by alice"),
        *(
            (f"verbs: [{verb}], {SECRETS}", f"{verb} secrets in shop by alice")
            for verb in ("get", "list", "watch", "create", "update", "patch", "delete")
        ),
        (f"verbs: [deletecollection], {SECRETS}", "deletecollection secrets in shop by alice"),
        *(
            (f"userGroups: ['{group}'], {SECRETS}", f"secrets in shop by {who}")
            for group, who in (
                ("system:nodes", "system:node:worker1"),
                ("system:masters", "kubernetes-admin"),
                ("system:serviceaccounts", "system:serviceaccount:shop:web"),
                ("system:serviceaccounts:hr", "somebody in system:serviceaccounts:hr"),
                ("developers", "somebody in developers"),
                ("system:unauthenticated", "system:anonymous"),
            )
        ),
        *(
            (f"users: ['{user}'], {SECRETS}", f"secrets in shop by {user}")
            for user in (
                "system:node:worker1",
                "system:node:worker9",
                "system:kube-controller-manager",
                "system:kube-scheduler",
                "system:apiserver",
                "system:serviceaccount:hr:web",
                "somebody-new",
            )
        ),
        ("users: [eve], userGroups: [developers]", "secrets in shop by eve"),
        (
            "resources: [{group: '', resources: [secrets], resourceNames: [db-credentials]}]",
            "get secrets db-credentials in shop",
        ),
        (f"users: ['system:node:worker1'], verbs: [patch], {SECRETS}", "patch secrets"),
        ("users: [alice]", "get secrets in shop by alice"),
        # those whom the lab knows by name have their events, and nobody else
        (
            f"users: [{NAMES}], {SECRETS}}}\n  - {{level: None, {SECRETS}",
            "secrets in shop by somebody new",
        ),
        (
            f"users: [{NAMES}], {SECRETS}}}\n  - {{level: None, userGroups: ['system:nodes']",
            "secrets in shop by system:node:another",
        ),
    ],
)
def test_event_of_each_request_for_a_secret_stays(conditions: str, says: str) -> None:
    level = "None" if "level" not in conditions else "Metadata"
    found = audited(with_rule(conditions, level))
    assert found is not None
    assert (found.state, says in found.lines[0]) == ("no-event", True), found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SHORT[: SHORT.index("  # What runs")], "pods/exec"),  # the first rule alone
        (SHORT[: SHORT.rindex("  - level")], "create"),
        (with_rule("resources: [{group: '', resources: ['pods/*']}]"), "pods/exec"),
        (with_rule("resources: [{group: '', resources: ['nodes/proxy']}]"), "nodes/proxy"),
        (
            with_rule("verbs: [delete], resources: [{group: apps}]"),
            "delete deployments of apps in shop",
        ),
        (
            with_rule("resources: [{group: example.com, resources: [it]}]"),
            "it of example.com in shop",
        ),
        (with_rule("resources: [{group: example.com}]"), "of example.com"),
        (
            with_rule("resources: [{group: coordination.k8s.io, resources: [leases]}]"),
            "leases of coordination.k8s.io in shop",
        ),
        (with_rule("resources: [{group: '', resources: ['*/scale']}]"), "any/scale in shop"),
        (
            with_rule("resources: [{group: authentication.k8s.io, resources: [tokenreviews]}]"),
            "create tokenreviews",
        ),
        (
            with_rule("resources: [{group: '', resources: [serviceaccounts/token]}]"),
            "serviceaccounts/token",
        ),
    ],
    ids=range(11),
)
def test_events_of_other_requests_stay_in_the_log(text: str, says: str) -> None:
    found = audited(text)
    assert found is not None
    assert (found.state, any(says in it for it in found.lines)) == ("other-events", True), found


@pytest.mark.parametrize(
    "text",
    [
        SHORT,
        SHORT.replace("level: Request", "level: Metadata"),
        with_rule("verbs: [get, list, watch], resources: [{group: '', resources: [pods]}]"),
        with_rule("nonResourceURLs: ['/healthz*', '/livez']"),
        with_rule("users: [alice]", "Metadata"),
        SHORT + "  - level: Metadata\n",
    ],
    ids=range(6),
)
def test_policy_with_as_many_events_is_right(text: str) -> None:
    assert audited(text) is None


def test_policy_without_the_events_of_refused_callers_has_less() -> None:
    found = audited(SHORT.replace("[RequestReceived]", "[RequestReceived, ResponseStarted]"))
    assert found is not None
    assert "by a caller whom nobody knows" in found.lines[0]


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ("users: ['system:node:worker1'], resources: [{group: '', resources: ['*/token']}]", "mak"),
        ("namespaces: [hr], resources: [{resources: [serviceaccounts/token]}]", "apiserver makes"),
        ("verbs: [create], userGroups: ['system:nodes']", "apiserver makes"),
        ("users: [eve], resources: [{group: authentication.k8s.io}]", "apiserver check"),
    ],
)
def test_tokens_of_every_caller_stay_out_of_the_log(conditions: str, says: str) -> None:
    text = SHORT.replace("level: Request", "level: Metadata")
    rule = f"rules:\n  - {{level: RequestResponse, {conditions}}}\n"
    policy, _ = read_audit_policy(text.replace("rules:\n", rule), "audit-policy.yaml")
    found = logs_2.with_tokens(policy)
    assert found is not None
    assert (found.state, says in found.lines[0]) == ("tokens", True), found
    policy, _ = read_audit_policy(text, "audit-policy.yaml")
    assert logs_2.with_tokens(policy) is None


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        ({}, None),  # the attack finds what is open
        ({"groups-prefix": "oidc:"}, None),
        ({"groups-prefix": "company/"}, None),
        ({"groups-prefix": "sys"}, None),
        ({"groups-prefix": "oidc:", "required-claim": "sub=alice"}, "no-people"),
        ({"required-claim": "sub=alice"}, "no-people"),
        ({"groups-prefix": "oidc:", "groups-claim": None}, "no-groups"),
        ({"groups-prefix": "oidc:", "client-id": "other"}, "no-people"),
    ],
)
def test_everybody_of_the_company_still_logs_in(
    flags: dict[str, str | None], state: str | None
) -> None:
    unit = "kube-apiserver.service"
    edits = [Flag("master", unit, f"oidc-{name}", value) for name, value in flags.items()]
    found = identity_2.unknown_person(read_environment("oidc-insecure", edits))
    assert (found.state if found else None) == state


def test_names_by_an_expression_are_unknown_and_no_lockout() -> None:
    path = "/etc/kubernetes/authentication.yaml"
    edits = [
        Key("master", path, "jwt.0.claimMappings.groups", {"expression": "['x']"}),
    ]
    found = identity_2.unknown_person(read_environment("oidc-hardened", edits))
    assert found is not None
    assert found.state == "files-unclear"


AUTHENTICATION = "/etc/kubernetes/authentication.yaml"


def by_config(*changes: tuple[str, Any]) -> Environment:
    """Return an environment with another AuthenticationConfiguration."""
    edits = [Key("master", AUTHENTICATION, f"jwt.{key}", value) for key, value in changes]
    return read_environment("oidc-hardened", edits)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("0.issuer.audiences", ["kubernetes", "portal"], "made for portal"),
        ("0.issuer.audiences", ["another", "kubernetes"], "made for another"),
        (
            "0.issuer.discoveryURL",
            "https://elsewhere/keys",
            "keys of tokens from https://elsewhere",
        ),
    ],
)
def test_tokens_that_were_not_made_for_the_cluster_are_named(
    key: str, value: object, says: str
) -> None:
    found = identity_2.wrong_callers(by_config((key, value)))
    assert found is not None
    assert (found.state, says in found.lines[0]) == ("more-tokens", True), found
    assert identity_2.wrong_callers(by_config()) is None


@pytest.mark.parametrize(
    "prefix", ["s", "sys", "system:", "system:node:", "system:serviceaccount:"]
)
def test_prefix_of_names_that_leads_to_the_cluster_s_own_is_named(prefix: str) -> None:
    flags = [("groups-prefix", "company:"), ("username-prefix", prefix)]
    edits = [Flag("master", "kube-apiserver.service", f"oidc-{it}", value) for it, value in flags]
    for env in (
        read_environment("oidc-insecure", edits),
        by_config(("0.claimMappings.username.prefix", prefix)),
    ):
        found = identity_2.wrong_callers(env)
        assert found is not None
        assert (found.state, f"the prefix {prefix}," in found.lines[0]) == ("of-the-cluster", True)


@pytest.mark.parametrize("prefix", ["-", "company:", "oidc:", "systems:"])
def test_prefix_of_names_of_their_own_is_right(prefix: str) -> None:
    flags = [("groups-prefix", "company:"), ("username-prefix", prefix)]
    edits = [Flag("master", "kube-apiserver.service", f"oidc-{it}", value) for it, value in flags]
    assert identity_2.wrong_callers(read_environment("oidc-insecure", edits)) is None


@pytest.mark.parametrize(
    ("expression", "state"),
    [
        ("has(claims.groups) ? dyn(claims.groups).map(g, 'company:' + g) : []", None),
        ('has(claims.groups)?dyn(claims.groups).map(it, "company:" + string(it)):[]', None),
        # the token of a person who is in no group has no claim of it
        ("dyn(claims.groups).map(g, 'company:' + g)", "no-people"),
        ("claims.groups", "files-unclear"),
        ("has(claims.roles) ? dyn(claims.groups).map(g, 'company:' + g) : []", "files-unclear"),
        ("has(claims.groups) ? dyn(claims.groups).filter(g, g != 'x') : []", "files-unclear"),
        ("has(claims.roles) ? dyn(claims.roles).map(g, 'x:' + g) : []", "no-groups"),
        ("has(claims.groups) ? dyn(claims.groups).map(g, 'system:' + g) : []", None),  # the attack
    ],
)
def test_expression_for_groups_is_judged_or_named(expression: str, state: str | None) -> None:
    env = by_config(("0.claimMappings.groups", {"expression": expression}))
    found = identity_2.wrong_callers(env)
    assert (found.state if found else None) == state, found
    assert state != "files-unclear" or "has(claims.groups) ? " in repr(found)


HOOKED = read_environment("hook-insecure")
ABAC = "/etc/kubernetes/abac.jsonl"


def hooked(*changes: tuple[str, str], abac: list[dict[str, Any]] | None = None) -> Environment:
    """Return the environment with the solution's policy, other words and other rights."""
    text = HOOKED.node("master").files[delegation_2.FILE].read_text()
    for old, new in (("failurePolicy: NoOpinion", "failurePolicy: Deny"), *changes):
        assert old in text
        text = text.replace(old, new)
    edits = [Whole("master", delegation_2.FILE, text)]
    if abac is not None:
        rows = ({"apiVersion": VERSION, "kind": "Policy", "spec": it} for it in abac)
        edits.append(Whole("master", ABAC, "".join(json.dumps(it) + "\n" for it in rows)))
    return read_environment("hook-insecure", edits)


CONDITION = "'contractors' in request.groups"


@pytest.mark.parametrize(
    "condition",
    [
        CONDITION,
        f"{CONDITION} && request.resourceAttributes.resource == 'secrets'",
        f"has(request.resourceAttributes) && {CONDITION}",
        "!('developers' in request.groups) && 'contractors' in request.groups",
    ],
)
def test_every_condition_that_asks_about_contractors_and_secrets_is_right(condition: str) -> None:
    assert delegation_2.changed(HOOKED, hooked((CONDITION, condition))) is None


@pytest.mark.parametrize(
    ("condition", "state", "says"),
    [
        (f"{CONDITION} && request.resourceAttributes.namespace == 'shop'", "not-asked", "mallory"),
        (f"{CONDITION} && request.resourceAttributes.verb == 'list'", "not-asked", "mallory"),
        ("request.user == 'mallory'", "not-asked", "another contractor"),
        (f"{CONDITION} && request.user != 'eve'", "not-asked", "eve"),
        ("'system:authenticated' in request.groups", "too-wide", "alice"),
        (f"!({CONDITION})", "not-asked", "mallory"),
        ("request.resourceAttributes.resource == 'secrets'", "too-wide", "alice"),
        ("request.groups.exists(g, g.startsWith('contract'))", "files-unclear", "perhaps"),
    ],
)
def test_condition_that_asks_about_others_is_named(condition: str, state: str, says: str) -> None:
    """Whom the webhook is not asked about, ABAC allows everything; on whom it is, it may fail."""
    found = delegation_2.changed(HOOKED, hooked((CONDITION, condition)))
    assert found is not None
    assert (found.state, any(says in it for it in found.lines)) == (state, True), found


@pytest.mark.parametrize(
    ("lines", "state", "says"),
    [
        ([{"group": "system:authenticated", **EVERYTHING}], None, ""),
        (
            [{"group": "system:authenticated", "readonly": True, **EVERYTHING}],
            "less-than-before",
            "alice may not do it any more",
        ),
        (
            [
                {"group": "developers", **EVERYTHING},
                {"user": "system:kube-scheduler", **EVERYTHING},
            ],
            "nobody-allows",
            "mallory is denied everything",
        ),
        (
            [
                {"user": name, **EVERYTHING}
                for name in ("alice", "mallory", "system:kube-scheduler")
            ],
            "nobody-allows",
            "another contractor is denied everything",
        ),
        ([{"group": "system:authenticated", **EVERYTHING, "namespace": "shop"}], "less-than", ""),
    ],
)
def test_rights_that_the_solution_takes_away_are_named(
    lines: list[dict[str, Any]], state: str | None, says: str
) -> None:
    found = delegation_2.changed(HOOKED, hooked(abac=lines))
    assert (found is None) == (state is None)
    assert found is None or (found.state.startswith(str(state)) and says in found.lines[0])


def test_webhook_that_allows_without_an_answer_is_open() -> None:
    policy = ("failurePolicy: Deny", "failurePolicy: NoOpinion")
    found = delegation_2.changed(HOOKED, hooked(policy))
    assert found is not None
    assert (found.state, "mallory may" in found.lines[0]) == ("open", True)


@pytest.mark.parametrize(
    ("named", "there", "gone"),
    [
        ("EnvironmentFile=/run/etcd.env", True, True),
        ("EnvironmentFile=-/tmp/a/etcd.env", True, True),
        ("EnvironmentFile=/var/run/etcd.env", True, True),
        ("EnvironmentFile=/etc/etcd/etcd.env", True, False),
        ("EnvironmentFile=/var/tmp/etcd.env", True, False),
        ("ListenStream=/run/etcd.sock", False, False),  # no file: a socket
        ("EnvironmentFile=/run/flannel/subnet.env", True, False),  # flanneld writes it
    ],
)
def test_file_that_a_restart_removes_is_named(named: str, *, there: bool, gone: bool) -> None:
    path = "/etc/systemd/system/flanneld.service"
    text = read_environment("insecure").node("worker1").files[path].read_text()
    edit = Whole("worker", path, text.replace("[Service]\n", f"[Service]\n{named}\n"))
    env = read_environment("insecure", [edit])
    answer = SimpleNamespace(exit_code=0 if there else 1)
    lab: Any = SimpleNamespace(environment=env, by_hand=(edit,), exec=lambda *_, **__: answer)
    found = checks._kept_in_memory(lab)
    assert (found is not None) == gone
    if found:
        assert found.state == "does-not-run"
        assert "is gone after a restart" in found.lines[0]


@pytest.mark.parametrize(
    ("mode", "said", "shown"),
    [
        ("oidc-insecure", "edits/master/etc/kubernetes/a.yaml:13", "/etc/kubernetes/a.yaml:13"),
        (
            "oidc-insecure",
            "oidc-insecure/master/etc/systemd/system/kube-apiserver.service:24 --oidc",
            "/etc/systemd/system/kube-apiserver.service:24 --oidc",
        ),
        ("insecure", "insecure/master/etc/kubernetes/abac.jsonl:1", "/etc/kubernetes/abac.jsonl:1"),
        # of another layer, no file at all, and a path on a machine
        (
            "oidc-insecure",
            "common/master/etc/sysusers.d/people.conf",
            "/etc/sysusers.d/people.conf",
        ),
        ("insecure", "edits of insecure, by hand", "edits of insecure, by hand"),
        ("insecure", "/srv/edits/master/it", "/srv/edits/master/it"),
    ],
)
def test_message_names_a_file_as_it_is_on_its_machine(mode: str, said: str, shown: str) -> None:
    assert by_machine(read_environment(mode), f"unknown ({said}): {said}") == (
        f"unknown ({shown}): {shown}"
    )


@pytest.mark.parametrize(("kind", "named"), [("harden", True), ("predict", False)])
def test_check_names_files_as_a_participant_knows_them(
    kind: str, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prediction is about the files of the kit, which have names of their own."""
    source = "edits/master/etc/kubernetes/authentication.yaml:13"
    env = read_environment("oidc-insecure")
    lab: Any = SimpleNamespace(by_machine=lambda text: by_machine(env, text))
    exercise: Any = SimpleNamespace(
        kind=kind, mode="oidc-insecure", check=lambda *_: Outcome("does-not-run", ("it", source))
    )
    monkeypatch.setattr(session, "EXERCISES", {"x": exercise})
    monkeypatch.setattr(session, "_lab_of", lambda *_: lab)
    shown = "/etc/kubernetes/authentication.yaml:13" if named else source
    assert session.check("x").lines == ("it", shown)


def after_edits(mode: str, *edits: Whole) -> Any:
    return SimpleNamespace(mode=mode, by_hand=edits, environment=read_environment(mode, edits))


def test_edited_webhook_is_put_back_by_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes from delegation-1 without a reset has edited it there."""
    [path] = [it for it in HOOKED.node("review").files if it.endswith("opa.service")]
    text = HOOKED.node("review").files[path].read_text()
    monkeypatch.setattr(delegation_2, "hardened_state", lambda *_, **__: Outcome("open"))
    lab = after_edits("hook-insecure", Whole("reviewer", path, f"{text}# more\n"))
    found = delegation_2.check(lab, None)
    assert found.state == "reviewer-edited"
    assert path in found.lines[0]
    assert found.lines[1].startswith("%lab reset hook-insecure review ")


def test_file_that_the_task_leaves_alone_is_put_back_by_a_command() -> None:
    [account, _] = cloud_2.OTHERS
    lab = after_edits("cloud-insecure", Whole("cloud", account, "region: us-east-1\n"))
    found = checks.edited_beside(lab, account)
    assert found is not None
    assert found.lines[1].startswith("%lab reset cloud-insecure cloud ")
    assert checks.edited_beside(lab, "/etc/another") is None
