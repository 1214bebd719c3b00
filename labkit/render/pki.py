"""Draw the certificate authorities of an environment and the certificates that they sign."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

from labkit.render.canvas import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from labkit.cluster import Environment
    from labkit.cluster.certificates import PlannedCertificate

__all__ = ["trust"]

COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
ROW = 0.34
#: Most subjects that the picture names for one planned certificate; it counts the rest.
SUBJECTS = 4


def trust(*environments: Environment) -> Figure:
    """Draw the authorities of environments and the certificates that each of them signs.

    If every machine of a role has its own certificate, each machine has a line.

    Parameters
    ----------
    *environments : Environment

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> trust(read_environment("insecure"), read_environment("hardened"))
    <picture of who signs whom in insecure, hardened>
    """
    signed = [_signed(env) for env in environments]
    most = max(sum(max(1, len(lines)) + 1 for lines in each.values()) for each in signed)
    names = ", ".join(env.name for env in environments)
    width, height = 7.4 * len(environments), ROW * most + 0.9
    figure = canvas(f"who signs whom in {names}", width, height)
    for number, (env, lines) in enumerate(zip(environments, signed, strict=True)):
        share = 1 / len(environments)
        axes = figure.add_axes(((number + 0.01) * share, 0.0, 0.98 * share, 0.92))
        axes.set_axis_off()
        axes.set_xlim(0, 10)
        axes.set_ylim(most, -0.6)
        count = len(env.authorities)
        axes.set_title(f"{env.name}: {count} {'authority' if count == 1 else 'authorities'}")
        _panel(axes, lines)
    return figure


def _signed(env: Environment) -> dict[str, list[str]]:
    """Return what each authority signs, one line for each certificate's subject and usages."""
    found: dict[str, list[str]] = {authority.name: [] for authority in env.authorities}
    for plan in env.certificates:
        usage = "+".join(plan.usages)
        for subject in _subjects(env, plan):
            found.setdefault(plan.signed_by, []).append(f"{subject}  ·  {usage}")
    return found


def _subjects(env: Environment, plan: PlannedCertificate) -> list[str]:
    """Return the subjects of a planned certificate, on all machines that hold it."""
    held = dict.fromkeys(
        it.common_name + (f" ({it.organizations[0]})" if it.organizations else "")
        for it in env.credentials
        if (it.name, it.certificate) == (plan.name, plan.certificate)
    )
    names = list(held) or [f"{plan.name} (on no machine)"]
    if len(names) <= SUBJECTS:
        return names
    return [*names[: SUBJECTS - 1], f"and {len(names) - SUBJECTS + 1} more of {plan.name}"]


def _panel(axes: Axes, signed: dict[str, list[str]]) -> None:
    row = 0.0
    for colour, (authority, lines) in zip(cycle(COLOURS), signed.items(), strict=False):
        middle = row + max(0, len(lines) - 1) / 2
        box = {"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": "none"}
        axes.text(0.1, middle, authority, color="white", va="center", fontsize=10, bbox=box)
        for line in lines:
            axes.plot([1.0, 4.1], [middle, row], color=colour, linewidth=1.4, zorder=0)
            axes.text(4.2, row, line, va="center", fontsize=9)
            row += 1
        row += 1 if lines else 2
