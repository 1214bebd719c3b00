"""Say what does not run on this machine, as JSON; or repair it and print it, one line for each.

Looks at the enabled units of the environment, at processes that a signal has stopped, at the free
space of the file systems, and at the dates of the certificates. Commands must succeed, too:
requests to the component that answers for all others, which also lists the pods.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from labkit.agents._apiserver import request
from labkit.agents._patience import stretch
from labkit.agents._processes import states
from labkit.agents._services import ENDED, name_of

UNITS = "etc/systemd/system"
#: Folders of components, which may lie on file systems of their own.
FOLDERS = (
    *("/", "/etc/kubernetes", "/var/log", "/run", "/tmp"),  # noqa: S108
    *(f"/var/lib/{name}" for name in ("etcd", "containerd", "docker", "kubelet")),
)
#: Bytes without which a file system counts as full.
ROOM = 32 << 20
#: Folders below /etc that hold certificates.
CERTIFICATES = ("kubernetes", "etcd", "docker", "flannel")
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
#: The dates of a certificate: a sequence of two UTCTimes or GeneralizedTimes (RFC 5280, 4.1.2.5).
TIME = rb"(?:\x17\x0d|\x18\x0f)(\d{12,14})Z"
DATES = re.compile(rb"\x30." + TIME + TIME, re.DOTALL)
#: Seconds for an answer of systemd, and of the command, on an idle machine.
PATIENCE = 2.0
#: The lab's fingerprint, on the apiserver's machine.
FINGERPRINT = "var/lib/labkit/fingerprint.json"
#: Reasons of a container that waits as every new one does.
STARTING = {"ContainerCreating", "PodInitializing"}


class Fault(NamedTuple):
    """What is wrong with a unit, a process or a folder, and whether waiting does not mend it."""

    how: str
    lasts: bool = True


def enabled(root: Path) -> list[str]:
    """Return the names of the enabled units whose files are in /etc, as an environment's are."""
    links = (link for link in (root / UNITS).glob("*.wants/*") if link.is_symlink())
    return sorted({link.name for link in links if str(link.readlink()).startswith(f"/{UNITS}/")})


def shown(units: Sequence[str]) -> str:
    """Return what systemd says about the units."""
    argv = ["systemctl", "show", "--property=Id,ActiveState,MainPID,Job", *units]
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=PATIENCE * stretch(), check=False
    ).stdout


def faults(shown: str, stopped: Sequence[int]) -> dict[str, Fault]:
    r"""Return what is wrong with each unit that does not run.

    systemd starts a unit again that is activating, or has a job. One that is failed or inactive
    stays so.

    Examples
    --------
    >>> faults("MainPID=7\nId=a.service\nActiveState=active", [7])
    {'a.service': Fault(how='is stopped by a signal', lasts=True)}
    >>> faults("MainPID=0\nId=b.service\nActiveState=activating", [])
    {'b.service': Fault(how='is activating', lasts=False)}
    """
    found = {}
    for block in shown.strip().split("\n\n"):
        told = dict(line.partition("=")[::2] for line in block.splitlines())
        if (state := told.get("ActiveState", "silent")) not in ("active", "reloading"):
            lasts = state in ("failed", "inactive") and not told.get("Job")
            found[told.get("Id", "systemd")] = Fault(f"is {state}", lasts)
        elif int(told.get("MainPID", 0)) in stopped:
            found[told["Id"]] = Fault("is stopped by a signal")
    return found


def stopped(proc: Path) -> list[int]:
    """Return the processes that a signal has stopped."""
    return [process for process, state, _ in states(proc) if state in "Tt"]


def full(folders: Sequence[str]) -> Iterator[str]:
    """Yield the folders whose file system has no room: one folder for each file system."""
    seen = set()
    for folder in folders:
        if not Path(folder).exists() or (device := Path(folder).stat().st_dev) in seen:
            continue
        seen.add(device)
        space = os.statvfs(folder)
        if space.f_bavail * space.f_frsize < ROOM or (space.f_files and not space.f_favail):
            yield folder


def invalid(etc: Path, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield the certificates that are not valid yet, or no longer, with the reason."""
    for folder in CERTIFICATES:
        for path in sorted((etc / folder).rglob("*")):
            if path.suffix not in (".crt", ".pem") or not path.is_file():
                continue
            for first, last in dates(path.read_bytes()):
                if now < first:
                    yield f"the certificate {path}", f"is not valid before {first:%F %T} UTC"
                elif now > last:
                    yield f"the certificate {path}", f"is not valid after {last:%F %T} UTC"


def dates(text: bytes) -> Iterator[tuple[datetime, datetime]]:
    """Yield when each certificate of a PEM file begins and ends to be valid."""
    for block in PEM.findall(text):
        with suppress(ValueError):  # no certificate
            if found := DATES.search(base64.b64decode(block)):
                yield date(found[1]), date(found[2])


def date(digits: bytes) -> datetime:
    """Return the time of a UTCTime, whose year has two digits, or a GeneralizedTime.

    Examples
    --------
    >>> date(b"261126231500") == date(b"20261126231500")
    True
    """
    text = digits.decode()
    if len(text) == 12:
        text = ("20" if text[:2] < "50" else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def look(root: Path, ask: Sequence[str], list_pods: Sequence[str]) -> dict[str, Fault]:
    """Return what is wrong, by unit, process, folder or pod."""
    asked = [started(argv) for argv in (ask, list_pods) if argv]
    found: dict[str, Fault] = {}
    frozen = stopped(root / "proc")
    if 1 in frozen:
        found["systemd"] = Fault("is stopped by a signal")
    elif units := enabled(root):
        try:
            found |= faults(shown(units), frozen)
        except subprocess.TimeoutExpired:
            found["systemd"] = Fault("does not answer", lasts=False)
    found |= dict.fromkeys(full(FOLDERS), Fault("has no space left"))
    found |= {what: Fault(how) for what, how in invalid(root / "etc", datetime.now(UTC))}
    if asked and not found:
        try:
            said, pods = (it.communicate(timeout=PATIENCE * stretch())[0] for it in asked)
            if failed := next((it.returncode for it in asked if it.returncode), 0):
                why = reason(said if asked[0].returncode else pods) or f"exit status {failed}"
                found["the apiserver"] = Fault(f"is not ready: {why}", lasts=False)
            else:
                found |= faults_of_pods(json.loads(pods)["items"], kept_pods(root))
        except subprocess.TimeoutExpired:
            found["the apiserver"] = Fault("does not answer", lasts=False)
        except ValueError:
            found["the apiserver"] = Fault("does not say which pods there are", lasts=False)
    for it in asked:
        it.kill()
    return found


def started(argv: Sequence[str]) -> subprocess.Popen[str]:
    """Start a command whose output is read later."""
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kept_pods(root: Path) -> set[str]:
    """Return the pods that the lab had when it came up, from its fingerprint."""
    try:
        return set(json.loads((root / FINGERPRINT).read_text())["objects"]["Pod"])
    except FileNotFoundError:  # it is not up yet
        return set()


def faults_of_pods(pods: Iterable[dict[str, Any]], ours: set[str]) -> dict[str, Fault]:
    """Return what is wrong with the lab's own pods: those that have ended, and that cannot start.

    A pod that has ended is never started again (Kubernetes, "Pod Lifecycle"). Others are tried
    again, after some minutes at most. A pod that is being deleted ends rightly.

    Examples
    --------
    >>> pod = {"metadata": {"name": "a"}, "status": {"phase": "Failed", "reason": "OutOfpods"}}
    >>> faults_of_pods([pod], {"/a"})
    {'pod /a': Fault(how='has ended: OutOfpods', lasts=True)}
    """
    found = {}
    for pod in pods:
        name, status = name_of(pod), pod["status"]
        if name not in ours or "deletionTimestamp" in pod["metadata"]:
            continue
        states = (it.get("state") or {} for it in status.get("containerStatuses") or ())
        reasons = {it["waiting"].get("reason", "") for it in states if "waiting" in it}
        if status.get("phase") in ENDED:
            found[f"pod {name}"] = Fault(f"has ended: {status.get('reason') or status['phase']}")
        elif late := ", ".join(sorted(reasons - STARTING)):
            found[f"pod {name}"] = Fault(f"does not start: {late}", lasts=False)
    return found


def reason(said: str) -> str:
    r"""Return why the apiserver is not ready: the checks that failed, or the last line.

    Examples
    --------
    >>> reason('an error on the server ("[+]ping ok\n[-]etcd failed: withheld\nhealthz")')
    '[-]etcd failed: withheld'
    """
    lines = [line for line in said.splitlines() if line.strip()]
    failed = [line for line in lines if line.startswith("[-]")]
    return ", ".join(failed or lines[-1:])[:300]


def repair(root: Path) -> list[str]:
    """Continue systemd if it is stopped, restart the units that do not run, and return them.

    Raises
    ------
    OSError
        There is no room for files, without which no unit can run.
    """
    done = []
    if 1 in stopped(root / "proc"):
        os.kill(1, signal.SIGCONT)
        done.append("systemd")
    if folders := list(full(FOLDERS)):
        raise OSError(f"{', '.join(folders)}: no space left")
    units = enabled(root)
    if bad := faults(shown(units), stopped(root / "proc")) if units else {}:
        subprocess.run(["systemctl", "reset-failed", *bad], capture_output=True, check=False)
        # systemd continues a stopped process, so that it can end
        subprocess.run(["systemctl", "restart", "--no-block", *bad], check=False)
        done += bad
    return done


def answer(action: str, kubeconfig: str = "") -> str:
    """Repair if the first argument says so, or else return what is wrong.

    It is a list of faults: the line about each, and whether waiting does not mend it.
    On the apiserver's machine the other argument is the kubeconfig with which it is asked.
    """
    if action == "repair":
        return "\n".join(repair(Path("/")))
    patience = round(PATIENCE * stretch())
    paths = ("/readyz", "/api/v1/pods") if kubeconfig else ("", "")
    ask, pods = (request(kubeconfig, [it], patience) if it else [] for it in paths)
    found = look(Path("/"), ask, pods).items()
    return json.dumps([(f"{what} {fault.how}", fault.lasts) for what, fault in found])
