"""Sigma rules over audit events: read by pySigma, and run by sqlite over a table of the events."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import re2
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
)
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule
from sigma.types import SigmaExists, SigmaFieldReference, SigmaNull, SigmaString

from labkit.cluster.syntax.disk import MAX_MODEL, read_bytes
from labkit.cluster.syntax.source import decode
from labkit.cluster.syntax.yamldoc import read_documents
from labkit.detection.event_fields import INTEGERS, WORDS, has_many, is_field, values_at
from labkit.errors import ConfigError

__all__ = ["DetectionRule", "RuleSet", "Table", "own_rules", "read_rules"]

RULES = Path(__file__).with_name("rules")
TABLE, WHOLE = "events", "whole event"
#: Seconds for one rule over all events.
PATIENCE_S = 20.0
#: What pySigma raises beside its own errors, for a malformed rule.
CONFUSED = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
#: What a rule for the audit log calls it.
SERVICES, CATEGORIES = (None, "audit"), (None, "application", "audit")


@dataclass(frozen=True, slots=True)
class DetectionRule:
    """A Sigma rule for audit events.

    Attributes
    ----------
    name : str
        The name of its file, without the ending; with several rules in a file, and its number.
    title : str
    queries : tuple of str
        In SQL, one for each of its conditions.
    fields : tuple of str
        What it asks for.
    never : str
        Why it can never fire, whatever happens; empty if it can.
    techniques : tuple of str
        The techniques that it is there for, as rules of labkit's own name them.
    """

    name: str
    title: str
    queries: tuple[str, ...]
    fields: tuple[str, ...]
    never: str
    techniques: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of a folder.

    Attributes
    ----------
    rules : tuple of DetectionRule
    left_out : tuple of str
        The files that are not used, each with the reason.
    """

    rules: tuple[DetectionRule, ...]
    left_out: tuple[str, ...]

    @property
    def never(self) -> tuple[DetectionRule, ...]:
        """The rules that can never fire."""
        return tuple(rule for rule in self.rules if rule.never)


def own_rules() -> RuleSet:
    """Return the rules that come with labkit, one or more for each technique that leaves an event.

    Returns
    -------
    RuleSet

    Examples
    --------
    >>> "node-is-refused" in {rule.name for rule in own_rules().rules}
    True
    """
    return read_rules(RULES)


def read_rules(folder: Path) -> RuleSet:
    """Read the Sigma rules of a folder and of the folders in it.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    RuleSet
        A rule for another log is left out, and so is one that pySigma does not understand.

    Raises
    ------
    ConfigError
        There is no such folder, it has no rule, or a file cannot be read.
    """
    if not folder.is_dir():
        raise ConfigError(f"no folder at {folder}", hint="give a folder of Sigma rules (.yml)")
    paths = sorted(it for it in folder.rglob("*") if it.suffix in (".yml", ".yaml"))
    if not paths:
        raise ConfigError(f"no rule in {folder}", hint="a Sigma rule is a file that ends in .yml")
    rules: list[DetectionRule] = []
    left_out: list[str] = []
    for path in paths:
        shown = str(path.relative_to(folder))
        try:
            rules += _rules_in(path, shown)
        except (ConfigError, SigmaError, _LeftOut) as error:
            left_out.append(f"{shown}: {str(error).splitlines()[0]}")
        except CONFUSED as error:
            left_out.append(f"{shown}: pySigma does not understand it: {type(error).__name__}")
    return RuleSet(tuple(rules), tuple(left_out))


class _LeftOut(Exception):
    """A rule is not for the audit log, or of a kind that is not run."""


def _rules_in(path: Path, shown: str) -> Iterator[DetectionRule]:
    text = decode(read_bytes(path, shown, MAX_MODEL), shown)
    documents = [document.get() for document in read_documents(text, shown)]
    if not all(isinstance(it, dict) and "detection" in it for it in documents):
        raise _LeftOut("it is no single Sigma rule: only those with a detection are run")
    for number, document in enumerate(documents, 1):
        # YAML reads a date without quotes as a date, and pySigma takes both
        collection = SigmaCollection.from_dicts([document])
        for rule in collection.rules:
            assert isinstance(rule, SigmaRule)
            name = path.stem if len(documents) == 1 else f"{path.stem}-{number}"
            yield _read(rule, name)


def _read(rule: SigmaRule, name: str) -> DetectionRule:
    source = rule.logsource
    wanted = source.product in (None, "kubernetes")
    if not (wanted and source.service in SERVICES and source.category in CATEGORIES):
        words = filter(None, (source.product, source.category, source.service))
        raise _LeftOut(f"it is for another log: {' '.join(words)}")
    backend = _Backend(table=TABLE, collate_nocase=True, fulltext_field=WHOLE)
    queries = tuple(str(query) for query in backend.convert_rule(rule))
    conditions = [it.parsed for it in rule.detection.parsed_condition]
    leaves = [leaf for condition in conditions for leaf in _leaves(condition)]
    named = [leaf.field for leaf in leaves]
    named += [it.value.field for it in leaves if isinstance(it.value, SigmaFieldReference)]
    fields = tuple(dict.fromkeys(named))
    never = "" if any(True in _outcomes(it) for it in conditions) else _impossible(leaves)
    if any("\0" in text for text in (*fields, *queries)):
        raise _LeftOut("it has a null character")
    techniques = rule.custom_attributes.get("techniques", ())
    return DetectionRule(name, rule.title, queries, fields, never, tuple(map(str, techniques)))


def _leaves(condition: Any) -> Iterator[ConditionFieldEqualsValueExpression]:
    if isinstance(condition, ConditionFieldEqualsValueExpression):
        yield condition
    for part in getattr(condition, "args", ()):
        yield from _leaves(part)


def _outcomes(condition: Any) -> frozenset[bool]:
    """Return what a condition can be, over all events that an apiserver could write."""
    if isinstance(condition, ConditionFieldEqualsValueExpression):
        return _outcomes_of_field(condition.field, condition.value)
    if isinstance(condition, ConditionNOT):
        return frozenset(not it for it in _outcomes(condition.args[0]))
    if isinstance(condition, ConditionAND | ConditionOR):
        parts = [_outcomes(part) for part in condition.args]
        # what ends it: one false part of an AND, one true part of an OR
        end = isinstance(condition, ConditionOR)
        found = {end} if any(end in part for part in parts) else set()
        return frozenset(found | ({not end} if all((not end) in it for it in parts) else set()))
    return frozenset({True, False})


def _outcomes_of_field(field: str, value: Any) -> frozenset[bool]:
    if not is_field(field):
        absent = isinstance(value, SigmaNull) or (
            isinstance(value, SigmaExists) and not value.exists
        )
        return frozenset({absent})
    if isinstance(value, SigmaString) and not value.contains_special():
        text = str(value).lower()
        if field in WORDS and text not in WORDS[field]:
            return frozenset({False})
        if field in INTEGERS and not text.isdigit():
            return frozenset({False})
    return frozenset({True, False})


def _impossible(leaves: Iterable[ConditionFieldEqualsValueExpression]) -> str:
    """Name the parts of a rule that no event fulfils."""
    missing: dict[str, None] = {}
    for leaf in leaves:
        if True in _outcomes_of_field(leaf.field, leaf.value):
            continue
        if is_field(leaf.field):
            missing[f"{leaf.field} is never {str(leaf.value)!r}"] = None
        else:
            missing[f"events have no field {leaf.field}"] = None
    return "; ".join(missing) or "its condition contradicts itself"


class _Backend(sqliteBackend):  # type: ignore[misc]
    """The backend for sqlite, for columns that hold several values as well, as a list in JSON."""

    def _any(self, cond: Any, state: Any, convert: Any) -> Any:
        if not has_many(cond.field):
            return convert(cond, state)
        inner = ConditionFieldEqualsValueExpression("value", cond.value)
        column = self.escape_and_quote_field(cond.field)
        found = convert(inner, state)
        return f"EXISTS (SELECT 1 FROM json_each({column}) WHERE {found})"  # noqa: S608

    def convert_condition_field_eq_val_str(self, cond: Any, state: Any) -> Any:
        return self._any(cond, state, super().convert_condition_field_eq_val_str)

    def convert_condition_field_eq_val_str_case_sensitive(self, cond: Any, state: Any) -> Any:
        return self._any(cond, state, super().convert_condition_field_eq_val_str_case_sensitive)

    def convert_condition_field_eq_val_num(self, cond: Any, state: Any) -> Any:
        return self._any(cond, state, super().convert_condition_field_eq_val_num)

    def convert_condition_field_eq_val_bool(self, cond: Any, state: Any) -> Any:
        return self._any(cond, state, super().convert_condition_field_eq_val_bool)

    def convert_condition_field_eq_val_re(self, cond: Any, state: Any) -> Any:
        return self._any(cond, state, super().convert_condition_field_eq_val_re)

    def convert_condition_field_compare_op_val(self, cond: Any, state: Any) -> Any:
        return self._any(cond, state, super().convert_condition_field_compare_op_val)


class Table:
    """Audit events in a table of sqlite, in memory, with a column for each field of the rules.

    Parameters
    ----------
    events : sequence of dict
    rules : iterable of DetectionRule

    Raises
    ------
    ConfigError
        The rules ask for too many fields.

    Examples
    --------
    >>> rules = own_rules().rules
    >>> event = {"verb": "create", "objectRef": {"resource": "clusterrolebindings"},
    ...          "user": {"username": "system:serviceaccount:monitoring:agent"}}
    >>> with Table([event], rules) as table:
    ...     [rule.name for rule in rules if table.fires(rule)]
    ['service-account-binds-role']
    """

    def __init__(self, events: Sequence[dict[str, Any]], rules: Iterable[DetectionRule]) -> None:
        # to sqlite, names that differ by their case are one: that of the event counts
        named = sorted({field for rule in rules for field in rule.fields}, key=is_field)
        self._fields = list({it.lower(): it for it in named if it.lower() != WHOLE}.values())
        self._connection = sqlite3.connect(":memory:")
        self._connection.create_function("regexp", 2, _matches, deterministic=True)
        columns = [
            f"{_quoted(field)} {'NUMERIC' if field in INTEGERS else 'TEXT'}"
            for field in self._fields
        ]
        try:
            self._connection.execute(
                f"CREATE TABLE {TABLE} ({', '.join([_quoted(WHOLE), *columns])})"
            )
        except sqlite3.Error as error:
            raise ConfigError(
                f"the rules ask for {len(columns)} fields, which are too many: {error}",
                hint="give a folder with fewer rules",
            ) from error
        places = ", ".join("?" for _ in (WHOLE, *self._fields))
        self._connection.executemany(
            f"INSERT INTO {TABLE} VALUES ({places})",  # noqa: S608 - question marks
            (self._row(event) for event in events),
        )
        # what a user's rule becomes only reads
        self._connection.execute("PRAGMA query_only = ON")

    def _row(self, event: dict[str, Any]) -> list[str | None]:
        return [_json(event), *(_cell(event, it) for it in self._fields)]

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def fires(self, rule: DetectionRule) -> bool:
        """Say whether a rule finds one of the events.

        Parameters
        ----------
        rule : DetectionRule

        Returns
        -------
        bool

        Raises
        ------
        ConfigError
            sqlite does not carry it out, or not in time.
        """
        if rule.never:
            return False
        deadline = time.monotonic() + PATIENCE_S
        self._connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        try:
            return any(self._connection.execute(it).fetchone() is not None for it in rule.queries)
        except sqlite3.Error as error:
            raise ConfigError(
                f"the rule {rule.name} cannot be run: {error}", hint="take it out of the folder"
            ) from error
        finally:
            self._connection.set_progress_handler(None, 0)


def _cell(event: dict[str, Any], field: str) -> str | None:
    found = values_at(event, field)
    if not found:
        return None
    if has_many(field):
        return _json(found)
    return _text(found[0]) if isinstance(found[0], str) else _json(found[0])


def _json(value: Any) -> str:
    return _text(json.dumps(value, ensure_ascii=False))


def _text(text: str) -> str:
    """Return a text that sqlite takes: a client's name for itself may hold half a character."""
    return text.encode(errors="replace").decode()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _matches(pattern: str, text: object) -> bool:
    return text is not None and re2.search(pattern, str(text)) is not None
