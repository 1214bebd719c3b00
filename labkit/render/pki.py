"""Who signs whom, and who trusts whom: the certificates of an environment as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.render.canvas import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from labkit.cluster import Environment

__all__ = ["trust"]

COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
ROW = 0.34


def trust(*environments: Environment) -> Figure:
    """Draw the authorities of environments and the certificates that each of them signs.

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
    most = max(len(env.certificates) + len(env.authorities) for env in environments)
    names = ", ".join(env.name for env in environments)
    width, height = 7.4 * len(environments), ROW * most + 0.9
    figure = canvas(f"who signs whom in {names}", width, height)
    for number, env in enumerate(environments):
        share = 1 / len(environments)
        axes = figure.add_axes(((number + 0.01) * share, 0.0, 0.98 * share, 0.92))
        axes.set_axis_off()
        axes.set_xlim(0, 10)
        axes.set_ylim(most, -0.6)
        count = len(env.authorities)
        axes.set_title(f"{env.name}: {count} {'authority' if count == 1 else 'authorities'}")
        _panel(axes, env)
    return figure


def _panel(axes: Axes, env: Environment) -> None:

    row = 0.0
    for colour, authority in zip(COLOURS, env.authorities, strict=False):
        signed = [plan for plan in env.certificates if plan.signed_by == authority.name]
        middle = row + max(0, len(signed) - 1) / 2
        box = {"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": "none"}
        axes.text(0.1, middle, authority.name, color="white", va="center", fontsize=10, bbox=box)
        for plan in signed:
            axes.plot([1.0, 4.1], [middle, row], color=colour, linewidth=1.4, zorder=0)
            who = plan.common_name + (f" ({plan.organization})" if plan.organization else "")
            usage = "+".join(plan.usages)
            axes.text(4.2, row, f"{who}  ·  {usage}", va="center", fontsize=9)
            row += 1
        row += 1
