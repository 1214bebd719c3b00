"""Read a model, find its threats and paths, write them as JSON: what peers.py times."""

from __future__ import annotations

import sys
from pathlib import Path

from labkit.analysis import analyze
from labkit.model import read_model_file

Path(sys.argv[2]).write_text(analyze(read_model_file(sys.argv[1])).to_json())
