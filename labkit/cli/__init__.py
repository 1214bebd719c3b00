"""The command ``labkit``: data goes to standard output, all messages to standard error."""

import atexit
import gc
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.cli._app import app

__all__ = ["app", "main"]


def __getattr__(name: str) -> Any:
    if name == "app":
        from labkit.cli._app import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Run the command and end the process with its exit status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Ctrl-C during the imports ends the process without a traceback
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Garbage collections during the imports and at the end take a tenth of the time.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    from labkit.cli._app import app

    app()
