"""Read JSON and YAML files of other tools as plain values, with the line of each value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from labkit.cluster.syntax.source import broken
from labkit.cluster.syntax.yamldoc import MAX_DEPTH, Document, Key, read_one
from labkit.errors import ConfigError

__all__ = ["each", "identified", "parse", "port_at"]

# For text that json.loads has accepted: strings, punctuation, other scalars, line ends.
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|\n')


def parse(text: str, path: str) -> Document:
    r"""Read a text that holds one mapping, in JSON or in YAML.

    Parameters
    ----------
    text : str
    path : str
        The name of the file, for messages. ``.yaml`` and ``.yml`` select YAML.

    Returns
    -------
    Document

    Raises
    ------
    ConfigError
        The text is neither JSON nor YAML, holds a key twice, is nested too deeply, contains
        itself through a YAML alias, or holds a lone surrogate.

    Examples
    --------
    >>> document = parse('{"name":\n  ["a",\n   "b"]}', "model.json")
    >>> document.get("name", 1), document.line("name", 1)
    ('b', 3)
    """
    is_json = text.lstrip().startswith("{") and not path.lower().endswith((".yaml", ".yml"))
    document = _json(text, path) if is_json else read_one(text, path)
    try:
        json.dumps(document.value, ensure_ascii=False, default=str).encode()
    except (UnicodeEncodeError, ValueError, TypeError, RecursionError) as error:
        what = "holds half a character (a lone surrogate), or a value that contains itself"
        raise broken(path, None, what, "is this the right file?") from error
    return document


def _json(text: str, path: str) -> Document:
    try:
        value = json.loads(text, parse_constant=_refuse)
        return Document(path, value, _lines(text, path))
    except json.JSONDecodeError as error:
        raise broken(path, error.lineno, f"invalid JSON: {error.msg}") from error
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:
        raise broken(path, None, f"invalid JSON: {error}") from error


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON value")


def _lines(text: str, path: str) -> dict[tuple[Key, ...], int]:
    """Return the line of each key and item of a valid JSON text."""
    lines: dict[tuple[Key, ...], int] = {}
    line = 1
    keys: list[Key] = []
    kinds: list[str] = []
    awaits_key = False
    for match in TOKEN.finditer(text):
        word = match[0]
        if word == "\n":
            line += 1
        elif awaits_key and word[0] == '"':
            keys[-1] = json.loads(word)
            if tuple(keys) in lines:
                what = f"{keys[-1]!r} stands here twice, first on line {lines[tuple(keys)]}"
                raise broken(path, line, what, "one of the two would silently win: keep one")
            lines[tuple(keys)] = line
            awaits_key = False
        elif word in ("{", "["):
            lines.setdefault(tuple(keys), line)
            kinds.append(word)
            keys.append("" if word == "{" else 0)
            awaits_key = word == "{"
            if len(kinds) > MAX_DEPTH:
                raise broken(path, line, "too deeply nested for a model")
        elif word in ("}", "]"):
            kinds.pop()
            keys.pop()
            awaits_key = False
        elif word == ",":
            last = keys[-1]
            awaits_key = not isinstance(last, int)
            if isinstance(last, int):
                keys[-1] = last + 1
        elif word != ":":
            lines.setdefault(tuple(keys), line)
    return lines


def each(document: Document, *keys: Key) -> Iterator[tuple[Key, ...]]:
    """Yield the place of each item of a list of mappings.

    Parameters
    ----------
    document : Document
    *keys : str or int
        The place of the list.

    Yields
    ------
    tuple of str or int

    Raises
    ------
    ConfigError
        There is no list, or an item is not a mapping.

    Examples
    --------
    >>> list(each(Document("a.json", {"flows": [{}, {}]}, {}), "flows"))
    [('flows', 0), ('flows', 1)]
    """
    for number in range(len(document.sequence(*keys))):
        document.mapping(*keys, number)
        yield (*keys, number)


def identified(document: Document, name: str, *keys: Key) -> dict[str, tuple[Key, ...]]:
    """Return the places of a list's items by the value that each has under a key.

    Parameters
    ----------
    document : Document
    name : str
        The key; its values must be unique.
    *keys : str or int
        The place of the list.

    Returns
    -------
    dict of str to tuple of str or int

    Raises
    ------
    ConfigError
        An item is not a mapping, lacks the key, or has the same value as another item.

    Examples
    --------
    >>> identified(Document("a.json", {"flows": [{"id": "f"}]}, {}), "id", "flows")
    {'f': ('flows', 0)}
    """
    found: dict[str, tuple[Key, ...]] = {}
    for place in each(document, *keys):
        key = document.text(*place, name)
        if key in found:
            raise document.broken(f"{key!r} stands here twice", *place, name)
        found[key] = place
    return found


def port_at(document: Document, *keys: Key) -> int | None:
    """Return the port at a place.

    Parameters
    ----------
    document : Document
    *keys : str or int
        The place.

    Returns
    -------
    int or None
        None if there is no value, or if it is not a port.

    Examples
    --------
    >>> port_at(Document("a.json", {"port": "6443"}, {}), "port")
    6443
    """
    value = document.get(*keys)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        value = int(value)
    is_port = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 65536
    return value if is_port else None
