"""Follow the log over a websocket, and go on where it was when it breaks. Needs `pip install websockets`."""

import asyncio
import json
import os

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

URL = os.environ.get("ALERTGRAPH_URL", "http://127.0.0.1:8000").replace("http", "ws", 1) + "/graphql"
KEY = os.environ["ALERTGRAPH_KEY"]
FOLLOW = """
subscription Follow($after: Cursor) {
  alertEventBatches(after: $after) {
    cursor
    live
    events { number kind summary alert { id title status } }
  }
}
"""


async def batches(after):
    """Yield what one connection brings behind a cursor."""
    async with connect(URL, subprotocols=["graphql-transport-ws"]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {KEY}"}}))
        async for raw in socket:
            message = json.loads(raw)
            match message["type"]:
                case "connection_ack":
                    wanted = {"query": FOLLOW, "variables": {"after": after}}
                    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": wanted}))
                case "ping":
                    await socket.send('{"type": "pong"}')
                case "next":
                    yield message["payload"]["data"]["alertEventBatches"]
                case "error":  # Such as CURSOR_EXPIRED: load the list again, and follow from its asOf.
                    raise SystemExit(message["payload"][0]["message"])


async def main() -> None:
    """Print every event once, in order."""
    cursor = None  # From now on. To begin with a list that was loaded: its asOf.
    while True:
        try:
            async for batch in batches(cursor):
                for event in batch["events"]:
                    print(event["number"], event["kind"], event["summary"], flush=True)
                cursor = batch["cursor"]
        except (OSError, ConnectionClosed, InvalidHandshake) as error:
            if isinstance(error, ConnectionClosed) and error.rcvd and error.rcvd.code in (4401, 4403):
                raise SystemExit("The key is not valid.") from error
        await asyncio.sleep(1)


asyncio.run(main())
