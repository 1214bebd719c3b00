"""What each component listens on, and what it demands there."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.cluster.facts import Component, Environment, Socket
from labkit.cluster.syntax.source import Setting, Source, is_true
from labkit.model.addresses import apiserver_of, port_of, url_of
from labkit.model.authorization import (
    apiserver_anonymous,
    apiserver_authorization,
    kubelet_authorization,
    proxy_authorization,
)
from labkit.model.claims import Claim, closed
from labkit.model.listener import Listener, socket_claims, tls
from labkit.model.rights import Action, known_to_kubelet, may_at_kubelet

__all__ = ["listeners"]

#: The verbs that the kubelet asks the apiserver about before it runs a command in a container: by
#: POST, and by GET over a WebSocket.
RUN_COMMANDS = ("create", "get")


def listeners(env: Environment) -> list[Listener]:
    """Return the listeners of all components of an environment, closed ones included.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> found = listeners(read_environment("hardened"))
    >>> [item.port for item in found if item.server == "etcd@etcd1"]
    [2379, 2380]
    """
    readers = {
        "kube-apiserver": _apiserver,
        "kubectl-proxy": _proxy,
        "kubelet": _kubelet,
        "etcd": _etcd,
        "dockerd": _docker,
        "containerd": _containerd,
    }
    result: list[Listener] = []
    for component in env.components:
        reader = readers.get(component.kind)
        if reader is not None:
            result += reader(env, component)
    return result


def _apiserver(env: Environment, it: Component) -> Iterator[Listener]:
    yield Listener(
        server=it.id,
        role="api",
        node=it.node,
        zone=it.zone,
        protocol="https",
        bind=it.setting("bind-address").value,
        port=port_of(it.setting("secure-port")),
        path=None,
        open=True,
        encryption=tls(it.setting("tls-min-version")),
        client_authentication=apiserver_anonymous(it),
        authorization=apiserver_authorization(env, it),
    )
    insecure = it.setting("insecure-port")
    shut = closed("the insecure port went away in Kubernetes 1.24", insecure.source)
    if insecure.value != "0":
        shut = Claim("unknown", "removed in Kubernetes 1.24", insecure.source)
    yield Listener(
        server=it.id,
        role="insecure",
        node=it.node,
        zone=it.zone,
        protocol="http",
        bind=it.setting("bind-address").value,
        port=port_of(insecure) or 8080,
        path=None,
        open=insecure.value != "0",
        encryption=shut,
        client_authentication=shut,
        authorization=shut,
    )


def _proxy(env: Environment, it: Component) -> Iterator[Listener]:
    if it.setting("unix-socket").value:
        return
    unit = it.source
    apiserver = apiserver_of(env, it.kubeconfig) if it.kubeconfig else None
    yield Listener(
        server=it.id,
        role="proxy",
        node=it.node,
        zone=it.zone,
        protocol="http",
        bind=it.setting("address").value,
        port=port_of(it.setting("port")),
        path=None,
        open=True,
        encryption=Claim("none", "kubectl proxy speaks plain http", unit),
        client_authentication=Claim("none", "kubectl proxy asks nobody", unit),
        authorization=proxy_authorization(env, it, apiserver),
    )


def _kubelet(env: Environment, it: Component) -> Iterator[Listener]:
    server, port = it.setting("enableServer"), it.setting("port")
    rights = kubelet_authorization(env, it)
    for verb in RUN_COMMANDS if rights.value == "enforced" else ():
        action = Action(verb, "nodes/proxy", name=it.node)
        runs = may_at_kubelet(env, it, known_to_kubelet(env, it, None), action)
        if runs.value == "allowed":
            # who leaves their credential out is one of the anonymous
            rights = Claim("allow-all", f"without a credential, {runs.detail}", runs.source)
    shut = None
    if not is_true(server.value):
        shut = closed("the kubelet serves nothing", server.source)
    anonymous = it.setting("authentication.anonymous.enabled")
    if is_true(anonymous.value):
        client = Claim("anonymous", "callers without a credential are let in", anonymous.source)
    else:
        client = Claim("required", "no anonymous callers", anonymous.source)
    yield Listener(
        server=it.id,
        role="api",
        node=it.node,
        zone=it.zone,
        protocol="https",
        bind=it.setting("address").value,
        port=port_of(port),
        path=None,
        open=shut is None,
        encryption=shut or tls(it.setting("tlsMinVersion")),
        client_authentication=shut or client,
        authorization=shut or rights,
    )
    read_only = it.setting("readOnlyPort")
    number = port_of(read_only)
    if not number:
        shut = shut or closed("the read-only port is off", read_only.source)
    yield Listener(
        server=it.id,
        role="read-only",
        node=it.node,
        zone=it.zone,
        protocol="http",
        bind=it.setting("address").value,
        port=number or 10255,
        path=None,
        open=shut is None,
        encryption=shut or Claim("none", "plain http", read_only.source),
        client_authentication=shut or Claim("none", "nobody is asked", read_only.source),
        authorization=shut or Claim("allow-all", "read only, for everybody", read_only.source),
    )


def _etcd(env: Environment, it: Component) -> Iterator[Listener]:
    groups = (
        ("client", "", ("listen-client-urls", "listen-client-http-urls")),
        ("peer", "peer-", ("listen-peer-urls",)),
        ("metrics", "", ("listen-metrics-urls",)),
    )
    for role, prefix, flags in groups:
        for flag in flags:
            for setting in it.values(flag):
                url, host, port = url_of(setting)
                if url.scheme not in {"http", "https"}:
                    continue
                secure = url.scheme == "https"
                plain = Claim("none", "plain http", setting.source)
                yield Listener(
                    server=it.id,
                    role=role,
                    node=it.node,
                    zone=it.zone,
                    protocol=url.scheme,
                    bind=host,
                    port=port,
                    path=None,
                    open=True,
                    encryption=tls(it.setting("tls-min-version")) if secure else plain,
                    client_authentication=_etcd_clients(env, it, role, prefix, secure) or plain,
                    authorization=_etcd_rights(env, it, role, secure),
                )


def _etcd_clients(
    env: Environment, it: Component, role: str, prefix: str, secure: bool
) -> Claim | None:
    """Claim whether etcd demands client certificates: a trusted CA alone makes it do so.

    Its users are names in certificates: on a plaintext port nobody can be one of them.
    """
    if not secure and role == "client" and env.etcd_auth is not None:
        return Claim(
            "required", "etcd has users, and nobody can prove to be one", env.etcd_auth_source
        )
    if not secure:
        return None
    demanded, trusted = (
        it.setting(f"{prefix}client-cert-auth"),
        it.given(f"{prefix}trusted-ca-file"),
    )
    if is_true(demanded.value):
        return Claim("required", "client certificates", demanded.source)
    if trusted and trusted.value:
        # client/pkg/transport/listener.go: TrustedCAFile != "" || ClientCertAuth
        return Claim("required", "client certificates: a CA for them is set", trusted.source)
    return Claim("none", "client certificates are not asked for", demanded.source)


def _etcd_rights(env: Environment, it: Component, role: str, secure: bool) -> Claim:
    if role == "metrics":
        source = it.setting("listen-metrics-urls").source
        return Claim("allow-all", "metrics and health, nothing else, for everybody", source)
    if role == "client":
        if env.etcd_auth is None:
            return Claim("allow-all", "etcd has no users", env.etcd_auth_source)
        return Claim("enforced", "etcd users by key prefix", env.etcd_auth_source)
    name, host = it.setting("peer-cert-allowed-cn"), it.setting("peer-cert-allowed-hostname")
    if secure and name.value:
        return Claim("enforced", f"only the common name {name.value}", name.source)
    if secure and host.value:
        return Claim("enforced", f"only the host name {host.value}", host.source)
    return Claim("allow-all", "every peer is taken for a member", name.source)


def _docker(env: Environment, it: Component) -> Iterator[Listener]:
    seen: set[tuple[str, int | None]] = set()
    for item in it.values("host"):
        url, host, port = url_of(item)
        found: list[Listener] = []
        if url.scheme == "fd":
            found = [_docker_socket(it, socket) for socket in it.sockets]
        elif url.scheme == "unix":
            group = it.setting("group").value
            path = _run(url.path or "/var/run/docker.sock")
            found = [_docker_unix(it, path, "0660", f"root:{group}", item.source, item.source)]
        elif url.scheme == "tcp":
            found = [_docker_tcp(it, host, port, item.source)]
        seen |= {(listener.protocol, listener.port) for listener in found}
        yield from found
    source = it.setting("host").source
    protocols, ports = {protocol for protocol, _ in seen}, {port for _, port in seen}
    if "unix" not in protocols:
        yield _docker_closed(it, "unix", "no unix socket among the hosts", source)
    if "http" not in protocols and 2375 not in ports:
        why = "no tcp:// without TLS" if "https" in protocols else "no tcp://"
        yield _docker_closed(it, "http", f"{why} among the hosts", source)


def _run(path: str) -> str:
    """Return a path without the link /var/run."""
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def _docker_socket(it: Component, socket: Socket) -> Listener:
    address, mode, place = socket.address.value, socket.mode, socket.address.source
    if address.startswith("/"):
        owner = f"{socket.user.value}:{socket.group.value}"
        return _docker_unix(it, _run(address), mode.value, owner, place, mode.source)
    host, _, port = address.rpartition(":")
    return _docker_tcp(it, host.strip("[]"), port_of(Setting(port, place)), place)


def _docker_unix(
    it: Component, path: str, mode: str, owner: str, place: Source, source: Source
) -> Listener:
    encryption, client, rights = socket_claims(path, mode, owner, place, source)
    return Listener(
        it.id,
        "api",
        it.node,
        it.zone,
        "unix",
        "",
        None,
        path,
        True,
        encryption,
        client,
        _plugin(it, rights),
    )


def _plugin(it: Component, otherwise: Claim) -> Claim:
    plugin = it.given("authorization-plugin")
    return Claim("unknown", "a plugin decides", plugin.source) if plugin else otherwise


def _docker_tcp(it: Component, host: str, port: int, source: Source) -> Listener:
    # cmd/dockerd/daemon.go: --tlsverify turns TLS on even where it is false, and where it is not
    # given, --tls stands for it
    verify, only = it.given("tlsverify"), it.setting("tls")
    secure = verify or (only if is_true(only.value) else None)
    if secure is None:
        protocol, number = "http", port or 2375
        encryption = Claim("none", "plain http", source)
        client = Claim("none", "nobody is asked", source)
    else:
        protocol, number = "https", port or 2376
        encryption = Claim("tls1.2", "TLS 1.2 or later", secure.source)
        client = Claim("required", "client certificates", secure.source)
        if not is_true(secure.value):
            client = Claim("none", "client certificates are not asked for", secure.source)
    rights = _plugin(it, Claim("allow-all", "whoever gets in commands it", source))
    return Listener(
        it.id,
        "api",
        it.node,
        it.zone,
        protocol,
        host,
        number,
        None,
        True,
        encryption,
        client,
        rights,
    )


def _docker_closed(it: Component, protocol: str, why: str, source: Source) -> Listener:
    shut = closed(why, source)
    port = None if protocol == "unix" else 2375
    path = "/run/docker.sock" if protocol == "unix" else None
    return Listener(
        it.id, "api", it.node, it.zone, protocol, "", port, path, False, shut, shut, shut
    )


def _containerd(env: Environment, it: Component) -> Iterator[Listener]:
    address = it.given("address") or it.setting("grpc.address")
    owner = f"{_name(it.setting('grpc.uid').value)}:{_name(it.setting('grpc.gid').value)}"
    path = _run(address.value)
    # containerd gives its socket 0660 whatever the umask is (sys.GetLocalListener)
    claims = socket_claims(path, "0660", owner, address.source, it.setting("grpc.gid").source)
    yield Listener(it.id, "api", it.node, it.zone, "unix", "", None, path, True, *claims)


def _name(number: str) -> str:
    return "root" if number == "0" else number
