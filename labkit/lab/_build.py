"""Build the images of the recipe that are missing, each one after its parent images."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import queue
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from labkit.errors import BuildFailed, ImageError
from labkit.lab._recipe import IMAGES, Image, recipe_files, recipe_hash, recipe_tag
from labkit.lab.progress import ProgressStep, Reporter
from labkit.resources import environments_dir, state_dir

__all__ = ["build_missing", "has_image"]

DEBIAN = "trixie"
PULLED_BASE = f"debian:{DEBIAN}-slim"
# Seconds of silence after which a registry counts as unreachable.
REGISTRY_SILENCE_S = 10.0
PACKAGES_MIRROR = "http://deb.debian.org/debian"
SECURITY_MIRROR = "http://deb.debian.org/debian-security"
EVIDENCE_LINES = 20
CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Files of a bootstrapped base that a pulled base does not have.
NOT_IN_BASE = (
    "./var/lib/apt/lists/*",
    "./var/cache/apt/*",
    "./var/log/*",
    "./usr/share/doc/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    # debootstrap copies these two from the host
    "./etc/hostname",
    "./etc/resolv.conf",
)
SETTINGS_OF_HOST = (
    "GOPROXY",
    "GOSUMDB",
    "GONOSUMDB",
    "PIP_INDEX_URL",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)


class _StoppedError(Exception):
    """Another build failed, or a person interrupted the command."""


class _Log:
    """The log of one image's build: a file, and the latest line for the progress display."""

    def __init__(self, path: Path, file: TextIO, step: ProgressStep, stop: threading.Event) -> None:
        self.path = path
        self._file = file
        self._step = step
        self._stop = stop

    def write(self, text: str) -> None:
        """Write output of the build; raise `_StoppedError` if the build has to stop."""
        if self._stop.is_set():
            raise _StoppedError
        for line in CONTROL_SEQUENCE.sub("", text).splitlines():
            if line.strip():
                print(line.rstrip(), file=self._file, flush=True)
                self._step.line(line)

    def failed(self, title: str, reason: str) -> BuildFailed:
        """Return the error of a failed build, with the end of its log."""
        self._file.flush()
        lines = self.path.read_text(errors="replace").splitlines()
        return BuildFailed(
            f"{title} failed: {reason.strip()}",
            evidence=lines[-EVIDENCE_LINES:],
            hint=f"less {self.path}",
        )


def has_image(client: docker.DockerClient, tag: str) -> bool:
    """Say whether the engine has an image with this tag.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    tag : str
        ``REPOSITORY:TAG``.

    Returns
    -------
    bool
    """
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def build_missing(client: docker.DockerClient, report: Reporter, name: str = "node") -> None:
    """Build an image of the recipe, and those of its parent images that are missing.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    report : Reporter
        Shows one step for each image.
    name : str
        A name in `IMAGES`.

    Raises
    ------
    BuildFailed
        A build failed; the other builds were stopped.
    ImageError
        The base image can be neither pulled nor bootstrapped here.
    """
    with _only_one(report):
        missing = _missing(client, name)
        stop = threading.Event()
        with ThreadPoolExecutor(max_workers=max(len(missing), 1)) as pool:
            futures: dict[str, Future[None]] = {}
            try:
                for image in missing:
                    parents = [futures[p] for p in image.parents if p in futures]
                    futures[image.name] = pool.submit(
                        _build_after, parents, client, image, report, stop
                    )
                _wait(futures.values(), stop)
            finally:
                stop.set()
        _remove_stages(client)


def _missing(client: docker.DockerClient, wanted: str) -> list[Image]:
    """Return the images to build, parents first; an existing image needs no parents."""
    needed: set[str] = set()

    def need(name: str) -> None:
        if name not in needed and not has_image(client, recipe_tag(name)):
            needed.add(name)
            for parent in IMAGES[name].parents:
                need(parent)

    need(wanted)
    return [image for image in IMAGES.values() if image.name in needed]


def _wait(futures: Iterable[Future[None]], stop: threading.Event) -> None:
    """Wait for all builds; the first error stops the other builds, and is raised."""
    for future in futures:
        future.add_done_callback(lambda done: stop.set() if done.exception() else None)
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, _StoppedError):
            raise error


def _build_after(
    parents: Iterable[Future[None]],
    client: docker.DockerClient,
    image: Image,
    report: Reporter,
    stop: threading.Event,
) -> None:
    for parent in parents:
        if parent.exception() is not None:
            raise _StoppedError
    if stop.is_set():
        raise _StoppedError
    path = state_dir() / f"build-{image.name}-{recipe_hash(image.name)}.log"
    with report.step(image.title) as step, path.open("w") as file:
        _build(client, image, _Log(path, file, step, stop))


def _build(client: docker.DockerClient, image: Image, log: _Log) -> None:
    arguments = {p.upper(): recipe_tag(p) for p in image.parents}
    arguments |= {key: os.environ[key] for key in SETTINGS_OF_HOST if key in os.environ}
    extra: dict[str, bytes] = {}
    root = ""
    if image.name == "base":
        root = _root(client, log)
        packages, security = debian_mirrors(_apt_sources())
        arguments |= {"ROOT": root, "MIRROR": packages, "SECURITY_MIRROR": security}
    elif image.name in ("go", "provider", "cloud"):
        extra["host-ca.crt"] = host_certificates(os.environ)
    try:
        events = client.api.build(
            fileobj=_context(image, extra),
            custom_context=True,
            tag=recipe_tag(image.name),
            buildargs=arguments,
            labels={"labkit.image": image.name, "labkit.recipe": recipe_hash(image.name)},
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in events:
            if "error" in event:
                raise log.failed(image.title, event["error"])
            log.write(event.get("stream") or event.get("status") or "")
    except DockerException as error:
        raise log.failed(image.title, str(error)) from error
    finally:
        if root.startswith("labkit/"):
            with contextlib.suppress(APIError):
                client.api.remove_image(root)
    if not has_image(client, recipe_tag(image.name)):
        raise log.failed(image.title, "the build ended without an image")


def _context(image: Image, extra: Mapping[str, bytes]) -> io.BytesIO:
    """Return the build context: the files that the hash covers, and the certificates."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        files = [
            (file.name, file.content, 0o755 if file.executable else 0o644)
            for file in recipe_files(environments_dir() / "images" / image.name)
        ]
        for name, content, mode in files + [(n, c, 0o644) for n, c in extra.items()]:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def host_certificates(environment: Mapping[str, str]) -> bytes:
    """Return the CA certificates that this host trusts; empty if it has none.

    Parameters
    ----------
    environment : mapping of str to str
        The environment variables; ``SSL_CERT_FILE`` names another bundle.

    Returns
    -------
    bytes
        PEM.

    Examples
    --------
    >>> host_certificates({"SSL_CERT_FILE": "/nowhere"})
    b''
    """
    path = Path(environment.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")
    return path.read_bytes() if path.is_file() else b""


def _apt_sources() -> str:
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    return "\n".join(f.read_text(errors="replace") for f in files if f.is_file())


def debian_mirrors(sources: str) -> tuple[str, str]:
    """Return the URLs of a mirror of Debian's packages and of its security updates.

    Parameters
    ----------
    sources : str
        The text of the host's apt sources, in either of apt's two formats.

    Returns
    -------
    packages, security : str
        The host's own mirrors if it names plain-HTTP ones, else Debian's. The base image has no
        CA certificates; plain HTTP is safe because apt checks the signatures of packages.

    Examples
    --------
    >>> debian_mirrors("deb [arch=amd64] http://mirror.example/debian/ trixie main")
    ('http://mirror.example/debian', 'http://deb.debian.org/debian-security')
    """
    lines = [line for line in sources.splitlines() if not line.lstrip().startswith("#")]
    urls = [url.rstrip("/") for url in re.findall(r"http://[^\s\]]+", "\n".join(lines))]
    packages = next((url for url in urls if url.endswith("/debian")), PACKAGES_MIRROR)
    security = next((url for url in urls if url.endswith("/debian-security")), SECURITY_MIRROR)
    return packages, security


def _root(client: docker.DockerClient, log: _Log) -> str:
    """Return the name of a plain Debian image: pulled if possible, else bootstrapped."""
    if has_image(client, PULLED_BASE) or _pull(client, log):
        return PULLED_BASE
    log.write("no registry answers: bootstrap Debian from its packages")
    if os.geteuid() != 0:
        raise ImageError(
            f"cannot pull {PULLED_BASE}, and only root can bootstrap Debian instead",
            hint="use sudo, or labkit image load FILE with a file of labkit image save FILE",
        )
    if shutil.which("debootstrap") is None:
        if shutil.which("apt-get") is None:
            raise ImageError(
                f"cannot pull {PULLED_BASE}, and debootstrap is not installed",
                hint="install debootstrap, or: labkit image load FILE",
            )
        wanted = ["debootstrap", "debian-archive-keyring"]
        _run(["apt-get", "update"], log)
        _run(["apt-get", "install", "-y", "--no-install-recommends", *wanted], log)
    return _bootstrap(client, log)


def _pull(client: docker.DockerClient, log: _Log) -> bool:
    """Pull the base; return False if the registry refuses or does not answer."""
    events: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def pull() -> None:
        try:
            for event in client.api.pull(PULLED_BASE, stream=True, decode=True):
                events.put(event)
        except DockerException as error:
            events.put({"error": str(error)})
        events.put(None)

    threading.Thread(target=pull, daemon=True).start()
    try:
        while (event := events.get(timeout=REGISTRY_SILENCE_S)) is not None:
            if "error" in event:
                log.write(f"docker pull {PULLED_BASE}: {event['error']}")
                return False
            log.write(str(event.get("status", "")))
    except queue.Empty:
        log.write(f"docker pull {PULLED_BASE}: no answer in {REGISTRY_SILENCE_S:.0f} s")
        return False
    return has_image(client, PULLED_BASE)


def _bootstrap(client: docker.DockerClient, log: _Log) -> str:
    folder = Path(tempfile.mkdtemp(prefix="labkit-base-", dir="/var/tmp"))
    try:
        command = ["debootstrap", "--variant=minbase"]
        keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
        if keyring.is_file():
            command.append(f"--keyring={keyring}")
        command += [DEBIAN, str(folder), debian_mirrors(_apt_sources())[0]]
        scripts = Path("/usr/share/debootstrap/scripts")
        # a debootstrap that is older than the release has no script for it; sid's is the same
        if not (scripts / DEBIAN).exists():
            command.append(str(scripts / "sid"))
        _run(command, log)
        name, hash_ = "labkit/bootstrap", recipe_hash("base")
        exclude = [f"--exclude={pattern}" for pattern in NOT_IN_BASE]
        tar = ["tar", "-C", str(folder), "--one-file-system", *exclude, "-c", "."]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            chunks = iter(lambda: process.stdout.read(1 << 20), b"")  # type: ignore[union-attr]
            client.api.import_image_from_stream(chunks, repository=name, tag=hash_)
        if process.returncode:
            raise log.failed("Debian base", f"tar ended with {process.returncode}")
        return f"{name}:{hash_}"
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)


def _run(command: list[str], log: _Log) -> None:
    log.write(f"+ {' '.join(command)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                log.write(line)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise log.failed(command[0], f"exit status {process.returncode}")


def _remove_stages(client: docker.DockerClient) -> None:
    """Remove the stages that compiled binaries: the images hold copies of the binaries."""
    client.images.prune(filters={"dangling": True, "label": ["labkit.stage"]})


@contextlib.contextmanager
def _only_one(report: Reporter) -> Iterator[None]:
    """Let one process at a time build; the next process then finds the images built."""
    with (state_dir() / "build.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with report.step("wait for another labkit process that builds images"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
