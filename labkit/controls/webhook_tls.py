"""The apiserver and its webhooks speak mutual TLS, and it pins their authority."""

from __future__ import annotations

from labkit.cluster.edits import Edit, Flag, Key
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]

UNIT = "opa.service"
FLAGS = {
    "tls-cert-file": "/etc/opa/pki/tls.crt",
    "tls-private-key-file": "/etc/opa/pki/tls.key",
    "tls-ca-cert-file": "/etc/kubernetes/pki/review-ca.crt",
    "min-tls-version": "1.3",
    "authentication": "tls",
    "authorization": "basic",
}
TRUST = {
    "clusters.0.cluster.certificate-authority": "/etc/kubernetes/pki/review-ca.crt",
    "users.0.user.client-certificate": "/etc/kubernetes/pki/apiserver-review-client.crt",
    "users.0.user.client-key": "/etc/kubernetes/pki/apiserver-review-client.key",
}
#: What the apiserver asks: each question has a kubeconfig and a path of its own.
QUESTIONS = ("token", "access")
#: The kinds of servers that an apiserver asks; a webhook that is no machine of the cluster too.
SERVERS = frozenset({"opa", "webhook"})


def _edits(*, on: bool) -> tuple[Edit, ...]:
    scheme = "https" if on else "http"
    return (
        *(Flag("reviewer", UNIT, name, value if on else None) for name, value in FLAGS.items()),
        *(
            Key("master", f"/etc/kubernetes/{asks}-webhook.conf", key, value if on else None)
            for asks in QUESTIONS
            for key, value in TRUST.items()
        ),
        *(
            Key(
                "master",
                f"/etc/kubernetes/{asks}-webhook.conf",
                "clusters.0.cluster.server",
                f"{scheme}://review:8181/v0/data/kubernetes/{asks}",
            )
            for asks in QUESTIONS
        ),
    )


def holds(model: Model) -> bool:
    """Say whether the control is in place; without a webhook, there is nothing to protect."""
    found = model.open_channels("kube-apiserver@* -> *")
    asked = [it for it in found if it.server_name in SERVERS]
    return all(
        it.protocol == "https"
        and it.server_authentication.value == "verified"
        and it.client_authentication.value == "required"
        for it in asked
    )


CONTROL = Control(
    name="webhook-tls",
    title="The apiserver and its webhooks speak mutual TLS with a pinned authority",
    why="Who answers in place of a token webhook makes anybody a member of system:masters.",
    on=_edits(on=True),
    off=_edits(on=False),
    holds=holds,
    changes="kube-apiserver -> webhooks: TLS, the server verified, the client required",
    stops=("mitm-token-webhook", "eavesdrop-token-review"),
    references=(
        "Kubernetes documentation: Authenticating, Webhook Token Authentication",
        "Kubernetes documentation: Webhook Mode",
        "Open Policy Agent documentation: Security",
    ),
    machines=("review",),
    modes=("hook-insecure", "hook-hardened"),
)
