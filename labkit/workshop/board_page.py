"""The board as a page for the projector, served on this machine only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from labkit.errors import ConfigError
from labkit.render import templating
from labkit.workshop.board import MARKS, MEANINGS, Board

__all__ = ["PORT", "REFRESH_S", "page", "port_problem", "serving"]

HOST, PORT = "127.0.0.1", 8377
#: Seconds after which a browser loads the page again.
REFRESH_S = 5
#: Seconds for a browser to send its request.
REQUEST_S = 10.0


def page(board: Board) -> str:
    """Return a board as a page of HTML, which loads itself again and nothing else.

    Parameters
    ----------
    board : Board

    Returns
    -------
    str

    Examples
    --------
    >>> "<h1>Workshop p</h1>" in page(Board("p", (), (), {}))
    True
    """
    return templating.html(
        "board/page.html", board=board, marks=MARKS, meanings=MEANINGS, seconds=REFRESH_S
    )


@contextmanager
def serving(port: int) -> Iterator[tuple[str, Callable[[Board], None]]]:
    """Serve the page on the loopback address during the block.

    Parameters
    ----------
    port : int
        The port; 0 for any free one.

    Yields
    ------
    url : str
        The address of the page.
    show : callable
        Takes the board that the page shows from now on.

    Raises
    ------
    ConfigError
        The port cannot be used.

    Examples
    --------
    >>> with serving(0) as (url, show):
    ...     show(Board("p", (), (), {}))
    ...     url.startswith("http://127.0.0.1:")
    True
    """
    shown = [page(Board("", (), (), {})).encode()]

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_S

        def do_GET(self) -> None:
            # a page of another site whose name leads here has another Host (DNS rebinding)
            if self.headers.get("Host") not in hosts:
                self.send_error(HTTPStatus.FORBIDDEN)
            elif self.path != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
            else:
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(shown[0])))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(shown[0])

        def log_message(self, *_: object) -> None:
            """Print nothing: the terminal shows the board."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise _taken(port, error) from error
    server.daemon_threads = True
    hosts = {f"{name}:{server.server_port}" for name in (HOST, "localhost")}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def show(board: Board) -> None:
        shown[0] = page(board).encode()

    try:
        yield f"http://{HOST}:{server.server_port}/", show
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _taken(port: int, error: OSError) -> ConfigError:
    return ConfigError(
        f"the board cannot be served on {HOST}:{port}: {error.strerror}",
        hint="labkit workshop board --serve --port 0, which takes a free port",
    )


def port_problem(port: int) -> str:
    """Return why a port cannot be used for the page, or "" if it can.

    Parameters
    ----------
    port : int

    Returns
    -------
    str

    Examples
    --------
    >>> port_problem(0)
    ''
    """
    try:
        with ThreadingHTTPServer((HOST, port), BaseHTTPRequestHandler):
            return ""
    except OSError as error:
        return error.strerror or str(error)
