"""Read a running cluster's objects with ``kubectl get --raw``, which sends only GET requests.

kubectl supports every login method of a kubeconfig, and users of a cluster already have it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from labkit.cluster.objects.facts import CustomWorkload, Dump
from labkit.cluster.objects.reader import KINDS, Builder
from labkit.cluster.syntax.source import Unknown
from labkit.cluster.syntax.values import sequence, text_of
from labkit.errors import ConfigError

__all__ = ["read_live"]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
#: In this order: service accounts before the pods that use them.
LISTS = {
    "Node": "/api/v1/nodes",
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/serviceaccounts",
    "Secret": "/api/v1/secrets",
    "ConfigMap": "/api/v1/configmaps",
    "Role": f"{RBAC}/roles",
    "RoleBinding": f"{RBAC}/rolebindings",
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    "PersistentVolume": "/api/v1/persistentvolumes",
    "PersistentVolumeClaim": "/api/v1/persistentvolumeclaims",
    "Pod": "/api/v1/pods",
    "Service": "/api/v1/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/networkpolicies",
    "Ingress": "/apis/networking.k8s.io/v1/ingresses",
    "Deployment": "/apis/apps/v1/deployments",
    "DaemonSet": "/apis/apps/v1/daemonsets",
    "StatefulSet": "/apis/apps/v1/statefulsets",
    "ReplicaSet": "/apis/apps/v1/replicasets",
    "ReplicationController": "/api/v1/replicationcontrollers",
    "Job": "/apis/batch/v1/jobs",
    "CronJob": "/apis/batch/v1/cronjobs",
    "APIService": "/apis/apiregistration.k8s.io/v1/apiservices",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "ValidatingWebhookConfiguration": f"{ADMISSION}/validatingwebhookconfigurations",
    "MutatingWebhookConfiguration": f"{ADMISSION}/mutatingwebhookconfigurations",
    "ValidatingAdmissionPolicy": f"{ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{ADMISSION}/validatingadmissionpolicybindings",
    "MutatingAdmissionPolicy": f"{ADMISSION}/mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": f"{ADMISSION}/mutatingadmissionpolicybindings",
}
#: The kinds that older versions of Kubernetes do not have.
YOUNG = frozenset(kind for kind in LISTS if "AdmissionPolicy" in kind)
PAGE = 500
SECONDS = 60
#: kubectl's prefix for a refusal of one kind; any other error stops the reading.
REFUSED = "Error from server ("
ABSENT = f"{REFUSED}NotFound)"
EXPIRED = ("(Expired)", "(Gone)")

#: Requests a path; returns the answer, or None and the error message.
Ask = Callable[[str], tuple[str | None, str]]


def read_live(
    kubeconfig: Path | str,
    context: str | None = None,
    *,
    secrets: bool = True,
    kubectl: str = "kubectl",
) -> Dump:
    """Read a running cluster's objects, page by page.

    Parameters
    ----------
    kubeconfig : path or str
        The only kubeconfig used; ``KUBECONFIG`` and ``~/.kube`` are ignored.
    context : str, optional
        A context of the kubeconfig; by default, its current one.
    secrets : bool
        Request secrets as well. The apiserver sends their values; labkit keeps only names, types
        and service accounts. Without them, service account tokens in secrets are not known.
    kubectl : str
        The program.

    Returns
    -------
    Dump
        A list that the apiserver refuses is an unknown.

    Raises
    ------
    ConfigError
        The file or program is missing, or the apiserver gives no answer or rejects the login.

    Examples
    --------
    >>> read_live("/nowhere/config")
    Traceback (most recent call last):
    labkit.errors.ConfigError: no kubeconfig at /nowhere/config
    """
    path = Path(kubeconfig).expanduser()
    if not path.is_file():
        raise ConfigError(f"no kubeconfig at {path}")
    program = shutil.which(kubectl)
    if program is None:
        raise ConfigError(
            f"no {kubectl} on this machine", hint="install it, or read a dump that it wrote"
        )
    builder = Builder(context or path.name, every_namespace=True)
    with tempfile.TemporaryDirectory(prefix="labkit-") as cache:
        options = [f"--kubeconfig={path}", f"--cache-dir={cache}"]
        options += [f"--context={context}"] if context else []
        ask = _asking([program, *options, f"--request-timeout={SECONDS}s", "get", "--raw"])
        for kind in LISTS:
            if kind == "Secret" and not secrets:
                why = "was not requested"
                builder.unknowns.append(Unknown(builder.name, None, f"GET {LISTS[kind]}", why))
            else:
                _list(builder, kind, LISTS[kind], ask)
        for custom in tuple(builder.custom_workloads.values()):
            _list(builder, custom.kind, path_of(custom), ask, custom)
    return builder.finish()


def _asking(command: list[str]) -> Ask:
    # the user's kubectl preferences could change the command
    environment = {**os.environ, "KUBERC": "off", "KUBECTL_KUBERC": "false"}
    environment.pop("KUBECONFIG", None)

    def ask(path: str) -> tuple[str | None, str]:
        try:
            run = subprocess.run(
                [*command, path],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=SECONDS + 10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"kubectl did not finish: GET {path}") from error
        if run.returncode == 0:
            return run.stdout, ""
        said = run.stderr.strip().splitlines()[-1:] or ["kubectl gave no reason"]
        return None, said[0]

    return ask


def path_of(custom: CustomWorkload) -> str:
    """Return the path of the list of all objects of a kind of another project.

    Examples
    --------
    >>> path_of(CustomWorkload("argoproj.io", "rollouts", "Rollout", "v1alpha1"))
    '/apis/argoproj.io/v1alpha1/rollouts'
    """
    return f"/apis/{quote(custom.group)}/{quote(custom.version)}/{quote(custom.resource)}"


def _list(
    builder: Builder, kind: str, path: str, ask: Ask, custom: CustomWorkload | None = None
) -> None:
    """Request all pages of one kind; request a list that expires once more."""
    own: dict[str, str] = {}
    lost, may_be_absent = "which objects of that kind exist", False
    if custom is None:
        lost, may_be_absent = KINDS.get(kind, lost), kind in YOUNG
    else:
        # another project may have a kind of the same name
        own = {"apiVersion": f"{custom.group}/{custom.version}", "kind": kind}
        builder.of_other_groups.add((custom.group, kind))
    seen: set[tuple[str, str]] = set()
    token, again = "", False
    while True:
        following = f"&continue={quote(token, safe='')}" if token else ""
        answer, said = ask(f"{path}?limit={PAGE}{following}")
        if answer is None and token and not again and any(word in said for word in EXPIRED):
            token, again = "", True
            continue
        if answer is None and not said.startswith(REFUSED):
            hint = "check that kubectl get nodes works with this kubeconfig"
            raise ConfigError("cannot read from the apiserver", evidence=[said], hint=hint)
        shown = f"GET {path}"
        if answer is None and may_be_absent and said.startswith(ABSENT):
            return
        if answer is None:
            why = f"{said.partition(': ')[0]}: not known: {lost}"
            builder.unknowns.append(Unknown(builder.name, None, shown, why))
            return
        try:
            page = json.loads(answer)
            if custom is None:
                builder.kinds.add(kind)
            for item in _new(sequence(page, "items"), seen):
                builder.add({**item, **own} if own else item, kind, builder.name)
            token = text_of(page, "metadata", "continue")
        except (ValueError, RecursionError) as error:
            builder.unknowns.append(Unknown(builder.name, None, shown, f"not a list: {error}"))
            return
        if not token:
            return


def _new(items: list[Any], seen: set[tuple[str, str]]) -> Iterator[Mapping[str, Any]]:
    for item in items:
        if not isinstance(item, dict):
            raise ValueError("expected an object")
        key = text_of(item, "metadata", "namespace"), text_of(item, "metadata", "name")
        if key not in seen:
            seen.add(key)
            yield item
