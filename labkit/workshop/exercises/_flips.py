"""Predictions of what one control changes: the exercises of several notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labkit.cluster import read_environment
from labkit.controls import with_controls
from labkit.model import read_model
from labkit.resources import split_mode
from labkit.workshop.checks import compare, predictions, sets_of_names
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["flips"]

#: Characters of a line of code, with its newline.
WIDTH = 101


def flips(
    name: str,
    title: str,
    notebook: str,
    mode: str,
    controls: Sequence[str],
    techniques: Sequence[str],
    hints: Sequence[str],
    solution: Mapping[str, Sequence[str]],
) -> Exercise:
    """Return an exercise that asks what each control changes, flipped alone.

    Parameters
    ----------
    name, title, notebook : str
        As of an exercise.
    mode : str
        In "insecure" each control is put in place, in "hardened" it is taken out; so also in the
        two modes of a profile.
    controls, techniques : sequence of str
        The names of the controls, and of the techniques that are asked about.
    hints : sequence of str
    solution : mapping of str to sequence of str
        By control, the techniques whose result changes.

    Returns
    -------
    Exercise
    """
    on = split_mode(mode)[1] == "insecure"

    def check(lab: EditedLab, answer: object) -> Outcome:
        env = read_environment(mode)
        plain = predictions(read_model(env), techniques)
        expected = {}
        for control in controls:
            said = predictions(read_model(with_controls(env, {control: on})), techniques)
            expected[control] = {it for it in techniques if said[it] != plain[it]}
        return compare(expected, sets_of_names(answer))

    done = "put in place" if on else "taken out"
    listed = "\n".join(f"- `{control}`" for control in controls)
    return Exercise(
        name=name,
        title=title,
        notebook=notebook,
        kind="predict",
        mode=mode,
        task=f"""
One control is {done} in `{mode}`, and nothing else changes. For which of the techniques
{", ".join(f"`{it}`" for it in techniques)} does that change the result? It may be none. Each
technique starts from its first foothold. Answer for each of

{listed}

Set `answer` to a dict: the control's name, and the set of the techniques (`set()` for none).
`labkit.controls[NAME].why` says what a control is for, and `labkit technique show NAME` from where
a technique starts, and which settings decide.
""",
        hints=tuple(Hint(text) for text in hints),
        check=check,
        solution=_written(solution),
        wrong=(
            WrongSolution(
                "every control is worth something alone",
                f"answer = dict.fromkeys({list(controls)!r}, {set(techniques)!r})",
                "wrong-answer",
                f"of {len(controls)} ",
            ),
            WrongSolution(
                "one control only",
                f"answer = {{{controls[0]!r}: set()}}",
                "incomplete",
                f"no answer for {controls[1]}",
            ),
        ),
        techniques=tuple(techniques),
    )


def _written(solution: Mapping[str, Sequence[str]]) -> str:
    """Return a solution as a participant would type it, and as ruff would format it."""
    lines = []
    for control, names in solution.items():
        words = ", ".join(f'"{name}"' for name in names)
        line = f'    "{control}": {f"{{{words}}}" if words else "set()"},\n'
        if len(line) > WIDTH:
            rows = "".join(f'        "{name}",\n' for name in names)
            line = f'    "{control}": {{\n{rows}    }},\n'
        lines.append(line)
    return f"\nanswer = {{\n{''.join(lines)}}}\n"
