"""Run commands and read or write files on one machine of a lab, through the Docker API."""

from __future__ import annotations

import contextlib
import io
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from docker.errors import APIError, NotFound
from docker.models.containers import Container

from labkit import agents
from labkit.errors import CommandFailed, LabError
from labkit.lab.connection import NotStarted, connection_to

__all__ = [
    "FileSpec",
    "Output",
    "archive",
    "call",
    "execute",
    "read_file",
    "send_files",
    "write_files",
]

#: The exit status of timeout(1): 124 after SIGTERM, 137 after SIGKILL.
TIMED_OUT = (124, 137)
#: Seconds to wait for a machine's answer beyond a command's own timeout.
LAG = 20.0


@dataclass(frozen=True, slots=True)
class Output:
    """The exit status and the output of a command.

    Attributes
    ----------
    exit_code : int
    stdout, stderr : bytes
    """

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """The standard output, decoded."""
        return self.stdout.decode(errors="replace")

    @property
    def error(self) -> str:
        """The standard error, decoded."""
        return self.stderr.decode(errors="replace")

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show it in a notebook as a terminal does."""
        status = f"exit status {self.exit_code}\n" if self.exit_code else ""
        printer.text(f"{self.text}{self.error}{status}".rstrip("\n"))


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One file or symbolic link to write on a machine.

    Attributes
    ----------
    path : str
        The absolute path on the machine.
    data : bytes
        The content.
    mode : int
        The permission bits.
    link : str
        The target of a symbolic link; "" for a file.
    """

    path: str
    data: bytes = b""
    mode: int = 0o644
    link: str = ""


def execute(
    container: Container,
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    user: str | None = None,
    timeout: float = 30,
    check: bool = True,
) -> Output:
    """Run a command on a machine.

    Parameters
    ----------
    container : docker.models.containers.Container
        The machine.
    argv : sequence of str
        The command and its arguments; no shell reads them.
    stdin : bytes, optional
        The command's standard input.
    user : str, optional
        The user that runs it; by default root.
    timeout : float
        Seconds until the command is killed.
    check : bool
        Raise if the exit status is not 0.

    Returns
    -------
    Output

    Raises
    ------
    CommandFailed
        It ran longer than `timeout`, or `check` is set and its exit status is not 0.
    LabError
        The machine takes no commands, or cannot start this one: a user is missing.
    """
    command = ["timeout", "--kill-after=2", f"{timeout:g}", *argv]
    try:
        code, stdout, stderr = connection_to(container).run(
            command, stdin, user or "", timeout + LAG
        )
    except (APIError, NotFound) as error:
        raise _unwell(container, str(error.explanation or error)) from error
    except NotStarted as error:
        what = f"{container.name} could not start {shown(argv)}"
        raise LabError(what, evidence=[error.message]) from error
    except LabError as error:
        raise _unwell(container, error.message) from error
    output = Output(code, stdout, stderr)
    if code in TIMED_OUT or (check and code != 0):
        what = f"did not end within {timeout:g} s" if code in TIMED_OUT else f"exited with {code}"
        lines = (output.error + output.text).strip().splitlines()
        # curl --verbose shows what it sends
        tail = [line for line in lines if "authorization:" not in line.lower()][-10:]
        raise CommandFailed(f"{container.name}: {shown(argv)} {what}", evidence=tail)
    return output


def shown(argv: Sequence[str]) -> str:
    r"""Return a command as a message names it: of a program's text only the first line.

    Parameters
    ----------
    argv : sequence of str

    Returns
    -------
    str
        At most 200 characters.

    Examples
    --------
    >>> shown(["sh", "-c", "# Write a file.\ncat >$1", "sh", "/tmp/a"])
    'sh -c Write a file. sh /tmp/a'
    """
    first = (it.strip('\n"# ').partition("\n")[0] if "\n" in it else it for it in argv)
    return " ".join(first)[:200]


def call(container: Container, program: str, *arguments: str, timeout: float = 30) -> str:
    """Let a machine's server of commands call a program, without a process for it.

    Parameters
    ----------
    container : docker.models.containers.Container
        The machine.
    program : str
        The name of a program of :mod:`labkit.agents` that has a function ``answer``.
    *arguments : str
        The arguments of the function.
    timeout : float
        Seconds to wait for the answer.

    Returns
    -------
    str
        What the function returns.

    Raises
    ------
    LabError
        The machine takes no commands, or the function failed.
    """
    try:
        return connection_to(container).call(agents.load(program), arguments, timeout)
    except (APIError, NotFound) as error:
        raise _unwell(container, str(error.explanation or error)) from error


def _unwell(container: Container, said: str) -> LabError:
    """Return the error of a machine that takes no commands, with the reason as evidence."""
    evidence = [said]
    with contextlib.suppress(APIError, NotFound):
        container.reload()
        state = container.attrs["State"]
        if state["Status"] == "exited":
            evidence = container.logs(tail=10).decode(errors="replace").splitlines()
            evidence.append(f"it exited with {state['ExitCode']}")
            if state["ExitCode"] == 255:  # the exit status of systemd if it cannot start at all
                evidence.append("systemd could not start; check the kernel's inotify limit")
    return LabError(
        f"{container.name} does not take commands", evidence=evidence, hint="labkit doctor"
    )


def archive(files: Sequence[FileSpec]) -> bytes:
    """Return files as a tar archive that Docker unpacks at the root of a machine.

    Parameters
    ----------
    files : sequence of FileSpec

    Returns
    -------
    bytes
        The archive, without compression.

    Examples
    --------
    >>> with tarfile.open(fileobj=io.BytesIO(archive([FileSpec("/etc/a", b"x")]))) as tar:
    ...     tar.getnames()
    ['etc/a']
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in files:
            info = tarfile.TarInfo(file.path.lstrip("/"))
            info.mode, info.mtime = file.mode, int(time.time())
            if file.link:
                info.type, info.linkname = tarfile.SYMTYPE, file.link
            info.size = 0 if file.link else len(file.data)
            tar.addfile(info, io.BytesIO(file.data))
    return buffer.getvalue()


def send_files(container: Container, files: Sequence[FileSpec]) -> None:
    """Write files on a running machine, more quickly than :func:`write_files`.

    Parameters
    ----------
    container : docker.models.containers.Container
        The machine.
    files : sequence of FileSpec
        The files and links; missing folders are created.

    Raises
    ------
    CommandFailed
        A file could not be written.
    LabError
        The machine takes no commands.
    """
    argv = ["tar", "--extract", "--file=-", "--directory=/"]
    execute(container, argv, stdin=archive(files))


def write_files(container: Container, files: Sequence[FileSpec]) -> None:
    """Write files on a machine, which may be stopped.

    Parameters
    ----------
    container : docker.models.containers.Container
        The machine.
    files : sequence of FileSpec
        The files and links; missing folders are created.

    Raises
    ------
    LabError
        The engine refuses.
    """
    try:
        container.put_archive("/", archive(files))
    except APIError as error:
        raise LabError(
            f"{container.name}: files could not be written",
            evidence=[str(error.explanation)],
            hint="labkit doctor",
        ) from error


def read_file(container: Container, path: str) -> bytes:
    """Return the content of one file on a machine.

    Parameters
    ----------
    container : docker.models.containers.Container
        The machine.
    path : str
        The absolute path on the machine, not below a tmpfs such as /run.

    Returns
    -------
    bytes

    Raises
    ------
    LabError
        The path does not exist, or is not a file.
    """
    try:
        chunks, _ = container.get_archive(path)
    except NotFound as error:
        raise LabError(f"{container.name} has no file {path}") from error
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        member = tar.extractfile(tar.next())  # type: ignore[arg-type]
        if member is None:
            raise LabError(f"{container.name}: {path} is not a file")
        return member.read()
