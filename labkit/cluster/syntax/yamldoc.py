"""YAML and JSON documents that know the line of each key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from labkit.cluster.syntax.source import Setting, Source, Unknown, broken
from labkit.gc_pause import gc_pause

__all__ = ["Document", "as_text", "read_documents", "read_one"]

Key = str | int
_TEXT, _LIST, _MAP, _MERGE = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map", "merge")
)
# No configuration is larger; aliases of aliases can grow without end.
MAX_NODES = 200_000
MAX_DEPTH = 60
#: Types that need no check.
_USUAL = frozenset({_TEXT, _LIST, _MAP})
#: No number is longer; the longer ones take time without end.
MAX_NUMBER = 100
#: The exact loader is slow: a longer text gets less exact messages.
MAX_EXACT = 200_000
#: What a loader raises for a text that is no YAML, or that names types that JSON does not have.
WRONG = (
    yaml.YAMLError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
    OverflowError,
)
NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge", "value")
)


class _Bounded:
    """The part of a YAML loader that refuses a text that nests too deeply.

    libyaml's loader calls itself for each level, and without a bound, a text of many brackets ends
    the interpreter. Both loaders call these two methods before and after each node.
    """

    path = ""
    level = 0

    def descend_resolver(self, parent: Any, _index: Any) -> None:
        self.level += 1
        # one more than the collections, for the values in the innermost
        if self.level > MAX_DEPTH + 1:
            line = parent.start_mark.line + 1
            raise broken(self.path, line, "too deeply nested for a configuration")

    def ascend_resolver(self) -> None:
        self.level -= 1

    def resolve(self, kind: Any, value: Any, implicit: tuple[bool, bool]) -> str:
        if kind is yaml.ScalarNode:
            return _tag_of(value) if implicit[0] else _TEXT
        return _LIST if kind is yaml.SequenceNode else _MAP


#: The tags of plain values by their first character: JSON's types, as in Kubernetes, no dates.
_RESOLVERS: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {
    first: [(tag, found) for tag, found in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@lru_cache(maxsize=4096)
def _tag_of(value: str) -> str:
    """Return the tag of a plain value; keys and words come many times in a file."""
    for tag, found in _RESOLVERS.get(value[:1], []) + _RESOLVERS.get(None, []):
        if found.match(value):
            return tag
    return _TEXT


def _loader(base: Any) -> Any:
    """Return a bounded YAML loader."""
    return type("Loader", (_Bounded, base), {})


_Exact = _loader(yaml.SafeLoader)
#: libyaml's loader, if installed: five times as fast, with less exact errors.
_Fast = _loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: plain values, and the line of each.

    Parameters
    ----------
    path : str
        The file, for messages and sources.
    value : object
        Dicts, lists and scalars.
    lines : mapping
        The line of each path of keys, from 1.
    """

    path: str
    value: Any
    lines: Mapping[tuple[Key, ...], int]

    def get(self, *keys: Key, default: Any = None) -> Any:
        """Return the value at a path of keys, or the default."""
        value = self.value
        for key in keys:
            inside = isinstance(value, dict) and key in value
            if isinstance(value, list) and isinstance(key, int):
                inside = key < len(value)
            if not inside:
                return default
            value = value[key]
        return default if value is None else value

    def line(self, *keys: Key) -> int | None:
        """Return the line on which the value at a path of keys stands."""
        for end in range(len(keys), -1, -1):
            if keys[:end] in self.lines:
                return self.lines[keys[:end]]
        return None

    def source(self, *keys: Key) -> Source:
        """Return the source of the value at a path of keys."""
        # inside a list, only the key itself: "server: http://…"
        last = max((i for i, key in enumerate(keys) if isinstance(key, int)), default=-1)
        shown = keys if last < 0 else keys[-1:] if isinstance(keys[-1], str) else keys[-2:-1]
        name = ".".join(str(key) for key in shown)
        value = self.get(*keys)
        text = name if isinstance(value, (dict, list)) else f"{name}: {as_text(value)}"
        return Source(self.path, self.line(*keys), text)

    def setting(self, *keys: Key) -> Setting | None:
        """Return the scalar at a path of keys with its source, or None if it is absent."""
        value = self.get(*keys)
        if value is None or isinstance(value, (dict, list)):
            return None
        return Setting(as_text(value), self.source(*keys))

    def mapping(self, *keys: Key) -> dict[str, Any]:
        """Return the mapping at a path of keys; empty if it is absent."""
        value = self.get(*keys, default={})
        if not isinstance(value, dict):
            raise self.broken("expected keys and values here", *keys)
        for key in value:
            if not isinstance(key, str):
                raise self.broken(f"the key {key!r} is not a word", *keys)
        return value

    def sequence(self, *keys: Key) -> list[Any]:
        """Return the list at a path of keys; empty if it is absent."""
        value = self.get(*keys, default=[])
        if not isinstance(value, list):
            raise self.broken("expected a list here", *keys)
        return value

    def words(self, *keys: Key) -> tuple[str, ...]:
        """Return a list of scalars as text; a single scalar is a list of one."""
        value = self.get(*keys, default=[])
        values = value if isinstance(value, list) else [value]
        if any(isinstance(item, (dict, list)) or item is None for item in values):
            raise self.broken("expected a list of words here", *keys)
        return tuple(as_text(item) for item in values)

    def text(self, *keys: Key, default: str | None = None) -> str:
        """Return a scalar as text; without a default it must be present."""
        value = self.get(*keys)
        if value is None and default is not None:
            return default
        if value is None or isinstance(value, (dict, list)):
            name = ".".join(str(key) for key in keys)
            raise self.broken(f"{name or 'the document'} must be given as one word", *keys)
        return as_text(value)

    def objects(self) -> tuple[Document, ...]:
        """Return the objects of Kubernetes in it: a list's items, or the document itself."""
        if not isinstance(self.value, dict):
            return ()
        kind = self.value.get("kind")
        if not (isinstance(kind, str) and kind.endswith("List") and self.get("items") is not None):
            return (self,)
        lines: dict[Key, dict[tuple[Key, ...], int]] = {}
        for path, line in self.lines.items():
            if path[:1] == ("items",) and len(path) > 1:
                lines.setdefault(path[1], {})[path[2:]] = line
        # the apiserver's own lists, as RoleBindingList, do not repeat the kind
        own = {"kind": kind.removesuffix("List")}
        return tuple(
            Document(self.path, item if "kind" in item else own | item, lines.get(number, {}))
            for number, item in enumerate(self.sequence("items"))
            if isinstance(item, dict)
        )

    def broken(self, what: str, *keys: Key) -> Exception:
        """Return the error for what is wrong at a path of keys."""
        name = ".".join(str(key) for key in keys)
        prefix = f"{name}: " if name and name not in what else ""
        return broken(self.path, self.line(*keys), prefix + what)

    def unknown_keys(self, known: frozenset[str], why: str, *keys: Key) -> Iterator[Unknown]:
        """Yield the keys of a mapping that are not among the known ones."""
        for key in self.mapping(*keys):
            if key not in known:
                yield Unknown(
                    self.path, self.line(*keys, key), ".".join(map(str, (*keys, key))), why
                )


def as_text(value: Any) -> str:
    """Write a scalar as the components' flags do.

    Parameters
    ----------
    value : object
        A scalar of YAML.

    Returns
    -------
    str

    Examples
    --------
    >>> as_text(True), as_text(10250), as_text(None)
    ('true', '10250', '')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _check(node: yaml.Node, path: str, escapes: bool) -> dict[tuple[Key, ...], int]:
    """Return the line of every key; refuse duplicate keys, and huge or endless documents."""
    lines: dict[tuple[Key, ...], int] = {}
    stack: list[tuple[yaml.Node, tuple[Key, ...]]] = [(node, ())]
    while stack:
        here, keys = stack.pop()
        line = here.start_mark.line + 1
        lines.setdefault(keys, line)
        if escapes or here.tag not in _USUAL:
            _refuse_odd(here, path)
        if isinstance(here, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in here.value:
                at = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise broken(path, at, "a key must be a single word")
                if key.value in seen and key.tag != _MERGE:
                    raise broken(
                        path,
                        at,
                        f"{key.value!r} stands here twice, first on line {seen[key.value]}",
                        "only one of the two would count: keep one",
                    )
                if escapes or key.tag not in _USUAL:
                    _refuse_odd(key, path)
                if escapes or value.tag not in _USUAL:
                    _refuse_odd(value, path)
                seen[key.value] = at
                below = (*keys, key.value)
                lines[below] = at
                if not isinstance(value, yaml.ScalarNode):
                    stack.append((value, below))
        elif isinstance(here, yaml.SequenceNode):
            stack.extend((item, (*keys, index)) for index, item in enumerate(here.value))
        deep = len(keys) >= MAX_DEPTH and isinstance(here, yaml.CollectionNode)
        if deep or len(lines) > MAX_NODES:
            raise broken(path, line, "too deeply nested, or too large, for a configuration")
    return lines


def _refuse_odd(node: yaml.Node, path: str) -> None:
    """Refuse types that JSON does not have, endless numbers, and halves of characters."""
    line = node.start_mark.line + 1
    if node.tag not in TAGS:
        raise broken(path, line, f"no valid YAML for a component: the tag {node.tag[:60]}")
    if not isinstance(node, yaml.ScalarNode):
        return
    if node.tag in NUMBERS and len(node.value) > MAX_NUMBER:
        raise broken(path, line, f"a number of more than {MAX_NUMBER} digits")
    try:
        node.value.encode()
    except UnicodeEncodeError:
        raise broken(path, line, "holds half a character (a lone surrogate)") from None


@lru_cache(maxsize=512)
def read_documents(text: str, path: str) -> tuple[Document, ...]:
    r"""Read all documents of a YAML or JSON file; leave out empty ones.

    The result is cached, so callers must not change it.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    tuple of Document

    Raises
    ------
    ConfigError
        The text is not valid YAML, has a key twice, or is too large.

    Examples
    --------
    >>> [document] = read_documents("kind: Config\nusers:\n  - name: admin\n", "admin.conf")
    >>> document.get("users", 0, "name"), document.line("users", 0, "name")
    ('admin', 3)
    """
    exact = len(text) <= MAX_EXACT
    started: list[int] = []
    try:
        with suppress(*(WRONG if exact else ())), gc_pause():
            return tuple(_documents(_Fast, text, path, started))
        started.clear()
        return tuple(_documents(_Exact, text, path, started))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = mark.line + 1 if mark is not None else None
        what = error.problem or error.context or "not understood"
        raise broken(path, where, f"no valid YAML: {what}") from error
    except WRONG as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        line = started[-1] if started else None
        raise broken(path, line, f"no valid YAML: {first}") from error


def _documents(make: Any, text: str, path: str, started: list[int]) -> Iterator[Document]:
    """Yield the documents of a text; note the line on which each one starts."""
    loader = make(text)
    loader.path = path
    escapes = "\\" in text and '"' in text
    while loader.check_node():
        node = loader.get_node()
        started.append(node.start_mark.line + 1)
        lines = _check(node, path, escapes)
        value = _value(loader, node)
        if value is not None:
            yield Document(path, value, lines)


def _value(loader: Any, node: Any) -> Any:
    """Return a checked node's value; make plain values without the slow loader."""
    kind, tag = type(node), node.tag
    if tag == _TEXT and kind is yaml.ScalarNode:
        return node.value
    if tag == _LIST and kind is yaml.SequenceNode:
        return [_value(loader, item) for item in node.value]
    is_map = tag == _MAP and kind is yaml.MappingNode
    if is_map and _MERGE not in [key.tag for key, _ in node.value]:
        return {
            _value(loader, key): item.value
            if item.tag == _TEXT and type(item) is yaml.ScalarNode
            else _value(loader, item)
            for key, item in node.value
        }
    return loader.construct_document(node)


def read_one(text: str, path: str) -> Document:
    """Read a file that must contain exactly one mapping.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    Document

    Raises
    ------
    ConfigError
        The text is not valid YAML, or not one mapping.

    Examples
    --------
    >>> read_one("name: insecure", "environment.yaml").get("name")
    'insecure'
    """
    documents = read_documents(text, path)
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise broken(path, 1, "expected one YAML document with keys and values")
    return documents[0]
