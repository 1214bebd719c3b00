"""All threats to a model: STRIDE for each channel, component and credential."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from labkit.analysis.attack_graph.from_channels import technique_of_credential
from labkit.analysis.findings.finding import Finding, Findings
from labkit.analysis.findings.risk import RiskRule
from labkit.analysis.findings.rules import COMPONENT_RULES, CREDENTIAL_RULES, RULES, ThreatRule
from labkit.gc_pause import gc_pause
from labkit.model import Channel, Claim, Model, StoredCredential
from labkit.model.claims import listener_of
from labkit.model.footholds import ADMIN, POD
from labkit.model.listeners import Gap, kind_of_listener

__all__ = ["find_threats"]

#: Who is meant to be able to do everything: people who administer.
PEOPLE = frozenset({"kubectl", "person"})
#: The user of etcd that has to exist before etcd knows any other.
ETCD_ADMINISTRATOR = "root"
#: Data whose loss is of the listener's full impact; the others weigh one less.
GRAVE = frozenset({"secrets", "all objects", "root on the node", "exec sessions"})
#: From the best to the worst that may be found of one listener.
STATES = ("mitigated", "residual", "accepted", "unknown", "open")
RESIDUAL = "It stays whatever is set: "


#: The controls of tokens that open the cluster, or a kubelet.
PODS_TOKEN = Gap("service-account-automount", "", ("CIS Kubernetes Benchmark 5.1.5, 5.1.6",))
AGENTS_TOKEN = Gap(
    "nodes-proxy", "", ("Kubernetes documentation: Role Based Access Control Good Practices",)
)


class _Case(NamedTuple):
    """A rule applied to one subject."""

    rule: ThreatRule
    subject: str
    key: str
    claim: Claim
    state: str
    gap: Gap
    impact: int
    explanation: str = ""
    channel: str = ""


@gc_pause()
def find_threats(model: Model, risk: RiskRule | None = None) -> Findings:
    """Return every threat that applies to a model, whether open or mitigated.

    Parameters
    ----------
    model : Model
    risk : RiskRule, optional
        The severity of each finding; the kit's rule if it is not given.

    Returns
    -------
    Findings

    Notes
    -----
    The time is linear in the size of the model. A closed channel counts as mitigated. A unix
    socket needs no encryption, because its traffic does not leave the machine.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> found = find_threats(read_model("insecure"))
    >>> [item.id for item in found.open][:1]
    ['caller-unauthenticated@dockerd@worker1:/run/docker.sock']
    """
    rule = risk or RiskRule()
    cases: dict[str, _Case] = {}
    out_of_scope = dict(model.out_of_scope)
    for case in (*_channels(model), *_components(model), *_credentials(model)):
        if out_of_scope:
            case = _scoped(out_of_scope, case)
        known = cases.get(case.key)
        # of a port's several listeners and clients the worst counts, of equal ones the first
        if known is None or STATES.index(case.state) > STATES.index(known.state):
            cases[case.key] = case
    found = [_finding(key, case, rule) for key, case in cases.items()]
    if model.env is not None:
        from labkit.analysis.findings.anonymous import anonymous_threats

        found += anonymous_threats(model, rule)
        if not model.env.complete:
            from labkit.analysis.findings.account_threats import account_threats

            found += account_threats(model, rule)
    if model.dump is not None:
        from labkit.analysis.findings.object_threats import object_threats

        found += object_threats(model.dump, rule)
    return Findings(found, model.name)


def _scoped(out_of_scope: dict[str, str], case: _Case) -> _Case:
    """Return a case as accepted if somebody put its subject, or its channel, out of scope."""
    named = next((it for it in (case.subject, case.channel) if it in out_of_scope), None)
    if named is None or case.state not in ("open", "unknown"):
        return case
    return case._replace(
        state="accepted", explanation=f"out of scope: {out_of_scope[named] or 'no reason is given'}"
    )


def _finding(key: str, case: _Case, risk: RiskRule) -> Finding:
    it = case.rule
    likelihood, impact = risk.weigh(it.name, it.likelihood, case.impact)
    return Finding(
        id=key,
        rule=it.name,
        title=it.title,
        subject=case.subject,
        stride=it.stride,
        cwe=it.cwe,
        attack=it.attack,
        references=case.gap.references,
        property=it.property,
        claim=case.claim,
        state=case.state,
        control=case.gap.control,
        technique=case.gap.technique,
        likelihood=likelihood,
        impact=impact,
        severity=risk.level(likelihood, impact),
        explanation=case.explanation or it.explanation,
    )


def _channels(model: Model) -> Iterator[_Case]:
    for channel in model.channels:
        kind = kind_of_listener(channel)
        listener = listener_of(channel)
        grave = not GRAVE.isdisjoint(channel.data)
        for rule in RULES:
            claim: Claim = getattr(channel, rule.property)
            if not _applies(rule, claim, channel):
                continue
            where = listener if rule.listener else channel.id
            case = _Case(
                rule,
                subject=channel.server if rule.listener else channel.id,
                key=f"{rule.name}@{where}",
                claim=claim,
                state=_state(rule, claim),
                gap=rule.gap if rule.gap.control else kind.gap(channel, rule.property),
                impact=kind.impact if rule.listener or grave else max(1, kind.impact - 2),
                channel=channel.id,
            )
            meant = rule.name == "caller-unrestricted" or kind.for_everybody
            if meant and kind.by_design and channel.open:
                case = case._replace(state="residual", explanation=RESIDUAL + kind.by_design)
            yield case


def _applies(rule: ThreatRule, claim: Claim, channel: Channel) -> bool:
    value = claim.value
    if value == "local" or (rule.name == "plaintext" and channel.protocol == "unix"):
        return False
    if rule.name == "weak-tls":
        return str(value).startswith("tls")
    # nobody in particular has nobody in particular to verify
    return not (rule.property == "server_authentication" and channel.from_anyone)


def _state(rule: ThreatRule, claim: Claim) -> str:
    if claim.value == "unknown":
        return "unknown"
    return "open" if claim.value in rule.bad else "mitigated"


def _components(model: Model) -> Iterator[_Case]:
    for it in model.components:
        claims = dict(it.claims)
        for rule in COMPONENT_RULES if claims else ():
            claim = claims.get(rule.property)
            if claim is None:
                continue
            key = f"{rule.name}@{it.id}"
            case = _Case(rule, it.id, key, claim, _state(rule, claim), rule.gap, rule.impact)
            if rule.stays and case.state == "open":
                case = case._replace(state="residual", explanation=RESIDUAL + rule.stays)
            yield case


def _credentials(model: Model) -> Iterator[_Case]:
    readable, overpowered = CREDENTIAL_RULES
    peoples = {
        (channel.credential, model.component(channel.client).node)
        for channel in model.channels
        if model.component(channel.client).kind in PEOPLE
    }
    for held in model.credentials:
        where = held.id
        of_pod = held.kind == "token" and POD in held.readable_by
        perhaps = "unknown" if held.perhaps_readable_by else readable.good
        said = ", ".join(map(str, held.readable_by)) or perhaps
        grave = 4 if held.rights else 2
        gap = readable.gap
        if held.kind == "key":
            gap = replace(gap, control="ca-key-permissions")
        elif held.kind == "cloud key":
            gap = replace(gap, control="cloud-key-permissions", technique="cloud-key-file")
        elif of_pod:
            gap = PODS_TOKEN if held.rights else AGENTS_TOKEN
        if held.kind == "key" or of_pod:
            gap = replace(gap, technique=technique_of_credential(held))
        # a pod is meant to have its token: how far it opens the cluster is the question
        harmless = of_pod and not (held.rights or held.opens)
        state = "unknown" if held.perhaps_readable_by else "mitigated"
        if held.readable_by:
            state = "mitigated" if harmless else "open"
        claim = Claim(said, held.identity, held.source)
        yield _Case(readable, where, f"{readable.name}@{where}", claim, state, gap, grave)
        of_etcd = held.identity == ETCD_ADMINISTRATOR and not held.rights
        meant = held.kind == "key" or of_etcd or (held.name, held.node) in peoples
        yield _rights(held, where, overpowered, meant=meant)


def _rights(held: StoredCredential, where: str, rule: ThreatRule, *, meant: bool) -> _Case:
    stores = [f"everything in {it}" for it in held.opens if it.startswith("etcd@")]
    everything = ADMIN in held.rights or bool(stores)
    rights = ", ".join((*map(str, held.rights), *stores)) or rule.good
    claim = Claim(rights, held.identity, held.source)
    gap = replace(rule.gap, technique=technique_of_credential(held) or rule.gap.technique)
    case = _Case(rule, where, f"{rule.name}@{where}", claim, "mitigated", gap, rule.impact)
    if everything and meant:
        what = "the cluster" if ADMIN in held.rights else "etcd"
        why = f"{RESIDUAL}somebody administers {what}, and {held.node} holds the proof of it"
        return case._replace(state="residual", explanation=why, gap=Gap())
    return case._replace(state="open") if everything else case
