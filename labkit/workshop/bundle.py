"""One archive for a laptop that has Docker and Python, and no network.

It holds the packages as wheels, the images of a lab's machines, the participants' notebooks, and
a program that installs them from there. The packages have the versions that are installed where
it is made, so what the trainer tried is what the participants get.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import docker

from labkit.cluster import read_environment
from labkit.errors import ConfigError
from labkit.lab import images
from labkit.lab._recipe import recipe_tag
from labkit.lab.nodes import images_of
from labkit.lab.progress import ProgressStep, Reporter
from labkit.resources import PACKAGE
from labkit.workshop import exercises
from labkit.workshop.linked_pages import with_pages
from labkit.workshop.participants import participants_notebooks

__all__ = [
    "THIS_PYTHON",
    "download",
    "images_of_modes",
    "own_wheel",
    "without_image",
    "write_bundle",
]

#: The name of the folder in the archive.
ROOT = "labkit-bundle"
INSTALLER = PACKAGE / "workshop" / "bundle_install.py"
#: Seconds for one run of pip, which downloads about 110 packages.
PIP_S = 1800.0
README = """\
# labkit, from this folder alone

Python, Docker and these files are enough; nothing is downloaded.

1. `python3 install.py` makes an environment in the folder `venv`, and loads the images into Docker.
   It takes two or three minutes, and says what to run next.
2. Did your trainer give you a name for your labs? Then, in each terminal, first:
   `export LABKIT_NAME=that-name`
3. Run what the installer said. The notebooks in the folder `notebooks` are yours to write in: begin
   with 00.
4. When you are done, `venv/bin/labkit down` removes your labs, and names the command for those of
   other modes.
"""
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def write_bundle(
    file: Path,
    client: docker.DockerClient,
    report: Reporter,
    *,
    pythons: Sequence[str] = (THIS_PYTHON,),
    other_images: Sequence[str] = (),
    site: Path | None = None,
) -> int:
    """Write the archive; needs its images and a network.

    Parameters
    ----------
    file : pathlib.Path
        The archive (tar). An existing file is replaced once the new one is complete.
    client : docker.DockerClient
        The engine that has the images.
    report : Reporter
        Shows the steps.
    pythons : sequence of str
        The versions of Python that the packages are for, such as "3.12". The system and the
        processor are those of this machine.
    other_images : sequence of str
        The names of further images in the recipe, beside the node image.
    site : pathlib.Path, optional
        The folder of the documentation, as ``make docs`` builds it.

    Returns
    -------
    int
        The size of the archive in bytes.

    Raises
    ------
    ConfigError
        A package cannot be had, labkit's own source is not known, or the file cannot be written.
    ImageError
        An image is missing.
    """
    if site is not None and not (site / "index.html").is_file():
        raise ConfigError(f"{site} holds no documentation: no index.html", hint="make docs")
    part = file.with_name(f".{file.name}.part")
    names = tuple(dict.fromkeys(["node", *other_images]))
    try:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".labkit-bundle-") as name:
            folder = Path(name)
            _gather(folder, client, report, tuple(dict.fromkeys(pythons)), names)
            with report.step(f"write {file}"), tarfile.open(part, "w") as archive:
                archive.add(folder, ROOT, filter=_nobodys)
                if site is not None:
                    archive.add(site, f"{ROOT}/docs", filter=_nobodys)
            part.replace(file)
    except OSError as error:
        raise ConfigError(
            f"the bundle {file} cannot be written: {error}", hint=f"df -h {file.parent}"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return file.stat().st_size


def images_of_modes(modes: Iterable[str]) -> list[str]:
    """Return the names of the images that labs of some modes need beside the node image.

    Parameters
    ----------
    modes : iterable of str
        Names or folders of environments.

    Returns
    -------
    list of str

    Examples
    --------
    >>> images_of_modes(["insecure", "oidc-insecure"])
    ['provider']
    """
    needed = (images_of(read_environment(mode)) for mode in dict.fromkeys(modes))
    return sorted({name for names in needed for name in names})


def without_image(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the notebooks whose exercises have no lab where only some images are.

    Parameters
    ----------
    names : iterable of str
        The names of images in the recipe; the node image need not be among them.

    Returns
    -------
    dict of str to list of str
        The notebooks without their suffix, by the name of a missing image.

    Examples
    --------
    >>> without_image(["reviewer"])["provider"]
    ['13-identity']
    """
    there, found = set(names), dict[str, set[str]]()
    needed = {mode: images_of_modes([mode]) for mode in {it.mode for it in exercises.values()}}
    for it in exercises.values():
        for name in needed[it.mode]:
            if name not in there:
                found.setdefault(name, set()).add(it.notebook)
    return {name: sorted(found[name]) for name in sorted(found)}


def _gather(
    folder: Path,
    client: docker.DockerClient,
    report: Reporter,
    pythons: tuple[str, ...],
    names: tuple[str, ...],
) -> None:
    """Put everything that belongs into the archive into a folder."""
    for name in names:
        images.save(client, folder / f"{name}.tar.gz", report, name)
    wheels = folder / "wheels"
    own = own_wheel(wheels, report)
    for python in pythons:
        download(wheels, python, [f"{own}[notebooks]", "pip"], report)
    (folder / "notebooks" / "docs").mkdir(parents=True)
    for name, data in with_pages(participants_notebooks()).items():
        (folder / "notebooks" / name).write_bytes(data)
    about = {
        "pythons": pythons,
        "platform": sysconfig.get_platform(),
        "images": {name: recipe_tag(name) for name in names},
    }
    (folder / "bundle.json").write_text(json.dumps(about, indent=1) + "\n")
    (folder / "install.py").write_bytes(INSTALLER.read_bytes())
    (folder / "README.md").write_text(README)


def own_wheel(wheels: Path, report: Reporter) -> Path:
    """Build labkit's own wheel from what it was installed from.

    Parameters
    ----------
    wheels : pathlib.Path
        The folder for it.
    report : Reporter
        Shows the step.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ConfigError
        labkit's own source is not known, or the wheel cannot be built.
    """
    with report.step("build labkit's wheel") as step:
        _pip(step, ["wheel", "--no-deps", f"--wheel-dir={wheels}", str(_source())])
    [own] = wheels.glob("labkit-*.whl")
    return own


def download(wheels: Path, python: str, wanted: Sequence[str], report: Reporter) -> None:
    """Download packages for a version of Python, in the versions that are installed here.

    Parameters
    ----------
    wheels : pathlib.Path
        The folder for them.
    python : str
        Such as "3.12".
    wanted : sequence of str
        What pip installs.
    report : Reporter
        Shows the step.

    Raises
    ------
    ConfigError
        A package cannot be had.
    """
    options = [] if python == THIS_PYTHON else [f"--python-version={python}"]
    with tempfile.NamedTemporaryFile("w", prefix="labkit-versions-", suffix=".txt") as versions:
        versions.writelines(f"{line}\n" for line in _installed_versions())
        versions.flush()
        options += ["--only-binary=:all:", f"--constraint={versions.name}", f"--dest={wheels}"]
        with report.step(f"download the packages for Python {python}") as step:
            _pip(step, ["download", *options, *wanted])


def _source() -> Path:
    """Return the folder or the wheel that labkit was installed from (PEP 610)."""
    text = importlib.metadata.distribution("labkit").read_text("direct_url.json")
    found: Mapping[str, str] = json.loads(text) if text else {}
    url = urlsplit(found.get("url", ""))
    path = Path(url2pathname(url.path))
    if url.scheme != "file" or not path.exists():
        raise ConfigError(
            "labkit was not installed from a clone or a wheel that is still there",
            hint="in a clone of labkit: make env, then .venv/bin/labkit bundle FILE",
        )
    return path


def _installed_versions() -> list[str]:
    """Return the version of each installed package, as pip's constraints."""
    found = {it.name: it.version for it in importlib.metadata.distributions()}
    return sorted(f"{name}=={version}" for name, version in found.items() if name != "labkit")


def _pip(step: ProgressStep, arguments: Sequence[str]) -> None:
    """Run pip, show what it does, and raise its last lines if it fails."""
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    lines: list[str] = []
    with _process(argv) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            step.line(lines[-1])
    if process.returncode:
        raise ConfigError(
            f"pip {arguments[0]} failed",
            evidence=lines[-8:],
            hint=f"{sys.executable} -m pip --version; and is there a network?",
        )


@contextmanager
def _process(argv: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a command that is killed after :data:`PIP_S`, or if the block fails."""
    with subprocess.Popen(
        argv, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        late = threading.Timer(PIP_S, process.kill)
        late.daemon = True
        late.start()
        try:
            yield process
        except BaseException:
            process.kill()  # else leaving the outer block would wait for its end
            raise
        finally:
            late.cancel()


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who made the archive, and give everybody the right to read it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member
