"""What several tests of labs use."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

#: Seconds in which a lab settles after a reset: pods that start again, programs that end.
SETTLES = 30.0


@pytest.fixture(scope="session")
def settled() -> Callable[[Any], list[str]]:
    """Return a function: what a lab differs in, as soon as it is nothing or after some seconds."""

    def differences(lab: Any) -> list[str]:
        deadline = time.monotonic() + SETTLES
        while (found := lab.drift()) and time.monotonic() < deadline:
            time.sleep(1)
        return list(found)

    return differences
