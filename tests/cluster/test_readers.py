"""Read single files: settings, refusals and unknowns."""

from __future__ import annotations

import base64
import datetime
import json

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from labkit.cluster import read_certificates, read_kubeconfig
from labkit.cluster.accounts import permissions_of, read_sysusers, read_tmpfiles
from labkit.cluster.certificates import read_pki
from labkit.cluster.componentconfig import (
    read_containerd_config,
    read_docker_config,
    read_etcd_config,
    read_kube_proxy_config,
    read_kubelet_config,
    read_scheduler_config,
)
from labkit.cluster.policies import read_abac, read_encryption, read_etcd_auth, read_rbac
from labkit.cluster.syntax import yamldoc
from labkit.cluster.syntax.flags import parse_flags
from labkit.cluster.syntax.systemd import Word
from labkit.cluster.syntax.yamldoc import read_documents
from labkit.cluster.topology import read_topology
from labkit.errors import ConfigError

CONFIG = """\
apiVersion: v1
kind: Config
current-context: lab
clusters:
  - name: lab
    cluster: {server: "https://master:6443", certificate-authority: pki/ca.crt}
contexts:
  - {name: lab, context: {cluster: lab, user: bob}}
users:
  - name: bob
    user: {client-certificate: pki/bob.crt, client-key: ../bob.key}
"""


def test_kubeconfig_paths_are_relative_to_its_folder():
    config = read_kubeconfig(CONFIG, "c", machine_path="/home/bob/.kube/config")
    assert config.authority is not None
    assert config.authority.value == "/home/bob/.kube/pki/ca.crt"
    assert config.certificate == "/home/bob/.kube/pki/bob.crt"
    assert (config.method, config.skip_verify) == ("certificate", None)
    assert (config.server.source.line, config.server.source.text) == (
        6,
        "server: https://master:6443",
    )


def test_token_is_found_but_its_value_is_not_kept():
    text = CONFIG.replace(
        "client-certificate: pki/bob.crt, client-key: ../bob.key", "token: s3cr3t"
    )
    config = read_kubeconfig(text, "c")
    assert config.method == "token"
    assert "s3cr3t" not in repr(config)


@pytest.mark.parametrize(
    ("key", "acts_as"),
    [
        ("as: system:admin", "system:admin"),
        ("as-groups: [system:masters]", "['system:masters']"),
        ("as-uid: '7'", "7"),
        ("as: ''", ""),
    ],
)
def test_client_that_acts_as_somebody_else_is_an_unknown(key: str, acts_as: str) -> None:
    """The apiserver takes those headers from whom it lets impersonate: client-go's transport."""
    text = CONFIG.replace("user: {client", f"user: {{{key}, client")
    assert key in text
    config = read_kubeconfig(text, "c")
    assert config.acts_as == acts_as
    assert len(config.unknowns) == bool(acts_as)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("current-context: lab", "current-context: other", r"c:7: no entry named 'other'"),
        ("current-context: lab", "", "^c:1: no current-context"),
        ("user: bob", "user: eve", r"c:9: no entry named 'eve' in users"),
        ("https://master:6443", "master:6443", r"c:6: server 'master:6443' is not an http"),
        ("https://master:6443", "https://master:99999", r"c:6: server"),
        ("kind: Config", "kind: Pod", "c:2: not a kubeconfig"),
        ("clusters:", "clusters: [", "c:.*no valid YAML"),
        ("client-key: ../bob.key", "client-certificate-data: '%%%'", "c:11: .*base64"),
    ],
)
def test_broken_kubeconfig_names_file_and_line(old, new, message):
    with pytest.raises(ConfigError, match=message):
        read_kubeconfig(CONFIG.replace(old, new), "c")


def make_certificate(**extra) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "system:node:worker1"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
        ]
    )
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=10))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("worker1")]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_certificate_has_names_usages_and_dates():
    pem = make_certificate()
    [found] = read_certificates(pem, "a.crt")
    assert (found.common_name, found.organizations) == ("system:node:worker1", ("system:nodes",))
    assert (found.hosts, found.usages, found.authority) == (("worker1",), ("client",), False)
    assert found.not_after == datetime.datetime(2026, 1, 11, tzinfo=datetime.UTC)
    inline = CONFIG.replace(
        "client-certificate: pki/bob.crt",
        f"client-certificate-data: {base64.b64encode(pem).decode()}",
    )
    config = read_kubeconfig(inline, "c")
    assert read_certificates(config.certificate_data, "c")[0].common_name == "system:node:worker1"


def test_corrupt_certificate_names_its_file():
    lines = make_certificate().splitlines()
    lines[2] = b"AAAA" + lines[2][4:]
    with pytest.raises(ConfigError, match=r"a\.crt:1: no certificate can be read here"):
        read_certificates(b"\n".join(lines[:-2]), "a.crt")


def flags(kind, *texts):
    found, rest, unknowns = parse_flags(kind, [Word(t, n + 2) for n, t in enumerate(texts)], "u")
    values = [(name, setting.value) for name, setting in found]
    return values, [word.text for word in rest], [str(item) for item in unknowns]


def test_flags_are_parsed_in_every_form():
    assert flags("etcd", "--name", "a", "-client-cert-auth", "--data-dir=x")[0] == [
        ("name", "a"),
        ("client-cert-auth", "true"),
        ("data-dir", "x"),
    ]
    assert flags("dockerd", "-H", "fd://", "-Htcp://a:1", "--tlsverify", "-H=unix:///x")[0] == [
        ("host", "fd://"),
        ("host", "tcp://a:1"),
        ("tlsverify", "true"),
        ("host", "unix:///x"),
    ]


def test_unknown_and_uninterpreted_flags_are_unknowns():
    _, _, unknowns = flags("kube-apiserver", "--insecure-port=8080", "--no-such", "--v=2")
    assert [item.split(":", 2)[:2] for item in unknowns] == [
        ["u", "2 --insecure-port=8080"],
        ["u", "3 --no-such"],
    ]


def test_abac_star_matches_authenticated_callers():
    line = (
        '{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": '
        '{"%s": "*", "namespace": "*", "resource": "*", "apiGroup": "*"%s}}'
    )
    text = "\n".join([line % ("user", ""), "# c", line % ("group", ', "readonly": true')])
    rules, unknowns = read_abac(text, "a")
    assert [(rule.group, rule.everything) for rule in rules] == [
        ("system:authenticated", True),
        ("system:authenticated", False),
    ]
    assert unknowns == ()


# pkg/apis/abac/v0/conversion.go and conversion_test.go
@pytest.mark.parametrize(
    ("line", "who", "what"),
    [
        ("{}", ("", "system:authenticated"), ("*", "*", "*")),
        ('{"user": "*"}', ("", "system:authenticated"), ("*", "*", "*")),
        ('{"user": "alice"}', ("alice", ""), ("*", "*", "*")),
        ('{"group": "ops", "kind": "Policy"}', ("", "ops"), ("*", "*", "*")),
        ('{"user": "bob", "namespace": "shop"}', ("bob", ""), ("shop", "*", "")),
        ('{"user": "bob", "resource": "pods"}', ("bob", ""), ("*", "pods", "")),
        ('{"user": "bob", "apiGroup": "apps", "nonResourcePath": "/x"}', ("bob", ""), ("*",) * 3),
    ],
)
def test_abac_lines_without_a_version_are_read(line, who, what):
    [rule], unknowns = read_abac(line, "a")
    assert (rule.user, rule.group) == who
    assert (rule.namespace, rule.resource, rule.path, rule.api_group) == (*what, "*")
    assert unknowns == ()


def test_abac_lines_of_another_version_are_reported():
    line = '{"apiVersion": "abac.authorization.kubernetes.io/v2", "kind": "Policy", "spec": {}}'
    assert read_abac(line, "a")[1][0].line == 1
    with pytest.raises(ConfigError, match="a:2: not a JSON object"):
        read_abac('\n{"user"}', "a")


def test_rbac_is_read_from_a_list_object():
    rbac = read_rbac(
        "{kind: List, items: [{kind: ClusterRole, metadata: {name: r}, rules: [{verbs: ['*'], "
        "apiGroups: ['*'], resources: ['*']}]}, {kind: ConfigMap, metadata: {name: c}}]}",
        "r",
    )
    assert [(role.name, role.rules[0].verbs) for role in rbac.roles] == [("r", ("*",))]


def test_sysusers_and_tmpfiles_give_accounts_and_modes():
    accounts, groups, unknowns = read_sysusers(
        'g docker -\nm bob docker\nu bob 1 "Bob, x" /home/bob /bin/sh\nk strange', "s"
    )
    assert [(g.name, g.member) for g in groups] == [("docker", ""), ("docker", "bob")]
    assert (accounts[0].home, unknowns[0].line) == ("/home/bob", 4)
    lines, _ = read_tmpfiles("z /a/*.key 0600 root root\nz /a/b.key 0644 - -\nd /c", "t")
    paths = ("/a/x.key", "/a/b.key", "/a/deep/x.key", "/a/.hidden.key")
    modes = {path: [it.mode for it in permissions_of(path, lines)] for path in paths}
    assert modes == {
        "/a/x.key": ["0600"],
        "/a/b.key": ["0600", "0644"],
        "/a/deep/x.key": [],
        "/a/.hidden.key": [],
    }
    # tmpfiles.d(5): lines that take globs are applied after those that take none
    lines, _ = read_tmpfiles("Z /a 0750 - -\nf /a/b 0600 bob\nL+ /a/c - - - - /b", "t")
    assert [it.mode for it in permissions_of("/a/b", lines)] == ["0600", "0750"]
    assert next((it.prefix, it.target) for it in permissions_of("/a/c", lines)) == ("+", "/b")
    _, unknowns = read_tmpfiles("a+ /a - - - - u:bob:r", "t")
    assert "ACLs" in unknowns[0].why
    with pytest.raises(ConfigError, match="t:1: the mode"):
        read_tmpfiles("z /a rwx root root", "t")


def test_component_configuration_files_give_settings_with_lines():
    settings, unknowns = read_kubelet_config(
        "kind: KubeletConfiguration\nauthentication:\n  anonymous: {enabled: yes}\n"
        "readonlyport: 1\n",
        "k",
    )
    found = dict(settings)["authentication.anonymous.enabled"]
    assert (found.value, found.source.line) == ("true", 3)
    assert [(item.text, item.line) for item in unknowns] == [("readonlyport", 4)]
    with pytest.raises(ConfigError, match="k:1: its kind is Pod"):
        read_kubelet_config("kind: Pod", "k")
    with pytest.raises(ConfigError, match=r"k:2: 'port' stands here twice, first on line 1"):
        read_kubelet_config("port: 1\nport: 2\n", "k")
    with pytest.raises(ConfigError, match="d:2: no valid JSON"):
        read_docker_config('{"hosts":\n]', "d")
    with pytest.raises(ConfigError, match="c:1: no valid TOML"):
        read_containerd_config("[grpc\n", "c")
    newer = '[plugins."io.containerd.server.v1.grpc"]\naddress = "/x.sock"\n'
    assert dict(read_containerd_config(newer, "c"))["grpc.address"].source.line == 2
    assert (
        dict(read_etcd_config("peer-transport-security:\n  allowed-cn: p\n", "e")[0])[
            "peer-cert-allowed-cn"
        ].source.line
        == 2
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("roles: {a: {}}\nnodes: {n: {role: b}}", "t:2: .*unknown role 'b' of node n; known: a"),
        ("roles: {a: {}}\nnodes:\n  n: {role: a}\n  n: {role: a}", "t:4: 'n' stands here twice"),
        (
            "roles: {a: {}}\nnodes:\n  n: {role: a, host: 5}\n  m: {role: a, host: 5}",
            "t:4: .*m and n both have host 5",
        ),
        ("roles: {a: {}}\nnodes: {N_1: {role: a}}", "t:2: .*not a name of a machine"),
        ("roles: {a: {}}\nnodes: {}", "^t:2: .*no nodes"),
        ("roles: [a]", "t:1: roles: expected keys and values"),
        ("", "t:1: expected one YAML document"),
    ],
)
def test_contradictory_topology_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        read_topology(text, "t")


READ = "file.x was read"
READERS = (
    read_documents,
    read_kubeconfig,
    read_pki,
    read_abac,
    read_rbac,
    read_encryption,
    read_etcd_auth,
    read_sysusers,
    read_tmpfiles,
    read_topology,
    read_kubelet_config,
    read_kube_proxy_config,
    read_scheduler_config,
    read_etcd_config,
    read_docker_config,
    read_containerd_config,
)
WORDS = (
    "kind roles nodes users clusters contexts name cluster user context current-context server "
    "authorities certificates resources providers subjects rules metadata roleRef items spec "
    "authentication anonymous enabled grpc hosts role host prefix key access secrets"
)
KEYS = st.sampled_from(WORDS.split())
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 400),
    st.sampled_from(
        [
            "Config",
            "KubeletConfiguration",
            "KubeProxyConfiguration",
            "ClusterRole",
            "List",
            "root",
            "EncryptionConfiguration",
            "ClusterRoleBinding",
            "https://[",
            "http://a:b",
            "*",
            "",
            "a",
        ]
    ),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
JUNK = st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "[",
            "]",
            ":",
            " ",
            "\n",
            "- ",
            "a",
            "&x ",
            "*x",
            "<<",
            "'",
            '"',
            "!",
            "|",
            "\t",
            "---",
            "2001-99-99",
            "0x",
            "=",
            "/a",
            "z ",
            "é",
            "\x00",
            "1:2",
            "~",
        ]
    ),
    max_size=25,
).map("".join)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@given(data=st.data())
def test_any_file_is_read_or_refused_with_its_name(reader, data):
    text = data.draw(st.one_of(JUNK, TREES.map(json.dumps)))
    refusal = READ
    try:
        reader(text, "file.x")
    except ConfigError as error:
        refusal = str(error)
    assert refusal.startswith("file.x")
    assert "next: " in refusal or refusal == READ


@given(st.binary(max_size=60).map(lambda b: b"-----BEGIN CERTIFICATE-----\n" + b) | st.binary())
def test_any_bytes_are_a_certificate_or_refused(data):
    refusal = READ
    try:
        read_certificates(data, "file.x")
    except ConfigError as error:
        refusal = str(error)
    assert refusal.startswith("file.x")


def test_yaml_alias_bomb_is_refused():
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(ConfigError, match="too large"):
        read_documents("\n".join(lines), "bomb.yaml")
    with pytest.raises(ConfigError, match=r"bomb\.yaml"):
        read_documents("&a [*a]", "bomb.yaml")


@pytest.mark.parametrize(
    "text", ["\n".join(f"k{n}: 1" for n in range(50)), "[" + "1, " * 50 + "1]"], ids=["map", "list"]
)
def test_oversized_document_is_refused(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("labkit.cluster.syntax.yamldoc.MAX_NODES", 40)
    with pytest.raises(ConfigError, match=r"big\.yaml:1: too deeply nested, or too large"):
        read_documents(text, "big.yaml")


def _nested(shape: str, levels: int, leaf: str) -> str:
    """Return a text of so many collections in one another; the innermost may be empty."""
    match shape:
        case "lists":
            return "[" * levels + leaf + "]" * levels
        case "mappings":
            return "{a: " * (levels - 1) + "{" + (leaf and f"a: {leaf}") + "}" * levels
        case "dashes":
            return "- " * (levels - 1) + (f"- {leaf}" if leaf else "[]")
        case _:
            return f"[{_nested('lists', levels - 1, leaf)}{', []' * 300}]"


@pytest.mark.parametrize("loader", ["_Fast", "_Exact"])
@pytest.mark.parametrize("leaf", ["1", ""], ids=["value", "empty"])
@pytest.mark.parametrize("shape", ["lists", "mappings", "dashes", "among many"])
def test_a_document_nests_so_deeply_and_no_deeper(
    shape: str, leaf: str, loader: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(yamldoc, "_Fast", getattr(yamldoc, loader))
    for more in ("", f"\n# {'x' * yamldoc.MAX_EXACT}"):
        text = _nested(shape, yamldoc.MAX_DEPTH, leaf) + more
        assert read_documents.__wrapped__(text, "deep.yaml")
        for levels in (yamldoc.MAX_DEPTH + 1, yamldoc.MAX_DEPTH + 2, 3_000):
            text = _nested(shape, levels, leaf) + more
            with pytest.raises(ConfigError, match=r"^deep\.yaml:1: too deeply nested"):
                read_documents.__wrapped__(text, "deep.yaml")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab1 :~.-", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab1~"), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text("xyz", min_size=1), PLAIN, min_size=1, max_size=3))
def test_document_equals_what_pyyaml_reads(value: dict[str, object]):
    for text in (yaml.safe_dump(value), json.dumps(value, indent=1)):
        [document] = read_documents(text, "x")
        assert document.value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &one {b: 1}\nc: {<<: *one, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("a: !!str 5\nb: !!int '7'", {"a": "5", "b": 7}),
        ("1: yes\n~: 2020-01-01", {1: True, None: "2020-01-01"}),
    ],
)
def test_tags_anchors_and_merge_keys_are_applied(text: str, value: object):
    assert read_documents(text, "x")[0].value == value


@pytest.mark.parametrize("text", ["a: !!str [x]", "a: !!map [x]", "a: !!seq {b: c}"])
def test_tag_of_another_type_is_refused(text: str):
    with pytest.raises(ConfigError, match=r"x:1: no valid YAML: expected a"):
        read_documents(text, "x")


def test_objects_of_a_list_know_their_lines_and_kinds() -> None:
    items = "- metadata:\n    name: a\n- kind: Pod\n  spec: {nodeName: b}\n- 7\n"
    text = f"kind: RoleList\nitems:\n{items}"
    (document,) = read_documents(text, "list.yaml")
    role, pod = document.objects()
    assert (role.get("kind"), role.line("metadata", "name")) == ("Role", 4)
    assert (pod.get("kind"), pod.source("spec", "nodeName").line) == ("Pod", 6)
    (alone,) = read_documents("kind: Role\nmetadata: {name: a}\n", "one.yaml")
    assert alone.objects() == (alone,)


# server/embed/config.go: securityConfig is read below these two keys alone
def test_etcd_reads_settings_of_tls_only_in_their_sections():
    text = (
        "client-cert-auth: true\npeer-client-cert-auth: true\ntls-min-version: TLS1.3\n"
        "client-transport-security: {trusted-ca-file: ca.crt, auto-tls: true}\n"
    )
    found, unknowns = read_etcd_config(text, "e")
    assert [name for name, _ in found] == ["tls-min-version", "trusted-ca-file", "auto-tls"]
    assert [it.line for it in unknowns] == [1, 2]


SCALARS = st.one_of(
    st.sampled_from(["", "~", "null", "yes", "Off", "0x1F", "0o17", "017", "1_000", "1e3", "1.5"]),
    st.sampled_from([".inf", "-.NaN", "190:20:30", "<<", "=", "2026-11-29", "true-ish", "- a"]),
    st.from_regex(r"[-+.0-9a-zA-Z_:~=<]{1,12}", fullmatch=True),
)


@given(SCALARS, st.booleans())
def test_value_has_the_type_that_pyyaml_gives_it_and_a_date_is_text(value: str, plain: bool):
    theirs = yaml.SafeLoader("").resolve(yaml.ScalarNode, value, (plain, not plain))
    date = theirs == "tag:yaml.org,2002:timestamp"
    ours = yamldoc._Fast("").resolve(yaml.ScalarNode, value, (plain, not plain))
    assert ours == ("tag:yaml.org,2002:str" if date else theirs)
