"""Hold an apiserver's audit log against what the model says that it records."""

from __future__ import annotations

import json
import re
import secrets
import time

from labkit.cluster import Component
from labkit.cluster.audit_policy import AuditedRequest
from labkit.errors import CommandFailed, LabkitError, ProbeError
from labkit.lab import Lab
from labkit.lab.curl import as_curl
from labkit.model import Model
from labkit.model.credentials import AUDITED
from labkit.verification.questions import BINDING, Question
from labkit.verification.report import Row, verdict_on

__all__ = ["BATCH_S", "audit_question", "audit_rows", "events_counted", "send_audited"]

#: An object that does not exist: the requests are answered, and change nothing.
NAME = "labkit-probe"
CORE = "/api/v1"
#: How often a kube-apiserver counts its events, in the metrics that it serves.
COUNTER = re.compile(r"^apiserver_audit_event_total (\d+)", re.MULTILINE)
#: Seconds after which events that are written in batches are in the log (30 s by default).
BATCH_S = 40.0


def audit_rows(lab: Lab, model: Model) -> list[Row]:
    """Make the requests that a log must show, and return one row for each apiserver.

    Parameters
    ----------
    lab : Lab
        A running lab.
    model : Model

    Returns
    -------
    list of Row
        A log that shows all requests is observed as "on", one that shows some as "partial", and
        one that shows none as "none".
    """
    found = []
    for part in model.components:
        claim = part.claim("audit")
        if claim is None:
            continue
        try:
            observed, reason, control = _find_out(lab, lab.environment.component(part.id))
        except LabkitError as error:
            observed, reason, control = "", str(error).replace("\n", " "), ""
            verdict = "unprobed"
        else:
            verdict = verdict_on(claim.value, observed)
        found.append(
            Row(
                mode=lab.mode,
                channel=part.id,
                property="audit",
                claimed=claim.value,
                source=str(claim.source),
                observed=observed,
                reason=reason,
                control=control,
                verdict=verdict,
            )
        )
    return found


def audit_question(request: AuditedRequest) -> Question:
    """Return a request of a kind that a log must show; it changes nothing.

    Parameters
    ----------
    request : AuditedRequest
        One of :data:`labkit.model.credentials.AUDITED`.

    Returns
    -------
    Question

    Examples
    --------
    >>> audit_question(AuditedRequest("get", "pods/exec")).path
    '/api/v1/namespaces/default/pods/labkit-probe/exec?command=true'
    """
    resource, _, part = request.resource.partition("/")
    root = f"/apis/{request.group}/v1" if request.group else CORE
    place = f"{root}/namespaces/{request.namespace}" if request.namespace else root
    path = f"{place}/{resource}"
    if part:
        query = {"exec": "?command=true", "proxy": "/healthz"}.get(part, "")
        path = f"{path}/{NAME}/{part}{query}"
    elif request.verb == "get":
        path = f"{path}/{NAME}"
    elif request.verb == "list":
        path = f"{path}?limit=1"
    else:
        path = f"{path}?dryRun=All"
    if request.verb != "create":
        return Question(path)
    body = BINDING if resource == "clusterrolebindings" else {}
    return Question(path, "POST", json.dumps(body))


def _find_out(lab: Lab, apiserver: Component) -> tuple[str, str, str]:
    """Observe the log, and once more if the apiserver started again in between."""
    try:
        return _observe(lab, apiserver)
    except (ProbeError, CommandFailed):
        lab.wait()
        return _observe(lab, apiserver)


def _observe(lab: Lab, apiserver: Component) -> tuple[str, str, str]:
    """Return what the log shows, the evidence, and that the requests were answered."""
    log = apiserver.setting("audit-log-path").value
    if not log and apiserver.setting("audit-webhook-config-file").value:
        raise LabkitError("its events go to a webhook, and labkit does not read what that receives")
    mark = f"labkit-{secrets.token_hex(8)}"
    before = events_counted(lab)
    asked = {f"{mark}-{number}": request for number, request in enumerate(AUDITED)}
    answers = [
        send_audited(lab, apiserver.node, audit_question(request), ident)
        for ident, request in asked.items()
    ]
    control = f"{len(answers)} requests were answered, with HTTP {', '.join(sorted({*answers}))}"
    if not log:
        now = events_counted(lab)
        if now < before:
            raise ProbeError("the apiserver counts its events from 0 again: it was started again")
        if now != before:
            return "partial", f"apiserver_audit_event_total rose from {before} to {now}", control
        return "none", f"no log, and apiserver_audit_event_total stays at {now}", control
    wait = 0.0 if apiserver.setting("audit-log-mode").value in ("", "blocking") else BATCH_S
    missed = [str(asked[ident]) for ident in _missing(lab, apiserver, log, [*asked], wait)]
    if not missed:
        return "on", f"all {len(asked)} requests are in {log}", control
    word = "none" if len(missed) == len(asked) else "partial"
    return word, f"not in {log}: {', '.join(missed)}", control


def send_audited(lab: Lab, node: str, question: Question, ident: str) -> str:
    """Send a request from a machine as the administrator, and return its HTTP status.

    Parameters
    ----------
    lab : Lab
    node : str
        The machine.
    question : Question
    ident : str
        The audit id that the request gets.

    Returns
    -------
    str

    Raises
    ------
    ProbeError
        There was no answer.
    """
    argv = as_curl(lab.environment, question.method, question.path)
    argv += ["--header", f"Audit-ID: {ident}"]
    argv += ["--output", "/dev/null", "--write-out", "%{http_code}"]
    output = lab.exec(node, argv, stdin=question.body.encode(), check=False)
    status = output.text.strip()
    if not status.strip("0"):
        raise ProbeError(f"no answer to {question.method} {question.path}: {output.error}")
    return status


def _missing(lab: Lab, apiserver: Component, log: str, idents: list[str], wait: float) -> list[str]:
    """Return the audit ids that are not in a log, once all are there or after some seconds."""
    deadline = time.monotonic() + wait
    while True:
        text = _log(lab, apiserver, log, idents[0].rpartition("-")[0])
        missing = [ident for ident in idents if f'"{ident}"' not in text]
        if not missing or time.monotonic() >= deadline:
            return missing
        time.sleep(1)


def _log(lab: Lab, apiserver: Component, log: str, mark: str) -> str:
    """Return the lines of a log that have a mark; of the journal if events go to the output."""
    argv = ["grep", "--no-filename", "--fixed-strings", mark, log]
    if log == "-":
        argv = ["journalctl", "--output=cat", "--since=-10min", f"--grep={mark}"]
    output = lab.exec(apiserver.node, argv, check=False)
    if output.exit_code > 1:
        raise LabkitError(f"cannot read {log}", evidence=[output.error.strip()])
    return output.text


def events_counted(lab: Lab) -> int:
    """Return the number of events that the apiserver counts, whether they are written or not.

    Parameters
    ----------
    lab : Lab

    Returns
    -------
    int

    Raises
    ------
    LabkitError
        The metrics do not say it.
    """
    found = COUNTER.search(lab.api("GET", "/metrics").text)
    if not found:
        raise LabkitError("the apiserver's metrics do not say how many events it recorded")
    return int(found[1])
