"""One decision on one file: whether an account of a machine may read it, or connect to a socket.

Every question about file permissions is put here: which credentials an ordinary user can steal,
who commands a container engine by its socket, the predictions of techniques. The rules are those
of path_resolution(7) and access(2): exactly one class of the mode's bits counts, the owner's before
the group's before the others', and every folder on the way has to be searchable.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from labkit.cluster.accounts import CREATING, LISTS, Permission, permissions_of
from labkit.cluster.facts import Environment, Node
from labkit.cluster.syntax.source import Source
from labkit.model.claims import Claim
from labkit.model.decision import ALLOWED, DENIED, UNKNOWN, Decision

__all__ = [
    "ANY_USER",
    "STRANGER",
    "FileMode",
    "anybody_opens",
    "is_member",
    "may_open",
    "ordinary_users",
    "socket_file",
]

ROOT = "root"
#: An account that owns nothing and is in no other group: base-passwd's, on every Debian.
STRANGER = "nobody"
#: Stands for any user of a machine whose accounts are not known.
ANY_USER = ""
NUMBERS = {ROOT: "0", STRANGER: "65534"}
GROUPS = {ROOT: "0", "nogroup": "65534"}
#: What a file or folder has that no line of tmpfiles.d speaks of.
FILE, FOLDER, KEY = "0644", "0755", "0600"
#: The bits that a file, a socket and a folder on the way demand.
READ, WRITE, SEARCH = 4, 2, 1
NEEDS = {"file": READ, "socket": WRITE, "folder": SEARCH}
#: How far the bits of each class are from the lowest.
OWNER, GROUP, OTHERS = 6, 3, 0
#: Folders that every Debian has, with their modes where they are not 0755.
USUAL = {
    **dict.fromkeys(("/", "/etc", "/home", "/opt", "/run", "/srv", "/usr", "/var"), FOLDER),
    **dict.fromkeys(("/usr/local", "/var/lib", "/var/log", "/etc/systemd"), FOLDER),
    "/root": "0700",
    "/tmp": "1777",  # noqa: S108 - its mode
    "/var/tmp": "1777",  # noqa: S108
}
#: Those that systemd and the kernel make at every start, whatever was copied from a machine.
ALWAYS = {"/": FOLDER, "/run": FOLDER}
LINKS = {"/var/run": "/run", "/var/lock": "/run/lock", "/bin": "usr/bin", "/lib": "usr/lib"}
#: The most links that Linux follows for one path.
MAX_LINKS = 40
#: The bits of folders in which Linux may follow only links of the folder's owner, and one's own.
STICKY = 0o1002


@dataclass(frozen=True, slots=True)
class FileMode:
    """What is known of a file, a folder or a socket: who may do what with it.

    Attributes
    ----------
    path : str
    kind : {"file", "folder", "socket"}
    mode : str
        Octal; empty if it is not known.
    user, group : str
        Names or numbers; empty if they are not known.
    source : Source
    has_list : bool
        Whether it has an access-control list, which labkit does not read.
    """

    path: str
    kind: str
    mode: str
    user: str
    group: str
    source: Source
    has_list: bool = False

    def __str__(self) -> str:
        if not self.mode:
            return f"{self.path}: its mode is not known"
        said = " ".join(it or "?" for it in (self.mode, self.user, self.group))
        return f"{self.path} is {said}"


def may_open(
    env: Environment, node: Node, account: str, path: str, *, file: FileMode | None = None
) -> Decision:
    """Decide whether an account of a machine may read a file, or connect to a socket.

    Parameters
    ----------
    env : Environment
    node : Node
        The machine.
    account : str
        A user's name; :data:`ANY_USER` for one of whom nothing is known but that it is not root.
    path : str
    file : FileMode, optional
        What stands at the path; by default what the environment says of it.

    Returns
    -------
    Decision
        "unknown" where a mode, an owner or the account's groups are not known, or an access-control
        list decides. Its claim names the file or the folder that decides.

    References
    ----------
    https://man7.org/linux/man-pages/man7/path_resolution.7.html

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> decision = may_open(env, env.node("master"), "alice", "/etc/kubernetes/pki/ca.key")
    >>> print(decision.value, decision.claim.detail)
    denied /etc/kubernetes/pki is 0700 root root
    """
    world = _World(env, node)
    who = world.identity(account)
    doubt: Decision | None = None
    last: Decision | None = None
    for step in world.walk(who, path, file):
        last = step if isinstance(step, Decision) else _decide(who, step)
        if last.value == DENIED:
            return last
        if last.value == UNKNOWN and doubt is None:
            doubt = last
    assert last is not None
    return doubt or last


def ordinary_users(env: Environment, node: Node) -> tuple[str, ...]:
    """Return the accounts of a machine that are not root's.

    Parameters
    ----------
    env : Environment
    node : Node

    Returns
    -------
    tuple of str
        :data:`ANY_USER` alone where the accounts were not copied.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> ordinary_users(env, env.node("master")), ordinary_users(env, env.node("etcd1"))
    (('alice', 'bob'), ())
    """
    found = tuple(it.name for it in node.accounts if it.uid.partition(":")[0] != "0")
    return found if env.complete or found else (ANY_USER,)


def anybody_opens(env: Environment, role: str, *paths: str) -> str:
    """Decide whether an ordinary user of some machine of a role may read all of some files.

    Parameters
    ----------
    env : Environment
    role : str
    *paths : str

    Returns
    -------
    {"allowed", "denied", "unknown"}

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> anybody_opens(read_environment("insecure"), "master", "/etc/kubernetes/admin.conf")
    'allowed'
    """
    found = [
        {may_open(env, node, user, path).value for path in paths}
        for node in env.nodes
        if node.role == role
        for user in ordinary_users(env, node)
    ]
    if any(values == {ALLOWED} for values in found):
        return ALLOWED
    return DENIED if all(DENIED in values for values in found) else UNKNOWN


def is_member(env: Environment, node: Node, account: str, group: str) -> bool | None:
    """Say whether a group is an account's primary group, or a further one.

    Parameters
    ----------
    env : Environment
    node : Node
    account : str
    group : str
        A name or a number.

    Returns
    -------
    bool or None
        None if it is not known.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("insecure")
    >>> [is_member(env, env.node("worker1"), it, "docker") for it in ("alice", "bob")]
    [False, True]
    """
    return _World(env, node).identity(account).in_group(group)


def socket_file(path: str, claim: Claim) -> FileMode:
    """Return what a claim on a socket's clients says of its file.

    Parameters
    ----------
    path : str
    claim : Claim
        Its detail begins with mode and owner: "0660 root:docker".

    Returns
    -------
    FileMode

    Examples
    --------
    >>> source = Source("docker.socket", 6, "SocketMode=0660")
    >>> print(socket_file("/run/docker.sock", Claim("file-mode", "0660 root:docker", source)))
    /run/docker.sock is 0660 root docker
    """
    mode, _, owner = claim.detail.partition(";")[0].partition(" ")
    user, _, group = owner.partition(":")
    octal = bool(mode) and not set(mode) - set("01234567")
    return FileMode(path, "socket", mode if octal else "", user, group, claim.source)


@dataclass(frozen=True)
class _Identity:
    """An account as the kernel sees it: by numbers, of which some names may not be known."""

    name: str
    users: Mapping[str, str]
    numbers: Mapping[str, str]
    #: The groups, each with the line that says so; None if they are not known.
    groups: Mapping[str, Source] | None
    source: Source

    @property
    def is_root(self) -> bool:
        return bool(self.name) and _same(self.name, ROOT, self.users) is True

    def owns(self, user: str) -> bool | None:
        if not self.name:  # any user but root
            return False if _same(user, ROOT, self.users) else None
        return _same(self.name, user, self.users)

    def in_group(self, group: str) -> bool | None:
        if self.groups is None or not group:
            return None
        answers = {_same(it, group, self.numbers) for it in self.groups}
        return True if True in answers else None if None in answers else False

    def claim(self, group: str = "") -> Claim:
        """Return who the account is, and why it is in a group."""
        name = self.name or "any user"
        for mine, source in (self.groups or {}).items():
            if group and _same(mine, group, self.numbers):
                return Claim("known", f"{name} is in group {group}", source)
        return Claim("known" if self.groups is not None else UNKNOWN, name, self.source)


def _same(mine: str, other: str, numbers: Mapping[str, str]) -> bool | None:
    """Say whether two names or numbers are one user's, or one group's; None if it is not known."""
    if not other:
        return None
    first, second = (it if it.isdigit() else numbers.get(it, "") for it in (mine, other))
    if mine == other or (first and second):
        return mine == other or int(first) == int(second)
    # numbers that sysusers.d leaves to systemd are free ones: two names then have two
    return None if mine.isdigit() or other.isdigit() else False


def _decide(who: _Identity, file: FileMode) -> Decision:
    """Decide on one file or folder alone."""
    need = NEEDS[file.kind]

    def answer(value: str, detail: str = "", group: str = "") -> Decision:
        return Decision(value, Claim(value, detail or str(file), file.source), who.claim(group))

    if who.is_root:
        return answer(ALLOWED, f"root opens every file (CAP_DAC_OVERRIDE); {file}")
    if not file.mode:
        return answer(UNKNOWN)
    owner, member = who.owns(file.user), who.in_group(file.group)
    classes = []
    if owner is not False:
        classes.append(OWNER)
    if owner is not True and not file.has_list:
        classes += [GROUP] if member is not False else []
        classes += [OTHERS] if member is not True else []
    bits = int(file.mode, 8)
    found = {bool(bits >> it & need) for it in classes}
    if file.has_list and owner is not True:
        return answer(UNKNOWN, f"{file}, and has an access-control list")
    if len(found) == 1:
        return answer(ALLOWED if found.pop() else DENIED, group=file.group if member else "")
    name = who.name or "a user"
    if owner is None:
        return answer(UNKNOWN, f"{file}; whether {name} owns it is not known")
    return answer(UNKNOWN, f"{file}; whether {name} is in group {file.group or '?'} is not known")


class _World:
    """The files and accounts of one machine."""

    def __init__(self, env: Environment, node: Node) -> None:
        self.env, self.node = env, node

    def is_written(self, path: str) -> bool:
        """Say whether the environment writes this file; of a copied machine, none is known."""
        return self.env.complete and (path in self.node.files or path in self.env.pki.files)

    def holds_written(self, folder: str) -> bool:
        """Say whether the environment writes a file somewhere below a folder."""
        written = (self.node.files, self.env.pki.files) if self.env.complete else ()
        start = folder.rstrip("/") + "/"
        return any(path.startswith(start) for paths in written for path in paths)

    def identity(self, account: str) -> _Identity:
        node = self.node
        users, numbers = dict(NUMBERS), dict(GROUPS)
        found: dict[str, Source] | None = None
        source = Source(f"{node.role}/etc/sysusers.d", None, f"no account {account}", default=True)
        for group in node.groups:
            if group.gid:
                numbers[group.name] = group.gid
        for it in node.accounts:
            uid, _, primary = it.uid.partition(":")
            if uid.isdigit():
                users[it.name] = uid
                if not primary:
                    numbers.setdefault(it.name, uid)
            if it.name == account:
                found, source = {primary or it.name: it.source}, it.source
        if account in NUMBERS and found is None:
            found = {ROOT if account == ROOT else "nogroup": source}
        # of a copied machine, there are groups only if its passwd and group are there
        listed = self.env.complete or bool(node.groups)
        if found is not None and listed:
            found |= {it.name: it.source for it in node.groups if it.member == account}
        known = found if listed or account in NUMBERS else None
        return _Identity(account, users, numbers, known, source)

    def walk(
        self, who: _Identity, path: str, file: FileMode | None
    ) -> Iterator[FileMode | Decision]:
        """Yield the folders that are searched on the way, and what stands at its end."""
        here, links, parts = "/", 0, _parts(path)
        searched: set[str] = set()
        while parts:
            if here not in searched:
                searched.add(here)
                yield self.entry(here, "folder")
            part = parts.pop(0)
            if part == "..":
                here = posixpath.dirname(here)
                continue
            following = posixpath.join(here, part)
            link = self.link(following)
            if link is None:
                here = following
                continue
            links += 1
            if links > MAX_LINKS:
                detail = f"{path}: too many levels of symbolic links"
                yield Decision(DENIED, Claim(DENIED, detail, link.source), who.claim())
                return
            folder = self.entry(here, "folder")
            sticky = bool(folder.mode) and int(folder.mode, 8) & STICKY == STICKY
            if sticky and not _same(link.user or ROOT, folder.user, who.users):
                detail = f"whether a link in {here} is followed, a setting of the kernel says"
                yield Decision(UNKNOWN, Claim(UNKNOWN, detail, link.source), who.claim())
            here = "/" if link.target.startswith("/") else here
            parts = _parts(link.target) + parts
        yield self.entry(here, "file") if file is None else file

    def link(self, path: str) -> Permission | None:
        """Return the link at a path, if the environment says that there is one."""
        for it in self.node.permissions:
            replaces = it.prefix == "+" or not self.is_written(path)
            if it.kind == "L" and it.target and it.path.rstrip("/") == path and replaces:
                return it
        if path in LINKS:
            source = Source("file system", None, f"{path} is a link", default=True)
            return Permission("L", path, "", "", "", source, "+", LINKS[path])
        return None

    def entry(self, path: str, kind: str) -> FileMode:
        """Return what is known of a file or a folder: its beginnings, and each line's change."""
        mode = self.default(path, kind)
        owner = ROOT if mode else ""
        absent = f"no line of tmpfiles.d for {path}"
        source = Source(f"{self.node.role}/etc/tmpfiles.d", None, absent, default=True)
        found = FileMode(path, kind, mode, owner, owner, source)
        for rule in permissions_of(path, self.node.permissions):
            found = _changed(found, rule, exists=bool(mode))
        for rule in self.node.permissions:
            start = rule.path.partition("%")[0].partition("{")[0]
            if start != rule.path and path.startswith(start):
                found = replace(found, mode="", user="", group="", source=rule.source)
        return found

    def default(self, path: str, kind: str) -> str:
        """Return the mode before any line of tmpfiles.d; empty if it is not known."""
        if kind == "folder":
            usual = USUAL if self.env.complete else ALWAYS
            return usual.get(path) or (FOLDER if self.holds_written(path) else "")
        if not self.is_written(path):
            return ""
        return KEY if path in self.env.pki.private_keys else FILE


def _changed(it: FileMode, rule: Permission, *, exists: bool) -> FileMode:
    """Return what is known of a file after a line of tmpfiles.d."""
    if rule.kind in LISTS:
        return replace(it, has_list=True, source=rule.source)
    if rule.kind == "L":
        return it
    creates = rule.kind in CREATING and not exists
    mode, user, group = it.mode, it.user, it.group
    if creates and not mode:
        mode, user, group = FOLDER if it.kind == "folder" else FILE, ROOT, ROOT
    if rule.mode and (creates or ":" not in rule.prefix):
        mode = _masked(rule.mode, mode) if "~" in rule.prefix else rule.mode
    changes = [it for it in (rule.user, rule.group) if creates or not it.startswith(":")]
    user = rule.user.lstrip(":") if rule.user and rule.user in changes else user
    group = rule.group.lstrip(":") if rule.group and rule.group in changes else group
    return replace(it, mode=mode, user=user, group=group, source=rule.source)


def _masked(mode: str, old: str) -> str:
    """Return a mode without the kinds of bits that a file has none of: tmpfiles.d(5), "~"."""
    if not old:
        return ""
    bits, before = int(mode, 8), int(old, 8)
    for kind in (0o444, 0o222, 0o111):
        if not before & kind:
            bits &= ~kind
    return f"{bits:04o}"


def _parts(path: str) -> list[str]:
    return [it for it in path.split("/") if it not in ("", ".")]
