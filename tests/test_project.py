"""The repository as a whole: public names, imports, dependencies, documents, no secrets."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import pkgutil
import pydoc
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import labkit
from labkit import errors

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"docker": "docker-py", "matplotlib": "matplotlib-base"}
IMPORT_NAMES = {
    "markdown-it-py": "markdown_it",
    "lazy-loader": "lazy_loader",
    "pillow": "PIL",
    "pyyaml": "yaml",
}


def files_of_the_repository() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return [path for name in listed if name and (path := ROOT / name).is_file()]


def package_of(requirement: str) -> tuple[str, str]:
    name, version = re.fullmatch(r"([\w.-]+)(.*)", requirement).groups()  # type: ignore[union-attr]
    return name.lower(), version


# -- the public names -----------------------------------------------------------------------


def test_public_names_are_sorted() -> None:
    assert labkit.__all__ == sorted(labkit.__all__)


@pytest.mark.parametrize("name", labkit.__all__)
def test_public_name_can_be_imported(name: str) -> None:
    assert getattr(labkit, name) is not None
    assert name in dir(labkit)


def test_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(labkit, "nonsense")  # noqa: B009 - mypy refuses it as well


def test_every_error_is_public() -> None:
    found = vars(errors).items()
    defined = {name for name, it in found if getattr(it, "__module__", "") == errors.__name__}
    assert {"LabkitError", "ConfigError"} <= defined == set(errors.__all__)


#: What the packages offered before their names were put in order, and no longer do.
OLD_NAMES = {
    "labkit": "build_model channels ConfigError Finding ProbeTimeout",
    "labkit.model": "build_model channels credential Held View",
    "labkit.analysis": "choke_points cuts dump_steps load_model reached Reached smallest_cut",
    "labkit.techniques": "all find GOALS inside picture",
    "labkit.controls": "all find",
}


@pytest.mark.parametrize(
    ("module", "name"), [(m, name) for m, names in OLD_NAMES.items() for name in names.split()]
)
def test_old_name_is_refused_with_its_new_name(module: str, name: str) -> None:
    room = importlib.import_module(module)
    with pytest.raises(AttributeError, match=f"{module}.{name} is gone: write ") as caught:
        getattr(room, name)
    new = re.split(r"[(\[,]", str(caught.value).partition(" is gone: write ")[2])[0]
    places = (new, f"labkit.{new}", f"{module}.{new}")
    assert any(pydoc.locate(place) for place in places), "the new name does not exist"


def test_no_public_name_is_also_a_module() -> None:
    # importing the module would silently take the name's place
    modules = {module.name for module in pkgutil.iter_modules(labkit.__path__)}
    # these two packages are mappings of their modules
    assert modules & set(labkit.__all__) == {"controls", "techniques"}


def test_exactly_the_public_names_are_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text().split("## The command")[0]
    named = set(re.findall(r"`(\w+)`", text))
    assert set(labkit.__all__) <= named
    others = {name for name in dir(labkit.Lab) if not name.startswith("_")}
    others |= {name for name in dir(errors.LabkitError("")) if not name.startswith("_")}
    assert not named - set(labkit.__all__) - others, "documented, but not public"


# -- imports --------------------------------------------------------------------------------

HEAVY = (
    "docker", "jinja2", "matplotlib", "networkx", "rich", "scapy", "typer", "yaml", "cryptography",
)  # fmt: skip


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in run.stdout.split()} | set(run.stdout.split())


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import labkit", HEAVY),
        (
            "import labkit.cli._app",
            ("docker", "jinja2", "matplotlib", "networkx", "scapy", "yaml", "cryptography"),
        ),
        ("import labkit.cluster", ("docker", "networkx", "matplotlib")),
        ("import labkit.model", ("docker", "matplotlib")),
        ("from labkit import load_model; load_model('insecure')", ("docker", "labkit.lab")),
        (
            "from labkit.analysis import analyze; from labkit.model import read_model_file",
            (
                "cryptography",
                "labkit.cluster.objects.facts",
                "labkit.techniques",
                "matplotlib",
                "PIL",
            ),
        ),
    ],
)
def test_import_stays_light(code: str, unwanted: tuple[str, ...]) -> None:
    assert all(importlib.util.find_spec(name) for name in unwanted)
    assert not modules_after(code) & set(unwanted)


BY_HAND = """
name: shop
components: {kube-apiserver: {}, etcd: {}, kubelet: {}, dockerd: {}, kube-proxy: {}}
channels:
- {from: kube-apiserver, to: etcd}
- {from: kube-apiserver, to: kubelet}
- {from: kubelet, to: dockerd}
- {from: kubelet, to: kube-proxy}
"""
#: The modules that ``labkit analyze --json`` needs for a model by hand, besides three rooms.
NEEDED = {
    "labkit._renamed",
    "labkit._version",
    "labkit.analysis",
    "labkit.analysis.attack_graph",
    "labkit.analysis.attack_graph.from_channels",
    "labkit.analysis.attack_graph.queries",
    "labkit.analysis.attack_graph.steps",
    "labkit.analysis.findings",
    "labkit.analysis.findings.finding",
    "labkit.analysis.findings.risk",
    "labkit.analysis.findings.rules",
    "labkit.analysis.findings.threats",
    "labkit.analysis.gate",
    "labkit.cluster",
    "labkit.cluster.objects",
    "labkit.cluster.objects.access",
    "labkit.errors",
    "labkit.gc_pause",
    "labkit.interrupts",
    "labkit.loading",
    "labkit.model",
    "labkit.model.by_hand",
    "labkit.model.claims",
    "labkit.model.footholds",
    "labkit.model.listener",
    "labkit.model.threat_model",
    "labkit.model.vocabulary",
    "labkit.registry",
    "labkit.tables",
}
ROOMS_NEEDED = ("labkit.cli", "labkit.cluster.syntax", "labkit.model.listeners")


def test_analyze_loads_only_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(BY_HAND)
    code = f"""
import contextlib, io, sys
sys.argv = ["labkit", "analyze", "--json", {str(path)!r}]
from labkit.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
"""
    loaded = modules_after(code)
    assert "labkit.model.by_hand" in loaded
    own = {name for name in loaded if name.startswith("labkit.")}
    assert {it for it in own - NEEDED if not it.startswith(ROOMS_NEEDED)} == set()
    assert loaded & set(HEAVY) == {"networkx", "typer", "yaml"}


# Prints each file that a module of labkit opens during its import. The nearest frame above the
# call shows who opens the file: the import system, or the module itself.
READERS = """
import importlib, pkgutil, sys

def opener(frame):
    while frame:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib") or name.startswith(labkit.__path__[0]):
            return name
        frame = frame.f_back
    return ""

def hook(event, args):
    if event == "open" and isinstance(args[0], str) and not args[0].endswith(".pyi"):
        if opener(sys._getframe(1)).startswith(labkit.__path__[0]):
            print(args[0])

import labkit
sys.addaudithook(hook)
for module in pkgutil.walk_packages(labkit.__path__, "labkit."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def test_import_of_a_module_reads_no_file() -> None:
    run = subprocess.run(
        [sys.executable, "-c", READERS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines() == []


FOREIGN = """
import contextlib, os, sys
from labkit.cli import main
sys.argv = ["labkit", "analyze", "tests/formats/foreign/shop.otm.json", "--json"]
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    with contextlib.suppress(SystemExit):
        main()
"""


def test_model_of_another_tool_is_analysed_without_the_tables() -> None:
    loaded = modules_after(FOREIGN)
    assert "labkit.analysis.findings.threats" in loaded
    assert not loaded & {
        "labkit.catalog",
        "labkit.cluster.known_flags",
        "labkit.cluster.known_keys",
    }


# -- what is declared -----------------------------------------------------------------------


def test_environment_yml_lists_the_dependencies_of_pyproject() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = {"python": PROJECT["requires-python"]}
    for requirement in [*PROJECT["dependencies"], *extras["notebooks"]]:
        name, version = package_of(requirement)
        wanted[CONDA_NAMES.get(name, name)] = version
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = dict(package_of(entry) for entry in listed if isinstance(entry, str))
    assert conda.pop("pip") == ""
    assert conda == wanted
    assert [entry for entry in listed if isinstance(entry, dict)] == [
        {"pip": ["--editable .[dev]"]}
    ]


def test_every_imported_package_is_declared() -> None:
    declared = {package_of(r)[0] for r in PROJECT["dependencies"]}
    importable = {IMPORT_NAMES.get(name, name) for name in declared}
    # labkit imports IPython only where IPython runs, and what the extras diagram, hub and detect
    # install only there
    importable |= {"labkit", "IPython", "requests", "anywidget", "traitlets", "h11"}
    importable |= {"re2", "sigma"}
    missing = set()
    for path in (ROOT / "labkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in (each.split(".")[0] for each in names):
                if name not in importable and name not in sys.stdlib_module_names:
                    missing.add(f"{name} ({path.relative_to(ROOT)})")
    assert not missing


def test_lock_file_lists_every_declared_package() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    names = {line.split("==")[0] for line in lines if not line.startswith("#")}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    declared = {package_of(r.split("[")[0])[0] for group in groups for r in group}
    assert {re.sub(r"[-_.]+", "-", name) for name in declared} - {"labkit"} <= names


def test_lock_file_is_complete() -> None:
    # make env installs nothing else
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = {line.split("==")[0] for line in lines if not line.startswith("#")}
    wanted = [("labkit", "dev")]
    seen: set[tuple[str, str]] = set()
    missing: set[str] = set()
    while wanted:
        name, extra = wanted.pop()
        for requirement in map(Requirement, metadata.requires(name) or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                other = canonicalize_name(requirement.name)
                if other not in locked | {"labkit"}:
                    missing.add(f"{other} (for {name})")
                    continue
                more = {(other, extra) for extra in ("", *requirement.extras)} - seen
                seen |= more
                wanted += more
    assert not missing, "make lock"


# -- documents ------------------------------------------------------------------------------


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def code_in(text: str) -> str:
    blocks = re.findall(r"```(?:sh|console)?\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return "\n".join([*blocks, *spans])


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_every_command_of_a_document_exists(document: Path) -> None:
    code = code_in(document.read_text())
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = {
        word
        for line in re.findall(r"^make ([a-z -]+)", code, re.MULTILINE)
        for word in line.split()
    }
    assert made <= targets
    from typer.main import get_command

    from labkit.cli import app

    for line in re.findall(r"^(?:\.venv/bin/)?labkit ([a-z].*)", code, re.MULTILINE):
        command = get_command(app)
        for word in re.split(r"[ ,]+", line.split(" -- ")[0].split("#")[0].strip()):
            if word.startswith("--"):
                options = {name for p in command.params for name in getattr(p, "opts", [])}
                assert word in options, f"{line}: no option {word}"
            elif hasattr(command, "commands"):
                assert word in command.commands, f"{line}: no command {word}"
                command = command.commands[word]


def test_relative_links_lead_somewhere() -> None:
    missing = []
    for document in documents():
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not urlsplit(target).scheme and not (document.parent / target).exists():
                missing.append(f"{document.name}: {target}")
    assert not missing


# -- forbidden contents ---------------------------------------------------------------------

# Homes and workspaces of a build machine; alice's home is one on the lab's own machines.
MACHINE_PATH = re.compile(
    r"(?<![\w.$}/:-])/(?:work|workspaces?|builds?|Users|home/(?!alice\b)\w+|root/\.\w+)/\w"
)
PUBLIC = re.compile(
    r"(^|\.)(pypi\.org|pythonhosted\.org|golang\.org|debian\.org|ubuntu\.com|github\.com)$"
)


def hosts_of_this_machine() -> set[str]:
    """Return the mirrors and proxies in the configuration of this machine."""
    keys = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "GOPROXY")
    proxies = ("HTTP_PROXY", "HTTPS_PROXY")
    values = [os.environ.get(name, "") for key in (*keys, *proxies) for name in (key, key.lower())]
    found = {urlsplit(part).hostname for value in values for part in re.split(r"[,| ]+", value)}
    local = {"localhost", "127.0.0.1", "::1"}
    return {host for host in found if host and host not in local and not PUBLIC.search(host)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cd /work/" + "main", True),
        ("/home/" + "bob/x", True),
        ("/root/" + ".cache/x", True),
        ("/home/alice/.kube/config", False),
        ("https://example.org/work/x", False),
    ],
)
def test_path_of_a_machine_is_recognized(text: str, found: bool) -> None:
    assert bool(MACHINE_PATH.search(text)) == found


def test_no_file_names_the_machine_of_its_author() -> None:
    hosts = hosts_of_this_machine()
    found = []
    for path in files_of_the_repository():
        text = path.read_text(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {m[0]}" for m in MACHINE_PATH.finditer(text)]
        found += [f"{path.relative_to(ROOT)}: {host}" for host in hosts if host in text]
    assert not found


# Joined here, so that this file holds no text that looks like a credential.
CREDENTIAL = re.compile(
    "-----BEGIN [A-Z ]*" + r"PRIVATE KEY-----\n[A-Za-z0-9+/]{20}|\beyJ[\w-]{10,}\.[\w-]{10,}\."
)


def lines_of(text: str) -> str:
    r"""Return a text with each ``\n`` of a JSON string as a line end."""
    return text.replace("\\n", "\n")


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN EC " + "PRIVATE KEY-----\nMHcCAQEEIAAAAAAAAAAAAAAAAAAA",
        "-----BEGIN " + "PRIVATE KEY-----\\nMIGHAgEAMBMGByqGSM49AgEG",
        "eyJ" + "hbGciOiJSUzI1NiJ9.eyJ" + "zdWIiOiJhbGljZSJ9.c2ln",
    ],
)
def test_private_key_and_token_are_recognized(text: str) -> None:
    assert CREDENTIAL.search(lines_of(text))


def test_repository_holds_no_private_key_or_token() -> None:
    files = files_of_the_repository()
    assert ROOT / "pyproject.toml" in files
    assert not [
        path for path in files if CREDENTIAL.search(lines_of(path.read_text(errors="replace")))
    ]


BASH = re.compile(r"#!.*\bbash\b")


def test_scripts_are_valid_bash() -> None:
    places = (ROOT / "scripts", ROOT / ".ci")
    scripts = [
        path
        for path in files_of_the_repository()
        if path.parent in places and (path.suffix == ".sh" or BASH.match(path.read_text()))
    ]
    assert {ROOT / ".ci" / "run", ROOT / "scripts" / "lib.sh"} <= {*scripts}
    for script in scripts:
        run = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert script.suffix == ".sh" or os.access(script, os.X_OK), script


def test_make_without_a_target_prints_help() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    run = subprocess.run(
        ["make"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert "make lab" in run.stdout
    assert "make test" in run.stdout
