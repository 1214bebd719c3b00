"""Collected journals and scraped metrics: in labkit's own environments, and in copied files.

The rules are systemd's (journal-upload.conf(5), journal-remote.conf(5), systemd-journal-remote(8),
systemd-journal-gatewayd(8)) and Prometheus' ("Configuration", "HTTPS and authentication").
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from labkit import controls, techniques
from labkit.cluster import Environment, read_cluster, read_environment
from labkit.cluster.audit_policy import AuditedRequest, read_audit_policy
from labkit.cluster.edits import Edit, Flag, Key, Whole
from labkit.cluster.prometheus import read_scrapes
from labkit.errors import ConfigError
from labkit.model import Channel, Model, read_model
from labkit.model.collected_logs import answers_in_events, answers_with_secrets, events_are_sent

KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
UPLOAD = "systemd-journal-upload@master -> *@monitor:19532"
PLAIN = "systemd-journal-upload@master -> systemd-journal-remote@monitor:19532"
TUNNEL = "/etc/stunnel/journal.conf"
CONF, REMOTE = "/etc/systemd/journal-upload.conf", "/etc/systemd/journal-remote.conf"
COLLECTOR, PROMETHEUS = "systemd-journal-remote.service", "/etc/prometheus/prometheus.yml"
WEB = "/etc/prometheus/web.yml"
READ = AuditedRequest("get", "secrets", namespace="shop", name="db-credentials")
POLICY = "/etc/kubernetes/audit-policy.yaml"


def claims(channel: Channel) -> tuple[str, ...]:
    found = (channel.encryption, channel.server_authentication)
    return tuple(it.value for it in (*found, channel.client_authentication, channel.authorization))


def changed(mode: str, *edits: Edit) -> Model:
    return read_model(read_environment(mode, edits))


def word(name: str, model: Model) -> str:
    technique = techniques[name]
    return technique.predict(model, technique.footholds[0]).word


# -- what is in them --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        (POLICY, True),
        # a policy that is not among the files may write every body
        ("/etc/kubernetes/elsewhere.yaml", True),
        (None, False),
    ],
)
def test_secrets_are_in_journals_unless_the_policy_is_known_to_leave_them_out(
    flag: str | None, expected: bool
) -> None:
    edit = Flag("master", "kube-apiserver.service", "audit-policy-file", flag)
    [channel] = changed("logs-insecure", edit).open_channels(UPLOAD)
    assert ("secrets" in channel.data) is expected


# -- where journals are sent ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "expected", "held"),
    [
        ("logs-insecure", ("none", "none", "none", "allow-all"), None),
        ("logs-hardened", ("tls1.3", "verified", "required", "allow-all"), "journal-upload"),
    ],
)
def test_channel_to_the_collector_has_its_claims(
    mode: str, expected: tuple[str, ...], held: str | None
) -> None:
    [found] = read_model(mode).open_channels(UPLOAD)
    assert (claims(found), found.credential) == (expected, held)
    assert read_environment(mode).unknowns == ()


@pytest.mark.parametrize("off", ["all", "-"])
def test_authority_that_is_turned_off_verifies_nobody(off: str) -> None:
    text = f"[Upload]\nURL=https://monitor:19532\nTrustedCertificateFile={off}\n"
    [found] = changed("logs-hardened", Whole("master", CONF, text)).open_channels(UPLOAD)
    assert found.server_authentication.value == "unverified"


def of_collector(*edits: Edit) -> Model:
    """Return the model of a collector that speaks HTTPS itself."""
    https = Flag("monitor", COLLECTOR, "listen-https", "0.0.0.0:19532")
    http = Flag("monitor", COLLECTOR, "listen-http", None)
    gone = Whole("monitor", "/etc/systemd/system/stunnel.service", None)
    return changed("logs-hardened", https, http, gone, *edits)


@pytest.mark.parametrize(
    ("edits", "expected", "ends"),
    [
        # no file says whether systemd was built with GnuTLS
        ([], "unknown", "unknown"),
        (
            [Whole("monitor", REMOTE, "[Remote]\nTrustedCertificateFile=/ca.crt\n")],
            "unknown",
            "unknown",
        ),
        ([Whole("monitor", REMOTE, "[Remote]\nTrustedCertificateFile=-\n")], "none", "succeeded"),
        ([Flag("monitor", COLLECTOR, "trust", "all")], "none", "succeeded"),
        # without GnuTLS it does not start with this option
        ([Flag("monitor", COLLECTOR, "trust", "/ca.crt")], "required", "refused"),
    ],
)
def test_collector_may_not_check_what_its_file_names(
    edits: list[Edit], expected: str, ends: str
) -> None:
    model = of_collector(*edits)
    [found] = model.open_channels(PLAIN)
    assert found.client_authentication.value == expected
    assert word("forge-journal-entries", model) == ends


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("verifyChain = yes", "verifyChain = no", "none"),
        ("verifyChain = yes", "verifyPeer = yes", "required"),
        ("verifyChain = yes", "", "none"),
        ("verifyChain = yes", "verify = 2", "unknown"),
        ("verifyChain = yes", "verifyChain = yes\nrequireCert = no", "unknown"),
        ("CAfile = /etc/journal/pki/ca.crt", "", "unknown"),
        ("[journal]", "[journal]\nprotocol = smtp", "unknown"),
    ],
)
def test_tunnel_demands_certificates_as_its_file_says(old: str, new: str, expected: str) -> None:
    text = read_environment("logs-hardened").node("monitor").files[TUNNEL].read_text()
    assert old in text
    model = changed("logs-hardened", Whole("monitor", TUNNEL, text.replace(old, new)))
    [found] = model.open_channels(UPLOAD)
    assert found.client_authentication.value == expected
    ends = {"none": "succeeded", "required": "refused", "unknown": "unknown"}
    assert word("forge-journal-entries", model) == ends[expected]


def test_later_drop_in_and_option_win() -> None:
    env = read_environment(
        "logs-hardened",
        [
            Whole("master", f"{CONF}.d/20-a.conf", "[Upload]\nURL=http://monitor:19532\n"),
            Flag("worker", "systemd-journal-upload.service", "url", "http://monitor"),
        ],
    )
    found = read_model(env).open_channels("systemd-journal-upload@* -> *")
    # the collector speaks TLS: such machines send nothing
    said = "the client speaks http, the server https"
    assert [it.server_authentication.detail for it in found] == [said] * 2


@pytest.mark.parametrize("mode", ["logs-insecure", "logs-hardened"])
def test_root_stops_what_its_machine_sends(mode: str) -> None:
    assert word("stop-journal-upload", changed(mode)) == "succeeded"
    unit = "/etc/systemd/system/systemd-journal-upload.service"
    assert word("stop-journal-upload", changed(mode, Whole("master", unit, None))) == "succeeded"
    nothing = changed(mode, Whole("worker", unit, None))
    assert word("stop-journal-upload", nothing) == "refused"
    # a copied folder without a sender may have one that labkit does not know
    copied = replace(nothing.environment, complete=False)
    assert word("stop-journal-upload", read_model(copied)) == "unknown"


def test_empty_value_in_a_drop_in_stands_for_the_default() -> None:
    text = "[Upload]\nTrustedCertificateFile=\n"
    [found] = changed("logs-hardened", Whole("master", f"{CONF}.d/a.conf", text)).open_channels(
        UPLOAD
    )
    assert found.server_authentication.detail == "by /etc/ssl/ca/trusted.pem"


def test_key_that_systemd_does_not_have_is_unknown() -> None:
    text = "[Upload]\nURL=http://monitor:19532\nServerCertificate=/a.crt\n[Other]\nURL=x\n"
    env = read_environment("logs-insecure", [Whole("master", CONF, text)])
    assert [(it.line, it.text) for it in env.unknowns] == [
        (3, "ServerCertificate=/a.crt"),
        (5, "URL=x"),
    ]


def test_socket_that_systemd_opens_is_where_the_collector_listens() -> None:
    passed = Flag("monitor", COLLECTOR, "listen-https", "-3")
    socket = Whole(
        "monitor",
        "/etc/systemd/system/systemd-journal-remote.socket",
        "[Socket]\nListenStream=19532\n[Install]\nWantedBy=sockets.target\n",
    )
    [found] = of_collector(passed, socket).open_channels(PLAIN)
    assert (found.encryption.value, found.port) == ("tls1.1", 19532)
    # no unit has the socket: what answers is not known, and no all-clear
    assert word("forge-journal-entries", of_collector(passed)) != "refused"


def test_raw_listener_is_unknown() -> None:
    env = read_environment(
        "logs-hardened", [Flag("monitor", COLLECTOR, "listen-raw", "0.0.0.0:19533")]
    )
    assert [it.text for it in env.unknowns] == ["--listen-raw=0.0.0.0:19533"]


# -- what is in the logs ----------------------------------------------------------------------


def apiserver_claims(env: Environment) -> tuple[str, str]:
    apiserver = env.component("kube-apiserver@master")
    return events_are_sent(env, apiserver).value, answers_in_events(env, apiserver, READ).value


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("[{level: RequestResponse}]", "bodies"),
        ("[{level: Request}]", "none"),
        ("[{level: RequestResponse, verbs: [create]}]", "none"),
        ("[{level: None, resources: [{group: ''}]}, {level: RequestResponse}]", "none"),
        # the administrator may be one of these
        ("[{level: RequestResponse, users: [kubernetes-admin]}, {level: Metadata}]", "unknown"),
        ("[{level: None, userGroups: ['system:masters']}, {level: RequestResponse}]", "unknown"),
    ],
)
def test_answers_are_in_events_as_the_first_rule_says(rules: str, expected: str) -> None:
    text = f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: {rules}\n"
    model = changed("logs-insecure", Whole("master", POLICY, text))
    assert apiserver_claims(model.environment) == ("sent", expected)
    ends = {"bodies": "succeeded", "none": "refused", "unknown": "unknown"}
    assert word("read-secrets-in-logs", model) == ends[expected]


def test_request_body_of_a_new_secret_is_a_body_as_well() -> None:
    text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Request}]\n"
    model = changed("logs-insecure", Whole("master", POLICY, text))
    assert not controls["audit-without-bodies"].holds(model)


NONE = "{{level: None, {}}}, "
FULL = "{{level: RequestResponse, {}}}"


@pytest.mark.parametrize(
    ("rules", "written"),
    [
        (FULL.format("resources: [{group: '', resources: [secrets], resourceNames: [a]}]"), True),
        (FULL.format("resources: [{group: '', resources: ['*']}]"), True),
        (FULL.format("resources: [{group: '', resources: [configmaps]}]"), False),
        (FULL.format("resources: [{group: apps}]"), False),
        (FULL.format("verbs: [watch, delete]"), False),
        (FULL.format("nonResourceURLs: ['/*']"), False),
        # an earlier rule decides on the first of several words alone
        (NONE.format("users: [a]") + FULL.format("users: [a, b]"), True),
        (NONE.format("users: [a, b]") + FULL.format("users: [a, b]"), False),
        (NONE.format("userGroups: [a]") + FULL.format("userGroups: [a, b]"), True),
        (NONE.format("userGroups: [a, b]") + FULL.format("userGroups: [a, b]"), False),
        (NONE.format("namespaces: [a]") + FULL.format("namespaces: [a, b]"), True),
        (NONE.format("namespaces: [a, b]") + FULL.format("namespaces: [a, b]"), False),
        (NONE.format("namespaces: [default]") + FULL.format("verbs: [get]"), True),
        (NONE.format("users: [anyone]") + FULL.format("verbs: [get]"), True),
        (NONE.format("verbs: [get, list, create, update]") + FULL.format("users: [a]"), True),
        # every request is of the one group or the other
        (NONE.format("userGroups: ['system:authenticated']") + FULL.format("verbs: [get]"), True),
        (
            NONE.format("userGroups: ['system:authenticated']")
            + FULL.format("userGroups: ['system:unauthenticated']"),
            True,
        ),
        (
            NONE.format("userGroups: ['system:authenticated', 'system:unauthenticated']")
            + FULL.format("verbs: [get]"),
            False,
        ),
    ],
)
def test_policy_that_writes_some_secret_is_found(rules: str, *, written: bool) -> None:
    text = f"kind: Policy\nrules: [{rules}]\n"
    policy, _ = read_audit_policy(text, "policy.yaml")
    assert bool(answers_with_secrets(policy)) is written


def test_log_in_a_file_is_not_sent() -> None:
    path = Flag("master", "kube-apiserver.service", "audit-log-path", "/var/log/audit.log")
    model = changed("logs-insecure", path)
    assert apiserver_claims(model.environment)[0] == "none"
    assert word("read-secrets-in-logs", model) == "refused"


def test_channels_carry_secrets_where_audit_events_have_them() -> None:
    model = read_model("logs-insecure")
    carries = {it.id for it in model.channels if "secrets" in it.data and "journal" in it.id}
    assert carries == {PLAIN, "anyone@network -> systemd-journal-gatewayd@monitor:19531"}
    assert not [it for it in read_model("logs-hardened").open_channels(UPLOAD) if it.data[1:]]


# -- what is scraped --------------------------------------------------------------------------


def test_scraping_a_port_does_not_close_it_to_others() -> None:
    model = read_model("logs-insecure")
    ports = "{} -> etcd@etcd1:2378"
    assert model.open_channels(ports.format("prometheus@monitor"))
    assert model.open_channels(ports.format("anyone@network"))


def test_weaker_of_two_scrapes_of_one_server_counts() -> None:
    off = Key("monitor", PROMETHEUS, "scrape_configs.2.tls_config.insecure_skip_verify", True)
    found = changed("logs-hardened", off).open_channels("prometheus@* -> kubelet@*")
    assert {it.server_authentication.value for it in found} == {"unverified"}


def test_targets_that_are_found_in_another_way_are_unknown() -> None:
    key = Key(
        "monitor", PROMETHEUS, "scrape_configs.0.kubernetes_sd_configs", [{"role": "endpoints"}]
    )
    env = read_environment("logs-hardened", [key])
    assert [it.text for it in env.unknowns] == ["kubernetes_sd_configs"]


@pytest.mark.parametrize("text", ["a: [", "scrape_configs: 3", "scrape_configs: [{tls_config: 1}]"])
def test_malformed_file_of_prometheus_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        read_scrapes(text, "prometheus.yml")
    with pytest.raises(ConfigError):
        read_environment("logs-hardened", [Whole("monitor", PROMETHEUS, text)])


@pytest.mark.parametrize(
    ("web", "expected"),
    [
        ("{}", ("none", "none")),
        ("tls_server_config: {cert_file: a, key_file: b}", ("tls1.2", "none")),
        (
            "tls_server_config: {cert_file: a, min_version: TLS13, "
            "client_auth_type: RequireAndVerifyClientCert, client_ca_file: c}",
            ("tls1.3", "required"),
        ),
        # asks for a certificate, and takes any
        ("tls_server_config: {cert_file: a, client_auth_type: RequireAny}", ("tls1.2", "none")),
        ("basic_auth_users: {alice: x}", ("none", "required")),
        ("tls_server_config: {cert_file: a, min_version: TLS9}", ("unknown", "none")),
    ],
)
def test_web_configuration_says_who_may_ask(web: str, expected: tuple[str, str]) -> None:
    model = changed(
        "logs-insecure",
        Whole("monitor", WEB, web),
        Flag("monitor", "prometheus.service", "web.config.file", WEB),
    )
    [found] = model.open_channels("anyone@network -> prometheus@*")
    assert (found.encryption.value, found.client_authentication.value) == expected
    assert word("metrics-open", model) == ("refused" if expected[1] == "required" else "succeeded")


# -- a user's copied files --------------------------------------------------------------------


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


UNIT = "[Service]\nExecStart=/usr/lib/systemd/systemd-journal-upload --save-state\nUser=a\n"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(KUBEADM, tmp_path / "cluster")
    return tmp_path / "cluster"


def test_copied_files_say_where_journals_go_and_what_is_scraped(copied: Path) -> None:
    write(
        copied / "cp1",
        {
            "usr/lib/systemd/system/systemd-journal-upload.service": UNIT,
            "etc/systemd/journal-upload.conf": "[Upload]\nURL=http://logs.example:19532\n",
        },
    )
    write(
        copied / "mon",
        {
            "usr/lib/systemd/system/prometheus.service": (
                "[Service]\nExecStart=/usr/bin/prometheus --config.file=/etc/p.yml\n"
            ),
            "etc/p.yml": (
                "scrape_configs:\n"
                "  - {job_name: a, scheme: https, tls_config: {insecure_skip_verify: true},\n"
                "     bearer_token_file: /etc/token, static_configs: [{targets: ['cp1:6443']}]}\n"
            ),
        },
    )
    model = read_model(read_cluster(copied))
    [upload] = model.open_channels("systemd-journal-upload@cp1 -> *")
    assert (upload.protocol, upload.server_authentication.value) == ("http", "none")
    [scrape] = model.open_channels("prometheus@mon -> kube-apiserver@cp1:6443")
    assert scrape.server_authentication.value == "unverified"
    assert model.open_channels("anyone@network -> prometheus@mon:9090")


def test_settings_that_were_not_copied_are_unknown(copied: Path) -> None:
    write(copied / "cp1", {"usr/lib/systemd/system/systemd-journal-upload.service": UNIT})
    write(
        copied / "mon",
        {
            "etc/systemd/system/systemd-journal-remote.service": (
                "[Service]\nExecStart=/usr/lib/systemd/systemd-journal-remote "
                "--listen-https=0.0.0.0:19532 --output=/var/log/journal/remote\n"
            ),
            "etc/systemd/system/prometheus.service": "[Service]\nExecStart=/usr/bin/prometheus\n",
        },
    )
    env = read_cluster(copied)
    said = {it.text for it in env.unknowns}
    assert {CONF, REMOTE, "prometheus.yml"} <= said
    model = read_model(env)
    assert not model.open_channels("systemd-journal-upload@cp1 -> *")
    # the trust may be turned off in the file that is missing
    [found] = model.open_channels("anyone@network -> systemd-journal-remote@mon:19532")
    assert found.client_authentication.value == "unknown"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.yml", "scrape_configs: [{static_configs: [{targets: ['cp1:x']}]}]"),
        ("s.conf", "[a]\naccept = smtp\nconnect = 1\n"),
        ("s.conf", "[a]\naccept = 1\nconnect = x:y\n"),
        ("s.conf", "[a]\naccept = /run/a\nconnect = /run/b\n"),
        ("systemd/journal-upload.conf", "[Upload]\nURL=http://a:b:c\n"),
        ("systemd/system/systemd-journal-remote.service", "--listen-http=x"),
        ("systemd/system/systemd-journal-remote.service", "--listen-https=/run/socket"),
        ("systemd/system/prometheus.service", "--web.listen-address=:x"),
    ],
)
def test_malformed_addresses_in_copied_files_are_no_crash(
    copied: Path, name: str, text: str
) -> None:
    start = "[Service]\nExecStart=/usr/bin/"
    files = {
        "systemd/system/systemd-journal-upload.service": f"{start}systemd-journal-upload\n",
        "systemd/system/systemd-journal-remote.service": f"{start}systemd-journal-remote\n",
        "systemd/system/prometheus.service": f"{start}prometheus --config.file=/etc/p.yml\n",
        "systemd/system/stunnel.service": f"{start}stunnel /etc/s.conf\n",
        "p.yml": "{}",
        "s.conf": "",
    }
    files[name] = files[name].rstrip() + f" {text}\n" if name.endswith(".service") else text
    write(copied / "mon", {f"etc/{path}": content for path, content in files.items()})
    env = read_cluster(copied)
    read_model(env)
    sockets = "/run/" in text
    assert sockets or [it for it in env.unknowns if it.path.startswith("mon/")]
