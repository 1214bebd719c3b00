"""What can go wrong, as one small tree.

::

    LabkitError
    ├── ConfigError            a file of an environment cannot be understood
    │   └── NoSuchName             there is no technique or control of that name
    ├── EngineError            Docker Engine is missing or cannot do what a lab needs
    ├── ImageError             an image cannot be made, saved, loaded, pushed or pulled
    │   └── BuildFailed
    ├── LabError               a lab cannot be made, found or changed
    │   ├── NameTaken
    │   ├── NoSuchLab
    │   ├── StartTimeout
    │   └── CommandFailed
    └── ProbeError             a probe could not be carried out (never a refusal)
        └── ProbeTimeout

Every one of them says what happened and to what (the message), what was seen (the
evidence: the last lines of a log, say) and the one command to run next (the hint).
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "BuildFailed",
    "CommandFailed",
    "ConfigError",
    "EngineError",
    "ImageError",
    "LabError",
    "LabkitError",
    "NameTaken",
    "NoSuchLab",
    "NoSuchName",
    "ProbeError",
    "ProbeTimeout",
    "StartTimeout",
]


class LabkitError(Exception):
    """The root of everything that labkit raises on purpose.

    Parameters
    ----------
    message : str
        What happened, and to what.
    evidence : sequence of str, optional
        What was seen: lines of a log or of a command's output.
    hint : str, optional
        The one command, or the one thing, to do next.

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


class ConfigError(LabkitError):
    """A file of an environment is missing, malformed or contradicts another.

    ``place`` is the file, its line and what is wrong there, where that is known.
    """

    place: tuple[str, int | None, str] | None = None


class NoSuchName(ConfigError, KeyError):
    """There is no technique or control of that name."""


class EngineError(LabkitError):
    """Docker Engine does not answer, or lacks something that a lab needs."""


class ImageError(LabkitError):
    """An image could not be saved, loaded, pushed, pulled or found."""


class BuildFailed(ImageError):
    """A step of an image's build failed; the evidence is the end of its log."""


class LabError(LabkitError):
    """A lab could not be made, found or changed."""


class NameTaken(LabError):
    """A lab of that name and mode is there already."""


class NoSuchLab(LabError):
    """No lab of that name and mode is on this engine."""


class StartTimeout(LabError):
    """A component did not become ready before its deadline."""


class CommandFailed(LabError):
    """A command inside a node ended with an exit status other than the expected."""


class ProbeError(LabkitError):
    """A probe could not be carried out; that is never taken for a refusal."""


class ProbeTimeout(ProbeError):
    """A probe got no answer at all in its time."""
