"""What the controls of the apiserver, the kubelets and the tokens stop, by the model alone."""

from __future__ import annotations

from functools import cache

import pytest

from labkit import controls, read_environment, techniques
from labkit.model import View

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
def view(mode: str, *flipped: str) -> View:
    wanted = dict.fromkeys(flipped, mode == "insecure")
    return View(controls.with_controls(read_environment(mode), wanted))


def succeeds(name: str, seen: View) -> set[str]:
    technique = techniques.find(name)
    return {where for where in technique.footholds if technique.predict(seen, where).succeeds}


@pytest.mark.parametrize("name", ACCESS)
def test_control_alone_stops_the_techniques_it_claims(name: str) -> None:
    stopped = {
        technique.name
        for technique in techniques.all()
        if succeeds(technique.name, view("insecure"))
        and not succeeds(technique.name, view("insecure", name))
    }
    claimed = set(controls.find(name).stops)
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
    assert not succeeds(opened, view("hardened"))
    assert succeeds(opened, view("hardened", *flipped))


@pytest.mark.parametrize("kept", ["kubelet-anonymous", "kubelet-authorization"])
def test_either_kubelet_control_stops_anonymous_exec(kept: str) -> None:
    other = {"kubelet-anonymous", "kubelet-authorization"} - {kept}
    assert not succeeds("kubelet-exec", view("hardened", *other))


def test_kubelet_webhook_is_no_help_where_the_apiserver_allows_all() -> None:
    assert succeeds("kubelet-exec", view("insecure", "kubelet-authorization"))
    both = view("insecure", "kubelet-authorization", "apiserver-authorization")
    assert not succeeds("kubelet-exec", both)


def test_insecure_port_control_uses_existing_certificates() -> None:
    changed = view("insecure", "insecure-port")
    for client in ("kubelet@worker1", "kube-proxy@worker2", "kube-scheduler@master"):
        [channel] = changed.channels(f"{client} -> kube-apiserver@*")
        assert channel.encryption.value == "tls1.2"
        assert channel.server_authentication.value == "verified"
        assert channel.credential == client.partition("@")[0]
    assert changed.env.pki == view("insecure").env.pki
