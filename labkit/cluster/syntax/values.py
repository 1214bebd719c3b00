"""The values of a Kubernetes object at a path of keys, each of the kind that is expected there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["at", "keys_of", "mapping", "selects", "sequence", "text_of", "truth", "words"]


def at(value: Any, *keys: str) -> Any:
    """Return the value at a path of keys, or None if it is absent.

    Parameters
    ----------
    value : object
    *keys : str

    Returns
    -------
    object

    Raises
    ------
    ValueError
        A value on the path is not a mapping.

    Examples
    --------
    >>> at({"spec": {"nodeName": "a"}}, "spec", "nodeName")
    'a'
    """
    for key in keys:
        if not isinstance(value, dict):
            if value is None:
                return None
            raise ValueError(f"expected keys and values around {key}")
        value = value.get(key)
    return value


def mapping(value: Any, *keys: str) -> dict[str, Any]:
    """Return the mapping at a path of keys; empty if it is absent.

    Parameters
    ----------
    value : object
    *keys : str

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        The value is not a mapping.

    Examples
    --------
    >>> mapping({"labels": None}, "labels")
    {}
    """
    found = value.get(keys[0]) if len(keys) == 1 and type(value) is dict else at(value, *keys)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"{'.'.join(keys)}: expected keys and values")
    return found


def sequence(value: Any, *keys: str) -> list[Any]:
    """Return the list at a path of keys; empty if it is absent.

    Parameters
    ----------
    value : object
    *keys : str

    Returns
    -------
    list

    Raises
    ------
    ValueError
        The value is not a list.

    Examples
    --------
    >>> sequence({"rules": [1]}, "rules")
    [1]
    """
    found = value.get(keys[0]) if len(keys) == 1 and type(value) is dict else at(value, *keys)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ValueError(f"{'.'.join(keys)}: expected a list")
    return found


def text_of(value: Any, *keys: str) -> str:
    """Return the text at a path of keys; empty if it is absent.

    Parameters
    ----------
    value : object
    *keys : str

    Returns
    -------
    str

    Raises
    ------
    ValueError
        The value is not a text.

    Examples
    --------
    >>> text_of({"metadata": {"name": "web"}}, "metadata", "name")
    'web'
    """
    found = value
    for key in keys:  # as in at, without its call: a dump has a million texts
        if found is None:
            return ""
        if type(found) is not dict:
            found = at(value, *keys)
            break
        found = found.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise ValueError(f"{'.'.join(keys)}: expected a text")
    # a lone surrogate is not a character: no encoding can write it
    return found if found.isascii() else found.encode("utf-8", "replace").decode()


def truth(value: Any, *keys: str) -> bool | None:
    """Return the boolean at a path of keys, or None if it is absent.

    Parameters
    ----------
    value : object
    *keys : str

    Returns
    -------
    bool or None

    Raises
    ------
    ValueError
        The value is not a boolean.

    Examples
    --------
    >>> truth({"hostPID": True}, "hostPID")
    True
    """
    found = at(value, *keys)
    if found is not None and not isinstance(found, bool):
        raise ValueError(f"{'.'.join(keys)}: expected true or false")
    return found


def words(item: Any, *keys: str) -> tuple[str, ...]:
    """Return the list of texts at a path of keys; empty if it is absent.

    Parameters
    ----------
    item : object
    *keys : str

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        The value is not a list of texts.
    """
    return tuple(text_of({"": word}, "") for word in sequence(item, *keys))


def keys_of(selector: Mapping[str, Any]) -> set[str]:
    """Return the keys of the labels by which a selector selects.

    Examples
    --------
    >>> keys_of({"matchLabels": {"app": "web"}})
    {'app'}
    """
    by_expression = {text_of(item, "key") for item in sequence(selector, "matchExpressions")}
    return {*mapping(selector, "matchLabels"), *by_expression}


def selects(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Say whether a label selector selects an object with these labels; an empty one selects all.

    Parameters
    ----------
    selector : mapping
        With ``matchLabels`` and ``matchExpressions``, as in the API.
    labels : mapping

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        The selector is malformed.

    References
    ----------
    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/

    Examples
    --------
    >>> selects({"matchLabels": {"app": "web"}}, {"app": "web", "tier": "front"})
    True
    >>> selects({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, {"app": "web"})
    False
    """
    if any(labels.get(key) != value for key, value in mapping(selector, "matchLabels").items()):
        return False
    for item in sequence(selector, "matchExpressions"):
        key, operator = text_of(item, "key"), text_of(item, "operator")
        values = sequence(item, "values")
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if operator not in holds:
            raise ValueError(f"unknown operator of a selector: {operator}")
        if not holds[operator]:
            return False
    return True
