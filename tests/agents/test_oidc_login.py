"""The login at an OpenID provider, against a provider of forms over TLS."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from labkit import agents
from labkit.lab.pki import Authority

PASSWORD, REDIRECT = "correct horse", "http://localhost:8000"


class Provider(http.server.BaseHTTPRequestHandler):
    """Forms as Canaille shows them: name, password, consent, groups."""

    groups: ClassVar[set[str]]
    accounts: ClassVar[set[str]]
    challenges: ClassVar[dict[str, str]]
    issuer = ""

    def log_message(self, *_: object) -> None:
        pass

    def _page(self, text: str, status: int = 200) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def _go(self, place: str, cookie: str = "") -> None:
        self.send_response(302)
        self.send_header("Location", place)
        if cookie:
            self.send_header("Set-Cookie", f"{cookie}; Path=/")
        self.end_headers()

    def _form(self, *fields: str, button: str = "") -> None:
        inputs = "".join(f'<input name="{it}" value="">' for it in fields)
        shown = f'<button name="answer" value="{button}">' if button else ""
        self._page(f'<form method="POST"><input name="csrf_token" value="t">{inputs}{shown}</form>')

    def _is_in(self) -> bool:
        return "session=mallory" in self.headers.get("Cookie", "")

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/.well-known/openid-configuration":
            ends = {"authorization_endpoint": "authorize", "token_endpoint": "token"}
            self._page(json.dumps({key: f"{self.issuer}/{it}" for key, it in ends.items()}))
        elif url.path == "/authorize" and not self._is_in():
            self._go("/login", f"next={base64.urlsafe_b64encode(self.path.encode()).decode()}")
        elif url.path == "/authorize":
            self._form(button="accept")
        elif url.path == "/login":
            self._form("login")
        elif url.path == "/auth/password":
            self._form("username", "password")
        elif url.path == "/groups/add":
            self._form("display_name", "description")
        elif url.path == "/register":
            self._form("user_name", "emails-0", "password1", "password2")
        elif url.path.startswith("/groups/"):
            name = url.path.rpartition("/")[2]
            self._form() if name in self.groups else self._page("no such group", 404)
        else:
            # a profile: it has a field for a new password
            self._form("given_name", "password")

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        given = {key: values[0] for key, values in parse_qs(body).items()}
        if url.path != "/token" and given.get("csrf_token") != "t":
            self._page("no token of the form", 400)
        elif url.path == "/login":
            self._go("/auth/password")
        elif url.path == "/auth/password" and given.get("password") != PASSWORD:
            self._form("username", "password")
        elif url.path == "/auth/password":
            cookies = self.headers.get("Cookie", "").partition("next=")[2].partition(";")[0]
            place = base64.urlsafe_b64decode(cookies).decode() if cookies else "/profile"
            self._go(place, "session=mallory")
        elif url.path == "/authorize" and given.get("answer") == "accept":
            asked = {key: values[0] for key, values in parse_qs(url.query).items()}
            self.challenges["c0de"] = asked["code_challenge"]
            self._go(f"{REDIRECT}/?code=c0de&state={asked['state']}")
        elif url.path == "/groups/add" and given.get("display_name") not in self.groups:
            self.groups.add(given["display_name"])
            self._go(f"/groups/{given['display_name']}")
        elif url.path == "/groups/add":
            self._form("display_name", "description")
        elif url.path == "/register" and given["user_name"] in self.accounts:
            self._form("user_name", "emails-0", "password1", "password2")
        elif url.path == "/register" and given["password1"] != given["password2"]:
            self._page("two passwords", 400)
        elif url.path == "/register":
            self.accounts.add(given["user_name"])
            self._go("/profile", "session=mallory")
        elif url.path.startswith("/groups/") and given.get("action") == "delete":
            self.groups.remove(url.path.rpartition("/")[2])
            self._go("/profile")
        else:
            digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
            right = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if self.challenges.get(given.get("code", "")) != right:
                self._page("not the client that asked", 400)
            else:
                said = {"id_token": f"of {sorted(self.groups)}", "access_token": "another"}
                self._page(json.dumps(said))


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Any]:
    """Yield a function that runs the program against a provider of the test."""
    authority = Authority.create("oidc-ca")
    leaf = authority.issue("idp", hosts=["127.0.0.1"], usages=["server"])
    for name, data in (("ca", authority.certificate), ("crt", leaf.certificate), ("key", leaf.key)):
        (tmp_path / name).write_bytes(data)

    class OneProvider(Provider):
        groups: ClassVar[set[str]] = set()
        accounts: ClassVar[set[str]] = set()
        challenges: ClassVar[dict[str, str]] = {}

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OneProvider)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    issuer = f"https://127.0.0.1:{server.server_port}"
    OneProvider.issuer = issuer
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def run(**given: str) -> dict[str, str]:
        wanted = {
            "issuer": issuer,
            "client": "kubernetes",
            "redirect": REDIRECT,
            "scope": "openid groups",
            "token": "id_token",
            "user": "mallory",
            "password": PASSWORD,
            "authority": str(tmp_path / "ca"),
            **given,
        }
        argv = agents.argv("oidc_login")
        done = subprocess.run(
            argv, input=json.dumps(wanted), capture_output=True, text=True, check=True, timeout=60
        )
        found: dict[str, str] = json.loads(done.stdout)
        return found

    yield run
    server.shutdown()
    server.server_close()


def test_login_ends_with_the_token_of_the_persons_groups(provider: Any) -> None:
    assert provider() == {"id_token": "of []"}
    assert provider(token="access_token") == {"access_token": "another"}
    assert provider(group="system:masters") == {"id_token": "of ['system:masters']"}
    assert provider(group="system:masters") == {"refused": "the provider does not create the group"}
    assert provider(leave="system:masters") == {}
    assert provider() == {"id_token": "of []"}
    assert provider(leave="system:masters")["refused"].startswith("HTTP 404")


def test_wrong_password_is_a_refusal(provider: Any) -> None:
    refused = {"refused": "the provider does not accept the password of mallory"}
    assert provider(password="wrong") == refused
    assert provider(password="wrong", group="x") == refused


def test_provider_is_verified_only_with_an_authority(provider: Any, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(Authority.create("other-ca").certificate)
    said = provider(authority=str(tmp_path / "other"))
    assert "CERTIFICATE_VERIFY_FAILED" in said["error"]
    assert provider(authority="") == {"id_token": "of []"}


def test_nothing_is_sent_without_tls(provider: Any) -> None:
    assert "is no https" in provider(issuer="http://127.0.0.1:9")["refused"]


def test_provider_that_does_not_answer_is_an_error(provider: Any) -> None:
    assert provider(issuer="https://127.0.0.1:9")["error"].startswith("URLError")


def test_account_is_made_once(provider: Any) -> None:
    # who registers is logged in, so no password is asked for
    given = {"user": "system:node:w", "password": "of this moment", "register": "yes"}
    assert provider(**given) == {"id_token": "of []"}
    assert provider(**given) == {"refused": "the provider does not make the account"}
