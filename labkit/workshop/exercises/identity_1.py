"""Predict as whom the apiserver knows the holder of an ID token, flag by flag."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from labkit.cluster import read_environment
from labkit.cluster.edits import Flag
from labkit.model.decision import AUTHENTICATED
from labkit.model.id_tokens import caller_by_id_token
from labkit.workshop.checks import Mistake, compare, sets_of_names
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

MODE, ISSUER = "oidc-insecure", "https://idp:8443"
#: The claims of the token that mallory shows.
CLAIMS: Mapping[str, object] = MappingProxyType(
    {
        "aud": ["kubernetes"],
        "sub": "mallory",
        "email": "mallory@company.example",
        "groups": ["system:masters", "masters"],
    }
)
#: The flags of the apiserver that differ from those of the mode, by the name of the question.
QUESTIONS: Mapping[str, Mapping[str, str | None]] = {
    "as it is": {},
    "no prefix flag": {"username-prefix": None},
    "email": {"username-prefix": None, "username-claim": "email"},
    "username prefix": {"username-prefix": "oidc:"},
    "groups prefix": {"groups-prefix": "oidc:"},
    "system prefix": {"username-prefix": "system:", "groups-prefix": "system:"},
    "no groups claim": {"groups-claim": None},
    "another client": {"client-id": "wiki"},
}
FOR_GROUPS_TOO = Mistake(
    "names-and-groups",
    "you gave groups the prefix of names: each has a flag of its own, and another default",
    {"no prefix flag": {f"{ISSUER}#mallory", f"{ISSUER}#system:masters", f"{ISSUER}#masters"}},
)


def known_as(flags: Mapping[str, str | None]) -> set[str]:
    """Return the name and the groups that the apiserver takes from the token."""
    edits = [
        Flag("master", "kube-apiserver.service", f"oidc-{name}", value)
        for name, value in flags.items()
    ]
    env = read_environment(MODE, edits)
    apiserver = env.component("kube-apiserver@master")
    caller = caller_by_id_token(env, apiserver, ISSUER, CLAIMS)
    return {caller.user, *caller.groups} - {"", AUTHENTICATED}


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the names and groups that the model gives."""
    expected = {name: known_as(flags) for name, flags in QUESTIONS.items()}
    return compare(expected, sets_of_names(answer), [FOR_GROUPS_TOO])


def _described(flags: Mapping[str, str | None]) -> str:
    said = [
        f"without `--oidc-{name}`" if value is None else f"`--oidc-{name}={value}`"
        for name, value in flags.items()
    ]
    return " and ".join(said) or "its flags as they are"


EXERCISE = Exercise(
    name="identity-1",
    title="As whom does the apiserver know mallory?",
    notebook="13-identity",
    kind="predict",
    mode=MODE,
    task=f"""
mallory shows the apiserver of `{MODE}` an ID token of the provider. Its signature is right, it has
not expired, and it says {", ".join(f"`{name}`: `{value}`" for name, value in CLAIMS.items())}.

As which user, and in which groups, does the apiserver know the holder, with these settings?

{chr(10).join(f"- `{name}`: {_described(flags)}" for name, flags in QUESTIONS.items())}

Set `answer` to a dict: the setting's name, and one set with the user and all groups, as the
apiserver writes them, without `{AUTHENTICATED}`; `set()` if it refuses the token. By default, a
name gets the prefix `ISSUER#`, but not if its claim is `email`; groups get none. The flags are in
`kube-apiserver.service` on the master.
""",
    hints=(
        Hint(
            "Which flag is for groups? Look at what the attack of this notebook needs: a name, or "
            "a group?",
            "names-and-groups",
        ),
        Hint("A prefix is put before the value, whatever the value is and whatever comes out."),
        Hint("The audience of the token must be the client of the apiserver, or it is refused."),
        Hint("Without a claim for groups, the token makes nobody a member of anything."),
    ),
    check=check,
    solution="""
groups = {"system:masters", "masters"}
answer = {
    "as it is": {"mallory"} | groups,
    "no prefix flag": {"https://idp:8443#mallory"} | groups,
    "email": {"mallory@company.example"} | groups,
    "username prefix": {"oidc:mallory"} | groups,
    "groups prefix": {"mallory", "oidc:system:masters", "oidc:masters"},
    "system prefix": {"system:mallory", "system:system:masters", "system:masters"},
    "no groups claim": {"mallory"},
    "another client": set(),
}
""",
    wrong=(
        WrongSolution(
            "one prefix for names and groups",
            """
groups = {"system:masters", "masters"}
issuer = "https://idp:8443#"
answer = {
    "as it is": {"mallory"} | groups,
    "no prefix flag": {issuer + "mallory", issuer + "system:masters", issuer + "masters"},
    "email": {"mallory@company.example"} | groups,
    "username prefix": {"oidc:mallory", "oidc:system:masters", "oidc:masters"},
    "groups prefix": {"mallory", "oidc:system:masters", "oidc:masters"},
    "system prefix": {"system:mallory", "system:system:masters", "system:masters"},
    "no groups claim": {"mallory"},
    "another client": set(),
}
""",
            "names-and-groups",
            "you gave groups the prefix of names",
        ),
        WrongSolution(
            "every prefix keeps mallory out of system:masters",
            """
groups = {"system:masters", "masters"}
answer = {
    "as it is": {"mallory"} | groups,
    "no prefix flag": {"https://idp:8443#mallory"} | groups,
    "email": {"mallory@company.example"} | groups,
    "username prefix": {"oidc:mallory"} | groups,
    "groups prefix": {"mallory", "oidc:system:masters", "oidc:masters"},
    "system prefix": {"system:mallory", "system:system:masters"},
    "no groups claim": {"mallory"} | groups,
    "another client": {"mallory"} | groups,
}
""",
            "wrong-answer",
            "5 of 8 are as the model says",
        ),
    ),
    techniques=("oidc-group-collision",),
)
