"""Techniques that etcd's authority, users and ports stop together, predicted by the model."""

from __future__ import annotations

from functools import cache

import pytest

from labkit import controls, read_environment, techniques
from labkit.controls import with_controls
from labkit.model import Model, read_model
from labkit.techniques import Prediction


@cache
def model(mode: str, *flipped: str) -> Model:
    wanted = dict.fromkeys(flipped, mode == "insecure")
    return read_model(with_controls(read_environment(mode), wanted))


def predicted(name: str, seen: Model) -> Prediction:
    technique = techniques[name]
    return technique.predict(seen, technique.footholds[0])


@pytest.mark.parametrize(
    ("flipped", "because"),
    [
        ((), "trusts /etc/etcd/pki/ca.crt only"),
        (("etcd-own-ca",), "etcd has no user system:node:worker1"),
        (("etcd-own-ca", "etcd-users"), "encryption at rest"),
        (("etcd-users", "encryption-at-rest"), "trusts /etc/etcd/pki/ca.crt only"),
    ],
)
def test_each_of_three_controls_keeps_a_kubelet_out_of_etcd(
    flipped: tuple[str, ...], because: str
) -> None:
    said = predicted("etcd-any-certificate", model("hardened", *flipped))
    assert not said.succeeds
    assert because in said.because[0]


def test_kubelet_reads_etcd_without_all_three_controls() -> None:
    seen = model("hardened", "etcd-own-ca", "etcd-users", "encryption-at-rest")
    assert predicted("etcd-any-certificate", seen).succeeds


def test_etcd_authority_does_not_help_without_tls() -> None:
    assert predicted("etcd-any-certificate", model("insecure", "etcd-own-ca")).succeeds
    both = model("insecure", "etcd-own-ca", "etcd-client-tls")
    assert not predicted("etcd-any-certificate", both).succeeds


@pytest.mark.parametrize(
    ("flipped", "because"),
    [
        ((), "where etcd listens: https://0.0.0.0:2379"),
        (("etcd-single-listener",), "knows this caller as no user"),
        (("etcd-single-listener", "etcd-users"), "encryption at rest"),
    ],
)
def test_second_etcd_port_is_a_separate_channel(flipped: tuple[str, ...], because: str) -> None:
    seen = model("hardened", *flipped)
    said = predicted("etcd-second-listener", seen)
    assert not said.succeeds
    assert because in said.because[0]
    assert bool(seen.open_channels("anyone@network -> etcd@etcd2:2378")) == bool(flipped)


def test_tls_on_one_etcd_port_leaves_the_other_plaintext() -> None:
    seen = model("insecure", "etcd-client-tls")
    assert not seen.open_channels("anyone@network -> etcd@etcd1:2379")
    assert seen.open_channels("anyone@network -> etcd@etcd1:2378")[0].encryption.value == "none"
    assert predicted("etcd-second-listener", seen).succeeds


@pytest.mark.parametrize("mode", ["insecure", "hardened"])
def test_control_flannel_leases_decides_on_the_technique(mode: str) -> None:
    env = read_environment(mode)
    control, technique = controls["flannel-leases"], techniques["flannel-lease"]
    for it in (env, control.flipped(env, mode == "insecure")):
        model = read_model(it)
        said = {technique.predict(model, place).succeeds for place in technique.footholds[:2]}
        assert said == {not control.holds(model)}
    assert control.holds(read_model(env)) == (mode == "hardened")
