"""Print a token of this machine's OpenID provider as it would be, had it been made earlier.

Standard input is JSON: the token (RFC 7519, signed with RS256), the provider's key that signs, and
how many seconds earlier. The times are moved and the token is signed again; all else stays. It
stands in for waiting so long.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

#: The claims that are times: RFC 7519, section 4.1, and OpenID Connect Core 1.0, section 2.
TIMES = ("iat", "nbf", "exp", "auth_time")


def encoded(data: bytes) -> str:
    """Return bytes as a part of a token.

    Examples
    --------
    >>> encoded(b'{"a":1}')
    'eyJhIjoxfQ'
    """
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(part: str) -> dict[str, Any]:
    """Return what a part of a token says.

    Examples
    --------
    >>> claims_of("eyJhIjoxfQ")
    {'a': 1}
    """
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def older(claims: dict[str, Any], seconds: int) -> dict[str, Any]:
    """Return claims with all times so many seconds earlier.

    Examples
    --------
    >>> older({"sub": "alice", "iat": 100, "exp": 160}, 50)
    {'sub': 'alice', 'iat': 50, 'exp': 110}
    """
    return {name: it - seconds if name in TIMES else it for name, it in claims.items()}


def main() -> None:
    """Read the token, and print the older one."""
    wanted = json.load(sys.stdin)
    header, payload, _ = wanted["token"].split(".")
    claims = json.dumps(older(claims_of(payload), wanted["seconds"])).encode()
    text = f"{header}.{encoded(claims)}"
    argv = ["openssl", "dgst", "-sha256", "-sign", wanted["key"], "-binary"]
    done = subprocess.run(argv, input=text.encode(), capture_output=True, check=True)
    print(f"{text}.{encoded(done.stdout)}", end="")


if __name__ == "__main__":
    main()
