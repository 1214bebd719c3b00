"""Read an apiserver's audit log of a lab from a mark on."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.cluster import Component
from labkit.cluster.audit_policy import AuditedRequest
from labkit.errors import LabkitError, ProbeError
from labkit.lab import Lab
from labkit.model import Claim, Model
from labkit.model.audit_trail import policy_in_use
from labkit.model.credentials import AUDITED
from labkit.verification.audit import BATCH_S, audit_question, events_counted, send_audited

__all__ = ["AuditLog", "Mark", "RawEvent", "open_log", "parse_events"]

#: An event as the log has it.
RawEvent = dict[str, Any]
#: Seconds that an event may take from the answer to the log, on an idle machine.
PATIENCE_S = 5.0
PAUSE_S = 0.2
#: The path that stands for the apiserver's output, and the beginning of an event there.
JOURNAL, EVENT = "-", '{"kind":"Event"'
#: The beginning of the audit ids of the requests that show that the log is read.
PROOF = "labkit-proof"


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a log.

    Attributes
    ----------
    inode : str
        The file; another one after the log was rotated.
    size : int
        Its bytes until here.
    counted : int
        The number of events that the apiserver had counted.
    cursor : str
        The last entry of the journal, where the events go there.
    """

    inode: str
    size: int
    counted: int
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The audit log of a lab's apiserver.

    Attributes
    ----------
    lab : Lab
    apiserver : Component
    path : str
        Empty if the apiserver writes no log, and "-" if it writes it into the journal.
    sure : AuditedRequest or None
        A request that the policy records; None if it records none of those that are tried.
    wait : float
        Seconds that an event may take from the answer to the log.
    """

    lab: Lab
    apiserver: Component
    path: str
    sure: AuditedRequest | None
    wait: float

    def mark(self) -> Mark:
        """Return the present end of the log.

        Raises
        ------
        ProbeError
            The log cannot be read.
        """
        if not self.path:
            return Mark("", 0, events_counted(self.lab))
        if self.path == JOURNAL:
            return Mark("", 0, 0, self._cursor())
        argv = ["stat", "--format=%i %s", self.path]
        output = self.lab.exec(self.apiserver.node, argv, check=False)
        words = output.text.split()
        if output.exit_code or len(words) != 2:
            raise ProbeError(f"cannot read {self.path}", evidence=[output.error.strip()])
        return Mark(words[0], int(words[1]), 0)

    def since(
        self, mark: Mark, complete: Callable[[Sequence[RawEvent]], bool] = lambda events: True
    ) -> list[RawEvent]:
        """Return the events since a mark, once a request of our own is among them.

        Parameters
        ----------
        mark : Mark
        complete : callable
            Takes the events, and says whether those that were expected are among them. They are
            waited for, and at the end of the time what is there is returned.

        Returns
        -------
        list of RawEvent
            Without our own request.

        Raises
        ------
        ProbeError
            Our own request is not in the log, or the log is not the same file any more: what is
            missing in it is then no evidence.
        """
        if not self.path:
            return self._nothing(mark)
        if self.sure is None:
            raise ProbeError(
                "no request of labkit's is recorded by the policy, so nothing shows that the log "
                "is read",
                hint="let the policy record one of: " + ", ".join(map(str, AUDITED)),
            )
        ident = f"{PROOF}-{secrets.token_hex(8)}"
        node = self.apiserver.node
        status = send_audited(self.lab, node, audit_question(self.sure), ident)
        deadline = time.monotonic() + self.wait * self.lab.stretch()
        while True:
            events = self._read(mark)
            proven = any(it.get("auditID") == ident for it in events)
            late = time.monotonic() >= deadline
            if (proven and complete(events)) or late:
                break
            time.sleep(PAUSE_S)
        if not proven:
            raise ProbeError(
                f"{self.sure} was answered with HTTP {status}, and is not in {self.path}: what the "
                "log lacks is no evidence",
                hint=f"labkit verify --mode {self.lab.mode}",
            )
        return [it for it in events if not str(it.get("auditID", "")).startswith(PROOF)]

    def _nothing(self, mark: Mark) -> list[RawEvent]:
        """Show that the apiserver has counted no event since a mark."""
        now = events_counted(self.lab)
        if now != mark.counted:
            raise ProbeError(
                f"the apiserver writes no log, but its count of events rose from {mark.counted} "
                f"to {now}"
            )
        return []

    def _cursor(self) -> str:
        said = self._journal("--lines=1", "--output=json").strip()
        try:
            return str(json.loads(said)["__CURSOR"])
        except (ValueError, LookupError, TypeError) as error:
            raise ProbeError("the journal has no entry of the apiserver") from error

    def _journal(self, *options: str) -> str:
        unit = f"--unit={self.apiserver.kind}.service"
        argv = ["journalctl", "--quiet", unit, *options]
        output = self.lab.exec(self.apiserver.node, argv, check=False)
        if output.exit_code:
            raise ProbeError("cannot read the journal", evidence=[output.error.strip()])
        return output.text

    def _read(self, mark: Mark) -> list[RawEvent]:
        if self.path == JOURNAL:
            said = self._journal("--output=cat", "--all", f"--after-cursor={mark.cursor}")
            # what the apiserver itself says is there as well
            lines = [line for line in said.splitlines() if line.startswith(EVENT)]
            return parse_events("".join(f"{line}\n" for line in lines).encode())
        now = self.mark()
        if now.inode != mark.inode or now.size < mark.size:
            raise ProbeError(f"{self.path} was rotated just now", hint="run the command again")
        argv = ["tail", f"--bytes=+{mark.size + 1}", self.path]
        return parse_events(self.lab.exec(self.apiserver.node, argv).stdout)


def open_log(lab: Lab, model: Model) -> AuditLog:
    """Return the audit log of a lab's apiserver.

    Parameters
    ----------
    lab : Lab
    model : Model
        The model of the lab's present configuration.

    Returns
    -------
    AuditLog

    Raises
    ------
    LabkitError
        The events go where labkit does not read them: to a webhook.
    """
    env = model.environment
    apiserver = next(it for it in env.components if it.kind == "kube-apiserver")
    policy = policy_in_use(env, apiserver)
    path = apiserver.setting("audit-log-path").value
    if isinstance(policy, Claim):
        if policy.value != "none":
            raise LabkitError(f"what the apiserver records is not known: {policy}")
        return AuditLog(lab, apiserver, "", None, 0.0)
    if not path:
        raise LabkitError("the audit events go to a webhook, and labkit reads them from a log")
    missed = policy.missed(AUDITED)
    sure = next((it for it in AUDITED if it not in missed), None)
    blocking = apiserver.setting("audit-log-mode").value in ("", "blocking")
    return AuditLog(lab, apiserver, path, sure, PATIENCE_S if blocking else BATCH_S)


def parse_events(text: bytes) -> list[RawEvent]:
    r"""Return the events in a piece of a log; a last line without its end is left out.

    Parameters
    ----------
    text : bytes

    Returns
    -------
    list of RawEvent

    Raises
    ------
    ProbeError
        A line is no event.

    Examples
    --------
    >>> parse_events(b'{"kind": "Event", "verb": "get"}\n{"kind": "Ev')
    [{'kind': 'Event', 'verb': 'get'}]
    """
    found = []
    for line in text.split(b"\n")[:-1]:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict) or event.get("kind") != "Event":
            raise ProbeError("a line of the audit log is no event")
        found.append(event)
    return found
