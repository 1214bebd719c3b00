"""Log in at an OpenID provider as a person does, and print a token as JSON.

Standard input is JSON: the issuer, the client, its redirect URI and the scope; the person's name
and password; which token of the answer (RFC 6749, section 5.1) is printed; the path of the CA's
certificate, or "" for a client that does not verify the provider. The program reads the provider's
discovery document, answers the forms of its login, and exchanges the code (authorization code flow
with PKCE, RFC 6749 and 7636). In the provider's web pages, ``register`` first makes the account,
``group`` a group of that name, and ``leave`` deletes it.
"""

from __future__ import annotations

import base64
import hashlib
import http.cookiejar
import json
import secrets
import ssl
import sys
import urllib.error
import urllib.request
from email.message import Message
from html.parser import HTMLParser
from typing import IO, Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from labkit.agents._patience import stretch

#: Seconds for one answer, on an idle machine.
PATIENCE = 10.0
#: The value of the button with which a person lets a client have what it asks for.
CONSENT = "accept"
#: Forms that a person answers at most: name, password, consent.
FORMS = 5
DISCOVERY = "/.well-known/openid-configuration"


class Refused(Exception):
    """The provider, or a page of it, does not let the person go on."""


class Forms(HTMLParser):
    """Collect the forms of a page: their addresses, their fields, and the buttons' values."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a form, or add a field to the last one."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append((given.get("action", ""), {}))
        elif tag in ("input", "textarea") and self.found and given.get("name"):
            self.found[-1][1][given["name"]] = given.get("value", "")
        elif tag == "button" and self.found and given.get("value") == CONSENT:
            self.found[-1][1][CONSENT] = given.get("name", "")


def form_with(page: str, field: str) -> tuple[str, dict[str, str]] | None:
    """Return the address and the fields of the first form of a page that has a field, or None.

    Examples
    --------
    >>> form_with('<form action="/x"><input name="login"><input name="a" value="1"></form>', "a")
    ('/x', {'login': '', 'a': '1'})
    """
    forms = Forms()
    forms.feed(page)
    return next((form for form in forms.found if field in form[1]), None)


class KeepRedirect(urllib.request.HTTPRedirectHandler):
    """Follow redirects at the provider; stop at the one that carries the code elsewhere."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.carried = ""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the next request; None ends at an address that is not the provider's."""
        if urlsplit(newurl).netloc != urlsplit(self.home).netloc:
            self.carried = newurl
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


class Browser:
    """A person's browser: cookies, and the CA by which it knows the provider."""

    def __init__(self, issuer: str, authority: str) -> None:
        context = ssl.create_default_context(cafile=authority or None)
        if not authority:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.redirects = KeepRedirect(issuer)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
            self.redirects,
        )
        self._wait = PATIENCE * stretch()

    def open(self, url: str, fields: dict[str, str] | None = None) -> tuple[str, str]:
        """Return the address at which a request ended, and the page there."""
        if not url.startswith("https://"):
            raise Refused(f"{url.partition('?')[0]} is no https")
        data = None if fields is None else urlencode(fields).encode()
        headers = {} if data is None else {"Referer": url}
        asked = urllib.request.Request(url, data, headers)  # noqa: S310 - https, see above
        try:
            with self._opener.open(asked, timeout=self._wait) as answer:
                return answer.url, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            if self.redirects.carried:
                return self.redirects.carried, ""
            said = error.read()[:300].decode(errors="replace")
            raise Refused(f"HTTP {error.code} at {urlsplit(url).path}: {said}") from error


def challenge(verifier: str) -> str:
    """Return the challenge of a verifier (RFC 7636, section 4.2, S256).

    Examples
    --------
    >>> challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    """
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def log_in(browser: Browser, url: str, user: str, password: str) -> tuple[str, str]:
    """Open a page that needs a login, answer the forms, and return where it ends."""
    answers = {"login": user, "password": password}
    at, page = browser.open(url)
    asked_at = ""
    for _ in range(FORMS):
        if browser.redirects.carried:
            break
        for field in (*answers, CONSENT):
            if form := form_with(page, field):
                action, fields = form
                asked_at = at if field == "password" else asked_at
                name, value = (field, answers.pop(field, ""))
                if field == CONSENT:
                    name, value = fields.pop(CONSENT), CONSENT
                at, page = browser.open(urljoin(at, action), {**fields, name: value})
                break
        else:
            break
    if at == asked_at:
        raise Refused(f"the provider does not accept the password of {user}")
    return at, page


def token(browser: Browser, wanted: dict[str, str]) -> str:
    """Return a token of a person, by the authorization code flow with PKCE."""
    _, text = browser.open(wanted["issuer"] + DISCOVERY)
    endpoints: dict[str, Any] = json.loads(text)
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    query = {
        "response_type": "code",
        "client_id": wanted["client"],
        "redirect_uri": wanted["redirect"],
        "scope": wanted["scope"],
        "state": state,
        "nonce": secrets.token_urlsafe(16),
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
    }
    url = f"{endpoints['authorization_endpoint']}?{urlencode(query)}"
    at, page = log_in(browser, url, wanted["user"], wanted["password"])
    given = {name: values[0] for name, values in parse_qs(urlsplit(at).query).items()}
    if "code" not in given or given.get("state") != state:
        raise Refused(f"no code: {given.get('error', 'the login ended elsewhere')}: {page[:200]}")
    browser.redirects.carried = ""
    fields = {
        "grant_type": "authorization_code",
        "code": given["code"],
        "redirect_uri": wanted["redirect"],
        "client_id": wanted["client"],
        "code_verifier": verifier,
    }
    _, text = browser.open(endpoints["token_endpoint"], fields)
    return str(json.loads(text)[wanted["token"]])


def register(browser: Browser, wanted: dict[str, str]) -> None:
    """Make the account in the provider's web pages, as everybody may where registration is open."""
    place = f"{wanted['issuer']}/register"
    at, page = browser.open(place)
    form = form_with(page, "password1")
    if form is None:
        raise Refused("the provider shows no form for a new account")
    action, fields = form
    given = {
        "user_name": wanted["user"],
        "family_name": wanted["user"],
        "emails-0": "new@company.example",
        "password1": wanted["password"],
        "password2": wanted["password"],
    }
    at, page = browser.open(urljoin(at, action), {**fields, **given})
    if at.rstrip("/") == place:
        raise Refused("the provider does not make the account")


def make_group(browser: Browser, wanted: dict[str, str], name: str) -> None:
    """Create a group in the provider's web pages; its creator is a member."""
    place = f"{wanted['issuer']}/groups/add"
    log_in(browser, f"{wanted['issuer']}/login", wanted["user"], wanted["password"])
    at, page = browser.open(place)
    form = form_with(page, "display_name")
    if form is None:
        raise Refused("the provider shows no form for a new group")
    action, fields = form
    at, page = browser.open(urljoin(at, action), {**fields, "display_name": name})
    if at.rstrip("/") == place:
        raise Refused("the provider does not create the group")


def delete_group(browser: Browser, wanted: dict[str, str], name: str) -> None:
    """Delete a group of the person's own in the provider's web pages."""
    place = f"{wanted['issuer']}/groups/{name}"
    log_in(browser, f"{wanted['issuer']}/login", wanted["user"], wanted["password"])
    at, page = browser.open(place)
    form = form_with(page, "csrf_token")
    if form is None:
        raise Refused("the provider shows no form of the group")
    token = form[1]["csrf_token"]
    browser.open(at, {"csrf_token": token, "action": "delete"})


def main() -> None:
    """Read what is wanted, and print the token or the refusal."""
    wanted: dict[str, str] = json.load(sys.stdin)
    browser = Browser(wanted["issuer"], wanted.get("authority", ""))
    found: dict[str, str] = {}
    try:
        if wanted.get("register", ""):
            register(browser, wanted)
        if name := wanted.get("group", ""):
            make_group(browser, wanted, name)
        if name := wanted.get("leave", ""):
            delete_group(browser, wanted, name)
        else:
            found[wanted["token"]] = token(browser, wanted)
    except Refused as error:
        found["refused"] = str(error)
    except OSError as error:
        found["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(found))


if __name__ == "__main__":
    main()
