"""``labkit exec | kubectl | logs``: run commands and read logs on the machines of a lab."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli._options import Mode, Name

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = ["execute", "kubectl", "logs"]

Stdin = Annotated[
    bool, typer.Option("--stdin", "-i", help="Read standard input to its end, and pass it on.")
]


def _lab(mode: str, name: str) -> Lab:
    from labkit.lab import Lab

    return Lab(mode, name=name)


def _read(wanted: bool) -> bytes | None:
    return sys.stdin.buffer.read() if wanted else None


def _leave(output: Output) -> None:
    """Write the output of a command byte for byte, and exit with its exit status."""
    for stream, data in ((sys.stdout, output.stdout), (sys.stderr, output.stderr)):
        stream.flush()
        stream.buffer.write(data)
        stream.flush()
    raise typer.Exit(output.exit_code)


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
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0.1, help="Kill the command after this time."
        ),
    ] = 60,
) -> None:
    """Run a command on a machine of a lab, and exit with its exit status.

    For example: labkit exec worker1 --mode hardened -- ss -ltnp
    """
    lab = _lab(mode, name)
    output = lab.exec(node, command, stdin=_read(stdin), user=user, timeout=timeout, check=False)
    _leave(output)


def kubectl(
    arguments: Annotated[
        list[str], typer.Argument(metavar="-- ARGUMENT", help="The arguments of kubectl.")
    ],
    mode: Mode,
    name: Name = "default",
    stdin: Stdin = False,
) -> None:
    """Run kubectl on a lab's control plane as cluster-admin.

    For example: labkit kubectl --mode hardened -- get pods -A
    """
    _leave(_lab(mode, name).kubectl(*arguments, stdin=_read(stdin), check=False))


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
    typer.echo(_lab(mode, name).logs(node, unit, lines).rstrip("\n"))
