"""Whether an account may open a file: POSIX's rules, and what is not known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import techniques
from labkit.analysis import attack_paths, find_threats
from labkit.analysis.attack_graph.from_channels import channel_steps
from labkit.cluster import Environment, read_environment
from labkit.cluster.accounts import read_sysusers, read_tmpfiles
from labkit.cluster.copied.cluster import read_cluster
from labkit.cluster.edits import Flag, Option, TmpfilesLine, Whole
from labkit.cluster.syntax.source import Source
from labkit.model import Claim, Foothold, read_model
from labkit.model.file_access import (
    ANY_USER,
    FileMode,
    anybody_opens,
    is_member,
    may_open,
    ordinary_users,
    socket_file,
)
from labkit.model.listener import socket_claims, socket_users

PEOPLE = (
    "u alice 1001\nu bob 1002\nu carol 1003:staff\nu toor 0\ng staff 50\nm bob staff\nm bob ops"
)
SOURCE = Source("drawn", None, "")


def world(modes: str, people: str = PEOPLE) -> Environment:
    """Return an environment with one machine, on which tmpfiles.d says everything."""
    accounts, groups, _ = read_sysusers(people, "people.conf")
    permissions, _ = read_tmpfiles(modes, "modes.conf")
    env = read_environment("hardened")
    node = replace(
        env.node("master"), files={}, accounts=accounts, groups=groups, permissions=permissions
    )
    return replace(env, nodes=(node,))


def ask(modes: str, account: str, path: str = "/d/f", people: str = PEOPLE) -> str:
    env = world(modes, people)
    return may_open(env, env.nodes[0], account, path).value


@pytest.mark.parametrize(
    ("mode", "account", "value"),
    [
        # path_resolution(7): the owner's class counts for the owner, even if others may more
        ("0044 alice staff", "alice", "denied"),
        ("0044 alice staff", "bob", "allowed"),
        ("0044 alice staff", "nobody", "allowed"),
        ("0404 root staff", "bob", "denied"),
        ("0404 root staff", "alice", "allowed"),
        # a further group, the primary group, and one's own, by name and by number
        ("0040 root ops", "bob", "allowed"),
        ("0040 root ops", "alice", "denied"),
        ("0040 root staff", "carol", "allowed"),
        ("0040 root 50", "carol", "allowed"),
        ("0040 root alice", "alice", "allowed"),
        ("0040 root carol", "carol", "denied"),
        ("0400 1001 root", "alice", "allowed"),
        ("0400 1001 root", "bob", "denied"),
        # write and execute do not help to read
        ("0333 alice alice", "alice", "denied"),
        # root, and another account with root's number
        ("0000 alice alice", "root", "allowed"),
        ("0000 alice alice", "toor", "allowed"),
        # of an account that nothing speaks of, the groups are not known
        ("0640 root staff", "daemon", "unknown"),
        ("0644 root staff", "daemon", "allowed"),
        ("0600 root staff", "daemon", "denied"),
        ("0600 1001 staff", "daemon", "unknown"),
    ],
)
def test_one_class_of_the_mode_counts(mode: str, account: str, value: str) -> None:
    assert ask(f"d /d 0755\nf /d/f {mode}", account) == value


@pytest.mark.parametrize(
    ("modes", "account", "value"),
    [
        ("d /d 0644\nf /d/f 0644", "alice", "denied"),
        ("d /d 0711\nf /d/f 0644", "alice", "allowed"),
        ("d /d 0750 root ops\nf /d/f 0644", "bob", "allowed"),
        ("d /d 0750 root ops\nf /d/f 0644", "alice", "denied"),
        ("d /d 0077 alice root\nf /d/f 0644", "alice", "denied"),
        ("d /d 0000\nf /d/f 0000", "root", "allowed"),
        # no line speaks of the folder; a file that refuses still decides
        ("f /d/f 0644", "alice", "unknown"),
        ("f /d/f 0600", "alice", "denied"),
        ("d /d 0700\nz /d/other 0644", "alice", "denied"),
        ("d /d 0755\nz /d/other 0644", "alice", "unknown"),
        # lines add up; those with globs come last
        ("d /d 0700\nf /d/f 0644\nz /d 0755", "alice", "allowed"),
        ("z /d/* 0644\nd /d 0755\nf /d/f 0600", "alice", "allowed"),
        ("d /d 0755\nf /d/f 0644\nZ /d - alice alice", "bob", "allowed"),
        ("d /d 0755\nf /d/f 0640\nZ /d - - ops", "bob", "allowed"),
        ("d /d 0755\nf /d/f 0444\nZ /d ~0222", "alice", "denied"),
        ("d /d 0755\nf /d/f 0600\nz /d/f :0644", "alice", "denied"),
        # what labkit does not read
        ("d /d 0755\nf /d/f 0600\na+ /d/f - - - - u:alice:r", "alice", "unknown"),
        ("d /d 0755\nf /d/f 0400 alice\na+ /d/f - - - - u:bob:r", "alice", "allowed"),
        ("d /d 0755\nf /d/f 0644\nz /d/{e,f} 0600", "alice", "unknown"),
        ("d /d 0755\nf /d/f 0644\nz %d/f 0600", "alice", "unknown"),
    ],
)
def test_every_folder_and_every_line_counts(modes: str, account: str, value: str) -> None:
    assert ask(modes, account) == value


def test_links_are_followed_to_where_they_lead() -> None:
    modes = (
        "d /d 0755\nd /e 0755\nL /d/up - - - - ../e\nL /d/f - - - - /e/f\nf /e/f 0600 alice\n"
        "d /shut 0700\nL /shut/f - - - - /e/f\nL /d/a - - - - b\nL /d/b - - - - a\n"
        "d /tmp 1777\nL /tmp/own - bob - - /e/f\nL /tmp/f - - - - /e/f"
    )
    assert ask(modes, "alice") == ask(modes, "alice", "/d/up/f") == "allowed"
    assert ask(modes, "bob") == ask(modes, "bob", "/d/up/f") == "denied"
    # to search the folder of the link is needed, to search that of its target as well
    assert ask(modes, "alice", "/shut/f") == "denied"
    assert ask(modes, "root", "/d/a") == "denied"
    assert ask(modes, "alice", "/tmp/f") == "allowed"
    assert ask(modes, "alice", "/tmp/own") == "unknown"


def test_connecting_to_a_socket_needs_write() -> None:
    env = world("d /d 0755\nd /shut 0700")

    def asked(mode: str, account: str, path: str = "/d/s") -> str:
        file = socket_file(path, Claim("unknown", mode, SOURCE))
        return may_open(env, env.nodes[0], account, path, file=file).value

    assert [asked("0660 root:ops", it) for it in ("alice", "bob", "root")] == [
        *("denied", "allowed", "allowed")
    ]
    assert asked("0444 alice:ops", "alice") == "denied"
    assert asked("0606 root:ops", "bob") == "denied"
    assert asked("0606 root:ops", "alice") == "allowed"
    assert asked("0666 root:root", "alice", "/shut/s") == "denied"
    assert asked("strange root:root", "alice") == "unknown"
    assert asked("0666 root:root", "alice", "/var/run/s") == "allowed"


# the same rules once more, as plainly as they are written in path_resolution(7)
IDS = st.integers(0, 3)
MODES = st.integers(0, 0o777)


def brute(who: tuple[int, set[int]], folders: Iterable[tuple[int, int, int]], file: int) -> bool:
    uid, groups = who
    if uid == 0:
        return True
    *above, last = folders

    def has(entry: tuple[int, int, int], bit: int) -> bool:
        mode, owner, group = entry
        text = f"{mode:09b}"
        part = text[:3] if owner == uid else text[3:6] if group in groups else text[6:]
        return part["rwx".index(bit_name[bit])] == "1"

    bit_name = {4: "r", 2: "w", 1: "x"}
    return all(has(it, 1) for it in above) and has(last, file)


@given(
    entries=st.lists(st.tuples(MODES, IDS, IDS), min_size=1, max_size=4),
    uid=IDS,
    primary=IDS,
    more=st.sets(IDS, max_size=3),
    is_socket=st.booleans(),
)
def test_decision_is_that_of_the_plain_rules(
    entries: list[tuple[int, int, int]], uid: int, primary: int, more: set[int], *, is_socket: bool
) -> None:
    people = [f"u u{uid} {uid}:{primary}", *(f"g g{it} {it}" for it in range(4))]
    people += [f"m u{uid} g{it}" for it in more]
    lines, path = [], ""
    for mode, owner, group in entries[:-1]:
        path += "/d"
        lines.append(f"d {path} {mode:04o} {owner} {group}")
    path += "/f"
    mode, owner, group = entries[-1]
    lines.append(f"f {path} {mode:04o} {owner} {group}")
    env = world("\n".join(lines), "\n".join(people))
    socket = FileMode(path, "socket", f"{mode:04o}", f"{owner}", f"g{group}", SOURCE)
    found = may_open(env, env.nodes[0], f"u{uid}", path, file=socket if is_socket else None)
    allowed = brute((uid, {primary, *more}), entries, 2 if is_socket else 4)
    assert found.value == ("allowed" if allowed else "denied")


def test_accounts_and_groups_of_a_machine() -> None:
    env = world("")
    assert ordinary_users(env, env.nodes[0]) == ("alice", "bob", "carol")
    assert anybody_opens(env, "master", "/etc/shadow") == "unknown"
    groups = [is_member(env, env.nodes[0], it, "staff") for it in ("alice", "bob", "carol", "x")]
    assert groups == [False, True, True, None]


SOCKET, RULES = "docker.socket", "/etc/tmpfiles.d/kubernetes.conf"


@pytest.mark.parametrize(
    ("people", "members", "succeeds"),
    [
        ("g docker -\nm bob docker\n", ("bob",), True),
        ("g docker -\n", (), False),
        # a primary group that sysusers.d names beside the number
        ("g docker 999\nu carl 1003:docker\n", ("carl",), False),
    ],
)
def test_every_group_opens_a_socket(
    people: str, members: tuple[str, ...], *, succeeds: bool
) -> None:
    edits = (
        Whole("worker", "/etc/sysusers.d/docker.conf", people),
        Option("worker", SOCKET, "SocketMode", "0660"),
        Option("worker", SOCKET, "SocketGroup", "docker"),
    )
    model = read_model(read_environment("hardened", edits))
    [channel] = model.open_channels("local-users@worker1 -> dockerd@worker1:/run/docker.sock")
    assert (channel.client_authentication.value, channel.members) == ("file-mode", members)
    technique = techniques["docker-group"]
    assert technique.predict(model, technique.footholds[0]).succeeds is succeeds


def test_a_folder_that_nobody_may_search_shuts_a_socket_of_mode_0666() -> None:
    env = world("d /run/shut 0700")
    server = replace(env.component("kube-apiserver@master"), node="master")

    def client(path: str) -> str:
        return socket_claims(env, server, path, "0666", "root:root", SOURCE, SOURCE)[1].value

    assert [client(it) for it in ("/run/shut/s", "/run/s", "/run/other/s")] == [
        *("file-mode", "none", "unknown")
    ]


def copied(tmp_path: Path) -> Environment:
    """Return a cluster copied from its machines, with an administrator's kubeconfig."""
    manifests = tmp_path / "cp1/etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, command: "
        "[kube-apiserver, --token-auth-file=/etc/kubernetes/tokens.csv, "
        "--authorization-mode=Node]}]}}"
    )
    (tmp_path / "cp1/etc/kubernetes/tokens.csv").write_text('secret,ann,1,"system:masters"\n')
    units = tmp_path / "cp1/etc/systemd/system"
    units.mkdir(parents=True)
    (units / "docker.service").write_text("[Service]\nExecStart=/usr/bin/dockerd -H fd://\n")
    (units / "docker.socket").write_text(
        "[Socket]\nListenStream=/run/docker.sock\nSocketMode=0660\nSocketGroup=docker\n"
    )
    return read_cluster(tmp_path)


def test_modes_and_accounts_that_were_not_copied_are_unknown(tmp_path: Path) -> None:
    env = copied(tmp_path)
    [node] = env.nodes
    assert ordinary_users(env, node) == (ANY_USER,)
    values = {it: may_open(env, node, it, "/etc/kubernetes/tokens.csv").value for it in ("", "bob")}
    assert values == {"": "unknown", "bob": "unknown"}
    assert may_open(env, node, "root", "/etc/kubernetes/tokens.csv").value == "allowed"
    # the unit says the socket's mode, and nothing says who is in the group
    claim = Claim("file-mode", "0660 root:docker", SOURCE)
    [decision] = socket_users(env, "cp1", "/run/docker.sock", claim).values()
    assert decision.value == "unknown"
    assert "in group docker is not known" in decision.claim.detail
    shut = replace(claim, detail="0600 root:docker")
    [decision] = socket_users(env, "cp1", "/run/docker.sock", shut).values()
    assert decision.value == "denied"


def test_copied_credential_is_perhaps_readable(tmp_path: Path) -> None:
    model = read_model(copied(tmp_path))
    [token] = [it for it in model.credentials if it.identity == "ann"]
    assert (token.readable_by, [str(it) for it in token.perhaps_readable_by]) == (
        (),
        ["user on cp1"],
    )
    [finding] = [it for it in find_threats(model) if it.id == f"credential-readable@{token.id}"]
    assert (finding.state, finding.claim.value) == ("unknown", "unknown")
    paths = attack_paths(model, "user:cp1", "admin")
    assert not paths.paths
    assert paths.possible
    assert f"whether a user on cp1 can read {token.id}" in repr(paths)


PASSWD = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:7::/:/bin/sh\n"
GROUPS = "root:x:0:\nann:x:1000:\nstaff:x:7:\nops:x:8:ann\ndocker:x:9:bob\n"
#: What find prints of the folders on the way.
WAY = [("d", "755", "root", "root", it) for it in ("/", "/etc", "/etc/kubernetes")]


def listed(tmp_path: Path, *lines: tuple[str, ...]) -> Environment:
    """Return the copied cluster with its accounts, and with modes as find prints them."""
    copied(tmp_path)
    text = "".join("\t".join((*line, "")[:6]) + "\n" for line in (*WAY, *lines))
    (tmp_path / "cp1/modes.txt").write_text(text)
    (tmp_path / "cp1/etc/passwd").write_text(PASSWD)
    (tmp_path / "cp1/etc/group").write_text(GROUPS)
    return read_cluster(tmp_path)


@pytest.mark.parametrize(
    ("line", "readers"),
    [
        (("600", "root", "root"), set()),
        (("644", "root", "root"), {"ann", "bob"}),
        (("640", "root", "ops"), {"ann"}),  # a further group
        (("640", "root", "staff"), {"bob"}),  # the primary one
        (("604", "root", "ops"), {"bob"}),  # the group's bits decide for its members
        (("400", "ann", "root"), {"ann"}),
    ],
)
def test_listed_modes_and_accounts_are_known(
    tmp_path: Path, line: tuple[str, ...], readers: set[str]
) -> None:
    env = listed(tmp_path, ("f", *line, "/etc/kubernetes/tokens.csv"))
    [node] = env.nodes
    values = {
        it: may_open(env, node, it, "/etc/kubernetes/tokens.csv").value
        for it in ordinary_users(env, node)
    }
    assert values == {it: "allowed" if it in readers else "denied" for it in ("ann", "bob")}
    model = read_model(env)
    [token] = [it for it in model.credentials if it.identity == "ann"]
    assert token.perhaps_readable_by == ()
    assert [str(it) for it in token.readable_by] == (["user on cp1"] if readers else [])


def test_listed_socket_is_open_to_the_members_of_its_group(tmp_path: Path) -> None:
    env = listed(tmp_path)
    claim = Claim("file-mode", "0660 root:docker", SOURCE)
    found = socket_users(env, "cp1", "/run/docker.sock", claim)
    assert {user: it.value for user, it in found.items()} == {"ann": "denied", "bob": "allowed"}


def test_what_is_not_listed_or_not_understood_stays_unknown(tmp_path: Path) -> None:
    env = listed(tmp_path, ("f", "rw-r--r--", "root", "root", "/etc/kubernetes/tokens.csv"))
    [node] = env.nodes
    decision = may_open(env, node, "ann", "/etc/kubernetes/tokens.csv")
    assert decision.value == "unknown"
    assert any("expected TYPE, MODE" in it.why for it in env.unknowns)
    (tmp_path / "cp1/etc/group").unlink()
    env = read_cluster(tmp_path)
    assert ordinary_users(env, env.nodes[0]) == (ANY_USER,)


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_accounts_are_unknown_if_a_line_of_theirs_is(tmp_path: Path, name: str) -> None:
    """Such as "+", by which more accounts and members come from a directory service."""
    listed(tmp_path, ("f", "640", "root", "ops", "/etc/kubernetes/tokens.csv"))
    with (tmp_path / "cp1/etc" / name).open("a") as file:
        file.write("+\n")
    env = read_cluster(tmp_path)
    assert ordinary_users(env, env.nodes[0]) == (ANY_USER,)
    decision = may_open(env, env.nodes[0], "bob", "/etc/kubernetes/tokens.csv")
    assert decision.value == "unknown"
    assert any(it.path == f"cp1/etc/{name}" for it in env.unknowns)


def test_listed_link_leads_to_another_folder(tmp_path: Path) -> None:
    shut = ("d", "700", "root", "root", "/srv/pki")
    link = ("l", "777", "root", "root", "/etc/kubernetes/pki", "/srv/pki")
    key = tmp_path / "cp1/etc/kubernetes/pki/ca.key"
    key.parent.mkdir(parents=True)
    key.touch()  # the content of keys is never copied
    env = listed(tmp_path, ("d", "755", "root", "root", "/srv"), shut, link)
    decision = may_open(env, env.nodes[0], "ann", "/etc/kubernetes/pki/ca.key")
    assert (decision.value, decision.claim.detail) == ("denied", "/srv/pki is 0700 root root")


def test_copied_docker_socket_of_a_group_is_perhaps_open(tmp_path: Path) -> None:
    model = read_model(copied(tmp_path))
    [channel] = model.open_channels("local-users@cp1 -> dockerd@cp1:/run/docker.sock")
    assert channel.client_authentication.value == "unknown"
    users = Foothold("user", "cp1")
    found = {it.unknown for it in channel_steps(model) if it.foothold == users and it.channel}
    assert found == {"which users may connect to dockerd@cp1:/run/docker.sock"}


def test_technique_is_unknown_where_an_access_control_list_decides() -> None:
    line = "a+ /etc/kubernetes/pki/ca.key - - - - u:alice:r"
    edit = TmpfilesLine("master", RULES, "/etc/kubernetes/pki", "z /etc/kubernetes/pki 0755")
    lists = Whole("master", "/etc/tmpfiles.d/lists.conf", f"{line}\n")
    env = read_environment("hardened", (edit, lists))
    technique = techniques["ca-key-theft"]
    assert technique.predict(read_model(env), technique.footholds[0]).succeeds is None


TOKENS = "/etc/kubernetes/tokens.csv"


@pytest.mark.parametrize(
    ("rule", "readable", "perhaps"),
    [
        ("", ["user on master"], []),
        (f"z {TOKENS} 0600 root root\n", [], []),
        (f"z {TOKENS} 0640 root bob\n", ["user on master"], []),
        (f"z {TOKENS} 0640 root ops\n", [], []),
        (f"z {TOKENS} 0600 root root\na+ {TOKENS} - - - - g:ops:r\n", [], ["user on master"]),
    ],
)
def test_static_token_is_stolen_by_those_who_may_open_its_file(
    rule: str, readable: list[str], perhaps: list[str]
) -> None:
    edits = (
        Flag("master", "kube-apiserver.service", "token-auth-file", TOKENS),
        Whole("master", TOKENS, 'Zq8w2d7f6s5a4x,backup,1001,"system:masters"\n'),
        Whole("master", "/etc/tmpfiles.d/tokens.conf", rule),
    )
    model = read_model(read_environment("hardened", edits))
    [token] = [it for it in model.credentials if it.identity == "backup"]
    assert [str(it) for it in token.rights] == ["cluster-admin"]
    assert [str(it) for it in token.readable_by] == readable
    assert [str(it) for it in token.perhaps_readable_by] == perhaps
    paths = attack_paths(model, "user:master", "admin")
    assert (bool(paths.paths), bool(paths.possible)) == (bool(readable), bool(perhaps))
    state = "open" if readable else "unknown" if perhaps else "mitigated"
    [finding] = [it for it in find_threats(model) if it.id == f"credential-readable@{token.id}"]
    assert finding.state == state
