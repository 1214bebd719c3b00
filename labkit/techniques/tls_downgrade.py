"""Offer old TLS versions and weak ciphers to every TLS listener, and see what each accepts.

The attacker needs a connection to the listeners. The guideline is OWASP's: at least TLS 1.2, with
forward secrecy and authenticated encryption. It succeeds if any listener accepts less. A minimum
of TLS 1.3 stops it, but dockerd has no setting for versions or ciphers, so its remote port stays
a risk.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labkit import agents
from labkit.errors import ProbeError
from labkit.model import Foothold, Model, read_model
from labkit.techniques._lib.machines.reach import address_in_lab, run_from
from labkit.techniques._lib.technique import NETWORK, Prediction, Technique
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

ABOUT = "* -> *:[0-9]*"
#: The TLS alerts of a refused offer; any other answer means that the offer was accepted.
REFUSALS = ("protocol version", "handshake failure", "insufficient security")


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether a listener accepts less than TLS 1.3.

    Go accepts CBC ciphers in TLS 1.2 by default.
    """
    found = [c.encryption for c in model.open_channels(ABOUT) if c.protocol == "https"]
    weak = [claim for claim in found if claim.value not in ("tls1.3", "unknown")]
    unknown = [claim for claim in found if claim.value == "unknown"]
    because = tuple(dict.fromkeys(map(str, weak or unknown or found)))
    return Prediction(True if weak else None if unknown else False, because)


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Offer each version and cipher to each listener, one connection each."""
    found = [c for c in read_model(lab.environment).open_channels(ABOUT) if c.protocol == "https"]
    servers = {(address_in_lab(lab, c.server_node), c.port): c.server for c in found}
    stdin = json.dumps(list(servers)).encode()
    output = run_from(lab, foothold, agents.argv("offer_tls"), stdin=stdin)
    try:
        results = json.loads(output.stdout)
    except ValueError as error:
        raise ProbeError(
            "the program that offers TLS versions failed", evidence=[output.error[-300:]]
        ) from error
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
