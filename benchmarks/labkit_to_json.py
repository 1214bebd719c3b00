"""Read a model, find its threats and paths, write them as JSON: what peers.py times."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from labkit.analysis import find_threats
from labkit.model import read_model_file
from labkit.render.ways import usual_paths

model = read_model_file(sys.argv[1])
found = {
    "findings": [asdict(item) for item in find_threats(model)],
    "paths": [asdict(paths) for paths in usual_paths(model)],
}
Path(sys.argv[2]).write_text(json.dumps(found))
