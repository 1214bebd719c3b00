"""The evening before a workshop: check the machine that will run the labs of all participants."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import ConfigError, EngineError, LabkitError
from labkit.lab._build import has_image
from labkit.lab._recipe import recipe_tag
from labkit.lab.capacity import Capacity
from labkit.lab.doctor import doctor
from labkit.resources import PACKAGE
from labkit.workshop.board_page import HOST, PORT, port_problem
from labkit.workshop.bundle import ROOT, images_of_modes
from labkit.workshop.engines import WorkshopEngine, connect_to
from labkit.workshop.linked_pages import with_pages
from labkit.workshop.participants import participants_notebooks
from labkit.workshop.room import NEEDS, fitting, left_for_labs, names_of, spread

__all__ = ["Finding", "bundle_finding", "readiness"]

DOCTOR = "labkit doctor"
OK, NOT_OK, UNKNOWN = "ok", "not ok", "unknown"
#: What is checked here for as many labs as there will be.
FOR_ALL = ("Memory", "Disk", "inotify")


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Parameters
    ----------
    name : str
        What was checked.
    verdict : str
        "ok", "not ok" or "unknown".
    detail : str
        What was found.
    fix : str
        The command to run next; "" if it is ok.
    """

    name: str
    verdict: str
    detail: str
    fix: str = ""


def readiness(
    participants: int,
    modes: Sequence[str],
    prefix: str,
    bundle: Path | None,
    port: int = PORT,
    contexts: Sequence[str] = (),
) -> list[Finding]:
    """Check everything that a workshop needs on the machine that runs the labs.

    Parameters
    ----------
    participants : int
        How many.
    modes : sequence of str
        The modes of the labs of each participant.
    prefix : str
        The beginning of the names of the labs.
    bundle : pathlib.Path or None
        The archive for the participants' machines; None if there will be none.
    port : int
        The port of the board's page.
    contexts : sequence of str
        The Docker contexts over which the labs are spread; without any, the default engine.

    Returns
    -------
    list of Finding

    Raises
    ------
    ConfigError
        The prefix, the number of participants or a context is not valid.
    """
    names_of(prefix, participants)
    return list(_findings(participants, modes, bundle, port, contexts))


def _findings(
    participants: int,
    modes: Sequence[str],
    bundle: Path | None,
    port: int,
    contexts: Sequence[str],
) -> Iterator[Finding]:
    engines: dict[str, WorkshopEngine | None] = {}
    for context in dict.fromkeys(contexts) or [""]:
        try:
            [engines[context]] = connect_to([context])
        except EngineError:
            engines[context] = None
    if len(engines) > 1 and None not in engines.values():
        connect_to(engines)  # which refuses one engine under two names
    images = images_of_modes(modes)
    for context, engine in engines.items():
        where = f"{context}: " if context else ""
        for check in doctor(engine.client if engine else None):
            if check.name not in FOR_ALL:
                verdict = OK if check.ok else NOT_OK
                fix = "" if check.ok else check.fix
                yield Finding(f"{where}{check.name}", verdict, check.detail, fix)
        yield from _images(where, engine, images)
    yield from _capacity(engines, participants, modes)
    yield _try(
        "Notebooks",
        _write_copies,
        "labkit workshop make DIR, which says what is wrong",
    )
    yield bundle_finding(bundle, images)
    problem = port_problem(port)
    where = f"{HOST}:{port} for the board"
    if problem:
        fix = f"labkit workshop board --serve --port 0; or: ss -ltnp sport = :{port}"
        yield Finding("Port", NOT_OK, f"{where}: {problem}", fix)
    else:
        yield Finding("Port", OK, f"{where} is free")


def _images(where: str, engine: WorkshopEngine | None, names: Sequence[str]) -> Iterator[Finding]:
    """Check the images that labs need beside the node image."""
    for name in names:
        tag, what = recipe_tag(name), f"{where}{name.capitalize()} image"
        if engine is not None and has_image(engine.client, tag):
            yield Finding(what, OK, tag)
        else:
            fix = f"labkit image build --image {name}, or labkit image load FILE"
            yield Finding(what, NOT_OK, f"{tag} is missing", fix)


def _capacity(
    engines: Mapping[str, WorkshopEngine | None], participants: int, modes: Sequence[str]
) -> Iterator[Finding]:
    """Check that the labs of all participants fit, besides those that are up already."""
    left: dict[str, Capacity] = {}
    for context, engine in engines.items():
        try:
            left[context] = left_for_labs(engine.client) if engine else Capacity()
        except LabkitError:
            left[context] = Capacity()
    rooms = {it: fitting(left[it], modes) for it in engines}
    seats = Counter(spread(map(str, range(participants)), rooms).values())
    for context in engines:
        where, labs = f"{context}: " if context else "", seats[context] * len(modes)
        for need in NEEDS:
            name = f"{where}{need.name.capitalize()} for {labs} labs"
            wanted = f"{need.shown(need.of(modes) * seats[context] + need.spare)} needed"
            amount = need.left(left[context])
            if amount is None:
                said = f"{wanted}; the engine did not say what is free"
                yield Finding(name, UNKNOWN, said, DOCTOR)
                continue
            fits = need.fitting(left[context], need.of(modes))
            detail = f"{need.shown(amount)} free, {wanted}; {fits * len(modes):.0f} labs fit"
            good = fits >= seats[context]
            yield Finding(name, OK if good else NOT_OK, detail, "" if good else need.fix)


def _try(name: str, action: Callable[[], str], fix: str) -> Finding:
    try:
        return Finding(name, OK, action())
    except (LabkitError, OSError) as error:
        return Finding(name, NOT_OK, getattr(error, "message", str(error)), fix)


def _write_copies() -> str:
    copies = participants_notebooks()
    with tempfile.TemporaryDirectory() as folder:
        for name, data in with_pages(copies).items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
    return f"{len(copies)} copies for participants can be written"


def bundle_finding(file: Path | None, images: Sequence[str] = ()) -> Finding:
    """Check that a bundle holds the present notebooks, labkit and images.

    Parameters
    ----------
    file : pathlib.Path or None
        The archive; None if no bundle was named.
    images : sequence of str
        The images that the labs need beside the node image.

    Returns
    -------
    Finding

    Examples
    --------
    >>> bundle_finding(None).verdict
    'unknown'
    """
    name = "Bundle"
    if file is None:
        fix = "labkit workshop doctor --bundle FILE; labkit bundle FILE writes one"
        return Finding(name, UNKNOWN, "no bundle was named", fix)
    again = f"labkit bundle {file}{''.join(f' --image {it}' for it in images)}"
    try:
        old, held = _differences(file)
    except FileNotFoundError:
        return Finding(name, NOT_OK, f"{file} does not exist", again)
    except (ConfigError, OSError, tarfile.TarError, zipfile.BadZipFile, KeyError, ValueError):
        return Finding(name, NOT_OK, f"{file} is not a complete bundle", again)
    if old:
        return Finding(name, NOT_OK, f"{file} is not fresh: other {', '.join(old)}", again)
    if missing := [it for it in images if it not in held]:
        return Finding(name, NOT_OK, f"{file} holds no {' and no '.join(missing)} image", again)
    return Finding(name, OK, f"{file} holds the present notebooks, labkit and images")


def _differences(file: Path) -> tuple[list[str], set[str]]:
    """Return which parts of a bundle differ from what is installed here, and its images."""
    old = []
    with tarfile.open(file, "r:") as archive:
        found = {it.name: it for it in archive.getmembers() if it.isfile()}

        def read(name: str) -> bytes:
            stream = archive.extractfile(found[f"{ROOT}/{name}"])
            return stream.read() if stream else b""

        top = f"{ROOT}/notebooks/"
        names = [name.removeprefix(top) for name in found if name.startswith(top)]
        copies = with_pages(participants_notebooks())
        if {name: read(f"notebooks/{name}") for name in names} != copies:
            old.append("notebooks")
        [wheel] = (name for name in found if name.startswith(f"{ROOT}/wheels/labkit-"))
        with zipfile.ZipFile(io.BytesIO(read(wheel.partition("/")[2]))) as packed:
            sources = {it: packed.read(it) for it in packed.namelist() if it.startswith("labkit/")}
        ours = {
            f"labkit/{path.relative_to(PACKAGE).as_posix()}": path.read_bytes()
            for path in PACKAGE.rglob("*.py")
            if "_data" not in path.relative_to(PACKAGE).parts
        }
        theirs = {
            name: data
            for name, data in sources.items()
            if name.endswith(".py") and not name.startswith("labkit/_data/")
        }
        if ours != theirs:
            old.append("labkit")
        images: dict[str, str] = json.loads(read("bundle.json"))["images"]
        for name in dict.fromkeys(["node", *images]):
            if f"{ROOT}/{name}.tar.gz" not in found:
                raise ConfigError(f"{file} holds no {name} image")
            if images.get(name) != recipe_tag(name):
                old.append(f"{name} image")
    return old, set(images)
