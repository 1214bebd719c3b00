"""Who may approve and sign certificate signing requests: the object's rights, and the signer's.

Two admission plugins ask the authorizers about the signer as well. Where one is off, the right to
change the object is enough (plugin/pkg/admission/certificates).
"""

from __future__ import annotations

from labkit.cluster.facts import Component, Environment
from labkit.model.admission_plugins import admission
from labkit.model.claims import Claim
from labkit.model.decision import (
    ALLOWED,
    DENIED,
    UNKNOWN,
    Action,
    Caller,
    Decision,
    authorize,
    decide,
)

__all__ = ["APPROVAL", "decide_on_request"]

GROUP = "certificates.k8s.io"
APPROVAL, STATUS = "approval", "status"
#: The subresource that is changed: the plugin that asks about its signer, and the verb.
PLUGINS = {APPROVAL: ("CertificateApproval", "approve"), STATUS: ("CertificateSigning", "sign")}


def decide_on_request(
    env: Environment, apiserver: Component, caller: Caller, part: str, signer: str
) -> tuple[Decision, ...]:
    """Decide whether a caller may approve or sign certificate signing requests for a signer.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component
        Its flags say whether the plugin is on.
    caller : Caller
    part : {"approval", "status"}
        To approve a request, or to store its certificate.
    signer : str
        "kubernetes.io/kube-apiserver-client".

    Returns
    -------
    tuple of Decision
        All of them have to be allowed.

    References
    ----------
    https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#certificateapproval

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> from labkit.model.decision import member_of
    >>> env = read_environment("hardened")
    >>> apiserver, ann = env.component("kube-apiserver@master"), member_of(user="ann")
    >>> found = decide_on_request(env, apiserver, ann, "approval", "kubernetes.io/*")
    >>> [it.value for it in found]
    ['denied', 'denied']
    """
    plugin, verb = PLUGINS[part]
    action = Action("update", f"certificatesigningrequests/{part}", GROUP)
    changed, on = decide(env, apiserver, caller, action), admission(apiserver, plugin)
    if on.value == "allow-all":
        return changed, Decision(ALLOWED, Claim(ALLOWED, on.detail, on.source), caller.claim)
    asked = _for_signer(env, apiserver, caller, verb, signer)
    if asked.value != ALLOWED and on.value == UNKNOWN:
        return changed, Decision(UNKNOWN, on, caller.claim)
    return changed, asked


def _for_signer(
    env: Environment, apiserver: Component, caller: Caller, verb: str, signer: str
) -> Decision:
    """Return the answer about the signer's name, or about every signer of its domain."""
    names = (signer, f"{signer.partition('/')[0]}/*")
    actions = (Action(verb, "signers", GROUP, name=name) for name in names)
    found = [authorize(env, apiserver, caller, action) for action in actions]
    return min(found, key=lambda it: (ALLOWED, UNKNOWN, DENIED).index(it.value))
