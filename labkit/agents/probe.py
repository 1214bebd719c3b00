"""Probe a machine and its listeners: send requests, inspect sockets, run commands.

The program reads jobs (JSON, by id) from standard input, carries all of them out at once, and
prints ``{job id: result}``. It judges nothing: a result has the answer to a request.

A result without an answer has the key ``error``: ``refused``, ``timeout``, ``reset``,
``closed``, ``permission``, ``missing``, ``alert`` (TLS; with ``text``), ``tls``, ``not-http``
or ``failed``.
"""

from __future__ import annotations

import base64
import contextlib
import grp
import http.client
import json
import pwd
import re
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from labkit.agents._connections import failure, load_pair
from labkit.agents._patience import stretch

Job = dict[str, Any]
Result = dict[str, Any]
PATIENCE = 8.0
#: The number of jobs at once on an idle machine.
JOBS = 16
#: Bytes of an answer's body that are reported.
ENOUGH = 2000


def tls_context(
    job: Job, low: ssl.TLSVersion | None = None, high: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Return a client's TLS context that verifies no certificate, so that all are observed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if low is not None and high is not None:
        if high < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = low, high
    if job.get("certificate_pem"):
        load_pair(context, job["certificate_pem"], job["key_pem"])
    elif job.get("certificate"):
        context.load_cert_chain(job["certificate"], job["key"])
    return context


def dial(job: Job) -> socket.socket:
    """Connect to the job's socket, or host and port."""
    if job.get("unix"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(PATIENCE * stretch())
        connection.connect(job["unix"])
        return connection
    return socket.create_connection((job["host"], job["port"]), timeout=PATIENCE * stretch())


def http_over(connection: socket.socket, job: Job) -> Result:
    """Send one HTTP/1.1 request and return the answer's status and the start of its body."""
    # Headers and body are sent at once; http.client would send them separately. A server that
    # refuses a request while bytes still arrive resets the connection, and its alert may be lost.
    try:
        connection.sendall(request(job))
    except (ConnectionResetError, BrokenPipeError):
        # the server closed first; what it said before may be there: its TLS alert
        connection.recv(1)
        raise
    answer = http.client.HTTPResponse(connection, method=job.get("method", "GET"))
    with contextlib.closing(answer):
        try:
            answer.begin()
        except http.client.RemoteDisconnected:
            return {"error": "closed", "text": "closed without an answer"}
        except http.client.HTTPException as error:
            return {"error": "not-http", "text": repr(str(error)[:60])}
        return {"status": answer.status, "body": start_of_body(answer)}


def request(job: Job) -> bytes:
    """Return an HTTP/1.1 request that asks the server to close the connection."""
    body = (job.get("body") or "").encode()
    host, port = job.get("host", "localhost"), job.get("port")
    headers = {
        # RFC 9110, section 7.2: with the port, or a server may send the client elsewhere
        "Host": f"{host}:{port}" if port else host,
        "Connection": "close",
        **(job.get("headers") or {}),
    }
    if body:
        headers["Content-Length"] = str(len(body))
    lines = [f"{job.get('method', 'GET')} {job.get('path', '/')} HTTP/1.1"]
    lines += [f"{key}: {value}" for key, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def start_of_body(answer: http.client.HTTPResponse) -> str:
    """Return the start of a body; less of it if the server closes the connection early."""
    body = b""
    with contextlib.suppress(http.client.IncompleteRead, ConnectionResetError):
        while len(body) < ENOUGH and (piece := answer.read1(ENOUGH - len(body))):
            body += piece
    return body.decode(errors="replace")


def do_http(job: Job) -> Result:
    """Send one HTTP request: in plaintext, over TLS or over a Unix socket."""
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(dial(job))
        if not job.get("tls"):
            return http_over(connection, job)
        wrapped = stack.enter_context(
            tls_context(job).wrap_socket(connection, server_hostname=job["host"])
        )
        version = wrapped.version()
        return {**http_over(wrapped, job), "tls": version}


def handshake(job: Job, low: ssl.TLSVersion, high: ssl.TLSVersion) -> Result:
    """Return the result of a TLS handshake with the versions from `low` to `high`."""
    with dial(job) as connection:
        context = tls_context(job, low, high)
        with context.wrap_socket(connection, server_hostname=job["host"]) as wrapped:
            der = wrapped.getpeercert(binary_form=True) or b""
            cipher = wrapped.cipher()
            return {
                "version": wrapped.version(),
                "cipher": cipher[0] if cipher else "",
                "der": base64.b64encode(der).decode(),
            }


def do_look(job: Job) -> Result:
    """Return a listener's answers to plaintext HTTP and to each version of TLS."""
    try:
        dial(job).close()
    except OSError as error:
        return failure(error)
    result: Result = {"plaintext": attempt(do_http, {**job, "tls": False})}
    for name in ("TLSv1_1", "TLSv1_2", "TLSv1_3"):
        version = ssl.TLSVersion[name]
        try:
            result[name] = handshake(job, version, version)
        except OSError as error:
            result[name] = failure(error)
    return result


def do_unix(job: Job) -> Result:
    """Return the owner and mode of a Unix socket, and which users can connect to it."""
    info = Path(job["unix"]).stat()
    result: Result = {
        "socket": stat.S_ISSOCK(info.st_mode),
        "mode": f"{stat.S_IMODE(info.st_mode):04o}",
        "owner": pwd.getpwuid(info.st_uid).pw_name,
        "group": grp.getgrgid(info.st_gid).gr_name,
        "server": socket_owner(job["unix"]),
    }
    for user in job["users"]:
        result[user] = connect_as(user, job["connect"])
    return result


def connect_as(user: str, connect: list[str]) -> Result:
    """Run the command that connects as another user, and return its result."""
    done = run(["runuser", "-u", user, "--", *connect], PATIENCE * stretch())
    try:
        said: Result = json.loads(done.stdout)
    except ValueError:
        return {"error": "failed", "text": done.stderr.strip()[-200:]}
    return said


def socket_owner(path: str) -> str:
    """Return the names of the processes that listen on a socket's path."""
    shown = run(["ss", "-xlpH", "src", path], PATIENCE * stretch()).stdout
    return ",".join(sorted(set(re.findall(r'\("([^"]+)"', shown))))


def do_run(job: Job) -> Result:
    """Run a command on the machine, and return its exit status and output."""
    argv = job["argv"]
    try:
        done = run(argv, 15)
    except subprocess.TimeoutExpired:
        return {"error": "timeout", "text": f"{argv[0]} did not end"}
    return {"code": done.returncode, "stdout": done.stdout[-4000:], "stderr": done.stderr[-4000:]}


def run(argv: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a command, and return the completed process, whatever its exit status is."""
    return subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)


DOES: dict[str, Callable[[Job], Result]] = {
    "look": do_look,
    "http": do_http,
    "unix": do_unix,
    "run": do_run,
}


def attempt(action: Callable[[Job], Result], job: Job) -> Result:
    """Carry out one job; its failure is its result, and the others go on."""
    try:
        return action(job)
    except Exception as error:
        return failure(error)


def side_by_side(busy: float) -> int:
    """Return how many jobs to carry out at once: more would make a busy machine only slower.

    Examples
    --------
    >>> side_by_side(1.0), side_by_side(4.0), side_by_side(40.0)
    (16, 4, 1)
    """
    return max(1, round(JOBS / busy))


def main() -> None:
    """Carry out the jobs on standard input and print their results."""
    jobs: dict[str, Job] = json.load(sys.stdin)
    with ThreadPoolExecutor(max_workers=side_by_side(stretch())) as pool:
        futures = {name: pool.submit(attempt, DOES[job["op"]], job) for name, job in jobs.items()}
        results = {name: future.result() for name, future in futures.items()}
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
