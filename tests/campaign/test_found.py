"""Every configuration that once differed from the model, tried again in the labs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labkit.campaign import read_overlay, try_configuration

FOUND = sorted((Path(__file__).parent / "found").glob("*.yaml"))


@pytest.mark.lab
def test_configurations_that_once_differed_agree(labs: dict[str, Any]) -> None:
    assert FOUND
    for path in FOUND:
        overlay = read_overlay(path)
        lab = labs[overlay.mode]
        with lab.exclusive("campaign"):
            try:
                trial = try_configuration(lab, overlay.edits, overlay.places)
            finally:
                lab.apply(())
                lab.wait()
        assert not trial.stopped, (path.name, trial.reason)
        assert not trial.differences, (path.name, *map(str, trial.differences))
        assert not trial.unprobed, (path.name, *map(str, trial.unprobed))
        assert trial.cells or trial.claims, f"{path.name}: nothing was tried"
