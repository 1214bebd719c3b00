"""Techniques that controls of apiserver, kubelets and tokens stop, predicted by the model."""

from __future__ import annotations

from functools import cache

import pytest

from labkit import controls, read_environment, techniques
from labkit.controls import with_controls
from labkit.model import Foothold, Model, read_model

ACCESS = (
    "admin-kubeconfig-permissions",
    "apiserver-anonymous",
    "apiserver-authorization",
    "ca-key-permissions",
    "insecure-port",
    "kubelet-anonymous",
    "kubelet-read-only-port",
    "service-account-automount",
)


@cache
def model(mode: str, *flipped: str) -> Model:
    wanted = dict.fromkeys(flipped, mode == "insecure")
    return read_model(with_controls(read_environment(mode), wanted))


def succeeds(name: str, seen: Model) -> set[Foothold]:
    technique = techniques[name]
    return {where for where in technique.footholds if technique.predict(seen, where).succeeds}


@pytest.mark.parametrize("name", ACCESS)
def test_control_alone_stops_the_techniques_it_claims(name: str) -> None:
    stopped = {
        technique.name
        for technique in techniques.values()
        if succeeds(technique.name, model("insecure"))
        and not succeeds(technique.name, model("insecure", name))
    }
    claimed = set(controls[name].stops)
    assert claimed
    assert claimed <= stopped


@pytest.mark.parametrize(
    ("flipped", "opened"),
    [
        (("insecure-port",), "insecure-port"),
        (("kubelet-authorization",), "kubelet-neighbour"),
        (("apiserver-authorization",), "kubelet-neighbour"),
        (("apiserver-authorization",), "csr-self-approve"),
        (("apiserver-authorization",), "impersonate"),
        (("admin-kubeconfig-permissions",), "admin-kubeconfig"),
        (("ca-key-permissions",), "ca-key-theft"),
        (("kubelet-read-only-port",), "kubelet-read-only"),
        (("kubelet-anonymous", "kubelet-authorization"), "kubelet-exec"),
        (("apiserver-authorization", "service-account-automount"), "pod-token"),
    ],
)
def test_technique_succeeds_in_hardened_without_these_controls(
    flipped: tuple[str, ...], opened: str
) -> None:
    assert not succeeds(opened, model("hardened"))
    assert succeeds(opened, model("hardened", *flipped))


@pytest.mark.parametrize("kept", ["kubelet-anonymous", "kubelet-authorization"])
def test_either_kubelet_control_stops_anonymous_exec(kept: str) -> None:
    other = {"kubelet-anonymous", "kubelet-authorization"} - {kept}
    assert not succeeds("kubelet-exec", model("hardened", *other))


def test_kubelet_webhook_does_not_help_if_the_apiserver_allows_all() -> None:
    assert succeeds("kubelet-exec", model("insecure", "kubelet-authorization"))
    both = model("insecure", "kubelet-authorization", "apiserver-authorization")
    assert not succeeds("kubelet-exec", both)


def test_insecure_port_control_uses_existing_certificates() -> None:
    changed = model("insecure", "insecure-port")
    for client in ("kubelet@worker1", "kube-proxy@worker2", "kube-scheduler@master"):
        [channel] = changed.open_channels(f"{client} -> kube-apiserver@*")
        assert channel.encryption.value == "tls1.2"
        assert channel.server_authentication.value == "verified"
        assert channel.credential == client.partition("@")[0]
    assert changed.environment.pki == model("insecure").environment.pki
