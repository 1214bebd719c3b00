"""Measure how long labkit takes to read and analyse a cluster's dump of objects.

::

    python benchmarks/dump.py                      # 1,000, 10,000 and 25,000 pods
    python benchmarks/dump.py --pods 1000 --backend rustworkx

Each size is measured in a separate process, which gives its peak memory. With ``--backend``, an
installed backend of networkx computes reachability as well; its results must be equal.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import networkx as nx
from make_dump import write_dump

from labkit.analysis.attack_graph.from_objects import object_steps
from labkit.analysis.attack_graph.steps import attack_graph, paths_to
from labkit.cluster import read_dump
from labkit.model import Foothold
from labkit.model.footholds import ADMIN

SIZES = (1_000, 10_000, 25_000)
T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that a function took, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def measure(path: Path) -> dict[str, Any]:
    """Read and analyse one dump, and return the row of the table."""
    read, dump = timed(lambda: read_dump(path))
    build, graph = timed(lambda: attack_graph(object_steps(dump)))
    search, paths = timed(lambda: paths_to(graph, ADMIN))
    return {
        "pods": dump.pod_count,
        "MB": round(path.stat().st_size / 1e6, 1),
        "groups": len(dump.pods),
        "edges": graph.number_of_edges(),
        "read s": round(read, 2),
        "build s": round(build, 2),
        "paths s": round(search, 3),
        "starts": len(paths) - 1,
        "peak MiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def backends(path: Path, backend: str) -> list[tuple[str, float, float, bool]]:
    """Compare networkx with a backend: name, seconds of each, and whether the results are equal."""
    graph = attack_graph(object_steps(read_dump(path)))
    starts = [thing for thing in graph if thing.kind == "pod"][:300]

    def distances(use: str) -> list[dict[Foothold, float]]:
        search = nx.single_source_dijkstra_path_length
        found = (search(graph, start, weight="weight", backend=use) for start in starts)
        return [{thing: round(far, 6) for thing, far in each.items()} for each in found]

    def betweenness(use: str) -> dict[Foothold, float]:
        found = nx.betweenness_centrality(graph, backend=use)
        return {thing: round(value, 9) for thing, value in found.items()}

    def descendants(use: str) -> list[set[Foothold]]:
        return [nx.descendants(graph, start, backend=use) for start in starts]

    # the graph does not change, so networkx may cache its conversion
    nx.config.warnings_to_ignore.add("cache")
    # the first call converts the graph, and networkx caches the result
    first, _ = timed(lambda: nx.descendants(graph, starts[0], backend=backend))
    rows = [("the first call, with the conversion", 0.0, first, True)]
    for name, work in (
        (f"everything reached from each of {len(starts)} pods", descendants),
        ("the cheapest path to each of them", distances),
        ("betweenness of everything", betweenness),
    ):
        own, expected = timed(partial(work, "networkx"))
        theirs, found = timed(partial(work, backend))
        rows.append((name, own, theirs, expected == found))
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a table in Markdown."""
    head = list(rows[0])
    lines = [head, ["---:"] * len(head), *([str(row[key]) for key in head] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Measure every size, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--pods", type=int, nargs="*", default=SIZES, help="numbers of pods")
    parser.add_argument("--backend", default="", help="a backend of networkx, such as rustworkx")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for pods in options.pods:
            path = Path(folder) / f"{pods}.json"
            write_dump(pods, path)
            command = [sys.executable, __file__, "--one", str(path)]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append(json.loads(run.stdout))
        print(table(rows))
        if options.backend:
            print(
                f"\nnetworkx {nx.__version__}, backend {options.backend}, {options.pods[0]} pods\n"
            )
            for name, own, theirs, equal in backends(
                Path(folder) / f"{options.pods[0]}.json", options.backend
            ):
                ratio = f"{own / theirs:.1f} times" if own else ""
                print(f"{name}: {own:.3f} s, {theirs:.3f} s {ratio} equal: {equal}")


if __name__ == "__main__":
    main()
