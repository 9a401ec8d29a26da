"""A chat bot: tells a room what happens to alerts, and answers those who ask or act.

    CHAT_TOKEN=… chat_bot.py --post https://chat.example.com/hooks/abc --listen 127.0.0.1:9100 --state bot.json

It posts `{"text": …}`, as the incoming webhooks of Slack, Mattermost and Rocket.Chat take it. What people type
after its slash command comes as a form with `token`, `text` and `user_name` (Mattermost, Slack): open, ack ID,
resolve ID, help. Where it stopped stands in the state file, so that a restart tells what happened meanwhile, and a
crash may tell the last few events twice. Needs a key of the role RESPONDER, and --listen only where people act.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qsl

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from alertgraph_client import (
    AcknowledgeAlertsInput,
    AlertFilter,
    AlertgraphClient,
    AlertsActionInput,
    AlertSelector,
    AlertStatus,
    EventFilter,
    EventKind,
)
from alertgraph_client.base_client import AlertgraphError
from connection import client_of, fail, followed, parser, run

TOLD = [
    EventKind.TRIGGERED,
    EventKind.ESCALATED,
    EventKind.ACKNOWLEDGED,
    EventKind.RESOLVED,
    EventKind.SLA_BREACHED,
    EventKind.DELIVERY_FAILED,
]
HELP = "open: what is open · ack ID: take it · resolve ID: end it"
POST_ATTEMPTS = 5


async def main(options: argparse.Namespace) -> int:
    """Follow and answer until somebody ends it; return the exit status."""
    async with client_of(options) as client, httpx2.AsyncClient(timeout=10.0) as chat:
        tasks = {asyncio.create_task(told(client, chat, options))}
        if options.listen:
            host, _, port = options.listen.rpartition(":")
            app = Starlette(routes=[Route("/command", commands(client), methods=["POST"])])
            server = uvicorn.Server(uvicorn.Config(app, host, int(port), log_level="warning"))
            # It ends when the process is told to.
            tasks.add(asyncio.create_task(server.serve()))
        ended, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for task in ended:
            task.result()
    return 0


# -------------------------------------------------------------------------------------------- telling


async def told(client: AlertgraphClient, chat: httpx2.AsyncClient, options: argparse.Namespace) -> None:
    """Post every event that the room shall know of, and remember how far that has come."""
    cursor = json.loads(options.state.read_text())["cursor"] if options.state.exists() else None
    async for batch in followed(client, cursor, EventFilter(kinds=TOLD)):
        for event in batch.events:
            title = f"*{escaped(event.alert.title)}* ({event.alert.id}): " if event.alert else ""
            await post(chat, options.post, f"{title}{escaped(event.summary)}")
        kept = options.state.with_suffix(".new")
        kept.write_text(json.dumps({"cursor": batch.cursor}))
        kept.replace(options.state)


async def post(chat: httpx2.AsyncClient, url: str, text: str) -> None:
    """Post a message, and try again for a while: a room that is away misses nothing."""
    for attempt in range(POST_ATTEMPTS):
        try:
            response = await chat.post(url, json={"text": text})
            if response.status_code < 400:
                return
            reason = f"it answered {response.status_code}"
        except httpx2.HTTPError as error:
            reason = str(error)
        await asyncio.sleep(2**attempt)
    raise AlertgraphError("UNREACHABLE", f"the chat does not take messages: {reason}")


def escaped(text: str) -> str:
    """Return text that the chat shows as it is: a title from outside mentions nobody and links nowhere."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u200b")


# ------------------------------------------------------------------------------------------ answering


def commands(client: AlertgraphClient) -> Callable[[Request], Awaitable[JSONResponse]]:
    """Return what answers slash commands."""
    token = os.environ.get("CHAT_TOKEN", "")
    if not token:
        fail("--listen needs CHAT_TOKEN: whoever knows it may act", 2)

    async def answer(request: Request) -> JSONResponse:
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        if not hmac.compare_digest(form.get("token", "").encode(), token.encode()):
            return JSONResponse({"text": "That token is wrong."}, 403)
        try:
            text = await answered(client, form.get("text", ""), form.get("user_name", "somebody"))
        except AlertgraphError as error:
            text = str(error)
        return JSONResponse({"response_type": "in_channel", "text": escaped(text)})

    return answer


async def answered(client: AlertgraphClient, text: str, who: str) -> str:
    """Do what somebody typed, and return what the bot says to it."""
    match text.split():
        case ["open"]:
            chosen = AlertFilter(status=[AlertStatus.TRIGGERED, AlertStatus.ACKNOWLEDGED])
            page = (await client.list_alerts(chosen, first=20)).alerts
            lines = [f"{each.severity.value} {each.title} ({each.id}, {each.status.value})" for each in page.nodes]
            return "\n".join(lines) or "Nothing is open."
        case ["ack", alert_id]:
            selected = AlertSelector(ids=[alert_id])
            wanted = AcknowledgeAlertsInput(select=selected, note=f"by {who}, in chat")
            taken = await client.acknowledge_alerts(wanted)
            [outcome] = taken.acknowledge_alerts.outcomes
            return outcome.error.message if outcome.error else f"{who} has {alert_id}."
        case ["resolve", alert_id]:
            selected = AlertSelector(ids=[alert_id])
            done = await client.resolve_alerts(AlertsActionInput(select=selected, note=f"by {who}, in chat"))
            [ended] = done.resolve_alerts.outcomes
            return ended.error.message if ended.error else f"{who} has resolved {alert_id}."
        case _:
            return HELP


if __name__ == "__main__":
    asked = parser(__doc__ or "")
    asked.add_argument("--post", required=True, help="address of the chat's incoming webhook")
    asked.add_argument("--listen", metavar="HOST:PORT", help="where slash commands come in, at /command")
    asked.add_argument(
        "--state", type=Path, default=Path("chat_bot.json"), help="where it stopped [chat_bot.json]"
    )
    run(main(asked.parse_args()))
