"""Credentials among the contents of Secrets and ConfigMaps that pods mount, or that are read."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labkit.analysis import attack_paths
from labkit.analysis.attack_graph.queries import AttackPaths
from labkit.cluster import read_dump
from labkit.cluster.objects.contents import contents_of
from labkit.model import model_of_dump

Object = dict[str, Any]
#: What every cluster has: with it, nothing of a dump is taken to be missing.
REST = json.loads((Path(__file__).parents[1] / "cluster/data/every-cluster.json").read_text())
#: Those that every apiserver makes: without one, who else has rights is not known.
SIGNER = {
    "kind": "RoleBinding",
    "metadata": {"name": "system:controller:bootstrap-signer", "namespace": "kube-public"},
    "roleRef": {"name": "system:controller:bootstrap-signer"},
}
BOSS = {"kind": "ServiceAccount", "namespace": "ops", "name": "boss"}
ADMINS = [
    {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"boss-{number}"},
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [subject],
    }
    for number, subject in enumerate((BOSS, {"kind": "User", "name": "ann"}))
]


def token(subject: str) -> str:
    parts = ({"alg": "RS256"}, {"sub": subject, "iss": "https://kubernetes.default.svc"})
    head, body = (
        base64.urlsafe_b64encode(json.dumps(it).encode()).decode().rstrip("=") for it in parts
    )
    return f"{head}.{body}.HUNTER2-HUNTER2"


@cache
def certificate(name: str, group: str = "", *, client: bool = True) -> tuple[str, str]:
    """Return a certificate and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    parts += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(parts))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "some-ca")]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def pair(name: str, group: str = "", *, client: bool = True, prefix: str = "tls") -> Object:
    public, private = certificate(name, group, client=client)
    return {f"{prefix}.crt": public, f"{prefix}.key": private}


KUBECONFIG = "apiVersion: v1\nkind: Config\nusers:\n- name: u\n  user: {}\n".format
WITH_KEY = KUBECONFIG("{client-key-data: SFVOVEVSMg==}")
OWN_TOKEN = KUBECONFIG("{tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token}")

CONTENTS: list[tuple[Object, str]] = [
    ({"password": "hunter2", "url": "postgres://db.shop"}, "none"),
    ({"config": WITH_KEY}, "possible"),
    ({"config": json.dumps({"kind": "Config", "users": [{"user": {"token": "x"}}]})}, "possible"),
    # as that of kube-proxy: its token is that of the pod
    ({"config": OWN_TOKEN}, "none"),
    ({"t": token("system:serviceaccount:ops:boss")}, "possible"),
    ({"t": token("system:serviceaccount:ops:nobody")}, "none"),
    ({"t": token("customer-17")}, "none"),
    ({"aws": "AKIAIOSFODNN7EXAMPLE"}, "possible"),
    ({"AWS_SECRET_ACCESS_KEY": "hunter2"}, "possible"),
    ({"key.json": json.dumps({"type": "service_account"})}, "possible"),
    ({"id_rsa": "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END"}, "possible"),
    (pair("ann"), "possible"),
    (pair("bob", "system:masters"), "possible"),
    (pair("bob"), "none"),
    (pair("web.shop.svc", client=False), "none"),
    # who writes etcd is everybody
    (pair("monitoring", prefix="etcd"), "possible"),
    ({"ca.crt": certificate("some")[0]}, "none"),
]


def encoded(texts: Object) -> Object:
    return {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}


def pod(kind: str, name: str = "s") -> Object:
    key = {"Secret": ("secret", "secretName"), "ConfigMap": ("configMap", "name")}[kind]
    container = {"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    volumes = [{"name": "v", key[0]: {key[1]: name}}]
    spec = {"nodeName": "w1", "containers": [container], "volumes": volumes}
    about = {"name": "till", "namespace": "shop", "uid": "till"}
    return {"kind": "Pod", "metadata": about, "spec": spec}


def stored(kind: str, data: Object, **more: Any) -> Object:
    found = {"kind": kind, "metadata": {"name": "s", "namespace": "shop"}, **more}
    return {**found, "data": data} if data else found


def paths(folder: Path, *objects: Object, start: str = "pod:shop/till") -> AttackPaths:
    file = folder / "dump.json"
    core: list[Object] = [
        {"kind": "Node", "metadata": {"name": "w1"}},
        {"kind": "ServiceAccount", "metadata": {"name": "boss", "namespace": "ops"}},
        {"kind": "Secret", "metadata": {"name": "other", "namespace": "kube-system"}, **HELM},
    ]
    items = [*REST, SIGNER, *ADMINS, *core, *objects]
    file.write_text(json.dumps({"kind": "List", "items": items}))
    return attack_paths(model_of_dump(read_dump(file)), start, "admin")


HELM = {"type": "helm.sh/release.v1"}


def value(found: AttackPaths) -> str:
    assert "HUNTER2" not in repr(found)
    return "known" if found.paths else "possible" if found.possible else "none"


@pytest.mark.parametrize(("texts", "expected"), CONTENTS)
def test_pod_has_what_the_secret_holds_that_it_mounts(
    tmp_path: Path, texts: Object, expected: str
) -> None:
    secret = stored("Secret", encoded(texts), type="Opaque")
    assert value(paths(tmp_path, pod("Secret"), secret)) == expected
    assert value(paths(tmp_path, pod("Secret", "another"), secret)) == "none"


@pytest.mark.parametrize(("texts", "expected"), CONTENTS)
def test_pod_has_what_the_config_map_holds_that_it_mounts(
    tmp_path: Path, texts: Object, expected: str
) -> None:
    assert value(paths(tmp_path, pod("ConfigMap"), stored("ConfigMap", texts))) == expected


@pytest.mark.parametrize(
    ("data", "kind", "expected"),
    [
        # taken out before somebody handed the dump over
        ({}, "Opaque", "possible"),
        ({"config": ""}, "Opaque", "possible"),
        ({"config": "***"}, "Opaque", "possible"),
        ({}, "helm.sh/release.v1", "none"),
        ({}, "kubernetes.io/dockerconfigjson", "none"),
    ],
)
def test_contents_that_were_not_read_may_be_any(
    tmp_path: Path, data: Object, kind: str, expected: str
) -> None:
    secret = stored("Secret", data, type=kind)
    assert value(paths(tmp_path, pod("Secret"), secret)) == expected


def test_secret_that_is_not_in_the_dump_may_hold_anything(tmp_path: Path) -> None:
    items = [*REST, SIGNER, pod("Secret"), {"kind": "Node", "metadata": {"name": "w1"}}]
    file = tmp_path / "dump.json"
    file.write_text(json.dumps({"kind": "List", "items": items}))
    found = attack_paths(model_of_dump(read_dump(file)), "pod:shop/till", "admin")
    assert not found.paths
    assert "what Secret shop/s holds: its contents were not read" in repr(found)


@pytest.mark.parametrize("names", [["s"], []])
@pytest.mark.parametrize(
    ("resource", "kind", "expected"),
    [("secrets", "Secret", "possible"), ("configmaps", "ConfigMap", "possible")],
)
def test_who_reads_it_has_what_it_holds(
    tmp_path: Path, names: list[str], resource: str, kind: str, expected: str
) -> None:
    texts = {"config": WITH_KEY}
    held = stored(kind, encoded(texts) if kind == "Secret" else texts, type="Opaque")
    rules: Object = {"apiGroups": [""], "resources": [resource], "verbs": ["get"]}
    rules |= {"resourceNames": names} if names else {}
    about = {"name": "r", "namespace": "shop"}
    bound = [
        {"kind": "Role", "metadata": about, "rules": [rules]},
        {
            "kind": "RoleBinding",
            "metadata": about,
            "roleRef": {"kind": "Role", "name": "r"},
            "subjects": [{"kind": "User", "name": "eve"}],
        },
    ]
    assert value(paths(tmp_path, held, *bound, start="is:eve")) == expected


def test_values_are_not_kept() -> None:
    secret = stored("Secret", encoded({"t": token("system:serviceaccount:ops:boss")}))
    [found] = contents_of(secret, "Opaque") or ()
    assert (found.what, found.user) == ("a token", "system:serviceaccount:ops:boss")


def plain(where: str, texts: Object, **more: Any) -> Object:
    """Return a pod in whose environment, or whose arguments, texts stand as they are."""
    literals: Object = {"env": [{"name": name, "value": text} for name, text in texts.items()]}
    if where == "args":
        literals = {"args": [f"--{name}={text}" for name, text in texts.items()]}
    spec: Object = {"nodeName": "w1", "serviceAccountName": "no"}
    spec["containers"] = [{"name": "c", **literals}]
    spec |= {"automountServiceAccountToken": False}
    about = {"name": "till", "namespace": "shop", **more}
    return {"kind": "Pod", "metadata": about, "spec": spec}


def reader(resource: str, group: str = "", *names: str) -> list[Object]:
    """Return a pod whose account may read some objects of shop."""
    rule: Object = {"apiGroups": [group], "resources": [resource], "verbs": ["get"]}
    rule |= {"resourceNames": [*names]} if names else {}
    about = {"name": "reader", "namespace": "shop"}
    subject = {"kind": "ServiceAccount", "namespace": "shop", "name": "reader"}
    role = {"kind": "Role", "metadata": about, "rules": [rule]}
    ref = {"kind": "Role", "name": "reader"}
    binding = {"kind": "RoleBinding", "metadata": about, "roleRef": ref, "subjects": [subject]}
    eye = plain("env", {})
    eye["metadata"]["name"] = "eye"
    eye["spec"] |= {"serviceAccountName": "reader", "automountServiceAccountToken": True}
    return [{"kind": "ServiceAccount", "metadata": about}, role, binding, eye]


@pytest.mark.parametrize(("texts", "word"), CONTENTS)
def test_literal_of_an_environment_leads_where_the_same_secret_leads(
    texts: Object, word: str, tmp_path: Path
) -> None:
    found = paths(tmp_path, plain("env", texts))
    assert value(found) == word
    assert "HUNTER2" not in repr(found)


def test_key_in_the_arguments_of_a_command_is_read(tmp_path: Path) -> None:
    found = paths(tmp_path, plain("args", {"aws-key": "AKIAIOSFODNN7EXAMPLE"}))
    assert value(found) == "possible"


OWNER = [{"kind": "ReplicaSet", "name": "till-5d9c7"}]
OF_DEPLOYMENT = {"ownerReferences": OWNER, "labels": {"pod-template-hash": "5d9c7"}}


@pytest.mark.parametrize(
    ("rights", "word"),
    [
        (reader("pods"), "possible"),
        (reader("pods", "", "till"), "possible"),
        (reader("pods", "", "other"), "none"),
        (reader("pods/log"), "none"),
        (reader("deployments", "apps"), "possible"),
        (reader("deployments", "apps", "till"), "possible"),
        (reader("deployments", "apps", "other"), "none"),
        (reader("replicasets", "apps", "till-5d9c7"), "possible"),
        (reader("daemonsets", "apps"), "none"),
        (reader("jobs", "batch"), "none"),
    ],
)
def test_who_reads_a_pod_or_its_deployment_reads_its_environment(
    rights: list[Object], word: str, tmp_path: Path
) -> None:
    of_aws = plain("env", {"AWS_SECRET_ACCESS_KEY": "hunter2"}, **OF_DEPLOYMENT)
    found = paths(tmp_path, of_aws, *rights, start="pod:shop/eye")
    assert value(found) == word


def test_variable_that_names_a_secret_is_no_literal(tmp_path: Path) -> None:
    pod_of_name = plain("env", {})
    source = {"secretKeyRef": {"name": "s", "key": "k"}}
    variable = {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": source}
    pod_of_name["spec"]["containers"][0]["env"] = [variable]
    known = stored("Secret", encoded({"k": "hunter2"}))
    found = paths(tmp_path, pod_of_name, known, *reader("pods"), start="pod:shop/eye")
    assert value(found) == "none"


def test_of_two_variables_of_one_name_each_is_read(tmp_path: Path) -> None:
    twice = plain("env", {})
    values = ("AKIAIOSFODNN7EXAMPLE", "later")
    variables = [{"name": "KEY", "value": text} for text in values]
    twice["spec"]["containers"][0]["env"] = variables
    assert value(paths(tmp_path, twice)) == "possible"
