"""Runs one of these applications on the HTTP server that alertgraph itself runs on, with the same settings."""

from __future__ import annotations

import importlib
import sys

import uvicorn


def main() -> None:
    """Serve `bench.apps.<name>:build()` on a port of 127.0.0.1."""
    name, port = sys.argv[1], int(sys.argv[2])
    config = uvicorn.Config(
        importlib.import_module(f"bench.apps.{name}").build(),
        host="127.0.0.1",
        port=port,
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=75,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
