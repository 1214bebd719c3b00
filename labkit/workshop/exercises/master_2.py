"""Take the administrator's kubeconfig away from other users, so that it stays so after a boot."""

from __future__ import annotations

import posixpath

import yaml

from labkit.model.footholds import USER_ON_MASTER
from labkit.workshop.checks import Attempt, hardened_state
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab
from labkit.workshop.opened import PEOPLE

__all__ = ["EXERCISE"]

CONF = "/etc/kubernetes/admin.conf"
KEY, RULES = "/etc/kubernetes/pki/admin.key", "/etc/tmpfiles.d/kubernetes.conf"
CHMOD = 'insecure.exec("master", ["chmod", "0600", "/etc/kubernetes/admin.conf", "{}"])\n'
CLOSED = f"""
rules = "{RULES}"
for name in ("admin.conf", "pki/admin.key"):
    path = f"/etc/kubernetes/{{name}}"
    insecure.exec("master", ["sed", "-i", rf"s#\\({{path}} *\\) 0644#\\1 0600#", rules])
"""
APPLY = """insecure.exec("master", ["systemd-tmpfiles", "--create", rules])
"""
#: The account of nobody, beyond those of people.
NOBODY = 65534
ATTEMPT = Attempt("admin-kubeconfig", ".*permission denied.*", USER_ON_MASTER)


def check(lab: EditedLab, answer: object) -> Outcome:
    """Act as alice, now and after what systemd does at each boot; then try each file alone."""
    keep = ["kubectl/admin@master -> kube-apiserver@*"]
    before = hardened_state(lab, [ATTEMPT], keep, works=_half)
    if before.state not in ("solved", "not-in-files", "files-unclear"):
        return before
    # the rules of all files: a later one may open again what an earlier one closed
    lab.exec("master", ["systemd-tmpfiles", "--create", "--boot", "--prefix=/etc/kubernetes"])
    after = hardened_state(lab, [ATTEMPT], keep, works=_half)
    if after.state == "open":
        lines = (
            "your modes do not last: systemd sets them at each boot, and alice reads the key again",
            "the check had systemd do so now: the modes on this machine are the old ones",
        )
        return Outcome("undone-at-boot", lines)
    return after


def _half(lab: EditedLab) -> Outcome | None:
    """Say whether a user reads one of the files, which the attack needs together."""
    lines = (it.split(":") for it in lab.exec("master", ["getent", "passwd"]).text.splitlines())
    people = [name for name, _, number, *_ in lines if PEOPLE <= int(number) < NOBODY]
    for user in people:
        for path in (KEY, CONF, *_keys(lab)):
            argv = ["runuser", "-u", user, "--", "test", "-r", path]
            if lab.exec("master", argv, check=False).exit_code == 0:
                return Outcome("half", (f"{user} reads {path}: what it needs beside it they have",))
    return None


def _keys(lab: EditedLab) -> list[str]:
    """Return the keys that the kubeconfig names now: they may have another name."""
    config = yaml.safe_load(lab.read_file("master", CONF))
    users = [it["user"] for it in config["users"]]
    folder = posixpath.dirname(CONF)
    return [posixpath.join(folder, it["client-key"]) for it in users if "client-key" in it]


EXERCISE = Exercise(
    name="master-2",
    title="The administrator's kubeconfig is nobody else's",
    notebook="03-master",
    kind="harden",
    mode="insecure",
    task="""
Every user on the master can read `/etc/kubernetes/admin.conf` and the key that it names. Edit the
machine until none of them reads either, and until this is still so after the next boot.
The administrator, who is root on the master, must still be served.
""",
    hints=(
        Hint(
            "systemd-tmpfiles sets owners and modes at each boot: man tmpfiles.d. The check has "
            "done the same on this machine, so your modes are undone.",
            "undone-at-boot",
        ),
        Hint("The certificate and the CA are for everybody to read. What is not?", "half"),
        Hint("systemd-tmpfiles --create applies the rules that you changed.", "not-restarted"),
        Hint("The certificate and the key are files of their own: admin.conf names them."),
        Hint("Look into /etc/tmpfiles.d/kubernetes.conf, then: systemd-tmpfiles --create."),
    ),
    check=check,
    solution=CLOSED + "_ = " + APPLY,
    wrong=(
        WrongSolution(
            "chmod alone",
            CHMOD.format(KEY),
            "undone-at-boot",
            "your modes do not last",
        ),
        WrongSolution(
            "the kubeconfig without its key",
            f"""
rules = "{RULES}"
insecure.exec("master", ["sed", "-i", r"s#\\({CONF} *\\) 0644#\\1 0600#", rules])
_ = insecure.exec("master", ["systemd-tmpfiles", "--create", rules])
""",
            "half",
            f"alice reads {KEY}",
        ),
        WrongSolution(
            "a later file opens them again",
            CLOSED
            + APPLY
            + """again = "z /etc/kubernetes/adm*.conf 0644\\nz /etc/kubernetes/pki/admin.k* 0644\\n"
insecure.write_file("master", "/etc/tmpfiles.d/zz.conf", again.encode())
""",
            "undone-at-boot",
            "your modes do not last",
        ),
        WrongSolution(
            "a copy of the key under another name",
            CLOSED
            + APPLY
            + f"""insecure.exec("master", ["install", "-m", "0644", "{KEY}", "{KEY}.2"])
insecure.exec("master", ["sed", "-i", "s#admin.key#admin.key.2#", "{CONF}"])
_ = insecure.exec("master", ["systemctl", "restart", "kubectl-proxy"])
""",
            "half",
            f"alice reads {KEY}.2",
        ),
        WrongSolution(
            "everybody but alice",
            f"""
rules = "{RULES}"
for path in ("{CONF}", "{KEY}"):
    edit = rf"s#\\({{path}} *\\) 0644 *root *root#\\1 0604 root alice#"
    insecure.exec("master", ["sed", "-i", edit, rules])
"""
            + APPLY.replace("insecure", "_ = insecure"),
            "half",
            f"bob reads {KEY}",
        ),
        WrongSolution(
            "a copy in the home of alice",
            CLOSED
            + APPLY
            + f"""copy = ["-o", "alice", "-m", "0600", "{CONF}", "/home/alice/admin.conf"]
_ = insecure.exec("master", ["install", *copy])
""",
            "opened",
            "/home/alice/admin.conf of master, a copy of /etc/kubernetes/admin.conf, can be read",
        ),
        WrongSolution(
            "the rules without their effect",
            f'insecure.exec("master", ["sed", "-i", "s/ 0644 / 0600 /", "{RULES}"])',
            "not-restarted",
            "the files already forbid it",
        ),
    ),
    techniques=("admin-kubeconfig",),
)
