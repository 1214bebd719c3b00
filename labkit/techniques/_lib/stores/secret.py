"""The secrets that a technique is after: known to the lab, and never shown."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.errors import ProbeTimeout
from labkit.techniques._lib.machines.admin import create, remove

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["Sample", "Secret", "fresh_secret", "sample", "true_secret"]

#: Seconds to wait for the apiserver: it takes up to a minute to stop.
PATIENCE = 90.0
#: How many bytes a sample shows.
WINDOW = 384


@dataclass(frozen=True, slots=True)
class Secret:
    """One value that the cluster keeps; ``others`` are those beside it, not to be shown either.

    Examples
    --------
    >>> secret = Secret("shop", "db-credentials", "password", b"hunter2")
    >>> print(secret)
    the password of shop/db-credentials
    >>> secret.found_in(b"...hunter2...")
    True
    >>> secret
    Secret(namespace='shop', name='db-credentials', key='password')
    """

    namespace: str
    name: str
    key: str
    value: bytes = field(repr=False)
    others: tuple[bytes, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"the {self.key} of {self.namespace}/{self.name}"

    def found_in(self, data: bytes) -> bool:
        """Say whether the value stands in some bytes, as it is or as JSON spells it."""
        return self.value in data or base64.b64encode(self.value) in data

    @property
    def proof(self) -> str:
        """What is said when it was found, without saying it."""
        return f"{self}: {len(self.value)} characters, equal to the ones in the cluster"


@contextmanager
def fresh_secret(lab: Lab, name: str) -> Iterator[Secret]:
    """Yield a secret that is stored now, as the cluster is configured now, and remove it.

    What was stored before a setting changed may still lie about as it was then.
    """
    secret = Secret("default", name, "password", secrets.token_hex(12).encode())
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": secret.namespace, "name": name},
        "stringData": {secret.key: secret.value.decode()},
    }
    path = f"/api/v1/namespaces/{secret.namespace}/secrets"
    remove(lab, f"{path}/{name}")
    create(lab, path, manifest)
    try:
        yield secret
    finally:
        remove(lab, f"{path}/{name}")


def true_secret(lab: Lab, namespace: str, name: str, key: str) -> Secret:
    """Return a secret's true value, from the apiserver, as the cluster's administrator.

    Raises
    ------
    ProbeTimeout
        The apiserver does not answer.
    """
    path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
    deadline = time.monotonic() + PATIENCE
    while (found := lab.api("GET", path, check=False)).exit_code or not found.stdout:
        # It may be starting again: a setting was just changed, or the lab was verified. And
        # without a word, the engine lost what was written.
        if time.monotonic() > deadline:
            raise ProbeTimeout(
                f"the apiserver does not say within {PATIENCE:g} s what {namespace}/{name} is",
                evidence=found.error.splitlines()[-3:],
            )
        time.sleep(0.5)
    values = {k: base64.b64decode(v) for k, v in json.loads(found.stdout)["data"].items()}
    value = values.pop(key)
    return Secret(namespace, name, key, value, tuple(values.values()))


@dataclass(frozen=True, slots=True)
class Sample:
    """Some bytes that an attacker got, for a picture: the secret in them is blotted out.

    ``marks`` are (start, end, what) with what "secret" or "header".
    """

    caption: str
    data: bytes = field(repr=False)
    marks: tuple[tuple[int, int, str], ...] = ()


def sample(
    caption: str, data: bytes, secret: Secret, headers: tuple[tuple[int, int], ...] = ()
) -> Sample:
    """Cut out of some bytes what is worth looking at, without the secret.

    Examples
    --------
    >>> secret = Secret("shop", "db-credentials", "password", b"hunter2")
    >>> shown = sample("the wire", b"password: hunter2", secret)
    >>> shown.data, shown.marks
    (b'password: *******', ((10, 17, 'secret'),))
    """
    marks = [(start, end, "header") for start, end in headers]
    first = None
    for value in (secret.value, *secret.others):
        for spelling in (value, base64.b64encode(value)):
            while spelling and (at := data.find(spelling)) >= 0:
                first = at if first is None else first
                marks.append((at, at + len(spelling), "secret"))
                data = data.replace(spelling, b"*" * len(spelling), 1)
    begin = max(0, (first or 0) - WINDOW // 2)
    shown = data[begin : begin + WINDOW]
    moved = tuple(
        (max(0, start - begin), min(len(shown), end - begin), what)
        for start, end, what in sorted(marks)
        if end > begin and start < begin + len(shown)
    )
    return Sample(caption, shown, moved)
