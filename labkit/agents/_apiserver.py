"""Ask the apiserver with the credential of a kubeconfig, without the time that kubectl needs.

kubectl takes a tenth of a second of CPU time to start, curl an eighth of that. The text of this
module replaces its import when a program is sent. So it must not import from ``__future__``, and a
program gets all its names.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from labkit.agents._documents import documents

#: The settings of a kubeconfig that curl has an option for.
OPTIONS = {
    "certificate-authority": "--cacert",
    "client-certificate": "--cert",
    "client-key": "--key",
}
#: A path or a URL behind the name of a setting, alone on its line.
VALUE = r"^[ \t-]*%s:[ \t]+[\"']?([^\s\"'#]+)[\"']?[ \t]*$"
#: Settings that are left to kubectl.
OTHERS = re.compile(
    r"\b(\w+(-\w+)*-data|token(File)?|username|exec|auth-provider|as|as-\w+|proxy-url|tls-server-name)"
    r"[\"']?:"
)
#: Where the apiserver lists the objects of a kind.
PATHS = {"endpointslices": "/apis/discovery.k8s.io/v1/endpointslices"}


def request(kubeconfig: str, paths: list[str], seconds: int) -> list[str]:
    """Return the command that asks for some paths: curl, or kubectl for the first path.

    It is curl if the kubeconfig names one server, and one certificate with its key, as files.
    """
    try:
        text = Path(kubeconfig).read_text()
    except OSError:
        text = ""
    server = only(text, "server")
    files = {option: only(text, name) for name, option in OPTIONS.items()}
    verified = files["--cacert"].startswith("/") or "certificate-authority" not in text
    proved = files["--cert"].startswith("/") and files["--key"].startswith("/")
    if not (server and verified and proved) or OTHERS.search(text):
        options = [f"--kubeconfig={kubeconfig}", f"--request-timeout={seconds}s"]
        return ["kubectl", *options, "get", f"--raw={paths[0]}"]
    argv = ["curl", "--silent", "--show-error", "--fail-with-body", "--fail-early"]
    argv += ["--max-time", str(seconds)]
    argv += [word for option, file in files.items() if file for word in (option, file)]
    argv += ["--insecure"] if only(text, "insecure-skip-tls-verify") == "true" else []
    return argv + [server.rstrip("/") + path for path in paths]


def only(text: str, name: str) -> str:
    """Return the value of a setting that stands once in a text; "" if it does not."""
    found = re.findall(VALUE % name, text, re.MULTILINE)
    return str(found[0]) if len(found) == text.count(f"{name}:") == 1 else ""


def listed(kubeconfig: str, kinds: str) -> list[dict[str, Any]]:
    """Return all objects of some kinds; if the request fails, exit as it does, with the answer."""
    paths = [PATHS.get(kind, f"/api/v1/{kind}") for kind in kinds.split(",")]
    argv = request(kubeconfig, paths, 20)
    commands = [argv] if argv[0] == "curl" else [request(kubeconfig, [it], 20) for it in paths]
    text = ""
    for command in commands:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            if reason := message_of(done.stdout):
                print(reason, file=sys.stderr)
            sys.exit(done.returncode)
        text += done.stdout
    return [item for reply in documents(text) for item in items(reply)]


def message_of(text: str) -> str:
    """Return the message of an apiserver's last answer; "" without one."""
    try:
        return str(documents(text)[-1]["message"])
    except (ValueError, LookupError, TypeError):
        return ""


def items(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a list, each with its kind, which only the list tells."""
    kind = reply["kind"].removesuffix("List")
    return [{"kind": kind, **item} for item in reply["items"]]


def end(missing: list[str]) -> None:
    """Exit with 1 and these lines, if there are any."""
    if missing:
        sys.exit("\n".join(missing))
