"""Predict what etcd allows flanneld of one worker, key by key and range by range."""

from __future__ import annotations

from labkit.cluster import Environment, read_environment
from labkit.controls import with_controls
from labkit.model.etcd_rights import KeyRange, etcd_may, known_to_etcd
from labkit.workshop.checks import Mistake, compare, sets_of_names
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

NETWORK = "/coreos.com/network/"
#: A request: as etcdctl makes it, the access, and the keys.
REQUESTS: dict[str, tuple[str, str, KeyRange]] = {
    "read-network": ("get --prefix /coreos.com/network/", "read", KeyRange.prefix(NETWORK)),
    "read-above": ("get --prefix /coreos.com/", "read", KeyRange.prefix("/coreos.com/")),
    "read-from": (
        "get --from-key /coreos.com/network/",
        "read",
        KeyRange(NETWORK.encode(), b"\0"),
    ),
    "read-secret": (
        "get /registry/secrets/shop/db-credentials",
        "read",
        KeyRange.one("/registry/secrets/shop/db-credentials"),
    ),
    "write-own-lease": (
        "put /coreos.com/network/subnets/OWN",
        "write",
        KeyRange.one(f"{NETWORK}subnets/10.244.1.0-24"),
    ),
    "write-other-lease": (
        "put /coreos.com/network/subnets/OTHER",
        "write",
        KeyRange.one(f"{NETWORK}subnets/10.244.2.0-24"),
    ),
    "write-config": ("put /coreos.com/network/config", "write", KeyRange.one(f"{NETWORK}config")),
}
OVERLAP = Mistake(
    "overlap",
    "you allowed a range because a part of it is allowed",
    {"in place": {"read-above", "read-from", "read-network", "write-own-lease"}},
)


def allowed(env: Environment) -> set[str]:
    """Return the names of the requests that etcd allows worker1's flanneld."""
    etcd = env.component("etcd@etcd1")
    caller = known_to_etcd(env, etcd, env.credential("flanneld", "worker1"))
    return {
        name
        for name, (_, access, keys) in REQUESTS.items()
        if etcd_may(env, etcd, caller, access, keys).value == "allowed"
    }


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the decision of the model, with and without the control."""
    env = read_environment("hardened")
    expected = {
        "in place": allowed(env),
        "taken out": allowed(with_controls(env, {"flannel-leases": False})),
    }
    return compare(expected, sets_of_names(answer), [OVERLAP])


EXERCISE = Exercise(
    name="flannel-2",
    title="Key by key, range by range",
    notebook="07-etcd-peers-and-flannel",
    kind="predict",
    mode="hardened",
    task=f"""
Root on worker1 of `hardened` calls etcd with the certificate of worker1's flanneld. Each worker has
one lease of flannel: `OWN` stands for the lease of worker1, and `OTHER` for that of worker2. Which
of these requests does etcd allow?

{chr(10).join(f"- `{name}`: `etcdctl {request}`" for name, (request, *_) in REQUESTS.items())}

Answer for `hardened` as it is, and with the control `flannel-leases` taken out. Set `answer` to a
dict with the keys `in place` and `taken out`, and the set of the names that are allowed. The roles
are `labkit.read_environment("hardened").etcd_roles`; `labkit control show flannel-leases` says what
the control is for.
""",
    hints=(
        Hint(
            "etcd allows a range only if the permissions of the user cover all of it. Where does "
            "--from-key end?",
            "overlap",
        ),
        Hint("Each worker has a role of its own: compare the keys of the two."),
        Hint("A role may read more than it may write."),
        Hint("Without the control, all workers share one role, as flannel's documentation has it."),
    ),
    check=check,
    solution="""
answer = {
    "in place": {"read-network", "write-own-lease"},
    "taken out": {"read-network", "write-own-lease", "write-other-lease", "write-config"},
}
""",
    wrong=(
        WrongSolution(
            "a range is allowed if a part of it is",
            """
reads = {"read-above", "read-from", "read-network"}
answer = {
    "in place": reads | {"write-own-lease"},
    "taken out": reads | {"write-own-lease", "write-other-lease", "write-config"},
}
""",
            "overlap",
            "because a part of it is allowed",
        ),
        WrongSolution(
            "one lease, also without the control",
            """
answer = {
    "in place": {"read-network", "write-own-lease"},
    "taken out": {"read-network", "write-own-lease"},
}
""",
            "wrong-answer",
            "1 of 2 is as the model says",
        ),
    ),
    techniques=(),
)
