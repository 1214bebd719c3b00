"""What the services of a cluster lead to, from the objects that the apiserver lists.

The text of this module replaces its import when a program is sent. So it must not import from
``__future__``, and a program gets all its names.
"""

from collections.abc import Iterable
from typing import Any

#: The label of an EndpointSlice that names its service (Kubernetes, "EndpointSlices").
OF_SERVICE = "kubernetes.io/service-name"
#: The phases of a pod that has ended, and has given its address back.
ENDED = ("Succeeded", "Failed")


def namespace_of(item: dict[str, Any]) -> str:
    """Return the namespace of an object; empty if it has none."""
    return str(item["metadata"].get("namespace", ""))


def name_of(item: dict[str, Any]) -> str:
    """Return the namespace and the name of an object."""
    return f"{namespace_of(item)}/{item['metadata']['name']}"


def addresses_of(pod: dict[str, Any]) -> set[str]:
    """Return a pod's addresses."""
    return {it["ip"] for it in pod["status"].get("podIPs") or () if "ip" in it}


def has_condition(item: dict[str, Any], kind: str) -> bool:
    """Say whether a condition of a node or a pod is true."""
    found = (item.get("status") or {}).get("conditions") or ()
    return any((it["type"], it["status"]) == (kind, "True") for it in found)


def is_ready(pod: dict[str, Any]) -> bool:
    """Say whether a pod is ready, and not about to end."""
    return has_condition(pod, "Ready") and "deletionTimestamp" not in pod["metadata"]


def endpoints(items: Iterable[dict[str, Any]]) -> dict[str, set[tuple[str, int | None]]]:
    """Return the ready addresses and ports of each service's slices, by the service's name."""
    found: dict[str, set[tuple[str, int | None]]] = {}
    for item in items:
        if item["kind"] != "EndpointSlice":
            continue
        service = (item["metadata"].get("labels") or {}).get(OF_SERVICE, "")
        led = found.setdefault(f"{namespace_of(item)}/{service}", set())
        for endpoint in item.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                ports = [port.get("port") for port in item.get("ports") or ()]
                led |= {(it, port) for it in endpoint["addresses"] for port in ports}
    return found


def destinations(items: list[dict[str, Any]]) -> dict[str, str]:
    """Return what each service leads to: pods by name, and addresses of nobody, with ports."""
    pods = [it for it in items if it["kind"] == "Pod" and it["status"].get("phase") not in ENDED]
    # pods on their node's network share its address
    own = {ip: name_of(pod) for pod in pods if not on_host(pod) for ip in addresses_of(pod)}
    return {
        service: " ".join(sorted({f"{own.get(ip, ip)}:{port}" for ip, port in led})) or "nothing"
        for service, led in endpoints(items).items()
    }


def on_host(pod: dict[str, Any]) -> bool:
    """Say whether a pod uses the network of its machine."""
    return bool(pod["spec"].get("hostNetwork"))


def astray(items: list[dict[str, Any]]) -> list[str]:
    """Return a line for each service that does not lead to exactly the ready pods it selects.

    Left out are services without a selector, whose addresses a person writes, and those without
    ports, or that name a port, which a pod need not have.
    """
    found, led = [], endpoints(items)
    for item in items:
        spec = item.get("spec", {})
        if item["kind"] != "Service" or not spec.get("selector") or not spec.get("ports"):
            continue
        named = any(isinstance(it.get("targetPort"), str) for it in spec["ports"])
        if named or spec.get("publishNotReadyAddresses"):
            continue
        chosen = [pod for pod in items if selects(item, pod) and is_ready(pod)]
        now = {ip for ip, _ in led.get(name_of(item), ())}
        theirs = {ip for pod in chosen for ip in addresses_of(pod)}
        if now - theirs or not all(now & addresses_of(pod) for pod in chosen):
            found.append(f"Service {name_of(item)} does not lead to its pods")
    return found


def selects(service: dict[str, Any], pod: dict[str, Any]) -> bool:
    """Say whether an object is a pod that a service's selector chooses."""
    if pod["kind"] != "Pod" or namespace_of(service) != namespace_of(pod):
        return False
    labels = pod["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in service["spec"]["selector"].items())
