"""``labkit exec | kubectl | logs``: into one lab."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli._options import Mode, Name

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = ["execute", "kubectl", "logs"]

Stdin = Annotated[
    bool, typer.Option("--stdin", "-i", help="Pass standard input on (all of it, to its end).")
]


def _lab(mode: str, name: str) -> Lab:
    from labkit.lab import Lab

    return Lab(mode, name=name)


def _read(wanted: bool) -> bytes | None:
    return sys.stdin.buffer.read() if wanted else None


def _leave(output: Output) -> None:
    """Pass on what a command printed, byte for byte, and exit as it did."""
    for stream, data in ((sys.stdout, output.stdout), (sys.stderr, output.stderr)):
        stream.flush()
        stream.buffer.write(data)
        stream.flush()
    raise typer.Exit(output.exit_code)


def execute(
    node: Annotated[str, typer.Argument(metavar="NODE", help="worker1, etcd1, attacker ...")],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND")],
    mode: Mode,
    name: Name = "default",
    user: Annotated[
        str | None, typer.Option("--user", "-u", metavar="USER", help="Who runs it; else root.")
    ] = None,
    stdin: Stdin = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="End it after this long.")
    ] = 60,
) -> None:
    """Run a command on a machine of a lab; its exit status is passed on.

    For example: labkit exec worker1 --mode hardened -- ss -ltnp
    """
    lab = _lab(mode, name)
    output = lab.exec(node, command, stdin=_read(stdin), user=user, timeout=timeout, check=False)
    _leave(output)


def kubectl(
    arguments: Annotated[list[str], typer.Argument(metavar="-- ARGUMENT")],
    mode: Mode,
    name: Name = "default",
    stdin: Stdin = False,
) -> None:
    """Run kubectl on a lab's master, as the one who may do everything.

    For example: labkit kubectl --mode hardened -- get pods -A
    """
    _leave(_lab(mode, name).kubectl(*arguments, stdin=_read(stdin), check=False))


def logs(
    node: Annotated[str, typer.Argument(metavar="NODE", help="worker1, etcd1, master ...")],
    mode: Mode,
    unit: Annotated[
        str | None, typer.Argument(metavar="UNIT", help="kubelet, etcd ...; else all of them.")
    ] = None,
    name: Name = "default",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many, at most.")] = 50,
) -> None:
    """Print the end of a machine's journal.

    For example: labkit logs worker1 kubelet --mode insecure
    """
    typer.echo(_lab(mode, name).logs(node, unit, lines).rstrip("\n"))
