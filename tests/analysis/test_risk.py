"""Severity of a finding: likelihood times impact, held against thresholds."""

from __future__ import annotations

import pytest

from labkit.analysis import RiskRule


@pytest.mark.parametrize(
    ("likelihood", "impact", "level"),
    [
        (1, 1, "low"),
        (1, 3, "low"),
        (1, 4, "medium"),
        (2, 2, "medium"),
        (2, 3, "medium"),
        (2, 4, "high"),
        (3, 3, "high"),
        (3, 4, "critical"),
        (4, 4, "critical"),
    ],
)
def test_level_begins_at_its_threshold(likelihood: int, impact: int, level: str) -> None:
    # medium from 4, high from 8, critical from 12
    assert RiskRule().level(likelihood, impact) == level
    assert RiskRule().level(impact, likelihood) == level


def test_edited_weight_replaces_that_of_the_rule_only() -> None:
    rule = RiskRule(likelihood={"plaintext": 1}, impact={"plaintext": 2})
    assert rule.weigh("plaintext", 4, 4) == (1, 2)
    assert rule.weigh("anonymous", 4, 3) == (4, 3)
