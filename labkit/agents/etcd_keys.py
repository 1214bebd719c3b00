"""Keep what etcd holds, or put it back. Runs on an etcd machine, as etcd's administrator.

``keep FILE`` writes every key and value to a file; ``restore FILE`` deletes the keys that were
not there and puts those that have changed since, so that whoever watches sees it happen.
Revisions only grow, and nothing has to be stopped.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

#: What is known by its uid, and may have been made anew under the same name.
OWN_LIFE = (b"/registry/pods/", b"/registry/serviceaccounts/")
#: What lives on a lease of etcd's own, or is renewed every few seconds anyway.
PASSING = (b"/registry/events/", b"/registry/masterleases/", b"/registry/leases/")


def etcdctl(*arguments: str, value: bytes | None = None) -> bytes:
    """Run etcdctl, and return what it prints."""
    argv = ["etcdctl", *arguments]
    return subprocess.run(argv, input=value, check=True, capture_output=True, timeout=30).stdout


def read() -> tuple[int, dict[bytes, str]]:
    """Return etcd's revision, and the value (base64) of every key."""
    reply = json.loads(etcdctl("get", "", "--prefix", "--write-out=json"))
    keys = {base64.b64decode(kv["key"]): kv.get("value", "") for kv in reply.get("kvs", [])}
    return reply["header"]["revision"], {
        key: value for key, value in keys.items() if not key.startswith(PASSING)
    }


def keep(path: str) -> None:
    """Write every key and value to a file that only its owner reads."""
    revision, keys = read()
    kept = {key.decode(): value for key, value in keys.items()}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"revision": revision, "keys": kept}, file)


def made_anew(key: bytes, now: Mapping[bytes, object]) -> bool:
    """Say whether a key's object may be another of the same name, which must not be put back.

    A pod that was put back would tell of another's life, and a service account would make the
    tokens of the one that is there worthless: both go by their uid.
    """
    return key.startswith(OWN_LIFE) and key in now


def restore(path: str) -> None:
    """Put the keys of a file into etcd, and delete all others."""
    kept: dict[str, str] = json.loads(Path(path).read_text())["keys"]
    _, now = read()
    changed = [
        (key, value)
        for key, value in kept.items()
        if now.get(key.encode()) != value and not made_anew(key.encode(), now)
    ]
    extra = [key.decode() for key in now if key.decode() not in kept]
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda key: etcdctl("del", key), extra))
        list(pool.map(lambda kv: etcdctl("put", kv[0], value=base64.b64decode(kv[1])), changed))
    print(len(extra), "deleted,", len(changed), "put back")


if __name__ == "__main__":
    {"keep": keep, "restore": restore}[sys.argv[1]](sys.argv[2])
