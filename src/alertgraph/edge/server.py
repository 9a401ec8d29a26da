"""The process that serves: takes the port first, says where it listens, and goes down without losing anything."""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import structlog
import uvicorn

from alertgraph.edge.app import Application
from alertgraph.edge.garbage import collect_seldom
from alertgraph.edge.graphql.uvicorn_socket import CleanWebSocketProtocol
from alertgraph.edge.installation import StartError, bootstrap_key_path, url_path
from alertgraph.edge.telemetry import configure_logging
from alertgraph.edge.uvicorn_http import JoiningHttpProtocol
from alertgraph.settings import Settings

# Longer than any request may take; what is still open then is cut.
DRAIN_SECONDS = 20
WEBSOCKET_MESSAGE_BYTES_MAX = 65_536
BACKLOG = 2048
# What a client has not read yet waits with us, where it is counted, not by the megabyte in the kernel.
UNSENT_BYTES_MAX = 131_072


class _Server(uvicorn.Server):
    """Tells sockets that the service goes down before their connections are closed."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in sockets or []:
            listening.close()
        await self._application.drain()
        await super().shutdown(sockets)
        # uvicorn would raise the signal again and have us die of it; who went down in good order ends with 0.
        self._captured_signals.clear()


def serve(
    settings: Settings,
    role: str,
    *,
    beside: Callable[[], list[str]] = list,
    listening: socket.socket | None = None,
) -> int:
    """Serve until told to stop; return the process's exit status.

    Args:
        settings: Of the installation.
        role: all, api or engine.
        beside: Begins what goes on beside the service, once it is up, and returns what to say of it.
        listening: What `listen` has returned; None to listen where the settings say. It is closed at the end.

    Raises:
        StartError: The port is taken, or something the service needs is away; one sentence says what to do.
    """
    configure_logging(settings.log_format, settings.log_level)
    listening = listening or listen(settings.host, settings.port)
    port = listening.getsockname()[1]
    application = Application(
        settings, role=role, announce=lambda lines: _announce(settings, port, [*lines, *beside()])
    )
    config = uvicorn.Config(
        application,
        http=JoiningHttpProtocol,
        ws=CleanWebSocketProtocol,
        ws_per_message_deflate=False,
        ws_max_size=WEBSOCKET_MESSAGE_BYTES_MAX,
        ws_ping_interval=None,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=75,
        h11_max_incomplete_event_size=65_536,
    )
    server = _Server(config, application)
    collect_seldom()
    # What kept us from starting is said in one sentence, below.
    logging.getLogger("uvicorn.error").addFilter(lambda record: "startup failed" not in record.getMessage())
    try:
        server.run(sockets=[listening])
    except SystemExit:
        if application.start_error is None:
            raise
    finally:
        listening.close()
    if application.start_error is not None:
        raise application.start_error
    return 0 if server.started else 1


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else is started, so that a taken one costs nothing.

    Raises:
        StartError: It is taken, or not to be had; one sentence says what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, or asyncio would not switch off Nagle and small frames would wait for one another.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Connections inherit it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)
    try:
        listening.bind((host, port))
        # Fails here, too, where another program listens on the port of one address that we want all of.
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"Port {port} on {host} is taken by another program; choose another with --port or "
                "CRITICAL_ALERT_PORT."
            ) from error
        raise StartError(f"Can't listen on {host}, port {port}: {error.strerror}.") from error
    listening.set_inheritable(True)
    return listening


def _announce(settings: Settings, port: int, lines: list[str]) -> None:
    shown = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104  (shown, not bound)
    url = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
    structlog.get_logger("alertgraph").info("serving", url=url)
    if settings.database_url is None:
        # Commands on this machine find us here, whatever port was free. Without it they ask the standard one.
        with suppress(OSError):
            url_path(settings).write_text(url + "\n", encoding="ascii")
    # Whoever sits at the terminal may open it; what is written to a file is no place for a key.
    secret = _kept_key(settings) if sys.stdout.isatty() else None
    console = f"console: {url}/" + (f"#key={secret}" if secret is not None else "")
    lines = [console, *lines]
    sys.stdout.write("\n".join(["", f"  alertgraph is up: {url}", *(f"  {line}" for line in lines), "", ""]))
    sys.stdout.flush()


def _kept_key(settings: Settings) -> str | None:
    """Return the ADMIN key of the first tenant, where it is ours to keep."""
    if settings.database_url is not None:
        return None
    try:
        return bootstrap_key_path(settings).read_text(encoding="ascii").strip() or None
    except OSError:
        return None
