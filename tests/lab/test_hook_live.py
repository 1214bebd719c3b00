"""The labs whose apiserver asks webhooks: techniques as predicted, and the controls flipped."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from labkit.model import read_model
from labkit.verification import verify

pytestmark = [pytest.mark.lab, pytest.mark.profile("hook")]
MODES = ("hook-insecure", "hook-hardened")
CONTROLS = ("webhook-tls", "webhook-fail-closed", "front-proxy-names")


@pytest.fixture(scope="module", params=MODES)
def asking(request: pytest.FixtureRequest, lab_of: Callable[[str], Any]) -> Any:
    """Return a lab with a reviewer."""
    return lab_of(request.param)


def test_channels_to_the_reviewer_are_as_claimed(asking: Any) -> None:
    ids = [it.id for it in read_model(asking.environment).channels if "opa@" in it.id]
    report = verify(asking, only=ids)
    assert report.exit_code == 0, report
    # labkit does not evaluate Rego: there the lab finds out what the model does not claim
    unclaimed = report.select(verdict="found out").rows
    assert [(it.property, it.observed) for it in unclaimed] == (
        [("authorization", "enforced")] if asking.mode == "hook-hardened" else []
    )


@pytest.mark.parametrize("asking", MODES[:1], indirect=True)
def test_reset_takes_back_what_people_wrote_to_the_reviewer(
    asking: Any, settled: Callable[..., list[str]]
) -> None:
    url = "http://review:8181/v1/data/people"

    def people() -> list[str]:
        said = asking.exec("attacker", ["curl", "--silent", "--fail", url]).stdout
        return [it["name"] for it in json.loads(said)["result"]]

    before = people()
    asking.exec("attacker", ["curl", "--silent", "--fail", "-X", "PUT", "-d", "[]", url])
    assert people() == []
    asking.reset()
    assert people() == before == ["alice", "mallory"]
    assert settled(asking) == []
