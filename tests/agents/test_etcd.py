"""The programs of etcd's machines, against an etcdctl that keeps its keys in a file."""

from __future__ import annotations

import base64
import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from labkit import agents
from labkit.agents import _etcdctl, etcd_keys, etcd_member, etcd_users

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
    store: Store, tmp_path: Path
) -> None:
    kept = {"/a": b"1", "/b": b"2", "/c": b"3", "/empty": b""}
    store.keys = dict(kept)
    etcd_keys.keep(str(tmp_path / "keys"))
    store.keys = {"/a": b"1", "/b": b"changed", "/new": b"4"}
    new = etcd_keys.restore(str(tmp_path / "keys"))
    assert store.keys == kept
    assert sorted(store.changed) == [
        ("del", "/new"),
        ("put", "/b"),
        ("put", "/c"),
        ("put", "/empty"),
    ]
    assert json.loads(new) == ["/new"]


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
) -> None:
    seen = []
    for value in (before, after):
        store.keys = {key: value}
        seen.append(json.loads(etcd_keys.hashes())[key])
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


class Users:
    """Etcd's users and roles, in the place of its gateway and of etcdctl."""

    def __init__(self) -> None:
        self.kinds: dict[str, dict[str, Any]] = {"user": {}, "role": {}}
        self.enabled, self.revision = False, 1
        self.asked: list[str] = []

    def ask(self, questions: Iterable[tuple[str, dict[str, Any]]]) -> list[Any]:
        assert not self.enabled, "the gateway knows nobody by a certificate"
        return [self.answer(*path.split("/"), body=body) for path, body in questions]

    def answer(self, kind: str, verb: str = "", *, body: dict[str, Any]) -> dict[str, Any]:
        if kind == "enable":
            assert self.kinds["user"]["root"]["roles"] == ["root"], "etcd refuses"
            self.enabled = True
            return {}
        name: str = body.get("name") or body.get(kind, "")
        if verb in ("get", "list"):
            return self.kinds[kind][name] if verb == "get" else {f"{kind}s": [*self.kinds[kind]]}
        self.revision += 1
        if verb == "add":
            assert name not in self.kinds[kind]
            self.kinds[kind][name] = {}
        elif verb == "delete":
            del self.kinds[kind][name]
        elif kind == "user":
            assert body["role"] == "root" or body["role"] in self.kinds["role"], "etcd refuses"
            self.kinds[kind][name].setdefault("roles", []).append(body["role"])
        else:
            self.kinds[kind][name].setdefault("perm", []).append(body["perm"])
        return {}

    def etcdctl(self, *arguments: str) -> bytes:
        self.asked.append(" ".join(arguments[:2]))
        if arguments == ("auth", "disable"):
            self.enabled = False
            return b"Authentication Disabled"
        assert arguments[-1] == "--write-out=json"
        if arguments[0] == "auth":
            header = {"cluster_id": 5, "revision": 100 + len(self.asked)}
            state = {"enabled": True} if self.enabled else {}
            return json.dumps({"header": header, **state, "authRevision": self.revision}).encode()
        kind, verb, *rest = arguments[:-1]
        return json.dumps(self.answer(kind, verb, body={kind: rest[0] if rest else ""})).encode()


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Users:
    made = Users()
    for name in ("ask", "etcdctl"):
        monkeypatch.setattr(etcd_users, name, getattr(made, name))
    monkeypatch.setattr(etcd_users, "KEPT", tmp_path / "labkit/etcd-users")
    return made


SHOWN = {
    "authentication": "enabled",
    "user root": "root",
    "user flannel": "flannel",
    "role flannel": "READ compact_rev_key, READWRITE /coreos.com/network/ to /coreos.com/network0",
}


def shown() -> Any:
    return json.loads(etcd_users.show())


def test_users_and_roles_are_made_and_shown(users: Users) -> None:
    etcd_users.make(USERS, ROLES)
    assert users.enabled
    assert shown() == SHOWN
    assert users.asked == ["auth status"] * 2, "what was read as they were made is kept"
    etcd_users.KEPT.unlink()
    assert shown() == SHOWN, "etcdctl says the same"


def test_users_are_read_again_after_each_change(users: Users) -> None:
    assert shown() == {"authentication": "disabled"}
    etcd_users.make(USERS, ROLES)
    users.answer("role", "add", body={"name": "new"})
    found = shown()
    assert found == SHOWN | {"role new": ""}
    # the revision grows with each change, also with those that were undone
    users.answer("role", "delete", body={"role": "new"})
    assert shown() == SHOWN
    users.enabled = False
    assert shown() == SHOWN | {"authentication": "disabled"}


@pytest.mark.parametrize("refused", ["role/add", "role/grant", "user/add", "user/grant"])
def test_authentication_stays_off_if_a_user_cannot_be_created(
    users: Users, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def ask(questions: Iterable[tuple[str, dict[str, Any]]]) -> list[Any]:
        for path, body in questions:
            if path == refused:
                raise OSError("etcd refuses")
            users.ask([(path, body)])
        return []

    monkeypatch.setattr(etcd_users, "ask", ask)
    with pytest.raises(OSError, match="etcd refuses"):
        etcd_users.make(USERS, ROLES)
    assert (users.enabled, etcd_users.KEPT.exists()) == (False, False)


@pytest.mark.parametrize("text", ["", "Authentication Status: true", "[]", '{"of": []}'])
def test_record_of_users_that_cannot_be_read_is_replaced(users: Users, text: str) -> None:
    etcd_users.make(USERS, ROLES)
    etcd_users.KEPT.write_text(text)
    assert shown() == SHOWN
    assert json.loads(etcd_users.KEPT.read_text())["found"] == SHOWN


def test_numbers_of_etcdctl_are_the_names_of_the_gateway() -> None:
    names = [{"permType": kind, "key": "YQ=="} for kind in ("READ", "WRITE", "READWRITE")]
    numbers: list[dict[str, Any]] = [
        {"key": "YQ=="},
        {"permType": 1, "key": "YQ=="},
        {"permType": 2, "key": "YQ=="},
    ]
    assert [*map(etcd_users.granted, names)] == [*map(etcd_users.granted, numbers)]


def test_users_are_deleted_after_authentication_is_disabled(users: Users) -> None:
    etcd_users.make(USERS, ROLES)
    etcd_users.clear()
    assert (users.kinds, users.enabled) == ({"user": {}, "role": {}}, False)
    etcd_users.clear()
    etcd_users.make(USERS, ROLES)
    assert users.enabled, "and can be made again"


SETTINGS = """# How etcdctl is called.
ETCDCTL_ENDPOINTS=https://etcd1:2379,https://etcd2:2379
ETCDCTL_CACERT="/c a"
"""
QUESTIONS: list[tuple[str, dict[str, Any]]] = [("role/add", {"name": 'a"\\'}), ("enable", {})]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    file = tmp_path / "etcdctl.env"
    file.write_text(SETTINGS)
    monkeypatch.setattr(_etcdctl, "SETTINGS", file)
    return file


@pytest.mark.usefixtures("settings")
def test_gateway_is_asked_by_one_process(commands: Any, tmp_path: Path) -> None:
    calls = commands("curl", f'cat >{tmp_path}/asked; echo \'{{"a": 1}}{{"b": 2}}\'')
    assert etcd_users.ask(QUESTIONS) == [{"a": 1}, {"b": 2}]
    assert calls.read_text() == "--fail-early --config -\n"
    first, second = (tmp_path / "asked").read_text().split("\nnext\n")
    assert 'url = "https://etcd1:2379/v3/auth/role/add"' in first.splitlines()
    assert r'''data = "{\"name\": \"a\\\"\\\\\"}"''' in first.splitlines()
    assert 'url = "https://etcd1:2379/v3/auth/enable"' in second.splitlines()
    for each in (first, second):  # curl forgets its options at "next"
        assert {'cacert = "/c a"', "fail-with-body"} < {*each.splitlines()}
        assert "cert = " not in each.replace("cacert = ", "")


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("to", ["1", "2"])
def test_refusal_of_the_gateway_is_told(commands: Any, to: str) -> None:
    """etcd's reason is on standard output, curl's on standard error."""
    commands("curl", f"echo 'etcdserver: no leader' >&{to}; exit 22")
    with pytest.raises(OSError, match="no leader"):
        etcd_users.ask(QUESTIONS)


@pytest.mark.usefixtures("settings")
def test_etcdctl_gets_the_administrators_settings_and_more_time(
    commands: Any, tmp_path: Path
) -> None:
    script = f'cat; echo "$ETCDCTL_CACERT" >{tmp_path}/ca; echo "$ETCDCTL_COMMAND_TIMEOUT"'
    commands("etcdctl", script)
    ended = _etcdctl.etcdctl("put", "/a", value=b"b\x00\n").rpartition(b"b\x00\n")[2]
    assert (tmp_path / "ca").read_text() == "/c a\n"
    assert int(ended.decode().strip().removesuffix("s")) > 5, "by itself it gives up after 5 s"


@pytest.mark.usefixtures("settings")
def test_refusal_of_etcdctl_is_told_without_the_value(commands: Any) -> None:
    commands("etcdctl", "echo '{\"level\": \"warn\"}' >&2; echo 'Error: no leader' >&2; exit 1")
    with pytest.raises(OSError, match=r": etcdctl put /a: Error: no leader$"):
        _etcdctl.etcdctl("put", "/a", value=b"s3cret")


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
