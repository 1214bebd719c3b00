"""What the programs that make or take connections share.

It stands in their text when they are sent, so it imports nothing of ``__future__``, and its
names are all public there.
"""

import ssl
import tempfile
from pathlib import Path

#: Keys are kept off the disk where the machine has a file system in memory.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gone at once


def reason_of(error: ssl.SSLError) -> str:
    """Return OpenSSL's name for an error, or its text where it has none."""
    return getattr(error, "reason", None) or str(error)


def alert_in(error: ssl.SSLError) -> str:
    """Return the TLS alert that the other side sent, in the words of RFC 8446; "" for none."""
    reason = reason_of(error)
    return reason.split("ALERT_")[-1].lower().replace("_", " ") if "ALERT_" in reason else ""


def failure(error: BaseException) -> dict[str, str]:
    """Name what went wrong; only an answer of the other side is a refusal."""
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
    """Load a certificate and its key, both PEM, by way of a file that is gone at once."""
    with tempfile.NamedTemporaryFile("w", dir=MEMORY) as file:
        file.write(f"{certificate}\n{key}")
        file.flush()
        context.load_cert_chain(file.name)
