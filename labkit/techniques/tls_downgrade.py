"""Offer every TLS listener old versions and weak ciphers, and see what it agrees to.

The measure is OWASP's: at least TLS 1.2 with forward secrecy and authenticated encryption.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import View
from labkit.techniques._base import NETWORK, Prediction, Technique
from labkit.techniques._reach import inside, run_from
from labkit.techniques._verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

ABOUT = "* -> *:[0-9]*"
#: How a listener says that it does not agree; anything else comes after it did.
REFUSALS = ("protocol version", "handshake failure", "insufficient security")
OFFER = """
import json, re, socket, ssl, sys
from concurrent.futures import ThreadPoolExecutor
OFFERS = {
    "TLS 1.1": (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
    "TLS 1.2 without authenticated encryption": (
        ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2,
        "ALL:!AESGCM:!CHACHA20:!AESCCM:!ARIAGCM:@SECLEVEL=0"),
    "TLS 1.2 without forward secrecy": (
        ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, "kRSA:@SECLEVEL=0"),
    "TLS 1.3": (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, "DEFAULT"),
}
def offer(job):
    host, port, name = job
    low, high, ciphers = OFFERS[name]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers(ciphers)
    context.minimum_version, context.maximum_version = low, high
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            with context.wrap_socket(connection):
                return [*job, "agreed"]
    except ssl.SSLError as error:
        found = re.search("ALERT_([A-Z_]+)", str(error.reason))
        return [*job, found[1].lower().replace("_", " ") if found else "?" + str(error)]
    except OSError as error:
        return [*job, "?" + str(error)]
jobs = [(host, port, name) for host, port in json.load(sys.stdin) for name in OFFERS]
with ThreadPoolExecutor(16) as pool:
    print(json.dumps(list(pool.map(offer, jobs))))
"""


def predict(view: View, foothold: str) -> Prediction:
    """Say what the model says: whether a listener accepts less than TLS 1.3.

    Go, by itself, still accepts ciphers with CBC in TLS 1.2.
    """
    found = [c.encryption for c in view.channels(ABOUT) if c.protocol == "https"]
    weak = [claim for claim in found if claim.value != "tls1.3"]
    return Prediction(bool(weak), tuple(dict.fromkeys(map(str, weak or found))))


def execute(lab: Lab, foothold: str) -> Verdict:
    """Offer it, one connection each."""
    found = [c for c in View(lab.environment).channels(ABOUT) if c.protocol == "https"]
    servers = {(inside(lab, c.server.split("@")[1]), c.port): c.server for c in found}
    argv = ["python3", "-c", OFFER]
    output = run_from(lab, foothold, argv, stdin=json.dumps(list(servers)).encode())
    try:
        results = json.loads(output.stdout)
    except ValueError as error:
        raise ProbeError("the offers were not made", evidence=[output.error[-300:]]) from error
    weak, refusals = [], set()
    for host, port, offer, said in results:
        listener = f"{servers[host, port]}:{port}"
        if said.startswith("?") or (offer == "TLS 1.3" and said in REFUSALS):
            raise ProbeError(f"{listener}: {offer}: {said}")
        if offer != "TLS 1.3" and said not in REFUSALS:
            weak.append(f"{listener} agrees to {offer}")
        elif offer != "TLS 1.3":
            refusals.add(said)
    offered = f"offered to {len(servers)} listeners: versions and ciphers below the guideline"
    if weak:
        reason = "a TLS listener agrees to less than the guideline"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, (offered, *sorted(weak)))
    reason = f"TLS alert: {' or '.join(sorted(refusals))}"
    control = "each listener agrees to TLS 1.3"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, (offered,), control)


TECHNIQUE = Technique(
    name="tls-downgrade",
    title="Make a TLS listener agree to a weak version or cipher",
    footholds=(NETWORK,),
    grants=(),
    about=ABOUT,
    properties=("encryption",),
    attack=("T1689",),
    stride=("information disclosure",),
    cwe=("CWE-757", "CWE-327"),
    sources=(
        "https://cheatsheetseries.owasp.org/cheatsheets/Transport_Layer_Security_Cheat_Sheet.html",
        "https://attack.mitre.org/techniques/T1689/",
    ),
    predict=predict,
    execute=execute,
)
