"""Show a model's channels as a table."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from labkit.model import PROPERTIES, Channel, Model
from labkit.render.groups import PROTECTIONS, protection
from labkit.tables import columns

__all__ = ["Table", "table"]

HEAD = ("channel", *(name.replace("_", " ") for name in PROPERTIES))
# Values that a defender dislikes and likes; a cell shows the value itself too
BAD = frozenset({"none", "unverified", "anonymous", "allow-all"})
GOOD = frozenset({"tls1.2", "tls1.3", "verified", "required", "enforced", "file-mode"})


class Table:
    """Channels in rows, sorted by id, with their four properties in columns.

    A terminal shows text with fixed columns. A notebook shows HTML; hovering over a cell shows
    the source of its value.

    Attributes
    ----------
    channels : tuple of Channel

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("hardened")
    >>> Table(it for it in model.channels if it.port == 2380).rows[0][:3]
    ('etcd@etcd1 -> etcd@etcd2:2380', 'tls1.3', 'verified')
    """

    def __init__(self, rows: Iterable[Channel]) -> None:
        self.channels = tuple(sorted(rows, key=lambda channel: channel.id))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The cells as text, without the header."""
        return [
            (channel.id, *(getattr(channel, name).value for name in PROPERTIES))
            for channel in self.channels
        ]

    def __len__(self) -> int:
        return len(self.channels)

    def __repr__(self) -> str:
        return columns(HEAD, self.rows)

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in HEAD)
        body = "".join(self._row(channel) for channel in self.channels)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    @staticmethod
    def _row(channel: Channel) -> str:
        edge = PROTECTIONS[protection(channel)].colour
        cells = [
            f"<td style='text-align:left;border-left:4px solid {edge}'>{escape(channel.id)}</td>"
        ]
        for name in PROPERTIES:
            claim = getattr(channel, name)
            look = "mutual" if claim.value in GOOD else "closed"
            look = "plaintext" if claim.value in BAD else look
            colour = PROTECTIONS[look].colour
            title = escape(f"{claim.detail}: {claim.source}", quote=True)
            mark = f"<span style='color:{colour}'>&#9632;</span>"
            style = "text-align:left;white-space:nowrap"
            cells.append(f'<td style="{style}" title="{title}">{mark} {escape(claim.value)}</td>')
        return f"<tr>{''.join(cells)}</tr>"


def table(model: Model | Iterable[Channel]) -> Table:
    """Return a table of a model's channels.

    Parameters
    ----------
    model : Model or iterable of Channel
        A model, or some of its channels.

    Returns
    -------
    Table

    Examples
    --------
    >>> from labkit.model import read_model
    >>> model = read_model("insecure")
    >>> len(table(model))
    46
    >>> table(c for c in model.channels if c.port == 10255).rows[0][0]
    'anyone@network -> kubelet@worker1:10255'
    """
    return Table(model.channels if isinstance(model, Model) else model)
