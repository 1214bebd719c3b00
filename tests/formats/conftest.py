"""Findings of every state, and validation against the upstream schemas if they are present."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit.analysis.findings.finding import LEVELS, STATES, Finding, Findings
from labkit.model import PROPERTIES, Claim, Model, Source

ROOT = Path(__file__).resolve().parents[2]
# The schemas belong to other projects, so they are beside the repository and not in it.
SCHEMAS = ROOT.parent / "shared" / "schemas"
NO_SCHEMAS = pytest.StashKey[set[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[NO_SCHEMAS] = set()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    missing = config.stash.get(NO_SCHEMAS, set())
    if missing:
        terminalreporter.section("NOT TESTED: whether upstream schemas agree", red=True, bold=True)
        terminalreporter.line(f"not found: {', '.join(sorted(missing))}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "foreign_file" in metafunc.fixturenames:
        folders = (Path(__file__).parent / "foreign", SCHEMAS / "minimal-files")
        names = ("*.otm.json", "*.tmbom.json", "*.threatdragon.json", "*.threagile.yaml")
        files = [path for folder in folders for name in names for path in folder.glob(name)]
        metafunc.parametrize("foreign_file", files, ids=lambda path: path.name)


@pytest.fixture
def foreign() -> Path:
    return Path(__file__).parent / "foreign"


def finding(number: int, subject: str, name: str, claim: Claim, state: str) -> Finding:
    severity = LEVELS[number % len(LEVELS)]
    rule = ("plaintext", "anonymous", "no_audit")[number % 3]
    return Finding(
        id=f"{rule}@{subject}@{name}",
        rule=rule,
        title=f"Title of {rule} <&>",
        subject=subject,
        stride=("information disclosure", "elevation of privilege")[: 1 + number % 2],
        cwe=("CWE-319", "CWE-306"),
        attack=("T1040", "T1552.007", "no technique")[: 1 + number % 3],
        references=("CIS 1.2.1",),
        property=name,
        claim=claim,
        state=state,
        control=("etcd-client-tls", "")[number % 2],
        technique=("eavesdrop-etcd", "")[number % 2],
        likelihood=1 + number % 4,
        impact=1 + number // 2 % 4,
        severity=severity,
        explanation="An eavesdropper reads it.",
    )


def made_up(model: Model) -> Findings:
    """Return findings of every state, about channels, components and an unknown subject."""
    wanted = [
        (it.id, name, getattr(it, name)) for it in model.channels[:6] for name in PROPERTIES[:2]
    ]
    wanted += [(it.id, "audit", Claim("none", "", BY_HAND)) for it in model.components[:3]]
    wanted += [(it.id, PROPERTIES[2], it.client_authentication) for it in model.channels[-3:]]
    wanted.append(("nowhere", "audit", Claim("unknown", "", BY_HAND)))
    found = [
        finding(number, *each, STATES[number % len(STATES)]) for number, each in enumerate(wanted)
    ]
    return Findings(found, model.name)


BY_HAND = Source("by hand", None, "")


@pytest.fixture
def make_findings() -> Callable[[Model], Findings]:
    return made_up


@pytest.fixture
def validate(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a function that validates a text against an upstream schema."""

    def check(name: str, text: str) -> None:
        path = SCHEMAS / f"{name}.schema.json"
        if not path.exists():
            request.config.stash[NO_SCHEMAS].add(path.name)
            pytest.skip(f"no {path.name} beside the repository")
        jsonschema = pytest.importorskip("jsonschema")
        schema = json.loads(path.read_text())
        if "draft-07" in schema.get("$schema", ""):
            schema["$schema"] = "http://json-schema.org/draft-07/schema#"
        nullable(schema)
        data = json.loads(json.dumps(yaml.safe_load(text), default=str))
        validator = jsonschema.validators.validator_for(schema)(schema)
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(data)]
        assert not errors, "\n".join(errors[:10])

    return check


def nullable(schema: Any) -> None:
    """Replace ``nullable``, which Threat Dragon's validator knows, by a type of JSON Schema."""
    if isinstance(schema, dict):
        if schema.get("nullable") and isinstance(schema.get("type"), str):
            schema["type"] = [schema["type"], "null"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for item in schema:
            nullable(item)
