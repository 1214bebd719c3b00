"""Read a model, find its threats and paths, and write them as JSON; peers.py measures this."""

from __future__ import annotations

import sys
from pathlib import Path

from labkit.analysis import analyze
from labkit.model import read_model_file

Path(sys.argv[2]).write_text(analyze(read_model_file(sys.argv[1])).to_json())
