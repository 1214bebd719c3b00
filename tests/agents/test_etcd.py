"""The programs of etcd's machines, against an etcdctl that keeps its keys in a file."""

from __future__ import annotations

import base64
import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit import agents
from labkit.agents import etcd_keys, etcd_member, etcd_users

POD, SECRET, LEASE = "/registry/pods/a/b", "/registry/secrets/a/b", "/registry/leases/a/b"


class Store:
    """An etcd with a few keys, in the place of etcdctl."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.changed: list[tuple[str, str]] = []

    def etcdctl(self, verb: str, *arguments: str, value: bytes | None = None) -> bytes:
        if verb == "get":
            assert arguments == ("", "--prefix", "--write-out=json")
            kvs = [
                {"key": encoded(key.encode())} | ({"value": encoded(data)} if data else {})
                for key, data in self.keys.items()
            ]
            return json.dumps({"header": {"revision": 7}, "kvs": kvs}).encode()
        (key,) = arguments
        self.changed.append((verb, key))
        if verb == "put":
            assert value is not None
            self.keys[key] = value
        else:
            del self.keys[key]
        return b"OK\n"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    monkeypatch.setattr(etcd_keys, "etcdctl", made.etcdctl)
    return made


def test_saved_keys_are_readable_by_their_owner_only(store: Store, tmp_path: Path) -> None:
    store.keys = {SECRET: b"\x00s3cret", LEASE: b"now"}
    file = tmp_path / "keys.json"
    etcd_keys.keep(str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {"revision": 7, "keys": {SECRET: encoded(b"\x00s3cret")}}


def test_restoring_deletes_what_is_new_and_puts_back_what_changed_or_is_gone(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {"/a": b"1", "/b": b"2", "/c": b"3", "/empty": b""}
    store.keys = dict(kept)
    etcd_keys.keep(str(tmp_path / "keys"))
    store.keys = {"/a": b"1", "/b": b"changed", "/new": b"4"}
    etcd_keys.restore(str(tmp_path / "keys"))
    assert store.keys == kept
    assert sorted(store.changed) == [
        ("del", "/new"),
        ("put", "/b"),
        ("put", "/c"),
        ("put", "/empty"),
    ]
    assert json.loads(capsys.readouterr().out) == ["/new"]


def test_restoring_twice_changes_nothing(store: Store, tmp_path: Path) -> None:
    store.keys = {"/a": b"1", "/empty": b""}
    etcd_keys.keep(str(tmp_path / "keys"))
    etcd_keys.restore(str(tmp_path / "keys"))
    assert not store.changed


@pytest.mark.parametrize("key", [POD, "/registry/serviceaccounts/a/default"])
def test_object_that_goes_by_its_uid_is_put_back_only_where_it_is_gone(
    store: Store, tmp_path: Path, key: str
) -> None:
    store.keys = {key: b"first life"}
    etcd_keys.keep(str(tmp_path / "keys"))
    store.keys = {key: b"second life"}
    etcd_keys.restore(str(tmp_path / "keys"))
    assert store.keys == {key: b"second life"}
    store.keys = {}
    etcd_keys.restore(str(tmp_path / "keys"))
    assert store.keys == {key: b"first life"}


LEADS = [
    ("endpointslices/shop/collector-x", b"managed-by endpointslice-controller.k8s.io 10.244.1.2"),
    ("services/endpoints/shop/collector", b"managed-by endpoint-controller 10.244.1.2"),
]


@pytest.mark.parametrize(("name", "saved"), LEADS)
def test_addresses_of_pods_that_are_gone_are_not_put_back(
    store: Store, tmp_path: Path, name: str, saved: bytes
) -> None:
    """Their controller would not see it, and a service would lead nowhere."""
    key = f"/registry/{name}"
    store.keys = {key: saved}
    etcd_keys.keep(str(tmp_path / "keys"))
    for now in ({key: b"10.244.1.6"}, {}):
        store.keys = dict(now)
        etcd_keys.restore(str(tmp_path / "keys"))
        assert store.keys == now
    store.keys = {f"{key}-of-an-attacker": b"10.0.0.66"}
    etcd_keys.restore(str(tmp_path / "keys"))
    assert store.keys == {}


@pytest.mark.parametrize("name", [name for name, _ in LEADS])
def test_addresses_that_a_person_wrote_are_put_back(
    store: Store, tmp_path: Path, name: str
) -> None:
    """A service without a selector: no controller writes where it leads."""
    key = f"/registry/{name}"
    store.keys = {key: b"192.0.2.7"}
    etcd_keys.keep(str(tmp_path / "keys"))
    for now in ({key: b"10.0.0.66"}, {}):
        store.keys = dict(now)
        etcd_keys.restore(str(tmp_path / "keys"))
        assert store.keys == {key: b"192.0.2.7"}


def test_expiring_keys_are_left_alone(store: Store, tmp_path: Path) -> None:
    store.keys = {LEASE: b"then"}
    etcd_keys.keep(str(tmp_path / "keys"))
    store.keys = {LEASE: b"now", "/registry/events/a/b": b"something happened"}
    etcd_keys.restore(str(tmp_path / "keys"))
    assert not store.changed


CIPHER = b"k8s:enc:aescbc:v1:key1:"
TEXT = "/registry/configmaps/shop/notes"


@pytest.mark.parametrize(
    ("key", "before", "after", "is_same"),
    [
        (SECRET, CIPHER + b"\x01", CIPHER + b"\x02", True),  # written again
        (SECRET, CIPHER + b"\x01", b"k8s:enc:aescbc:v1:key2:\x01", False),
        (SECRET, CIPHER + b"\x01", b"k8s:enc:secretbox:v1:key1:\x01", False),
        (SECRET, b"k8s:enc:kms:v2:cloud:\x01", b"k8s:enc:kms:v2:cloud:\x02", True),
        (SECRET, CIPHER + b"\x01", b"k8s\x00plaintext", False),
        (SECRET, b"k8s\x00plaintext", b"k8s\x00another", True),  # the apiserver may mark it
        (TEXT, CIPHER + b"\x01", CIPHER + b"\x02", False),  # nothing else compares its content
    ],
)
def test_secret_counts_by_its_provider_and_key(
    key: str,
    before: bytes,
    after: bytes,
    is_same: bool,
    store: Store,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = []
    for value in (before, after):
        store.keys = {key: value}
        etcd_keys.hashes()
        seen.append(json.loads(capsys.readouterr().out)[key])
    assert (seen[0] == seen[1]) is is_same


PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("after", "is_same"),
    [
        (b'k8s\x00["front-proxy-client"]\x12\x40' + PEM, True),
        (b"k8s\x00[]\x12\x30" + PEM.replace(b"AAAA", b"BBBB"), False),
        (b"k8s\x00[]\x12\x60" + PEM + PEM.replace(b"AAAA", b"BBBB"), False),
        (b"k8s\x00[]", False),
    ],
)
def test_trust_in_front_proxies_counts_by_its_certificates(after: bytes, is_same: bool) -> None:
    key = etcd_keys.TRUST
    before = encoded(b"k8s\x00[]\x12\x30" + PEM)
    assert (etcd_keys.shown(key, encoded(after)) == etcd_keys.shown(key, before)) is is_same


# -- users ------------------------------------------------------------------------------------

USERS = {"root": ["root"], "flannel": ["flannel"]}
ROLES = {
    "flannel": [
        {"key": "/coreos.com/network/", "access": "readwrite", "prefix": True},
        {"key": "compact_rev_key", "access": "read", "prefix": False},
    ]
}


def test_users_get_their_roles_before_authentication_is_enabled(commands: Any) -> None:
    calls = commands("etcdctl")
    etcd_users.make(USERS, ROLES)
    made = calls.read_text().splitlines()
    assert sorted(made[:3]) == [
        "role add flannel",
        "user add flannel --no-password",
        "user add root --no-password",
    ]
    assert sorted(made[3:-1]) == [
        "role grant-permission --prefix=true flannel readwrite /coreos.com/network/",
        "role grant-permission flannel read compact_rev_key",
        "user grant-role flannel flannel",
        "user grant-role root root",
    ]
    assert made[-1] == "auth enable"


def test_authentication_stays_off_if_a_user_cannot_be_created(commands: Any) -> None:
    calls = commands("etcdctl", 'case "$*" in "role add"*) exit 1;; esac')
    with pytest.raises(subprocess.CalledProcessError):
        etcd_users.make(USERS, ROLES)
    assert "auth enable" not in calls.read_text()


def test_busy_etcd_gets_more_time_than_etcdctl_gives_it(commands: Any, tmp_path: Path) -> None:
    commands("etcdctl", f'echo "$ETCDCTL_COMMAND_TIMEOUT" >{tmp_path}/patience')
    etcd_users.make(USERS, ROLES)
    assert int((tmp_path / "patience").read_text().strip().removesuffix("s")) > 5


def test_users_are_deleted_after_authentication_is_disabled(commands: Any) -> None:
    listed = 'case "$*" in "user list") echo root; echo flannel;; "role list") echo root;; esac'
    calls = commands("etcdctl", listed)
    etcd_users.clear()
    assert calls.read_text().splitlines() == [
        "auth disable",
        "user list",
        "user delete root",
        "user delete flannel",
        "role list",
        "role delete root",
    ]


def test_show_prints_users_and_roles(commands: Any, capsys: pytest.CaptureFixture[str]) -> None:
    said = (
        'case "$*" in "user list") echo root;; "role list") echo flannel;; '
        '"auth status") echo "Authentication Status: true"; echo "AuthRevision: 12";; '
        '*) echo "<$*>";; esac'
    )
    commands("etcdctl", said)
    etcd_users.show()
    shown = capsys.readouterr().out
    # the revision grows with each change, also with those that were undone
    assert shown == "Authentication Status: true\n<user get root>\n<role get flannel>\n"


# -- a member that nobody invited ---------------------------------------------------------------

URL = "http://10.0.0.9:23800"
ETCD1 = "1a, started, etcd1, http://etcd1:2380, http://etcd1:2379, false"
ADDED = f"""echo 'Member 1f added to cluster 2e

ETCD_NAME="rogue"
ETCD_INITIAL_CLUSTER="etcd1=http://etcd1:2380,rogue={URL}"
ETCD_INITIAL_CLUSTER_STATE="existing"'"""


def run_member(folder: Path) -> subprocess.Popen[bytes]:
    """Start the program of a rogue member, whose folder is `folder`."""
    argv = agents.argv("etcd_member", str(folder), "http://etcd1:2379", URL, "rogue")
    return subprocess.Popen([sys.executable, *argv[1:]], stderr=subprocess.PIPE)


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen within 60 s")


def etcd_of(commands: Any, tmp_path: Path, *, joins: str = ADDED) -> Path:
    """Prepare an etcd, and an etcdctl that lists the rogue member after it was added."""
    commands(
        "etcdctl",
        f'case "$*" in *add*) echo "$ETCDCTL_ENDPOINTS" >{tmp_path}/endpoint; {joins};; '
        f'*list) echo "{ETCD1}"; '
        f'echo "1f, started, rogue, {URL}, http://127.0.0.1:23790, true";; esac',
    )
    commands("etcd", 'echo "$ETCD_INITIAL_CLUSTER $ETCD_INITIAL_CLUSTER_STATE $@"; exec sleep 60')
    return tmp_path / "rogue"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, "the file"])
def test_member_joins_and_leaves_when_it_is_told_to_end(
    how: Any, commands: Any, tmp_path: Path
) -> None:
    folder = etcd_of(commands, tmp_path)
    calls = tmp_path / "calls-of-etcdctl"
    with run_member(folder) as process:
        wait_for(lambda: (folder / "log").exists() and (folder / "log").read_text())
        said = (folder / "log").read_text()
        assert said.startswith(
            f"etcd1=http://etcd1:2380,rogue={URL} existing --data-dir={folder}/data "
        )
        assert (tmp_path / "endpoint").read_text() == "http://etcd1:2379\n"
        if how == "the file":
            (folder / "stop").touch()
        else:
            process.send_signal(how)
        assert process.wait(60) == 0
    assert calls.read_text().splitlines() == [
        f"member add rogue --learner --peer-urls={URL}",
        "member list",
        "member remove 1f",
    ]
    assert not folder.exists()
    assert not subprocess.run(["pgrep", "-f", f"{folder}/data"], check=False, text=True).stdout


def test_who_is_not_taken_in_starts_nothing(commands: Any, tmp_path: Path) -> None:
    folder = etcd_of(commands, tmp_path, joins="exit 1")
    with run_member(folder) as process:
        assert process.wait(60) == 1
    assert not (tmp_path / "calls-of-etcd").read_text()
    assert not folder.exists()


def test_leaving_removes_nobody_else(commands: Any) -> None:
    etcdctl = commands("etcdctl", f'echo "{ETCD1}"')
    etcd_member.leave("http://etcd1:2379", URL)
    assert etcdctl.read_text().splitlines() == ["member list"]
