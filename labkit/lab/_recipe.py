"""The recipe of the images: their names, their files, their parents, and the hash of all that."""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import ConfigError
from labkit.resources import environments_dir

__all__ = ["IMAGES", "File", "Image", "recipe_files", "recipe_hash", "recipe_tag"]


@dataclass(frozen=True)
class Image:
    """One image of the recipe.

    Attributes
    ----------
    name : str
        The name of its folder in ``environments/images``; the repository is ``labkit/NAME``.
    title : str
        The title of its build step on the screen.
    parents : tuple of str
        The names of the images that it is built from.
    starts_machines : bool
        Machines of a lab are containers of it; the others are parts of such images.
    """

    name: str
    title: str
    parents: tuple[str, ...] = ()
    starts_machines: bool = False


# Parents stand before their children. Every part is an image, so that a change of one part
# compiles and downloads only what depends on it.
IMAGES = {
    image.name: image
    for image in (
        Image("base", "Debian base"),
        Image("go", "Go compiler", ("base",)),
        Image("kubernetes", "compile Kubernetes and etcd", ("go",)),
        Image("runtime", "compile containerd, CNI plugins and flanneld", ("go",)),
        Image("system", "Debian packages of a node", ("base",)),
        Image("node", "node image", ("system", "kubernetes", "runtime"), starts_machines=True),
        # not a part of the node image: only labs with an OpenID provider need it
        Image("provider", "OpenID provider", ("base", "node"), starts_machines=True),
        # and this one only labs whose apiserver asks webhooks
        Image("reviewer", "compile Open Policy Agent", ("go", "node"), starts_machines=True),
        Image("cloud", "stand-in for a cloud", ("base", "node"), starts_machines=True),
        # labs that collect journals and metrics: the collector, and what sends to it
        Image("monitor", "Debian packages of a monitor", ("node",), starts_machines=True),
    )
}


@dataclass(frozen=True)
class File:
    """A file of a recipe: the name, the content and the mode that its hash covers.

    Attributes
    ----------
    name : str
        Its path in the image's folder.
    content : bytes
    executable : bool
    """

    name: str
    content: bytes
    executable: bool


def recipe_files(folder: Path) -> list[File]:
    """Read the files of one image's folder.

    Parameters
    ----------
    folder : pathlib.Path
        A folder with a Dockerfile.

    Returns
    -------
    list of File
        Sorted by name, without hidden files and Python's caches.

    Raises
    ------
    ConfigError
        The folder has no Dockerfile.

    Examples
    --------
    >>> from labkit.resources import environments_dir
    >>> [file.name for file in recipe_files(environments_dir() / "images" / "node")][0]
    'Dockerfile'
    """
    if not (folder / "Dockerfile").is_file():
        raise ConfigError(
            f"the recipe of the images is not complete: {folder / 'Dockerfile'} is missing",
            hint="install labkit again; in a clone: git status environments/images",
        )
    files = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(p.startswith(".") or p == "__pycache__" for p in parts):
            files.append(File("/".join(parts), path.read_bytes(), os.access(path, os.X_OK)))
    return sorted(files, key=lambda file: file.name)


def recipe_hash(name: str, images_dir: Path | None = None) -> str:
    """Return the hash of an image's recipe: of its files and of its parents' recipes.

    Parameters
    ----------
    name : str
        A name in `IMAGES`.
    images_dir : pathlib.Path, optional
        The folder of the recipes; by default labkit's own.

    Returns
    -------
    str
        Twelve hexadecimal digits.

    Raises
    ------
    ConfigError
        A folder of the recipe has no Dockerfile.

    Examples
    --------
    >>> len(recipe_hash("node"))
    12
    """
    images_dir = images_dir or environments_dir() / "images"

    @functools.cache
    def digest(image: str) -> str:
        sha = hashlib.sha256()
        # the lengths are hashed too, so that two different recipes never give the same bytes
        for part in (
            *(digest(parent).encode() for parent in IMAGES[image].parents),
            *(
                part
                for file in recipe_files(images_dir / image)
                for part in (file.name.encode(), b"x" if file.executable else b"-", file.content)
            ),
        ):
            sha.update(b"%d:" % len(part) + part)
        return sha.hexdigest()

    return digest(name)[:12]


def recipe_tag(name: str) -> str:
    """Return the tag of an image that labkit's own recipe makes.

    Parameters
    ----------
    name : str
        A name in `IMAGES`.

    Returns
    -------
    str
        ``labkit/NAME:HASH``.

    Examples
    --------
    >>> recipe_tag("node").split(":")[0]
    'labkit/node'
    """
    return f"labkit/{name}:{recipe_hash(name)}"
