"""What it takes to have pages sent: channels and rules, made as a person makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.wire import Wire

CREATE_CHANNEL = """mutation Create($input: NotificationChannelInput!) {
  createNotificationChannel(input: $input) { notificationChannel { id } errors { code message } } }"""
CREATE_RULE = """mutation Create($input: EscalationRuleInput!) {
  createEscalationRule(input: $input) { escalationRule { id } errors { code message } } }"""


async def made(connection: Wire, mutation: str, wanted: Mapping[str, Any]) -> str:
    """Make something and return its id."""
    reply = (await connection.graphql(mutation, {"input": wanted})).json()
    [payload] = reply["data"].values()
    assert payload["errors"] == []
    [item] = [value for name, value in payload.items() if name != "errors"]
    return str(item["id"])


async def set_up_lane(connection: Wire, lane: str, url: str) -> None:
    """Have alerts with this label `lane` told to a webhook at once."""
    config = {"webhook": {"url": url}}
    channel_id = await made(connection, CREATE_CHANNEL, {"name": lane, "config": config})
    rule = {
        "name": lane,
        "matchers": [{"label": "lane", "value": lane}],
        "levels": [{"delay": "PT1H", "targets": [{"channelId": channel_id}]}],
    }
    await made(connection, CREATE_RULE, rule)
