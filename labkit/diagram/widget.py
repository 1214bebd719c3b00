"""The widget: it sends what the page shows, and answers what the page asks."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from importlib import resources
from threading import Thread
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from labkit.diagram.scene import Json
from labkit.diagram.session import Session
from labkit.errors import LabkitError
from labkit.model import Model
from labkit.render import svg

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.verification import Report

__all__ = ["LivingDiagram"]


class LivingDiagram(anywidget.AnyWidget):
    """A diagram of a model that answers clicks and keys; :func:`labkit.living_diagram` makes it.

    Parameters
    ----------
    model : Model
    verification : Report or None
    lab : Lab or None

    Examples
    --------
    >>> from labkit.model import read_model
    >>> LivingDiagram(read_model("hardened"), None, None)
    <living diagram of hardened: 22 components, 44 channels>
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    scene = traitlets.Dict().tag(sync=True)

    def __init__(self, model: Model, verification: Report | None, lab: Lab | None) -> None:
        self._session = Session(model, verification, lab)
        super().__init__(
            _esm=_asset("diagram.js"), _css=_asset("diagram.css"), scene=self._session.shown()
        )
        self.on_msg(self._asked)

    def __repr__(self) -> str:
        model = self._session.model
        return (
            f"<living diagram of {model.name}: {len(model.components)} components, "
            f"{len(model.channels)} channels>"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Return the widget, and a picture for readers without a kernel."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return data | {"image/svg+xml": svg(self._session.model).source()}, metadata

    def _asked(self, _: object, asked: Json, __: object) -> None:
        """Answer a message of the page: its number, and the answer or the error."""
        actions: dict[str, Callable[[Json], Json]] = {
            "flip": self._flip,
            "paths": lambda it: self._session.paths(str(it["start"]), str(it["goal"])),
            "flip in lab": self._flip_in_lab,
        }
        action = actions.get(str(asked.get("ask")))
        if action is None:
            return
        if asked["ask"] != "flip in lab":
            self._answer(asked, action)
            return
        # it takes longer than a person waits, and the kernel answers other messages while it runs
        context = contextvars.copy_context()
        Thread(target=context.run, args=(self._answer, asked, action), daemon=True).start()

    def _flip(self, asked: Json) -> Json:
        # every page that shows the widget sees it
        self.scene = self._session.flip(dict(asked["wanted"]))
        return {}

    def _flip_in_lab(self, asked: Json) -> Json:
        def tell(line: str) -> None:
            self.send({"number": asked["number"], "progress": line})

        name, on = str(asked["control"]), bool(asked["on"])
        self.scene = self._session.flip_in_lab(name, on, tell)
        return {}

    def _answer(self, asked: Json, action: Callable[[Json], Json]) -> None:
        try:
            answer: Json = {"answer": action(asked)}
        except LabkitError as error:
            answer = {"error": str(error)}
        except Exception as error:  # the page must not wait for an answer that never comes
            answer = {"error": f"{type(error).__name__}: {error}"}
        self.send({"number": asked.get("number"), **answer})


def _asset(name: str) -> str:
    """Return a script or a style sheet of this package."""
    file = resources.files("labkit.diagram") / "assets" / name
    return file.read_text(encoding="utf-8")
