"""Functions that several programs use for their connections.

The text of this module replaces its import when a program is sent. So it must not import from
``__future__``, and a program gets all its names.
"""

import os
import re
import ssl

#: OpenSSL names an alert that arrived after the version that defined it. The alerts about
#: extensions (RFC 6066) lack the word "alert", and Python has no names for the newest ones.
ALERT = re.compile(r"(?:sslv3 alert|tlsv13 alert|tlsv1(?: alert)?) (?P<name>[a-z ]+[a-z])")


def reason_of(error: ssl.SSLError) -> str:
    """Return OpenSSL's name for an error, or its text if it has no name."""
    return getattr(error, "reason", None) or str(error)


def alert_in(error: ssl.SSLError) -> str:
    """Return the name of the TLS alert that the peer sent (RFC 8446, section 6), or ""."""
    found = ALERT.search(reason_of(error).lower().replace("_", " "))
    return found["name"] if found else ""


def failure(error: BaseException) -> dict[str, str]:
    """Return the kind of an error and its text; only an answer of the peer is a refusal."""
    text = str(error)
    if isinstance(error, ssl.SSLError):
        if alert := alert_in(error):
            return {"error": "alert", "text": alert}
        reason = reason_of(error)
        kind = "closed" if "EOF" in reason else "tls"
        return {"error": kind, "text": reason.lower().replace("_", " ")}
    for kinds, name in (
        (ConnectionRefusedError, "refused"),
        (TimeoutError, "timeout"),
        ((ConnectionResetError, BrokenPipeError), "reset"),
        (PermissionError, "permission"),
        (FileNotFoundError, "missing"),
    ):
        if isinstance(error, kinds):
            return {"error": name, "text": text}
    return {"error": "failed", "text": f"{type(error).__name__}: {text}"}


def load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a certificate and its key, both PEM, from memory.

    No folder ever has the key, so that a process that is killed leaves none.
    """
    with os.fdopen(os.memfd_create("pair"), "w") as file:
        file.write(f"{certificate}\n{key}")
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
