"""Which lab stands for a mode: the full one, or the light one if only that is there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.errors import LabBusy, LabError, NoSuchLab
from labkit.lab import Lab, attach, engine, labs_up
from labkit.lab import light as module
from labkit.lab.light import full_form, light_form, mode_that_is_up
from labkit.resources import environments_dir


class Engine:
    """An engine with the networks of some labs."""

    def __init__(self, *labs: tuple[str, str]) -> None:
        self.labs = labs
        self.networks = self
        self.api = SimpleNamespace(timeout=0)

    def ping(self) -> None: ...

    def list(self, filters: dict[str, list[str]]) -> list[Any]:
        found = (engine.labels(*lab) for lab in self.labs)
        wanted = filters["label"]
        return [
            SimpleNamespace(attrs={"Labels": own})
            for own in found
            if {f"{key}={value}" for key, value in own.items()} >= set(wanted)
        ]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([], "insecure"),
        ([("p01", "insecure")], "insecure"),
        ([("p01", "light-insecure")], "light-insecure"),
        ([("p01", "light-insecure"), ("p01", "insecure")], "insecure"),
        ([("p02", "light-insecure")], "insecure"),
        # one light lab at a time: the other one is a light lab as well
        ([("p01", "light-hardened")], "light-insecure"),
        ([("p01", "light-hardened"), ("p01", "hardened")], "insecure"),
        ([("p02", "light-hardened")], "insecure"),
    ],
)
def test_light_lab_stands_for_a_mode_of_which_there_is_no_full_lab(
    there: list[tuple[str, str]], expected: str
) -> None:
    client: Any = Engine(*there)
    assert mode_that_is_up("insecure", "p01", client) == expected
    assert mode_that_is_up("light-insecure", "p01", client) == "light-insecure"


def test_absent_light_lab_names_the_command_that_switches() -> None:
    client: Any = Engine(("p01", "light-insecure"))
    error = module.error_of_absent("light-hardened", "p01", client)
    assert isinstance(error, NoSuchLab)
    assert str(error) == (
        "light-hardened is not up: light-insecure is\n"
        "  next: labkit workshop switch hardened --name p01"
    )
    # without a light lab to give way, and beside a full lab: the command that brings it up
    for labs in ([], [("p01", "insecure")], [("p01", "insecure"), ("p01", "light-insecure")]):
        several: Any = Engine(*labs)
        alone = module.error_of_absent("light-hardened", "p01", several)
        assert alone.hint == "labkit up --name p01 --mode light-hardened", labs
    other = module.error_of_absent("hardened", "p01", client)
    assert other.hint == "labkit up --name p01 --mode hardened"


def test_labs_up_leaves_out_the_lab_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    client: Any = Engine(("p01", "light-insecure"))
    insecure, hardened = (
        Lab(mode, name="p01", client=client) for mode in ("light-insecure", "light-hardened")
    )
    assert labs_up(insecure, hardened) == (insecure,)
    assert capsys.readouterr().err == (
        "light-hardened is not up: light-insecure is; this cell leaves it out; "
        "next: labkit workshop switch hardened --name p01\n"
    )
    assert labs_up(insecure) == (insecure,)
    assert capsys.readouterr().err == ""
    with pytest.raises(NoSuchLab, match="light-hardened is not up: light-insecure is"):
        labs_up(hardened)


def test_folder_and_light_mode_need_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "connect", None)
    folder = str(environments_dir() / "insecure")
    assert mode_that_is_up(folder, "p01") == folder
    assert mode_that_is_up("light-hardened", "p01") == "light-hardened"


def test_insecure_and_hardened_have_a_light_form() -> None:
    folders = {path.parent.name for path in environments_dir().glob("*/environment.yaml")}
    assert {mode: light_form(mode) for mode in folders} == {
        "insecure": "light-insecure",
        "hardened": "light-hardened",
        "light-insecure": "",
        "light-hardened": "",
        "oidc-insecure": "",
        "oidc-hardened": "",
        "hook-insecure": "",
        "hook-hardened": "",
        "cloud-insecure": "",
        "cloud-hardened": "",
        "logs-insecure": "",
        "logs-hardened": "",
    }
    of_their_own = {mode for mode in folders if not mode.startswith("light-")}
    assert {full_form(mode) for mode in folders} == of_their_own
    assert full_form("light-house") == "light-house"


def test_attach_finds_the_light_lab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client: Any = Engine(("p01", "light-insecure"))
    asked = []

    class FakeLab:
        def __init__(self, mode: str, *, name: str, **_: Any) -> None:
            self.mode, self.name, self.client = mode, name, client
            asked.append((mode, name))

        def status(self) -> Any:
            state = "ready" if self.mode == "light-insecure" else "absent"
            return SimpleNamespace(state=state, other_files=False, lines=list, may_recover=False)

    monkeypatch.setattr(module, "connect", lambda _: client)
    # the package has a function of the module's name
    monkeypatch.setattr(sys.modules["labkit.lab.attach"], "Lab", FakeLab)
    [lab] = attach("insecure", name="p01")
    assert lab.mode == "light-insecure"
    assert capsys.readouterr().err == ""
    # one light lab at a time is enough: the other one is known, and not up
    assert [it.mode for it in attach("insecure", "hardened", name="p01")] == [
        "light-insecure",
        "light-hardened",
    ]
    assert capsys.readouterr().err == (
        "light-hardened is not up: light-insecure is; cells that need it say so; "
        "next: labkit workshop switch hardened --name p01\n"
    )
    assert {name for _, name in asked} == {"p01"}
    with pytest.raises(NoSuchLab, match=r"lab p01 \(oidc-insecure\) is not up"):
        attach("insecure", "oidc-insecure", name="p01")
    with pytest.raises(NoSuchLab, match="light-hardened is not up: light-insecure is"):
        attach("hardened", name="p01")


@pytest.mark.parametrize(
    ("up", "hint"),
    [
        ((), "labkit up --mode oidc-insecure --mode oidc-hardened --name p01"),
        (("oidc-hardened",), "labkit up --mode oidc-insecure --name p01"),
        (("oidc-insecure",), "labkit up --mode oidc-hardened --name p01"),
    ],
)
def test_attach_names_the_command_that_brings_up_all_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, up: tuple[str, ...], hint: str
) -> None:
    class FakeLab:
        def __init__(self, mode: str, **_: Any) -> None:
            self.mode = mode

        def status(self) -> Any:
            state = "ready" if self.mode in up else "absent"
            return SimpleNamespace(state=state, other_files=False, lines=list, may_recover=False)

    monkeypatch.setattr(sys.modules["labkit.lab.attach"], "mode_that_is_up", lambda mode, _: mode)
    monkeypatch.setattr(sys.modules["labkit.lab.attach"], "Lab", FakeLab)
    with pytest.raises(NoSuchLab) as caught:
        attach("oidc-insecure", "oidc-hardened", name="p01")
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("error", "raised"),
    [(None, None), (LabBusy("in use: 'reset'"), LabBusy), (LabError("stopped"), NoSuchLab)],
)
@pytest.mark.parametrize("state", ["broken", "incomplete"])
def test_attach_waits_for_a_change_of_another_notebook(
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    error: Exception | None,
    raised: type[Exception] | None,
) -> None:
    states = [state, state if error else "ready"]

    class FakeLab:
        mode = "insecure"

        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def status(self) -> Any:
            state = states.pop(0)
            recovers = state == "broken"
            return SimpleNamespace(state=state, other_files=False, lines=list, may_recover=recovers)

        @contextmanager
        def exclusive(self, what: str) -> Iterator[None]:
            if error:
                raise error
            yield

    monkeypatch.setattr(sys.modules["labkit.lab.attach"], "mode_that_is_up", lambda mode, _: mode)
    monkeypatch.setattr(sys.modules["labkit.lab.attach"], "Lab", FakeLab)
    if raised is None:
        assert len(attach("insecure")) == 1
        assert states == []
    else:
        with pytest.raises(raised):
            attach("insecure")
