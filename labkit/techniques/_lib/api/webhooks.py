"""Requests of people whose bearer tokens the apiserver has a webhook review."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError
from labkit.model import Foothold
from labkit.model.decision import Caller
from labkit.model.reviewers import PEOPLE, reviewer_of
from labkit.techniques._lib.api.access import IDENTITY, api_url, identity
from labkit.techniques._lib.machines.reach import Answer, legitimate, request
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.technique import COPIED_CREDENTIAL

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = [
    "CHANNEL",
    "CONTRACTOR",
    "PATIENCE",
    "REVIEW",
    "contractor",
    "person_is_known",
    "token_of",
    "who",
]

#: The apiserver's calls of the server that reviews tokens and access.
CHANNEL = "kube-apiserver@* -> opa@*:*"
#: A person whom nobody attacks, and one to whom the webhook denies secrets.
PERSON, CONTRACTOR = "alice", "mallory"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
#: Seconds until a webhook that was restarted answers.
PATIENCE = 30.0


def contractor(env: Environment) -> Caller | None:
    """Return as whom the apiserver knows the contractor, or None without a reviewer."""
    reviewer = reviewer_of(env)
    return reviewer.person(CONTRACTOR) if reviewer else None


def token_of(lab: Lab, name: str) -> str:
    """Return a person's bearer token, which is never shown.

    Raises
    ------
    ProbeError
        The lab has no such person.
    """
    reviewer = reviewer_of(lab.environment)
    if reviewer is None or reviewer.person(name) is None:
        raise ProbeError(f"no server of {lab.mode} reviews a token of {name}")
    listed = json.loads(lab.exec(reviewer.component.node, ["cat", PEOPLE]).stdout)
    return next(str(one["token"]) for one in listed["people"] if one["name"] == name)


def who(lab: Lab, foothold: Foothold, token: str) -> Answer:
    """Ask the apiserver as whom it knows a bearer token."""
    body = json.dumps(REVIEW).encode()
    return request(lab, api_url(lab, IDENTITY), foothold=foothold, body=body, token=token)


def person_is_known(lab: Lab) -> str:
    """Show that the webhook answers the apiserver about a person's token: the positive control.

    Raises
    ------
    ProbeTimeout
        The apiserver does not know the token.
    """
    token = token_of(lab, PERSON)

    def known() -> str:
        answer = who(lab, COPIED_CREDENTIAL, token)
        return "" if answer.refusal else identity(answer)[0]

    with legitimate():
        user = wait_for(lab, known, PATIENCE, f"the apiserver does not know {PERSON}'s token")
    return f"the real webhook answers about {user}'s token"
