"""The severity of a finding: likelihood times impact, by a rule that a user can edit."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labkit.analysis.findings.finding import LEVELS
from labkit.cluster.syntax.disk import read_bytes
from labkit.cluster.syntax.source import decode
from labkit.cluster.syntax.yamldoc import Document, read_one

__all__ = ["RiskRule", "read_risk"]


@dataclass(frozen=True, slots=True)
class RiskRule:
    """A rule for severity: likelihood times impact, each from 1 to 4, against thresholds.

    Attributes
    ----------
    thresholds : tuple of int
        The least products for medium, high and critical.
    likelihood, impact : mapping of str to int
        Values that replace the kit's own, by the name of a threat rule.

    Examples
    --------
    >>> RiskRule().level(3, 4), RiskRule(thresholds=(2, 4, 13)).level(3, 4)
    ('critical', 'high')
    """

    thresholds: tuple[int, int, int] = (4, 8, 12)
    likelihood: Mapping[str, int] = field(default_factory=dict)
    impact: Mapping[str, int] = field(default_factory=dict)

    def weigh(self, rule: str, likelihood: int, impact: int) -> tuple[int, int]:
        """Return the likelihood and impact of a finding that a threat rule made.

        Parameters
        ----------
        rule : str
            The name of the threat rule.
        likelihood, impact : int
            Its own values, from 1 to 4.

        Returns
        -------
        tuple of (int, int)
            Likelihood and impact, from 1 to 4.
        """
        return self.likelihood.get(rule, likelihood), self.impact.get(rule, impact)

    def level(self, likelihood: int, impact: int) -> str:
        """Return the severity of a finding.

        Parameters
        ----------
        likelihood, impact : int
            From 1 to 4.

        Returns
        -------
        str
            "low", "medium", "high" or "critical".
        """
        return LEVELS[bisect_right(self.thresholds, likelihood * impact)]


def read_risk(path: Path) -> RiskRule:
    """Read a rule: ``thresholds: {medium: 4, high: 8, critical: 12}``, ``likelihood: {rule: 2}``.

    Parameters
    ----------
    path : Path

    Returns
    -------
    RiskRule

    Raises
    ------
    ConfigError
        The file cannot be read, is malformed, or names a rule that does not exist.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "risk.yaml"
    ...     _ = file.write_text("thresholds: {critical: 16}")
    ...     rule = read_risk(file)
    >>> rule.level(3, 4), rule.level(4, 4)
    ('high', 'critical')
    """
    from labkit.analysis.findings.rules import COMPONENT_RULES, CREDENTIAL_RULES, RULES

    document = read_one(decode(read_bytes(path, path.name), path.name, utf16=True), path.name)
    known = {rule.name for rule in (*RULES, *COMPONENT_RULES, *CREDENTIAL_RULES)}
    weights = {}
    for part in ("likelihood", "impact"):
        numbers = {name: _number(document, 4, part, name) for name in document.mapping(part)}
        for name in set(numbers) - known:
            raise document.broken(f"no rule {name!r}: {', '.join(sorted(known))}", part, name)
        weights[part] = numbers
    for key in set(document.value) - {"thresholds", *weights}:
        raise document.broken(f"{key!r}: thresholds, likelihood or impact", key)
    usual = dict(zip(LEVELS[1:], RiskRule().thresholds, strict=True))
    given = {
        name: _number(document, 17, "thresholds", name) for name in document.mapping("thresholds")
    }
    for name in set(given) - set(usual):
        raise document.broken(f"no level {name!r}: {', '.join(usual)}", "thresholds", name)
    medium, high, critical = (given.get(name, usual[name]) for name in usual)
    if not medium <= high <= critical:
        raise document.broken(f"{', '.join(usual)} must not fall", "thresholds")
    return RiskRule((medium, high, critical), weights["likelihood"], weights["impact"])


def _number(document: Document, most: int, *keys: str) -> int:
    value = document.get(*keys)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise document.broken(f"a number from 1 to {most} is needed, not {value!r}", *keys)
    return value
