"""Close etcd's second port on every member, and keep etcd's clients."""

from __future__ import annotations

from labkit.cluster import Environment
from labkit.model.listeners import find_listeners
from labkit.techniques.etcd_second_listener import PORT
from labkit.workshop.checks import Attempt, hardened_state
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

#: The port that etcd's clients use.
FIRST = 2379
#: What each line of a solution does on one member.
EDIT = """    insecure.exec(member, ["sed", "-i", "s#,http://0.0.0.0:2378##", unit])
"""
RESTART = """    insecure.exec(member, ["systemctl", "daemon-reload"])
    insecure.exec(member, ["systemctl", "restart", "etcd"])
"""
START = """unit = "/etc/systemd/system/etcd.service"
for member in {}:
"""
ALL = 'insecure.machines("etcd")'


def check(lab: EditedLab, answer: object) -> Outcome:
    """Try the second port from elsewhere; then verify the channels of its clients.

    Whether a member still answers elsewhere, its unit says; whether another program does, its
    machine.
    """
    return hardened_state(
        lab,
        [Attempt("etcd-second-listener", "connection refused")],
        ["kube-apiserver@master -> etcd@*", "flanneld@* -> etcd@*"],
        files=measured,
        works=lambda it: still_open(it.environment),
    )


def measured(env: Environment) -> Outcome | None:
    """Return an outcome if a member serves something else than its keys on the second port."""
    for it in find_listeners(env):
        if it.open and it.port == PORT and it.server.startswith("etcd@") and it.role != "client":
            line = f"etcd of {it.node} still listens on port {PORT}, for its {it.role}"
            return Outcome("other-use", (line,))
    return None


def still_open(env: Environment) -> Outcome | None:
    """Return an outcome if a member answers clients on anything but its first port."""
    for it in find_listeners(env):
        if not it.open or not it.server.startswith("etcd@"):
            continue
        if it.port == PORT:
            line = f"etcd of {it.node} still answers the users of its machine on port {PORT}"
            return Outcome("loopback", (line,))
        if it.role == "client" and it.port != FIRST:
            return Outcome("moved", (f"etcd of {it.node} answers on {it.path or it.port} instead",))
    return None


EXERCISE = Exercise(
    name="etcd-2",
    title="Close the second port",
    notebook="02-etcd",
    kind="harden",
    mode="insecure",
    task="""
Everything that reads etcd's first port can also be read on port 2378, which the monitoring does not
use any more. Edit the files of the lab's machines until nobody gets an answer there, also without
a rule of a firewall: etcd must not listen there. The three members share one unit file, which must
stay the same on all of them. The apiserver and flanneld use port 2379 and must still work.
""",
    hints=(
        Hint(
            "Machines of one role share their work. Change all of them, not only the first.",
            "uneven",
        ),
        Hint("A process reads its unit when it starts.", "not-restarted"),
        Hint("Who is on the machine calls localhost as well.", "loopback"),
        Hint("It must not listen there at all, for nothing.", "other-use"),
        Hint("Nobody uses the second address any more: close it, and open no other.", "moved"),
        Hint(
            "A firewall that drops packets closes nothing: change what opens the port.", "unclear"
        ),
        Hint(
            "A rule of a firewall is gone after the next boot. Change what opens the port.",
            "not-in-files",
        ),
        Hint(
            "labkit logs etcd1 etcd --mode insecure says why a unit does not run.", "does-not-run"
        ),
        Hint("What does etcd listen on? Look into /etc/systemd/system/etcd.service on etcd1."),
        Hint(
            "--listen-client-urls takes several URLs, separated by commas. Then: systemctl "
            "daemon-reload, systemctl restart etcd."
        ),
    ),
    check=check,
    solution=START.format(ALL) + EDIT + RESTART,
    wrong=(
        WrongSolution(
            "only one member of three",
            START.format('("etcd1",)') + EDIT + RESTART,
            "uneven",
            "etcd.service of etcd2 and etcd3 is not that of etcd1",
        ),
        WrongSolution(
            "the files without a restart",
            START.format(ALL) + EDIT,
            "not-restarted",
            "the files already forbid it",
        ),
        WrongSolution(
            "one member is restarted",
            START.format(ALL)
            + EDIT
            + """_ = insecure.exec("etcd1", ["systemctl", "daemon-reload"])
_ = insecure.exec("etcd1", ["systemctl", "restart", "etcd"])
""",
            "not-restarted",
            "etcd.service of etcd2 has not read",
        ),
        WrongSolution(
            "another port",
            START.format(ALL)
            + EDIT.replace("http://0.0.0.0:2378##", "http://0.0.0.0:2378#,http://0.0.0.0:2377#")
            + RESTART,
            "moved",
            "etcd of etcd1 answers on 2377 instead",
        ),
        WrongSolution(
            "another program answers on one member",
            START.format(ALL)
            + EDIT
            + RESTART
            + """forward = "TCP-LISTEN:2378,fork,reuseaddr", "TCP:127.0.0.1:2379"
_ = insecure.exec("etcd3", ["systemd-run", "--unit=forward", "socat", *forward])
""",
            "moved",
            "etcd3: tcp 0.0.0.0:2378",
        ),
        WrongSolution(
            "the member is stopped",
            'insecure.exec("etcd1", ["systemctl", "stop", "etcd"])',
            "does-not-run",
            "%lab reset insecure etcd1",
        ),
    ),
    techniques=("etcd-second-listener",),
)
