"""What runs inside a machine of the lab to see how things really are.

It is sent to the machine as text and run there by the machine's own Python, so it uses nothing
but the standard library. It reads a list of jobs (JSON) from standard input, carries all of
them out at once, and prints ``{job id: result}``. It judges nothing: a result says what was
sent and what came back.

A result that was not obtained has the key ``error``: ``refused``, ``timeout``, ``reset``,
``closed``, ``permission``, ``missing``, ``alert`` (TLS; with ``text``) or ``failed``.
"""

from __future__ import annotations

import base64
import contextlib
import grp
import json
import os
import pwd
import re
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Job = dict[str, Any]
Result = dict[str, Any]
PATIENCE = 8.0
#: The group of commands that make a client call; they themselves are not stood in the way of.
ERRAND = 64321


def failure(error: BaseException) -> Result:
    """Name what went wrong; only an answer of the other side is a refusal."""
    text = str(error)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or text
        if "ALERT" in reason:
            return {"error": "alert", "text": reason.split("ALERT_")[-1].lower().replace("_", " ")}
        kind = "closed" if "EOF" in reason else "tls"
        return {"error": kind, "text": reason.lower().replace("_", " ")}
    for kinds, name in (
        (ConnectionRefusedError, "refused"),
        (TimeoutError, "timeout"),
        ((ConnectionResetError, BrokenPipeError), "reset"),
        (PermissionError, "permission"),
        (FileNotFoundError, "missing"),
    ):
        if isinstance(error, kinds):
            return {"error": name, "text": text}
    return {"error": "failed", "text": f"{type(error).__name__}: {text}"}


def context(
    job: Job, low: ssl.TLSVersion | None = None, high: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Make a client's TLS context that verifies nothing: it is here to look."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    if low is not None and high is not None:
        if high < ssl.TLSVersion.TLSv1_2:
            ctx.set_ciphers("ALL:@SECLEVEL=0")
        ctx.minimum_version, ctx.maximum_version = low, high
    if job.get("certificate_pem"):
        with tempfile.NamedTemporaryFile("w", dir="/dev/shm") as file:
            file.write(job["certificate_pem"] + "\n" + job["key_pem"])
            file.flush()
            ctx.load_cert_chain(file.name)
    elif job.get("certificate"):
        ctx.load_cert_chain(job["certificate"], job["key"])
    return ctx


def dial(job: Job) -> socket.socket:
    """Connect to the job's socket, or host and port."""
    if job.get("unix"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(PATIENCE)
        connection.connect(job["unix"])
        return connection
    return socket.create_connection((job["host"], job["port"]), timeout=PATIENCE)


def http_over(connection: socket.socket, job: Job) -> Result:
    """Send one HTTP/1.1 request and read the answer's status and the start of its body."""
    body = (job.get("body") or "").encode()
    headers = {
        "Host": job.get("host", "localhost"),
        "Connection": "close",
        **(job.get("headers") or {}),
    }
    if body:
        headers["Content-Length"] = str(len(body))
    lines = [f"{job.get('method', 'GET')} {job.get('path', '/')} HTTP/1.1"]
    lines += [f"{key}: {value}" for key, value in headers.items()]
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    data = b""
    while len(data) < 65536:
        try:
            piece = connection.recv(65536)
        except ConnectionResetError:
            if not data:
                raise
            break
        if not piece:
            break
        data += piece
    if not data:
        return {"error": "closed", "text": "closed without an answer"}
    match = re.match(rb"HTTP/\d\.\d (\d{3})", data)
    if not match:
        return {"error": "not-http", "text": repr(data[:60])}
    content = data.partition(b"\r\n\r\n")[2]
    return {"status": int(match[1]), "body": content[:2000].decode(errors="replace")}


def do_http(job: Job) -> Result:
    """Ask one question over HTTP, plain, over TLS or over a Unix socket."""
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(dial(job))
        if not job.get("tls"):
            return http_over(connection, job)
        wrapped = stack.enter_context(
            context(job).wrap_socket(connection, server_hostname=job["host"])
        )
        version = wrapped.version()
        return {**http_over(wrapped, job), "tls": version}


def handshake(job: Job, low: ssl.TLSVersion, high: ssl.TLSVersion) -> Result:
    """Shake hands in the versions from `low` to `high` and say what was agreed."""
    with dial(job) as connection:
        ctx = context(job, low, high)
        with ctx.wrap_socket(connection, server_hostname=job["host"]) as wrapped:
            der = wrapped.getpeercert(binary_form=True) or b""
            cipher = wrapped.cipher()
            return {
                "version": wrapped.version(),
                "cipher": cipher[0] if cipher else "",
                "der": base64.b64encode(der).decode(),
            }


def do_look(job: Job) -> Result:
    """See what a listener speaks to somebody without any credential."""
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
    """See a socket's file, and who gets through it."""
    info = os.stat(job["unix"])
    result: Result = {
        "socket": stat.S_ISSOCK(info.st_mode),
        "mode": f"{stat.S_IMODE(info.st_mode):04o}",
        "owner": pwd.getpwuid(info.st_uid).pw_name,
        "group": grp.getgrgid(info.st_gid).gr_name,
        "server": socket_owner(job["unix"]),
    }
    for user in job["users"]:
        result[user] = connect_as(user, job["unix"])
    return result


def connect_as(user: str, path: str) -> Result:
    """Connect as another user, in a process of that user's own."""
    program = (
        "import socket,sys\n"
        "try: socket.socket(socket.AF_UNIX).connect(sys.argv[1]); print('connected')\n"
        "except OSError as e: print(type(e).__name__)"
    )
    argv = ["runuser", "-u", user, "--", sys.executable, "-c", program, path]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    said = done.stdout.strip()
    names = {"PermissionError": "permission", "ConnectionRefusedError": "refused"}
    if said == "connected":
        return {"connected": True}
    return {"error": names.get(said, "failed"), "text": said or done.stderr.strip()[-200:]}


def socket_owner(path: str) -> str:
    """Name the processes that listen on a socket's path."""
    argv = ["ss", "-xlpH", "src", path]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return ",".join(sorted(set(re.findall(r'\("([^"]+)"', done.stdout))))


def do_run(job: Job) -> Result:
    """Run a command of the machine's own."""
    argv = job["argv"]
    if job.get("user"):
        argv = ["runuser", "-u", job["user"], "--", *argv]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=job.get("seconds", 15), check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": "timeout", "text": f"{argv[0]} did not end"}
    return {"code": done.returncode, "stdout": done.stdout[-4000:], "stderr": done.stderr[-4000:]}


# -- a server of the attacker's in a real client's way -----------------------------------------


def caller(port: int) -> dict[str, str]:
    """Who on this machine owns the connection with this local port."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            for line in lines.read().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rsplit(":", 1)[1], 16) == port and fields[9] != "0":
                    inodes.add(f"socket:[{fields[9]}]")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                        return describe(pid)
    return {"unit": "", "command": ""}


def describe(pid: str) -> dict[str, str]:
    """Name a process by its systemd unit and its command line."""
    with open(f"/proc/{pid}/cgroup") as file:
        match = re.search(r"/([\w@.-]+\.service)", file.read())
    with open(f"/proc/{pid}/cmdline") as file:
        command = file.read().replace("\0", " ").strip()
    return {"unit": match[1] if match else "", "command": command[:300]}


def first_line(data: bytes) -> str:
    """Return the start of what a client sent, without the headers, which may carry secrets."""
    return re.sub(r"[^\x20-\x7e]", ".", data.split(b"\r\n", 1)[0][:80].decode("latin-1"))


def receive(connection: socket.socket, server: ssl.SSLContext) -> Result:
    """Play the server to one connection and say how far the client went."""
    connection.settimeout(4)
    start = connection.recv(3, socket.MSG_PEEK)
    if not start:
        return {"error": "closed", "text": "no byte was sent"}
    if start[:2] != b"\x16\x03":
        return {"spoke": "plaintext", "sent": first_line(connection.recv(2048))}
    try:
        with server.wrap_socket(connection, server_side=True) as wrapped:
            sent = wrapped.recv(2048)
    except OSError as error:
        return {"spoke": "tls", "accepted": False, **failure(error)}
    if not sent:
        return {"spoke": "tls", "accepted": False, "error": "closed", "text": "no byte after it"}
    return {"spoke": "tls", "accepted": True, "sent": first_line(sent)}


def tells(met: Result) -> bool:
    """Say whether a client went on, or said why not; a reset may hide an alert."""
    return met["spoke"] == "plaintext" or met["accepted"] or met.get("error") == "alert"


def do_intercept(job: Job) -> Result:
    """Stand in the way of this machine's clients of one server for a few seconds.

    New connections to the server are redirected to a TLS server here whose certificate bears
    the right names but is signed by a stranger; old ones are cut so that the clients come anew.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_alpn_protocols(["h2", "http/1.1"])
    with tempfile.NamedTemporaryFile("w", dir="/dev/shm") as file:
        file.write(job["certificate_pem"] + "\n" + job["key_pem"])
        file.flush()
        server.load_cert_chain(file.name)
    hosts, port = [socket.gethostbyname(host) for host in job["hosts"]], str(job["port"])
    seen: list[Result] = []
    wanted = set(job["clients"])
    enough = threading.Event()

    def match(who: dict[str, str]) -> Any:
        if who["unit"]:
            return who["unit"] if who["unit"] in wanted else None
        return next((client for client in wanted if client in who["command"]), None)

    def serve(connection: socket.socket, peer: int) -> None:
        with connection:
            client = match(caller(peer))
            try:
                result = receive(connection, server)
            except OSError as error:
                result = failure(error)
        if client and "spoke" in result:
            seen.append({"client": client, **result})
            if {entry["client"] for entry in seen if tells(entry)} >= wanted:
                enough.set()

    listener = socket.create_server(("0.0.0.0", 0))
    own = listener.getsockname()[1]
    rules = [
        f"OUTPUT -p tcp -d {host} --dport {port} -m owner ! --gid-owner {ERRAND} "
        f"-m comment --comment labkit-verify -j REDIRECT --to-ports {own}"
        for host in hosts
    ]

    def nat(action: str, check: bool) -> None:
        for rule in rules:
            command(["iptables", "-w", "5", "-t", "nat", action, *rule.split()], check=check)

    def accept() -> None:
        while True:
            try:
                connection, (_, peer, *_) = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection, peer), daemon=True).start()

    def cut() -> None:
        for host in hosts:
            command(["ss", "-K", "-t", "dst", host, "dport", "=", f":{port}"])

    threading.Thread(target=accept, daemon=True).start()
    triggers: list[subprocess.Popen[bytes]] = []
    silent: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    try:
        nat("-I", check=True)
        cut()
        began, late = time.monotonic(), False
        while not enough.is_set() and time.monotonic() < began + job["seconds"]:
            if not late and time.monotonic() > began + job["seconds"] / 3:
                # A client that was cut off often waits ever longer before it comes back.
                late = True
                absent = wanted - {entry["client"] for entry in seen if tells(entry)}
                units = (client for client in absent if client.endswith(".service"))
                command(["systemctl", "restart", "--no-block", *units])
            for argv in job["triggers"]:
                triggers.append(subprocess.Popen(argv, **silent))
            for argv in job["errands"]:
                triggers.append(subprocess.Popen(argv, group=ERRAND, **silent))
            enough.wait(2)
    finally:
        nat("-D", check=False)
        listener.close()
        for process in triggers:
            process.kill()
            process.wait()
        cut()
    return {"seen": seen}


def command(argv: list[str], check: bool = False) -> None:
    """Run a command for its effect."""
    subprocess.run(argv, capture_output=True, timeout=PATIENCE, check=check)


DOES = {
    "look": do_look,
    "http": do_http,
    "unix": do_unix,
    "run": do_run,
    "intercept": do_intercept,
}


def attempt(action: Any, job: Job) -> Result:
    """Carry out one job; its failure is its result, and the others go on."""
    try:
        result: Result = action(job)
    except Exception as error:
        result = failure(error)
    return result


def main() -> None:
    """Carry out the jobs on standard input and print their results."""
    jobs: dict[str, Job] = json.load(sys.stdin)
    with ThreadPoolExecutor(max_workers=16) as pool:
        futures = {name: pool.submit(attempt, DOES[job["op"]], job) for name, job in jobs.items()}
        results = {name: future.result() for name, future in futures.items()}
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
