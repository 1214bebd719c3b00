"""The cells of the detection column: as a table, and as a file that is read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labkit.detection import Detection, DetectionCell
from labkit.errors import ConfigError

CELL = DetectionCell(
    environment="hardened",
    control=None,
    direction=None,
    foothold="inside a pod",
    technique="agent-token",
    outcome="refused",
    predicted="seen",
    observed="seen",
    verdict="agree",
    events=("create clusterrolebindings by system:serviceaccount:monitoring:agent",),
    reason="",
    fires=("service-account-binds-role",),
    on_ordinary=(),
    rules_run=True,
)
FLIPPED = replace(CELL, control="nodes-proxy", direction="off")


def test_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "detection.json"
    file.write_text(Detection([CELL, FLIPPED]).to_json())
    assert Detection.read(file).cells == (CELL, FLIPPED)


@pytest.mark.parametrize("text", ["", "{}x", "[1]", '[{"technique": "agent-token"}]', None])
def test_other_file_is_refused_by_its_name(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "detection.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=r"detection\.json holds no cells"):
        Detection.read(file)


def test_flips_have_a_column_only_where_there_are_some() -> None:
    assert "flipped" not in Detection([CELL]).table()
    assert "nodes-proxy off" in Detection([CELL, FLIPPED]).table()
