"""Files that a command writes."""

from __future__ import annotations

from pathlib import Path

from labkit.errors import ConfigError

__all__ = ["not_written", "write"]


def write(file: Path, text: str) -> None:
    """Write a file as UTF-8, with the same line ends on every system.

    Parameters
    ----------
    file : Path
    text : str

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise not_written(file, error) from error


def not_written(file: Path, error: OSError) -> ConfigError:
    """Return the error of a command that cannot write a file.

    Parameters
    ----------
    file : Path
    error : OSError
        Why not.

    Returns
    -------
    ConfigError

    Examples
    --------
    >>> print(not_written(Path("a/b"), PermissionError(13, "Permission denied")))
    a/b: cannot be written: Permission denied
      next: ls -ld a
    """
    return ConfigError(f"{file}: cannot be written: {error.strerror}", hint=f"ls -ld {file.parent}")
