"""Draw the bytes that an attacker read, with readable bytes in another colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.render.canvas import canvas
from labkit.techniques._lib.stores.secret import Sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from labkit.techniques._lib.verdict import Verdict

__all__ = ["evidence"]

COLUMNS = 32
# Okabe and Ito's colours; the sign in each cell shows the kind of a byte as well
FILLS = {
    "secret": ("#D55E00", "white", "secret"),
    "header": ("#009E73", "white", "says that the rest is ciphertext"),
    "text": ("#DCEBF7", "#1F3B57", "can be read"),
    "other": ("#EEEEEE", "#BBBBBB", "cannot be read"),
}
#: Shortest run of readable bytes that counts as text; shorter runs occur by chance.
TEXT = 6
READABLE = frozenset(
    b'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-/:,={}()"\r\n'
)


def evidence(*verdicts: Verdict) -> Figure:
    """Draw the bytes that techniques read, one panel for each verdict.

    Parameters
    ----------
    *verdicts : Verdict
        A verdict without a sample of bytes is left out. The secret itself is not drawn.

    Returns
    -------
    matplotlib.figure.Figure
        A notebook shows it as PNG, without pyplot.

    Examples
    --------
    >>> evidence()
    <picture of >
    """
    from matplotlib.patches import Patch

    samples = [(v, s) for v in verdicts if isinstance(s := v.details.get("sample"), Sample)]
    names = ", ".join(f"{verdict.technique} {verdict.mode}" for verdict, _ in samples)

    rows = max((-(-len(s.data) // COLUMNS) for _, s in samples), default=1)
    high = 0.27 * rows + 0.95
    shown = canvas(names, 6.9 * max(1, len(samples)), high)
    used: set[str] = set()
    for number, (verdict, sample) in enumerate(samples):
        axes = shown.add_axes(
            ((number + 0.02) / len(samples), 0.5 / high, 0.96 / len(samples), 0.27 * rows / high)
        )
        used |= _panel(axes, sample, rows)
        axes.set_title(f"{verdict.mode}: {sample.caption}", fontsize=11.5, loc="left")
    shown.legend(
        handles=[Patch(facecolor=FILLS[k][0], label=FILLS[k][2]) for k in FILLS if k in used],
        loc="lower center",
        ncols=4,
        frameon=False,
        fontsize=10,
    )
    return shown


def kinds(sample: Sample) -> list[str]:
    r"""Return the kind of each byte of a sample.

    Parameters
    ----------
    sample : Sample

    Returns
    -------
    list of {"secret", "header", "text", "other"}
        As long as the data.

    Examples
    --------
    >>> kinds(Sample("", b"a word\x00a**", ((8, 10, "secret"),)))[5:]
    ['text', 'other', 'other', 'secret', 'secret']
    """
    found = ["other"] * len(sample.data)
    begin = 0
    for at in range(len(sample.data) + 1):
        if at < len(sample.data) and sample.data[at] in READABLE:
            continue
        if at - begin >= TEXT:
            found[begin:at] = ["text"] * (at - begin)
        begin = at + 1
    for start, end, what in sample.marks:
        found[start:end] = [what] * (end - start)
    return found


def _panel(axes: Any, sample: Sample, rows: int) -> set[str]:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    found = kinds(sample)
    boxes = []
    for at, (byte, kind) in enumerate(zip(sample.data, found, strict=True)):
        x, y = at % COLUMNS, rows - 1 - at // COLUMNS
        boxes.append(Rectangle((x, y), 1, 1))
        sign = chr(byte) if 32 < byte < 127 else "·"
        axes.text(
            x + 0.5,
            y + 0.46,
            "•" if kind == "secret" else sign,
            fontsize=8.5,
            family="DejaVu Sans Mono",
            color=FILLS[kind][1],
            ha="center",
            va="center",
        )
    colours = [FILLS[kind][0] for kind in found]
    axes.add_collection(
        PatchCollection(boxes, facecolors=colours, edgecolors="white", linewidths=0.6)
    )
    axes.set_xlim(0, COLUMNS)
    axes.set_ylim(0, rows)
    axes.set_axis_off()
    return set(found)
