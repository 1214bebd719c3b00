"""A technique never takes what the model does not know for a refusal, nor for a success."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from labkit import techniques
from labkit.analysis import attack_paths
from labkit.cluster import read_environment
from labkit.cluster.edits import Flag
from labkit.model import Channel, Claim, Model, read_model
from labkit.model.claims import VALUES
from labkit.techniques import Technique

MODES = ("insecure", "hardened")


def with_value(model: Model, technique: Technique, name: str, value: str) -> Model:
    """Return the model with one claim of the technique's channels changed, which are then open."""
    wanted = {channel.id for channel in technique.channels(model)}

    def changed(it: Channel) -> Channel:
        claim: Claim = getattr(it, name)
        given: dict[str, Any] = {name: replace(claim, value=value), "open": True}
        return replace(it, **given) if it.id in wanted else it

    return replace(model, channels=tuple(map(changed, model.channels)))


def predictions(technique: Technique, model: Model) -> list[bool | None]:
    return [technique.predict(model, foothold).succeeds for foothold in technique.footholds]


@pytest.mark.parametrize("which", [0, 1], ids=MODES)
@pytest.mark.parametrize("technique", techniques.values(), ids=lambda it: it.name)
def test_unknown_claim_predicts_only_what_every_value_predicts(
    technique: Technique, which: int
) -> None:
    model = read_model(technique.modes[which])
    for name in technique.properties:
        values = [it for it in VALUES[name] if it not in ("unknown", "closed", "local")]
        each = [predictions(technique, with_value(model, technique, name, it)) for it in values]
        unknown = predictions(technique, with_value(model, technique, name, "unknown"))
        for found, *others in zip(unknown, *each, strict=True):
            if found is not None:
                assert set(others) == {found}, (name, found, others)


WEBHOOK = (
    Flag("master", "kube-apiserver.service", "authorization-mode", "Node,RBAC,Webhook"),
    Flag("master", "kube-apiserver.service", "authorization-webhook-config-file", "/x"),
)


def test_webhook_authorizer_makes_what_rbac_refuses_unknown() -> None:
    plain, asked = read_model("hardened"), read_model(read_environment("hardened", WEBHOOK))
    doubtful = set()
    for technique in techniques.values():
        for foothold in technique.footholds:
            before = technique.predict(plain, foothold)
            after = technique.predict(asked, foothold)
            if before.succeeds:
                assert after.succeeds, technique.name
            elif after.succeeds is None:
                assert "a service outside the cluster decides" in repr(after)
                doubtful.add(technique.name)
            else:
                assert after.succeeds is False, technique.name
    # those of hardened that RBAC alone refuses
    assert doubtful >= {
        "agent-token",
        "default-account",
        "impersonate",
        "node-reads-secrets",
        "proxy-reads-secrets",
        "scheduler-credential",
    }


def test_webhook_authorizer_makes_what_credentials_open_possible() -> None:
    plain, asked = read_model("hardened"), read_model(read_environment("hardened", WEBHOOK))
    for start in ("pod", "holds:kube-proxy@worker1", "root:worker1"):
        assert not attack_paths(plain, start, "admin").possible
        found = attack_paths(asked, start, "admin")
        assert not found.paths
        assert "a service outside the cluster decides" in repr(found), start


def test_encryption_whose_configuration_cannot_be_read_predicts_nothing() -> None:
    env = read_environment("insecure")
    files = replace(env.apiserver_files, encryption={})
    given = replace(env.component("kube-apiserver@master"))
    flag = replace(given.setting("anonymous-auth"), value="/etc/kubernetes/encryption.yaml")
    settings = {**given.settings, "encryption-provider-config": (flag,)}
    other = replace(given, settings=settings)
    components = tuple(other if it.id == given.id else it for it in env.components)
    model = read_model(replace(env, apiserver_files=files, components=components))
    for name in ("etcd-read", "at-rest", "etcd-second-listener"):
        technique = techniques[name]
        assert technique.predict(model, technique.footholds[0]).succeeds is None, name
