"""What etcd's roles allow: by the rules of etcd, and against an oracle that knows every key.

tests/differential holds the same decision against a real etcd.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import controls, techniques
from labkit.cluster import Environment, read_environment
from labkit.cluster.edits import PLAN, Edit, Flag, Whole
from labkit.cluster.startable import obstacles
from labkit.errors import ConfigError
from labkit.model import read_model
from labkit.model.decision import Caller
from labkit.model.etcd_rights import (
    ALL_KEYS,
    KeyRange,
    anyone_may,
    covered,
    etcd_may,
    keys_of_others,
    known_to_etcd,
)
from labkit.verification.questions import FLANNEL, SECRETS

USER = "flanneld-worker1"
AUTH = """\
roles:
  kubernetes:
    - {prefix: /registry/, access: readwrite}
    - {key: compact_rev_key, access: readwrite}
  flannel:
PERMISSIONS
users:
  root: [root]
  kube-apiserver: [kubernetes]
  flanneld-worker1: [flannel]
  flanneld-worker2: [flannel]
"""
CHANNEL = "flanneld@worker1 -> etcd@etcd1:2379"
ETCD = "etcd.service"
#: Every key of up to three of two letters, and the letters around them.
LETTERS = (b"a", b"b")
KEYS = [b"".join(it) for n in (1, 2, 3) for it in product(LETTERS, repeat=n)]
ENDS = st.sampled_from([b"", b"\0", *KEYS, b"c"])


def hardened(flannel: str, *edits: Edit) -> Environment:
    """Return `hardened` with one role for all of flannel, of these permissions."""
    text = AUTH.replace("PERMISSIONS\n", flannel)
    return read_environment("hardened", (Whole(PLAN, "etcd-auth.yaml", text), *edits))


def answer(env: Environment, access: str, keys: KeyRange, user: str | None = USER) -> str:
    etcd = env.component("etcd@etcd1")
    caller = known_to_etcd(env, etcd, env.credential("flanneld", "worker1"))
    if user != USER:
        caller = replace(caller, user=user or "")
    return etcd_may(env, etcd, caller, access, keys).value


@pytest.mark.parametrize(
    ("permissions", "access", "keys", "value"),
    [
        ("{key: a, access: read}", "read", KeyRange.one("a"), "allowed"),
        ("{key: a, access: read}", "write", KeyRange.one("a"), "denied"),
        ("{key: a, access: read}", "read", KeyRange.one("aa"), "denied"),
        ("{key: a, access: read}", "read", KeyRange(b"a", b"a\0"), "allowed"),
        ("{key: a, access: read}", "read", KeyRange(b"a", b"aa"), "denied"),
        ("{prefix: a, access: write}", "write", KeyRange.one("abc"), "allowed"),
        ("{prefix: a, access: write}", "write", KeyRange.prefix("ab"), "allowed"),
        ("{prefix: a, access: write}", "write", KeyRange(b"a", b"\0"), "denied"),
        ("{prefix: '', access: read}", "read", ALL_KEYS, "allowed"),
        ("{prefix: '', access: read}", "write", KeyRange.one("a"), "denied"),
    ],
)
def test_role_allows_what_it_covers(
    permissions: str, access: str, keys: KeyRange, value: str
) -> None:
    assert answer(hardened(f"    - {permissions}\n"), access, keys) == value


def test_permissions_of_all_roles_are_merged() -> None:
    env = hardened(
        "    - {prefix: b, access: read}\n  more:\n    - {prefix: a, access: readwrite}\n"
    )
    assert env.etcd_auth is not None
    users = (("root", ("root",)), (USER, ("flannel", "more")))
    env = replace(env, etcd_auth=replace(env.etcd_auth, users=users))
    assert answer(env, "read", KeyRange(b"a", b"c")) == "allowed"
    assert answer(env, "write", KeyRange(b"a", b"c")) == "denied"


def test_role_root_may_do_everything() -> None:
    env = read_environment("hardened")
    assert answer(env, "write", ALL_KEYS, "root") == "allowed"


@pytest.mark.parametrize("user", ["", "stranger"])
def test_caller_without_a_user_of_etcd_is_denied(user: str) -> None:
    assert (
        answer(hardened("    - {prefix: '', access: read}\n"), "read", ALL_KEYS, user) == "denied"
    )


def test_etcd_without_users_allows_everything_to_everybody() -> None:
    assert answer(read_environment("insecure"), "write", ALL_KEYS, "") == "allowed"


@pytest.mark.parametrize(
    ("setting", "value", "user", "known"),
    [
        ("client-cert-auth", "true", USER, "required"),
        # a trusted CA alone demands a certificate, and etcd does not look at its name
        ("client-cert-auth", "false", "", "required"),
        ("trusted-ca-file", "/etc/etcd/pki/peer-ca.crt", "", "required"),
    ],
)
def test_user_is_the_name_in_a_certificate_that_etcd_asks_for(
    setting: str, value: str, user: str, known: str
) -> None:
    env = read_environment("hardened", [Flag("etcd", ETCD, setting, value)])
    etcd = env.component("etcd@etcd1")
    caller = known_to_etcd(env, etcd, env.credential("flanneld", "worker1"))
    assert (caller.user, caller.claim.value) == (user, known)
    decided = etcd_may(env, etcd, caller, "read", KeyRange.one("/coreos.com/network/config"))
    assert decided.value == ("allowed" if user else "denied")


def test_user_of_an_etcd_whose_flags_were_not_read_is_unknown() -> None:
    env = read_environment("hardened")
    members = [
        replace(it, complete=False, settings={}) if it.kind == "etcd" else it
        for it in env.components
    ]
    env = replace(env, components=tuple(members))
    assert answer(env, "read", KeyRange.one("/coreos.com/network/config")) == "unknown"


def test_flanneld_that_logs_in_with_a_password_is_unknown() -> None:
    plain = Flag("master", "kube-apiserver.service", "encryption-provider-config", None)
    login = Flag("worker", "flanneld.service", "etcd-username", "x")
    model = read_model(read_environment("hardened", [login, plain]))
    assert model.open_channels(CHANNEL)[0].authorization.value == "unknown"
    technique = techniques["flannel-credential"]
    assert technique.predict(model, technique.footholds[0]).succeeds is None


@pytest.mark.parametrize(
    ("permissions", "claim"),
    [
        ("    - {prefix: /coreos.com/network/, access: readwrite}\n", "enforced"),
        ("    - {prefix: /, access: read}\n", "allow-all"),
        ("    - {prefix: /registry/secrets/, access: read}\n", "allow-all"),
        ("    - {prefix: /registry/, access: write}\n", "allow-all"),
        ("    - {prefix: /registry/pods/, access: read}\n", "enforced"),
    ],
)
def test_claim_says_whether_flanneld_gets_at_the_cluster_s_secrets(
    permissions: str, claim: str
) -> None:
    model = read_model(hardened(permissions))
    assert model.open_channels(CHANNEL)[0].authorization.value == claim
    apiserver = model.open_channels("kube-apiserver@master -> etcd@etcd1:2379")[0]
    assert apiserver.authorization.value == "enforced"


@pytest.mark.parametrize(
    ("permissions", "flipped", "succeeds"),
    [
        # the case etcd-role-reads-all
        ("    - {prefix: /, access: read}\n", False, True),
        ("    - {prefix: /, access: read}\n", True, False),
        ("    - {key: /registry/secrets/payments/card-processor, access: read}\n", False, True),
        ("    - {prefix: /, access: write}\n", False, False),
    ],
)
def test_flannel_credential_is_predicted_by_the_role(
    permissions: str, flipped: bool, succeeds: bool
) -> None:
    plain = (
        ()
        if flipped
        else (Flag("master", "kube-apiserver.service", "encryption-provider-config", None),)
    )
    model = read_model(hardened(permissions, *plain))
    technique = techniques["flannel-credential"]
    assert technique.predict(model, technique.footholds[0]).succeeds is succeeds
    forge = techniques["etcd-forge-credential"]
    assert forge.predict(model, forge.footholds[0]).succeeds is ("write" in permissions)


PLAINTEXT = Flag("master", "kube-apiserver.service", "encryption-provider-config", None)


@pytest.mark.parametrize(
    "permissions", ["{prefix: /, access: readwrite}", "{key: a, access: read}"]
)
def test_snapshot_needs_the_role_root_whatever_keys_a_role_gives(permissions: str) -> None:
    """etcd, server/etcdserver/api/v3rpc/maintenance.go: only an administrator is permitted."""
    assert snapshot(hardened(f"    - {permissions}\n", PLAINTEXT)) is False


def test_snapshot_without_users_gives_what_is_not_encrypted() -> None:
    free = controls["etcd-users"].flip(read_environment("hardened"), on=False)
    assert snapshot(read_environment("hardened", free)) is False
    assert snapshot(read_environment("hardened", (*free, PLAINTEXT))) is True


def snapshot(env: Environment) -> bool | None:
    technique = techniques["etcd-snapshot"]
    return technique.predict(read_model(env), technique.footholds[0]).succeeds


def test_probe_asks_for_the_keys_that_the_claim_is_about() -> None:
    env = read_environment("hardened")
    for client, prefix in (("flanneld@worker1", SECRETS), ("kube-apiserver@master", FLANNEL)):
        assert keys_of_others(env, env.component(client)) == KeyRange.prefix(prefix)


def test_range_granted_twice_is_an_error() -> None:
    with pytest.raises(ConfigError, match="granted twice"):
        hardened("    - {prefix: a, access: read}\n    - {prefix: a, access: write}\n")


def members(it: KeyRange) -> set[bytes]:
    """Return the keys of a range, among those there are: what an oracle knows."""
    if not it.end:
        return {it.key} & set(KEYS)
    return {key for key in KEYS if it.key <= key and (it.end == b"\0" or key < it.end)}


RANGES = (
    st.tuples(st.sampled_from(KEYS), ENDS)
    .filter(lambda it: it[1] in (b"", b"\0") or it[0] < it[1])
    .map(lambda it: KeyRange(*it))
)


@given(RANGES, st.lists(RANGES, max_size=5))
def test_covered_range_has_no_key_that_is_not_granted(
    asked: KeyRange, granted: list[KeyRange]
) -> None:
    held = set().union(*(members(it) for it in granted)) if granted else set()
    if covered(asked, granted):
        assert members(asked) <= held
    elif members(asked) <= held:
        # the keys between those that the oracle knows, one of which is not granted
        ends = [it.limit for it in (asked, *granted)]
        between = {it.key for it in (asked, *granted)} | {it for it in ends if it is not None}
        inside = [it for it in between if _in(it, asked)]
        assert any(not any(_in(key, it) for it in granted) for key in inside)


def _in(key: bytes, it: KeyRange) -> bool:
    return it.key <= key and (it.limit is None or key < it.limit)


@given(st.binary(max_size=3), st.binary(min_size=1, max_size=4))
def test_prefix_is_the_range_of_the_keys_that_begin_with_it(prefix: bytes, key: bytes) -> None:
    assert _in(key, KeyRange.prefix(prefix)) == key.startswith(prefix)


def test_caller_is_not_used_without_a_claim() -> None:
    env = read_environment("hardened")
    etcd = env.component("etcd@etcd1")
    claim = known_to_etcd(env, etcd, None).claim
    decided = etcd_may(env, etcd, Caller("", frozenset(), claim), "read", ALL_KEYS)
    assert decided.because[0] is claim


LEASES = "/coreos.com/network/subnets"


@pytest.mark.parametrize("worker", ["worker1", "worker2"])
def test_worker_writes_its_own_lease_in_hardened_and_no_other(worker: str) -> None:
    env = read_environment("hardened")
    etcd = env.component("etcd@etcd1")
    caller = known_to_etcd(env, etcd, env.credential("flanneld", worker))
    may = [
        etcd_may(env, etcd, caller, "write", KeyRange.one(f"{LEASES}/10.244.{number}.0-24")).value
        for number in (1, 2, 3)
    ]
    assert may == ["allowed" if worker == f"worker{it}" else "denied" for it in (1, 2, 3)]
    reads = etcd_may(env, etcd, caller, "read", KeyRange.prefix("/coreos.com/network/"))
    assert reads.value == "allowed"


def test_flanneld_without_a_user_of_etcd_is_an_obstacle_to_a_lab() -> None:
    text = AUTH.replace("PERMISSIONS\n", "    - {prefix: /, access: read}\n")
    text = text.replace("  flanneld-worker2: [flannel]\n", "")
    env = read_environment("hardened", [Whole(PLAN, "etcd-auth.yaml", text)])
    (found,) = obstacles(env)
    assert "flanneld-worker2" in found.text
    assert not obstacles(read_environment("hardened"))


NO_GATEWAY = Flag("etcd", ETCD, "enable-grpc-gateway", "false")
NO_NAMES = Flag("etcd", ETCD, "client-cert-auth", "false")
PLAIN = Flag("etcd", ETCD, "listen-client-urls", "http://0.0.0.0:2378,https://0.0.0.0:2379")


@pytest.mark.parametrize(
    ("users", "edits", "plaintext", "value"),
    [
        # seen in a lab with etcd 3.7.3: without a header Accept, 403 for the user etcd1
        ("etcd1: [kubernetes]", (), True, "unknown"),
        ("etcd1: [kubernetes]", (), False, "denied"),
        ("etcd1: [kubernetes]", (NO_GATEWAY,), True, "denied"),
        ("etcd1: [kubernetes]", (NO_NAMES,), True, "denied"),
        ("etcd1: [flannel]", (), True, "denied"),
        ("nobody: [kubernetes]", (), True, "denied"),
    ],
)
def test_plaintext_port_may_take_anybody_for_the_name_in_etcds_certificate(
    users: str, edits: tuple[Edit, ...], plaintext: bool, value: str
) -> None:
    text = AUTH.replace("PERMISSIONS\n", "    - {prefix: /coreos.com/, access: read}\n")
    auth = Whole(PLAN, "etcd-auth.yaml", f"{text}  {users}\n")
    env = read_environment("hardened", (auth, *edits))
    keys = KeyRange.prefix("/registry/secrets/")
    etcd = env.component("etcd@etcd1")
    assert anyone_may(env, etcd, "read", keys, plaintext=plaintext).value == value


def test_claims_on_a_plaintext_port_say_for_whom_it_may_take_anybody() -> None:
    env = read_environment("hardened", (PLAIN,))
    (channel,) = read_model(env).open_channels("anyone@network -> etcd@etcd1:2378")
    claim = channel.client_authentication
    assert (claim.value, "etcd1" in claim.detail) == ("unknown", True)
    assert channel.authorization.value == "enforced"
