"""Services that answer for the apiserver: behind groups of the API, and to convert objects.

https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.cluster.admission_hooks import called_service
from labkit.cluster.objects.facts import ApiExtension
from labkit.cluster.syntax.values import mapping, text_of

__all__ = ["EXTENSIONS", "extension_of"]

#: The kinds that name such a service.
EXTENSIONS = ("APIService", "CustomResourceDefinition")


def extension_of(item: Mapping[str, Any], kind: str, name: str) -> ApiExtension | None:
    """Return the service that an object has the apiserver call; None if it names none.

    Parameters
    ----------
    item : mapping
    kind : str
        One of :data:`EXTENSIONS`.
    name : str

    Returns
    -------
    ApiExtension or None
        The apiserver itself answers for an APIService without a service, and converts objects of
        a CustomResourceDefinition without a webhook.

    Raises
    ------
    ValueError
        The object is malformed.

    Examples
    --------
    >>> spec = {"group": "metrics.k8s.io", "service": {"namespace": "ops", "name": "metrics"}}
    >>> extension_of({"spec": spec}, "APIService", "v1beta1.metrics.k8s.io").service
    ('ops', 'metrics')
    """
    converts = kind == "CustomResourceDefinition"
    config = mapping(item, "spec")
    if converts:
        conversion = mapping(item, "spec", "conversion")
        # the second key is that of apiextensions.k8s.io/v1beta1
        config = mapping(conversion, "webhook", "clientConfig")
        config = config or mapping(conversion, "webhookClientConfig")
    service = called_service(config)
    group = text_of(item, "spec", "group")
    return ApiExtension(f"{kind} {name}", group, converts, service) if service[1] else None
