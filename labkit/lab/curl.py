"""Single requests of the administrator by curl: kubectl takes ten times as long to start."""

from __future__ import annotations

from labkit.cluster import Environment
from labkit.errors import LabError

__all__ = ["as_curl"]


def as_curl(env: Environment, method: str, path: str) -> list[str]:
    """Return curl's command line for a request with the administrator's certificate.

    Parameters
    ----------
    env : Environment
        The environment, which names the administrator's kubeconfig.
    method : str
        The HTTP method. With any method but GET, curl sends its standard input as the body.
    path : str
        The path at the apiserver, with the query.

    Returns
    -------
    list of str

    Raises
    ------
    LabError
        The administrator's kubeconfig has no client certificate.

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
    raise LabError(f"{env.name}: {env.bootstrap_kubeconfig} has no client certificate")
