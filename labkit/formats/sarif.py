"""Write SARIF 2.1.0: findings at lines of configuration, for code scanning.

See https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import labkit
from labkit.model import Model

if TYPE_CHECKING:
    from labkit.analysis.findings.finding import Finding

__all__ = ["STATES", "write"]

#: The states that are reported; mitigated and residual findings are not.
STATES = ("open", "unknown", "accepted")
LEVEL = {"low": "note", "medium": "warning", "high": "error", "critical": "error"}
#: One number in each of GitHub's bands:
#: https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
SECURITY_SEVERITY = {"low": "3.0", "medium": "5.5", "high": "8.0", "critical": "9.5"}
FINGERPRINT = "labkit/v1"


def write(model: Model, findings: Sequence[Finding], states: Sequence[str] = STATES) -> str:
    """Return findings as SARIF.

    Parameters
    ----------
    model : Model
    findings : sequence of Finding
    states : sequence of str, optional
        Report only the findings in these states.

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.model import read_model
    >>> json.loads(write(read_model("hardened"), ()))["version"]
    '2.1.0'
    """
    chosen = [item for item in findings if item.state in states]
    by_rule: dict[str, list[Finding]] = {}
    for item in sorted(chosen, key=lambda item: item.rule):
        by_rule.setdefault(item.rule, []).append(item)
    index = {rule: number for number, rule in enumerate(by_rule)}
    places = _Places(model)
    run = {
        "tool": {
            "driver": {
                "name": "labkit",
                "semanticVersion": labkit.__version__,
                "rules": [_rule(name, found) for name, found in by_rule.items()],
            }
        },
        "automationDetails": {"id": f"labkit/{model.name}/"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "the repository's root"}}},
        "results": [_result(item, index[item.rule], places) for item in chosen],
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _rule(name: str, found: Sequence[Finding]) -> dict[str, Any]:
    worst = max(found, key=lambda item: list(LEVEL).index(item.severity))
    controls = ", ".join(sorted({item.control for item in found if item.control}))
    references = ", ".join(worst.references)
    text = [worst.explanation or worst.title]
    text += [f"Control: {controls}."] if controls else []
    text += [f"See: {references}."] if references else []
    tags = {"security"}
    tags |= {f"external/cwe/{cwe.lower()}" for item in found for cwe in item.cwe}
    tags |= {f"attack/{name}" for item in found for name in item.attack}
    tags |= {f"stride/{word.replace(' ', '-')}" for item in found for word in item.stride}
    return {
        "id": name,
        "name": "".join(word.capitalize() for word in name.replace("_", "-").split("-")),
        "shortDescription": {"text": worst.title},
        "fullDescription": {"text": worst.explanation or worst.title},
        "help": {"text": "\n".join(text), "markdown": "\n\n".join(text)},
        "defaultConfiguration": {"level": LEVEL[worst.severity]},
        "properties": {
            "tags": sorted(tags),
            "precision": "high",
            "security-severity": SECURITY_SEVERITY[worst.severity],
        },
    }


def _result(item: Finding, index: int, places: _Places) -> dict[str, Any]:
    known = "The model does not say: " if item.state == "unknown" else ""
    text = f"{known}{item.title}: {item.subject}; {item.property.replace('_', ' ')} is {item.claim}"
    kind = "channel" if " -> " in item.subject else "component"
    location: dict[str, Any] = {
        "logicalLocations": [{"fullyQualifiedName": item.subject, "kind": kind}]
    }
    physical = places.of(item)
    if physical:
        location["physicalLocation"] = physical
    result: dict[str, Any] = {
        "ruleId": item.rule,
        "ruleIndex": index,
        "level": LEVEL[item.severity],
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {FINGERPRINT: item.id},
        "properties": {
            "state": item.state,
            "severity": item.severity,
            **({"control": item.control} if item.control else {}),
            **({"technique": item.technique} if item.technique else {}),
        },
    }
    if item.state == "accepted":
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": item.explanation}
        ]
    return result


class _Places:
    """Finds the URI of a source in the repository."""

    def __init__(self, model: Model) -> None:
        self.base = model.env.folder.resolve().parent if model.env else Path.cwd()
        above = (self.base, *self.base.parents)
        self.root = next((path for path in above if (path / ".git").exists()), self.base)

    def of(self, item: Finding) -> dict[str, Any] | None:
        """Return the physical location of a finding, or None for a model written by hand."""
        source = item.claim.source
        if not source.path or source.path == "by hand":
            return None
        path: PurePath = self.base / source.path
        if path.is_relative_to(self.root):
            path = path.relative_to(self.root)
        artifact = {"uri": quote(path.as_posix()), "uriBaseId": "SRCROOT"}
        if path.is_absolute():
            artifact = {"uri": path.as_uri()}
        region: dict[str, Any] = {"startLine": source.line or 1}
        if source.line is not None and source.text:
            region["snippet"] = {"text": source.text}
        return {"artifactLocation": artifact, "region": region}
