"""What the controls of the apiserver, the kubelets and the tokens stop, by the model alone."""

from __future__ import annotations

from functools import cache

import pytest

from labkit import controls, read_environment, techniques
from labkit.controls import with_controls
from labkit.model import Model, read_model

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


def succeeds(name: str, seen: Model) -> set[str]:
    technique = techniques[name]
    return {where for where in technique.footholds if technique.predict(seen, where).succeeds}


@pytest.mark.parametrize("name", ACCESS)
def test_alone_it_stops_what_it_claims_to(name: str) -> None:
    stopped = {
        technique.name
        for technique in techniques.values()
        if succeeds(technique.name, model("insecure"))
        and not succeeds(technique.name, model("insecure", name))
    }
    assert set(controls[name].stops) <= stopped


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
def test_without_them_it_succeeds_in_the_hardened_cluster(
    flipped: tuple[str, ...], opened: str
) -> None:
    assert not succeeds(opened, model("hardened"))
    assert succeeds(opened, model("hardened", *flipped))


@pytest.mark.parametrize("kept", ["kubelet-anonymous", "kubelet-authorization"])
def test_one_of_two_suffices_against_the_anonymous_at_a_kubelet(kept: str) -> None:
    other = {"kubelet-anonymous", "kubelet-authorization"} - {kept}
    assert not succeeds("kubelet-exec", model("hardened", *other))


def test_asking_an_apiserver_that_allows_everything_is_no_help() -> None:
    assert succeeds("kubelet-exec", model("insecure", "kubelet-authorization"))
    both = model("insecure", "kubelet-authorization", "apiserver-authorization")
    assert not succeeds("kubelet-exec", both)


def test_the_components_use_certificates_that_were_there_before() -> None:
    changed = model("insecure", "insecure-port")
    for client in ("kubelet@worker1", "kube-proxy@worker2", "kube-scheduler@master"):
        [channel] = changed.channels(f"{client} -> kube-apiserver@*")
        assert channel.encryption.value == "tls1.2"
        assert channel.server_authentication.value == "verified"
        assert channel.credential == client.partition("@")[0]
    assert changed.env.pki == model("insecure").env.pki
