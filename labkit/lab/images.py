"""The images of a lab's machines: built from the recipe, or loaded from a file or a registry.

The tag of an image is the hash of its recipe. So labkit never uses an image of another version
by mistake.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from labkit.errors import ImageError
from labkit.lab._build import build_missing, has_image
from labkit.lab._recipe import IMAGES, recipe_hash, recipe_tag
from labkit.lab.progress import ProgressStep, Reporter

__all__ = [
    "ensure_image",
    "find_node_image",
    "load",
    "node_image_tag",
    "pull",
    "push",
    "save",
]

MIB = 1 << 20
# Seconds to wait for Docker while it reads or writes an image: minutes on a slow disk.
PATIENCE_S = 600


def node_image_tag() -> str:
    """Return the tag of the node image that labkit's recipe makes.

    Returns
    -------
    str
        ``labkit/node:HASH``. The engine may not have the image: see :func:`find_node_image`.

    Examples
    --------
    >>> node_image_tag().startswith("labkit/node:")
    True
    """
    return recipe_tag("node")


def find_node_image(client: docker.DockerClient) -> str | None:
    """Return the tag of the node image if the engine has the image.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.

    Returns
    -------
    str or None
        The tag, or None if the image must be built or loaded first.

    Examples
    --------
    >>> find_node_image(docker.from_env())  # doctest: +SKIP
    'labkit/node:0123456789ab'
    """
    tag = node_image_tag()
    return tag if has_image(client, tag) else None


def ensure_image(client: docker.DockerClient, name: str, report: Reporter) -> str:
    """Build an image of the recipe if the engine does not have it.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    name : str
        The name of the image in the recipe: "node", "provider".
    report : Reporter
        Shows one step for each image.

    Returns
    -------
    str
        The tag.

    Raises
    ------
    BuildFailed
        A build failed; the evidence is the end of its log.
    ImageError
        The base image can be neither pulled nor bootstrapped here.

    Examples
    --------
    >>> from labkit.lab.progress import make_reporter
    >>> ensure_image(docker.from_env(), "provider", make_reporter())  # doctest: +SKIP
    'labkit/provider:0123456789ab'
    """
    tag = recipe_tag(name)
    if not has_image(client, tag):
        try:
            build_missing(client, report, name)
        except ImageError as error:
            if name != "node":  # a laptop with a bundle may have the node image alone
                file = f"labkit image load FILE, with a file of labkit image save --image {name}"
                error.hint = f"without a network: {file}; {error.hint}"
            raise
    return tag


def save(client: docker.DockerClient, path: Path, report: Reporter, name: str = "node") -> int:
    """Write an image to a file that `load` and ``docker load`` can read.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    path : pathlib.Path
        The file, usually ``*.tar.gz``. An existing file is replaced once the new one is complete.
    report : Reporter
        Shows how much is written.
    name : str
        The name of the image in the recipe.

    Returns
    -------
    int
        The size of the file in bytes.

    Raises
    ------
    ImageError
        The image is missing, or the file cannot be written.

    Examples
    --------
    >>> from labkit.lab.progress import make_reporter
    >>> save(docker.from_env(), Path("node.tar.gz"), make_reporter())  # doctest: +SKIP
    262144000
    """
    tag = _present(client, name)
    part = path.with_name(f".{path.name}.part")
    try:
        with report.step(f"save {tag} to {path}") as step, _patient(client):
            written = 0
            with gzip.open(part, "wb", compresslevel=1) as file:
                for chunk in client.api.get_image(tag, chunk_size=MIB):
                    file.write(chunk)
                    written += len(chunk)
                    step.line(f"{written // MIB} MiB before compression")
            part.replace(path)
    except OSError as error:  # requests' errors are among these
        raise ImageError(
            f"cannot save {tag} to {path}: {error}", hint=f"df -h {path.parent}"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path.stat().st_size


def load(client: docker.DockerClient, path: Path, report: Reporter) -> str:
    """Load an image from a file that `save` wrote.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    path : pathlib.Path
        The file.
    report : Reporter
        Shows the check and the load.

    Returns
    -------
    str
        The tag.

    Raises
    ------
    ImageError
        The file is missing or damaged, or holds no image of this recipe for a lab's machines. The
        engine is then unchanged.

    Examples
    --------
    >>> from labkit.lab.progress import make_reporter
    >>> load(docker.from_env(), Path("node.tar.gz"), make_reporter())  # doctest: +SKIP
    'labkit/node:0123456789ab'
    """
    with report.step(f"check {path}"):
        name = _named(_archive_labels(path), str(path))
    with report.step(f"load {recipe_tag(name)}"), _patient(client):
        try:
            with path.open("rb") as file:
                client.images.load(file)
        except DockerException as error:
            raise ImageError(f"docker cannot load {path}: {error}") from error
    return _present(client, name)


def push(client: docker.DockerClient, registry: str, report: Reporter, name: str = "node") -> str:
    """Push an image to a registry.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    registry : str
        ``HOST:PORT``, or ``HOST:PORT/PREFIX``.
    report : Reporter
        Shows the progress of the push.
    name : str
        The name of the image in the recipe.

    Returns
    -------
    str
        The name of the image in the registry.

    Raises
    ------
    ImageError
        The image is missing, or the registry refuses it.

    Examples
    --------
    >>> from labkit.lab.progress import make_reporter
    >>> push(docker.from_env(), "127.0.0.1:5000", make_reporter())  # doctest: +SKIP
    '127.0.0.1:5000/labkit/node:0123456789ab'
    """
    tag = _present(client, name)
    repository, hash_ = _repository(registry, name), recipe_hash(name)
    with report.step(f"push {tag} to {registry}") as step, _remote_name(client, repository, hash_):
        client.api.tag(tag, repository, hash_)
        _follow(
            client.api.push(repository, hash_, stream=True, decode=True), "push", registry, step
        )
    return f"{repository}:{hash_}"


def pull(client: docker.DockerClient, registry: str, report: Reporter, name: str = "node") -> str:
    """Pull an image of labkit's recipe from a registry.

    Parameters
    ----------
    client : docker.DockerClient
        The engine.
    registry : str
        ``HOST:PORT``, or ``HOST:PORT/PREFIX``, as in the push.
    report : Reporter
        Shows the progress of the pull.
    name : str
        The name of the image in the recipe.

    Returns
    -------
    str
        The tag, without the registry's name.

    Raises
    ------
    ImageError
        The registry does not answer, has no image of this recipe, or has another image of that
        name.

    Examples
    --------
    >>> from labkit.lab.progress import make_reporter
    >>> pull(docker.from_env(), "127.0.0.1:5000", make_reporter())  # doctest: +SKIP
    'labkit/node:0123456789ab'
    """
    repository, hash_ = _repository(registry, name), recipe_hash(name)
    remote = f"{repository}:{hash_}"
    with report.step(f"pull {remote}") as step, _remote_name(client, repository, hash_):
        _follow(
            client.api.pull(repository, hash_, stream=True, decode=True), "pull", registry, step
        )
        if _named(client.images.get(remote).labels, remote) != name:
            raise ImageError(f"{remote} is another image of labkit, under that name")
        client.api.tag(remote, f"labkit/{name}", hash_)
    return _present(client, name)


def _present(client: docker.DockerClient, name: str) -> str:
    tag = recipe_tag(name)
    if not has_image(client, tag):
        option = "" if name == "node" else f" --image {name}"
        raise ImageError(f"the image {tag} is missing", hint=f"labkit image build{option}")
    return tag


def _repository(registry: str, name: str) -> str:
    return f"{registry.removesuffix('/')}/labkit/{name}"


@contextlib.contextmanager
def _patient(client: docker.DockerClient) -> Iterator[None]:
    before = client.api.timeout
    client.api.timeout = PATIENCE_S
    try:
        yield
    finally:
        client.api.timeout = before


@contextlib.contextmanager
def _remote_name(client: docker.DockerClient, repository: str, hash_: str) -> Iterator[None]:
    """Remove the registry's tag from the image at the end, and translate Docker's errors."""
    name = f"{repository}:{hash_}"
    try:
        yield
    except DockerException as error:
        hint = f"curl http://{repository.partition('/')[0]}/v2/"
        raise ImageError(f"the transfer of {name} failed: {error}", hint=hint) from error
    finally:
        with contextlib.suppress(ImageNotFound, APIError):
            client.api.remove_image(name, noprune=True)


def _follow(events: Iterable[dict[str, Any]], verb: str, registry: str, step: ProgressStep) -> None:
    """Read Docker's progress messages of a transfer; an error is one of them."""
    for event in events:
        if "error" in event:
            reason = str(event["error"])
            hint = f"curl http://{registry.partition('/')[0]}/v2/"
            if "HTTP response to HTTPS" in reason:
                hint = 'the registry has no TLS: add it to "insecure-registries" in daemon.json'
            elif "not found" in reason or "manifest unknown" in reason:
                hint = f"labkit image push {registry}, on a machine with this version of labkit"
            raise ImageError(f"cannot {verb}: {registry} refuses", evidence=[reason], hint=hint)
        step.line(" ".join(str(event.get(key, "")) for key in ("id", "status", "progress")))


def _archive_labels(path: Path) -> dict[str, str]:
    """Return the labels of the image in an archive; read all of it, to find damage."""
    small: dict[str, bytes] = {}
    try:
        with gzip.open(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                if member.isfile() and member.size < MIB:
                    file = tar.extractfile(member)
                    small[member.name] = file.read() if file else b""
            # the checksum of the compressed file stands after the end of the archive
            while stream.read(MIB):
                pass
        (entry,) = json.loads(small["manifest.json"])
        labels = json.loads(small[entry["Config"]])["config"].get("Labels") or {}
    except FileNotFoundError as error:
        raise ImageError(f"there is no file {path}", hint="ls -l " + str(path.parent)) from error
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise ImageError(
            f"{path} is damaged, or is not a saved image",
            evidence=[f"{type(error).__name__}: {error}"],
            hint="copy it again, and compare sha256sum on both machines",
        ) from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ImageError(
            f"{path} is an archive, but does not hold exactly one Docker image",
            evidence=[f"{type(error).__name__}: {error}"],
            hint="labkit image save FILE",
        ) from error
    return {str(key): str(value) for key, value in labels.items()}


def _named(labels: dict[str, str], where: str) -> str:
    """Return the name of an image of this version of labkit for a lab's machines."""
    kind, found = labels.get("labkit.image", ""), labels.get("labkit.recipe")
    if kind not in IMAGES or not IMAGES[kind].starts_machines or found is None:
        raise ImageError(
            f"{where} holds no image for the machines of a lab",
            evidence=[f"labels: {labels}"],
            hint="labkit image save FILE, on a machine with this version of labkit",
        )
    if found != recipe_hash(kind):
        raise ImageError(
            f"{where} holds the {kind} image of recipe {found}; "
            f"this labkit has recipe {recipe_hash(kind)}",
            hint="labkit image build, or use the version of labkit that built the image",
        )
    return kind
