"""A token as the provider would have made it earlier, which cryptography verifies."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from labkit import agents

PEM = (
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_times_are_earlier_and_the_providers_key_signs(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    (tmp_path / "key").write_bytes(key.private_bytes(*PEM))
    header = {"alg": "RS256", "kid": "one"}
    claims = {"sub": "alice", "aud": ["k"], "iat": 9000, "exp": 12600, "auth_time": 8999}
    wanted = {
        "token": f"{part(header)}.{part(claims)}.x",
        "seconds": 7200,
        "key": str(tmp_path / "key"),
    }
    argv = agents.argv("older_token")
    given = json.dumps(wanted).encode()
    said = subprocess.run(argv, input=given, capture_output=True, check=True)
    signed, _, signature = said.stdout.decode().rpartition(".")
    first, second = signed.split(".")
    assert json.loads(decoded(first)) == header
    assert json.loads(decoded(second)) == {**claims, "iat": 1800, "exp": 5400, "auth_time": 1799}
    rest = (padding.PKCS1v15(), hashes.SHA256())
    key.public_key().verify(decoded(signature), signed.encode(), *rest)
    with pytest.raises(InvalidSignature):
        key.public_key().verify(decoded(signature), f"{signed}x".encode(), *rest)
