"""Write a model into the document of another tool that it was read from."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from labkit.cluster.syntax.yamldoc import Document
from labkit.formats.documents import parse
from labkit.formats.visible import foreign
from labkit.model import PROPERTIES, Model

__all__ = ["extend", "restored"]


class _Dumper(yaml.SafeDumper):
    """YAML that keeps dates unquoted: labkit reads them as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - of the base class
        first: [(tag, it) for tag, it in known if tag != "tag:yaml.org,2002:timestamp"]
        for first, known in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }


def restored(model: Model, text: str, module: Any, original: Mapping[str, Any]) -> str:
    """Return the document that a model was read from, with labkit's findings added.

    Parameters
    ----------
    model : Model
    text : str
        The model and its findings as the format's module writes them.
    module : module
        The module of the format.
    original : mapping
        The document.

    Returns
    -------
    str
        `text` itself if the model differs from the document.
    """
    found = copy.deepcopy(dict(original))
    seen = module.visible(Document("original", found, {}))
    if _content(foreign(seen)) != _content(model):
        return text
    module.keep(found, parse_again(text), seen)
    if text.startswith("{"):
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    return yaml.dump(found, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


def parse_again(text: str) -> dict[str, Any]:
    """Return a copy of the document in a text that labkit wrote; the caller may change it.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict
    """
    return copy.deepcopy(parse(text, "written").value)


def extend(into: dict[str, Any], name: str, items: Sequence[Mapping[str, Any]], key: str) -> None:
    """Add items to a list, except those whose key the list already has.

    Parameters
    ----------
    into : dict
        The mapping with the list, which is changed.
    name : str
        The key of the list in `into`; a missing list is created.
    items : sequence of mapping
    key : str
        The key that identifies an item.

    Examples
    --------
    >>> document = {"threats": [{"id": "a"}]}
    >>> extend(document, "threats", [{"id": "a"}, {"id": "b"}], "id")
    >>> [it["id"] for it in document["threats"]]
    ['a', 'b']
    """
    there = into.get(name)
    own = list(there) if isinstance(there, list) else []
    known = {it.get(key) for it in own if isinstance(it, dict)}
    new = [it for it in items if it[key] not in known]
    if new:
        into[name] = [*own, *new]


def _content(model: Model) -> object:
    """Return the content of a model without its sources."""
    return (
        model.name,
        model.description,
        model.out_of_scope,
        [
            (it.id, it.kind, it.node, it.zone, it.description, _values(it.claims))
            for it in model.components
        ],
        [
            (
                *(it.id, it.client, it.server, it.protocol, it.port, it.path, it.open, it.data),
                *(it.credential, _values((name, getattr(it, name)) for name in PROPERTIES)),
            )
            for it in model.channels
        ],
    )


def _values(claims: Any) -> list[tuple[str, str]]:
    return [(name, claim.value) for name, claim in claims]
