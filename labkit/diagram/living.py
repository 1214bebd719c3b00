"""The function that makes a living diagram."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from labkit.errors import ConfigError

if TYPE_CHECKING:
    from labkit.diagram.widget import LivingDiagram
    from labkit.lab import Lab
    from labkit.model import Model
    from labkit.verification import Report

__all__ = ["living_diagram"]


def living_diagram(
    model: Model, *, verification: Report | None = None, lab: Lab | None = None
) -> LivingDiagram:
    """Return a diagram of a model that a notebook shows, and that answers clicks and keys.

    A channel shows its four claims with the file and line of each, what the probes saw, the
    findings and the controls that help. A control changes channels, findings and attack paths of
    the model; with a lab, a button changes it there as well and probes what changed. A foothold
    and a goal show the attack path between them, step by step.

    Parameters
    ----------
    model : Model
    verification : Report, optional
        What :func:`labkit.verify` returned: the evidence for each claim.
    lab : Lab, optional
        A running lab of the model's configuration, in which controls can be flipped.

    Returns
    -------
    LivingDiagram
        A widget. Without a kernel, a saved notebook shows the picture of
        :func:`labkit.render.svg` in its place.

    Raises
    ------
    ConfigError
        The package anywidget is not installed, or the lab runs another configuration than the
        model's.

    Notes
    -----
    A model of more than 60 components or 150 channels is drawn with equal components in one box.

    Examples
    --------
    >>> import labkit
    >>> labkit.living_diagram(labkit.load_model("insecure"))
    <living diagram of insecure: 22 components, 46 channels>
    """
    try:
        from labkit.diagram.widget import LivingDiagram
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "labkit":
            raise
        raise ConfigError(
            f"the living diagram needs the package anywidget, which is not installed ({error})",
            hint=f"{sys.executable} -m pip install anywidget",
        ) from error
    if lab is not None:
        from labkit.model import read_model

        if read_model(lab.environment) != model:
            raise ConfigError(
                f"lab {lab.name} ({lab.mode}) runs another configuration than the model's",
                hint="living_diagram(load_model(lab.environment), lab=lab)",
            )
    return LivingDiagram(model, verification, lab)
