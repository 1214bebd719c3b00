"""The labs with an OpenID provider: real logins, real ID tokens, and the control flipped."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from labkit import controls, techniques
from labkit.cluster.edits import Whole
from labkit.lab.provider import log_in
from labkit.model import read_model
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.verification import verify

pytestmark = [pytest.mark.lab, pytest.mark.profile("oidc")]
MODES = ("oidc-insecure", "oidc-hardened")
TECHNIQUE = techniques["oidc-group-collision"]
CONFIG, PERMISSION = "/etc/canaille/canaille.toml", ', "manage_own_groups"'
AUTHORITY = "/etc/kubernetes/pki/oidc-ca.crt"


@pytest.fixture(scope="module", params=MODES)
def provided(request: pytest.FixtureRequest, lab_of: Callable[[str], Any]) -> Any:
    """Return a lab with a provider."""
    return lab_of(request.param)


def groups(lab: Any) -> list[str]:
    """Return the names of the provider's groups."""
    program = "import sqlite3; print(*sqlite3.connect('/var/lib/canaille/canaille.sqlite')"
    program += ".execute('select display_name from \"group\"'), sep='\\n')"
    said = lab.exec("idp", ["python3", "-c", program]).text
    return sorted(line.strip("(),'") for line in said.splitlines())


@pytest.mark.parametrize("provided", MODES[:1], indirect=True)
def test_account_that_may_make_no_groups_is_refused(provided: Any) -> None:
    text = provided.environment.node("idp").files[CONFIG].read_text()
    assert PERMISSION in text
    try:
        provided.apply([Whole("provider", CONFIG, text.replace(PERMISSION, ""))])
        predicted = TECHNIQUE.predict(read_model(provided.environment), TECHNIQUE.footholds[0])
        verdict = TECHNIQUE.run(provided)
        assert (verdict.word, verdict.reason) == (predicted.word, "the provider refuses")
        assert groups(provided) == ["developers"]
    finally:
        provided.apply(())


@pytest.mark.parametrize("provided", MODES[:1], indirect=True)
def test_reset_takes_back_what_people_did_at_the_provider(
    provided: Any, settled: Callable[..., list[str]]
) -> None:
    log_in(provided, "master", "alice", group="of her own")
    assert groups(provided) == ["developers", "of her own"]
    assert list(map(str, provided.drift())) == ["idp: accounts: group of her own is new"]
    provided.reset()
    assert groups(provided) == ["developers"]
    assert settled(provided) == []
    # the provider serves again, with the same people, also twice in one second
    assert [set(log_in(provided, "master", "alice")) for _ in range(4)] == [{"id_token"}] * 4


def test_clients_are_read_again_when_their_file_is_a_new_one(
    provided: Any, settled: Callable[..., list[str]]
) -> None:
    control, shared = controls["oidc-audience"], techniques["oidc-shared-audience"]
    on = provided.mode == MODES[0]
    try:
        provided.apply(control.flip(provided.environment, on=on))
        assert any(" accounts: client portal " in str(it) for it in provided.drift())
        predicted = shared.predict(read_model(provided.environment), shared.footholds[0])
        verdict = shared.run(provided)
        assert (verdict.succeeded, predicted.succeeds) == (not on, not on)
    finally:
        provided.apply(())
    assert settled(provided) == []


def test_kubectl_works_with_an_id_token(provided: Any) -> None:
    logged_in = log_in(provided, "master", "alice", authority=AUTHORITY)
    assert set(logged_in) == {"id_token"}, logged_in
    token = logged_in["id_token"]
    server = {
        "server": "https://master:6443",
        "certificate-authority": "/etc/kubernetes/pki/ca.crt",
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "oidc",
        "clusters": [{"name": "lab", "cluster": server}],
        "users": [{"name": "alice", "user": {"token": token}}],
        "contexts": [{"name": "oidc", "context": {"cluster": "lab", "user": "alice"}}],
    }

    def kubectl(*arguments: str) -> Any:
        argv = ["kubectl", "--kubeconfig=/dev/stdin", *arguments]
        return provided.exec("master", argv, stdin=json.dumps(config).encode(), check=False)

    def known() -> Any:
        # an apiserver that has just started has not fetched the provider's keys yet: HTTP 401
        said = kubectl("auth", "whoami", "--output=json").stdout
        return json.loads(said)["status"]["userInfo"] if said else None

    who = wait_for(provided, known, 30.0, "the apiserver does not know alice's token")
    prefix = "oidc:" if provided.mode == "oidc-hardened" else ""
    assert who["username"] == f"{prefix}alice"
    assert f"{prefix}developers" in who["groups"]
    assert "pod/web" in kubectl("get", "pods", "--namespace=shop", "--output=name").text
    if provided.mode == "oidc-hardened":
        secrets = kubectl("get", "secrets", "--namespace=shop", "--output=name")
        assert 'User "oidc:alice" cannot list resource "secrets"' in secrets.error


def test_stranger_in_place_of_the_provider_is_refused(provided: Any) -> None:
    # the apiserver's own authority did not sign the provider's certificate
    said = log_in(provided, "master", "alice", authority="/etc/kubernetes/pki/ca.crt")
    assert "CERTIFICATE_VERIFY_FAILED" in said["error"]


def test_channels_to_the_provider_are_as_claimed(provided: Any) -> None:
    ids = [it.id for it in read_model(provided.environment).channels if "canaille" in it.id]
    assert len(ids) == 2
    report = verify(provided, only=ids)
    assert report.exit_code == 0, report
