"""Models by hand: what is said, what is not, and what is misspelt."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.errors import ConfigError
from labkit.model import PROPERTIES, VALUES, Draft, Model, StoredCredential, read_model_file
from labkit.model.footholds import ADMIN

TEXT = """\
name: shop
description: two doors to one store
components:
  kube-apiserver: {claims: {audit: on, secrets at rest: encrypted}}
  etcd: {}
  billing: {kind: process, node: vm7, zone: office}
channels:
  - {from: kube-apiserver, to: etcd, encryption: tls1.3, client_authentication: required,
     server_authentication: verified, authorization: enforced, credential: etcd-client}
  - {from: kube-apiserver, to: etcd, port: 2378}
  - {from: billing, to: kube-apiserver, credential: robot}
credentials:
  etcd-client: {node: master}
  robot: {node: vm7, kind: token, rights: [cluster-admin], readable_by: [user on vm7]}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "model.yaml"
    path.write_text(text)
    return path


def test_model_file_is_read_into_components_channels_and_credentials(tmp_path: Path) -> None:
    model = read_model_file(write(tmp_path, TEXT))
    assert [it.id for it in model.components] == [
        "kube-apiserver@master", "etcd@master", "billing@vm7",
    ]  # fmt: skip
    strong, weak, robot = model.channels
    assert strong.id == "kube-apiserver@master -> etcd@master:2379"
    assert weak.port == 2378
    assert (strong.encryption.value, weak.encryption.value) == ("tls1.3", "none")
    assert str(strong.encryption.source) == "model.yaml:8 encryption: tls1.3"
    assert weak.encryption.source.default
    assert robot.client_authentication.value == "anonymous", "what the apiserver does by itself"
    audit = model.components[0].claim("audit")
    assert audit is not None
    assert audit.value == "on"
    assert model.credentials[1].rights == (ADMIN,)


def test_credentials_are_made_when_they_are_first_asked_for() -> None:
    asked = []
    backup = StoredCredential("backup", "etcd1", "key")

    def find() -> tuple[StoredCredential, ...]:
        asked.append("find")
        return (backup,)

    model = Model("x", (), (), find)
    assert asked == []
    assert [model.credentials, model.credentials] == [(backup,), (backup,)]
    assert asked == ["find"]
    assert model == Model("x", (), (), (backup,))
    assert Model("x", (), ()).credentials == ()


def test_draft_equals_the_model_file(tmp_path: Path) -> None:
    draft = Draft("shop", "two doors to one store")
    api = draft.component("kube-apiserver", claims={"audit": "on", "secrets at rest": "encrypted"})
    etcd = draft.component("etcd")
    draft.component("billing", kind="process", node="vm7", zone="office")
    draft.channel(
        api, etcd, encryption="tls1.3", client_authentication="required",
        server_authentication="verified", authorization="enforced", credential="etcd-client",
    )  # fmt: skip
    draft.channel(api, etcd, port=2378)
    draft.channel("billing", api, credential="robot")
    said = read_model_file(write(tmp_path, TEXT))
    mine = draft.model()
    assert [c.id for c in mine.channels] == [c.id for c in said.channels]
    for one, other in zip(mine.channels, said.channels, strict=True):
        for name in PROPERTIES:
            assert getattr(one, name).value == getattr(other, name).value


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "encryption: tls1.3",
            "encrypton: tls1.3",
            r"model\.yaml:8: .*'encrypton'\n.*'encryption'",
        ),
        ("tls1.3", "tls13", r"model\.yaml:8: no encryption 'tls13'\n.*did you mean 'tls1\.3'"),
        ("to: etcd,", "to: ectd,", r"model\.yaml:8: no component 'ectd'\n.*did you mean 'etcd"),
        ("audit: on", "audit: maybe", r"model\.yaml:4: no audit 'maybe'"),
        ("audit: on", "audits: on", r"did you mean 'audit'"),
        ("port: 2378", "port: 99999", r"model\.yaml:10: no port: 99999"),
        ("port: 2378", "port: 2379", r"model\.yaml:10: .* exists already"),
        ("kind: token", "knid: token", r"model\.yaml:14: .*'knid'\n.*did you mean 'kind'"),
        ("description:", "descripton:", r"'descripton'\n.*did you mean 'description'"),
        ("components:", "components: [", r"model\.yaml:\d+: no valid YAML"),
    ],
)
def test_misspelt_word_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError, match=message):
        read_model_file(write(tmp_path, TEXT.replace(old, new, 1)))


def test_ambiguous_name_is_refused() -> None:
    draft = Draft("two")
    draft.component("etcd@a")
    draft.component("etcd@b")
    with pytest.raises(ConfigError, match="ambiguous: etcd@a, etcd@b"):
        draft.channel("etcd", "etcd@b")
    assert draft.channel("etcd@a", "etcd@b") == "etcd@a -> etcd@b:2379"


def told(path: Path) -> str:
    """Read a file; return what was said about it, or its name where it can be read."""
    try:
        read_model_file(path)
    except ConfigError as error:
        return str(error)
    return path.name


words = st.sampled_from(
    ["name", "components", "channels", "from", "to", "etcd", "port", "none", "encryption", "x@y"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | words | st.sampled_from([*VALUES["encryption"]]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("key", ["name", "source", "self", "client", "server"])
def test_key_that_is_a_parameter_of_ours_is_no_key_of_the_file(tmp_path: Path, key: str) -> None:
    """A component, a channel and a credential may be given by functions with such parameters."""
    a, b = "components: {etcd: {}}\n", f"{{{key}: x, from: etcd, to: etcd}}"
    for text, what in (
        (f"components: {{etcd: {{{key}: x}}}}", "component"),
        (f"{a}channels: [{b}]", "channel"),
        (f"{a}credentials: {{ca.key: {{{key}: x}}}}", "credential"),
    ):
        assert f"a {what} has no {key!r}" in told(write(tmp_path, text))


@given(values)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_gives_a_traceback(tmp_path: Path, value: object) -> None:
    path = write(tmp_path, yaml.safe_dump(value))
    assert "model.yaml" in told(path)


@given(st.binary(max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_give_a_traceback(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.yaml"
    path.write_bytes(data)
    assert "model.yaml" in told(path)


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_line_left_out_or_doubled_gives_a_traceback(tmp_path: Path, data: st.DataObject) -> None:
    lines = TEXT.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    other = data.draw(values)
    changed = data.draw(
        st.sampled_from(
            [lines[:at] + lines[at + 1 :], [*lines, lines[at]], [*lines[:at], str(other)]]
        )
    )
    assert "model.yaml" in told(write(tmp_path, "\n".join(changed)))
