"""Read a model from a file that another tool or labkit wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from labkit.cluster.syntax.disk import MAX_MODEL, file_text
from labkit.cluster.syntax.source import broken
from labkit.cluster.syntax.yamldoc import Document
from labkit.formats.documents import parse
from labkit.formats.table import FORMATS, Format, find, write
from labkit.formats.visible import agreed, foreign
from labkit.model import Model

__all__ = ["read", "read_text", "recognized"]


def read(path: Path | str, format: str = "") -> Model:  # noqa: A002
    """Read a model from a file.

    Parameters
    ----------
    path : path or str
    format : str, optional
        A name from :data:`labkit.formats.FORMATS`. The default is to recognize the format by
        the content.

    Returns
    -------
    Model
        A property that the file does not give is unknown, with the file and the line as its
        source. A file that :func:`labkit.formats.write` wrote gives an equal model.

    Raises
    ------
    ConfigError
        The file cannot be read, its content is malformed, or labkit cannot read its format.

    Examples
    --------
    >>> read("nowhere.otm.json")
    Traceback (most recent call last):
    ...
    labkit.errors.ConfigError: nowhere.otm.json: cannot be read: No such file or directory
      next: ls -ld nowhere.otm.json
    """
    shown = Path(path).as_posix()
    return read_text(file_text(path, shown, MAX_MODEL, utf16=True), shown, format)


def read_text(text: str, path: str = "model", format: str = "") -> Model:  # noqa: A002
    """Read a model from a text.

    Parameters
    ----------
    text : str
    path : str
        The name of the file in sources and messages.
    format : str, optional
        A name from :data:`labkit.formats.FORMATS`. The default is to recognize the format by
        the content.

    Returns
    -------
    Model

    Raises
    ------
    ConfigError
        The text is malformed, or labkit cannot read its format.

    Examples
    --------
    >>> from labkit.formats import write
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> read_text(write(model, "otm")) == model
    True
    """
    document = parse(text, path)
    chosen = find(format) if format else recognized(document)
    if not chosen.reads:
        readable = ", ".join(name for name, item in FORMATS.items() if item.reads)
        what = f"labkit writes {chosen.title}, but does not read it"
        raise broken(path, None, what, f"give one of: {readable}")
    module = chosen.module
    seen = module.visible(document)
    kept = module.slot(document)
    if kept is None:
        return replace(foreign(seen), original=(chosen.name, document.value))
    written = module.visible(parse(write(kept, chosen.name), path))
    return agreed(kept, written, seen, path)


def recognized(document: Document) -> Format:
    """Return the format of a document, recognized by its top-level keys.

    Parameters
    ----------
    document : Document

    Returns
    -------
    Format

    Raises
    ------
    ConfigError
        It is in none of the formats that labkit reads.

    Examples
    --------
    >>> recognized(Document("a.json", {"otmVersion": "0.2.0"}, {})).name
    'otm'
    """
    for name, keys in (
        ("otm", {"otmVersion"}),
        ("tm-bom", {"scope", "trust_zones"}),
        ("threat-dragon", {"summary", "detail"}),
        ("threagile", {"threagile_version"}),
        ("threagile", {"technical_assets"}),
    ):
        if keys <= document.value.keys():
            return FORMATS[name]
    raise broken(
        document.path,
        1,
        "in none of the formats that labkit reads",
        f"give one of: {', '.join(name for name, item in FORMATS.items() if item.reads)}",
    )
