"""The images' recipe and archives, without an engine."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import os
import shutil
import tarfile
import time
import zlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ImageNotFound
from hypothesis import assume, example, given
from hypothesis import strategies as st
from rich.console import Console

from labkit.errors import BuildFailed, ConfigError, ImageError
from labkit.lab import _build, images
from labkit.lab._recipe import IMAGES, recipe_files, recipe_hash
from labkit.lab.progress import PlainReporter, ProgressStep, RichReporter
from labkit.resources import environments_dir


class Silent:
    """A reporter for tests that are not about reports."""

    def step(self, title: str) -> AbstractContextManager[ProgressStep]:
        return PlainReporter(io.StringIO()).step(title)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    shutil.copytree(environments_dir() / "images", folder)
    return folder


def hashes(folder: Path) -> dict[str, str]:
    return {name: recipe_hash(name, folder) for name in IMAGES}


#: The images of the profiles: of each, nothing else is built again.
PROFILES = {"provider", "reviewer", "cloud", "monitor"}
AFFECTED = {
    "base": set(IMAGES),
    "go": {"go", "kubernetes", "runtime", "node", *PROFILES},
    "kubernetes": {"kubernetes", "node", *PROFILES},
    "runtime": {"runtime", "node", *PROFILES},
    "system": {"system", "node", *PROFILES},
    "node": {"node", *PROFILES},
    **{name: {name} for name in PROFILES},
}


@pytest.mark.parametrize("changed", list(IMAGES))
def test_changed_image_rebuilds_only_its_dependants(recipe: Path, changed: str) -> None:
    before = hashes(recipe)
    dockerfile = recipe / changed / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "# one more line\n")
    after = hashes(recipe)
    assert {name for name in IMAGES if before[name] != after[name]} == AFFECTED[changed]


@pytest.mark.parametrize("image", sorted(PROFILES))
def test_recipe_hash_depends_on_every_file(recipe: Path, image: str) -> None:
    before = recipe_hash(image, recipe)
    seen = {before}
    others = PROFILES - {image}
    files = (it for it in recipe.rglob("*") if it.is_file() and "__pycache__" not in it.parts)
    for path in sorted(files):
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        if others & {*path.relative_to(recipe).parts}:
            assert recipe_hash(image, recipe) == before, path
        else:
            assert recipe_hash(image, recipe) not in seen, path
        seen.add(recipe_hash(image, recipe))
        path.write_bytes(content)
    assert recipe_hash(image, recipe) == before


def test_recipe_hash_ignores_time_and_place_of_files(recipe: Path, tmp_path: Path) -> None:
    before = hashes(recipe)
    for path in recipe.rglob("*"):
        os.utime(path, (1, 1))
    # written in the opposite order, somewhere else
    other = tmp_path / "elsewhere"
    for path in sorted((p for p in recipe.rglob("*") if p.is_file()), reverse=True):
        target = other / path.relative_to(recipe)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (other / "node" / ".Dockerfile.swp").write_text("an editor's file")
    (other / "node" / "__pycache__").mkdir()
    (other / "node" / "__pycache__" / "make.pyc").write_text("Python's")
    assert hashes(recipe) == before == hashes(other)


def test_recipe_hash_ignores_the_order_of_files(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, reads = set(), []
    read = Path.rglob

    def ordered(path: Path, pattern: str, *, reverse: bool) -> list[Path]:
        reads.append(path)
        return sorted(read(path, pattern), reverse=reverse)

    for reverse in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rglob", functools.partialmethod(ordered, reverse=reverse))
            found.add(recipe_hash("node", recipe))
    assert len(found) == 1
    assert reads


def test_recipe_hash_depends_on_the_executable_bit(recipe: Path) -> None:
    before = recipe_hash("node", recipe)
    (recipe / "node" / "labkit-init").chmod(0o644)
    assert recipe_hash("node", recipe) != before


names = st.text("abc", min_size=1, max_size=4)
folders = st.dictionaries(names, st.binary(max_size=8), max_size=4)


@given(one=folders, other=folders)
@example(one={"a": b"xb-y"}, other={"a": b"x", "b": b"y"})  # the same when strung together
def test_different_recipes_have_different_hashes(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    found = []
    for content in (one, other):
        folder = tmp_path_factory.mktemp("recipe") / "base"
        folder.mkdir()
        for name, data in {"Dockerfile": b"", **content}.items():
            (folder / name).write_bytes(data)
        found.append(recipe_hash("base", folder.parent))
    assert (found[0] == found[1]) == (one == other)


def test_recipe_without_a_dockerfile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Dockerfile"):
        recipe_files(tmp_path)


def test_recipe_names_no_build_machine() -> None:
    for name in IMAGES:
        files = recipe_files(environments_dir() / "images" / name)
        assert "Dockerfile" in {file.name for file in files}
        for file in files:
            for word in (b"/work/", b"BEGIN CERTIFICATE", b"/root/go"):
                assert word not in file.content, (name, file.name, word)


@pytest.mark.parametrize(
    ("sources", "packages", "security"),
    [
        ("", _build.PACKAGES_MIRROR, _build.SECURITY_MIRROR),
        ("deb http://m.example/debian trixie main", "http://m.example/debian", None),
        ("# deb http://no.example/debian trixie main", _build.PACKAGES_MIRROR, None),
        ("deb https://m.example/debian trixie main", _build.PACKAGES_MIRROR, None),
        ("deb http://archive.ubuntu.com/ubuntu noble main", _build.PACKAGES_MIRROR, None),
        (
            "Types: deb\nURIs: http://m.example/debian/\nSuites: trixie\n\n"
            "Types: deb\nURIs: http://m.example/debian-security\n",
            "http://m.example/debian",
            "http://m.example/debian-security",
        ),
    ],
)
def test_debian_mirrors_are_read_from_the_apt_sources(
    sources: str, packages: str, security: str | None
) -> None:
    assert _build.debian_mirrors(sources) == (packages, security or _build.SECURITY_MIRROR)


# -- archives -------------------------------------------------------------------------------


class Engine:
    """As much of an engine as an archive that is refused may touch: nothing of it."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the engine was asked for {name}")


def archive(path: Path, labels: dict[str, str] | None) -> Path:
    config = json.dumps({"config": {"Labels": labels}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["a:1"], "Layers": []}]).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in (
            ("layer.tar", os.urandom(200_000)),
            ("config.json", config),
            ("manifest.json", manifest),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    path.write_bytes(gzip.compress(buffer.getvalue(), 1))
    return path


def refusal(path: Path) -> ImageError:
    with pytest.raises(ImageError) as caught:
        images.load(Engine(), path, Silent())  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("name", ["node", "provider"])
def test_archive_of_this_recipe_is_loaded(tmp_path: Path, name: str) -> None:
    labels = {"labkit.image": name, "labkit.recipe": recipe_hash(name)}
    path = archive(tmp_path / "image.tar.gz", labels)
    with pytest.raises(AssertionError, match="the engine was asked"):
        images.load(Engine(), path, Silent())  # type: ignore[arg-type]


def test_archive_of_another_recipe_is_refused_with_both_hashes(tmp_path: Path) -> None:
    labels = {"labkit.image": "node", "labkit.recipe": "0123456789ab"}
    error = refusal(archive(tmp_path / "node.tar.gz", labels))
    assert "0123456789ab" in str(error)
    assert recipe_hash("node") in str(error)


@pytest.mark.parametrize("labels", [None, {}, {"labkit.image": "go", "labkit.recipe": "x"}])
def test_another_image_is_refused(tmp_path: Path, labels: dict[str, str] | None) -> None:
    assert "no image for the machines" in str(refusal(archive(tmp_path / "other.tar.gz", labels)))


@given(cut=st.floats(min_value=0.0, max_value=0.999))
def test_archive_that_was_cut_off_is_refused(
    tmp_path_factory: pytest.TempPathFactory, cut: float
) -> None:
    labels = {"labkit.image": "node", "labkit.recipe": recipe_hash("node")}
    path = archive(tmp_path_factory.mktemp("cut") / "node.tar.gz", labels)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * cut)])
    assert str(path) in str(refusal(path))


@given(place=st.integers(min_value=100, max_value=199_000), bit=st.integers(0, 7))
def test_archive_with_a_flipped_bit_is_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    labels = {"labkit.image": "node", "labkit.recipe": recipe_hash("node")}
    path = archive(tmp_path_factory.mktemp("bit") / "node.tar.gz", labels)
    whole = path.read_bytes()
    content = bytearray(whole)
    content[place] ^= 1 << bit
    path.write_bytes(content)
    with contextlib.suppress(OSError, EOFError, zlib.error):
        # a few bits of the compressed format are padding, and mean nothing
        assume(gzip.decompress(content) != gzip.decompress(whole))
    assert str(path) in str(refusal(path))


def test_missing_file_and_damaged_archive_have_their_messages(tmp_path: Path) -> None:
    assert "no file" in str(refusal(tmp_path / "absent.tar.gz"))
    text = tmp_path / "text.tar.gz"
    text.write_text("not compressed")
    assert "damaged" in str(refusal(text))
    with gzip.open(text, "wb") as file, tarfile.open(fileobj=file, mode="w"):
        pass
    assert "does not hold exactly one Docker image" in str(refusal(text))


# -- builds ---------------------------------------------------------------------------------


class BuildingEngine:
    """An engine that lacks the node image only, and whose builds write what the test says."""

    def __init__(self, events: list[dict[str, str]]) -> None:
        self.events = events
        self.built: list[str] = []
        self.api = self.images = self

    def get(self, tag: str) -> object:
        if tag.startswith("labkit/node"):
            raise ImageNotFound(tag)
        return object()

    def build(self, tag: str, **_: Any) -> list[dict[str, str]]:
        self.built.append(tag)
        return self.events

    def prune(self, **_: Any) -> None:
        """Nothing is left behind here."""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "labkit"


def test_failed_build_shows_the_end_of_its_log(state: Path) -> None:
    events = [{"stream": f"\x1b[91mline {n}\n\x1b[0m"} for n in range(50)]
    engine = BuildingEngine([*events, {"error": "exit code 1"}])
    with pytest.raises(BuildFailed) as caught:
        images.ensure_image(engine, "node", Silent())  # type: ignore[arg-type]
    log = state / f"build-node-{recipe_hash('node')}.log"
    assert caught.value.evidence == tuple(f"line {n}" for n in range(30, 50))
    assert str(log) in caught.value.hint
    assert log.read_text().splitlines()[0] == "line 0"


@pytest.mark.parametrize("name", ["provider", "reviewer"])
@pytest.mark.usefixtures("state")
def test_image_of_a_profile_that_cannot_be_built_says_which_file_to_load(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*_: object) -> None:
        raise ImageError("cannot pull", hint="use sudo")

    monkeypatch.setattr(images, "build_missing", fail)
    monkeypatch.setattr(images, "has_image", lambda *_: False)
    engine: Any = None
    with pytest.raises(ImageError) as caught:
        images.ensure_image(engine, name, Silent())
    assert f"a file of labkit image save --image {name}; use sudo" in caught.value.hint


def test_only_what_is_missing_is_built(state: Path) -> None:
    engine = BuildingEngine([{"error": "stop here"}])
    with pytest.raises(BuildFailed):
        images.ensure_image(engine, "node", Silent())  # type: ignore[arg-type]
    assert [tag.split(":")[0] for tag in engine.built] == ["labkit/node"]


# -- reports --------------------------------------------------------------------------------


def fail_after_heartbeat(stream: io.StringIO, step: ProgressStep) -> None:
    step.line("the latest line")
    while "the latest line" not in stream.getvalue():
        time.sleep(0.01)
    raise ValueError("broken")


def test_plain_reporter_shows_heartbeats_and_results() -> None:
    stream = io.StringIO()
    reporter = PlainReporter(stream, heartbeat_s=0.01)
    broken = pytest.raises(ValueError, match="broken")
    with reporter.step("outer"), broken, reporter.step("inner") as step:
        fail_after_heartbeat(stream, step)
    lines = stream.getvalue().splitlines()
    assert lines[:2] == [" … outer", " … inner"]
    # on a busy machine, a heartbeat of the outer step comes in between
    inner, outer = (it for it in lines[2:] if not it.startswith("   "))
    assert inner.startswith(" ✗ inner (")
    assert outer.startswith(" ✓ outer (")
    assert [it for it in lines if it.endswith((",", ", "))] == []


def test_rich_reporter_leaves_one_line_for_each_step() -> None:
    console = Console(file=io.StringIO(), width=80)
    reporter = RichReporter(console)
    with reporter.step("outer [1/2]"), reporter.step("inner") as step:
        step.line("[not markup")
    with reporter.step("again"):
        pass
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.index("✓ inner") < text.index("✓ outer [1/2]") < text.index("✓ again")
