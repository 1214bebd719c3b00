"""The exercise: its task, its check, its solution, and the wrong solutions that people try."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.resources import split_mode

if TYPE_CHECKING:
    from labkit.workshop.edited import EditedLab

__all__ = ["KINDS", "SOLVED", "Exercise", "Hint", "Outcome", "Task", "Text", "WrongSolution"]

#: What a participant does: says what the model predicts, attacks the lab, or edits its files.
KINDS = ("predict", "attack", "harden")
SOLVED = "solved"
#: How files of a lab are edited: a part of each task to harden one.
HOW_TO_EDIT = """\
Edit a machine in a terminal (`labkit exec MACHINE --mode {mode} -- COMMAND`), or in a cell with
`{lab}.exec("MACHINE", [...])` and `{lab}.write_file("MACHINE", PATH, BYTES)`. Most programs read
their files when they start: `systemctl restart UNIT`, and after a change of a unit
`systemctl daemon-reload` before it."""


class Text(str):
    r"""A text that a notebook shows as it is written.

    Examples
    --------
    >>> Text("two lines:\nno quotes")
    two lines:
    no quotes
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Task(Text):
    """The text of an exercise, which JupyterLab shows as Markdown."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a check.

    Parameters
    ----------
    state : str
        "solved", or a word for what is still open; hints are chosen by it.
    lines : tuple of str
        What the check saw. It says what is open, and not how to close it.
    about : str
        A part of a prediction that is wrong: not shown, and the next hint names it.

    Examples
    --------
    >>> Outcome("open", ("etcd still answers",))
    not yet: etcd still answers
    """

    state: str
    lines: tuple[str, ...] = ()
    about: str = ""

    @property
    def solved(self) -> bool:
        """Whether the exercise is solved."""
        return self.state == SOLVED

    def __repr__(self) -> str:
        first, *more = self.lines or (self.state,)
        word = SOLVED if self.solved else "not yet"
        return "\n".join([f"{word}: {first}", *(f"  {line}" for line in more)])


@dataclass(frozen=True, slots=True)
class Hint:
    """One hint.

    Parameters
    ----------
    text : str
    state : str
        The state of the last check for which it is meant; "" for any.
    """

    text: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class WrongSolution:
    """A solution that people try, and that the check refuses.

    Parameters
    ----------
    what : str
        Its mistake, in a few words.
    code : str
        Python, as it is typed into a notebook.
    state : str
        The state that the check must find.
    says : str
        A part of the message that the check must give.
    """

    what: str
    code: str
    state: str
    says: str


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise.

    Parameters
    ----------
    name, title : str
    notebook : str
        The name of the notebook that holds it, without its suffix.
    kind : str
        One of :data:`KINDS`.
    mode : str
        The environment of the lab in which it is solved.
    task : str
        What to do, as Markdown.
    hints : tuple of Hint
        From general to particular. The solution comes after the last one.
    check : callable
        Takes an :class:`~labkit.workshop.edited.EditedLab` and the participant's answer, or None if
        there is no answer. It returns an :class:`Outcome`. A prediction does not use the lab, and
        gets None in its place if no lab is up.
    solution : str
        Python, as it is typed into a notebook; it sets `answer` if the exercise wants one.
    wrong : tuple of WrongSolution
        At least one.
    techniques : tuple of str
        The techniques that it is about.
    plant : callable, optional
        Takes the lab and the flag, and puts the flag where the attack finds it.

    Raises
    ------
    ValueError
        The kind is unknown, or an attack plants no flag.

    Examples
    --------
    >>> from labkit.workshop import exercises
    >>> exercises["etcd-2"].kind
    'harden'
    """

    name: str
    title: str
    notebook: str
    kind: str
    mode: str
    task: str
    hints: tuple[Hint, ...]
    check: Callable[[Any, object], Outcome] = field(repr=False)
    solution: str = field(repr=False)
    wrong: tuple[WrongSolution, ...] = field(repr=False)
    techniques: tuple[str, ...]
    plant: Callable[[EditedLab, str], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: no kind {self.kind!r}")
        if (self.kind == "attack") != (self.plant is not None):
            raise ValueError(f"{self.name}: an attack plants a flag, and nothing else does")

    @property
    def has_answer(self) -> bool:
        """Whether the check wants an answer."""
        return self.kind != "harden"

    @property
    def text(self) -> Task:
        """The task, with its title and how to check it."""
        check = f"%check {self.name}{' answer' if self.has_answer else ''}"
        # a notebook names a profile's labs by the last word
        _, variable = split_mode(self.mode)
        parts = [
            f"### {self.name} ({self.kind}, in `{self.mode}`): {self.title}",
            self.task.strip(),
            *([HOW_TO_EDIT.format(mode=self.mode, lab=variable)] if self.kind == "harden" else []),
            f"Check it: `{check}`. Stuck: `%hint {self.name}`.",
        ]
        return Task("\n\n".join(parts))
