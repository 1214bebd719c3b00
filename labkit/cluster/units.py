"""Find the components' command lines in the systemd units of a machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import NamedTuple

from labkit.cluster.defaults import DEFAULTS, ENVIRONMENT_PREFIXES
from labkit.cluster.facts import File, Node, Socket
from labkit.cluster.launch import HELPERS, Launch, is_tool, launched
from labkit.cluster.syntax.source import Collected, Setting, Source, Unknown, broken, trying
from labkit.cluster.syntax.systemd import (
    Unit,
    Word,
    expand,
    merge,
    parse_environment,
    parse_unit,
    specifiers,
    split,
    uses_variables,
)

__all__ = ["Command", "from_environment", "is_left_out", "read_units", "unit_commands"]

#: Where systemd looks for units, the first folder wins: systemd.unit(5); /lib is that of
#: distributions without a merged /usr.
UNIT_FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
# The lab writes into it the values that differ between the machines of a role
NODE_ENVIRONMENT = "/etc/labkit/node.env"
PREFIXES = "@-:+!|"
#: What a service without ExecStart= has (systemd's src/core/service.c, service_verify).
WITHOUT_START = (("Service", "ExecStop"), ("Unit", "SuccessAction"))


@dataclass(frozen=True, slots=True)
class Command:
    """A component's command line.

    Attributes
    ----------
    kind : str
        The component, for example "etcd".
    name : str
        Distinguishes two components of one kind.
    arguments : tuple of Word
    source : Source
    user : str
        The account.
    settings : tuple of (str, Setting)
        The flags that environment variables set.
    sockets : tuple of Socket
    folder : str
        The working directory, from which relative paths start.
    version : tuple of int or None
        Major and minor version, where the image's tag says it.
    complete : bool
        False if some of its flags could not be read: then a default means nothing.
    overridden : bool
        Whether what is missing may well override what a file says, or a flag. A kubelet's optional
        file of variables that was not copied does not count: few machines have one.
    last : int
        How many of the last arguments nothing that is missing comes after: of a flag that is there
        twice, the last counts.
    """

    kind: str
    name: str
    arguments: tuple[Word, ...]
    source: Source
    user: str
    settings: tuple[tuple[str, Setting], ...] = ()
    sockets: tuple[Socket, ...] = ()
    folder: str = "/"
    version: tuple[int, int] | None = None
    complete: bool = True
    overridden: bool = False
    last: int = 0


def read_units(node: Node, unknowns: list[Unknown]) -> dict[str, Unit]:
    """Read the service and socket units of a machine, with their drop-ins.

    Parameters
    ----------
    node : Node
    unknowns : list of Unknown
        Takes errors if it collects them.

    Returns
    -------
    dict of str to Unit

    Raises
    ------
    ConfigError
        A unit is malformed, unless `unknowns` collects errors.
    """
    folders: dict[str, dict[str, str]] = {}
    for path in sorted(node.files):
        parent, _, name = path.rpartition("/")
        folders.setdefault(parent, {})[name] = path
    units: dict[str, Unit] = {}
    for folder in UNIT_FOLDERS:
        for name, path in folders.get(folder, {}).items():
            if not name.endswith((".service", ".socket")) or name in units:
                continue
            file = node.files[path]
            units[name] = Unit(name, file.source, (), complete=False)
            with trying(unknowns):
                text = file.read_text()
                parts = [parse_unit(text, file.source, unknowns)]
                # an empty unit file masks the unit, whatever its drop-ins say
                for extra in _drop_ins(folders, name) if text.strip() else ():
                    drop = node.files[extra]
                    parts.append(parse_unit(drop.read_text(), drop.source, unknowns))
                units[name] = merge(name, file.source, parts)
    return units


def _drop_ins(folders: Mapping[str, Mapping[str, str]], unit: str) -> list[str]:
    """Return the drop-ins of a unit, sorted by name; the first folder wins."""
    stem, _, suffix = unit.rpartition(".")
    pieces = stem.split("-")
    drops = [suffix, *("-".join(pieces[:n]) + f"-.{suffix}" for n in range(1, len(pieces))), unit]
    found: dict[str, str] = {}
    for drop in reversed(drops):
        for base in UNIT_FOLDERS:
            for name, path in folders.get(f"{base}/{drop}.d", {}).items():
                if name.endswith(".conf"):
                    found.setdefault(name, path)
    return [found[key] for key in sorted(found)]


class _Variables(NamedTuple):
    """The variables of a service; not complete without a file that it has or may have.

    `demanded` is false if a file that the service cannot start without is missing.
    """

    values: dict[str, str]
    sources: dict[str, Source]
    unknowns: list[Unknown]
    complete: bool
    demanded: bool


def _environment(node: Node, unit: Unit, *, copied: bool) -> _Variables:
    """Return the variables of a service; an environment file wins over the unit."""
    unknowns: list[Unknown] = Collected() if copied else []
    values: dict[str, str] = {}
    sources: dict[str, Source] = {}
    complete = demanded = True
    for item in unit.all("Service", "Environment"):
        for word in split(item):
            text, _ = specifiers(word.text, unit.name, node.name)
            key, equals, value = text.partition("=")
            with trying(unknowns):
                if not equals:
                    what = f"Environment={word.text}: not VARIABLE=value"
                    raise broken(item.path, word.line, what)
                values[key] = value
                sources[key] = Source(item.path, word.line, word.raw)
    for item in unit.all("Service", "EnvironmentFile"):
        path, _ = specifiers(item.value.lstrip("-"), unit.name, node.name)
        named = _matching(node, path)
        for file in named:
            found = parse_environment(file.read_text(), file.source, unknowns)
            for key, (value, line) in found.items():
                values[key] = value
                sources[key] = Source(file.source, line, f"{key}={value}")
        if not named and path == NODE_ENVIRONMENT:
            values.update({"NODE": node.name, "NODE_IP": node.name})
        elif not named and (
            not item.value.startswith("-") or is_left_out(node, path, copied=copied)
        ):
            complete = False
            demanded = demanded and item.value.startswith("-")
            text = f"EnvironmentFile={item.value}"
            unknowns.append(Unknown(item.path, item.line, text, f"not among {node.name}'s files"))
    return _Variables(values, sources, unknowns, complete, demanded)


def is_left_out(node: Node, path: str, *, copied: bool) -> bool:
    """Say whether a file that may be absent may also just not have been copied.

    Another file of its folder says that the folder was copied.

    Parameters
    ----------
    node : Node
    path : str
        It may have wildcards.
    copied : bool
        True if the files were copied from machines: an environment's are complete.

    Returns
    -------
    bool
    """
    folder = re.split(r"[*?\[]", path)[0].rpartition("/")[0]
    return copied and not any(each.rpartition("/")[0] == folder for each in node.files)


def _matching(node: Node, path: str) -> list[File]:
    """Return the files that a path with wildcards names, sorted as glob(3) does."""
    if path in node.files:
        return [node.files[path]]
    if not set(path) & set("*?["):
        return []
    found = (it for it in node.files if it.count("/") == path.count("/") and fnmatchcase(it, path))
    return [node.files[it] for it in sorted(found)]


class _Started(NamedTuple):
    """What a service starts, with the service's variables.

    `unset` says that the command line names a variable that only a drop-in may set; `last` is as in
    :class:`Command`.
    """

    launch: Launch
    source: Source
    variables: _Variables
    unset: bool
    last: int


def _command(node: Node, unit: Unit, unknowns: list[Unknown]) -> _Started | None:
    """Return the component that a service starts, its source, and the service's variables."""
    item = unit.last("Service", "ExecStart")
    if item is None:
        if not any(unit.all(*other) for other in WITHOUT_START):
            what = f"{unit.name} has no ExecStart=: systemd refuses it"
            raise broken(unit.path, None, what, "write ExecStart=, or remove the unit")
        return None
    copied = isinstance(unknowns, Collected)
    variables = _environment(node, unit, copied=copied)
    words: list[Word] = []
    unset, last = False, 0
    for word in split(item):
        expanded, missing = expand([word], unit.name, node.name, variables.values)
        words += expanded
        for _, name in missing:
            why = "not set in any file of this machine"
            text = f"{name} in {word.raw or word.text}"
            unknowns.append(Unknown(item.path, word.line, text, why))
        # a file that was not copied wins over what the unit sets
        lost = any(name.startswith("$") for _, name in missing)
        if lost or (not variables.complete and uses_variables(word)):
            unset, last = unset or lost, len(words)
    if not words:
        raise broken(item.path, item.line, "ExecStart= without a command")
    executable = words[0].text.lstrip(PREFIXES)
    name = PurePosixPath(executable).name
    arguments = words[2:] if words[0].text.startswith("@") else words[1:]
    line = words[0].line
    source = Source(item.path, line, f"ExecStart={executable}")
    if name == "kubectl" and any(word.text == "proxy" for word in arguments[:3]):
        rest = tuple(word for word in arguments if word.text != "proxy")
        source = Source(item.path, line, f"ExecStart={executable} proxy")
        return _Started(Launch("kubectl-proxy", rest), source, variables, unset, 0)
    stem = unit.name.removesuffix(".service")
    known = launched([Word(executable, line), *arguments], variables.values, node.files)
    if known is None and stem in DEFAULTS:
        known = Launch(stem, (), complete=False)
    if known is None and _starts_tools(node, unit):
        return None
    why = "labkit knows no component of this name"
    if name in HELPERS:
        why = "labkit does not read what a shell or helper starts"
    if known and not known.complete:
        why = f"it starts {known.kind}, but labkit cannot read with which flags"
    if known is None or not known.complete:
        unknowns.append(Unknown(item.path, line, source.text, why))
    if known is None:
        return None
    after = words[last:]
    read = bool(after) and list(known.arguments[-len(after) :]) == after
    # a drop-in that was not copied may set what no file that the unit names may set
    unset = unset and copied and not unit.all("Service", "EnvironmentFile")
    return _Started(known, source, variables, unset, len(after) if read else 0)


def _starts_tools(node: Node, unit: Unit) -> bool:
    """Say whether all commands of a service are tools, but for those before its start.

    systemd ends what ExecStartPre= starts before it goes on (systemd.service(5)).
    """
    lines = (*unit.all("Service", "ExecStart"), *unit.all("Service", "ExecStartPost"))
    commands = ([word.text for word in split(line)] for line in lines)
    return all(
        is_tool([words[0].lstrip(PREFIXES), *words[1:]], node.files) for words in commands if words
    )


def unit_commands(node: Node, unknowns: list[Unknown]) -> Iterator[Command]:
    """Yield the command lines of the components that a machine's services start.

    Parameters
    ----------
    node : Node
    unknowns : list of Unknown
        The function adds what it does not understand.

    Yields
    ------
    Command

    Raises
    ------
    ConfigError
        A unit is malformed, unless `unknowns` collects errors.
    """
    units = read_units(node, unknowns)
    for name, unit in sorted(units.items()):
        if not name.endswith(".service") or (unit.complete and not unit.assignments):
            continue
        stem = name.removesuffix(".service")
        if "@." in name:
            unknowns.append(Unknown(unit.path, None, name, "a template: its instances are unknown"))
            continue
        read = False
        with trying(unknowns):
            if not unit.complete:
                raise broken(unit.path, None, f"{name} could not be read")
            command = _command(node, unit, unknowns)
            read = True
            if command is None:
                continue
            found, source, variables = command.launch, command.source, command.variables
            optional = found.kind == "kubelet" and not variables.complete and variables.demanded
            user, folder = unit.last("Service", "User"), unit.last("Service", "WorkingDirectory")
            unknowns += variables.unknowns
            settings = from_environment(found.kind, variables.values, variables.sources)
            yield Command(
                kind=found.kind,
                name=stem,
                arguments=found.arguments,
                source=source,
                user=user.value if user else "root",
                settings=tuple(settings),
                sockets=tuple(_sockets(node, units, stem)),
                folder=folder.value.lstrip("-") if folder else "/",
                complete=found.complete and variables.complete and not command.unset,
                overridden=not found.complete
                or not variables.demanded
                or ((command.unset or not variables.complete) and not optional),
                last=command.last,
            )
        if not read and stem in DEFAULTS:
            source = Source(unit.path, None, name)
            yield Command(stem, stem, (), source, "root", complete=False, overridden=True)


def from_environment(
    kind: str, values: Mapping[str, str], sources: Mapping[str, Source]
) -> Iterable[tuple[str, Setting]]:
    """Yield the flags that a component reads from its environment variables.

    Parameters
    ----------
    kind : str
        The component, for example "etcd".
    values : mapping of str to str
        The variables.
    sources : mapping of str to Source
        Where each one is set.

    Yields
    ------
    flag : str
    setting : Setting

    Examples
    --------
    >>> source = Source("etcd.env", 1, "ETCD_CLIENT_CERT_AUTH=true")
    >>> [(flag, it.value) for flag, it in from_environment(
    ...     "etcd", {"ETCD_CLIENT_CERT_AUTH": "true"}, {"ETCD_CLIENT_CERT_AUTH": source})]
    [('client-cert-auth', 'true')]
    """
    prefix = ENVIRONMENT_PREFIXES.get(kind)
    if prefix:
        for key, source in sources.items():
            if key.startswith(prefix):
                yield (
                    key.removeprefix(prefix).lower().replace("_", "-"),
                    Setting(values[key], source),
                )


def _sockets(node: Node, units: Mapping[str, Unit], stem: str) -> Iterable[Socket]:
    """Yield the addresses on which the .socket units of a service listen."""
    for name, unit in sorted(units.items()):
        service = unit.last("Socket", "Service")
        owner = service.value if service else name.removesuffix(".socket") + ".service"
        if not name.endswith(".socket") or owner != f"{stem}.service":
            continue

        def setting(key: str, default: str, unit: Unit = unit) -> Setting:
            item = unit.last("Socket", key)
            if item is None:
                return Setting(default, Source(unit.path, None, f"{key}= absent", default=True))
            return Setting(item.value, Source(item.path, item.line, f"{key}={item.value}"))

        mode = setting("SocketMode", "0666")
        if not mode.value or set(mode.value) - set("01234567"):
            raise broken(
                mode.source.path, mode.source.line, f"{mode.source.text}: not an octal mode", "0660"
            )
        for item in unit.all("Socket", "ListenStream"):
            text, _ = specifiers(item.value, name, node.name)
            address = Setting(text, Source(item.path, item.line, f"ListenStream={item.value}"))
            yield Socket(
                address, mode, setting("SocketUser", "root"), setting("SocketGroup", "root")
            )
