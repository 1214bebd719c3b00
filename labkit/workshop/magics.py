"""The magics of the workshop for IPython; ``%load_ext labkit`` registers them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from labkit import techniques
from labkit.errors import ConfigError, LabkitError
from labkit.lab import Lab
from labkit.lab.attach import chosen_name, lab_of_mode
from labkit.lab.progress import reporter_of_cells
from labkit.lab.removal import modes_of
from labkit.workshop import session
from labkit.workshop.definition import Task

__all__ = ["register"]

MODES = ("insecure", "hardened")


def register(shell: Any) -> None:
    """Register the magics.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
    """

    def check(words: Sequence[str]) -> object:
        """%check NAME [VARIABLE]: check an exercise; the variable holds your answer."""
        name, *variables = words
        if session.EXERCISES[name].has_answer and not variables:
            raise ConfigError(
                f"{name} asks for an answer", hint=f"set it, then: %check {name} answer"
            )
        for variable in variables:
            if variable not in shell.user_ns:
                session.require_lab(name)  # without it, the cell could not set the variable
                raise ConfigError(
                    f"there is no variable {variable!r}",
                    hint=f"set it to your answer, then %check {name} VARIABLE",
                )
        return session.check(name, *(shell.user_ns[variable] for variable in variables))

    magics: dict[str, tuple[Callable[[Sequence[str]], object], int, int]] = {
        "exercise": (lambda words: session.exercise(words[0]), 1, 1),
        "check": (check, 1, 2),
        "hint": (lambda words: session.hint(words[0]), 1, 1),
        "progress": (lambda words: session.progress(), 0, 0),
        "attack": (attack, 1, 2),
        "lab": (lab, 1, 3),
    }
    show_notice = _notices()
    for name, (function, least, most) in magics.items():
        shell.register_magic_function(
            _printing(name, function, least, most, show_notice), "line", name
        )


USAGE = {
    "exercise": "%exercise NAME",
    "check": "%check NAME [VARIABLE]",
    "hint": "%hint NAME",
    "progress": "%progress",
    "attack": "%attack TECHNIQUE [MODE]",
    "lab": "%lab reset|status [MODE [MACHINE]], or %lab switch MODE",
}


def attack(words: Sequence[str]) -> object:
    """Carry out a technique in the lab of a mode.

    Without a mode, that is insecure, or for a technique of a profile the profile's first mode.

    Parameters
    ----------
    words : sequence of str
        The technique's name, and perhaps the mode.

    Returns
    -------
    Verdict
    """
    name, *mode = words
    found = techniques[name]
    return found.run(_lab(*mode or found.modes[:1]))


def lab(words: Sequence[str]) -> object:
    """Reset the lab of a mode or show its state; without a mode, all labs that are up.

    "switch" puts the light lab of a mode in the place of the other light lab.

    Parameters
    ----------
    words : sequence of str
        "reset", "status" or "switch", perhaps the mode, and the machine that is reset alone.

    Returns
    -------
    str

    Raises
    ------
    ConfigError
        The first word is another one, or a machine is given that is not reset, or "switch" has no
        mode.
    """
    what, *rest = words
    modes, machines = rest[:1], rest[1:]
    if what == "switch" and modes and not machines:
        return str(session.switch(*modes))
    if what not in ("reset", "status") or (machines and what == "status"):
        raise ConfigError(f"%lab {' '.join(words)}: no such action", hint=USAGE["lab"])
    lines = []
    for mode in modes or _up() or MODES:
        if what == "reset":
            lines.append(str(session.reset(mode, *machines)))
        else:
            found = _lab(mode)
            status = found.status()
            lines += [f"{found.mode}: {status.state}", *(f"  {line}" for line in status.lines())]
    return "\n".join(lines)


def _up() -> list[str]:
    """Return the modes of the labs of the chosen name, insecure and hardened first."""
    found = modes_of(chosen_name(None))
    return sorted(found, key=lambda mode: (mode not in MODES, mode != MODES[0]))


def _lab(mode: str) -> Lab:
    return lab_of_mode(mode, chosen_name(None))


def _notices() -> Callable[[object], None]:
    """Return a function that prints what the trainer says, once, where a lab has been chosen.

    It takes what was printed before, in which the notice may be.
    """
    seen = ""

    def show(printed: object) -> None:
        nonlocal seen
        if chosen_name(None) != "default" and (told := session.notice()) != seen:
            seen = told
            if told not in str(printed):
                print(told)

    return show


def _printing(
    name: str,
    function: Callable[[Sequence[str]], object],
    least: int,
    most: int,
    after: Callable[[object], None],
) -> Callable[[str], Task | None]:
    """Return a magic that prints a result or an error without a traceback, and returns a task."""

    @wraps(function)
    def magic(line: str) -> Task | None:
        try:
            words = shlex.split(line)
        except ValueError:  # a quote without its partner
            words = []
        if not least <= len(words) <= most:
            print(f"usage: {USAGE[name]}")
            return None
        with reporter_of_cells().step(f"%{name} {line}".rstrip()):
            try:
                result: object = function(words)
            except LabkitError as error:
                result = error
            if not isinstance(result, Task):
                print(result)
            after(result)
        return result if isinstance(result, Task) else None

    return magic
