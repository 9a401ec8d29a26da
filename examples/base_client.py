"""The ground that the generated client stands on: GraphQL over HTTP and websocket, by one key, with one error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Self

import httpx2
from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from .base_model import UNSET

# The service closes with these where it makes no sense to come again with the same.
FINAL_CLOSE_CODES = {4400, 4401, 4403, 4406, 4409, 4429}
BUSY_STATUSES = {429, 503}


class AlertgraphError(Exception):
    """The service refused, or could not be reached.

    Attributes:
        code: As in the schema's ErrorCode; UNREACHABLE where there was no answer.
        is_final: Whether the same again would fail the same way.
    """

    def __init__(self, code: str, message: str, *, is_final: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.is_final = is_final


class BaseClient:
    """A client of one alertgraph, with one key.

    Args:
        url: Where it is served, such as http://127.0.0.1:8000.
        key: An API key.
        timeout_s: For one answer.
        patience_s: How long, in all, a call waits where the key's budget is used up; then it fails.
    """

    def __init__(self, url: str, key: str, *, timeout_s: float = 20.0, patience_s: float = 60.0) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._patience_s = patience_s
        self._http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def execute(
        self, query: str, operation_name: str | None = None, variables: dict[str, Any] | None = None, **_: Any
    ) -> httpx2.Response:
        """Return the answer to a query or mutation."""
        body = {"query": query, "operationName": operation_name, "variables": sendable(variables)}
        waited_s = 0.0
        while True:
            try:
                response = await self._http.post(f"{self._url}/graphql", json=body)
            except httpx2.HTTPError as error:
                text = f"{self._url} can't be reached: {error}"
                raise AlertgraphError("UNREACHABLE", text, is_final=False) from error
            wait_s = float(response.headers.get("retry-after", 0))
            # Only what was not done at all is sent again: a budget is checked before anything else.
            if response.status_code != 429 or not 0 < wait_s <= self._patience_s - waited_s:
                return response
            await asyncio.sleep(wait_s)
            waited_s += wait_s

    def get_data(self, response: httpx2.Response) -> dict[str, Any]:
        """Return the data of an answer.

        Raises:
            AlertgraphError: There are errors in it.
        """
        try:
            answer = response.json()
        except ValueError:
            text = f"{self._url} answered {response.status_code} and no JSON: is it alertgraph?"
            raise AlertgraphError("UNREACHABLE", text, is_final=response.status_code < 500) from None
        if answer.get("errors"):
            raise refusal(answer["errors"], is_final=response.status_code not in BUSY_STATUSES)
        return dict(answer["data"])

    async def execute_ws(
        self, query: str, operation_name: str | None = None, variables: dict[str, Any] | None = None, **_: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield what a subscription answers, until its connection ends.

        Raises:
            AlertgraphError: It was refused, or the connection broke.
        """
        url = f"{self._url.replace('http', 'ws', 1)}/graphql"
        wanted = {"query": query, "operationName": operation_name, "variables": sendable(variables)}
        try:
            async with connect(
                url, subprotocols=[Subprotocol("graphql-transport-ws")], compression=None, max_size=16 << 20
            ) as socket:
                init = {"type": "connection_init", "payload": {"authorization": f"Bearer {self._key}"}}
                await socket.send(json.dumps(init))
                async for raw in socket:
                    message = json.loads(raw)
                    match message["type"]:
                        case "connection_ack":
                            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": wanted}))
                        case "ping":
                            await socket.send('{"type": "pong"}')
                        case "next":
                            if message["payload"].get("errors"):
                                raise refusal(message["payload"]["errors"])
                            yield message["payload"]["data"]
                        case "error":
                            raise refusal(message["payload"])
                        case "complete":
                            return
        except ConnectionClosed as error:
            code = error.rcvd.code if error.rcvd is not None else 1006
            text = f"The service closed the connection: {error}"
            raise AlertgraphError("UNREACHABLE", text, is_final=code in FINAL_CLOSE_CODES) from error
        except (OSError, InvalidHandshake) as error:
            raise AlertgraphError("UNREACHABLE", f"{url} can't be reached: {error}", is_final=False) from error


def sendable(variables: dict[str, Any] | None) -> Any:
    """Return variables as JSON has them; what was left out stays out."""
    given = {name: value for name, value in (variables or {}).items() if value is not UNSET}
    return to_jsonable_python({name: plain(value) for name, value in given.items()})


def plain(value: Any) -> Any:
    """Return a generated input as a dictionary of what was set."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value


def refusal(errors: list[dict[str, Any]], *, is_final: bool | None = None) -> AlertgraphError:
    """Return what the first of some GraphQL errors says."""
    code = errors[0].get("extensions", {}).get("code", "INTERNAL")
    final = code not in ("UNAVAILABLE", "SLOW_CONSUMER", "RATE_LIMITED") if is_final is None else is_final
    return AlertgraphError(code, errors[0]["message"], is_final=final)
