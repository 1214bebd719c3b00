"""The command ``labkit``: data on standard output, all talk on standard error."""

from labkit.cli._app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command and end the process with its exit status."""
    app()
