"""What services lead to, after the apiserver's EndpointSlices (discovery.k8s.io/v1)."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.agents._services import astray, destinations

Item = dict[str, Any]


def pod(name: str, ip: str, **changes: Any) -> Item:
    return {
        "kind": "Pod",
        "metadata": {"namespace": "shop", "name": name, "labels": {"app": "web"}},
        "spec": {},
        "status": {
            "phase": "Running",
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    } | changes


def service(**spec: Any) -> Item:
    said = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]} | spec
    return {"kind": "Service", "metadata": {"namespace": "shop", "name": "web"}, "spec": said}


def slices(*ips: str, ready: bool | None = True) -> Item:
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": "shop",
            "name": "web-abcde",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "endpoints": [{"addresses": [ip], "conditions": {"ready": ready}} for ip in ips],
        "ports": [{"port": 8080}],
    }


WEB, OTHER = pod("web", "10.244.1.5"), pod("other", "10.244.2.7")
STARTS = pod("starts", "10.244.1.6") | {"status": {"podIPs": [{"ip": "10.244.1.6"}]}}
ENDS = pod("ends", "10.244.1.7")
ENDS["metadata"] = {**ENDS["metadata"], "deletionTimestamp": "2026-11-27T08:00:00Z"}
STRANGER = pod("stranger", "10.244.1.8")
STRANGER["metadata"] = {**STRANGER["metadata"], "namespace": "payments"}


@pytest.mark.parametrize(
    ("items", "led"),
    [
        ((WEB, slices("10.244.1.5")), "shop/web:8080"),
        # after a flip the pod was made again, and its slice was put back with the old address
        ((WEB, slices("10.244.1.4")), "10.244.1.4:8080"),
        ((WEB, OTHER, slices("10.244.1.5", "10.244.2.7")), "shop/other:8080 shop/web:8080"),
        ((WEB, slices()), "nothing"),
        ((WEB, slices("10.244.1.5", ready=False)), "nothing"),
        # "nil should be interpreted as true"
        ((WEB, slices("10.244.1.5", ready=None)), "shop/web:8080"),
        # a pod on its node's network shares the node's address
        ((WEB | {"spec": {"hostNetwork": True}}, slices("10.244.1.5")), "10.244.1.5:8080"),
        # an ended pod has given its address back
        ((WEB | {"status": {"phase": "Succeeded"}}, slices("10.244.1.5")), "10.244.1.5:8080"),
    ],
)
def test_service_leads_to_pods_or_to_addresses_of_nobody(items: tuple[Item], led: str) -> None:
    assert destinations(list(items)) == {"shop/web": led}


@pytest.mark.parametrize(
    ("items", "is_astray"),
    [
        ((service(), WEB, slices("10.244.1.5")), False),
        ((service(), WEB, slices("10.244.1.4")), True),
        ((service(), WEB, slices("10.244.1.4", "10.244.1.5")), True),
        ((service(), WEB, slices()), True),
        ((service(), WEB), True),
        ((service(), WEB, OTHER, slices("10.244.1.5")), True),
        ((service(), WEB, STARTS, ENDS, STRANGER, slices("10.244.1.5")), False),
        ((service(), slices()), False),
        ((service(selector={"app": "none"}), WEB), False),
        # a person writes these addresses
        ((service(selector=None), slices("192.0.2.1")), False),
        ((service(ports=[{"port": 80, "targetPort": "http"}]), WEB), False),
        ((service(ports=None), WEB), False),
        ((service(publishNotReadyAddresses=True), STARTS, slices("10.244.1.6")), False),
    ],
)
def test_service_that_does_not_lead_to_its_pods_is_named(
    items: tuple[Item], is_astray: bool
) -> None:
    said = ["Service shop/web does not lead to its pods"]
    assert astray(list(items)) == (said if is_astray else [])
