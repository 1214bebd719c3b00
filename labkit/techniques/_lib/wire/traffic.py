"""Cause traffic between the cluster's components, and undo it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.lab.traces import Trace, leaving
from labkit.model import Channel, read_model
from labkit.model.credentials import client_credential
from labkit.techniques._lib.machines.admin import annotate
from labkit.techniques._lib.stores.secret import Secret, true_secret
from labkit.techniques._lib.wire.eavesdropping import Traffic, nonce

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = [
    "annotated",
    "command_typed",
    "docker_asked",
    "lease_renewed",
    "rewrite_secret",
    "secret_written",
    "service_changed",
]

MARK = "labkit/eavesdrop"
WANTED = ("payments", "card-processor", "api-key")


@contextmanager
def annotated(lab: Lab, kinds: str, namespace: str, name: str) -> Iterator[Secret]:
    """Set a random annotation on an object; yield its value, and remove it afterwards."""
    written = nonce(f"annotation of {kinds} {namespace}/{name}")
    path = f"/api/v1/namespaces/{namespace}/{kinds}/{name}"
    with leaving(lab, Trace("annotation", f"{path} {MARK}")):
        annotate(lab, path, MARK, written.value.decode())
        yield written


@contextmanager
def secret_written(lab: Lab) -> Iterator[Traffic]:
    """Change a secret's annotation, so that the apiserver writes the whole secret to etcd."""
    secret = true_secret(lab, *WANTED)
    with annotated(lab, "secrets", secret.namespace, secret.name):
        yield Traffic(secret, secret.proof, "the apiserver wrote the secret during the capture")


def rewrite_secret(lab: Lab) -> None:
    """Write the secret once, as the apiserver now stores it.

    After a change of the encryption, the first write also sends the old value: etcd sends the
    previous value to its watchers.
    """
    with annotated(lab, "secrets", *WANTED[:2]):
        pass


@contextmanager
def service_changed(lab: Lab) -> Iterator[Traffic]:
    """Change a service's annotation, so that the apiserver sends it to all watchers."""
    with annotated(lab, "services", "shop", "web") as written:
        proof = "the service shop/web, with the annotation that it was just given"
        yield Traffic(written, proof, "the service shop/web changed during the capture")


@contextmanager
def command_typed(lab: Lab) -> Iterator[Traffic]:
    """Type something into a command that runs in a pod.

    Raises
    ------
    ProbeError
        The command did not get the input.
    """
    typed = nonce("keystrokes")
    argv = ("exec", "--stdin", "--namespace=shop", "web", "--", "cat")
    if not typed.found_in(lab.kubectl(*argv, stdin=typed.value + b"\n").stdout):
        raise ProbeError("the command in the pod did not echo its input")
    yield Traffic(
        typed, "what was typed into a command in shop/web", "the command got what was typed"
    )


@contextmanager
def lease_renewed(lab: Lab) -> Iterator[Traffic]:
    """Write flanneld's lease of worker1 in etcd again, so that etcd sends it to flanneld."""
    prefix = "/coreos.com/network/subnets/"
    argv = ("get", prefix, "--prefix", "--write-out=fields")
    entries = lab.etcdctl(*argv).text.split('"Key" : ')[1:]
    own = next(e for e in entries if f'PublicIP\\":\\"{lab.addresses["worker1"]}\\"' in e)
    fields = dict(line.split(" : ", 1) for line in own.splitlines()[1:] if " : " in line)
    key, value = json.loads(own.splitlines()[0]), json.loads(fields['"Value"'])
    lease = int(fields['"Lease"'])
    lab.etcdctl("put", key, value, f"--lease={lease:x}")
    wanted = Secret("", "lease", "", json.loads(value)["BackendData"]["VtepMAC"].encode())
    said = "flanneld's lease of worker1 was written during the capture"
    yield Traffic(wanted, "the lease of worker1: where its pods are reached", said)


@contextmanager
def docker_asked(lab: Lab, channel: Channel) -> Iterator[Traffic]:
    """Send a request from the master to the Docker Engine of worker1."""
    asked = nonce("question")
    filters = json.dumps({"label": [asked.value.decode()]})
    url = f"{channel.protocol}://worker1:{channel.port}/containers/json"
    argv = ["curl", "--silent", "--fail", "--insecure", "--get", url]
    argv += ["--data-urlencode", f"filters={filters}"]
    if credential := client_credential(read_model(lab.environment), channel):
        argv += ["--cert", credential.certificate, "--key", credential.key]
    lab.exec("master", argv)
    yield Traffic(asked, "what a remote client asked the Docker Engine", "the client was answered")
