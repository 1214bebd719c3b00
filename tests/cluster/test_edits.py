"""Edits change an environment's files in memory, and the model shows the change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.cluster import read_environment
from labkit.cluster.edits import (
    PLAN,
    Flag,
    Item,
    Key,
    Option,
    TmpfilesLine,
    Whole,
    from_json,
    to_json,
)
from labkit.errors import ConfigError
from labkit.model import read_model

UNIT = "kube-apiserver.service"


def claim(channel: str, name: str, *edits: object, mode: str = "hardened") -> str:
    graph = read_model(read_environment(mode, edits))  # type: ignore[arg-type]
    found = next(item for item in graph.channels if item.id == channel)
    return str(getattr(found, name).value)


def test_flag_changes_the_claim_and_nothing_on_disk() -> None:
    about = ("kubelet@worker1 -> kube-apiserver@master:6443", "client_authentication")
    assert claim(*about) == "required"
    assert claim(*about, Flag("master", UNIT, "anonymous-auth", "true")) == "anonymous"
    assert claim(*about) == "required"


def test_flag_taken_away_falls_back_to_the_default() -> None:
    about = ("kube-apiserver@master -> kubelet@worker1:10250", "server_authentication")
    edit = Flag("master", UNIT, "kubelet-certificate-authority", None)
    assert (claim(*about), claim(*about, edit)) == ("verified", "unverified")


def test_flag_given_twice_has_both_values() -> None:
    about = "anyone@network -> dockerd@worker1:2375"
    assert claim(about, "encryption") == "closed"
    edit = Flag("worker", "docker.service", "host", ("fd://", "tcp://0.0.0.0:2375"))
    tls = Flag("worker", "docker.service", "tlsverify", None)
    assert claim(about, "encryption", edit, tls) == "none"


def test_key_option_and_file_edits_change_their_claims() -> None:
    kubelet = Key("worker", "/etc/kubernetes/kubelet.yaml", "authorization.mode", "AlwaysAllow")
    about = ("kube-apiserver@master -> kubelet@worker2:10250", "authorization")
    assert (claim(*about), claim(*about, kubelet)) == ("enforced", "allow-all")
    socket = Option("worker", "docker.socket", "SocketMode", "0666")
    about = ("local-users@worker1 -> dockerd@worker1:/run/docker.sock", "client_authentication")
    assert (claim(*about), claim(*about, socket)) == ("file-mode", "none")
    about = ("flanneld@worker1 -> etcd@etcd1:2379", "authorization")
    nobody = Whole(PLAN, "etcd-auth.yaml", None)
    assert (claim(*about), claim(*about, nobody)) == ("enforced", "allow-all")


def test_list_key_is_added_and_removed() -> None:
    config = "/etc/kubernetes/scheduler.conf"
    edits = (
        Key("master", config, "clusters.0.cluster.certificate-authority", None),
        Key("master", config, "clusters.0.cluster.insecure-skip-tls-verify", True),
    )
    about = ("kube-scheduler@master -> kube-apiserver@master:6443", "server_authentication")
    assert (claim(*about), claim(*about, *edits)) == ("verified", "unverified")


def test_edit_of_a_missing_file_is_refused_with_its_name() -> None:
    with pytest.raises(ConfigError, match=r"/etc/systemd/system/absent\.service on master"):
        read_environment("hardened", [Flag("master", "absent.service", "x", "1")])
    with pytest.raises(ConfigError, match=r"kubelet\.service with a flag --x on worker"):
        read_environment("hardened", [Item("worker", "kubelet.service", "x", "1", True)])
    with pytest.raises(ConfigError, match="no such role"):
        read_environment("hardened", [Whole("moon", "/etc/x", "")])


@pytest.mark.parametrize("there", [True, False])
def test_item_edit_keeps_other_items_and_is_idempotent(there: bool) -> None:
    unit = "[Service]\nExecStart=/bin/etcd \\\n  --urls=a,b \\\n  --other=a\n"
    once = Item("etcd", "etcd.service", "urls", "b", there).apply(unit)
    assert once is not None
    assert f"--urls={'a,b' if there else 'a'} \\\n  --other=a" in once
    assert Item("etcd", "etcd.service", "urls", "b", there).apply(once) == once


def test_edits_survive_json() -> None:
    edits = (
        Flag("master", UNIT, "anonymous-auth", None),
        Flag("worker", "docker.service", "host", ("fd://", "tcp://0.0.0.0:2375")),
        Item("etcd", "etcd.service", "listen-client-urls", "http://0.0.0.0:2378", True),
        Key("worker", "/etc/kubernetes/kubelet.yaml", "readOnlyPort", 10255),
        TmpfilesLine(
            "master", "/etc/tmpfiles.d/kubernetes.conf", "/etc/x", "z /etc/x 0600 root root"
        ),
        Whole(PLAN, "etcd-auth.yaml", None),
    )
    assert from_json(to_json(edits)) == edits


def test_record_of_an_older_labkit_is_read() -> None:
    # the form in which the master of a lab keeps them
    record: list[dict[str, Any]] = [
        {"edit": "Flag", "role": "etcd", "unit": "etcd.service", "name": "x", "value": ["a", "b"]},
        {"edit": "Item", "role": "etcd", "unit": "e", "name": "x", "value": "b", "there": True},
        {"edit": "Option", "role": "worker", "unit": "u", "name": "SocketMode", "value": "0666"},
        {"edit": "Key", "role": "worker", "path": "/k", "key": "port", "value": 1},
        {"edit": "Rule", "role": "master", "path": "/t", "about": "/x", "line": "z /x 0600"},
        {"edit": "Whole", "role": "", "path": "pki.yaml", "text": None},
    ]
    edits = (
        Flag("etcd", "etcd.service", "x", ("a", "b")),
        Item("etcd", "e", "x", "b", True),
        Option("worker", "u", "SocketMode", "0666"),
        Key("worker", "/k", "port", 1),
        TmpfilesLine("master", "/t", "/x", "z /x 0600"),
        Whole("", "pki.yaml", None),
    )
    assert from_json(record) == edits
    assert json.loads(json.dumps(to_json(edits))) == record


TOML = """\
# where it listens
[server]  # the only one
bind = ["0.0.0.0:8443"]

[tokens]
code = 600
"""


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        ("tokens.code", 60, "code = 600", "code = 60"),
        ("tokens.code", None, "code = 600\n", ""),
        ("server.bind", ["a", "b"], '["0.0.0.0:8443"]', '["a", "b"]'),
        ("tokens.other", True, "code = 600\n", "code = 600\nother = true\n"),
        ("tokens.absent", None, "", ""),
        ("new.one", "x", "code = 600\n", 'code = 600\n\n[new]\none = "x"\n'),
    ],
)
def test_key_of_a_toml_file_changes_alone(key: str, value: Any, old: str, new: str) -> None:
    edit = Key("provider", "/etc/x/x.toml", key, value)
    expected = TOML.replace(old, new)
    assert edit.apply(TOML) == expected
    assert edit.apply(expected) == expected


@pytest.mark.parametrize("text", ["[server", "a = ", 'server = "x"', None])
def test_toml_file_that_cannot_be_read_is_not_changed(text: str | None) -> None:
    with pytest.raises(ConfigError, match=r"/etc/x/x\.toml"):
        Key("provider", "/etc/x/x.toml", "server.bind", 1).apply(text)


names = st.from_regex(r"[a-z]+(-[a-z]+){0,3}", fullmatch=True)
words = st.from_regex(r"[A-Za-z0-9:/.,=]{1,12}", fullmatch=True)


@given(flags=st.dictionaries(names, words, max_size=5), name=names, value=words)
def test_flag_edit_is_idempotent_and_keeps_other_flags(
    flags: dict[str, str], name: str, value: str
) -> None:
    lines = ["ExecStart=/bin/x", *(f"--{key}={held}" for key, held in flags.items())]
    unit = "[Service]\n" + " \\\n  ".join(lines) + "\nRestart=always\n"
    edit = Flag("master", "x.service", name, value)
    once = edit.apply(unit)
    assert edit.apply(once) == once
    assert once is not None
    assert once.split().count(f"--{name}={value}") == 1
    gone = Flag("master", "x.service", name, None).apply(once)
    kept = {f"--{key}={held}" for key, held in flags.items() if key != name}
    assert gone is not None
    assert {word for word in gone.split() if word[:2] == "--"} == kept
