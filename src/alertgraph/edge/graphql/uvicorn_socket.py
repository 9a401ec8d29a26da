"""Uvicorn's websocket protocol with two gaps closed; name it as the server's `ws` class.

Without it everything works, but a frame of bad UTF-8 writes a traceback into the log, and a client that never
reads keeps its socket and what was buffered for it, as a close only takes effect once the buffer is empty.
"""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LINGER_S: Final = 15.0
"""For a client to read what is left and the close frame, after the application has ended."""


class CleanWebSocketProtocol(WebSocketsSansIOProtocol):
    """Closes bad UTF-8 with 1007 and without a word, and lets go of clients that do not read."""

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message to the application, unless it is not what it says it is."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
            try:
                data.decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007, "Messages must be UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    async def run_asgi(self) -> None:
        """Run the application, then see to it that the transport ends."""
        await super().run_asgi()
        if not self.disconnected:
            self.loop.call_later(LINGER_S, self.transport.abort)
