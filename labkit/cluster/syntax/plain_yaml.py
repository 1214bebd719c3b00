"""YAML of any size as plain values, without the lines of keys: what ``kubectl get -o yaml`` writes.

:mod:`~labkit.cluster.syntax.yamldoc` reads configurations, which are small and need their lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import yaml

from labkit.cluster.syntax.source import broken

__all__ = ["plain_documents"]

#: libyaml's parser, if installed.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT = "tag:yaml.org,2002:str"
MAX_DEPTH = 100
MAX_NUMBER = 300


def plain_documents(text: str, path: str) -> Iterator[Any]:
    r"""Yield the value of each YAML document, one after another.

    It follows no alias, so no text grows when it is read, and calls itself for no level.

    Parameters
    ----------
    text : str
    path : str
        The file, for messages.

    Yields
    ------
    value : object
        Dicts, lists and scalars, with the types of JSON.

    Raises
    ------
    ConfigError
        The text is not valid YAML from some line on, has an alias, or nests too deeply; the
        documents before it were yielded.

    Examples
    --------
    >>> list(plain_documents("kind: Node\n---\nitems: [1, yes, 'no']\n", "dump.yaml"))
    [{'kind': 'Node'}, {'items': [1, True, 'no']}]
    """
    # each level: the collection, and for a mapping the key that waits for its value
    open_: list[tuple[Any, list[str]]] = []
    try:
        for event in yaml.parse(text, Loader=_PARSER):
            if isinstance(event, yaml.ScalarEvent):
                value = _scalar(event.value, event.implicit[0] and not event.style)
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                open_.append(([] if isinstance(event, yaml.SequenceStartEvent) else {}, []))
                if len(open_) > MAX_DEPTH:
                    raise broken(path, _line(event), "too deeply nested")
                continue
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                value, _ = open_.pop()
            elif isinstance(event, yaml.AliasEvent):
                raise broken(path, _line(event), "an alias: kubectl writes none")
            else:
                continue
            if not open_:
                yield value
                continue
            into, key = open_[-1]
            if isinstance(into, list):
                into.append(value)
            elif key:
                into[key.pop()] = value
            elif isinstance(value, dict | list):
                raise broken(path, _line(event), "a key must be a single word")
            else:
                key.append(value if isinstance(value, str) else json.dumps(value))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "not understood"
        raise broken(path, mark.line + 1 if mark else None, f"no valid YAML: {what}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise broken(path, None, f"no valid YAML: {str(error).splitlines()[0]}") from error


def _line(event: Any) -> int | None:
    return event.start_mark.line + 1 if event.start_mark else None


@lru_cache(maxsize=4096)
def _scalar(word: str, plain: bool) -> Any:
    """Return a scalar with JSON's type; a date is a text, as for Kubernetes."""
    if not plain:
        return word
    resolver: Any = _Resolver()
    tag = resolver.resolve(yaml.ScalarNode, word, (True, False))
    node = yaml.ScalarNode(tag, word)
    make = {
        "tag:yaml.org,2002:bool": yaml.constructor.SafeConstructor.construct_yaml_bool,
        "tag:yaml.org,2002:int": yaml.constructor.SafeConstructor.construct_yaml_int,
        "tag:yaml.org,2002:float": yaml.constructor.SafeConstructor.construct_yaml_float,
        "tag:yaml.org,2002:null": yaml.constructor.SafeConstructor.construct_yaml_null,
    }.get(str(tag))
    if make is None or len(word) > MAX_NUMBER:
        return word
    return make(yaml.constructor.SafeConstructor(), node)


class _Resolver(yaml.resolver.Resolver):
    """PyYAML's resolver of plain words, which is one of its loader's parts."""
