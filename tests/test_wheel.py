"""The wheel is complete: labkit works from it, outside any clone."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.lab._recipe import IMAGES, recipe_hash
from labkit.lab.images import node_image_tag

ROOT = Path(__file__).resolve().parent.parent
KUBEADM = ROOT / "tests" / "cluster" / "data" / "kubeadm"
LAB = f"wheel-{os.getpid()}"
#: Variables that could point to another labkit or another environment.
HIDDEN = ("LABKIT_", "PYTHON", "VIRTUAL_ENV")


def build(target: str, source: Path, to: Path) -> Path:
    """Build a wheel or an sdist, without the network."""
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        target,
        "--directory",
        str(to),
    ]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    [made] = to.iterdir()
    return made


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


class Installed:
    """A new environment with the wheel, and a working folder outside any clone."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.bin = folder / "venv" / "bin"
        self.home = folder / "home"
        self.home.mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        python = str(self.bin / "python")
        pip = [sys.executable, "-m", "pip", "--python", python, "install"]
        if importlib.util.find_spec("pip") is None:
            pip = ["uv", "pip", "install", "--python", python]
        subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", wheel], check=True)
        # the dependencies come from the environment of the tests
        [packages] = (folder / "venv").glob("lib/python*/site-packages")
        (packages / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.package = packages / "labkit"

    def run(self, command: str, *arguments: str | Path, status: int = 0) -> str:
        """Run a command and return its standard output."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(HIDDEN)}
        done = subprocess.run(
            [self.bin / command, *arguments],
            cwd=self.home,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def labkit(self, *arguments: str | Path, status: int = 0) -> str:
        return self.run("labkit", *arguments, status=status)

    def python(self, code: str) -> list[str]:
        """Run Python code and return the words that it prints."""
        return self.run("python", "-c", code).split()


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), wheel)


def files_in(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """Return the content of each file, and whether it is executable."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), os.access(path, os.X_OK))
        for path in folder.rglob("*")
        if path.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)
    }


# -- contents -------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["environments", "notebooks"])
def test_installed_files_are_those_of_the_repository(installed: Installed, folder: str) -> None:
    assert files_in(installed.package / "_data" / folder) == files_in(ROOT / folder)


def test_documents_are_the_matrix_and_what_notebooks_link_to(
    installed: Installed,
) -> None:
    names = ("matrix.html", "matrix.json", "your-own-cluster.md")
    pages = {name: ((ROOT / "docs" / name).read_bytes(), False) for name in names}
    assert files_in(installed.package / "_data" / "docs") == pages


def test_wheel_from_the_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    sdist = build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    again = build("wheel", tmp_path / sdist.name.removesuffix(".tar.gz"), tmp_path / "again")
    first, second = (
        {info.filename: (info.CRC, info.external_attr) for info in zipfile.ZipFile(path).infolist()}
        for path in (wheel, again)
    )
    assert first == second


def test_images_have_the_tags_of_the_checkout(installed: Installed) -> None:
    code = (
        "from labkit.lab._recipe import IMAGES, recipe_hash\n"
        "from labkit.lab.images import node_image_tag\n"
        "print(node_image_tag(), *map(recipe_hash, IMAGES))"
    )
    assert installed.python(code) == [node_image_tag(), *map(recipe_hash, IMAGES)]


# -- without an engine ----------------------------------------------------------------------


def test_package_is_the_installed_one(installed: Installed) -> None:
    assert installed.python("import labkit; print(labkit.__file__)") == [
        str(installed.package / "__init__.py")
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("analyze insecure", "apiserver-anonymous"),
        ("analyze hardened --fail-on critical", "residual"),
        ("reach --mode insecure --from network", "insecure-port"),
        ("reach --mode hardened --from network --cut admin", "out of reach as it is"),
        ("export insecure --format otm", '"otmVersion"'),
        ("technique list", "etcd-read"),
        ("technique show nodes-proxy-exec", "nodes/proxy"),
        ("control list --mode hardened", "on   apiserver-anonymous"),
        ("control show pod-security", "admission.yaml: the whole file, 11 lines"),
        ("control show abac-least-privilege", "abac.jsonl: the whole file, "),
    ],
)
def test_command_needs_no_clone(installed: Installed, command: str, said: str) -> None:
    assert said in installed.labkit(*command.split())


def test_report_is_written(installed: Installed) -> None:
    installed.labkit("report", "insecure", "hardened", "--output", "report.html")
    assert "<svg" in (installed.home / "report.html").read_text()


def test_notebooks_are_written(installed: Installed) -> None:
    written = installed.labkit("notebooks", "course").split()
    names = [path.name for path in sorted(ROOT.glob("notebooks/*.ipynb"))]
    pages = ["docs/matrix.html", "docs/your-own-cluster.md"]
    assert written == [f"course/{name}" for name in names + pages]
    assert all((installed.home / path).is_file() for path in written)


def test_minimal_cut_of_a_copied_folder(installed: Installed) -> None:
    own = installed.home / "own"
    shutil.copytree(KUBEADM, own)
    config = own / "worker1" / "var" / "lib" / "kubelet" / "config.yaml"
    text = config.read_text().replace("enabled: false", "enabled: true", 1)
    config.write_text(text.replace("mode: Webhook", "mode: AlwaysAllow"))
    code = (
        "from labkit import load_model, minimal_cut\n"
        "print(*minimal_cut(load_model('own'), 'network', 'secrets'))"
    )
    # CIS Kubernetes Benchmark 4.2.1 and 4.2.2: either refuses anonymous callers
    assert installed.python(code) in (["kubelet-anonymous"], ["kubelet-authorization"])


def test_stored_matrix_is_read(installed: Installed) -> None:
    code = "from labkit.matrix import Matrix; print(len(Matrix.read().cells) > 1000)"
    assert installed.python(code) == ["True"]


# -- with an engine -------------------------------------------------------------------------


@pytest.fixture
def lab(installed: Installed) -> Iterator[tuple[str, ...]]:
    yield ("--mode", "hardened", "--name", LAB)
    installed.labkit("down", "--mode", "hardened", "--name", LAB)


@pytest.mark.lab
def test_lab_is_made_verified_and_attacked(installed: Installed, lab: tuple[str, ...]) -> None:
    assert installed.labkit("image", "build").strip() == node_image_tag()
    installed.labkit("up", *lab)
    installed.labkit("verify", *lab)
    installed.labkit("attack", "admin-kubeconfig", *lab)
    # every cell of the mode is known but one
    stored = json.loads((ROOT / "docs" / "matrix.json").read_text())
    known = [cell for cell in stored if cell["technique"] != "admin-kubeconfig"]
    (installed.home / "matrix.json").write_text(json.dumps(known))
    installed.labkit("matrix", "--control", "none", "--json", "matrix.json", *lab)
    new = json.loads((installed.home / "matrix.json").read_text())
    [cell] = [cell for cell in new if cell["technique"] == "admin-kubeconfig"]
    assert (cell["environment"], cell["observed"]) == ("hardened", "refused")
