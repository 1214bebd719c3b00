"""Save etcd's keys, or restore them. Runs on an etcd machine, as etcd's administrator.

``keep`` writes every key and value to a file. ``restore`` deletes the keys that were added since,
and puts the keys that changed since. So watchers see every change, revisions only grow, and no
component has to stop. ``hash`` returns the hash of every value as JSON; of a Secret it returns how
it is encrypted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labkit.agents._etcdctl import etcdctl

#: Objects that others know by their uid, and that may have been created again since.
KNOWN_BY_UID = (b"/registry/pods/", b"/registry/serviceaccounts/")
#: Where services lead. What a controller writes there from the pods has its name as a label. A
#: saved one names the addresses of pods that may be gone, and the controller would not look at it
#: again: its generation is still the same.
LEADS = (b"/registry/endpointslices/", b"/registry/services/endpoints/")
CONTROLLERS = (b"endpointslice-controller.k8s.io", b"endpoint-controller")
#: Objects that expire with an etcd lease, or are renewed every few seconds, and the revision up to
#: which the apiserver has compacted etcd, every five minutes
#: (k8s.io/apiserver/pkg/storage/etcd3/compact.go).
SHORT_LIVED = (
    b"compact_rev_key",
    b"/registry/events/",
    b"/registry/masterleases/",
    b"/registry/leases/",
    b"/registry/peerserverleases/",
)

#: Objects that components write again by themselves: the hash says only that they exist.
REWRITTEN = (
    *KNOWN_BY_UID,
    b"/registry/minions/",
    *LEADS,
    b"/registry/ranges/",
    b"/coreos.com/network/subnets/",
)
#: Whom the servers of aggregated APIs believe: its certificates count. To the names beside them the
#: apiserver adds those of its flags, and takes none away
#: (pkg/controlplane/controller/clusterauthenticationtrust).
TRUST = b"/registry/configmaps/kube-system/extension-apiserver-authentication"
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+")
#: The start of a value that the apiserver encrypted, with the names of its provider and its key
#: (k8s.io/apiserver/pkg/server/options/encryptionconfig).
ENCRYPTED = re.compile(rb"k8s:enc:\w+:v\d:[^:\s]+:")


def read() -> tuple[int, dict[bytes, str]]:
    """Return etcd's revision, and the value (base64) of every key."""
    reply = json.loads(etcdctl("get", "", "--prefix", "--write-out=json"))
    keys = {base64.b64decode(kv["key"]): kv.get("value", "") for kv in reply.get("kvs", [])}
    return reply["header"]["revision"], {
        key: value for key, value in keys.items() if not key.startswith(SHORT_LIVED)
    }


def keep(path: str) -> None:
    """Write every key and value to a file that only its owner can read."""
    revision, keys = read()
    kept = {key.decode(): value for key, value in keys.items()}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"revision": revision, "keys": kept}, file)


def replaced(key: bytes, saved: bytes, now: Mapping[bytes, object]) -> bool:
    """Say whether a saved object must not be put back, because a newer one stands for it.

    An object of the same name may have another uid than the saved one. The saved status of a pod
    would describe the old pod, and the saved service account would invalidate the tokens of the
    new one. What a controller writes from the pods, it writes again; what a person wrote, nobody.
    """
    if key.startswith(LEADS):
        return any(name in saved for name in CONTROLLERS)
    return key.startswith(KNOWN_BY_UID) and key in now


def restore(path: str) -> str:
    """Put the keys of a file into etcd, delete all others, and return those as JSON."""
    kept: dict[str, str] = json.loads(Path(path).read_text())["keys"]
    _, now = read()
    changed = [
        (key, saved)
        for key, value in kept.items()
        if now.get(key.encode()) != value
        and not replaced(key.encode(), saved := base64.b64decode(value), now)
    ]
    extra = [key.decode() for key in now if key.decode() not in kept]
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda key: etcdctl("del", key), extra))
        list(pool.map(lambda kv: etcdctl("put", kv[0], value=kv[1]), changed))
    return json.dumps(extra)


def hashes() -> str:
    """Return what stands for every value, by its key."""
    _, keys = read()
    return json.dumps({key.decode(): shown(key, value) for key, value in keys.items()})


def shown(key: bytes, value: str) -> str:
    """Return what stands for a value (base64) in a fingerprint.

    What a Secret contains is compared by ``labkit.agents.secret_hashes``: each write gives another
    ciphertext, and the apiserver writes by itself when a token of a Secret was last used.
    """
    if key.startswith(REWRITTEN):
        return "there"
    if key.startswith(b"/registry/secrets/"):
        start = ENCRYPTED.match(base64.b64decode(value))
        return f"encrypted: {start[0].decode()}" if start else "not encrypted"
    if key == TRUST:
        found = sorted(CERTIFICATE.findall(base64.b64decode(value)))
        return hashlib.sha256(b"".join(found)).hexdigest()[:16]
    return hashlib.sha256(value.encode()).hexdigest()[:16]


def answer(action: str, path: str = "") -> str:
    """Keep, restore or hash the keys."""
    if action == "hash":
        return hashes()
    if action == "restore":
        return restore(path)
    keep(path)
    return ""
