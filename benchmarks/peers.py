"""Compare labkit with pytm, open-threat-model and Threagile, on this machine and in this run.

``python benchmarks/peers.py`` makes one random cluster, gives the same components and channels
to every tool, and times each as a new process, from the model to its findings as JSON. pytm and
open-threat-model are installed into a folder of their own for it, unless ``--venv`` names one
that has them. Then labkit's report is timed at several sizes.

CPU seconds are compared: they hardly depend on what else the machine does; the best of some runs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from synthetic import Shape, by_hand, shape  # noqa: E402

PEERS = ("pytm", "open-threat-model")
REPORT = ((20, 40), (100, 200), (300, 600), (1000, 2000))


@dataclass(frozen=True, slots=True)
class Tool:
    """The command and settings of one tool.

    Attributes
    ----------
    name : str
    argv : tuple of str
        The whole command, run in ``folder``.
    folder : Path
    output : Path
        Where its JSON is afterwards.
    count : callable
        How much was found, of the JSON.
    prints : bool
        It prints its JSON, and writes no file.
    """

    name: str
    argv: tuple[str, ...]
    folder: Path
    output: Path
    count: Callable[[Any], int]
    prints: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """The cost of one tool: seconds of CPU and of wall clock, findings, size of its JSON."""

    tool: str
    cpu: float
    wall: float
    found: int
    size: int


def timed(argv: Sequence[str], folder: Path, printed: Path) -> tuple[float, float]:
    """Run a command; return its CPU seconds and those of a clock."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "PYTHONHASHSEED": "0"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with printed.open("w") as file:
        run = subprocess.run(
            argv, cwd=folder, env=environment, stdout=file, stderr=subprocess.PIPE, text=True,
            check=False, timeout=600,
        )  # fmt: skip
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        raise RuntimeError(f"{argv[0]}: status {run.returncode}: {run.stderr[-600:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def in_turn(tools: Sequence[Tool], runs: int) -> tuple[list[Run], list[str]]:
    """Run the tools one after the other, some times over; return the least that each took.

    In turn, because a machine that others share is faster in one minute than in the next.
    """
    times: dict[str, list[tuple[float, float]]] = {tool.name: [] for tool in tools}
    failed: dict[str, str] = {}
    for _ in range(runs):
        for tool in tools:
            if tool.name not in failed:
                try:
                    printed = tool.output if tool.prints else tool.folder / "printed"
                    times[tool.name].append(timed(tool.argv, tool.folder, printed))
                except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
                    failed[tool.name] = f"{tool.name}: {error}"
    found = []
    for tool in tools:
        if tool.name not in failed:
            cpu, wall = (min(each) for each in zip(*times[tool.name], strict=True))
            count = tool.count(json.loads(tool.output.read_text()))
            found.append(Run(tool.name, cpu, wall, count, tool.output.stat().st_size))
    return found, list(failed.values())


# -- the tools ------------------------------------------------------------------------------


def labkit(made: Shape, folder: Path) -> list[Tool]:
    """Return labkit twice: the command, and its function in a script of your own."""
    model = folder / "model.yaml"
    model.write_text(by_hand(made))
    script, command = folder / "script.json", folder / "command.json"
    short = (sys.executable, str(HERE / "labkit_to_json.py"), str(model), str(script))
    whole = (sys.executable, "-m", "labkit", "analyze", str(model), "--json", "--quiet")
    return [
        Tool("labkit analyze --json", whole, folder, command, _findings, prints=True),
        Tool("labkit.analysis.analyze", short, folder, script, _findings),
    ]


def _findings(found: Any) -> int:
    return len(found["findings"])


def pytm(made: Shape, folder: Path, python: Path) -> Tool:
    """Return pytm's check and resolve."""
    plain, output = folder / "shape.json", folder / "pytm.json"
    plain.write_text(
        json.dumps(
            {
                "parts": [[p.name, p.kind, p.zone] for p in made.parts],
                "flows": [[f.client, f.server, f.port, f.safe] for f in made.flows],
            }
        )
    )
    argv = (str(python), str(HERE / "pytm_to_json.py"), str(plain), str(output))
    return Tool("pytm", argv, folder, output, _findings)


def open_threat_model(made: Shape, folder: Path, python: Path) -> Tool:
    """Return ``otm analyze``."""
    ids = [f"c{number}" for number in range(len(made.parts))]
    zones = sorted({part.zone for part in made.parts})
    stores = ("etcd", "datastore")
    document = {
        "model": {
            "schema_version": "1.1.0",
            "system_type": "hybrid",
            "industry_sector": "cloud_native",
            "methodology": "stride",
        },
        "metadata": {"title": "synthetic"},
        "components": [
            {
                "id": name,
                "name": part.name,
                "kind": "datastore" if part.kind in stores else "process",
                "in_trust_boundary": part.zone.replace(" ", ""),
            }
            for name, part in zip(ids, made.parts, strict=True)
        ],
        "data_flows": [
            {
                "id": f"f{number}",
                "from_component": ids[flow.client],
                "to_component": ids[flow.server],
                "protocol": "HTTPS" if flow.safe else "HTTP",
                "encrypted": flow.safe,
                "authenticated": flow.safe,
            }
            for number, flow in enumerate(made.flows)
        ],
        "trust_boundaries": [
            {
                "id": zone.replace(" ", ""),
                "name": zone,
                "member_component_ids": [
                    name for name, part in zip(ids, made.parts, strict=True) if part.zone == zone
                ],
            }
            for zone in zones
        ],
        "assets": [],
    }
    model, output = folder / "model.otm.yaml", folder / "otm.json"
    model.write_text(json.dumps(document))
    argv = (str(python.parent / "otm"), "analyze", str(model), "--json-out", str(output), "-q")

    def count(found: Any) -> int:
        return len(found["heuristic_threats"])

    return Tool("open-threat-model", argv, folder, output, count)


def threagile(made: Shape, folder: Path, binary: str, app: Path) -> Tool:
    """Return Threagile, without its Excel sheets, PDF and diagrams."""
    own = folder / "threagile"
    own.mkdir(exist_ok=True)
    (own / "model.yaml").write_text(json.dumps(_threagile(made)))
    argv = [binary, "analyze-model", "--app-dir", str(app), "--temp-dir", str(own)]
    argv += ["--model", "model.yaml", "--output", "."]
    skipped = ("report-pdf", "report-adoc", "data-flow-diagram", "data-asset-diagram")
    argv += [f"--skip-{what}" for what in (*skipped, "risks-excel", "tags-excel")]
    return Tool("Threagile", tuple(argv), own, own / "risks.json", len)


def _threagile(made: Shape) -> dict[str, object]:
    empty = {"description": "", "images": []}
    ids = [f"c{number}" for number in range(len(made.parts))]
    high = {"confidentiality": "confidential", "integrity": "critical", "availability": "critical"}
    assets: dict[str, dict[str, Any]] = {}
    for name, part in zip(ids, made.parts, strict=True):
        store = part.kind in ("etcd", "datastore")
        assets[part.name] = {
            "id": name, "description": part.name, "usage": "devops", "size": "service",
            "type": "datastore" if store else "process",
            "technology": "database" if store else "web-service-rest",
            "used_as_client_by_human": False, "out_of_scope": False, "internet": False,
            "justification_out_of_scope": "", "tags": [], "machine": "physical",
            "encryption": "none", "owner": "", **high, "justification_cia_rating": "",
            "multi_tenant": False, "redundant": False, "custom_developed_parts": False,
            "data_assets_processed": ["data"], "data_assets_stored": ["data"] if store else [],
            "data_formats_accepted": ["json"], "communication_links": {},
        }  # fmt: skip
    for number, flow in enumerate(made.flows):
        links = assets[made.parts[flow.client].name]["communication_links"]
        links[f"flow {number}"] = {
            "target": ids[flow.server], "description": "", "tags": [], "vpn": False,
            "protocol": "https" if flow.safe else "http",
            "authentication": "client-certificate" if flow.safe else "none",
            "authorization": "technical-user" if flow.safe else "none",
            "ip_filtered": False, "readonly": False, "usage": "devops",
            "data_assets_sent": ["data"], "data_assets_received": ["data"],
        }  # fmt: skip
    boundaries = {
        zone: {
            "id": zone.replace(" ", "-"), "description": zone, "type": "network-on-prem",
            "tags": [], "trust_boundaries_nested": [],
            "technical_assets_inside": [
                name for name, part in zip(ids, made.parts, strict=True) if part.zone == zone
            ],
        }
        for zone in sorted({part.zone for part in made.parts})
    }  # fmt: skip
    return {
        "threagile_version": "1.0.0", "title": "synthetic", "date": "2026-01-01",
        "author": {"name": "x", "homepage": "x"}, "management_summary_comment": "",
        "business_criticality": "important", "business_overview": empty,
        "technical_overview": empty, "questions": {}, "abuse_cases": {},
        "security_requirements": {}, "tags_available": [],
        "data_assets": {"data": {
            "id": "data", "description": "", "usage": "devops", "tags": [], "origin": "",
            "owner": "", "quantity": "many", **high, "justification_cia_rating": "",
        }},
        "technical_assets": assets, "trust_boundaries": boundaries, "shared_runtimes": {},
        "individual_risk_categories": {}, "risk_tracking": {},
    }  # fmt: skip


# -- labkit alone ---------------------------------------------------------------------------


def report_times(runs: int) -> list[tuple[str, ...]]:
    """Return a row for each size: what a report takes beyond imports, its parts, its length."""
    code = HERE / "labkit_report.py"
    rows: list[tuple[str, ...]] = []
    for components, channels in REPORT:
        argv = [sys.executable, str(code), str(components), str(channels), str(runs)]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        run = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
        took = json.loads(run.stdout)
        rows.append(
            (
                f"{components} / {channels}",
                f"{took['findings']:.3f}",
                f"{took['paths']:.3f}",
                f"{took['report']:.3f}",
                f"{took['report'] / components * 1000:.2f}",
                f"{took['markdown']:.3f}",
                f"{took['bytes'] / 1e6:.1f} MB",
            )
        )
    return rows


def import_time(runs: int) -> float:
    """Return what ``import labkit`` takes, beyond starting Python: the least of some runs."""
    code = "import time; t = time.process_time(); import labkit; print(time.process_time() - t)"
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    argv = [sys.executable, "-c", code]
    return min(
        float(subprocess.run(argv, env=environment, capture_output=True, check=True).stdout)
        for _ in range(runs)
    )


# -- the tables -----------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def peer_python(given: Path | None, folder: Path) -> Path:
    """Return the Python of a virtual environment that has the peers; make one if need be."""
    if given:
        return given / "bin" / "python"
    print(f"installing {', '.join(PEERS)} into {folder}", file=sys.stderr)
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *PEERS], check=True)
    return python


def main() -> None:
    """Run everything and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--components", type=int, default=500)
    parser.add_argument("--channels", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--venv", type=Path, help="a virtual environment that has the peers")
    parser.add_argument("--threagile", default=shutil.which("threagile"), help="its binary")
    parser.add_argument("--threagile-app", type=Path, help="its checkout")
    parser.add_argument("--only-report", action="store_true", help="labkit alone")
    given = parser.parse_args()
    if not given.only_report:
        compare(given)
        print()
    head = ("components / channels", "findings s", "paths s", "report s", "ms a component")
    print("labkit alone, CPU seconds beyond imports:\n")
    print(table((*head, "Markdown s", "HTML"), report_times(given.runs)))
    print(f"\nimport labkit: {import_time(given.runs):.3f} s")


def compare(given: argparse.Namespace) -> None:
    """Print the table of all tools."""
    made = shape(given.components, given.channels)
    skipped = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tools = labkit(made, folder)
        try:
            python = peer_python(given.venv, folder / "peers")
            tools += [pytm(made, folder, python), open_threat_model(made, folder, python)]
        except (OSError, subprocess.CalledProcessError) as error:
            skipped.append(f"pytm, open-threat-model: {error}")
        if given.threagile:
            app = given.threagile_app or Path(given.threagile).parent
            tools.append(threagile(made, folder, given.threagile, app))
        else:
            skipped.append("Threagile: no binary here; --threagile names one")
        runs, failed = in_turn(tools, given.runs)
    if not runs or runs[0].tool != tools[0].name:
        sys.exit("\n".join(failed))
    print(f"{given.components} components, {given.channels} channels, from a file to JSON:\n")
    first = runs[0]
    rows = [
        (
            run.tool,
            f"{run.cpu:.2f}",
            f"{run.wall:.2f}",
            f"{run.cpu / first.cpu:.1f}",
            f"{run.found}",
            f"{run.size / 1e6:.1f} MB",
        )
        for run in runs
    ]
    head = ("tool", "CPU s", "clock s", "times labkit", "findings", "JSON")
    print(table(head, rows))
    for line in (*skipped, *failed):
        print(f"\nskipped: {line}")


if __name__ == "__main__":
    main()
