"""Techniques that controls of agent, builder and Docker Engine stop, predicted by the model."""

from __future__ import annotations

from functools import cache

import pytest

from labkit import controls, read_environment, techniques
from labkit.cluster.edits import PLAN, Option, Whole
from labkit.controls import with_controls
from labkit.controls._files import file_from
from labkit.model import Model, read_model
from labkit.techniques import Prediction

STOPPING = (
    "docker-client-auth",
    "docker-socket-mount",
    "docker-tcp",
    "kubelet-system-logs",
    "log-mount",
    "node-restriction",
    "pod-security",
)


@cache
def model(mode: str, *flipped: str) -> Model:
    wanted = dict.fromkeys(flipped, mode == "insecure")
    return read_model(with_controls(read_environment(mode), wanted))


def predict(name: str, seen: Model) -> Prediction:
    technique = techniques[name]
    return technique.predict(seen, technique.footholds[0])


@pytest.mark.parametrize("name", STOPPING)
def test_control_alone_stops_the_techniques_it_claims(name: str) -> None:
    claimed = controls[name].stops
    assert claimed
    for stopped in claimed:
        assert predict(stopped, model("insecure")).succeeds
        assert not predict(stopped, model("insecure", name)).succeeds, stopped


@pytest.mark.parametrize(
    ("flipped", "opened"),
    [
        (("nodes-proxy",), "nodes-proxy-exec"),
        (("apiserver-authorization",), "nodes-proxy-exec"),
        (("kubelet-system-logs", "log-mount", "nodes-proxy"), "kubelet-log-symlink"),
        (("docker-socket-mode", "docker-socket-mount"), "docker-socket-in-pod"),
        (("docker-client-auth",), "docker-tls-no-client-auth"),
        (("docker-tcp",), "docker-tcp"),
        (("docker-tcp",), "eavesdrop-docker"),
        (("node-restriction",), "node-changes-labels"),
    ],
)
def test_technique_succeeds_in_hardened_without_these_controls(
    flipped: tuple[str, ...], opened: str
) -> None:
    assert not predict(opened, model("hardened")).succeeds
    assert predict(opened, model("hardened", *flipped)).succeeds
    for kept in flipped:
        fewer = [name for name in flipped if name != kept]
        assert not predict(opened, model("hardened", *fewer)).succeeds


def test_nodes_proxy_permission_matters_only_with_authorization() -> None:
    asked = ("apiserver-authorization", "kubelet-anonymous", "kubelet-authorization")
    assert predict("nodes-proxy-exec", model("insecure", "nodes-proxy")).succeeds
    assert predict("nodes-proxy-exec", model("insecure", *asked)).succeeds
    assert not predict("nodes-proxy-exec", model("insecure", *asked, "nodes-proxy")).succeeds


@pytest.mark.parametrize(
    ("mode", "user", "succeeds"),
    [("0666", "1000", True), ("0660", "1000", False), ("0660", "0", True), ("0600", "0", True)],
)
def test_socket_in_pod_depends_on_user_and_socket_mode(
    mode: str, user: str, succeeds: bool
) -> None:
    builder = file_from("insecure", "manifests/builder.yaml")
    text = str(builder.text).replace("runAsNonRoot: true, runAsUser: 1000", f"runAsUser: {user}")
    edits = (Whole(PLAN, builder.path, text), Option("worker", "docker.socket", "SocketMode", mode))
    found = predict("docker-socket-in-pod", read_model(read_environment("hardened", edits)))
    assert found.succeeds is succeeds


def test_docker_client_certificate_gives_root_wherever_it_is_accepted() -> None:
    assert predict("docker-client-certificate", model("hardened")).succeeds
    assert predict("docker-client-certificate", model("insecure", "docker-client-auth")).succeeds
    assert not predict("docker-client-certificate", model("insecure")).succeeds
    assert not predict("docker-client-certificate", model("insecure", "docker-tcp")).succeeds


def test_shared_authority_lets_every_client_certificate_use_docker() -> None:
    env = model("insecure", "docker-client-auth").environment
    trusted = env.component("dockerd@worker1").setting("tlscacert").value
    signers = {a.name for a in env.authorities if a.certificate == trusted}
    known = {c.name for c in env.credentials if c.signed_by in signers and "client" in c.usages}
    assert {"docker-client", "kubelet", "kube-proxy"} <= known
    hardened = model("hardened").environment
    assert {c.name for c in hardened.credentials if c.signed_by == "docker-ca"} == {
        "docker-client",
        "docker-server",
    }


def test_nonroot_host_path_pod_is_refused_by_file_modes() -> None:
    for mode in ("insecure", "hardened"):
        for foothold in techniques["host-path-pod-nonroot"].footholds:
            found = techniques["host-path-pod-nonroot"].predict(model(mode), foothold)
            assert not found.succeeds
    assert "0640 root shadow" in repr(predict("host-path-pod-nonroot", model("insecure")))
    assert "PodSecurity" in repr(
        predict("host-path-pod-nonroot", model("insecure", "pod-security"))
    )
