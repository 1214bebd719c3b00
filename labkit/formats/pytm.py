"""Write a script for pytm, OWASP's threat modelling in Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from labkit.formats.common import (
    at_rest,
    claims_text,
    everyone,
    is_encrypted,
    is_sensitive,
    role,
    zones,
)
from labkit.model import Channel, Component, Model

if TYPE_CHECKING:
    from labkit.analysis.findings.finding import Finding

__all__ = ["write"]

CLASSES = {"process": "Process", "datastore": "Datastore", "actor": "Actor"}
VERSIONS = {"none": "NONE", "tls1.0": "TLSv10", "tls1.1": "TLSv11", "tls1.2": "TLSv12"}
VERSIONS |= {"tls1.3": "TLSv13"}
HEAD = """\
\"\"\"Written by labkit for pytm 1.4.\"\"\"

from pytm import (
    TM,
    Actor,
    Boundary,
    Classification,
    Data,
    Dataflow,
    Datastore,
    Process,
    TLSVersion,
)
"""
TAIL = """
if __name__ == "__main__":
    tm.process()
"""


def write(model: Model, findings: Sequence[Finding]) -> str:
    """Return a Python script that builds the model with pytm, which then finds threats.

    Parameters
    ----------
    model : Model
    findings : sequence of Finding
        Not used: pytm finds its own threats.

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit.model import read_model
    >>> print(write(read_model("hardened"), ()).splitlines()[14])
    TM.reset()
    """
    parts = everyone(model)
    channels = [it for it in model.channels if it.open]
    boxes = {zone: f"zone_{number}" for number, zone in enumerate(zones(parts))}
    names = {it.id: f"part_{number}" for number, it in enumerate(parts)}
    lines = [
        HEAD,
        "TM.reset()",
        f"tm = TM({_text(model.name)}, description={_text(model.description)})",
        *(f"{name} = Boundary({_text(zone)})" for zone, name in boxes.items()),
    ]
    for it in parts:
        lines += _part(model, it, names[it.id], boxes.get(it.zone, ""), channels)
    for number, channel in enumerate(channels):
        lines += _flow(channel, number, names)
    return "\n".join(lines) + "\n" + TAIL


def _text(text: str) -> str:
    """Return a text as an ASCII Python literal, so no character of it can end the literal."""
    return ascii(text)


def _part(
    model: Model, it: Component, name: str, box: str, channels: Sequence[Channel]
) -> Iterator[str]:
    inside = f", inBoundary={box}" if box else ""
    kind = role(it.kind)
    yield f"{name} = {CLASSES[kind]}({_text(it.id)}, description={_text(it.description)}{inside})"
    served = [c for c in channels if c.server == it.id]
    # pytm 1.4 reads the properties of a flow from its ends, and ignores those of the flow
    if served:
        yield f"{name}.controls.isEncrypted = {all(map(is_encrypted, served))}"
        lowest = min((VERSIONS.get(c.encryption.value, "NONE") for c in served), key=_rank)
        yield f"{name}.minTLSVersion = TLSVersion.{lowest}"
        asks = all(c.client_authentication.value in ("required", "file-mode") for c in served)
        yield f"{name}.controls.authenticatesSource = {asks}"
        enforces = all(c.authorization.value == "enforced" for c in served)
        yield f"{name}.controls.authorizesSource = {enforces}"
        yield f"{name}.controls.hasAccessControl = {enforces}"
    called = [c for c in channels if c.client == it.id]
    if called:
        verifies = all(c.server_authentication.value in ("verified", "local") for c in called)
        yield f"{name}.controls.authenticatesDestination = {verifies}"
    if kind == "datastore":
        claim = at_rest(model, it)
        encrypted = claim is not None and claim.value == "encrypted"
        yield f"{name}.controls.isEncryptedAtRest = {encrypted}"
        yield f"{name}.storesSensitiveData = {any(is_sensitive(c.data) for c in served)}"


def _rank(version: str) -> int:
    return list(VERSIONS.values()).index(version)


def _flow(it: Channel, number: int, names: dict[str, str]) -> Iterator[str]:
    flow, ends = f"flow_{number}", f"{names[it.client]}, {names[it.server]}"
    details = [f"protocol={_text(it.protocol.upper())}", f"note={_text(claims_text(it))}"]
    if it.port is not None:
        details.append(f"dstPort={it.port}")
    version = VERSIONS.get(it.encryption.value)
    if version:
        details.append(f"tlsVersion=TLSVersion.{version}")
    if it.data:
        # each flow has its own data, because pytm 1.4 cannot report data that flows share
        level = "SECRET" if is_sensitive(it.data) else "RESTRICTED"
        yield (
            f"data_{number} = Data({_text(', '.join(it.data))}, "
            f"classification=Classification.{level}, isCredentials={is_sensitive(it.data)})"
        )
        details.append(f"data=data_{number}")
    yield f"{flow} = Dataflow({ends}, {_text(it.id)}, {', '.join(details)})"
    yield f"{flow}.controls.isEncrypted = {is_encrypted(it)}"
    asks = it.client_authentication.value in ("required", "file-mode")
    yield f"{flow}.controls.authenticatesSource = {asks}"
    verifies = it.server_authentication.value in ("verified", "local")
    yield f"{flow}.controls.authenticatesDestination = {verifies}"
