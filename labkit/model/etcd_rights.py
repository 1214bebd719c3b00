"""What etcd's roles allow: one decision on each request for a key or a range of keys.

etcd merges the permissions of all roles of a user, and a range is allowed if together they cover
all of it (server/auth/range_perm_cache.go). Whether users exist at all, the environment says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from labkit.cluster.facts import Component, Credential, Environment
from labkit.cluster.policies import EtcdPermission
from labkit.cluster.syntax.source import bool_of
from labkit.model.claims import Claim
from labkit.model.decision import ALLOWED, DENIED, UNKNOWN, Caller, Decision, unread_flags
from labkit.model.rights import trusted_by

__all__ = [
    "ALL_KEYS",
    "MAINTAIN",
    "KeyRange",
    "anyone_may",
    "covered",
    "etcd_authorization",
    "etcd_client",
    "etcd_may",
    "keys_of_others",
    "known_by_gateway",
    "known_to_etcd",
]

#: The role that may do everything, and that etcd makes by itself.
ROOT = "root"
#: The access to etcd's maintenance, such as a snapshot of everything: only of the role root.
MAINTAIN = "maintain"
#: The end of a range without an end.
OPEN = b"\0"


@dataclass(frozen=True, slots=True)
class KeyRange:
    r"""A key of etcd, or the keys from one key up to and without another.

    Parameters
    ----------
    key : bytes
        The first key; etcd has no empty key.
    end : bytes
        Empty for the one key, ``b"\0"`` for all keys from `key` on, as in etcd's API.

    Raises
    ------
    ValueError
        The key is empty, or no key is between the two.

    Examples
    --------
    >>> KeyRange.prefix("/registry/")
    KeyRange(key=b'/registry/', end=b'/registry0')
    >>> KeyRange(b"b", b"a")
    Traceback (most recent call last):
        ...
    ValueError: no key is in the range from b'b' to b'a'
    """

    key: bytes
    end: bytes = b""

    def __post_init__(self) -> None:
        if not self.key or (self.end not in (b"", OPEN) and self.end <= self.key):
            raise ValueError(f"no key is in the range from {self.key!r} to {self.end!r}")

    @classmethod
    def one(cls, key: str) -> KeyRange:
        """Return the range of one key."""
        return cls(key.encode())

    @classmethod
    def prefix(cls, prefix: str | bytes) -> KeyRange:
        """Return the range of all keys with a prefix, as etcdctl's ``--prefix`` does.

        Examples
        --------
        >>> KeyRange.prefix("") == ALL_KEYS
        True
        """
        start = prefix.encode() if isinstance(prefix, str) else prefix
        kept = start.rstrip(b"\xff")
        return cls(start or OPEN, kept[:-1] + bytes([kept[-1] + 1]) if kept else OPEN)

    @property
    def limit(self) -> bytes | None:
        """The first key behind the range; None if it has no end."""
        if not self.end:
            return self.key + b"\0"
        return None if self.end == OPEN else self.end

    def __str__(self) -> str:
        key = self.key.decode(errors="replace")
        if not self.end:
            return key
        if self == ALL_KEYS:
            return "every key"
        if self == KeyRange.prefix(self.key):
            return f"{key}*"
        return f"{key} to {'the last' if self.end == OPEN else self.end.decode(errors='replace')}"


ALL_KEYS = KeyRange(OPEN, OPEN)


def covered(asked: KeyRange, granted: Iterable[KeyRange]) -> bool:
    """Say whether ranges together cover all of another.

    Parameters
    ----------
    asked : KeyRange
    granted : iterable of KeyRange

    Returns
    -------
    bool

    Examples
    --------
    >>> a, b, c = (KeyRange.prefix(each) for each in "abc")
    >>> covered(KeyRange(b"a", b"c"), [b, a]), covered(KeyRange(b"a", b"d"), [a, c])
    (True, False)
    """
    reached, wanted = asked.key, asked.limit
    for each in sorted(granted, key=lambda it: it.key):
        if each.key > reached:
            return False
        limit = each.limit
        if limit is None:
            return True
        reached = max(reached, limit)
        if wanted is not None and reached >= wanted:
            return True
    return False


def etcd_may(
    env: Environment, etcd: Component, caller: Caller, access: str, keys: KeyRange
) -> Decision:
    """Decide whether etcd lets a caller read or write a key or a range of keys.

    An environment grants keys and prefixes only; a question may be about any range.

    Parameters
    ----------
    env : Environment
    etcd : labkit.cluster.Component
    caller : Caller
        As etcd knows them: :func:`known_to_etcd`.
    access : {"read", "write", "maintain"}
        The last is not about keys: no permission gives it (server/etcdserver/api/v3rpc/
        maintenance.go).
    keys : KeyRange

    Returns
    -------
    Decision
        Without users, etcd allows everything to everybody who can connect.

    References
    ----------
    https://etcd.io/docs/v3.6/op-guide/authentication/rbac/

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> etcd = env.component("etcd@etcd1")
    >>> apiserver = known_to_etcd(env, etcd, env.credential("kube-apiserver-etcd-client", "master"))
    >>> etcd_may(env, etcd, apiserver, "read", KeyRange.prefix("/registry/")).value
    'allowed'
    >>> etcd_may(env, etcd, apiserver, "read", ALL_KEYS).value
    'denied'
    """
    value, detail = _answer(env, caller, access, keys)
    source = env.etcd_auth_source if value != UNKNOWN else caller.claim.source
    return Decision(value, Claim(value, detail, source), caller.claim)


def _answer(env: Environment, caller: Caller, access: str, keys: KeyRange) -> tuple[str, str]:
    if env.etcd_auth is None:
        return ALLOWED, "etcd has no users"
    if caller.claim.value == UNKNOWN:
        return UNKNOWN, caller.claim.detail
    if not caller.user:
        return DENIED, "etcd has users, and knows this caller as no user"
    roles = env.etcd_users.get(caller.user)
    what = f"{access} {keys}"
    if roles is None:
        return DENIED, f"etcd has no user {caller.user}"
    if ROOT in roles:
        return ALLOWED, f"{caller.user} has the role root"
    if access == MAINTAIN:
        return DENIED, f"{caller.user} lacks the role root, which alone maintains etcd"
    granted = [it for role in roles for it in _granted(env.etcd_roles.get(role, ()), access)]
    if covered(keys, granted):
        return ALLOWED, f"etcd's roles let {caller.user} {what}"
    return DENIED, f"no role of etcd lets {caller.user} {what}"


def _granted(permissions: Iterable[EtcdPermission], access: str) -> Iterator[KeyRange]:
    for each in permissions:
        if each.access in (access, "readwrite"):
            yield KeyRange.prefix(each.key) if each.prefix else KeyRange.one(each.key)


def known_to_etcd(env: Environment, etcd: Component, held: Credential | None) -> Caller:
    """Return the caller whom an etcd knows by a client certificate.

    etcd takes the certificate's common name, and only with ``--client-cert-auth``: a trusted CA
    alone makes it demand a certificate, and not look at the name (server/etcdserver/v3_server.go).

    Parameters
    ----------
    env : Environment
    etcd : labkit.cluster.Component
    held : Credential or None

    Returns
    -------
    Caller
        Without a user if etcd knows none; its claim is unknown if that cannot be read.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> etcd = env.component("etcd@etcd1")
    >>> known_to_etcd(env, etcd, env.credential("kubelet", "worker1")).user
    ''
    """
    asks, trusted = etcd.setting("client-cert-auth"), etcd.setting("trusted-ca-file")
    if any(unread_flags(etcd, name) for name in ("client-cert-auth", "trusted-ca-file")):
        return _caller("", Claim(UNKNOWN, "its flags could not be read", etcd.source))
    if bool_of(asks.value) is None:
        return _caller("", Claim(UNKNOWN, f"not a boolean: {asks.value}", asks.source))
    nobody = Claim("required", "no certificate that etcd takes a name from", asks.source)
    if not bool_of(asks.value) or held is None or "client" not in held.usages:
        return _caller("", nobody)
    if held.signed_by not in trusted_by(env, trusted.value):
        return _caller("", replace(nobody, source=trusted.source))
    return _caller(held.common_name, Claim("required", held.common_name, asks.source))


def _caller(user: str, claim: Claim) -> Caller:
    return Caller(user, frozenset(), claim)


def known_by_gateway(env: Environment, etcd: Component) -> Caller | None:
    """Return the caller for whom an etcd's plaintext port may take anybody; None if for nobody.

    etcd answers JSON through a gateway, which calls etcd itself and shows the server's own
    certificate. Then etcd must not take its name, and knows such a call by its header Accept: it
    takes the name if the caller sends no such header (server/auth/store.go, AuthInfoFromTLS).
    Whether the gateway of a plaintext port calls so, differs from one start to the next: seen with
    etcd 3.7.3.

    Parameters
    ----------
    env : Environment
    etcd : labkit.cluster.Component

    Returns
    -------
    Caller or None
        Its claim is unknown if the certificate cannot be read.

    References
    ----------
    https://github.com/etcd-io/etcd/pull/10366

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> known_by_gateway(env, env.component("etcd@etcd1")).user
    'etcd1'
    """
    own, asks = etcd.setting("cert-file"), etcd.setting("client-cert-auth")
    gateway = etcd.given("enable-grpc-gateway")
    if any(unread_flags(etcd, name) for name in ("cert-file", "client-cert-auth")):
        return _caller("", Claim(UNKNOWN, "its flags could not be read", etcd.source))
    closed = gateway is not None and bool_of(gateway.value) is False
    if closed or not own.value or bool_of(asks.value) is False:
        return None
    for held in env.credentials:
        if (held.node, held.certificate) == (etcd.node, own.value):
            return _caller(held.common_name, Claim("required", held.common_name, own.source))
    return _caller("", Claim(UNKNOWN, f"whom {own.value} names is not known", own.source))


def anyone_may(
    env: Environment, etcd: Component, access: str, keys: KeyRange, *, plaintext: bool
) -> Decision:
    """Decide whether an etcd lets somebody without a credential read or write keys.

    Parameters
    ----------
    env : Environment
    etcd : labkit.cluster.Component
    access : {"read", "write"}
    keys : KeyRange
    plaintext : bool
        Whether they call a port without TLS.

    Returns
    -------
    Decision
        Unknown if only the name in etcd's own certificate is allowed it
        (:func:`known_by_gateway`).

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> etcd = env.component("etcd@etcd1")
    >>> anyone_may(env, etcd, "read", ALL_KEYS, plaintext=True).value
    'denied'
    """
    found = etcd_may(env, etcd, known_to_etcd(env, etcd, None), access, keys)
    taken = known_by_gateway(env, etcd) if plaintext and found.value == DENIED else None
    theirs = etcd_may(env, etcd, taken, access, keys) if taken else found
    if taken is None or theirs.value == DENIED:
        return found
    why = f"etcd's gateway may take anybody for {taken.user or 'whom its certificate names'}"
    claim = Claim(UNKNOWN, f"{why}; {theirs.claim.detail}", taken.claim.source)
    return Decision(UNKNOWN, claim, taken.claim)


def etcd_client(env: Environment, etcd: Component, client: Component, name: str | None) -> Caller:
    """Return the caller whom an etcd knows one of its clients as.

    Parameters
    ----------
    env : Environment
    etcd, client : labkit.cluster.Component
    name : str or None
        The credential that the client uses.

    Returns
    -------
    Caller
        Unknown if the client logs in with a password, which no file tells to be right.
    """
    login = client.given("etcd-username")
    if login and login.value:
        why = f"it logs in as {login.value} with a password"
        return _caller("", Claim(UNKNOWN, why, login.source))
    return known_to_etcd(env, etcd, env.credential(name, client.node) if name else None)


def keys_of_others(env: Environment, client: Component) -> KeyRange:
    """Return the keys that a client of etcd has no business with: secrets, or flannel's leases.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> print(keys_of_others(env, env.component("flanneld@worker1")))
    /registry/secrets/*
    """
    other, part = ("kube-apiserver", "secrets/") if client.kind == "flanneld" else ("flanneld", "")
    for it in env.components:
        if it.kind == other:
            return KeyRange.prefix(f"/{it.setting('etcd-prefix').value.strip('/')}/{part}")
    return ALL_KEYS


def etcd_authorization(
    env: Environment, etcd: Component, client: Component, credential: str | None
) -> Claim:
    """Say whether etcd holds one of its clients to its own keys.

    Parameters
    ----------
    env : Environment
    etcd, client : labkit.cluster.Component
    credential : str or None
        The one that the client uses.

    Returns
    -------
    Claim
        "allow-all" if it may read or write the :func:`keys_of_others`.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> etcd, flanneld = env.component("etcd@etcd1"), env.component("flanneld@worker1")
    >>> etcd_authorization(env, etcd, flanneld, "flanneld").detail
    'no role of etcd lets flanneld-worker1 read /registry/secrets/*'
    """
    caller, keys = etcd_client(env, etcd, client, credential), keys_of_others(env, client)
    found = [etcd_may(env, etcd, caller, access, keys) for access in ("read", "write")]
    for value, claimed in ((ALLOWED, "allow-all"), (UNKNOWN, UNKNOWN)):
        for each in found:
            if each.value == value:
                return replace(each.claim, value=claimed)
    return replace(found[0].claim, value="enforced")
