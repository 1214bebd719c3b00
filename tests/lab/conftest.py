"""A technique that is tried in the lab of a profile, held against its prediction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit import techniques
from labkit.model import read_model

REASONS = Path(__file__).parents[1] / "techniques/reasons"


@pytest.fixture(scope="session")
def reason_in() -> Callable[[str, str], str]:
    """Return a function: why a technique ends as it does in a mode."""

    def read(name: str, mode: str) -> str:
        found: str = yaml.safe_load((REASONS / f"{name}.yaml").read_text())[mode]
        return found

    return read


@pytest.fixture(scope="session")
def agrees() -> Callable[[Any, str, str], None]:
    """Return a function: try a technique; it ends as predicted, and for an expected reason."""

    def carry_out(lab: Any, name: str, reason: str) -> None:
        technique = techniques[name]
        foothold = technique.footholds[0]
        predicted = technique.predict(read_model(lab.environment), foothold)
        verdict = technique.run(lab, foothold)
        assert (verdict.word, verdict.reason) == (predicted.word, reason), verdict
        assert verdict.succeeded or verdict.control

    return carry_out
