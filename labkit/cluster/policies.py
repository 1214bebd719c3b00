"""Read RBAC manifests, ABAC policies, etcd's users, and encryption at rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from labkit.cluster.kinds import is_foreign
from labkit.cluster.syntax.source import Source, Unknown, broken
from labkit.cluster.syntax.values import selects
from labkit.cluster.syntax.yamldoc import Document, read_documents, read_one

__all__ = [
    "PROVIDERS",
    "RBAC_KINDS",
    "USER_FACING",
    "AbacRule",
    "Binding",
    "Encryption",
    "EtcdAuth",
    "EtcdPermission",
    "Rbac",
    "RbacRole",
    "RbacRule",
    "aggregated",
    "path_matches",
    "read_abac",
    "read_encryption",
    "read_etcd_auth",
    "read_rbac",
    "user_or_group",
]

#: The kinds of RBAC, each with an object (by namespace and name) that every apiserver makes when it
#: starts: where it is not among the files, others of its kind are missing as well
#: (plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
RBAC_KINDS = {
    "ClusterRole": ("", "cluster-admin"),
    "ClusterRoleBinding": ("", "cluster-admin"),
    "Role": ("kube-public", "system:controller:bootstrap-signer"),
    "RoleBinding": ("kube-public", "system:controller:bootstrap-signer"),
}
#: The keys of lines without a version, and of those with one.
OLD_ABAC_KEYS = frozenset(["user", "group", "readonly", "namespace", "resource"])
ABAC_KEYS = OLD_ABAC_KEYS | {"apiGroup", "nonResourcePath"}
#: The older kind is still accepted (apiserver/pkg/apis/apiserver/v1/register.go).
ENCRYPTION_KINDS = ("EncryptionConfiguration", "EncryptionConfig")
PROVIDERS = frozenset({"identity", "aesgcm", "aescbc", "secretbox", "kms"})


@dataclass(frozen=True, slots=True)
class AbacRule:
    """One line of an ABAC policy, after the conversion of v1beta1.

    Attributes
    ----------
    user, group : str
    readonly : bool
    namespace, api_group, resource : str
    path : str
        A non-resource path.
    source : Source
    """

    user: str
    group: str
    readonly: bool
    namespace: str
    api_group: str
    resource: str
    path: str
    source: Source

    @property
    def everything(self) -> bool:
        """Whether it allows every verb on every object."""
        return not self.readonly and (self.namespace, self.api_group, self.resource) == (
            "*",
            "*",
            "*",
        )


@dataclass(frozen=True, slots=True)
class RbacRule:
    """One rule of a role.

    Attributes
    ----------
    verbs, api_groups, resources : tuple of str
    names : tuple of str
        ``resourceNames``.
    paths : tuple of str
        ``nonResourceURLs``.
    """

    verbs: tuple[str, ...]
    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    names: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RbacRole:
    """A Role or ClusterRole.

    Attributes
    ----------
    name : str
    namespace : str
        Empty for a ClusterRole.
    rules : tuple of RbacRule
        Of a role that selects others, with theirs once :func:`aggregated` was called.
    source : Source
    labels : mapping of str to str
    selectors : tuple of mapping
        The label selectors of its aggregation rule, as the API has them.
    """

    name: str
    namespace: str
    rules: tuple[RbacRule, ...]
    source: Source
    labels: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    selectors: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Binding:
    """A RoleBinding or ClusterRoleBinding.

    Attributes
    ----------
    name : str
    namespace : str
        Empty for a ClusterRoleBinding.
    role_kind, role : str
    subjects : tuple of (str, str, str)
        Kind, namespace and name of each.
    source : Source
    """

    name: str
    namespace: str
    role_kind: str
    role: str
    subjects: tuple[tuple[str, str, str], ...]
    source: Source


@dataclass(frozen=True)
class Rbac:
    """Roles and bindings.

    Attributes
    ----------
    roles : tuple of RbacRole
    bindings : tuple of Binding
    missing : frozenset of str
        The kinds of which some objects are not known.
    """

    roles: tuple[RbacRole, ...] = ()
    bindings: tuple[Binding, ...] = ()
    missing: frozenset[str] = frozenset()

    @cached_property
    def by_subject(self) -> dict[tuple[str, str], list[Binding]]:
        """The bindings of each subject, by kind and name; a service account is its user."""
        found: dict[tuple[str, str], list[Binding]] = {}
        for binding in self.bindings:
            for subject in binding.subjects:
                found.setdefault(user_or_group(binding, subject), []).append(binding)
        return found

    @cached_property
    def rules_of(self) -> dict[tuple[str, str], tuple[RbacRule, ...]]:
        """The rules of each role, by namespace and name, with those of the roles it selects.

        The roles that users are meant for (``admin``, ``edit``, ``view``) select by labels too,
        whether they are among these roles or not.
        """
        found: dict[tuple[str, str], tuple[RbacRule, ...]] = {}
        for role in aggregated((*self.roles, *USER_FACING)):
            key = (role.namespace, role.name)
            found[key] = tuple(dict.fromkeys((*found.get(key, ()), *role.rules)))
        return found


def user_or_group(binding: Binding, subject: tuple[str, str, str]) -> tuple[str, str]:
    """Return kind and name of a binding's subject; a service account is a user of the apiserver.

    Examples
    --------
    >>> binding = Binding("b", "shop", "Role", "r", (), Source("rbac.yaml", 1, ""))
    >>> user_or_group(binding, ("ServiceAccount", "", "web"))
    ('User', 'system:serviceaccount:shop:web')
    """
    kind, namespace, name = subject
    if kind != "ServiceAccount":
        return kind, name
    return "User", f"system:serviceaccount:{namespace or binding.namespace}:{name}"


def aggregated(roles: Iterable[RbacRole]) -> list[RbacRole]:
    """Return roles, each with the rules of the cluster roles that its selectors select.

    Parameters
    ----------
    roles : iterable of RbacRole

    Returns
    -------
    list of RbacRole

    Raises
    ------
    ValueError
        A selector is malformed.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles

    Examples
    --------
    >>> rule, at = RbacRule(("get",), ("",), ("secrets",), (), ()), Source("rbac.yaml", 1, "")
    >>> one = RbacRole("one", "", (rule,), at, {"to": "all"})
    >>> every = RbacRole("every", "", (), at, {}, ({"matchLabels": {"to": "all"}},))
    >>> aggregated([one, every])[1].rules == (rule,)
    True
    """
    found = list(roles)
    while True:
        before = [len(role.rules) for role in found]
        for number, role in enumerate(found):
            rules = dict.fromkeys(role.rules)
            for other in found if role.selectors else ():
                if other is role or other.namespace:
                    continue
                if any(selects(selector, other.labels) for selector in role.selectors):
                    rules |= dict.fromkeys(other.rules)
            if len(rules) != len(role.rules):
                found[number] = replace(role, rules=tuple(rules))
        if before == [len(role.rules) for role in found]:
            return found


@dataclass(frozen=True, slots=True)
class Encryption:
    """The providers of encryption at rest.

    Attributes
    ----------
    providers : tuple of (str, tuple of str)
        Each resource with its providers; the first one encrypts.
    source : Source
    """

    providers: tuple[tuple[str, tuple[str, ...]], ...]
    source: Source


@dataclass(frozen=True, slots=True)
class EtcdPermission:
    """The access of an etcd role to a key or a prefix of keys.

    Attributes
    ----------
    key : str
    prefix : bool
        True if `key` is a prefix.
    access : str
        "read", "write" or "readwrite".
    """

    key: str
    prefix: bool
    access: str


@dataclass(frozen=True, slots=True)
class EtcdAuth:
    """The users and roles of etcd.

    Attributes
    ----------
    roles : tuple of (str, tuple of EtcdPermission)
        Without root, which etcd makes itself.
    users : tuple of (str, tuple of str)
        Each user with its roles.
    source : Source
    """

    roles: tuple[tuple[str, tuple[EtcdPermission, ...]], ...]
    users: tuple[tuple[str, tuple[str, ...]], ...]
    source: Source


AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
#: The roles that users are meant for select roles by these labels, and one another
#: (plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go).
USER_FACING = tuple(
    RbacRole(
        name,
        "",
        (),
        Source("kube-apiserver", None, f"ClusterRole {name}", default=True),
        {f"{AGGREGATE}{wider}": "true"} if wider else {},
        ({"matchLabels": {f"{AGGREGATE}{name}": "true"}},),
    )
    for name, wider in (("view", "edit"), ("edit", "admin"), ("admin", ""))
)


def _line(item: dict[str, Any], name: str, path: str, number: int) -> str:
    value = item.get(name, "")
    if not isinstance(value, str):
        raise broken(path, number, f"{name} must be a text, not {value!r}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key occurs twice: {', '.join(sorted(keys))}")
    return dict(pairs)


def read_abac(text: str, path: str) -> tuple[tuple[AbacRule, ...], tuple[Unknown, ...]]:
    """Read an ABAC policy file, which has one JSON object per line.

    In v1beta1 the user or group ``*`` means all authenticated callers, and not anonymous ones
    (pkg/apis/abac/v1beta1/conversion.go).

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    rules : tuple of AbacRule
    unknowns : tuple of Unknown

    Raises
    ------
    ConfigError
        A line is malformed.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/abac/

    Examples
    --------
    >>> [rule], _ = read_abac('{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", '
    ...     '"kind": "Policy", "spec": {"user": "*", "resource": "*", "namespace": "*", '
    ...     '"apiGroup": "*"}}', "abac.jsonl")
    >>> rule.group, rule.everything
    ('system:authenticated', True)
    """
    rules: list[AbacRule] = []
    unknowns: list[Unknown] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            item = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise broken(
                path, number, f"not a JSON object: {error}", "one object per line"
            ) from error
        if not isinstance(item, dict):
            raise broken(path, number, "not a JSON object", "one object per line")
        shown = line.strip() if len(line) < 70 else line.strip()[:69] + "…"
        if "apiVersion" not in item:
            item = {"kind": "Policy", "spec": _versioned(item)}
        elif item["apiVersion"] != "abac.authorization.kubernetes.io/v1beta1":
            unknowns.append(Unknown(path, number, shown, "labkit reads only policies of v1beta1"))
            continue
        spec = item.get("spec", {})
        if not isinstance(spec, dict) or item.get("kind") != "Policy":
            raise broken(path, number, "expected kind Policy with a spec")
        for key in sorted(spec.keys() - ABAC_KEYS):
            unknowns.append(Unknown(path, number, key, "not a key of an ABAC policy"))
        user, group = _line(spec, "user", path, number), _line(spec, "group", path, number)
        if "*" in (user, group):
            user, group = "", "system:authenticated"
        readonly = spec.get("readonly", False)
        if not isinstance(readonly, bool):
            raise broken(path, number, "readonly must be true or false")
        rules.append(
            AbacRule(
                user=user,
                group=group,
                readonly=readonly,
                namespace=_line(spec, "namespace", path, number),
                api_group=_line(spec, "apiGroup", path, number),
                resource=_line(spec, "resource", path, number),
                path=_line(spec, "nonResourcePath", path, number),
                source=Source(path, number, shown),
            )
        )
    return tuple(rules), tuple(unknowns)


def _versioned(item: dict[str, Any]) -> dict[str, Any]:
    """Return the specification of a line without a version (pkg/apis/abac/v0/conversion.go)."""
    spec = {key: value for key, value in item.items() if key not in ("kind", *ABAC_KEYS)}
    named = {key: item[key] for key in OLD_ABAC_KEYS if item.get(key, "") != ""}
    if not named.keys() & {"user", "group"}:
        named["group"] = "*"
    if not named.keys() & {"namespace", "resource"}:
        named["nonResourcePath"] = "*"
    return {**spec, "namespace": "*", "resource": "*", "apiGroup": "*", **named}


def read_rbac(text: str, path: str) -> Rbac:
    """Read the roles and bindings in a manifest; ignore other objects.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    Rbac

    Raises
    ------
    ConfigError
        A role or binding is malformed.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/rbac/

    Examples
    --------
    >>> rbac = read_rbac("{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, "
    ...     "metadata: {name: all}, roleRef: {kind: ClusterRole, name: cluster-admin}, "
    ...     "subjects: [{kind: Group, name: 'system:authenticated'}]}", "rbac.yaml")
    >>> rbac.bindings[0].subjects
    (('Group', '', 'system:authenticated'),)
    """
    roles: list[RbacRole] = []
    bindings: list[Binding] = []
    for document in read_documents(text, path):
        for item in document.objects():
            kind = item.get("kind")
            if not isinstance(kind, str) or kind not in RBAC_KINDS:
                continue
            if is_foreign(item.get("apiVersion"), kind):
                continue
            name = item.text("metadata", "name")
            # kubectl puts an object without a namespace into this one
            home = "" if kind.startswith("Cluster") else "default"
            namespace = item.text("metadata", "namespace", default=home)
            source = Source(path, item.line("metadata", "name"), f"{kind} {name}")
            if kind in {"Role", "ClusterRole"}:
                labels = item.get("metadata", "labels") or {}
                selectors = item.sequence("aggregationRule", "clusterRoleSelectors")
                for selector in selectors:
                    try:
                        selects(selector, {})
                    except ValueError as error:
                        raise item.broken(str(error), "aggregationRule") from error
                roles.append(
                    RbacRole(
                        name,
                        namespace,
                        tuple(_rules(item)),
                        source,
                        labels if isinstance(labels, dict) else {},
                        tuple(selectors),
                    )
                )
            else:
                bindings.append(
                    Binding(
                        name=name,
                        namespace=namespace if kind == "RoleBinding" else "",
                        role_kind=item.text("roleRef", "kind"),
                        role=item.text("roleRef", "name"),
                        subjects=tuple(_subjects(item)),
                        source=source,
                    )
                )
    return Rbac(tuple(roles), tuple(bindings))


def _rules(document: Document) -> Iterable[RbacRule]:
    for index, rule in enumerate(document.sequence("rules")):
        if not isinstance(rule, dict):
            raise document.broken("expected a rule", "rules", index)
        here = ("rules", index)
        yield RbacRule(
            document.words(*here, "verbs"),
            document.words(*here, "apiGroups"),
            document.words(*here, "resources"),
            document.words(*here, "resourceNames"),
            document.words(*here, "nonResourceURLs"),
        )


def _subjects(document: Document) -> Iterable[tuple[str, str, str]]:
    for index, subject in enumerate(document.sequence("subjects")):
        if not isinstance(subject, dict):
            raise document.broken("expected a subject", "subjects", index)
        here = ("subjects", index)
        yield (
            document.text(*here, "kind"),
            document.text(*here, "namespace", default=""),
            document.text(*here, "name"),
        )


def read_encryption(text: str, path: str) -> tuple[Encryption, tuple[Unknown, ...]]:
    """Read an EncryptionConfiguration; a resource's first provider encrypts it.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    encryption : Encryption
    unknowns : tuple of Unknown

    Raises
    ------
    ConfigError
        The file is malformed, or of another kind.

    References
    ----------
    https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/

    Examples
    --------
    >>> found, _ = read_encryption("{kind: EncryptionConfiguration, resources: [{resources: "
    ...     "[secrets], providers: [{identity: {}}]}]}", "encryption.yaml")
    >>> found.providers
    (('secrets', ('identity',)),)
    """
    document = read_one(text, path)
    if document.get("kind") not in ENCRYPTION_KINDS:
        raise broken(path, document.line("kind"), "its kind is not EncryptionConfiguration")
    unknowns: list[Unknown] = []
    result: list[tuple[str, tuple[str, ...]]] = []
    for index, _ in enumerate(document.sequence("resources")):
        at = ("resources", index)
        document.mapping(*at)
        names: list[str] = []
        for position, _ in enumerate(document.sequence(*at, "providers")):
            here = (*at, "providers", position)
            for name in document.mapping(*here):
                names.append(name)
                if name not in PROVIDERS:
                    line = document.line(*here, name)
                    unknowns.append(Unknown(path, line, name, "labkit knows no such provider"))
        if not names:
            raise document.broken("no providers", *at)
        result += [(resource, tuple(names)) for resource in document.words(*at, "resources")]
    source = Source(path, document.line("resources"), "EncryptionConfiguration")
    return Encryption(tuple(result), source), tuple(unknowns)


def read_etcd_auth(text: str, path: str) -> EtcdAuth:
    """Read etcd's users (common names of client certificates) and roles.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    EtcdAuth

    Raises
    ------
    ConfigError
        The file is malformed, or lacks the user root.

    References
    ----------
    https://etcd.io/docs/v3.6/op-guide/authentication/rbac/

    Examples
    --------
    >>> auth = read_etcd_auth("{roles: {r: [{prefix: /a/, access: read}]}, users: {root: [root]}}",
    ...                       "etcd-auth.yaml")
    >>> auth.roles[0][1]
    (EtcdPermission(key='/a/', prefix=True, access='read'),)
    """
    document = read_one(text, path)
    roles: dict[str, tuple[EtcdPermission, ...]] = {"root": ()}
    for role in document.mapping("roles"):
        if role == "root":
            raise document.broken("etcd makes its role root by itself", "roles", role)
        permissions: list[EtcdPermission] = []
        for index, _ in enumerate(document.sequence("roles", role)):
            at = ("roles", role, index)
            entry = document.mapping(*at)
            access = document.text(*at, "access")
            if access not in {"read", "write", "readwrite"}:
                raise document.broken(f"access {access!r}: read, write or readwrite", *at, "access")
            if ("prefix" in entry) == ("key" in entry):
                raise document.broken("give either a prefix or a key", *at)
            prefix = "prefix" in entry
            key = document.text(*at, "prefix" if prefix else "key")
            if any((it.key, it.prefix) == (key, prefix) for it in permissions):
                # a later grant of the same range takes the place of the earlier one
                raise document.broken(f"{key} is granted twice; write readwrite once", *at)
            permissions.append(EtcdPermission(key, prefix, access))
        roles[role] = tuple(permissions)
    users: dict[str, tuple[str, ...]] = {}
    for user in document.mapping("users"):
        users[user] = document.words("users", user)
        for role in users[user]:
            if role not in roles:
                raise document.broken(f"no role named {role!r}", "users", user)
    if "root" not in users:
        raise document.broken("etcd demands a user root before auth can be enabled", "users")
    names = ", ".join(users)
    source = Source(path, document.line("users"), f"users: {names}")
    # etcd makes its role root by itself
    del roles["root"]
    return EtcdAuth(tuple(roles.items()), tuple(users.items()), source)


def path_matches(rule: str, path: str) -> bool:
    """Say whether a rule's path is a request's: ``*`` at its end stands for any rest.

    RBAC, ABAC and audit policies compare the paths of requests for no resource in this way.

    Parameters
    ----------
    rule, path : str

    Returns
    -------
    bool

    Examples
    --------
    >>> path_matches("/logs/*", "/logs/syslog"), path_matches("/logs/*", "/logs")
    (True, False)
    """
    return rule in ("*", path) or (rule.endswith("*") and path.startswith(rule.rstrip("*")))
