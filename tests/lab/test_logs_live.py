"""The labs that collect journals and scrape metrics: techniques as predicted, controls flipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import controls, techniques
from labkit.model import read_model
from labkit.verification import verify

pytestmark = [pytest.mark.lab, pytest.mark.profile("logs")]
MODES = ("logs-insecure", "logs-hardened")
#: Either of these alone keeps an attacker from reading secrets in the logs.
BOTH = ("audit-without-bodies", "journal-gateway-closed")


@pytest.fixture(scope="module", params=MODES)
def logging(request: pytest.FixtureRequest, lab_of: Callable[[str], Any]) -> Any:
    """Return a lab with a collector."""
    return lab_of(request.param)


def test_secret_is_read_only_where_both_controls_are_missing(
    logging: Any, reason_in: Callable[..., str], settled: Callable[..., list[str]]
) -> None:
    [other] = set(MODES) - {logging.mode}
    technique, on = techniques["read-secrets-in-logs"], logging.mode == MODES[0]
    wanted = reason_in(technique.name, other, str(technique.footholds[0]))
    plain = logging.environment
    logging.apply([edit for name in BOTH for edit in controls[name].flip(plain, on=on)])
    try:
        verdict = technique.run(logging)
        assert (verdict.succeeded, verdict.reason) == (not on, wanted)
    finally:
        logging.reset()
    assert settled(logging) == []


def test_channels_of_logs_and_metrics_are_as_claimed(logging: Any) -> None:
    parts = ("systemd-journal-", "prometheus@")
    ids = [it.id for it in read_model(logging.environment).channels if it.id.count("monitor")]
    assert any(part in it for it in ids for part in parts)
    report = verify(logging, only=ids)
    assert report.exit_code == 0, report
