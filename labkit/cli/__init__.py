"""The command ``labkit``: data on standard output, all talk on standard error."""

import gc

from labkit.cli._app import app

__all__ = ["app", "main"]

#: What a command makes, it keeps until it ends: to look for garbage as often as Python does by
#: itself is a seventh of the time of an analysis.
ALLOCATIONS = 100_000


def main() -> None:
    """Run the command and end the process with its exit status."""
    gc.set_threshold(ALLOCATIONS)
    app()
