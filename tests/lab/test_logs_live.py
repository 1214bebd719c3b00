"""The labs that collect journals and scrape metrics: techniques as predicted, controls flipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import controls
from labkit.model import read_model
from labkit.verification import verify

pytestmark = [pytest.mark.lab, pytest.mark.profile("logs")]
MODES = ("logs-insecure", "logs-hardened")
#: Either of these alone keeps an attacker from reading secrets in the logs.
BOTH = ("audit-without-bodies", "journal-gateway-closed")
OTHERS = ("journal-tls", "scrape-least-privilege", "prometheus-closed")
#: Why a secret is not read, where the control of it says another reason than the other mode.
NO_BODY = "the store is open, but its events have no answers: level Metadata"


@pytest.fixture(scope="module", params=MODES)
def logging(request: pytest.FixtureRequest, lab_of: Callable[[str], Any]) -> Any:
    """Return a lab with a collector."""
    return lab_of(request.param)


def test_techniques_end_as_predicted_and_each_control_turns_its_own(
    logging: Any,
    agrees: Callable[[Any, str, str], None],
    reason_in: Callable[[str, str], str],
    settled: Callable[..., list[str]],
) -> None:
    [other] = set(MODES) - {logging.mode}
    plain, on = logging.environment, logging.mode == MODES[0]
    for name in ("read-secrets-in-logs", *(it for each in OTHERS for it in controls[each].stops)):
        agrees(logging, name, reason_in(name, logging.mode))
    read = "read-secrets-in-logs"
    try:
        for control in OTHERS:
            # each alone: the edits of the one before are not among these
            logging.apply(controls[control].flip(plain, on=on))
            for name in controls[control].stops:
                agrees(logging, name, reason_in(name, other))
        bodies, gateway = (controls[each].flip(plain, on=on) for each in BOTH)
        logging.apply(bodies)
        agrees(logging, read, NO_BODY if on else reason_in(read, logging.mode))
        # in the hardened mode, only both together open it
        logging.apply(gateway if on else (*bodies, *gateway))
        agrees(logging, read, reason_in(read, other))
    finally:
        logging.apply(())
    # a role that was changed and changed back is not the same to etcd: a reset puts it back
    logging.reset()
    assert settled(logging) == []


def test_channels_of_logs_and_metrics_are_as_claimed(logging: Any) -> None:
    parts = ("systemd-journal-", "prometheus@")
    ids = [it.id for it in read_model(logging.environment).channels if it.id.count("monitor")]
    assert any(part in it for it in ids for part in parts)
    report = verify(logging, only=ids)
    assert report.exit_code == 0, report
