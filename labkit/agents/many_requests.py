"""Send many HTTPS requests over one connection, and print what each was answered.

On standard input: ``{"host", "port", "certificate", "key", "requests": [{"method", "path", "body",
"headers", "until"}, ...]}``. With ``until``, a request is repeated until its answer says
``status.allowed``, or for 20 seconds. Prints ``[[status, allowed or null, text], ...]``; the text
is the answer's start if the status is 400 or more.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import time
from typing import Any

#: Seconds for one answer, and for one that becomes true.
ANSWER, PATIENCE = 20, 20.0


def connect(about: dict[str, Any]) -> http.client.HTTPSConnection:
    """Return a connection; the machines of a lab know one another by their addresses."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if about.get("certificate"):
        context.load_cert_chain(about["certificate"], about["key"])
    return http.client.HTTPSConnection(
        about["host"], about["port"], timeout=ANSWER, context=context
    )


def ask(connection: http.client.HTTPSConnection, request: dict[str, Any]) -> list[Any]:
    """Send one request, again over a new connection if the server has closed the old one."""
    body = request.get("body")
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **request.get("headers", {})}
    for last in (False, True):
        try:
            connection.request(request["method"], request["path"], data, headers)
            answer = connection.getresponse()
            content = answer.read()
            break
        except (http.client.HTTPException, ConnectionError):
            connection.close()
            if last:
                raise
    allowed = None
    if content.startswith(b"{"):
        status = json.loads(content).get("status")
        allowed = status.get("allowed") if isinstance(status, dict) else None
    text = content[:300].decode(errors="replace") if answer.status >= 400 else ""
    return [answer.status, allowed, text]


def main(about: dict[str, Any]) -> list[list[Any]]:
    """Send all requests in their order."""
    connection = connect(about)
    found = []
    for request in about["requests"]:
        deadline = time.monotonic() + PATIENCE
        answer = ask(connection, request)
        while request.get("until") and answer[1] is not True and time.monotonic() < deadline:
            time.sleep(0.02)
            answer = ask(connection, request)
        found.append(answer)
    connection.close()
    return found


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
