"""The dead-man beat of a whole service: it comes by itself, and stays out while an alert is for nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from tests.running import new_tenant, served_in_thread

CHANNEL = """mutation($input: NotificationChannelInput!) { createNotificationChannel(input: $input) {
  notificationChannel { id } errors { message } } }"""
LISTEN = """mutation($id: ID!) { updateTenantSettings(input: {deadManChannelId: $id}) { errors { message } } }"""
HEALTH = "{ engineHealth { healthy violations { invariant alert { title } } } }"
WITHIN_SECONDS = 15.0


class Listener(ThreadingHTTPServer):
    """Hears beats."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hears)
        self.types: list[str] = []


class _Hears(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.types.append(orjson.loads(body)["type"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_service_beats_for_who_is_watched_over_and_for_nobody_else(
    database_url: str, listener: Listener
) -> None:
    with served_in_thread(database_url, CRITICAL_ALERT_ALLOW_PRIVATE_TARGETS="true") as (url, environment):
        quiet, troubled = (new_tenant(url, environment, slug) for slug in ("quiet", "troubled"))
        troubled.data('mutation { createAlert(input: {title: "For nobody", severity: HIGH}) { created } }')
        for service in (troubled, quiet):
            config = {"webhook": {"url": f"http://127.0.0.1:{listener.server_port}/"}}
            made = service.data(CHANNEL, {"input": {"name": "watchdog", "config": config}})
            channel = made["createNotificationChannel"]["notificationChannel"]
            assert service.data(LISTEN, {"id": channel["id"]})["updateTenantSettings"]["errors"] == []

        deadline = time.monotonic() + WITHIN_SECONDS
        while not listener.types and time.monotonic() < deadline:
            time.sleep(0.05)
        # The other's turn came before: its channel was set first.
        assert listener.types == ["engine.alive"]
        assert quiet.data(HEALTH)["engineHealth"] == {"healthy": True, "violations": []}
        assert troubled.data(HEALTH)["engineHealth"] == {
            "healthy": False,
            "violations": [{"invariant": "HELD_NO_MATCHING_RULE", "alert": {"title": "For nobody"}}],
        }
