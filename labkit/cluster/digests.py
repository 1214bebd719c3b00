"""Compare tokens without keeping them."""

from __future__ import annotations

import hashlib

__all__ = ["digest_of"]


def digest_of(token: str) -> str:
    """Return the digest by which two copies of a token are known to be equal.

    Parameters
    ----------
    token : str

    Returns
    -------
    str

    Examples
    --------
    >>> digest_of("a") == digest_of("a"), digest_of("a") == digest_of("b")
    (True, False)
    """
    return hashlib.sha256(token.encode()).hexdigest()
