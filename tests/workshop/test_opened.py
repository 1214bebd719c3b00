"""What a check says of files that people may read or change since a lab came up."""

from __future__ import annotations

import pytest

from labkit.cluster import read_environment
from labkit.cluster.accounts import permissions_of
from labkit.model.file_access import may_open
from labkit.workshop.edited import with_modes
from labkit.workshop.opened import opened_files

KEY, POLICY = "/etc/kubernetes/pki/ca.key", "/etc/kubernetes/abac.jsonl"
SECRET, TEXT = "00112233445566aa", "ffeeddccbbaa9988"
DATA = "/var/lib/etcd/data"
BEFORE = {
    DATA: "0700 0:0 folder",
    "/etc": "0755 0:0 folder",
    "/etc/ssl/private": "0710 0:0 folder",
    "/root": "0700 0:0 folder",
    "/home/alice": "0700 1000:1000 folder",
    "/tmp": "1777 0:0 folder",
    KEY: f"0600 0:0 {SECRET}",
    POLICY: f"0644 0:0 {TEXT}",
    "/etc/kubernetes/pki/old.key": f"0644 0:0 {TEXT}",
}


@pytest.mark.parametrize(
    ("path", "now", "says"),
    [
        (KEY, f"0604 0:0 {SECRET}", "can be read"),
        (KEY, f"0400 1000:0 {SECRET}", "can be read"),
        (KEY, f"0640 0:1000 {SECRET}", "can be read"),
        # an access control list: whom it names is not read
        (KEY, f"0640 0:0 {SECRET} rights {TEXT}", "can be read"),
        (KEY, f"0600 0:0 {SECRET} rights {TEXT}", None),
        # the group of a service, and another key in its place
        (KEY, f"0640 0:102 {SECRET}", None),
        (KEY, f"0600 0:0 {TEXT}", None),
        (KEY, f"0644 0:0 {TEXT}", "can be read"),
        ("/tmp/x", f"0644 0:0 {SECRET}", f"a copy of {KEY}, can be read"),
        ("/home/alice/x", f"0600 1000:1000 {SECRET}", f"a copy of {KEY}, can be read"),
        ("/tmp/x", f"0600 0:0 {SECRET}", None),
        # nobody but root gets into the folder
        ("/root/x", f"0644 0:0 {SECRET}", None),
        ("/tmp/x", f"0644 0:0 {TEXT}", None),
        ("/tmp/new", "0755 0:0 folder", None),
        ("/etc/link", "-> /etc/kubernetes/pki/ca.key", None),
        ("/etc/kubernetes/pki/new.key", f"0644 0:0 {TEXT}", "can be read"),
        ("/etc/kubernetes/pki/old.key", f"0644 0:0 {SECRET}", None),
        (POLICY, f"0666 0:0 {TEXT}", "can be changed"),
        (POLICY, f"0644 1001:0 {TEXT}", "can be changed"),
        ("/etc/kubernetes", "0777 0:0 folder", "can be changed"),
        ("/tmp/y", f"0666 0:0 {TEXT}", None),
        # a folder that only root entered
        (DATA, "0755 0:0 folder", "can be entered"),
        (DATA, "0700 0:0 folder", None),
        (DATA, "0750 0:102 folder", None),
        # a program that is root's, or has capabilities, for everybody who runs it
        ("/usr/local/bin/cat", f"4755 0:0 {TEXT}", "more rights than theirs"),
        ("/usr/local/bin/cat", f"2755 0:0 {TEXT}", "more rights than theirs"),
        ("/usr/local/bin/cat", f"0755 0:0 {TEXT} rights {SECRET}", "more rights than theirs"),
        ("/usr/local/bin/cat", f"4700 0:0 {TEXT}", None),
        ("/usr/local/bin/cat", f"0755 0:0 {TEXT}", None),
    ],
)
def test_file_that_people_may_open_since_is_named(path: str, now: str, says: str | None) -> None:
    before, after = ({"master": {"files": it}} for it in (BEFORE, {**BEFORE, path: now}))
    found = opened_files(before, after)
    assert len(found) == (says is not None), found
    assert all(str(says) in it for it in found), found


def test_copy_of_a_file_that_the_task_makes_private_is_named() -> None:
    conf, copy = "/etc/kubernetes/admin.conf", "/home/alice/admin.conf"
    before = {"master": {"files": {conf: f"0644 0:0 {SECRET}"}}}
    after = {"master": {"files": {conf: f"0600 0:0 {SECRET}", copy: f"0600 1001:1001 {SECRET}"}}}
    said = f"{copy} of master, a copy of {conf}, can be read by the users of the machine"
    assert opened_files(before, after) == [said]


def test_way_to_a_file_that_was_open_counts_as_before() -> None:
    state = {"master": {"files": {KEY: f"0666 0:0 {SECRET}"}}}
    assert opened_files(state, state) == []


# -- modes that people set by hand ----------------------------------------------------------

CONF, KUBELET = "/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.yaml"


@pytest.mark.parametrize(
    ("path", "was", "now", "alice"),
    [
        # nothing sets the folder's mode again when the machine starts: tmpfiles.d(5)
        ("/etc/kubernetes", "0755 0:0 folder", "0700 0:0 folder", "denied"),
        ("/etc/kubernetes", "0755 0:0 folder", "0700 1001:0 folder", "allowed"),
        ("/etc/kubernetes", "0755 0:0 folder", "0755 0:0 folder", "allowed"),
        # a list in which somebody may have what the mode takes away
        ("/etc/kubernetes", "0755 0:0 folder", f"0750 0:0 folder rights {TEXT}", "allowed"),
        ("/etc/kubernetes", "0755 0:0 folder", f"0700 0:0 folder rights {TEXT}", "denied"),
        # the environment's own line sets the file's
        (CONF, f"0644 0:0 {SECRET}", f"0600 0:0 {SECRET}", "allowed"),
    ],
)
def test_mode_set_by_hand_lasts_where_nothing_sets_it_again(
    path: str, was: str, now: str, alice: str
) -> None:
    before, after = ({"master": {"files": {path: it}}} for it in (was, now))
    env, uneven = with_modes(read_environment("insecure"), before, after)
    assert may_open(env, env.node("master"), "alice", CONF).value == alice
    assert uneven == ()


def test_line_for_a_folder_counts_more_than_the_mode_set_by_hand() -> None:
    before, after = (
        {"master": {"files": {"/home/alice": f"{it} 1001:1001 folder"}}} for it in ("0755", "0700")
    )
    env, _ = with_modes(read_environment("insecure"), before, after)
    of_folder = permissions_of("/home/alice", env.node("master").permissions)
    assert [it.mode for it in of_folder if it.mode][-1] == "0755"


def test_mode_on_one_of_two_workers_is_uneven_and_a_new_file_is_not() -> None:
    plain = read_environment("insecure")
    file, private = {KUBELET: f"0644 0:0 {TEXT}"}, {KUBELET: f"0600 0:0 {TEXT}"}
    before = {name: {"files": file} for name in ("worker1", "worker2")}
    one = {"worker1": {"files": private}, "worker2": {"files": file}}
    assert with_modes(plain, before, one)[1] == (
        f"the mode of {KUBELET} on worker2 is not that on worker1",
    )
    both = {name: {"files": private} for name in before}
    assert with_modes(plain, before, both)[1] == ()
    new = {**before, "worker1": {"files": {**file, "/tmp/notes": f"0600 0:0 {TEXT}"}}}
    assert with_modes(plain, before, new)[1] == ()
    assert with_modes(plain, before, before) == (plain, ())
