"""Files that hang, crash or lead out of the folder: each reader refuses them with a message."""

from __future__ import annotations

import codecs
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.analysis.findings.accept import read_acceptances
from labkit.analysis.findings.risk import read_risk
from labkit.cluster import read_cluster, read_dump, read_environment
from labkit.cluster.syntax.disk import MAX_BYTES, PIECE, file_text, files_below, read_bytes
from labkit.cluster.syntax.yamldoc import read_documents
from labkit.errors import ConfigError
from labkit.loading import load_model

Maker = Callable[[Path], object]


@pytest.fixture(autouse=True)
def bound() -> Iterator[None]:
    """End a test that hangs: a FIFO has no writer here, and /dev/zero has no end."""

    def stop(*_: object) -> None:
        raise TimeoutError("hangs")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)


def _socket(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        server.bind(path.name)
    finally:
        os.chdir(here)
        server.close()


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 3_000_000_000)


ODD: dict[str, Maker] = {
    "fifo": os.mkfifo,
    "socket": _socket,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "secret": lambda path: path.symlink_to("/etc/passwd"),
    "loop": lambda path: path.symlink_to(path.name),
    "nowhere": lambda path: path.symlink_to("nothing.yaml"),
    "huge": _huge,
    "deep": lambda path: path.write_text("[" * 100_000),
    "utf-16": lambda path: path.write_text("name: x", encoding="utf-16"),
    "latin-1": lambda path: path.write_bytes(b"name: caf\xe9"),
    "nul": lambda path: path.write_bytes(b"name: \0"),
}
FILES = (
    "insecure/environment.yaml",
    "topology.yaml",
    "insecure/pki.yaml",
    "insecure/manifests/rbac.yaml",
    "common/master/etc/sysusers.d/people.conf",
    "insecure/master/etc/systemd/system/kube-apiserver.service",
)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ODD)
def test_odd_file_of_an_environment_is_refused(modes: Path, name: str, kind: str) -> None:
    if (path := modes / name).suffix == ".conf" and kind == "deep":
        pytest.skip("no file of a nested syntax")
    path.unlink(missing_ok=True)
    ODD[kind](path)
    with pytest.raises(ConfigError) as caught:
        read_environment(modes / "insecure")
    if (name, kind) == ("insecure/environment.yaml", "nul"):
        assert str(caught.value).startswith("insecure/environment.yaml:1: a NUL character")
    assert path.name in str(caught.value)


@pytest.mark.parametrize("kind", ODD)
def test_odd_model_file_is_refused(tmp_path: Path, kind: str) -> None:
    for name in ("model.yaml", "model.otm.json"):
        ODD[kind](tmp_path / name)
        with pytest.raises(ConfigError):
            load_model(tmp_path / name)
        for read in (read_acceptances, read_risk):
            with pytest.raises(ConfigError):
                read(tmp_path / name)


@pytest.mark.parametrize("kind", [kind for kind in ODD if kind != "utf-16"])
def test_odd_file_of_a_dump_is_an_unknown(tmp_path: Path, kind: str) -> None:
    (tmp_path / "nodes.json").write_text('{"kind": "Node", "metadata": {"name": "a"}}')
    ODD[kind](tmp_path / "odd.json")
    dump = read_dump(tmp_path)
    assert [node.name for node in dump.nodes] == ["a"]
    assert [item.path for item in dump.unread] == ["odd.json"]


@pytest.mark.parametrize("kind", [kind for kind in ODD if kind != "folder"])
def test_odd_file_of_a_copied_machine_is_an_unknown(tmp_path: Path, kind: str) -> None:
    for folder in ("cp1/etc/kubernetes/manifests", "manifests"):
        (tmp_path / folder).mkdir(parents=True)
        ODD[kind](tmp_path / folder / "odd.yaml")
    unknowns = {item.path for item in read_cluster(tmp_path).unknowns}
    assert {"cp1/etc/kubernetes/manifests/odd.yaml", "manifests/odd.yaml"} <= unknowns


def test_machine_that_is_a_link_out_of_the_copied_folder_is_an_unknown(tmp_path: Path) -> None:
    (tmp_path / "cluster/cp1/etc").mkdir(parents=True)
    (tmp_path / "other/etc").mkdir(parents=True)
    (tmp_path / "cluster/cp2").symlink_to(tmp_path / "other")
    env = read_cluster(tmp_path / "cluster")
    assert [node.name for node in env.nodes] == ["cp1"]
    assert ("cp2", "a link that leaves the folder") in [(it.path, it.why) for it in env.unknowns]


@pytest.mark.parametrize("name", ["two\nlines.conf", "tab\t.conf", "bell\a.conf", "\udcff.conf"])
def test_name_that_cannot_be_printed_is_refused(modes: Path, name: str) -> None:
    (modes / "insecure/master/etc" / name).write_text("")
    with pytest.raises(ConfigError, match="cannot be printed") as caught:
        read_environment(modes / "insecure")
    assert str(caught.value).isascii()


@pytest.mark.parametrize("role", ["master", "manifests"])
def test_role_that_is_a_link_out_of_the_environment_is_refused(modes: Path, role: str) -> None:
    folder = modes / "insecure" / role
    folder.rename(modes.parent / f"moved-{modes.name}-{role}")
    folder.symlink_to(modes.parent / f"moved-{modes.name}-{role}")
    with pytest.raises(ConfigError, match="a link that leaves the folder"):
        read_environment(modes / "insecure")


def test_link_inside_an_environment_is_followed(modes: Path) -> None:
    people = modes / "common/master/etc/sysusers.d/people.conf"
    people.rename(people.with_name("real.conf"))
    people.symlink_to("real.conf")
    assert read_environment(modes / "insecure").node("master").accounts


@pytest.mark.parametrize("key", ["extends", "topology"])
def test_environment_reads_nothing_from_elsewhere(modes: Path, key: str) -> None:
    (modes / "insecure/environment.yaml").write_text(f"name: x\n{key}: /etc\n")
    with pytest.raises(ConfigError, match=r"leaves the folder|not a folder beside"):
        read_environment(modes / "insecure")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000,
        "? " * 100_000,
        "".join(" " * n + "a:\n" for n in range(1000)),
        "a: &a ["
        + "x," * 9
        + "]\n"
        + "".join(
            f"{c}: &{c} [{f'*{p},' * 9}]\n" for p, c in zip("abcdefghi", "bcdefghij", strict=True)
        ),
        "a: &a [*a]",
        "a: " + "1:" * 400_000 + "1",
        "a: 0x" + "f" * 400_000,
        "a: !!python/object:os.system {}",
        "a: !!timestamp x",
        "a: !!bool x",
        "a: !!int ''",
        'a: "\\ud800"',
    ],
    ids=lambda text: text[:12].strip(),
)
def test_yaml_that_would_end_the_interpreter_or_never_end_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^a\.yaml(:\d+)?: "):
        read_documents(text, "a.yaml")


def test_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * MAX_BYTES)
    assert len(read_bytes(path, "a")) == MAX_BYTES
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="2,000,001 bytes"):
        read_bytes(path, "a")


#: A text of several pieces, whose characters of one to four bytes stand across their borders.
LONG = ("aé€🦊" * (3 * PIECE // 10))[1:]


def _file_text(tmp_path: Path, data: bytes, **options: bool) -> str:
    path = tmp_path / "dump.json"
    path.write_bytes(data)
    return file_text(path, path.name, **options)


@pytest.mark.parametrize("before", ["", "x", "xx", "xxx"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_text_in_pieces_is_the_text(tmp_path: Path, before: str, mark: bytes) -> None:
    text = before + LONG + "\r\n\ufeffend"
    assert _file_text(tmp_path, mark + text.encode()) == text


@given(st.text(), st.booleans())
def test_small_text_is_the_text(text: str, marked: bool) -> None:
    text = text.replace("\0", "").lstrip("\ufeff")
    with tempfile.TemporaryDirectory() as folder:
        data = codecs.BOM_UTF8 * marked + text.encode()
        assert _file_text(Path(folder), data) == text


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"one\ntwo \xff", 2),
        (b"\xef", 1),
        (b"\xef\xbb", 1),
        (codecs.BOM_UTF8 + b"one\n\xe2\x82", 2),
        (b"one\n" * PIECE + b"\xc3", PIECE + 1),
        (b"one\n" * PIECE + b"\xc3(" + b"two\n" * PIECE, PIECE + 1),
    ],
)
def test_bytes_that_are_no_text_are_refused_with_their_line(
    tmp_path: Path, data: bytes, line: int
) -> None:
    with pytest.raises(ConfigError, match=rf"^dump.json:{line}: not UTF-8 text"):
        _file_text(tmp_path, data)


def test_nul_in_a_late_piece_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^dump.json:{PIECE + 1}: a NUL character"):
        _file_text(tmp_path, b"one\n" * PIECE + b"\0")


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_read_where_asked_for(tmp_path: Path, order: str) -> None:
    data = f"\ufeff{LONG}".encode(order)
    assert _file_text(tmp_path, data, utf16=True) == LONG
    with pytest.raises(ConfigError, match=r"^dump.json:1: UTF-16 text, not UTF-8"):
        _file_text(tmp_path, data)


def test_folders_in_one_another_have_a_bound(tmp_path: Path) -> None:
    (tmp_path / "/".join("d" * 60)).mkdir(parents=True)
    assert [found.problem for found in files_below(tmp_path)] == ["too many folders in one another"]
