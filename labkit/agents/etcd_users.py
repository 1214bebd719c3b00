"""Make, clear or show etcd's users and roles. Runs on an etcd machine, as etcd's administrator.

``make`` gets JSON, ``{"users": {name: [role, ...]}, "roles": {name: [{"access": ..., "key": ...,
"prefix": ...}, ...]}}``, creates them and enables authentication. ``clear`` disables authentication
and deletes all users and roles. ``show`` returns them as JSON, ``{item: value}``.

etcd's JSON gateway takes many requests from one process, but once authentication is enabled, it
knows nobody by a certificate (etcd, "Role-based access control", notes on gRPC-gateway). From then
on each question needs an etcdctl. So what was read is kept until etcd's number for changes grows.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from labkit.agents._documents import documents
from labkit.agents._etcdctl import PATIENCE_S, administrator, etcdctl

#: What was read last, and etcd's answer about authentication at that time.
KEPT = Path("/var/lib/labkit/etcd-users")
#: etcd's names of the kinds of access (api/authpb/auth.proto), which etcdctl writes as numbers.
KINDS = ("READ", "WRITE", "READWRITE")
#: The option of curl for each variable of etcdctl.
OPTIONS = {"ETCDCTL_CACERT": "cacert", "ETCDCTL_CERT": "cert", "ETCDCTL_KEY": "key"}
Question = tuple[str, dict[str, Any]]


def told(*arguments: str) -> Any:
    """Return etcdctl's answer to a question."""
    return json.loads(etcdctl(*arguments, "--write-out=json"))


def ask(questions: Iterable[Question]) -> list[Any]:
    """Ask etcd's JSON gateway, one question after the other, and return its answers."""
    settings = administrator()
    endpoint = settings["ETCDCTL_ENDPOINTS"].split(",")[0]
    fixed = [f'{option} = "{settings[it]}"' for it, option in OPTIONS.items() if it in settings]
    fixed += ["silent", "show-error", "fail-with-body", f"max-time = {PATIENCE_S}"]
    each = [
        "\n".join([*fixed, f'url = "{endpoint}/v3/auth/{path}"', f"data = {quoted(body)}"])
        for path, body in questions
    ]
    done = subprocess.run(
        ["curl", "--fail-early", "--config", "-"],
        input="\nnext\n".join(each),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S * 2,
    )
    if done.returncode:
        said = (done.stderr + done.stdout).strip()[-300:]
        raise OSError(f"{os.uname().nodename}: etcd's gateway: {said}")
    return documents(done.stdout)


def quoted(body: dict[str, Any]) -> str:
    """Return JSON as a value in a file of curl's options: a text between quotes."""
    return json.dumps(json.dumps(body))


def make(users: dict[str, list[str]], roles: dict[str, list[dict[str, Any]]]) -> None:
    """Add users and roles, grant their permissions, and enable authentication."""
    questions: list[Question] = [("role/add", {"name": role}) for role in roles]
    questions += [
        ("role/grant", {"name": role, "perm": permission(grant)})
        for role, grants in roles.items()
        for grant in grants
    ]
    questions += [("user/add", {"name": user, "options": {"no_password": True}}) for user in users]
    questions += [
        ("user/grant", {"user": user, "role": role}) for user in users for role in users[user]
    ]
    # etcd itself creates the role root
    count = len(questions)
    questions += [("user/get", {"name": user}) for user in users]
    questions += [("role/get", {"role": role}) for role in roles]
    answers = ask([*questions, ("enable", {})])[count:-1]
    names = [*(("user", user) for user in users), *(("role", role) for role in roles)]
    keep(told("auth", "status"), described(names, answers))


def permission(grant: dict[str, Any]) -> dict[str, str]:
    """Return a grant of keys in etcd's form."""
    key = grant["key"].encode()
    found = {"permType": grant["access"].upper(), "key": encoded(key)}
    return {**found, "range_end": encoded(after(key))} if grant["prefix"] else found


def after(prefix: bytes) -> bytes:
    r"""Return the first key behind all keys with a prefix.

    Examples
    --------
    >>> after(b"/registry/"), after(b"a\xff")
    (b'/registry0', b'b')
    """
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else b"\x00"


def encoded(key: bytes) -> str:
    """Return a key as JSON has it."""
    return base64.b64encode(key).decode()


def clear() -> None:
    """Disable authentication, and delete all users and roles."""
    etcdctl("auth", "disable")
    users, roles = ask([("user/list", {}), ("role/list", {})])
    gone: list[Question] = [("user/delete", {"name": name}) for name in users.get("users", ())]
    gone += [("role/delete", {"role": name}) for name in roles.get("roles", ())]
    if gone:
        ask(gone)


def show() -> str:
    """Return whether authentication is enabled, the users, and the roles with their grants."""
    status = told("auth", "status")
    return json.dumps(kept(status) or keep(status, read()))


def read() -> dict[str, str]:
    """Return the users and roles, from etcdctl."""
    names = [
        (kind, name) for kind in ("user", "role") for name in told(kind, "list").get(f"{kind}s", ())
    ]
    from concurrent.futures import ThreadPoolExecutor  # slow, and seldom needed

    with ThreadPoolExecutor(max_workers=8) as pool:
        return described(names, list(pool.map(lambda it: told(it[0], "get", it[1]), names)))


def described(names: Sequence[tuple[str, str]], answers: Sequence[Any]) -> dict[str, str]:
    """Return the roles of each user, and the grants of each role.

    Examples
    --------
    >>> described([("user", "a")], [{"roles": ["r"]}])
    {'user a': 'r'}
    >>> grant = {"permType": 2, "key": "L2Ev", "range_end": "L2Ew"}
    >>> described([("role", "r")], [{"perm": [grant, {"key": "L2I="}]}])
    {'role r': 'READ /b, READWRITE /a/ to /a0'}
    """
    return {
        f"{kind} {name}": ", ".join(
            sorted(answer.get("roles") or map(granted, answer.get("perm", ())))
        )
        for (kind, name), answer in zip(names, answers, strict=True)
    }


def granted(perm: dict[str, Any]) -> str:
    """Return a grant in words; etcd leaves out what is READ, and etcdctl has numbers."""
    kind = perm.get("permType", 0)
    keys = [base64.b64decode(perm[it]).decode() for it in ("key", "range_end") if perm.get(it)]
    return f"{kind if isinstance(kind, str) else KINDS[kind]} {' to '.join(keys)}"


def kept(status: dict[str, Any]) -> dict[str, str] | None:
    """Return what was read last; nothing if users or roles have changed since."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(KEPT.read_text())
        if record["of"] == moment(status):
            found: dict[str, str] = record["found"]
            return found
    return None


def keep(status: dict[str, Any], found: dict[str, str]) -> dict[str, str]:
    """Keep what was read, and return it with the state of authentication."""
    whole = {"authentication": "enabled" if status.get("enabled") else "disabled", **found}
    KEPT.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = KEPT.with_name(f"{KEPT.name}.{os.getpid()}.new")
    new.write_text(json.dumps({"of": moment(status), "found": whole}))
    new.replace(KEPT)
    return whole


def moment(status: dict[str, Any]) -> list[Any]:
    """Return what changes whenever users, roles or authentication change."""
    return [
        status["header"]["cluster_id"],
        status.get("enabled", False),
        status.get("authRevision", 0),
    ]


def answer(action: str, wanted: str = "") -> str:
    """Make, clear or show users and roles."""
    if action == "show":
        return show()
    make(**json.loads(wanted)) if action == "make" else clear()
    return ""
