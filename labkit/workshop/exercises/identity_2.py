"""Keep groups of the OpenID provider and groups of the cluster apart, and keep the people."""

from __future__ import annotations

from labkit.cluster import Environment
from labkit.cluster.oidc import JwtAuthenticator
from labkit.model.decision import UNKNOWN, Caller
from labkit.model.id_tokens import caller_by_id_token, id_token_authenticators, unprefixed
from labkit.model.providers import provider_of
from labkit.workshop.checks import Attempt, hardened_state
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

#: A person of the provider, and her group there; the others are to log in as well.
PERSON, GROUP, OTHERS = "alice", "developers", ("mallory", "somebody-new")
#: What the names of Kubernetes' own users and groups begin with ("Using RBAC Authorization").
OF_CLUSTER = "system:"
#: Whose tokens count, and the expressions that labkit evaluates (:mod:`labkit.cluster.oidc`).
ONLY = "only those count that the provider makes for the cluster"
FORMS = (
    "set a prefix without an expression, or write it as "
    "has(claims.groups) ? dyn(claims.groups).map(it, 'PREFIX' + it) : []"
)
UNIT = "/etc/systemd/system/kube-apiserver.service"
FLAGS = f"""
unit = "{UNIT}"
text = insecure.read_file("master", unit).decode()
"""
PREFIX = """flag = "--oidc-groups-claim=groups"
text = text.replace(flag, flag + " \\\\\\n  --oidc-groups-prefix={}")
"""
#: The file in the place of the flags; the placeholder is what the apiserver makes of groups.
CONFIG = (
    FLAGS
    + """import re
authority = insecure.read_file("master", "/etc/kubernetes/pki/oidc-ca.crt").decode()
config = '''apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
  - issuer:
      url: https://idp:8443
      audiences: [kubernetes]
      certificateAuthority: |
''' + "".join(f"        {{line}}\\n" for line in authority.split("\\n")) + '''    claimMappings:
      username: {{claim: sub, prefix: ""}}
      groups: {{{}}}
'''
path = "/etc/kubernetes/authentication.yaml"
insecure.write_file("master", path, config.encode())
flag = f"  --authentication-config={{path}} \\\\\\n"
text = re.sub(r"(?:  --oidc-.*\\n)+", lambda _: flag, text)
"""
)
MORE = "[kubernetes, portal]\n      audienceMatchPolicy: MatchAny"
WRITE = """insecure.write_file("master", unit, text.encode())
"""
RESTART = """for words in (["daemon-reload"], ["restart", "kube-apiserver"]):
    insecure.exec("master", ["systemctl", *words], timeout=90)
"""


def known(env: Environment, person: str, *groups: str) -> Caller | None:
    """Return as whom the apiserver knows a person of some groups; None without a provider."""
    provider = provider_of(env)
    if provider is None or provider.client is None:
        return None
    claims = provider.claims(person, provider.client, groups)
    apiserver = env.component("kube-apiserver@master")
    return caller_by_id_token(env, apiserver, provider.issuer.value, claims)


def wrong_callers(env: Environment) -> Outcome | None:
    """Say whether the apiserver no longer knows its people as before, or knows others besides.

    Parameters
    ----------
    env : Environment

    Returns
    -------
    Outcome or None
        None if everybody of the company logs in, and nobody else.
    """
    return unknown_person(env) or more_tokens(env) or name_of_the_cluster(env)


def more_tokens(env: Environment) -> Outcome | None:
    """Say whether the apiserver takes tokens that the provider did not make for the cluster."""
    provider = provider_of(env)
    if provider is None or provider.client is None:
        return None
    for it in _accepted(env):
        if it.issuer.value != provider.issuer.value:
            return Outcome(
                "more-tokens", (f"the apiserver takes tokens of {it.issuer.value}", ONLY)
            )
        if it.discovery:
            line = f"the apiserver takes the keys of tokens from {it.discovery.value}"
            return Outcome("more-tokens", (line, ONLY))
        if more := [name for name in it.audiences if name != provider.client.name]:
            line = f"the apiserver takes tokens that are made for {', '.join(more)}"
            return Outcome("more-tokens", (line, ONLY))
    return None


def name_of_the_cluster(env: Environment) -> Outcome | None:
    """Say whether a prefix makes the name of an account one of the cluster's own."""
    for it in _accepted(env):
        prefix = it.username.prefix
        if prefix and unprefixed(it.username):
            line = f"behind the prefix {prefix}, the name of an account can begin with {OF_CLUSTER}"
            return Outcome("of-the-cluster", (line, f"{OF_CLUSTER} begins the cluster's own names"))
    return None


def _accepted(env: Environment) -> tuple[JwtAuthenticator, ...]:
    return id_token_authenticators(env, env.component("kube-apiserver@master")) or ()


def group_of_the_cluster(env: Environment) -> Outcome | None:
    """Say whether a group of the provider may still be one of the cluster, behind its prefix."""
    caller = known(env, PERSON, GROUP)
    for name in sorted(caller.groups) if caller else ():
        if name.startswith(OF_CLUSTER) and name.endswith(GROUP):
            line = f"the group {GROUP} of the provider is {name} at the apiserver"
            return Outcome("of-the-cluster", (line, f"{OF_CLUSTER} begins the cluster's own names"))
    return None


def unknown_person(env: Environment) -> Outcome | None:
    """Say whether the apiserver no longer knows the person or her group, as its files say."""
    caller = known(env, PERSON, GROUP)
    if caller is None:
        return None
    if caller.claim.value == UNKNOWN:
        line = f"labkit does not know what the apiserver makes of {PERSON}'s token: {caller.claim}"
        return Outcome("files-unclear", (line, FORMS))
    if not caller.user:
        line = f"the apiserver refuses {PERSON}'s token, as its files say: {caller.claim}"
        return Outcome("no-people", (line, "nobody of the company could log in any more"))
    for person in OTHERS:
        for groups in ((GROUP,), ()):
            other = known(env, person, *groups)
            if other and not other.user:
                who = person if groups else f"{person}, who is in no group"
                line = f"the apiserver refuses the token of {who}, as its files say: {other.claim}"
                lines = (line, "everybody of the company is to log in as before")
                return Outcome("no-people", lines)
    if not any(name.endswith(GROUP) for name in caller.groups):
        line = f"the apiserver takes no group {GROUP} from {PERSON}'s token any more"
        return Outcome("no-groups", (line, "nobody could give her a right by her group"))
    return None


def check(lab: EditedLab, answer: object) -> Outcome:
    """Name a group system:masters at the provider, and look whether alice keeps her own group."""
    return hardened_state(
        lab,
        [Attempt("oidc-group-collision", r"known as .+system:masters|HTTP 401")],
        ["kube-apiserver@master -> canaille@*"],
        files=wrong_callers,
        works=lambda it: group_of_the_cluster(it.environment),
    )


EXERCISE = Exercise(
    name="identity-2",
    title="A group of the company is no group of the cluster",
    notebook="13-identity",
    kind="harden",
    mode="oidc-insecure",
    task=f"""
Everybody with an account at the provider may create a group there, and give it any name: also
`system:masters`. Change what the apiserver makes of an ID token, until no group of the provider can
be one of the cluster. {PERSON} must still log in, and the apiserver must still know her groups:
people get their rights by them. Everybody else of the company logs in as before, with a group or
without one. No other tokens count than those that the provider makes for the cluster, and no prefix
makes the name of an account one of the cluster's own. The flags of the apiserver are in
`kube-apiserver.service` on the master.

The provider stays as it is: another team runs it, and people need groups of their own there.
""",
    hints=(
        Hint("Names and groups have a flag each. Which one did the attacker use?", "open"),
        Hint("Behind which prefixes is no name of a group one of the cluster?", "open"),
        Hint(
            "Which names does the cluster keep for itself? Take another prefix.", "of-the-cluster"
        ),
        Hint("For whom are the tokens that count? Issuer and audience say it.", "more-tokens"),
        Hint("The flags --oidc-* say whose tokens it takes: put them back.", "no-people"),
        Hint("Which claim of the token has the groups? It must still be read.", "no-groups"),
        Hint("The files already say it: what has to be restarted?", "not-restarted"),
        Hint("The provider is not yours to change: labkit reset takes that back.", "other-reason"),
        Hint("labkit logs master kube-apiserver --mode oidc-insecure", "does-not-run"),
        Hint(
            "A prefix goes with a claim, and not with an expression. In an expression, a claim is "
            "a list for map() only as dyn(claims.groups).",
            "does-not-run",
        ),
        Hint(f"The flags of the apiserver are in {UNIT} on the master."),
        Hint("--oidc-groups-prefix puts a text before each group of the provider."),
        Hint(
            "The apiserver reads its flags when it starts: systemctl daemon-reload, then restart."
        ),
    ),
    check=check,
    solution=FLAGS + PREFIX.format("company:") + WRITE + RESTART,
    wrong=(
        WrongSolution(
            "a prefix for names alone",
            FLAGS
            + 'text = text.replace("--oidc-username-prefix=-", "--oidc-username-prefix=company:")\n'
            + WRITE
            + RESTART,
            "open",
            "oidc-group-collision (outside, with a copied credential) still succeeds",
        ),
        WrongSolution(
            "the prefix of the cluster's own groups",
            FLAGS + PREFIX.format("system:") + WRITE + RESTART,
            "open",
            "oidc-group-collision (outside, with a copied credential) still succeeds",
        ),
        WrongSolution(
            "the prefix of the groups of a namespace's accounts",
            FLAGS + PREFIX.format("system:serviceaccounts:") + WRITE + RESTART,
            "of-the-cluster",
            "is system:serviceaccounts:developers at the apiserver",
        ),
        WrongSolution(
            "a prefix with which an account is a user of the cluster",
            FLAGS
            + PREFIX.format("company:")
            + 'text = text.replace("--oidc-username-prefix=-", "--oidc-username-prefix=system:")\n'
            + WRITE
            + RESTART,
            "of-the-cluster",
            "behind the prefix system:, the name of an account can begin with system:",
        ),
        WrongSolution(
            "tokens for everything that the company has",
            CONFIG.format('claim: groups, prefix: "company:"').replace("[kubernetes]", MORE)
            + WRITE
            + RESTART,
            "more-tokens",
            "the apiserver takes tokens that are made for portal",
        ),
        WrongSolution(
            "an expression that has no value without a group",
            CONFIG.format("expression: \"dyn(claims.groups).map(it, 'company:' + it)\"")
            + WRITE
            + RESTART,
            "no-people",
            "the apiserver refuses the token of mallory, who is in no group",
        ),
        WrongSolution(
            "a better unit after the start",
            FLAGS
            + PREFIX.format("system:")
            + WRITE
            + RESTART
            + """import time
time.sleep(1.1)
text = text.replace("groups-prefix=system:", "groups-prefix=company:")
"""
            + WRITE,
            "not-restarted",
            "has not read /etc/systemd/system/kube-apiserver.service since it was changed",
        ),
        WrongSolution(
            "nobody of the provider may log in",
            FLAGS
            + """import re
text = re.sub(r"  --oidc-.*\\n", "", text)
"""
            + WRITE
            + RESTART,
            "no-people",
            "nobody of the company could log in any more",
        ),
        WrongSolution(
            "only one person may log in",
            FLAGS
            + """flag = "--oidc-groups-claim=groups"
text = text.replace(flag, flag + " \\\\\\n  --oidc-required-claim=sub=alice")
"""
            + WRITE
            + RESTART,
            "no-people",
            "the apiserver refuses the token of mallory",
        ),
        WrongSolution(
            "the unit without a restart",
            FLAGS + PREFIX.format("company:") + WRITE,
            "not-restarted",
            "the files already forbid it",
        ),
        WrongSolution(
            "groups are not read any more",
            FLAGS
            + 'text = text.replace("  --oidc-groups-claim=groups \\\\\\n", "")\n'
            + WRITE
            + RESTART,
            "no-groups",
            "nobody could give her a right by her group",
        ),
        WrongSolution(
            "people may make no groups at the provider",
            """
path = "/etc/canaille/canaille.toml"
insecure.exec("idp", ["sed", "-i", 's/, "manage_own_groups"//', path])
insecure.exec("idp", ["systemctl", "restart", "canaille"], timeout=90)
""",
            "other-reason",
            "refused for another reason than the one wanted: the provider refuses",
        ),
        WrongSolution(
            "the provider is stopped",
            'insecure.exec("idp", ["systemctl", "stop", "canaille"])',
            "does-not-run",
            "%lab reset oidc-insecure idp",
        ),
    ),
    techniques=("oidc-group-collision",),
)
