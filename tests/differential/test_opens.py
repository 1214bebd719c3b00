"""Ask the kernel and the model the same questions: which account may open which file.

Hypothesis draws folders, files, sockets and links with owners, groups and modes, and accounts with
several groups. A program in a machine of a running lab makes them below /tmp, becomes each account
and opens them; the model decides by the same facts, as tmpfiles.d and sysusers.d say them. What
differs is shrunk; keep it as a test in tests/model/test_file_access.py. ``make differential
KIND=opens SEED=1 COUNT=2000`` asks a lab that is up, ``python tests/differential/test_opens.py
SEED COUNT LAB`` one of another name.
"""

from __future__ import annotations

import json
import posixpath
import sys
import time
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from labkit import agents
from labkit.cluster import Environment
from labkit.cluster.accounts import read_sysusers, read_tmpfiles
from labkit.cluster.syntax.source import Source
from labkit.lab import Lab
from labkit.model.file_access import FileMode, may_open

#: Questions about one tree of files, and trees that one program makes, one after another.
EACH, TREES = 20, 10
#: Questions of the share of this test that CI asks, in a few seconds, and its seed.
SHARE, SEED = 400, 1
MACHINE = "master"
#: Short, because a socket's path has at most 108 characters.
ROOT = "/tmp/labkit-opens"
#: Numbers that no account of a machine has, and root's.
UIDS, GIDS = (0, 2001, 2002, 2003), (0, 2001, 2010, 2011)
USUAL = (0o755, 0o711, 0o750, 0o710, 0o770, 0o700, 0o644, 0o640, 0o604, 0o660, 0o606, 0o066)


@dataclass(frozen=True)
class Entry:
    """One folder, file, socket or link below the root."""

    kind: str
    path: str
    mode: int
    uid: int
    gid: int
    target: str = ""

    def line(self) -> str:
        """Return it as a line of tmpfiles.d; what the model knows of a socket, its unit says."""
        if self.kind == "link":
            return f"L {ROOT}/{self.path} - {self.uid} {self.gid} - {self.target}"
        kind = {"folder": "d", "file": "f"}[self.kind]
        return f"{kind} {ROOT}/{self.path} {self.mode:04o} {self.uid} {self.gid}"


@dataclass(frozen=True)
class Account:
    """An account with its primary and its further groups."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """Files, accounts, and questions: an account, and an entry by one of its paths."""

    entries: tuple[Entry, ...]
    accounts: tuple[Account, ...]
    questions: tuple[tuple[int, Entry, str], ...]


MODES = st.one_of(st.sampled_from(USUAL), st.integers(0, 0o777))
ACCOUNTS = st.lists(
    st.builds(
        Account,
        st.sampled_from((*UIDS[1:], *UIDS[1:], 0)),
        st.sampled_from(GIDS[1:]),
        st.lists(st.sampled_from((*GIDS[1:], *GIDS)), max_size=3).map(tuple),
    ),
    min_size=2,
    max_size=5,
    unique_by=lambda it: it.uid,
)


@st.composite
def trees(draw: st.DrawFn) -> tuple[tuple[Entry, ...], tuple[tuple[Entry, str], ...]]:
    """Draw entries, and the files and sockets among them with every path that leads there."""
    entries: list[Entry] = []
    folders = [""]
    #: The paths that lead to each folder, by the folder's own path.
    names: dict[str, list[str]] = {"": [""]}
    leaves: list[tuple[Entry, str]] = []

    def owned(kind: str, path: str, target: str = "") -> Entry:
        uid, gid = draw(st.sampled_from(UIDS)), draw(st.sampled_from(GIDS))
        return Entry(kind, path, draw(MODES), uid, gid, target)

    kinds = ("folder", "folder", "file", "file", "socket", "link", "link")
    drawn = ["folder", *draw(st.lists(st.sampled_from(kinds), min_size=2, max_size=9)), "file"]
    for number, kind in enumerate(drawn):
        home = draw(st.sampled_from(folders))
        path = posixpath.join(home, f"{kind[0]}{number}")
        ways = [posixpath.join(it, f"{kind[0]}{number}") for it in names[home]]
        if kind == "link":
            to = draw(
                st.sampled_from([*(it for it in folders if it), *(it.path for it, _ in leaves)])
            )
            target = f"{ROOT}/{to}"
            if draw(st.booleans()):
                target = posixpath.relpath(to or ".", home or ".")
            entries.append(owned(kind, path, target))
            if to in names:
                names[to] += ways
            else:
                [leaf, *_] = [it for it, _ in leaves if it.path == to]
                leaves += [(leaf, it) for it in ways]
            continue
        entry = owned(kind, path)
        entries.append(entry)
        if kind == "folder":
            folders.append(path)
            names[path] = ways
            # by way of the folder, and back
            names[home] = [*names[home], posixpath.join(path, "..")]
        else:
            leaves += [(entry, it) for it in ways]
    return tuple(entries), tuple(leaves)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    entries, leaves = draw(trees())
    accounts = tuple(draw(ACCOUNTS))
    question = st.tuples(st.integers(0, len(accounts) - 1), st.sampled_from(leaves))
    asked = draw(st.lists(question, min_size=EACH, max_size=EACH))
    return Case(entries, accounts, tuple((who, entry, path) for who, (entry, path) in asked))


def expected(env: Environment, case: Case) -> list[str]:
    """Return the model's decisions."""
    lines = [f"d {ROOT} 0755 0 0", *(it.line() for it in case.entries if it.kind != "socket")]
    permissions, _ = read_tmpfiles("\n".join(lines), "random.conf")
    people = [f"g g{gid} {gid}" for gid in GIDS]
    for number, it in enumerate(case.accounts):
        people.append(f"u a{number} {it.uid}:{it.gid}")
        people += [f"m a{number} g{gid}" for gid in it.groups]
    accounts, groups, _ = read_sysusers("\n".join(people), "random.conf")
    node = replace(
        env.node(MACHINE), files={}, accounts=accounts, groups=groups, permissions=permissions
    )
    source = Source("random.socket", None, "")
    found = []
    for who, entry, path in case.questions:
        mode, user, group = f"{entry.mode:04o}", str(entry.uid), f"g{entry.gid}"
        socket = FileMode(path, "socket", mode, user, group, source)
        file = socket if entry.kind == "socket" else None
        found.append(may_open(env, node, f"a{who}", f"{ROOT}/{path}", file=file).value)
    return found


def observed(lab: Lab, drawn: list[Case]) -> list[list[str]]:
    """Return the kernel's answers."""
    about = [
        {
            "root": ROOT,
            "entries": [
                [it.kind, it.path, it.mode, it.uid, it.gid, it.target] for it in each.entries
            ],
            "accounts": [[it.uid, it.gid, list(it.groups)] for it in each.accounts],
            "questions": [[who, it.kind, path] for who, it, path in each.questions],
        }
        for each in drawn
    ]
    argv = agents.argv("many_opens")
    output = lab.exec(MACHINE, argv, stdin=json.dumps(about).encode(), timeout=120)
    return [["allowed" if it else "denied" for it in each] for each in json.loads(output.stdout)]


def compare(lab: Lab, number: int, count: int, *, shrinks: bool = True) -> tuple[int, int]:
    """Ask the questions of a seed; return how many there were, and how many were allowed.

    Raises
    ------
    AssertionError
        The kernel answers something else than the model decides.
    """
    asked = allowed = 0

    @seed(number)
    @settings(
        max_examples=max(1, count // (EACH * TREES)),
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, *([Phase.shrink] if shrinks else [])],
    )
    @given(st.lists(cases(), min_size=TREES, max_size=TREES))
    def check(drawn: list[Case]) -> None:
        nonlocal asked, allowed
        for case, theirs in zip(drawn, observed(lab, drawn), strict=True):
            mine = expected(lab.environment, case)
            asked += len(mine)
            allowed += theirs.count("allowed")
            found = [
                f"{case.accounts[who]} {it.kind} {path}: model {one}, kernel {other}"
                for (who, it, path), one, other in zip(case.questions, mine, theirs, strict=True)
                if one != other
            ]
            assert not found, (found[:5], case.entries)

    check()
    return asked, allowed


def test_the_kernel_opens_what_the_model_allows(lab_hardened: Lab) -> None:
    asked, allowed = compare(lab_hardened, SEED, SHARE, shrinks=False)
    assert asked >= SHARE
    assert 0 < allowed < asked


def main() -> int:
    """Ask the questions of one seed."""
    number, count, *rest = sys.argv[1:]
    lab, began = Lab("hardened", name=rest[0] if rest else "default"), time.monotonic()
    try:
        asked, allowed = compare(lab, int(number), int(count))
    except AssertionError as error:
        print(f"seed {number}: {error}")
        return 1
    said = f"{asked} opens, {allowed} of them allowed, 0 differences"
    print(f"seed {number}: {said}, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
