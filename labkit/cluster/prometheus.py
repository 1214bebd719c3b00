"""Read what Prometheus scrapes, and what it demands of its own callers.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/
https://prometheus.io/docs/prometheus/latest/configuration/https/
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace

from labkit.cluster.syntax.source import Setting, Unknown, is_true
from labkit.cluster.syntax.urls import url_of
from labkit.cluster.syntax.yamldoc import Document, Key, read_one

__all__ = ["Scrape", "read_scrapes", "read_web_config"]

#: The keys of a scrape configuration that change whom it calls in a way that labkit does not read.
NOT_READ = ("proxy_url", "http_sd_configs", "relabel_configs", "params")
#: The keys of a web configuration, with the names of labkit's settings.
WEB = {
    ("tls_server_config", "cert_file"): "web.tls.cert_file",
    ("tls_server_config", "client_auth_type"): "web.tls.client_auth_type",
    ("tls_server_config", "client_ca_file"): "web.tls.client_ca_file",
    ("tls_server_config", "min_version"): "web.tls.min_version",
}
USERS = "basic_auth_users"


@dataclass(frozen=True, slots=True)
class Scrape:
    """How Prometheus scrapes one target.

    Attributes
    ----------
    url : Setting
        The target, with its scheme: "https://master:6443".
    authority : Setting or None
        The file of the CA by which the target is verified; None for those of the machine.
    skip_verify : Setting or None
        The key that turns verification off.
    certificate : Setting or None
        The file of its client certificate.
    """

    url: Setting
    authority: Setting | None
    skip_verify: Setting | None
    certificate: Setting | None


def read_scrapes(
    text: str, path: str, folder: str = "/etc/prometheus"
) -> tuple[tuple[Scrape, ...], tuple[Unknown, ...]]:
    r"""Read the targets of a prometheus.yml.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.
    folder : str
        The file's folder on its machine, from which relative paths start.

    Returns
    -------
    scrapes : tuple of Scrape
        Those of ``static_configs``.
    unknowns : tuple of Unknown
        Targets that are found in another way, and settings that change whom a scrape calls.

    Raises
    ------
    ConfigError
        The file is malformed.

    Examples
    --------
    >>> text = "scrape_configs: [{job_name: etcd, static_configs: [{targets: ['etcd1:2378']}]}]"
    >>> [it.url.value for it in read_scrapes(text, "prometheus.yml")[0]]
    ['http://etcd1:2378']
    """
    document = read_one(text, path)
    found: list[Scrape] = []
    unknowns: list[Unknown] = []
    why = "labkit does not read what this file adds: its targets are unknown"
    unknowns += [
        Unknown(path, document.line(key), key, why)
        for key in ("scrape_config_files",)
        if document.get(key)
    ]
    for index, _ in enumerate(document.sequence("scrape_configs")):
        at: tuple[Key, ...] = ("scrape_configs", index)
        for key in document.mapping(*at):
            if (key.endswith("_sd_configs") or key in NOT_READ) and document.get(*at, key):
                why = "labkit does not follow it: which targets are scraped is unknown"
                unknowns.append(Unknown(path, document.line(*at, key), key, why))
        found += _targets(document, folder, *at)
    return tuple(found), tuple(unknowns)


def _targets(document: Document, folder: str, *at: Key) -> Iterator[Scrape]:
    scheme = document.text(*at, "scheme", default="http")
    tls = (*at, "tls_config")
    document.mapping(*tls)
    skip = document.setting(*tls, "insecure_skip_verify")
    known = Scrape(
        url=Setting("", document.source(*at)),
        authority=_in_folder(document.setting(*tls, "ca_file"), folder),
        skip_verify=skip if skip and is_true(skip.value) else None,
        certificate=_in_folder(document.setting(*tls, "cert_file"), folder),
    )
    for number, _ in enumerate(document.sequence(*at, "static_configs")):
        group = (*at, "static_configs", number)
        document.mapping(*group)
        for place, _ in enumerate(document.sequence(*group, "targets")):
            target = document.text(*group, "targets", place)
            port = "" if ":" in target else (":443" if scheme == "https" else ":80")
            source = document.source(*group, "targets", place)
            url = Setting(f"{scheme}://{target}{port}", source)
            url_of(url)
            yield replace(known, url=url)


def _in_folder(setting: Setting | None, folder: str) -> Setting | None:
    if setting is None or not setting.value:
        return None
    return replace(setting, value=posixpath.normpath(posixpath.join(folder, setting.value)))


def read_web_config(text: str, path: str) -> list[tuple[str, Setting]]:
    """Read what Prometheus demands of its callers.

    Parameters
    ----------
    text, path : str
        The content of the file that ``--web.config.file`` names, and its name for messages.

    Returns
    -------
    list of (str, Setting)
        TLS by the names of the file after "web.tls."; the names of the users as "web.users".

    Raises
    ------
    ConfigError
        The file is malformed.

    Examples
    --------
    >>> text = "tls_server_config: {cert_file: web.crt, key_file: web.key}"
    >>> [(key, it.value) for key, it in read_web_config(text, "web.yml")]
    [('web.tls.cert_file', 'web.crt')]
    """
    document = read_one(text, path)
    document.mapping("tls_server_config")
    found = []
    for keys, name in WEB.items():
        setting = document.setting(*keys)
        if setting is not None:
            found.append((name, setting))
    for user in document.mapping(USERS):
        found.append(("web.users", Setting(user, document.source(USERS))))
    return found
