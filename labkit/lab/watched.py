"""Run a function that uses a lab; if it is slow or fails, say what does not run in the lab."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, TypeVar

from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["PATIENCE_S", "watched"]

#: Seconds without a result after which the lab is asked what does not run.
PATIENCE_S = 8.0

T = TypeVar("T")


def watched(lab: Lab, action: Callable[[], T], patience: float | None = PATIENCE_S) -> T:
    """Call a function; end with the lab's problems if it fails or waits because of them.

    Parameters
    ----------
    lab : Lab
        The lab that the function uses.
    action : callable
        The function. If it waits in vain, it is left alone in a thread.
    patience : float or None
        Seconds without a result after which the lab is asked, again and again; None to wait for
        the function in any case.

    Returns
    -------
    object
        The result of the function.

    Raises
    ------
    LabError
        The function has no result, and something of the lab does not run.
    Exception
        Any error of the function in a lab that is ready.
    """
    result: Future[T] = Future()
    # a thread of a pool would keep the process from its end
    threading.Thread(target=_call, args=(action, result), daemon=True).start()
    while not wait([result], patience).done:
        if (status := lab.status()).state != "ready" and not result.done():
            raise status.error()
    try:
        return result.result()
    except LabkitError as error:
        if (status := lab.status()).state != "ready":
            raise status.error() from error
        raise


def _call(action: Callable[[], T], result: Future[T]) -> None:
    try:
        result.set_result(action())
    except BaseException as error:  # the caller gets it
        result.set_exception(error)
