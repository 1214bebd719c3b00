"""Read thousands of broken folders: environments, copied machines, dumps and models by hand.

``make fuzz SEED=1 ROUNDS=10000``, or ``python tests/cluster/fuzz.py SEED ROUNDS [FIRST]``. Each
round breaks a few things of a good folder, reads it, and repairs it. A round fails if the reader
raises anything but labkit's own errors, takes longer than 10 seconds, ends the interpreter, or
takes what no lab starts with without a word. ``python tests/cluster/fuzz.py SEED 1 ROUND`` plays
one round again.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from labkit.cluster import read_cluster, read_dump, read_environment
from labkit.cluster.syntax.disk import FILES
from labkit.errors import LabkitError
from labkit.loading import load_model
from labkit.model import read_model
from labkit.resources import environments_dir

#: Seconds for one round, and bytes for the whole process.
BOUND, MEMORY = 10, 4_000_000_000
#: The model is read too, of each of so many rounds: it takes longer than the rest.
MODEL = 10
ODD_NAMES = (
    "two\nlines",
    "bell\a",
    "\udcff",
    "a" * 200,
    "-rf",
    "$(id)",
    "ünïcode",
    ".hidden",
    "%n",
)
TEXTS = (
    "[" * 100_000,
    "- " * 100_000,
    "a: &a [*a]\n",
    "a: 0x" + "f" * 9_000 + "\n",
    "a: !!timestamp x\n",
    'a: "\\ud800"\n',
    "{" * 5_000,
    "\0",
    "",
    "---\n" * 1_000,
    "null\n",
    "[]\n",
    "a: " + "x" * 100_000 + "\n",
    '{"kind": "List", "items": [' + "[" * 50_000,
    "roles: 5\nnodes: [1]\nusers: x\nkind: []\nmetadata: 3\n",
    "." * 5_000 + " = 1\n",
)
WORDS = (
    "maybe",
    "off",
    "ABACC",
    "-1",
    "99999999",
    "{}",
    "[]",
    "null",
    "~",
    "''",
    "/../../x",
    "%",
    "$",
)
SWITCHES = ("--anonymous-auth=", "--client-cert-auth=", "--peer-client-cert-auth=", "--tlsverify=")
#: What both environments of the kit share.
KIT = ("common", "topology.yaml")
Undo = Callable[[], None]


@dataclass
class Broken:
    """What a round did to a folder, how to undo it, and the files with which no lab starts."""

    said: list[str] = field(default_factory=list)
    undo: list[Undo] = field(default_factory=list)
    fatal: set[Path] = field(default_factory=set)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.bind(path.name)
    finally:
        os.chdir(here)


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 3_000_000_000)


def _is_small(path: Path) -> bool:
    """Say whether a path is a file, and not one that another change made huge."""
    return not path.is_symlink() and path.is_file() and path.stat().st_size < 1_000_000


#: What may stand where a file is expected. None of it is ever a file of a lab.
KINDS: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "socket": _socket,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link out": lambda path: path.symlink_to("/etc/passwd"),
    "link out, relative": lambda path: path.symlink_to("../" * 30 + "etc/passwd"),
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "huge": _huge,
    "latin-1": lambda path: path.write_bytes(b"name: caf\xe9\n"),
    "NUL": lambda path: path.write_bytes(b"name: \0\n"),
}

#: A lab copies what it does not read, so these are wrong only where labkit reads a text.
CONTENT = frozenset({"huge", "latin-1", "NUL"})


class Folder:
    """A good folder, and how to break and read it."""

    def __init__(self, root: Path, read: Callable[[], Any], *parts: str, refuses: bool) -> None:
        self.root, self.read, self.refuses = root, read, refuses
        places = [root / part for part in parts] or [root]
        found = [path for place in places for path in (place, *place.rglob("*"))]
        self.files = sorted(path for path in found if path.is_file())
        self.unknowns = {str(item) for item in getattr(read(), "unknowns", ())}

    def round(self, rng: random.Random) -> tuple[Broken, str]:
        """Break the folder, read it, repair it; return what was done, and what went wrong."""
        broken = Broken()
        try:
            for _ in range(rng.choice((1, 1, 1, 2, 4))):
                rng.choice(WAYS)(self, rng, broken)
            return broken, self._judge(broken)
        finally:
            for undo in reversed(broken.undo):
                undo()

    def _judge(self, broken: Broken) -> str:
        began = time.monotonic()
        signal.alarm(BOUND)
        try:
            found = self.read()
            new = {str(item) for item in getattr(found, "unknowns", ())} - self.unknowns
            "\n".join(new).encode()
            if broken.fatal and (self.refuses or not new):
                return "taken without a word"
        except LabkitError as error:
            str(error).encode()
            if not error.message:
                return "an error without a message"
        except _Hang:
            return f"hangs: more than {BOUND} s"
        except BaseException as error:
            return f"traceback: {type(error).__name__}: {error}"
        finally:
            signal.alarm(0)
        return f"slow: {time.monotonic() - began:.1f} s" if time.monotonic() - began > BOUND else ""

    def set(self, path: Path, broken: Broken, make: Callable[[Path], object]) -> None:
        """Put something else in a file's place, and remember the file."""
        old = path.read_bytes() if _is_small(path) else None
        if old is None and os.path.lexists(path):
            return
        path.unlink(missing_ok=True)
        make(path)
        broken.fatal.discard(path)

        def undo() -> None:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            if old is not None:
                path.write_bytes(old)

        broken.undo.append(undo)


def _a_kind(folder: Folder, rng: random.Random, broken: Broken) -> None:
    path, (name, make) = rng.choice(folder.files), rng.choice(sorted(KINDS.items()))
    broken.said.append(f"{path.relative_to(folder.root)} is a {name}")
    before = len(broken.undo)
    folder.set(path, broken, make)
    # a folder is like a file that is not there, unless only files have such names
    missing = name == "folder" and not (folder.refuses and path.name.endswith(FILES))
    if len(broken.undo) > before and name not in CONTENT and not missing:
        broken.fatal.add(path)


def _a_text(folder: Folder, rng: random.Random, broken: Broken) -> None:
    path, text = rng.choice(folder.files), rng.choice(TEXTS)
    broken.said.append(f"{path.relative_to(folder.root)} is {text[:20]!r}...")
    folder.set(path, broken, lambda it: it.write_text(text))


def _some_bytes(folder: Folder, rng: random.Random, broken: Broken) -> None:
    path = rng.choice(folder.files)
    if not _is_small(path):
        return
    data = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(data) + 1)
        size = rng.choice((0, 1, 1, 5, 50))
        data[at : at + size] = rng.randbytes(rng.choice((0, 1, 3))) or bytes(
            data[: rng.randrange(40)]
        )
    broken.said.append(f"bytes of {path.relative_to(folder.root)}")
    folder.set(path, broken, lambda it: it.write_bytes(bytes(data)))


def _a_word(folder: Folder, rng: random.Random, broken: Broken) -> None:
    path = rng.choice(folder.files)
    if not _is_small(path):
        return
    lines = path.read_bytes().decode(errors="replace").split("\n")
    line = rng.randrange(len(lines))
    words = lines[line].split(" ")
    words[rng.randrange(len(words))] = rng.choice(WORDS)
    lines[line] = " ".join(words) if rng.random() < 0.8 else lines[rng.randrange(len(lines))]
    broken.said.append(f"a word of {path.relative_to(folder.root)}:{line + 1}")
    folder.set(path, broken, lambda it: it.write_text("\n".join(lines)))


def _a_switch(folder: Folder, rng: random.Random, broken: Broken) -> None:
    """Set a switch, or the mode, to what no component reads."""
    for path in rng.sample(folder.files, len(folder.files)):
        if path.suffix != ".service" or not _is_small(path):
            continue
        text = path.read_text(errors="replace")
        for flag in (*SWITCHES, "--authorization-mode=", "--tls-min-version="):
            if flag in text:
                new = text.replace(flag, f"{flag}{rng.choice(('maybe', 'on', 'no', 'X'))}", 1)
                broken.said.append(f"{flag} of {path.relative_to(folder.root)}")
                folder.set(path, broken, partial(Path.write_text, data=new))
                broken.fatal.add(path)
                return


def _an_encoding(folder: Folder, rng: random.Random, broken: Broken) -> None:
    path = rng.choice(folder.files)
    if not _is_small(path):
        return
    name = rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7", "cp037"))
    data = path.read_bytes()[:100_000].decode(errors="replace").encode(name, errors="replace")
    broken.said.append(f"{path.relative_to(folder.root)} in {name}")
    folder.set(path, broken, lambda it: it.write_bytes(data))


def _a_name(folder: Folder, rng: random.Random, broken: Broken) -> None:
    path, name = rng.choice(folder.files), rng.choice(ODD_NAMES)
    new = path.with_name(name + rng.choice(("", path.suffix)))
    if not path.parent.is_dir():
        return
    broken.said.append(f"a file named {new.name!a} in {path.parent.relative_to(folder.root)}")
    data = path.read_bytes() if _is_small(path) else b""
    folder.set(new, broken, lambda it: it.write_bytes(data))


def _a_mode(folder: Folder, rng: random.Random, broken: Broken) -> None:
    path = rng.choice(folder.files)
    if _is_small(path):
        broken.said.append(f"no permission on {path.relative_to(folder.root)}")
        path.chmod(rng.choice((0o000, 0o200, 0o111)))
        broken.undo.append(lambda: path.chmod(0o644) if path.exists() else None)


def _gone(folder: Folder, rng: random.Random, broken: Broken) -> None:
    path = rng.choice(folder.files)
    broken.said.append(f"without {path.relative_to(folder.root)}")
    folder.set(path, broken, lambda _: None)


def _a_folder_link(folder: Folder, rng: random.Random, broken: Broken) -> None:
    """Put a link out of the folder beside the files."""
    path = rng.choice(folder.files).parent / f"link{rng.choice(('', '.d', '.json'))}"
    if path.parent.is_dir() and not os.path.lexists(path):
        broken.said.append(f"a link to / in {path.parent.relative_to(folder.root)}")
        path.symlink_to("/" if rng.random() < 0.5 else "..")
        broken.undo.append(path.unlink)


WAYS = (
    _a_kind,
    _a_text,
    _some_bytes,
    _some_bytes,
    _a_word,
    _a_word,
    _a_switch,
    _an_encoding,
    _a_name,
    _a_mode,
    _gone,
    _a_folder_link,
)


class _Hang(BaseException):
    """A round took too long."""


def _hang(*_: object) -> None:
    raise _Hang


def folders(root: Path) -> list[Folder]:
    """Return good folders of each kind, below an empty folder."""
    kit = root / "kit"
    for name in ("insecure", "hardened", "common"):
        shutil.copytree(environments_dir() / name, kit / name)
    shutil.copy(environments_dir() / "topology.yaml", kit)
    copied = root / "copied"
    for name in ("master", "worker"):
        shutil.copytree(environments_dir() / "hardened" / name, copied / name)
    shutil.copytree(environments_dir() / "hardened/manifests", copied / "manifests")
    dump = root / "dump"
    dump.mkdir()
    for name, kind, more in (
        ("nodes", "Node", ""),
        ("pods", "Pod", ', "spec": {"nodeName": "a", "containers": [{"command": ["x"]}]}'),
        ("roles", "ClusterRole", ', "rules": [{"verbs": ["*"], "resources": ["*"]}]'),
    ):
        item = f'{{"kind": "{kind}", "metadata": {{"name": "a", "namespace": "n"}}{more}}}'
        (dump / f"{name}.json").write_text(f'{{"kind": "List", "items": [\n{item},\n{item}]}}\n')
    hand = root / "hand"
    hand.mkdir()
    model = "name: x\ncomponents:\n  a: {kind: etcd}\n  b: {}\nchannels:\n  - {from: b, to: a}\n"
    (hand / "model.yaml").write_text(model)
    shutil.copy(Path(__file__).parents[1] / "formats/foreign/shop.otm.json", hand)
    count = 0

    def environment(name: str) -> Any:
        nonlocal count
        count += 1
        env = read_environment(kit / name)
        if not count % MODEL:
            read_model(env)
        return env

    return [
        Folder(kit, lambda: environment("insecure"), *KIT, "insecure", refuses=True),
        Folder(kit, lambda: environment("hardened"), *KIT, "hardened", refuses=True),
        Folder(copied, lambda: read_cluster(copied), refuses=False),
        Folder(dump, lambda: read_dump(dump), refuses=False),
        Folder(hand, lambda: load_model(hand / "model.yaml"), "model.yaml", refuses=True),
        Folder(hand, lambda: load_model(hand / "shop.otm.json"), "shop.otm.json", refuses=True),
    ]


def play(seed: int, rounds: int, first: int = 0) -> Iterator[tuple[int, str, str]]:
    """Play rounds; yield the number of each, what was done, and what went wrong."""
    signal.signal(signal.SIGALRM, _hang)
    with tempfile.TemporaryDirectory(prefix="labkit-fuzz-") as name:
        known = folders(Path(name))
        for number in range(first, first + rounds):
            rng = random.Random(f"{seed}-{number}")
            broken, wrong = known[number % len(known)].round(rng)
            yield number, "; ".join(broken.said), wrong


def _child(seed: int, rounds: int, first: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number, said, wrong in play(seed, rounds, first):
        print(f"{number}\t{said}\t{wrong}", flush=True)


def main() -> int:
    """Play all rounds in processes of their own, because a round may end the interpreter."""
    if sys.argv[1] == "--child":
        _child(*map(int, sys.argv[2:]))
        return 0
    seed, rounds, *rest = map(int, sys.argv[1:])
    first = rest[0] if rest else 0
    last, failures, slowest, began = first + rounds, 0, 0.0, time.monotonic()
    while first < last:
        argv = [sys.executable, __file__, "--child", str(seed), str(last - first), str(first)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, errors="replace") as child:
            assert child.stdout is not None
            since = time.monotonic()
            for line in child.stdout:
                number, said, wrong = line.rstrip("\n").split("\t")
                first = int(number) + 1
                slowest, since = max(slowest, time.monotonic() - since), time.monotonic()
                if wrong:
                    failures += 1
                    print(f"seed {seed} round {number}: {wrong}\n  {said}")
        if child.returncode:
            failures += 1
            print(f"seed {seed} round {first}: the interpreter ended with {child.returncode}")
            first += 1
    took = time.monotonic() - began
    print(
        f"seed {seed}: {rounds} rounds, {failures} failures, {took:.0f} s, slowest {slowest:.1f} s"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
