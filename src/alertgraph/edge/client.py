"""A client of a running alertgraph, for the command line: sends over REST, follows over the websocket."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.typing import Subprotocol

SEND_TIMEOUT_SECONDS = 10.0
RECONNECT_SECONDS_MAX = 10.0
FATAL_CLOSE_CODES = {4400, 4401, 4403, 4406, 4409, 4429}
# As many services as one call may name.
SERVICES_AT_ONCE = 1000
SET_DEPENDENCIES = """mutation SetServiceDependencies($input: SetServiceDependenciesInput!) {
  setServiceDependencies(input: $input) { dependencyCount errors { message path } }
}"""
ACKNOWLEDGE = """mutation Acknowledge($input: AcknowledgeAlertsInput!) {
  acknowledgeAlerts(input: $input) {
    remainingCount
    outcomes { key changed alert { id title } error { message } }
    errors { message path }
  }
}"""
FOLLOW = """subscription Tail($after: Cursor) {
  alertEventBatches(after: $after) {
    cursor
    events {
      number kind occurredAt summary cursor actor { kind name }
      alert { id title severity status }
      changes { field before after }
    }
  }
}"""


class ClientError(Exception):
    """The request failed; the message is one sentence for a person."""


def send_alert(url: str, key: str, fields: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the alert as it is kept, and whether it is new.

    Raises:
        ClientError: The service can't be reached, or refuses it.
    """
    try:
        response = httpx2.post(
            f"{url.rstrip('/')}/api/v1/critical-alerts",
            json=fields,
            headers={"Authorization": f"Bearer {key}"},
            timeout=SEND_TIMEOUT_SECONDS,
        )
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ClientError(f"{url} can't be reached ({error}); is `alertgraph serve` running?") from error
    try:
        answer = response.json()
    except ValueError:
        raise ClientError(f"{url} answered {response.status_code} and no JSON: is it alertgraph?") from None
    if response.status_code >= 400:
        raise ClientError(_reason(answer, response.status_code))
    return dict(answer), response.status_code == 201


def send_firing(url: str, key: str, labels: Mapping[str, str], *, ends_at: datetime | None) -> None:
    """Say that an alert with these labels fires, or is over, as Prometheus says it.

    Raises:
        ClientError: The service can't be reached, or refuses it.
    """
    alert: dict[str, Any] = {"labels": dict(labels)}
    if ends_at is not None:
        alert["endsAt"] = ends_at.isoformat()
    try:
        response = httpx2.post(
            f"{url.rstrip('/')}/api/v2/alerts",
            json=[alert],
            headers={"Authorization": f"Bearer {key}"},
            timeout=SEND_TIMEOUT_SECONDS,
        )
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ClientError(f"{url} can't be reached ({error}); is `alertgraph serve` running?") from error
    if response.status_code >= 400:
        raise ClientError(f"{url} refused an alert with {response.status_code}: {response.text[:200]}")


def set_dependencies(
    url: str, key: str, dependencies: Sequence[tuple[str, Sequence[str]]], *, replace_all: bool
) -> int:
    """Return how many dependencies there are after some were set, as many services at once as the API takes.

    Raises:
        ClientError: The service can't be reached, or refuses; the calls before stand.
    """
    count = 0
    for start in range(0, max(1, len(dependencies)), SERVICES_AT_ONCE):
        part = dependencies[start : start + SERVICES_AT_ONCE]
        input = {
            "dependencies": [{"service": service, "dependsOn": list(needs)} for service, needs in part],
            # Those that are named later are not forgotten, but set anew.
            "replaceAll": replace_all and start == 0,
        }
        payload = asked(url, key, SET_DEPENDENCIES, {"input": input})["setServiceDependencies"]
        if payload["errors"]:
            raise ClientError(str(payload["errors"][0]["message"]))
        count = int(payload["dependencyCount"])
    return count


def acknowledge(url: str, key: str, select: dict[str, Any], note: str | None) -> tuple[list[dict[str, Any]], int]:
    """Return what became of each alert that was chosen, up to 1,000, and how many more match.

    Raises:
        ClientError: The service can't be reached, or refuses.
    """
    payload = asked(url, key, ACKNOWLEDGE, {"input": {"select": select, "note": note}})["acknowledgeAlerts"]
    if payload["errors"]:
        raise ClientError(str(payload["errors"][0]["message"]))
    return list(payload["outcomes"]), int(payload["remainingCount"])


def asked(url: str, key: str, document: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Return the data of a GraphQL operation."""
    try:
        response = httpx2.post(
            f"{url.rstrip('/')}/graphql",
            json={"query": document, "variables": variables},
            headers={"Authorization": f"Bearer {key}"},
            timeout=SEND_TIMEOUT_SECONDS,
        )
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ClientError(f"{url} can't be reached ({error}); is `alertgraph serve` running?") from error
    try:
        answer = response.json()
    except ValueError:
        raise ClientError(f"{url} answered {response.status_code} and no JSON: is it alertgraph?") from None
    if response.status_code >= 400 or answer.get("errors"):
        raise ClientError(_reason(answer, response.status_code))
    return dict(answer["data"])


def follow(
    url: str,
    key: str,
    after: str | None,
    show: Callable[[dict[str, Any]], None],
    tell: Callable[[str], None],
) -> None:
    """Show every event behind a cursor, else from now on, for ever: a broken connection is taken up again.

    Raises:
        ClientError: The service refuses, or could not be reached at all.
    """
    asyncio.run(_Follower(url, key, after, show, tell).run())


class _Follower:
    def __init__(
        self,
        url: str,
        key: str,
        after: str | None,
        show: Callable[[dict[str, Any]], None],
        tell: Callable[[str], None],
    ) -> None:
        scheme, separator, rest = url.rstrip("/").partition("://")
        if not separator or scheme not in ("http", "https"):
            raise ClientError(f"{url} is no address such as http://127.0.0.1:8000.")
        self._url = f"{'wss' if scheme == 'https' else 'ws'}://{rest}/graphql"
        self._key = key
        self._cursor = after
        self._show = show
        self._tell = tell
        self._reached = False

    async def run(self) -> None:
        pause = 0.25
        while True:
            try:
                await self._connection()
                pause = 0.25
            except (OSError, InvalidHandshake, TimeoutError) as error:
                if not self._reached:
                    raise ClientError(f"{self._url} can't be reached ({error}).") from error
            except InvalidURI as error:
                raise ClientError(f"{self._url} is no address.") from error
            except ConnectionClosed as error:
                code = error.rcvd.code if error.rcvd is not None else 1006
                reason = error.rcvd.reason if error.rcvd is not None else ""
                if code in FATAL_CLOSE_CODES or not self._reached:
                    raise ClientError(f"The service closed the connection: {code} {reason}.") from error
            self._tell("The connection is gone; trying again.")
            # Jitter, so that a restarted service does not meet all its followers at once.
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311  (no secret)
            pause = min(RECONNECT_SECONDS_MAX, pause * 2)

    async def _connection(self) -> None:
        async with connect(
            self._url, subprotocols=[Subprotocol("graphql-transport-ws")], compression=None, max_size=16 << 20
        ) as socket:
            await socket.send(
                json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {self._key}"}})
            )
            async for raw in socket:
                message = json.loads(raw)
                match message["type"]:
                    case "connection_ack":
                        self._reached = True
                        payload = {"query": FOLLOW, "variables": {"after": self._cursor}}
                        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
                    case "ping":
                        await socket.send(json.dumps({"type": "pong"}))
                    case "next":
                        self._take(message["payload"])
                    case "error":
                        raise ClientError(_reason({"errors": message["payload"]}, 400))
                    case "complete":
                        return

    def _take(self, payload: dict[str, Any]) -> None:
        if payload.get("errors"):
            raise ClientError(_reason(payload, 400))
        batch = payload["data"]["alertEventBatches"]
        for event in batch["events"]:
            self._show(event)
        self._cursor = batch["cursor"]


def _reason(answer: Any, status: int) -> str:
    """Return the sentence that an error answer holds, be it GraphQL's or a problem document."""
    if isinstance(answer, dict):
        errors = answer.get("errors")
        if isinstance(errors, list) and errors and isinstance(errors[0], dict) and "message" in errors[0]:
            return str(errors[0]["message"])
        for name in ("detail", "title"):
            if name in answer:
                return str(answer[name])
    return f"The service answered {status}."
