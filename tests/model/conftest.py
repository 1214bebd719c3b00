from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labkit.resources import environments_dir


@pytest.fixture
def modes(tmp_path: Path) -> Path:
    """Return a copy of the kit's environments that a test may break."""
    for name in ("insecure", "hardened", "common"):
        shutil.copytree(environments_dir() / name, tmp_path / name)
    shutil.copy(environments_dir() / "topology.yaml", tmp_path)
    return tmp_path
