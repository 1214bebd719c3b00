"""What Pod Security admission allows in a namespace, by its label or the cluster's default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.cluster.facts import Component, Environment
from labkit.cluster.feature_gates import POD_SECURITY
from labkit.cluster.syntax.source import Setting, Source, broken
from labkit.cluster.syntax.yamldoc import Document, read_one
from labkit.model.admission_plugins import admission
from labkit.model.claims import Claim
from labkit.model.decision import UNKNOWN, unread_flags
from labkit.model.features import features_of, versions_of
from labkit.model.pod_standards import minor_of, refusals

__all__ = ["ENFORCE", "admits", "host_paths", "standard"]

ENFORCE = "pod-security.kubernetes.io/enforce"
VERSION = f"{ENFORCE}-version"
#: Exemptions that depend on the request, and not on the namespace alone.
CALLERS = ("usernames", "runtimeClasses")
#: A pod that mounts a folder of its machine, and nothing else that a standard refuses.
MOUNTS = {"spec": {"volumes": [{"name": "machine", "hostPath": {"path": "/"}}]}}
PLUGIN, CONFIGURATION = "PodSecurity", "admission-control-config-file"


def standard(env: Environment, apiserver: Component, namespace: str) -> Setting:
    """Return the Pod Security standard that a namespace enforces.

    Parameters
    ----------
    env : Environment
    apiserver : Component
    namespace : str

    Returns
    -------
    Setting
        "privileged" (none), "baseline" or "restricted"; "unknown" where flags of the apiserver
        could not be read, where the namespace was not copied, whose label comes before the
        default, where some callers or runtime classes are exempt, or where nobody knows whether
        the apiserver's version has Pod Security.

    Raises
    ------
    ConfigError
        The plugin's configuration or a manifest cannot be read.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> apiserver = env.component("kube-apiserver@master")
    >>> [standard(env, apiserver, name).value for name in ("shop", "default")]
    ['restricted', 'baseline']
    """
    plugin = admission(apiserver, PLUGIN)
    if plugin.value == UNKNOWN:
        return Setting(UNKNOWN, plugin.source)
    if plugin.value != "enforced":
        return Setting("privileged", plugin.source)
    if unread_flags(apiserver, CONFIGURATION):
        return Setting(UNKNOWN, apiserver.setting(CONFIGURATION).source)
    config, at = _configuration(env, apiserver)
    if config and namespace in config.words(*at, "exemptions", "namespaces"):
        return Setting("privileged", config.source(*at, "exemptions", "namespaces"))
    default = (config.setting(*at, "defaults", "enforce") if config else None) or Setting(
        "privileged", apiserver.setting(CONFIGURATION).source
    )
    labelled = _label(env, namespace, ENFORCE)
    has = features_of(env, apiserver).has(POD_SECURITY)
    if has is False:
        return Setting("privileged", apiserver.source)
    if not (env.complete or namespace in env.namespaces):
        why = f"Namespace {namespace} not among the files"
        return Setting(UNKNOWN, Source(env.name, None, why))
    found = labelled or default
    if has is None and found.value != "privileged":
        return Setting(UNKNOWN, apiserver.source)
    if config and found.value != "privileged":
        for kind in CALLERS:
            if config.words(*at, "exemptions", kind):
                return Setting(UNKNOWN, config.source(*at, "exemptions", kind))
    return found


def host_paths(env: Environment, apiserver: Component, namespace: str) -> Claim:
    """Say whether a namespace admits a pod that mounts folders of its machine.

    Parameters
    ----------
    env : Environment
    apiserver : Component
    namespace : str

    Returns
    -------
    Claim
        Its value is "admitted", "refused" or "unknown".

    Raises
    ------
    ConfigError
        The plugin's configuration or a manifest cannot be read.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("insecure")
    >>> host_paths(env, env.component("kube-apiserver@master"), "default").value
    'admitted'
    """
    return admits(env, apiserver, namespace, MOUNTS)


def admits(env: Environment, apiserver: Component, namespace: str, pod: Mapping[str, Any]) -> Claim:
    """Say whether Pod Security admission lets a pod be created in a namespace.

    Parameters
    ----------
    env : Environment
    apiserver : Component
    namespace : str
    pod : mapping
        The pod as the API has it.

    Returns
    -------
    Claim
        Its value is "admitted", "refused" or "unknown"; the last as well if the version of the
        apiserver is not known, and the answer depends on it.

    Raises
    ------
    ConfigError
        The plugin's configuration or a manifest cannot be read.

    References
    ----------
    Kubernetes, "Pod Security Admission".

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> apiserver = env.component("kube-apiserver@master")
    >>> admits(env, apiserver, "default", {"spec": {"hostPID": True}}).detail
    'PodSecurity holds default to baseline, which refuses it: hostNamespaces'
    """
    found = standard(env, apiserver, namespace)
    held = f"{PLUGIN} holds {namespace} to {found.value}"
    if found.value == UNKNOWN:
        return Claim(UNKNOWN, held, found.source)
    if found.value == "privileged":
        return Claim("admitted", held, found.source)
    label, versions = _version(env, apiserver, namespace), versions_of(env, apiserver)
    counted = dict.fromkeys(minor_of(label.value, minor) for _, minor in versions)
    refused: dict[str, None] = {}
    admitted = False
    for minor in counted:
        if minor is None:
            detail = f"{held}, by the checks of {label.value}, which labkit does not know"
            return Claim(UNKNOWN, detail, label.source)
        by = refusals(pod, found.value, minor)
        refused |= dict.fromkeys(by)
        admitted = admitted or not by
    if not refused:
        return Claim("admitted", held, found.source)
    detail = f"{held}, which refuses it: {', '.join(refused)}"
    if admitted:
        return Claim(UNKNOWN, f"{detail}; not in every version of Kubernetes", found.source)
    return Claim("refused", detail, found.source)


def _version(env: Environment, apiserver: Component, namespace: str) -> Setting:
    """Return the version of the checks: of the label, or of the cluster's default."""
    latest = Setting("latest", apiserver.source)
    if labelled := _label(env, namespace, VERSION):
        return labelled
    config, at = _configuration(env, apiserver)
    return (config.setting(*at, "defaults", "enforce-version") if config else None) or latest


def _label(env: Environment, namespace: str, name: str) -> Setting | None:
    found = env.namespaces.get(namespace)
    if found is not None:
        return found.setting("metadata", "labels", name)
    if env.broken_manifest:
        raise env.broken_manifest
    return None


def _configuration(
    env: Environment, apiserver: Component
) -> tuple[Document | None, tuple[str | int, ...]]:
    """Return the file that configures the plugin, and the place in it."""
    setting = apiserver.setting(CONFIGURATION)
    if not setting.value:
        return None, ()
    file = env.node(apiserver.node).files.get(setting.value)
    if file is None:
        why = f"{setting.source.text}: {apiserver.node} has no such file"
        raise broken(setting.source.path, setting.source.line, why)
    document = read_one(file.read_text(), file.source)
    for number, _ in enumerate(document.sequence("plugins")):
        if document.get("plugins", number, "name") == PLUGIN:
            return document, ("plugins", number, "configuration")
    return None, ()
