"""Read Kubernetes objects from JSON or YAML one after another."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from labkit.cluster.syntax.disk import MAX_DUMP, read_bytes
from labkit.cluster.syntax.plain_yaml import plain_documents
from labkit.cluster.syntax.source import broken
from labkit.errors import ConfigError

__all__ = [
    "holds_objects",
    "is_dump",
    "objects",
    "without_refusals",
]

DECODER = json.JSONDecoder()
SPACE = re.compile(r"[ \t\r\n]*")
#: What kubectl says before its output where somebody writes both into one file: warnings, and the
#: lines of its log. An error is not one of these: something is missing then.
MESSAGE = re.compile(r"(?:Warning: |[WI]\d{4} \d\d:\d\d:\d\d)[^\n]*(?:\n|\Z)")
#: What kubectl says of a kind that it was refused, before or behind the objects of the others.
REFUSAL = re.compile(r"^Error from server[^\n]*", re.MULTILINE)
#: The begin of YAML as kubectl writes it.
YAML_HEAD = re.compile(r"^apiVersion: *\S", re.MULTILINE)
YAML_REST = re.compile(r"^(?:kind|items|metadata):", re.MULTILINE)
HEAD = 8192
#: An object and its kind.
Found = tuple[dict[str, Any], str]


def holds_objects(text: str) -> bool:
    r"""Say whether a text begins as kubectl writes objects, in JSON or in YAML.

    Examples
    --------
    >>> holds_objects("Warning: old\napiVersion: v1\nitems:\n- apiVersion: v1\n")
    True
    >>> holds_objects('{"otmVersion": "0.2.0"}'), holds_objects("components: {}")
    (False, False)
    """
    text = REFUSAL.sub("", text[: 2 * HEAD])
    head = text[_skip_messages(text[:HEAD], 0) :][:HEAD]
    if head.startswith("{"):
        return '"apiVersion"' in head and '"kind"' in head
    return bool(YAML_HEAD.search(head)) and bool(YAML_REST.search(head))


def is_dump(path: Path) -> bool:
    """Say whether a file begins as kubectl writes objects, whatever its name is.

    Parameters
    ----------
    path : Path
        A file; False if it cannot be read.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_dump(Path("/dev/null"))
    False
    """
    try:
        data = read_bytes(path, path.name, MAX_DUMP, length=4 * HEAD)
        if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
            # the last character may be cut
            return holds_objects(data.decode("utf-8-sig", "replace"))
        return holds_objects(data.decode("utf-16", "replace"))
    except ConfigError:
        return False


def without_refusals(text: str) -> tuple[str, list[str]]:
    r"""Return a text without the lines of kubectl on kinds that it was refused, and these lines.

    Parameters
    ----------
    text : str

    Returns
    -------
    text : str
        With an empty line for each, so that lines keep their numbers.
    refusals : list of str

    Examples
    --------
    >>> without_refusals("Error from server (Forbidden): secrets is forbidden\n{}")
    ('\n{}', ['Error from server (Forbidden): secrets is forbidden'])
    """
    # the lines stand before the objects of the other kinds, or behind them
    if "Error from server" not in text[:HEAD] and "Error from server" not in text[-HEAD:]:
        return text, []
    return REFUSAL.sub("", text), REFUSAL.findall(text)


def objects(text: str, path: str) -> Iterator[Found]:
    """Yield the objects of a text: single objects and those in lists, in their order.

    The text is JSON, or YAML of one or several documents. Warnings of kubectl are left out.

    Parameters
    ----------
    text : str
    path : str
        The file, for messages.

    Yields
    ------
    item : dict
        An object.
    kind : str
        Its own kind, or the kind that its list implies.

    Raises
    ------
    ConfigError
        The text is not valid from some point on, or does not have all objects of a list; those
        before it were yielded.

    Examples
    --------
    >>> text = '{"kind": "PodList", "items": [{"metadata": {"name": "web"}}]} {"kind": "Node"}'
    >>> [kind for _, kind in objects(text, "dump.json")]
    ['Pod', 'Node']
    """
    place = _skip_messages(text, 0)
    more: list[int] = []
    if text[place : place + 1] not in ("{", "[") and YAML_HEAD.search(text, place):
        yield from _yaml_objects(text[place:], path, more)
        place = len(text)
    while place < len(text):
        try:
            place = yield from _document(text, place, more)
        except json.JSONDecodeError as error:
            hint = "write the file again: kubectl get … -o json"
            raise broken(path, error.lineno, f"no valid JSON: {error.msg}", hint) from error
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, place) + 1
            raise broken(path, line, f"no valid JSON from here: {error}") from error
        place = _skip_messages(text, place)
    if more:
        what = f"a list of which {more[0] or 'some'} objects are on further pages"
        hint = "kubectl get … -o json asks for all pages, kubectl get --raw for one"
        raise broken(path, None, f"{what}: metadata.continue", hint)


def _note_further_pages(document: Mapping[str, Any], more: list[int]) -> None:
    """Note that the apiserver did not send all of a list, and how many objects are left."""
    about = document.get("metadata")
    if isinstance(about, dict) and about.get("continue"):
        left = about.get("remainingItemCount")
        more.append(left if isinstance(left, int) else 0)


def _yaml_objects(text: str, path: str, more: list[int]) -> Iterator[Found]:
    for document in plain_documents(text, path):
        if not isinstance(document, dict):
            continue
        kind = document.get("kind")
        kind = kind if isinstance(kind, str) else ""
        items = document.get("items")
        if not isinstance(items, list):
            yield document, kind
            continue
        _note_further_pages(document, more)
        for item in items:
            if isinstance(item, dict):
                own = item.get("kind", kind.removesuffix("List"))
                yield item, own if isinstance(own, str) else ""


def _skip_messages(text: str, place: int) -> int:
    place = _skip(text, place)
    while found := MESSAGE.match(text, place):
        place = _skip(text, found.end())
    return place


def _skip(text: str, place: int) -> int:
    found = SPACE.match(text, place)
    return found.end() if found else place


def _expect(text: str, place: int, wanted: str) -> int:
    place = _skip(text, place)
    if text[place : place + 1] not in wanted or place >= len(text):
        raise json.JSONDecodeError(f"expected one of {wanted}", text, place)
    return place


def _document(text: str, place: int, more: list[int]) -> Generator[Found, None, int]:
    place = _expect(text, place, "{")
    head: dict[str, Any] = {}
    listed = False
    place = _skip(text, place + 1)
    while text[place : place + 1] != "}":
        key, place = DECODER.raw_decode(text, _expect(text, place, '"'))
        place = _skip(text, _expect(text, place, ":") + 1)
        if key == "items" and text[place : place + 1] == "[":
            listed = True
            place = yield from _items(text, place, head)
        else:
            head[key], place = DECODER.raw_decode(text, place)
        place = _expect(text, place, ",}")
        if text[place] == ",":
            place = _expect(text, place + 1, '"')
    if listed:
        _note_further_pages(head, more)
    else:
        kind = head.get("kind")
        yield head, kind if isinstance(kind, str) else ""
    return place + 1


def _items(text: str, place: int, head: dict[str, Any]) -> Generator[Found, None, int]:
    of = head.get("kind")
    default = of.removesuffix("List") if isinstance(of, str) else ""
    place = _skip(text, place + 1)
    while text[place : place + 1] != "]":
        value, place = DECODER.raw_decode(text, place)
        if isinstance(value, dict):
            kind = value.get("kind", default)
            yield value, kind if isinstance(kind, str) else ""
        place = _expect(text, place, ",]")
        if text[place] == ",":
            place = _skip(text, place + 1)
    return place + 1
