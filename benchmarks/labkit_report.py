"""Measure labkit's report of one random model; peers.py runs this in a separate process."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from synthetic import by_hand, shape

from labkit.analysis import find_threats
from labkit.model import read_model_file
from labkit.render.report import markdown, report
from labkit.render.usual_paths import usual_paths

components, channels, runs = map(int, sys.argv[1:])
with TemporaryDirectory() as folder:
    file = Path(folder) / "model.yaml"
    file.write_text(by_hand(shape(components, channels, named_apart=True)))
    model = read_model_file(file)


def least(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the least CPU seconds of all runs, and the result of the function."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return min(times), result


took, findings = least(lambda: find_threats(model))
took_paths, paths = least(lambda: usual_paths(model))
took_report, page = least(lambda: report([model], [findings], [paths]))
took_markdown, _ = least(lambda: markdown([model], [findings], [paths]))
print(
    json.dumps(
        {
            "findings": took,
            "paths": took_paths,
            "report": took_report,
            "markdown": took_markdown,
            "bytes": len(page.encode()),
        }
    )
)
