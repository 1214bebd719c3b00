"""A kubeconfig that people write: the machine's own certificate in it, or somebody else's."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.cluster import Node, read_environment
from labkit.cluster.edits import Whole
from labkit.lab import Lab
from labkit.workshop.edited import EditedLab, by_path
from labkit.workshop.exercises import eavesdropping_2 as exercise

PATH = "/etc/kubernetes/kube-proxy.conf"
NAMED = """\
      client-certificate: /etc/kubernetes/pki/kube-proxy.crt
      client-key: /etc/kubernetes/pki/kube-proxy.key
"""
TEXT = (
    """\
kind: Config
current-context: lab
clusters: [{name: lab, cluster: {server: "https://master:6443", certificate-authority: pki/ca.crt}}]
contexts: [{name: lab, context: {cluster: lab, user: kube-proxy}}]
users:
  - name: kube-proxy
    user:
"""
    + NAMED
)
OWN = {b"one": "/etc/kubernetes/pki/kube-proxy.crt", b"two": "/etc/kubernetes/pki/kube-proxy.key"}


def data(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


@pytest.mark.parametrize("quote", ["", "'", '"'])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_own_certificate_in_a_kubeconfig_is_named_by_its_path(quote: str, end: bytes) -> None:
    inline = TEXT
    for name, pem in (("certificate", b"one"), ("key", b"two")):
        path = OWN[pem]
        value = f"{quote}{data(pem + end)}{quote}"
        inline = inline.replace(f"client-{name}: {path}", f"client-{name}-data: {value}")
    assert inline.count("-data:") == 2
    assert by_path(inline, OWN) == TEXT


def test_foreign_certificate_and_odd_data_stay() -> None:
    for text in (f"client-key-data: {data(b'three')}", "client-key-data: abc", "client-key: a"):
        assert by_path(text, OWN) == text


@pytest.mark.parametrize(
    ("user", "says"),
    [
        (NAMED, None),
        (NAMED.replace("kube-proxy.", "kubelet."), "as system:node:worker1"),
        (f"{NAMED}      as: system:admin\n", "as system:admin"),
        (f"{NAMED}      as-groups: [system:masters]\n", "system:masters"),
        ("      token: abc\n", "as token"),
        ("      {}\n", "as nobody"),
    ],
)
def test_kube_proxy_that_calls_as_somebody_else_is_named(user: str, says: str | None) -> None:
    text = TEXT.replace(NAMED, user)
    found = exercise.another_client(read_environment("insecure", [Whole("worker", PATH, text)]))
    assert (found is None) == (says is None)
    if found and says:
        assert found.state == "other-identity"
        assert says in found.lines[0]


@pytest.mark.parametrize(
    ("old", "new", "right"),
    [
        ("/etc/kubernetes/kube-proxy.conf", "/etc/kubernetes/other.conf", True),
        ("10.244.0.0/16", "10.0.0.0/8", False),
        ("mode: nftables", "mode: iptables", False),
        ("mode: nftables", "mode: nftables\nmetricsBindAddress: 0.0.0.0:10249", False),
    ],
)
def test_only_the_kubeconfig_of_kube_proxy_may_change(old: str, new: str, *, right: bool) -> None:
    own = read_environment("insecure").node("worker1").files[exercise.PROXY].read_text()
    edits = [
        Whole("worker", exercise.PROXY, own.replace(old, new)),
        Whole("worker", PATH, TEXT),
        Whole("worker", "/etc/kubernetes/other.conf", TEXT),
    ]
    found = exercise.another_client(read_environment("insecure", edits))
    assert (found is None) == right, found


CA = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n"
OTHER = CA.replace("ours", "other")


@pytest.mark.parametrize(
    ("bundle", "right"), [(CA, True), (f"\n{CA}{CA}", True), (CA + OTHER, False), (OTHER, False)]
)
@pytest.mark.parametrize("inline", [False, True])
def test_second_authority_is_named(bundle: str, *, right: bool, inline: bool) -> None:
    bundled = "certificate-authority: pki/both.crt"
    if inline:
        bundled = f"certificate-authority-data: {data(bundle.encode())}"
    text = TEXT.replace("certificate-authority: pki/ca.crt", bundled)
    files = {exercise.AUTHORITY: CA, "/etc/kubernetes/pki/both.crt": bundle, PATH: text}
    lab: Any = SimpleNamespace(
        environment=read_environment("insecure", [Whole("worker", PATH, text)]),
        read_file=lambda _, path: files[path].encode(),
    )
    found = exercise.believes_others(lab)
    assert (found is None) == right


def test_certificates_are_read_only_if_a_kubeconfig_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def own_pems(_: EditedLab, node: Node) -> dict[bytes, str]:
        asked.append(node.name)
        return {}

    monkeypatch.setattr(EditedLab, "_own_pems", own_pems)
    answers = ['{"/a": "client-key: x"}', '{"/a": "client-key-data: eA=="}']
    monkeypatch.setattr(
        EditedLab, "exec", lambda *_, **__: SimpleNamespace(stdout=answers.pop(0).encode())
    )
    lab = EditedLab.__new__(EditedLab)
    node = read_environment("insecure").node("worker1")
    for text, machines in ((answers[0], []), (answers[1], ["worker1"])):
        assert lab._by_path(node, lab._files(node)) == json.loads(text)
        assert asked == machines
    monkeypatch.setattr(EditedLab, "_own_pems", lambda *_: {b"x": "/pki/a.key"})
    assert lab._by_path(node, {"/a": "client-key-data: eA=="}) == {"/a": "client-key: /pki/a.key"}


def test_file_that_an_edited_unit_names_is_read_wherever_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = read_environment("insecure").node("master")
    unit = "/etc/systemd/system/kube-apiserver.service"
    text = node.files[unit].read_text()
    more = "--a=/srv/pol/kp.jsonl --b=/etc/kubernetes/pki/x.crt --c=/usr/bin/socat --d=/run/a/b"
    asked: list[set[str]] = []

    def read(_: EditedLab, machine: str, paths: Sequence[str]) -> dict[str, str]:
        asked.append(set(paths))
        return {unit: f"{text} {more}"}

    monkeypatch.setattr(EditedLab, "_read_files", read)
    EditedLab.__new__(EditedLab)._files(node)
    assert asked == [set(node.files), {*node.files, "/srv/pol/kp.jsonl"}]


@pytest.mark.parametrize("whose", ["own", "another"])
def test_key_that_somebody_put_into_a_file_is_known_for_each_machine(
    whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = read_environment("insecure")
    pem = b"two" if whose == "own" else b"three"

    def read(_: EditedLab, machine: str, paths: Sequence[str]) -> dict[str, str]:
        node = plain.node(machine)
        files = {path: node.files[path].read_text() for path in node.files}
        if node.role == "worker":
            files[PATH] = TEXT.replace(
                f"client-key: {OWN[b'two']}", f"client-key-data: {data(pem)}"
            )
        return files

    monkeypatch.setattr(EditedLab, "_read_files", read)
    monkeypatch.setattr(EditedLab, "_own_pems", lambda *_: OWN)
    monkeypatch.setattr(EditedLab, "addresses", {})
    monkeypatch.setattr(Lab, "environment", plain)
    lab = EditedLab.__new__(EditedLab)
    lab._plain = plain
    lab.environment  # noqa: B018 - reads the machines
    assert lab.with_keys == (("worker1", PATH), ("worker2", PATH))
