"""Permissions under a broad ABAC policy, a narrow one, and Node and RBAC, as predicted.

The same in the lab: ``labkit matrix --control abac-least-privilege``.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from labkit import controls, read_environment, techniques
from labkit.cluster.edits import Flag
from labkit.cluster.policies import read_abac
from labkit.controls import with_controls
from labkit.controls._policy import narrow
from labkit.model import Model, read_model

AUTHORIZER = ("master", "kube-apiserver.service")
BROAD, NARROW, ROLES = (), ("abac-least-privilege",), ("apiserver-authorization",)


@cache
def model(mode: str, *flipped: str) -> Model:
    wanted = dict.fromkeys(flipped, mode == "insecure")
    return read_model(with_controls(read_environment(mode), wanted))


def succeeds(name: str, seen: Model) -> bool:
    technique = techniques[name]
    return bool(technique.predict(seen, technique.footholds[0]).succeeds)


@pytest.mark.parametrize(
    ("name", "broad", "narrow", "roles"),
    [
        ("proxy-reads-secrets", True, False, False),
        ("proxy-reads-pods", True, False, False),
        ("proxy-creates-pods", True, False, False),
        ("proxy-writes-nodes", True, False, False),
        ("scheduler-credential", True, False, False),
        ("impersonate", True, False, False),
        ("pod-token", True, False, False),
        # ABAC cannot distinguish the secrets and pods of two nodes
        ("node-reads-secrets", True, True, False),
        ("node-reads-pods", True, True, False),
        # the Node authorizer does not check writes: NodeRestriction does
        ("node-writes-other-node", True, True, True),
        ("node-creates-pods", True, True, True),
        # the controller manager reads and creates objects for all controllers
        ("controller-manager-credential", True, True, True),
        ("controller-manager-token", True, True, True),
    ],
)
def test_technique_outcome_under_broad_abac_narrow_abac_and_rbac(
    name: str, broad: bool, narrow: bool, roles: bool
) -> None:
    found = [succeeds(name, model("insecure", *flipped)) for flipped in (BROAD, NARROW, ROLES)]
    assert found == [broad, narrow, roles]


def test_narrow_abac_gives_full_rights_only_to_controllers_that_need_them() -> None:
    rules, unknowns = read_abac(narrow(), "abac.jsonl")
    assert unknowns == ()
    assert {rule.group or rule.user for rule in rules if rule.everything} == {
        "system:masters",
        *(
            f"system:serviceaccount:kube-system:{name}"
            for name in (
                "generic-garbage-collector",
                "horizontal-pod-autoscaler",
                "namespace-controller",
                "storage-version-migrator-controller",
            )
        ),
    }
    specs = [json.loads(line)["spec"] for line in narrow().splitlines()]
    assert not [spec for spec in specs if "/" in spec.get("resource", "")]


def test_rbac_implies_the_least_privilege_control() -> None:
    assert not controls["apiserver-authorization"].holds(model("insecure", *NARROW))
    assert controls["abac-least-privilege"].holds(model("insecure", *ROLES))


def test_separate_accounts_leave_the_controller_managers_rights() -> None:
    for flipped in ((), ("controller-service-accounts",)):
        seen = model("hardened", *flipped)
        assert succeeds("controller-manager-credential", seen)
        assert succeeds("controller-manager-token", seen)
        assert not succeeds("scheduler-credential", seen)


@pytest.mark.parametrize(
    ("name", "control"),
    [
        ("token-replay", "token-audience"),
        ("long-lived-token", "bound-tokens"),
        ("default-account", "default-account-unbound"),
    ],
)
def test_token_technique_is_stopped_by_its_control(name: str, control: str) -> None:
    assert not succeeds(name, model("hardened"))
    assert succeeds(name, model("hardened", control))
    # if everybody may do everything, an account without permissions does not help
    assert succeeds(name, model("insecure", control)) == (name == "default-account")


def test_default_account_is_stopped_by_two_controls_together() -> None:
    both = ("apiserver-authorization", "default-account-unbound")
    assert succeeds("default-account", model("insecure", both[0]))
    assert not succeeds("default-account", model("insecure", *both))


@pytest.mark.lab
@pytest.mark.parametrize("mode", ["insecure", "hardened"])
def test_under_always_allow_only_admission_and_authentication_are_left(
    mode: str, labs: dict[str, Any]
) -> None:
    """The test sets the article's first mode, because no environment has it."""
    lab = labs[mode]
    edits = [Flag(*AUTHORIZER, "authorization-mode", "AlwaysAllow")]
    if mode == "insecure":
        edits.append(Flag(*AUTHORIZER, "authorization-policy-file", None))
    names = [
        "scheduler-credential",
        "controller-manager-credential",
        *(f"node-{what}" for what in ("reads-secrets", "reads-pods")),
        *(f"proxy-{what}" for what in ("reads-secrets", "reads-pods", "creates-pods")),
        "proxy-writes-nodes",
    ]
    admitted = ["node-writes-other-node", "node-creates-pods", "node-changes-labels"]
    # with AlwaysAllow the apiserver disables anonymous callers
    wanted = {**dict.fromkeys(names, True), "apiserver-anonymous": False}
    wanted |= dict.fromkeys(admitted, mode == "insecure")
    try:
        lab.apply(edits)
        lab.wait()
        seen = read_model(lab.environment)
        found = {name: techniques[name].run(lab) for name in wanted}
        assert {name: verdict.succeeded for name, verdict in found.items()} == wanted
        assert {name: succeeds(name, seen) for name in wanted} == wanted
        assert all(verdict.control for verdict in found.values() if not verdict.succeeded)
    finally:
        lab.reset()
