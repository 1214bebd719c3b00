"""The command ``labkit``: data goes to standard output, all messages to standard error."""

import atexit
import gc

from labkit.cli._app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command and end the process with its exit status."""
    # Garbage collections during the imports and at the end take a tenth of the time.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    app()
