"""The secrets that techniques look for; the lab knows their values and never shows them."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.lab.traces import Trace, leaving
from labkit.techniques._lib.machines.admin import create, remove
from labkit.techniques._lib.machines.waiting import wait_for

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["Sample", "Secret", "fresh_secret", "sample", "true_secret"]

#: Seconds to wait for the apiserver, which needs up to a minute to stop.
PATIENCE = 90.0
#: Number of bytes in a sample.
WINDOW = 384


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret value of the cluster.

    ``others`` are the other values of the same object; they are not shown either.

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
        """Say whether some bytes contain the value, as it is or in base64."""
        return self.value in data or base64.b64encode(self.value) in data

    @property
    def proof(self) -> str:
        """Return evidence that the value was found, without the value."""
        return f"{self}: {len(self.value)} characters, equal to the ones in the cluster"


@contextmanager
def fresh_secret(lab: Lab, name: str) -> Iterator[Secret]:
    """Yield a secret that is stored now, under the current configuration, and delete it afterwards.

    An older secret may still be stored as the configuration then required.
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
    with leaving(lab, Trace("object", f"{path}/{name}")):
        create(lab, path, manifest)
        yield secret


def true_secret(lab: Lab, namespace: str, name: str, key: str) -> Secret:
    """Return the true value of a secret, read from the apiserver as administrator.

    Raises
    ------
    ProbeTimeout
        The apiserver does not answer.
    """
    path = f"/api/v1/namespaces/{namespace}/secrets/{name}"

    def ask() -> bytes:
        # The apiserver may be restarting after a change of a setting. If there is no error and
        # no output, the engine lost the output.
        found = lab.api("GET", path, check=False)
        return b"" if found.exit_code else found.stdout

    missing = f"the apiserver did not return {namespace}/{name}"
    answer = json.loads(wait_for(lab, ask, PATIENCE, missing))
    values = {k: base64.b64decode(v) for k, v in answer["data"].items()}
    value = values.pop(key)
    return Secret(namespace, name, key, value, tuple(values.values()))


@dataclass(frozen=True, slots=True)
class Sample:
    """Some bytes that an attacker got, for a picture; secrets in them are overwritten.

    ``marks`` are (start, end, what), where what is "secret" or "header".
    """

    caption: str
    data: bytes = field(repr=False)
    marks: tuple[tuple[int, int, str], ...] = ()


def sample(
    caption: str, data: bytes, secret: Secret, headers: tuple[tuple[int, int], ...] = ()
) -> Sample:
    """Cut an excerpt out of some bytes, and overwrite the secret in it.

    Parameters
    ----------
    caption : str
    data : bytes
    secret : Secret
    headers : tuple of (int, int)
        Where record headers begin and end, in bytes.

    Returns
    -------
    Sample

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
