"""Ask a real etcd and the model the same questions: who may read and write which keys.

Hypothesis draws roles, users and ranges. A new etcd on an etcd machine of a running lab gets them
(throwaway_etcd.py); the lab's own etcd sees nothing of it. What differs is shrunk to the fewest
permissions; keep it as a test in tests/model/test_etcd_rights.py. ``python
tests/differential/test_etcd.py SEED COUNT LAB`` asks a lab that is up.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from labkit.cluster.policies import EtcdAuth, EtcdPermission
from labkit.cluster.syntax.source import Source
from labkit.lab import Lab
from labkit.model.claims import Claim
from labkit.model.decision import Caller
from labkit.model.etcd_rights import ALL_KEYS, KeyRange, etcd_may

#: Questions about one policy, and in the share of this test that CI asks.
EACH, SHARE = 50, 400
SEED = 1
MACHINE, PROGRAM = "etcd1", Path(__file__).with_name("throwaway_etcd.py")
USERS, ROLES = ("ann", "bob", "cat"), ("r0", "r1", "r2")
#: Prefixes of which neighbours touch, so that a range is covered by two of them.
WORDS = ("a", "b", "c", "aa", "ab", "é")
ACCESS = ("read", "write", "readwrite", "readwrite")
PERMISSIONS = st.builds(
    EtcdPermission, st.sampled_from((*WORDS, *WORDS, "")), st.booleans(), st.sampled_from(ACCESS)
).filter(lambda it: it.key or it.prefix)
ROLE = st.lists(PERMISSIONS, min_size=2, max_size=6, unique_by=lambda it: (it.key, it.prefix)).map(
    tuple
)
POLICIES = st.builds(
    lambda roles, users: (roles, users),
    st.fixed_dictionaries(dict.fromkeys(ROLES, ROLE)),
    st.fixed_dictionaries(
        dict.fromkeys(
            USERS, st.lists(st.sampled_from(ROLES), min_size=1, max_size=3, unique=True).map(tuple)
        )
    ),
)
ENDS = ("", "\0", *WORDS, *(f"{it}\0" for it in WORDS[:6]), "a0", "b0", "c", "0", "\u00ff")
ANY = st.one_of(
    st.tuples(st.sampled_from(WORDS), st.sampled_from(ENDS))
    .map(lambda it: (it[0].encode(), it[1].encode()))
    .filter(lambda it: it[1] in (b"", b"\0") or it[0] < it[1])
    .map(lambda it: KeyRange(*it)),
    st.sampled_from(WORDS).map(KeyRange.prefix),
    st.just(ALL_KEYS),
)
Policy = tuple[dict[str, tuple[EtcdPermission, ...]], dict[str, tuple[str, ...]]]
Question = tuple[str, str, KeyRange]


def granted(it: EtcdPermission) -> KeyRange:
    return KeyRange.prefix(it.key) if it.prefix else KeyRange.one(it.key)


@st.composite
def questions(draw: st.DrawFn, policy: Policy) -> Question:
    """Draw a question, most often about a range from one edge of a user's grants to another."""
    roles, users = policy
    user = draw(st.sampled_from((*USERS, *USERS, "root", "")))
    access = draw(st.sampled_from(("read", "write")))
    grants = [granted(it) for role in users.get(user, ()) for it in roles[role]]
    edges = sorted({it.key for it in grants} | {it.limit for it in grants if it.limit})
    pairs = [(one, other) for one in edges for other in edges if one < other]
    if not pairs or draw(st.integers(0, 3)) == 0:
        return user, access, draw(ANY)
    return user, access, KeyRange(*draw(st.sampled_from(pairs)))


CASES = POLICIES.flatmap(
    lambda it: st.tuples(st.just(it), st.lists(questions(it), min_size=EACH, max_size=EACH))
)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def expected(lab: Lab, policy: Policy, asked: list[Question]) -> list[str]:
    """Return the model's decisions."""
    roles, users = policy
    source = Source("random.yaml", None, "")
    auth = EtcdAuth(tuple(roles.items()), (("root", ("root",)), *users.items()), source)
    env = replace(lab.environment, etcd_auth=auth, etcd_auth_source=source)
    etcd, claim = env.component(f"etcd@{MACHINE}"), Claim("required", "drawn", source)
    return [
        etcd_may(env, etcd, Caller(user, frozenset(), claim), access, keys).value
        for user, access, keys in asked
    ]


def observed(lab: Lab, policy: Policy, asked: list[Question]) -> list[str]:
    """Return the answers of a new etcd."""
    roles, users = policy
    about = {
        "roles": {
            name: [
                {"key": text(it.key.encode()), "prefix": it.prefix, "access": it.access}
                for it in role
            ]
            for name, role in roles.items()
        },
        "users": users,
        "asked": [(user, access, text(it.key), text(it.end)) for user, access, it in asked],
    }
    argv = ["python3", "-c", PROGRAM.read_text()]
    output = lab.exec(MACHINE, argv, stdin=json.dumps(about).encode(), timeout=300)
    found: list[str] = json.loads(output.stdout)
    return found


def compare(lab: Lab, number: int, count: int) -> tuple[int, int]:
    """Ask the questions of a seed; return how many there were, and how many were allowed.

    Raises
    ------
    AssertionError
        etcd answers something else than the model decides.
    """
    asked_so_far = allowed = 0

    @seed(number)
    @settings(
        max_examples=max(1, count // EACH),
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(CASES)
    def check(case: tuple[Policy, list[Question]]) -> None:
        nonlocal asked_so_far, allowed
        policy, asked = case
        wanted, seen = expected(lab, policy, asked), observed(lab, policy, asked)
        asked_so_far += len(asked)
        allowed += wanted.count("allowed")
        found = [
            f"{user or 'nobody'} {access} {keys!r}: model {mine}, etcd {theirs}"
            for (user, access, keys), mine, theirs in zip(asked, wanted, seen, strict=True)
            if mine != theirs
        ]
        assert not found, (found[:5], policy)

    check()
    return asked_so_far, allowed


def test_etcd_answers_as_the_model_decides(lab_hardened: Lab) -> None:
    asked, allowed = compare(lab_hardened, SEED, SHARE)
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
    said = f"{asked} questions to etcd, {allowed} of them allowed, 0 differences"
    print(f"seed {number}: {said}, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
