"""The stand-in for a cloud in the model, and the policies of its users and roles.

The rules are those of AWS: "Policy evaluation logic" of the IAM User Guide, and "Use the Instance
Metadata Service" of the EC2 User Guide.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pytest
import yaml

from labkit import controls, techniques
from labkit.cluster import read_environment
from labkit.cluster.edits import Flag, Key, Whole
from labkit.cluster.syntax.yamldoc import read_one
from labkit.model import read_model
from labkit.model.cloud_policy import Resource, policy_decides
from labkit.model.clouds import cloud_of
from labkit.resources import environments_dir

MODES = ("cloud-insecure", "cloud-hardened")
PLACE = "arn:aws:ec2:us-east-1:123456789012"
MINE, OTHERS = (Resource(PLACE, "volume", {"team": it}) for it in ("shop", "payments"))
MACHINE = Resource(PLACE, "instance")
UNIT, LIMIT, TOKENS = "cloud.service", "http-put-response-hop-limit", "http-tokens"
ATTACH, ACCOUNT = "ec2:AttachVolume", "/etc/cloud/account.yaml"
TAGGED = "{StringEquals: {'aws:ResourceTag/team': shop}}"


@pytest.fixture(scope="module")
def stand_in() -> Any:
    """Return the program that the machine runs; it imports moto only when it serves."""
    path = environments_dir() / "images/cloud/cloud-stand-in.py"
    spec = importlib.util.spec_from_file_location("cloud_stand_in", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# -- policies ---------------------------------------------------------------------------------


def statement(effect: str = "Allow", **parts: str) -> str:
    shown = {"Action": "'ec2:AttachVolume'", "Resource": "'*'", **parts}
    return f"{{Effect: {effect}, {', '.join(f'{key}: {text}' for key, text in shown.items())}}}"


CASES = [
    ([statement()], "allowed", "allowed"),
    ([statement(Action="['ec2:Describe*', 'EC2:attach*']")], "allowed", "allowed"),
    ([statement(Action="'ec2:DescribeVolumes'")], "denied", "denied"),
    ([statement(Resource=f"'{PLACE}:volume/*'")], "allowed", "allowed"),
    ([statement(Resource="'arn:aws:ec2:*:*:instance/*'")], "denied", "denied"),
    ([statement(Condition=TAGGED)], "allowed", "denied"),
    ([statement(), statement("Deny", Condition=TAGGED)], "denied", "allowed"),
    ([statement("Deny")], "denied", "denied"),
    ([], "denied", "denied"),
    ([statement(Condition="{StringLike: {'aws:ResourceTag/team': 's*'}}")], "allowed", "denied"),
    ([statement(Condition="{StringLike: {'aws:ResourceTag/team': 'SHO?'}}")], "denied", "denied"),
    (
        [statement(Condition="{StringNotLike: {'aws:ResourceTag/team': '?hop'}}")],
        "denied",
        "allowed",
    ),
    (
        [statement(Condition="{StringEqualsIgnoreCase: {'aws:ResourceTag/team': SHOP}}")],
        "allowed",
        "denied",
    ),
    (
        [statement(Condition="{StringNotEquals: {'aws:ResourceTag/team': payments}}")],
        "allowed",
        "denied",
    ),
    (
        [statement(Condition="{StringEqualsIfExists: {'aws:ResourceTag/team': shop}}")],
        "allowed",
        "denied",
    ),
    # a key that is not there: equality fails, inequality and ...IfExists hold
    ([statement(Condition="{StringEquals: {'aws:ResourceTag/x': shop}}")], "denied", "denied"),
    ([statement(Condition="{StringLike: {'aws:ResourceTag/x': '*'}}")], "denied", "denied"),
    ([statement(Condition="{StringNotEquals: {'aws:ResourceTag/x': a}}")], "allowed", "allowed"),
    (
        [statement(Condition="{StringLikeIfExists: {'aws:ResourceTag/x': a}}")],
        "allowed",
        "allowed",
    ),
    ([statement(Condition="{'Null': {'aws:ResourceTag/x': 'true'}}")], "allowed", "allowed"),
    ([statement(Condition="{'Null': {'aws:ResourceTag/team': true}}")], "denied", "denied"),
    ([statement(Condition="{'Null': {'aws:ResourceTag/team': 'false'}}")], "allowed", "allowed"),
]
#: What labkit does not evaluate: the stand-in refuses it, the model does not know.
DOUBTFUL = [
    [statement(Condition="{'ForAnyValue:StringLike': {'aws:ResourceTag/team': 's*'}}")],
    [statement(Condition="{ArnLike: {'aws:ResourceTag/team': 's*'}}")],
    [statement(Condition="{StringEquals: {'aws:RequestedRegion': us-east-1}}")],
    [statement(), statement("Deny", Condition="{Bool: {'aws:MultiFactorAuthPresent': 'false'}}")],
    [statement(Condition="{StringEquals: {'aws:ResourceTag/team': '${aws:PrincipalTag/team}'}}")],
    [statement(), statement("Deny", Resource="'arn:aws:ec2:*:*:volume/${aws:PrincipalTag/vol}'")],
    ["{Effect: Allow, NotAction: 'iam:*', Resource: '*'}"],
    ["{Effect: Allow, Action: 'ec2:*', NotResource: 'arn:aws:ec2:*:*:snapshot/*'}"],
]


def policy(statements: list[str]) -> Any:
    return read_one(f"Statement: [{', '.join(statements)}]", "policy.yaml")


@pytest.mark.parametrize(("statements", "mine", "others"), CASES)
def test_policy_decides_as_aws_does(
    statements: list[str], mine: str, others: str, stand_in: Any
) -> None:
    read = policy(statements)
    for resource, expected in ((MINE, mine), (OTHERS, others)):
        assert policy_decides(read, ATTACH, [resource]).value == expected
        # the stand-in has its own program for the same rules
        arn = f"{PLACE}:volume/vol-0a1b"
        assert stand_in.allowed(read.value, ATTACH, [(arn, resource.tags)]) is (
            expected == "allowed"
        )


def test_stand_in_names_the_operators_that_it_does_not_know(stand_in: Any) -> None:
    condition = "{ArnLike: {a: b}, StringLike: {a: b}, 'Null': {a: b}, Bool: {c: d}}"
    read = policy([statement(), statement(Condition=condition)])
    assert stand_in.not_known(read.value) == ["ArnLike", "Bool"]


@pytest.mark.parametrize("statements", DOUBTFUL)
def test_what_is_not_evaluated_is_unknown_and_refused_by_the_stand_in(
    statements: list[str], stand_in: Any
) -> None:
    read = policy(statements)
    assert policy_decides(read, ATTACH, [MINE]).value == "unknown"
    assert not stand_in.allowed(read.value, ATTACH, [(f"{PLACE}:volume/vol-0a1b", MINE.tags)])


def test_policy_about_one_volume_is_unknown() -> None:
    read = policy([statement(Resource=f"'{PLACE}:volume/vol-0a1b'")])
    assert policy_decides(read, ATTACH, [MINE]).value == "unknown"
    assert policy_decides(read, ATTACH, [MACHINE]).value == "denied"


def test_every_resource_of_an_action_must_be_allowed(stand_in: Any) -> None:
    read = policy([statement(Resource="'arn:aws:ec2:*:*:volume/*'")])
    assert policy_decides(read, ATTACH, [MINE]).value == "allowed"
    assert policy_decides(read, ATTACH, [MACHINE, MINE]).value == "denied"
    asked = [(f"{PLACE}:instance/i-0a", {}), (f"{PLACE}:volume/vol-0a", MINE.tags)]
    assert not stand_in.allowed(read.value, ATTACH, asked)


def test_statement_about_some_resources_does_not_allow_an_action_on_none(stand_in: Any) -> None:
    read = policy([statement(Action="'ec2:*'", Resource=f"'{PLACE}:volume/*'")])
    assert policy_decides(read, "ec2:DescribeVolumes", []).value == "denied"
    assert not stand_in.allowed(read.value, "ec2:DescribeVolumes", [("*", {})])


# -- metadata ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "limit", "claim", "succeeds"),
    [
        ("optional", "1", "none", True),
        ("optional", "2", "none", True),
        ("required", "1", "required", False),
        # a pod is one hop behind its machine
        ("required", "2", "required", True),
        ("required", "64", "required", True),
        ("required", "many", "required", None),
        ("perhaps", "1", "unknown", None),
    ],
)
def test_version_and_hop_limit_decide_who_asks_for_metadata(
    tokens: str, limit: str, claim: str, succeeds: bool | None
) -> None:
    edits = [Flag("cloud", UNIT, TOKENS, tokens), Flag("cloud", UNIT, LIMIT, limit)]
    for mode in MODES:
        model = read_model(read_environment(mode, edits))
        [channel] = model.open_channels("anyone@network -> cloud-stand-in@cloud:80")
        assert channel.client_authentication.value == claim
        technique = techniques["cloud-metadata-role"]
        assert technique.predict(model, technique.footholds[0]).succeeds is succeeds
        assert controls["metadata-tokens"].holds(model) is (succeeds is False)


# -- the account ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [None, "region: [", "region: us-east-1\n", "role: none\n"])
def test_account_that_cannot_be_read_leaves_predictions_unknown(text: str | None) -> None:
    model = read_model(read_environment("cloud-insecure", [Whole("cloud", ACCOUNT, text)]))
    for name in ("cloud-volume", "cloud-key-file"):
        technique = techniques[name]
        assert technique.predict(model, technique.footholds[0]).succeeds is None
    assert not controls["cloud-role-by-tag"].holds(model)


def test_volume_with_another_tag_is_another_workloads() -> None:
    path = "volumes.1.tags"
    tags = {"kubernetes.io/created-for/pvc/namespace": "shop"}
    env = read_environment("cloud-hardened", [Key("cloud", ACCOUNT, path, tags)])
    technique = techniques["cloud-volume"]
    assert technique.predict(read_model(env), technique.footholds[0]).succeeds is True


def test_key_is_the_same_on_the_cloud_and_on_the_master() -> None:
    from labkit.lab.files import machine_files

    env = read_environment("cloud-insecure")
    made = machine_files(env, {node.name: "10.160.0.9" for node in env.nodes})
    files = {node: {it.path: it.data for it in many} for node, many in made.items()}
    account = yaml.safe_load(files["cloud"][ACCOUNT])
    secret = account["users"][0]["secret_access_key"]
    written = files["master"]["/etc/kubernetes/cloud-credentials"].decode()
    assert f"aws_secret_access_key = {secret}\n" in written
    assert "RANDOM" not in written
    data = [it["data"] for it in account["volumes"]]
    assert len({secret, *data}) == 3
    again = machine_files(env, {node.name: "10.160.0.9" for node in env.nodes})
    assert secret.encode() not in b"".join(it.data for it in again["master"])


def test_cloud_says_in_the_model_that_it_is_a_stand_in() -> None:
    for mode in MODES:
        found = cloud_of(read_environment(mode))
        assert found
        assert "stand-in" in found.component.id
