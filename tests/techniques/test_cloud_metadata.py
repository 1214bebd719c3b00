"""A session token that the machine drops is a refusal; silence alone is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit.errors import ProbeTimeout
from labkit.model.footholds import POD
from labkit.techniques import cloud_metadata_role as technique

LAB: Any = None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], list[str]]:
    """Return a function: what each of two attempts brings, "token", "drop" or "nothing"."""

    def prepare(first: str, second: str) -> list[str]:
        coming, dropped, done = [first, second], [7], []

        def session_token(lab: Any, foothold: Any, seconds: float | None = None) -> str:
            done.append("soon" if seconds else "patient")
            what = coming.pop(0)
            dropped[0] += what == "drop"
            if what != "token":
                raise ProbeTimeout("no answer in time")
            return "a token"

        monkeypatch.setattr(technique, "session_token", session_token)
        monkeypatch.setattr(technique, "_dropped", lambda lab, foothold: dropped[0])
        return done

    return prepare


@pytest.mark.parametrize(
    ("first", "second", "found", "attempts"),
    [
        ("token", "", "a token", ["soon"]),
        ("drop", "", None, ["soon"]),
        ("nothing", "token", "a token", ["soon", "patient"]),
        ("nothing", "drop", None, ["soon", "patient"]),
    ],
)
def test_dropped_packet_ends_the_wait_and_silence_does_not(
    asked: Callable[[str, str], list[str]],
    first: str,
    second: str,
    found: str | None,
    attempts: list[str],
) -> None:
    done = asked(first, second)
    assert technique._token(LAB, POD) == found
    assert done == attempts


def test_silence_without_a_dropped_packet_is_no_refusal(
    asked: Callable[[str, str], list[str]],
) -> None:
    asked("nothing", "nothing")
    with pytest.raises(ProbeTimeout):
        technique._token(LAB, POD)
