"""The administrator's single requests: kubectl takes ten times as long to start as to ask."""

from __future__ import annotations

from labkit.cluster import Environment
from labkit.errors import LabError

__all__ = ["as_curl"]


def as_curl(env: Environment, method: str, path: str) -> list[str]:
    """Return curl's command line for a request with the administrator's certificate.

    Parameters
    ----------
    env : Environment
    method : str
        Of HTTP; what is sent with any but GET comes on curl's standard input.
    path : str
        At the apiserver, with the query.

    Raises
    ------
    LabError
        The administrator has no certificate.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> argv = as_curl(read_environment("hardened"), "GET", "/version")
    >>> argv[0], argv[-1]
    ('curl', 'https://master:6443/version')
    """
    for config in env.kubeconfigs:
        if config.path == env.bootstrap_kubeconfig and config.certificate:
            trust = ["--cacert", config.authority.value] if config.authority else ["--insecure"]
            proof = ["--cert", config.certificate, "--key", config.key]
            options = ["--silent", "--show-error", "--fail-with-body", "--max-time", "30"]
            if method != "GET":
                kind = "merge-patch+json" if method == "PATCH" else "json"
                options += ["--request", method, "--data-binary", "@-"]
                options += ["--header", f"Content-Type: application/{kind}"]
            return ["curl", *options, *trust, *proof, f"{config.server.value}{path}"]
    raise LabError(f"{env.name}: there is no certificate in {env.bootstrap_kubeconfig}")
