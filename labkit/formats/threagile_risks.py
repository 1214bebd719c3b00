"""Convert findings to the risks of Threagile."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from labkit.formats.common import Names
from labkit.model import Channel, Model

if TYPE_CHECKING:
    from labkit.analysis.findings.finding import Finding

__all__ = ["categories", "tracking"]

STRIDES = frozenset(
    (
        *("spoofing", "tampering", "repudiation", "information-disclosure"),
        *("denial-of-service", "elevation-of-privilege"),
    )
)
LIKELIHOOD = ("unlikely", "likely", "very-likely", "frequent")
IMPACT = ("low", "medium", "high", "very-high")
STATUS = {"accepted": "accepted", "mitigated": "mitigated"}


def _link_id(it: Channel, ids: dict[str, str]) -> str:
    """Return the id that Threagile gives to a link."""
    return f"{ids[it.client]}>{re.sub('[^A-Za-z0-9]+', '-', it.id.lower()).strip('- ')}"


def _subject(model: Model, item: Finding, ids: dict[str, str]) -> tuple[str, str]:
    """Return the asset and the link of a finding; each may be empty."""
    channel = next((it for it in model.channels if it.id == item.subject), None)
    if channel is None:
        return ids.get(item.subject, ""), ""
    return ids[channel.server], _link_id(channel, ids) if channel.open else ""


def tracking(
    model: Model, findings: Sequence[Finding], ids: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """Return the tracking entries of accepted and mitigated risks, by Threagile's risk ids.

    Parameters
    ----------
    model : Model
    findings : sequence of Finding
    ids : dict of str to str
        Threagile's ids of the components.

    Returns
    -------
    dict of str to dict

    Examples
    --------
    >>> from labkit.model import read_model
    >>> tracking(read_model("hardened"), (), {})
    {}
    """
    rules = Names()
    found: dict[str, dict[str, Any]] = {}
    for item in findings:
        parts = [f"labkit-{rules(item.rule)}", *filter(None, _subject(model, item, ids))]
        if item.state in STATUS:
            found["@".join(parts)] = {
                "status": STATUS[item.state],
                "justification": item.explanation,
                "ticket": "",
                "date": None,
                "checked_by": "labkit",
            }
    return found


def categories(
    model: Model, findings: Sequence[Finding], ids: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield a risk category of Threagile for each rule, with its findings as risks.

    Parameters
    ----------
    model : Model
    findings : sequence of Finding
    ids : dict of str to str
        Threagile's ids of the components.

    Yields
    ------
    dict

    Examples
    --------
    >>> from labkit.model import read_model
    >>> list(categories(read_model("hardened"), (), {}))
    []
    """
    rules = Names()
    by_rule: dict[str, list[Finding]] = {}
    for item in findings:
        by_rule.setdefault(item.rule, []).append(item)
    for rule, found in by_rule.items():
        first = found[0]
        cwe = next((name.removeprefix("CWE-") for name in first.cwe), "0")
        strides = [word.lower().replace(" ", "-") for word in first.stride]
        yield {
            "id": f"labkit-{rules(rule)}",
            "title": f"{first.title} ({rule})",
            "description": first.explanation or first.title,
            "impact": first.explanation,
            "asvs": "",
            "cheat_sheet": "",
            "action": first.control or first.title,
            "mitigation": first.control,
            "check": ", ".join(first.references),
            "function": "operations",
            "stride": next((word for word in strides if word in STRIDES), "spoofing"),
            "detection_logic": f"{first.property.replace('_', ' ')} in the configuration",
            "risk_assessment": "likelihood and impact from labkit's rule",
            "false_positives": "",
            "model_failure_possible_reason": False,
            "cwe": int(cwe) if cwe.isascii() and cwe.isdigit() else 0,
            "risks_identified": {item.id: _risk(model, item, ids) for item in found},
        }


def _risk(model: Model, item: Finding, ids: dict[str, str]) -> dict[str, Any]:
    asset, link = _subject(model, item, ids)
    risk: dict[str, Any] = {
        "severity": item.severity,
        "exploitation_likelihood": LIKELIHOOD[item.likelihood - 1],
        "exploitation_impact": IMPACT[item.impact - 1],
        "data_breach_probability": "possible",
        "data_breach_technical_assets": [asset] if asset else [],
    }
    if asset:
        risk["most_relevant_technical_asset"] = asset
    if link:
        risk["most_relevant_communication_link"] = link
    return risk
