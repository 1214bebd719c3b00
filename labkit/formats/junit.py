"""Write JUnit XML with a test case for each finding, for CI systems that show test results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from labkit.formats.common import printable
from labkit.model import Model

if TYPE_CHECKING:
    from labkit.analysis.findings.finding import Finding

__all__ = ["write"]


def write(model: Model, findings: Sequence[Finding]) -> str:
    """Return findings as JUnit test cases.

    An open finding is a failure. An accepted or unknown finding is skipped. A mitigated or
    residual finding has passed.

    Parameters
    ----------
    model : Model
    findings : sequence of Finding

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.model import read_model
    >>> print(write(read_model("hardened"), ()).splitlines()[1])
    <testsuites name="labkit" tests="0" failures="0" errors="0" skipped="0">
    """
    ordered = sorted(findings, key=lambda item: item.rule)
    counts = {
        "tests": str(len(ordered)),
        "failures": str(sum(item.state == "open" for item in ordered)),
        "errors": "0",
        "skipped": str(sum(item.state in ("unknown", "accepted") for item in ordered)),
    }
    suites = Element("testsuites", {"name": "labkit", **counts})
    suite = SubElement(suites, "testsuite", {"name": printable(model.name), **counts, "time": "0"})
    for item in ordered:
        names = {"classname": printable(item.rule), "name": printable(item.id), "time": "0"}
        case = SubElement(suite, "testcase", names)
        message = printable(f"{item.severity}: {item.title}")
        if item.state == "open":
            failure = SubElement(case, "failure", {"type": item.severity, "message": message})
            failure.text = printable(_text(item))
        elif item.state in ("unknown", "accepted"):
            SubElement(case, "skipped", {"message": f"{item.state}, {message}"})
        else:
            SubElement(case, "system-out").text = printable(f"{item.state}\n{_text(item)}")
    indent(suites)
    text = tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _text(item: Finding) -> str:
    control = f"\ncontrol: {item.control}" if item.control else ""
    names = ", ".join((*item.cwe, *item.attack))
    return f"{item.subject}\n{item.property}: {item.claim}\n{item.explanation}\n{names}{control}"
