"""``labkit exec | kubectl | logs``: run commands and read logs on the machines of a lab."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli._messages import complain
from labkit.cli._options import Mode, Name

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = ["execute", "kubectl", "logs"]

Stdin = Annotated[
    bool, typer.Option("--stdin", "-i", help="Read standard input to its end, and pass it on.")
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0.1,
        help="Kill the command after this time. Default: 60, or as soon as something of the lab is "
        "found that does not run.",
    ),
]
DEFAULT_S = 60.0


def _lab(mode: str, name: str) -> Lab:
    from labkit.lab import Lab

    return Lab(mode, name=name)


def _watch(lab: Lab, run: Callable[[float], Output], timeout: float | None) -> Output:
    """Run a command for as many seconds as a person said, or else as long as the lab is ready."""
    from labkit.lab.watched import PATIENCE_S, watched

    return watched(lab, lambda: run(timeout or DEFAULT_S), PATIENCE_S if timeout is None else None)


def _read(wanted: bool) -> bytes | None:
    return sys.stdin.buffer.read() if wanted else None


def _write(output: Output) -> None:
    """Write the output of a command byte for byte."""
    for stream, data in ((sys.stdout, output.stdout), (sys.stderr, output.stderr)):
        stream.flush()
        stream.buffer.write(data)
        stream.flush()


def execute(
    node: Annotated[
        str, typer.Argument(metavar="NODE", help="A machine: master, worker1, etcd1, attacker ...")
    ],
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND", help="The command and its arguments.")
    ],
    mode: Mode,
    name: Name = "default",
    user: Annotated[
        str | None,
        typer.Option(
            "--user", "-u", metavar="USER", help="The user that runs the command. Default: root."
        ),
    ] = None,
    stdin: Stdin = False,
    timeout: Timeout = None,
) -> None:
    """Run a command on a machine of a lab, and exit with its exit status.

    For example: labkit exec worker1 --mode hardened -- ss -ltnp
    """
    lab, given = _lab(mode, name), _read(stdin)
    output = _watch(
        lab,
        lambda seconds: lab.exec(
            node, command, stdin=given, user=user, timeout=seconds, check=False
        ),
        timeout,
    )
    _write(output)
    raise typer.Exit(output.exit_code)


def kubectl(
    arguments: Annotated[
        list[str], typer.Argument(metavar="-- ARGUMENT", help="The arguments of kubectl.")
    ],
    mode: Mode,
    name: Name = "default",
    stdin: Stdin = False,
    timeout: Timeout = None,
) -> None:
    """Run kubectl on a lab's control plane as cluster-admin.

    For example: labkit kubectl --mode hardened -- get pods -A
    """
    lab, given = _lab(mode, name), _read(stdin)
    output = _watch(
        lab,
        lambda seconds: lab.kubectl(*arguments, stdin=given, timeout=seconds, check=False),
        timeout,
    )
    _write(output)
    if output.exit_code and (status := lab.status()).state != "ready":
        complain(status.error())
    raise typer.Exit(output.exit_code)


def logs(
    node: Annotated[
        str, typer.Argument(metavar="NODE", help="A machine: master, worker1, etcd1 ...")
    ],
    mode: Mode,
    unit: Annotated[
        str | None,
        typer.Argument(
            metavar="UNIT", help="A systemd unit: kubelet, etcd ... Default: all units."
        ),
    ] = None,
    name: Name = "default",
    lines: Annotated[
        int,
        typer.Option("--lines", "-n", metavar="N", min=1, help="Print at most this many lines."),
    ] = 50,
) -> None:
    """Print the last lines of a machine's journal.

    For example: labkit logs worker1 kubelet --mode insecure
    """
    from labkit.lab.watched import watched

    lab = _lab(mode, name)
    typer.echo(watched(lab, lambda: lab.logs(node, unit, lines)).rstrip("\n"))
