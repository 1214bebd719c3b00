"""Models by hand: a few lines of Python, or one YAML file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.cluster.syntax.disk import MAX_MODEL, file_text
from labkit.cluster.syntax.source import Source
from labkit.cluster.syntax.yamldoc import Document, read_one
from labkit.errors import ConfigError
from labkit.gc_pause import gc_pause
from labkit.model.claims import PROPERTIES, VALUES, Channel, Claim
from labkit.model.footholds import Foothold, parse_foothold
from labkit.model.threat_model import BY_HAND, Component, Model, StoredCredential
from labkit.model.vocabulary import kind_of

__all__ = ["Draft", "read_model_file"]

COMPONENT = ("kind", "node", "zone", "claims", "description")
CHANNEL = (
    "from",
    "to",
    "protocol",
    "port",
    "path",
    "credential",
    "data",
    "bind",
    "members",
    "open",
    *PROPERTIES,
)
CREDENTIAL = (
    *("node", "kind", "identity", "rights", "readable_by", "opens"),
    "perhaps_readable_by",
)
TOP = ("name", "description", "components", "channels", "credentials")
#: The claims that a component may make about itself, with their values.
OWN = {
    "audit": ("on", "partial", "none", "unknown"),
    "secrets at rest": ("encrypted", "none", "unknown"),
    "node restriction": ("enforced", "allow-all", "unknown"),
    "names of ID tokens": ("prefixed", "unprefixed", "unknown"),
    "overlay": ("encrypted", "none", "unknown"),
}


@dataclass
class Draft:
    """A model that is being written.

    A property that a channel does not give has the default of Kubernetes if the kind of the
    server is known, and is unknown otherwise. The source of the claim says which.

    Parameters
    ----------
    name : str
    description : str

    Examples
    --------
    >>> draft = Draft("shop")
    >>> api = draft.component("kube-apiserver")
    >>> etcd = draft.component("etcd")
    >>> draft.channel(api, etcd, encryption="tls1.3", client_authentication="required")
    'kube-apiserver@master -> etcd@master:2379'
    >>> draft.channel(api, etcd, port=2378)
    'kube-apiserver@master -> etcd@master:2378'
    >>> draft.model()
    shop: 2 components, 2 channels, 1 trust zone
    >>> draft.channel(api, etcd, encrypton="none")
    Traceback (most recent call last):
        ...
    labkit.errors.ConfigError: a channel has no 'encrypton'
      next: did you mean 'encryption'?
    """

    name: str
    description: str = ""
    _components: dict[str, Component] = field(default_factory=dict, repr=False)
    _channels: dict[str, Channel] = field(default_factory=dict, repr=False)
    _credentials: dict[tuple[str, str], StoredCredential] = field(default_factory=dict, repr=False)

    def component(self, name: str, *, source: Source = BY_HAND, **said: Any) -> str:
        """Add a component, and return its id.

        Parameters
        ----------
        name : str
            "kube-apiserver", or "kube-apiserver@master" with its machine.
        source : Source
            Where it is written.
        **said : object
            kind, node, zone, claims (a mapping), description.

        Returns
        -------
        str

        Raises
        ------
        ConfigError
            The component exists already, or a key or value is unknown.
        """
        _check(said, COMPONENT, "a component", source)
        first, _, place = name.partition("@")
        kind = str(said.get("kind", first))
        usual = kind_of(kind)
        node = str(said.get("node", place or usual.node))
        key = name if place or not node else f"{name}@{node}"
        if key in self._components:
            raise _broken(source, f"{key} exists already", "give it another name or node")
        claims = said.get("claims") or {}
        if not isinstance(claims, Mapping):
            raise _broken(source, "claims must be names with values", "audit: on")
        self._components[key] = Component(
            key,
            kind,
            node,
            str(said.get("zone", usual.zone)),
            tuple(_own(str(what), _word(value), source) for what, value in claims.items()),
            str(said.get("description", "")),
        )
        return key

    def channel(self, client: str, server: str, *, source: Source = BY_HAND, **said: Any) -> str:
        """Add a channel, and return its id.

        Parameters
        ----------
        client, server : str
            Ids of components; a name alone if only one component has it.
        source : Source
            Where it is written.
        **said : object
            protocol, port, path, credential, data, bind, members, open, and the four properties.

        Returns
        -------
        str

        Raises
        ------
        ConfigError
            An end is not a component, a value is unknown, or the channel exists already.
        """
        _check(said, CHANNEL[2:], "a channel", source)
        ends = [self._find(end, source) for end in (client, server)]
        usual = kind_of(ends[1].kind)
        port = said.get("port", None if said.get("path") else usual.port)
        if port is not None and (not isinstance(port, int) or not 0 < port < 65536):
            raise _broken(source, f"no port: {port!r}", "a number from 1 to 65535")
        path = said.get("path") or (usual.path if port is None else "") or None
        key = f"{ends[0].id} -> {ends[1].id}{f':{path or port}' if path or port else ''}"
        if key in self._channels:
            raise _broken(source, f"{key} exists already", "give it another port")
        claims = {name: _claim(name, said, usual.claims, ends[1], source) for name in PROPERTIES}
        is_open = said.get("open", True)
        if not isinstance(is_open, bool):
            raise _broken(source, f"open must be true or false, not {is_open!r}", "open: true")
        if not is_open:
            claims = dict.fromkeys(PROPERTIES, Claim("closed", "", source))
        self._channels[key] = Channel(
            id=key,
            client=ends[0].id,
            server=ends[1].id,
            protocol=str(said.get("protocol", "unix" if path else usual.protocol)),
            port=port,
            path=None if path is None else str(path),
            open=is_open,
            credential=None if said.get("credential") is None else str(said["credential"]),
            data=_words(said.get("data", usual.data)),
            client_zone=ends[0].zone,
            server_zone=ends[1].zone,
            bind=str(said.get("bind", "")),
            members=_words(said.get("members", ())),
            **claims,
        )
        return key

    def credential(self, name: str, *, source: Source = BY_HAND, **said: Any) -> None:
        """Add a credential that is stored on a machine.

        Parameters
        ----------
        name : str
        source : Source
            Where it is written.
        **said : object
            node, kind, identity, rights ("admin", "secrets"), readable_by ("user:NODE", "pod"),
            perhaps_readable_by (the same), opens ("kubelet@NODE").

        Raises
        ------
        ConfigError
            The credential exists already, or a key or foothold is unknown.
        """
        _check(said, CREDENTIAL, "a credential", source)
        node = str(said.get("node", ""))
        if (name, node) in self._credentials:
            raise _broken(source, f"{name}@{node} exists already", "give it another name")
        self._credentials[name, node] = StoredCredential(
            name,
            node,
            str(said.get("kind", "certificate")),
            str(said.get("identity", name)),
            _footholds(said.get("rights", ()), source),
            _footholds(said.get("readable_by", ()), source),
            _words(said.get("opens", ())),
            source,
            _footholds(said.get("perhaps_readable_by", ()), source),
        )

    def model(self) -> Model:
        """Return the model that was written so far.

        Returns
        -------
        Model
        """
        return Model(
            self.name,
            tuple(self._components.values()),
            tuple(self._channels.values()),
            tuple(self._credentials.values()),
            self.description,
        )

    def _find(self, name: str, source: Source) -> Component:
        if name in self._components:
            return self._components[name]
        found = [it for key, it in self._components.items() if key.partition("@")[0] == name]
        if len(found) == 1:
            return found[0]
        if found:
            there = ", ".join(it.id for it in found)
            raise _broken(source, f"{name!r} is ambiguous: {there}", "name it with its machine")
        names = dict.fromkeys([*self._components, *(k.partition("@")[0] for k in self._components)])
        raise _broken(source, f"no component {name!r}", _nearest(name, names))


@gc_pause()
def read_model_file(path: Path | str) -> Model:
    """Read a model from one YAML file.

    Parameters
    ----------
    path : path or str

    Returns
    -------
    Model

    Raises
    ------
    ConfigError
        The file cannot be read, or a key or value is unknown; the error names the line.

    Examples
    --------
    >>> import tempfile
    >>> text = '''
    ... name: shop
    ... components:
    ...   kube-apiserver: {claims: {audit: on}}
    ...   etcd: {}
    ... channels:
    ...   - {from: kube-apiserver, to: etcd, encryption: tls1.3}
    ... '''
    >>> with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
    ...     _ = file.write(text), file.flush()
    ...     model = read_model_file(file.name)
    >>> print(model.channels[0].encryption.source.line)
    7
    """
    path = Path(path)
    text = file_text(path, path.name, MAX_MODEL, utf16=True)
    document = read_one(text, path.name)
    top = Source(path.name, 1, "")
    _check(document.mapping(), TOP, "a model", top)
    draft = Draft(
        document.text("name", default=path.stem), document.text("description", default="")
    )
    for name in document.mapping("components"):
        said, source = document.mapping("components", name), _source(document, "components", name)
        _check(said, COMPONENT, "a component", source)
        draft.component(name, source=source, **said)
    for number, _ in enumerate(document.sequence("channels")):
        said = dict(document.mapping("channels", number))
        source = _source(document, "channels", number)
        _check(said, CHANNEL, "a channel", source)
        client, server = (document.text("channels", number, end) for end in ("from", "to"))
        said = {key: value for key, value in said.items() if key not in ("from", "to")}
        draft.channel(client, server, source=source, **said)
    for name in document.mapping("credentials"):
        said, source = document.mapping("credentials", name), _source(document, "credentials", name)
        _check(said, CREDENTIAL, "a credential", source)
        draft.credential(name, source=source, **said)
    return draft.model()


def _source(document: Document, *keys: str | int) -> Source:
    return Source(document.path, document.line(*keys), "")


def _check(said: Mapping[str, Any], known: Iterable[str], what: str, source: Source) -> None:
    for name in said:
        if name not in known:
            raise _broken(source, f"{what} has no {name!r}", _nearest(name, known))


def _nearest(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(known) or 'none yet'}"


def _claim(
    name: str,
    said: Mapping[str, Any],
    usual: Mapping[str, str],
    server: Component,
    source: Source,
) -> Claim:
    if name in said:
        value = _word(said[name])
        if value not in VALUES[name]:
            what = f"no {name} {value!r}"
            raise _broken(source, what, _nearest(value, VALUES[name]))
        return Claim(value, "", Source(source.path, source.line, f"{name}: {value}"))
    found = usual.get(name)
    absent = Source(source.path, source.line, f"{name} not said", default=True)
    if found is None:
        return Claim("unknown", "", absent)
    return Claim(found, f"as {server.kind} does by itself", absent)


def _own(what: str, value: str, source: Source) -> tuple[str, Claim]:
    if what not in OWN:
        raise _broken(source, f"no claim {what!r}", _nearest(what, OWN))
    if value not in OWN[what]:
        raise _broken(source, f"no {what} {value!r}", _nearest(value, OWN[what]))
    return what, Claim(value, "", Source(source.path, source.line, f"{what}: {value}"))


def _words(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(_word(item) for item in value)


def _footholds(value: Any, source: Source) -> tuple[Foothold, ...]:
    try:
        return tuple(map(parse_foothold, _words(value)))
    except ConfigError as error:
        raise _broken(source, error.message, error.hint) from error


def _word(value: Any) -> str:
    """Return a value as text; in YAML 1.1, on and off are booleans."""
    return (
        {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    )


def _broken(source: Source, what: str, hint: str) -> ConfigError:
    place = "" if source.path == BY_HAND.path else f"{source.path}:{source.line}: "
    return ConfigError(f"{place}{what}", hint=hint)
