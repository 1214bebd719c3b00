"""The command ``labkit``: data on standard output, all talk on standard error."""

import atexit
import gc

from labkit.cli._app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command and end the process with its exit status."""
    # To look for garbage while much is loaded, and once more at the end, is a tenth of the time.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    app()
