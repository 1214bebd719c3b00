"""Keep pods away from the keys that a cloud gives their machine."""

from __future__ import annotations

from labkit.workshop.checks import Attempt, edited_beside, hardened_state
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

#: Who has which role there, and what the role may do: not the question here.
ACCOUNT = tuple(
    f"/etc/cloud/{name}.yaml" for name in ("account", "controller-policy", "node-policy")
)
START = """
path = "/etc/systemd/system/cloud.service"
text = insecure.read_file("cloud", path).decode()
"""
TOKENS = 'text = text.replace("--http-tokens=optional", "--http-tokens=required")\n'
LIMIT = (
    'text = text.replace("--http-put-response-hop-limit=2", "--http-put-response-hop-limit=1")\n'
)
WRITE = 'insecure.write_file("cloud", path, text.encode())\n'
END = (
    WRITE
    + """_ = insecure.exec("cloud", ["systemctl", "daemon-reload"])
_ = insecure.exec("cloud", ["systemctl", "restart", "cloud"], timeout=90)
"""
)


def check(lab: EditedLab, answer: object) -> Outcome:
    """Ask for the keys from a pod, and from its machine."""
    wanted = "HTTP 401 without a token, and the answer with one ends at the machine"
    return hardened_state(
        lab,
        [Attempt("cloud-metadata-role", wanted)],
        ["anyone@network -> cloud-stand-in@cloud:80"],
        works=lambda it: edited_beside(it, *ACCOUNT),
    )


EXERCISE = Exercise(
    name="cloud-1",
    title="One hop too many",
    notebook="16-cloud-credentials",
    kind="harden",
    mode="cloud-insecure",
    task="""
In `cloud-insecure` every pod gets the keys of its machine's role. Change the options of the
metadata until no pod gets them, with a session token or without. The machine itself still needs
them: root on a worker gets a token, and the keys with it.

At a real cloud, these are options of each machine (`modify-instance-metadata-options` at AWS). In
this lab, they are flags with the same names, in `/etc/systemd/system/cloud.service` on the machine
`cloud`; its service is `cloud`.
""",
    hints=(
        Hint("The message says how the pod still gets keys. Two options belong together.", "open"),
        Hint(
            "systemd reads a unit that was edited after `systemctl daemon-reload`.", "not-restarted"
        ),
        Hint("Does the machine itself still get a token?", "unclear"),
        Hint("labkit logs cloud cloud --mode cloud-insecure", "does-not-run"),
        Hint("The machines keep their role. Who else gets its keys?", "other-file"),
        Hint("Version 1 of the metadata wants no token: may it still be used?"),
        Hint("A pod is one hop further away than its machine. What ends on the way?"),
    ),
    check=check,
    solution=START + TOKENS + LIMIT + END,
    wrong=(
        WrongSolution(
            "a token alone", START + TOKENS + END, "open", "version 2: the token reaches a pod"
        ),
        WrongSolution(
            "a hop limit alone", START + LIMIT + END, "open", "version 1: no token is asked for"
        ),
        WrongSolution(
            "the file alone",
            START + TOKENS + LIMIT + WRITE,
            "not-restarted",
            "the files already forbid it",
        ),
        WrongSolution(
            "the role taken from a machine as well",
            START
            + TOKENS
            + LIMIT
            + """_ = insecure.exec(
    "cloud", ["sed", "-i", "s/worker1, worker2/worker1/", "/etc/cloud/account.yaml"]
)
"""
            + END,
            "other-file",
            "/etc/cloud/account.yaml was edited as well",
        ),
    ),
    techniques=("cloud-metadata-role",),
)
