"""What holds for the repository as a whole."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

import labkit

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"docker": "docker-py", "matplotlib": "matplotlib-base"}
IMPORT_NAMES = {"lazy-loader": "lazy_loader", "pillow": "PIL", "pyyaml": "yaml"}


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
        labkit.nonsense  # noqa: B018


def test_every_error_is_public() -> None:
    errors = importlib.import_module("labkit.errors")
    assert set(errors.__all__) <= set(labkit.__all__)


def test_no_public_name_is_also_a_module() -> None:
    # importing the module would silently take the name's place
    modules = {module.name for module in pkgutil.iter_modules(labkit.__path__)}
    assert not modules & set(labkit.__all__)


def test_exactly_the_public_names_are_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text().split("## The command")[0]
    named = set(re.findall(r"`(\w+)`", text))
    assert set(labkit.__all__) <= named
    others = {name for name in dir(labkit.Lab) if not name.startswith("_")}
    others |= {name for name in dir(labkit.LabkitError("")) if not name.startswith("_")}
    assert not named - set(labkit.__all__) - others, "documented, but not public"


# -- imports --------------------------------------------------------------------------------

HEAVY = ("docker", "matplotlib", "networkx", "rich", "scapy", "typer", "yaml", "cryptography")


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
            "import labkit.cli",
            ("docker", "matplotlib", "networkx", "scapy", "yaml", "cryptography"),
        ),
        ("import labkit.cluster", ("docker", "networkx", "matplotlib")),
        ("import labkit.model", ("docker", "matplotlib")),
        ("from labkit import read_environment, build_model", ("docker", "labkit.lab")),
        (
            "from labkit.analysis import analyze; from labkit.model import read_model_file",
            ("cryptography", "labkit.cluster.dump", "labkit.techniques", "matplotlib", "PIL"),
        ),
    ],
)
def test_import_stays_light(code: str, unwanted: tuple[str, ...]) -> None:
    assert not modules_after(code) & set(unwanted)


FOREIGN = """
import contextlib, os, sys
from labkit.cli import main
sys.argv = ["labkit", "analyze", "tests/formats/foreign/shop.otm.json", "--json"]
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    with contextlib.suppress(SystemExit):
        main()
"""


def test_a_model_of_another_tool_is_analysed_without_the_tables() -> None:
    loaded = modules_after(FOREIGN)
    assert "labkit.analysis.threats" in loaded
    assert not loaded & {
        "labkit.catalog",
        "labkit.cluster.known_flags",
        "labkit.cluster.known_keys",
    }


#: Ends with the name of the file where a table is opened.
READING = """
import sys
def seen(event, of):
    if event == "open" and str(of[0]).startswith({folder!r}) and str(of[0]).endswith(".txt"):
        sys.exit("opened at import: " + of[0])
sys.addaudithook(seen)
import labkit.catalog, labkit.formats.navigator, labkit.render.report
import labkit.cluster.components, labkit.cluster.known_flags, labkit.cluster.known_keys
"""


def test_no_table_is_read_at_import() -> None:
    loaded = modules_after(READING.format(folder=str(ROOT / "labkit")))
    assert {"labkit.catalog", "labkit.cluster.known_flags"} <= loaded


# -- what is declared -----------------------------------------------------------------------


def test_environment_yml_says_what_pyproject_says() -> None:
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


def test_what_is_imported_is_declared() -> None:
    declared = {package_of(r)[0] for r in PROJECT["dependencies"]}
    importable = {IMPORT_NAMES.get(name, name) for name in declared}
    # an IPython display is only ever made where IPython runs
    importable |= {"labkit", "IPython", "requests"}
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


def test_the_lock_holds_what_is_declared() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = dict(line.split("==") for line in lines if not line.startswith("#"))
    names = {re.sub(r"[-_.]+", "-", name).lower() for name in locked}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    declared = {package_of(r.split("[")[0])[0] for group in groups for r in group}
    assert declared - {"labkit"} <= names


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


# -- what must not be in it -----------------------------------------------------------------

# Homes and workspaces of a build machine; alice's home is one on the lab's own machines.
MACHINE_PATH = re.compile(
    r"(?<![\w.$}/:-])/(?:work|workspaces?|builds?|Users|home/(?!alice\b)\w+|root/\.\w+)/\w"
)
PUBLIC = re.compile(
    r"(^|\.)(pypi\.org|pythonhosted\.org|golang\.org|debian\.org|ubuntu\.com|github\.com)$"
)


def hosts_of_this_machine() -> set[str]:
    """Mirrors and proxies that this machine is set up with, and that nobody else has."""
    keys = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "GOPROXY")
    proxies = ("HTTP_PROXY", "HTTPS_PROXY")
    values = [os.environ.get(name, "") for key in (*keys, *proxies) for name in (key, key.lower())]
    found = {urlsplit(part).hostname for value in values for part in re.split(r"[,| ]+", value)}
    local = {"localhost", "127.0.0.1", "::1"}
    return {host for host in found if host and host not in local and not PUBLIC.search(host)}


def test_no_file_names_the_machine_it_was_written_on() -> None:
    hosts = hosts_of_this_machine()
    found = []
    for path in files_of_the_repository():
        text = path.read_text(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {m[0]}" for m in MACHINE_PATH.finditer(text)]
        found += [f"{path.relative_to(ROOT)}: {host}" for host in hosts if host in text]
    assert not found


def test_no_private_key_or_token_is_in_it() -> None:
    begin = "-----BEGIN [A-Z ]*" + "PRIVATE KEY-----\n[A-Za-z0-9+/]{20}"
    token = r"\beyJ[\w-]{10,}\.[\w-]{10,}\."
    found = [
        str(path.relative_to(ROOT))
        for path in files_of_the_repository()
        if re.search(f"{begin}|{token}", path.read_text(errors="replace").replace("\\n", "\n"))
    ]
    assert not found


def test_modules_stay_short() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in (ROOT / "labkit").rglob("*.py")
    }
    assert not {name: length for name, length in lengths.items() if length >= 400}


def test_scripts_are_bash() -> None:
    for script in [ROOT / ".ci" / "run", *sorted((ROOT / "scripts").iterdir())]:
        if "python" in script.read_text().splitlines()[0]:
            continue
        run = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert script.suffix == ".sh" or os.access(script, os.X_OK), script


def test_make_alone_only_helps() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    run = subprocess.run(
        ["make"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert "make lab" in run.stdout
    assert "make test" in run.stdout
