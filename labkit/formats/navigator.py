"""Write a layer for the ATT&CK Navigator: the techniques that open findings allow."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit.catalog import attack
from labkit.model import Model

if TYPE_CHECKING:
    from labkit.analysis.findings.finding import Finding

__all__ = ["write"]

TECHNIQUE = re.compile(r"T\d{4}(\.\d{3})?")
#: The highest likelihood times impact.
WORST = 16


def write(model: Model, findings: Sequence[Finding]) -> str:
    """Return a layer in which a technique's score is its highest likelihood times impact.

    The layer names the ATT&CK version of its numbers by the major version, as the Navigator's
    own list of versions does. Otherwise the Navigator assumes the newest version.
    https://github.com/mitre-attack/attack-navigator/blob/master/layers/spec/v4.5/layerformat.md

    Parameters
    ----------
    model : Model
    findings : sequence of Finding
        Only open findings count.

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.model import read_model
    >>> json.loads(write(read_model("hardened"), ()))["versions"]
    {'attack': '19', 'navigator': '5.1.0', 'layer': '4.5'}
    """
    by_technique: dict[str, list[Finding]] = {}
    for item in sorted(findings, key=lambda item: (-item.likelihood * item.impact, item.id)):
        if item.state == "open":
            for name in dict.fromkeys(item.attack):
                if TECHNIQUE.fullmatch(name):
                    by_technique.setdefault(name, []).append(item)
    layer = {
        "name": model.name,
        "versions": {
            "attack": attack().version.partition(".")[0],
            "navigator": "5.1.0",
            "layer": "4.5",
        },
        "domain": "enterprise-attack",
        "description": model.description,
        "sorting": 3,
        "layout": {"layout": "side", "expandedSubtechniques": "annotated"},
        "hideDisabled": False,
        "techniques": [_technique(name, found) for name, found in sorted(by_technique.items())],
        "gradient": {"colors": ["#ffffff", "#ffe766", "#ff6666"], "minValue": 0, "maxValue": WORST},
    }
    return json.dumps(layer, indent=2, ensure_ascii=False) + "\n"


def _technique(name: str, found: Sequence[Finding]) -> dict[str, Any]:
    return {
        "techniqueID": name,
        "score": max(item.likelihood * item.impact for item in found),
        "comment": "\n".join(f"{item.severity}: {item.id}" for item in found),
        "enabled": True,
    }
