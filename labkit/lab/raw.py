"""The administrator's requests that kubectl would take ten times as long for."""

from __future__ import annotations

from collections.abc import Sequence

from labkit.cluster import Environment

__all__ = ["as_curl"]


def as_curl(env: Environment, arguments: Sequence[str]) -> list[str] | None:
    """Return curl's command line for ``get --raw=PATH``; None where kubectl is needed.

    Parameters
    ----------
    env : Environment
    arguments : sequence of str
        kubectl's.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> argv = as_curl(read_environment("hardened"), ["get", "--raw=/version"])
    >>> argv[0], argv[-1]
    ('curl', 'https://master:6443/version')
    >>> as_curl(read_environment("hardened"), ["get", "nodes"]) is None
    True
    """
    if len(arguments) != 2 or arguments[0] != "get" or not arguments[1].startswith("--raw=/"):
        return None
    for config in env.kubeconfigs:
        if config.path == env.bootstrap_kubeconfig and config.certificate:
            trust = ["--cacert", config.authority.value] if config.authority else ["--insecure"]
            proof = ["--cert", config.certificate, "--key", config.key]
            url = f"{config.server.value}{arguments[1].removeprefix('--raw=')}"
            options = ["--silent", "--show-error", "--fail-with-body", "--max-time", "30"]
            return ["curl", *options, *trust, *proof, url]
    return None
