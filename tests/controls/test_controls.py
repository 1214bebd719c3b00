"""Every control is complete, and can be put in place and taken out; without Docker."""

from __future__ import annotations

import inspect
import random
import re
from pathlib import Path

import pytest

from labkit import controls, read_environment, techniques
from labkit.controls import Control, with_controls
from labkit.errors import ConfigError
from labkit.model import read_model

MODES = ("insecure", "hardened")
NAMES = {technique.name for technique in techniques.values()}


def test_every_file_is_a_control() -> None:
    folder = Path(inspect.getfile(controls)).parent
    files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert {control.name.replace("-", "_") for control in controls.values()} == files


def test_controls_are_looked_up_by_name() -> None:
    assert controls["kubelet-anonymous"].name == "kubelet-anonymous"
    with pytest.raises(ConfigError, match="no control 'nonsense'\\n  next: labkit control list"):
        controls["nonsense"]


@pytest.mark.parametrize("control", controls.values(), ids=lambda control: control.name)
class TestControl:
    def test_control_is_complete(self, control: Control) -> None:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", control.name)
        assert control.title[0].isupper()
        assert control.why
        assert control.changes
        assert control.references
        assert control.edits(on=True)
        assert control.edits(on=False)
        assert set(control.stops) <= NAMES, "no such technique"

    def test_control_is_in_place_in_hardened_and_not_in_insecure(self, control: Control) -> None:
        lacks, has = control.modes
        assert control.holds(read_model(read_environment(has)))
        assert not control.holds(read_model(read_environment(lacks)))

    @pytest.mark.parametrize("which", [0, 1], ids=MODES)
    def test_flip_is_reversible(self, control: Control, which: int) -> None:
        mode = control.modes[which]
        env = read_environment(mode)
        before = control.holds(read_model(env))
        changed = read_environment(mode, control.flip(env, on=not before))
        assert control.holds(read_model(changed)) is not before
        assert not set(changed.unknowns) - set(env.unknowns)
        read_model(changed)
        assert control.flip(changed, on=before) == ()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(8))
def test_environments_with_random_controls_can_be_read(mode: str, seed: int) -> None:
    known = [control for control in controls.values() if control.modes == MODES]
    chosen = random.Random(seed).sample(known, k=len(known) // 2)
    wanted = {control.name: mode == "insecure" for control in chosen}
    env = with_controls(read_environment(mode), wanted)
    read_model(env)
    for control in chosen:
        assert control.holds(read_model(env)) is (mode == "insecure"), control.name
