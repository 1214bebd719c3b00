"""The exceptions of labkit, as one small tree.

::

    LabkitError
    ├── ConfigError            a file or a value is missing or malformed
    │   ├── NoSuchName             there is no technique or control of that name
    │   └── NotUnderstood          nothing, or not all, of a cluster could be read
    ├── EngineError            Docker Engine is missing, or lacks something that a lab needs
    ├── ImageError             an image cannot be built, saved, loaded, pushed or pulled
    │   └── BuildFailed
    ├── LabError               a lab cannot be created, found or changed
    │   ├── NameTaken
    │   ├── NoSuchLab
    │   ├── LabBusy
    │   ├── StartTimeout
    │   └── CommandFailed
    └── ProbeError             a probe could not be carried out (never a refusal)
        └── ProbeTimeout

Each of them says what happened, and to what (the message), what was seen (the evidence, for
example the last lines of a log) and the command to run next (the hint).
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "BuildFailed",
    "CommandFailed",
    "ConfigError",
    "EngineError",
    "ImageError",
    "LabBusy",
    "LabError",
    "LabkitError",
    "NameTaken",
    "NoSuchLab",
    "NoSuchName",
    "NotUnderstood",
    "ProbeError",
    "ProbeTimeout",
    "StartTimeout",
]


class LabkitError(Exception):
    """The base class of all exceptions that labkit raises on purpose.

    Parameters
    ----------
    message : str
        What happened, and to what.
    evidence : sequence of str, optional
        What was seen: lines of a log or of a command's output.
    hint : str, optional
        The command to run next, or the thing to do next.

    Examples
    --------
    >>> error = LabkitError("etcd1 did not start", evidence=["bind: in use"], hint="labkit logs")
    >>> print(error)
    etcd1 did not start
      | bind: in use
      next: labkit logs
    """

    def __init__(self, message: str, *, evidence: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.evidence = tuple(evidence)
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.message, *(f"  | {line}" for line in self.evidence)]
        if self.hint:
            lines.append(f"  next: {self.hint}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback: what a command would say."""
        return str(self).splitlines()


class ConfigError(LabkitError):
    """A file or a value is missing or malformed, or contradicts another one.

    Attributes
    ----------
    place : tuple of (str, int or None, str), or None
        The file, its line and what is wrong there, if known.
    """

    place: tuple[str, int | None, str] | None = None


class NoSuchName(ConfigError, KeyError):
    """There is no technique or control of that name."""


class NotUnderstood(ConfigError):
    """Nothing, or not all, of a cluster could be read: silence would mean nothing."""


class EngineError(LabkitError):
    """Docker Engine does not answer, or lacks something that a lab needs."""


class ImageError(LabkitError):
    """An image could not be saved, loaded, pushed, pulled or found."""


class BuildFailed(ImageError):
    """A step of an image's build failed; the evidence is the end of its log."""


class LabError(LabkitError):
    """A lab could not be made, found or changed."""


class NameTaken(LabError):
    """A container of something else already has the name of a lab's machine."""


class NoSuchLab(LabError):
    """No lab of that name and mode is on this engine."""


class LabBusy(LabError):
    """Another process changes the lab at this moment."""


class StartTimeout(LabError):
    """A component did not become ready before its deadline."""


class CommandFailed(LabError):
    """A command on a machine ran too long, or ended with another exit status than 0."""


class ProbeError(LabkitError):
    """A probe could not be carried out; this never counts as a refusal."""


class ProbeTimeout(ProbeError):
    """A probe got no answer before its deadline."""
