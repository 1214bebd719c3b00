"""Claims that a file decides which an apiserver's flag names: read, missing and malformed.

The rules are Kubernetes': "Auditing", "Encrypting Confidential Data at Rest", "Authorization" and
"Authenticating" of its documentation.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labkit.cluster import read_cluster
from labkit.model import Model, read_model

KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"
APISERVER = "kube-apiserver@cp1"
MANIFEST = "cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
FILE = "/etc/kubernetes/read.yaml"
LOG = "--audit-log-path=/var/log/audit.log"
HEAD = "apiVersion: apiserver.config.k8s.io/v1\n"


def model(folder: Path, *flags: str, text: str | None = None, without: str = "") -> Model:
    """Return the model of kubeadm's files with more flags, and a file that one of them names."""
    shutil.copytree(KUBEADM, folder)
    file = folder / MANIFEST
    line = "    - kube-apiserver\n"
    old = file.read_text()
    assert line in old
    kept = [it for it in old.splitlines(keepends=True) if not (without and without in it)]
    new = "".join(kept).replace(line, line + "".join(f"    - {flag}\n" for flag in flags))
    file.write_text(new)
    if text is not None:
        (folder / f"cp1{FILE}").write_text(text)
    return read_model(read_cluster(folder))


def of_apiserver(found: Model, claim: str) -> str:
    said = found.component(APISERVER).claim(claim)
    assert said is not None
    return said.value


def of_port(found: Model, claim: str) -> str:
    [value] = {getattr(it, claim).value for it in found.channels if it.id.endswith("cp1:6443")}
    return str(value)


METADATA, NONE = "- level: Metadata\n", "- level: None\n"
HEALTH = '- level: None\n  nonResourceURLs: ["/healthz*"]\n'


@pytest.mark.parametrize(
    ("rules", "backend", "expected"),
    [
        (METADATA, LOG, "on"),
        (METADATA, "--audit-log-path=-", "on"),
        (METADATA, "--audit-webhook-config-file=/etc/hook.yaml", "on"),
        (METADATA, "", "none"),
        (NONE, LOG, "none"),
        # the first rule that matches decides
        (NONE + METADATA, LOG, "none"),
        (HEALTH + METADATA, LOG, "on"),
        # kubectl exec and every read of a secret are missed
        ("- level: Metadata\n  verbs: [create, update, patch, delete]\n", LOG, "partial"),
        ("- level: None\n  verbs: [get]\n" + METADATA, LOG, "partial"),
        (HEALTH, LOG, "none"),
        (METADATA + NONE, LOG, "on"),
        # kube-apiserver starts with none of these
        ("[]", LOG, "unknown"),
        ("- level: Everything\n", LOG, "unknown"),
        ("- [", LOG, "unknown"),
        (None, LOG, "unknown"),
    ],
)
def test_audit_follows_policy_and_backend(
    tmp_path: Path, rules: str | None, backend: str, expected: str
) -> None:
    text = None
    if rules is not None:
        text = f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}"
    flags = [f"--audit-policy-file={FILE}", *([backend] if backend else [])]
    assert of_apiserver(model(tmp_path / "c", *flags, text=text), "audit") == expected


ENCRYPTED = "resources: [{resources: [secrets], providers: [{aescbc: {}}, {identity: {}}]}]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"kind: EncryptionConfiguration\n{HEAD}{ENCRYPTED}", "encrypted"),
        (f"kind: EncryptionConfig\napiVersion: v1\n{ENCRYPTED}", "encrypted"),
        (
            f"kind: EncryptionConfiguration\n{HEAD}{ENCRYPTED.replace('aescbc', 'nonsuch')}",
            "unknown",
        ),
        (
            f"kind: EncryptionConfiguration\n{HEAD}resources: "
            "[{resources: [secrets], providers: [{identity: {}}, {aescbc: {}}]}]",
            "none",
        ),
        (
            f"kind: EncryptionConfiguration\n{HEAD}{ENCRYPTED.replace('secrets', 'configmaps')}",
            "none",
        ),
        (f"kind: ConfigMap\n{ENCRYPTED}", "unknown"),
        ("kind: EncryptionConfiguration\nresources: [", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_secrets_at_rest_follow_the_file(tmp_path: Path, text: str | None, expected: str) -> None:
    found = model(tmp_path / "c", f"--encryption-provider-config={FILE}", text=text)
    assert of_apiserver(found, "secrets at rest") == expected


def authorizers(*kinds: str) -> str:
    rows = "".join(f"- {{type: {kind}, name: n{i}}}\n" for i, kind in enumerate(kinds))
    return f"kind: AuthorizationConfiguration\n{HEAD}authorizers:\n{rows}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (authorizers("Node", "RBAC"), "enforced"),
        (authorizers("RBAC", "AlwaysDeny"), "enforced"),
        (authorizers("Node", "RBAC", "AlwaysAllow"), "allow-all"),
        (authorizers("Node", "Webhook"), "unknown"),
        (authorizers("Nodes"), "unknown"),
        (authorizers().replace("authorizers:\n", "authorizers: []\n"), "unknown"),
        (f"kind: Other\n{HEAD}authorizers: [{{type: RBAC}}]", "unknown"),
        (None, "unknown"),
    ],
)
def test_authorization_follows_the_file(tmp_path: Path, text: str | None, expected: str) -> None:
    flag = f"--authorization-config={FILE}"
    found = model(tmp_path / "c", flag, text=text, without="--authorization-mode")
    assert of_port(found, "authorization") == expected


def test_anonymous_callers_may_do_everything_with_always_allow_in_a_file(tmp_path: Path) -> None:
    # only the flag --authorization-mode=AlwaysAllow switches them off
    text = authorizers("Node", "AlwaysAllow")
    flag = f"--authorization-config={FILE}"
    found = model(tmp_path / "c", flag, text=text, without="--authorization-mode")
    assert of_port(found, "client_authentication") == "anonymous"


def anonymous(text: str) -> str:
    return f"kind: AuthenticationConfiguration\n{HEAD}{text}"


@pytest.mark.parametrize(
    ("text", "flags", "expected"),
    [
        (anonymous("anonymous: {enabled: false}"), [], "required"),
        (anonymous("anonymous: {enabled: true}"), [], "anonymous"),
        (anonymous("anonymous: {enabled: true, conditions: [{path: /livez}]}"), [], "required"),
        (
            anonymous("anonymous: {enabled: true, conditions: [{path: /api/v1/secrets}]}"),
            [],
            "anonymous",
        ),
        # the file leaves it to the flag, whose default is true
        (anonymous("jwt: []"), [], "anonymous"),
        (anonymous("jwt: []"), ["--anonymous-auth=false"], "required"),
        ("kind: Other", [], "unknown"),
        ("kind: Other", ["--anonymous-auth=false"], "required"),
        (None, [], "unknown"),
    ],
)
def test_anonymous_callers_follow_the_file(
    tmp_path: Path, text: str | None, flags: list[str], expected: str
) -> None:
    found = model(tmp_path / "c", f"--authentication-config={FILE}", *flags, text=text)
    assert of_port(found, "client_authentication") == expected


@pytest.mark.parametrize("value", ["off", "no", "yes", "disabled", "FALSe"])
def test_a_boolean_that_is_none_decides_nothing(tmp_path: Path, value: str) -> None:
    found = model(tmp_path / "c", f"--anonymous-auth={value}")
    assert of_port(found, "client_authentication") == "unknown"


@pytest.mark.parametrize("value", ["0", "f", "F", "FALSE", "False"])
def test_gos_spellings_of_false_are_false(tmp_path: Path, value: str) -> None:
    found = model(tmp_path / "c", f"--anonymous-auth={value}")
    assert of_port(found, "client_authentication") == "required"
