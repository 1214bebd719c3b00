"""kubelet: its API port, its read-only port and its health.

https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.cluster.syntax.source import Setting, bool_of, is_true
from labkit.cluster.syntax.urls import port_of
from labkit.model.claims import Claim, closed
from labkit.model.listener import HEALTH, Anyone, Listener, plain_listener, tls
from labkit.model.listeners._base import Gap, ListenerKind, Server, cis

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment

__all__ = ["SERVER"]

#: The verbs that the kubelet asks the apiserver about before it runs a command in a container: by
#: POST, and by GET over a WebSocket.
RUN_COMMANDS = ("create", "get")
USUAL_READ_ONLY_PORT = 10255


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    server, bind = it.setting("enableServer"), it.setting("address")
    off = None
    if not is_true(server.value):
        off = closed("the kubelet serves nothing", server.source)
    yield Listener(
        server=it.id,
        role="api",
        node=it.node,
        zone=it.zone,
        protocol="https",
        bind=bind.value,
        port=port_of(it.setting("port")),
        path=None,
        open=off is None,
        encryption=off or tls(it.setting("tlsMinVersion")),
        client_authentication=off or _clients(it),
        authorization=off or _authorization(env, it),
        bind_source=bind.source,
        anyone=Anyone.UNUSED,
    )
    read_only = it.setting("readOnlyPort")
    number = port_of(read_only)
    if not number:
        off = off or closed("the read-only port is off", read_only.source)
    yield Listener(
        server=it.id,
        role="read-only",
        node=it.node,
        zone=it.zone,
        protocol="http",
        bind=bind.value,
        port=number or USUAL_READ_ONLY_PORT,
        path=None,
        open=off is None,
        encryption=off or Claim("none", "plain http", read_only.source),
        client_authentication=off
        or Claim("none", "callers are not authenticated", read_only.source),
        authorization=off or Claim("allow-all", "read only, for everybody", read_only.source),
        bind_source=bind.source,
        anyone=Anyone.ALWAYS,
        data=("pod specs", "node metrics"),
    )
    # its port is a key of its own, and 0 turns it off
    host, place = it.setting("healthzBindAddress"), it.setting("healthzPort")
    usual = it.default("healthzPort").value
    shown = f"[{host.value}]:{place.value}" if place.value != "0" else ""
    yield plain_listener(it, "health", Setting(shown, host.source), usual, HEALTH)


def _clients(it: Component) -> Claim:
    anonymous = it.setting("authentication.anonymous.enabled")
    said = bool_of(anonymous.value)
    if said is None:
        return Claim("unknown", f"not a boolean: {anonymous.value}", anonymous.source)
    if said:
        return Claim("anonymous", "callers without a credential are let in", anonymous.source)
    return Claim("required", "no anonymous callers", anonymous.source)


def _authorization(env: Environment, it: Component) -> Claim:
    # a model written by hand needs the kinds alone
    from labkit.model.authorization import kubelet_authorization
    from labkit.model.decision import ALLOWED, UNKNOWN, Action, decide_at_kubelet
    from labkit.model.rights import known_to_kubelet

    rights = kubelet_authorization(env, it)
    if rights.value != "enforced":
        return rights
    # every caller can leave their credential out, and is then anonymous
    actions = [Action(verb, "nodes/proxy", name=it.node) for verb in RUN_COMMANDS]
    runs = decide_at_kubelet(env, it, known_to_kubelet(env, it, None), actions)
    if runs.value == ALLOWED:
        detail = f"without a credential, {runs.claim.detail}"
        return Claim("allow-all", detail, runs.claim.source)
    return runs.claim if runs.value == UNKNOWN else rights


SERVER = Server(
    "kubelet",
    _read,
    (
        ListenerKind(
            "kubelet health",
            gives=(),
            impact=1,
            by_design="the kubelet asks nobody on this port, and serves only its health",
            for_everybody=True,
            data=HEALTH,
        ),
        ListenerKind(
            "kubelet read-only",
            gives=(),
            impact=2,
            gaps=dict.fromkeys(
                ("encryption", "client_authentication", "authorization"),
                Gap("kubelet-read-only-port", "kubelet-read-only", cis("4.2.4")),
            ),
            protocol="http",
        ),
        ListenerKind(
            "kubelet",
            gives=("pod", "secrets"),
            impact=4,
            gaps={
                "encryption": Gap("tls-min-version", "tls-downgrade", cis("4.2.12")),
                "server_authentication": Gap("kubelet-ca-pinned", "mitm-kubelet", cis("1.2.5")),
                "client_authentication": Gap("kubelet-anonymous", "kubelet-exec", cis("4.2.1")),
                "authorization": Gap("kubelet-authorization", "kubelet-neighbour", cis("4.2.2")),
            },
            with_credential="kubelet-neighbour",
        ),
    ),
)
