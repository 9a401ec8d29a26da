"""Channels, over the API: made, changed, tried; their deliveries; how they do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from alertgraph.core.ids import ChannelId, NodeKind, decode_key
from alertgraph.core.tenant import Principal, Role
from alertgraph.execution.errors import RefusedError
from tests.factories import a_matcher
from tests.integration.notify.provider import answers, provider
from tests.integration.resolvers.api import Api, a_caller, scoped
from tests.integration.resolvers.setting_up import (
    CREATE_CHANNEL,
    CREATE_RESPONDER,
    DELETE_CHANNEL,
    TEST_CHANNEL,
    UPDATE_CHANNEL,
    a_webhook,
    done,
    refused,
)

SETTINGS = """mutation($input: UpdateTenantSettingsInput!) { updateTenantSettings(input: $input) {
  settings { deadManChannel { name } version } errors { code path } } }"""
DELIVERIES = """query($filter: DeliveryFilter, $first: Int) { deliveries(filter: $filter, first: $first) {
  nodes { id channelName level status attemptCount lastError sentAt nextAttemptAt alert { id } responder { id }
    channel { name } fellBackTo { id } attempts { statusCode error duration } } } }"""
PREVIEW = """query($channelId: ID!, $template: String, $alertId: ID) {
  notificationPreview(channelId: $channelId, template: $template, alertId: $alertId) {
    subject text payload errors { code message path } } }"""
HEALTH = """query($id: ID!) { notificationChannel(id: $id) { enabled health {
  healthy circuitOpenUntil lastSuccessAt lastFailureAt lastError } } }"""


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        (
            {"slack": {"botToken": "xoxb-hush", "channel": "#ops", "signingSecret": "hush"}},
            {"__typename": "SlackConfig", "channel": "#ops", "apiUrl": None},
        ),
        (
            {"teams": {"workflowUrl": "https://127.0.0.1/hush?sig=hush"}},
            {"__typename": "TeamsConfig", "host": "127.0.0.1"},
        ),
        (
            {"pagerduty": {"routingKey": "hushhushhush1234"}},
            {"__typename": "PagerDutyConfig", "routingKeyEnd": "1234", "eventsUrl": None},
        ),
        (
            {"webhook": {"url": "http://127.0.0.1/x", "headers": {"Authorization": "hush"}, "preset": "NTFY"}},
            {
                "__typename": "WebhookConfig",
                "url": "http://127.0.0.1/x",
                "headerNames": ["Authorization"],
                "preset": "NTFY",
            },
        ),
        (
            {"email": {"to": ["ops@example.com"]}},
            {"__typename": "EmailConfig", "to": ["ops@example.com"]},
        ),
    ],
)
async def test_every_kind_is_made_and_tells_no_secret(
    api: Api, admin: Principal, config: dict[str, Any], shown: dict[str, Any]
) -> None:
    made = (await done(api, admin, CREATE_CHANNEL, name="ops", config=config))["notificationChannel"]

    assert made["config"] == shown
    assert made["kind"].lower() == next(iter(config))
    everything = await api.data(
        admin,
        """{ notificationChannels { nodes { name enabled template config { __typename } } totalCount }
        events { nodes { summary changes { field before after } detail } } }""",
    )
    assert everything["notificationChannels"]["totalCount"] == 1
    assert "hush" not in str(everything)


async def test_the_life_of_a_channel(api: Api, admin: Principal, responder: Principal) -> None:
    first = await a_webhook(api, admin, "first")
    second = await a_webhook(api, admin, "second", fallbackId=first, template="{{ alert.title }}")

    assert await refused(api, admin, UPDATE_CHANNEL, id=first, fallbackId=second) == (
        "INVALID_INPUT",
        "input.fallbackId",
    )
    changed = await done(
        api,
        admin,
        UPDATE_CHANNEL,
        id=second,
        name="renamed",
        enabled=False,
        config={"webhook": {"headers": {"X-A": "1"}}},
    )
    assert changed["webhookSecret"] is None
    assert changed["notificationChannel"]["config"] == {
        "url": "http://127.0.0.1:9/hook",
        "headerNames": ["X-A"],
        "preset": None,
    }
    assert (changed["notificationChannel"]["enabled"], changed["notificationChannel"]["fallback"]) == (
        False,
        {"id": first},
    )
    assert await refused(api, admin, DELETE_CHANNEL, id=first) == ("IN_USE", "input.id")
    bare = await done(api, admin, UPDATE_CHANNEL, id=second, fallbackId=None, template=None)
    assert (bare["notificationChannel"]["fallback"], bare["notificationChannel"]["template"]) == (None, None)
    dead_man = await done(api, admin, SETTINGS, deadManChannelId=first)
    assert dead_man["settings"]["deadManChannel"] == {"name": "first"}
    assert await refused(api, admin, DELETE_CHANNEL, id=first) == ("IN_USE", "input.id")
    await done(api, admin, SETTINGS, deadManChannelId=None)
    assert (await done(api, admin, DELETE_CHANNEL, id=first))["deletedId"] == first
    document = "mutation($input: DeleteInput!) { deleteNotificationChannel(input: $input) { deletedId } }"
    assert await api.codes(responder, document, input={"id": second}) == ["FORBIDDEN"]


async def test_settings_name_what_there_is(api: Api, admin: Principal) -> None:
    other = a_caller(await api.tenant("other"), Role.ADMIN)
    strange = await a_webhook(api, other)

    assert await refused(api, admin, SETTINGS, deadManChannelId=strange) == ("NOT_FOUND", "input.deadManChannelId")
    assert await refused(api, admin, SETTINGS, defaultEscalationRuleId=strange) == (
        "NOT_FOUND",
        "input.defaultEscalationRuleId",
    )
    assert (await done(api, admin, SETTINGS, retention="P30D"))["settings"]["deadManChannel"] is None


async def test_a_test_reaches_the_provider(api: Api, admin: Principal, viewer: Principal) -> None:
    async with provider(answers(200)) as hook:
        made = await done(api, admin, CREATE_CHANNEL, name="hook", config={"webhook": {"url": f"{hook.url}/in"}})
        channel = made["notificationChannel"]["id"]

        answer = await done(api, admin, TEST_CHANNEL, id=channel, template="Hello from {{ tenant }}")

    assert (answer["delivered"], "200" in answer["detail"]) == (True, True)
    (request,) = hook.received
    # The other side of the protocol says that we signed with the secret that was shown.
    body = Webhook(made["webhookSecret"]).verify(request.body, dict(request.headers))
    assert "Hello from Acme" in str(body)
    (delivery,) = (await api.data(viewer, DELIVERIES))["deliveries"]["nodes"]
    assert (delivery["status"], delivery["level"], delivery["attemptCount"]) == ("SENT", 0, 1)
    assert (delivery["alert"], delivery["responder"], delivery["fellBackTo"]) == (None, None, None)
    assert (delivery["channel"], delivery["channelName"]) == ({"name": "hook"}, "hook")
    assert delivery["sentAt"] is not None
    assert delivery["nextAttemptAt"] is None
    assert delivery["attempts"][0]["statusCode"] == 200
    health = (await api.data(viewer, HEALTH, id=channel))["notificationChannel"]["health"]
    assert (health["healthy"], health["circuitOpenUntil"], health["lastError"]) == (True, None, None)
    assert health["lastSuccessAt"] is not None


async def test_a_test_that_fails_is_told_and_kept(api: Api, admin: Principal, viewer: Principal) -> None:
    async with provider(answers(400, b"nonsense"), answers(410)) as hook:
        made = await done(api, admin, CREATE_CHANNEL, name="hook", config={"webhook": {"url": hook.url}})
        channel = made["notificationChannel"]["id"]

        bad = await done(api, admin, TEST_CHANNEL, id=channel)
        gone = await done(api, admin, TEST_CHANNEL, id=channel)

    assert (bad["delivered"], gone["delivered"]) == (False, False)
    assert bad["detail"]
    kept = (await api.data(viewer, DELIVERIES, filter={"status": ["FAILED"]}))["deliveries"]["nodes"]
    assert [each["attempts"][0]["statusCode"] for each in kept] == [410, 400]
    after = (await api.data(viewer, HEALTH, id=channel))["notificationChannel"]
    assert after["enabled"] is False
    assert after["health"]["lastError"] is not None


async def test_deliveries_are_filtered(api: Api, admin: Principal, viewer: Principal) -> None:
    async with provider(answers(200)) as hook:
        config = {"webhook": {"url": hook.url}}
        one = (await done(api, admin, CREATE_CHANNEL, name="one", config=config))["notificationChannel"]["id"]
        two = (await done(api, admin, CREATE_CHANNEL, name="two", config=config))["notificationChannel"]["id"]
        for channel in (one, two, one):
            await done(api, admin, TEST_CHANNEL, id=channel)
    person = (await done(api, admin, CREATE_RESPONDER, name="Ada"))["responder"]["id"]
    later = (api.clock.now() + timedelta(hours=1)).isoformat()

    async def names(**filter: object) -> list[str]:
        nodes = (await api.data(viewer, DELIVERIES, filter=filter))["deliveries"]["nodes"]
        return [node["channelName"] for node in nodes]

    assert await names() == ["one", "two", "one"]
    assert await names(channelId=[one]) == ["one", "one"]
    assert await names(channelId=[one, two], status=["SENT", "FAILED"]) == ["one", "two", "one"]
    assert await names(status=["FAILED"]) == []
    assert await names(responderId=[person]) == []
    assert await names(createdAfter=later) == []
    assert await names(createdBefore=later) == ["one", "two", "one"]
    # A list that names nothing asks for nothing.
    assert await names(channelId=["nonsense"]) == await names(status=[]) == await names(responderId=[]) == []
    assert await api.codes(viewer, DELIVERIES, filter={"channelId": [one] * 101}) == ["BAD_REQUEST"]
    narrow = scoped(viewer, a_matcher("job", "api"))
    assert await api.codes(narrow, DELIVERIES) == ["FORBIDDEN"]
    node = "query($id: ID!) { node(id: $id) { ... on Delivery { channelName } } }"
    (newest,) = (await api.data(viewer, DELIVERIES, first=1))["deliveries"]["nodes"]
    assert (await api.data(viewer, node, id=newest["id"]))["node"] == {"channelName": "one"}
    assert (await api.data(narrow, node, id=newest["id"]))["node"] is None


async def test_a_deleted_channel_leaves_its_deliveries(api: Api, admin: Principal, viewer: Principal) -> None:
    async with provider(answers(200)) as hook:
        made = await done(api, admin, CREATE_CHANNEL, name="hook", config={"webhook": {"url": hook.url}})
        channel = made["notificationChannel"]["id"]
        await done(api, admin, TEST_CHANNEL, id=channel)
    await done(api, admin, DELETE_CHANNEL, id=channel)

    (delivery,) = (await api.data(viewer, DELIVERIES))["deliveries"]["nodes"]

    assert (delivery["channel"], delivery["channelName"]) == (None, "hook")


async def test_a_preview_sends_nothing(
    api: Api, admin: Principal, responder: Principal, viewer: Principal
) -> None:
    channel = await a_webhook(api, admin, template="{{ alert.title }}!")
    created = await api.data(
        admin,
        'mutation { createAlert(input: {title: "Disk full", severity: HIGH}) { alert { id } } }',
    )
    alert_id = created["createAlert"]["alert"]["id"]

    made_up = (await api.data(responder, PREVIEW, channelId=channel))["notificationPreview"]
    about = (await api.data(responder, PREVIEW, channelId=channel, alertId=alert_id))["notificationPreview"]
    bad = (await api.data(responder, PREVIEW, channelId=channel, template="a\n{{ nope"))["notificationPreview"]

    assert made_up["text"].startswith("Sample")
    assert about["text"] == "Disk full!"
    assert about["payload"]
    assert about["errors"] == []
    assert (bad["errors"][0]["code"], bad["errors"][0]["path"]) == ("INVALID_INPUT", ["template"])
    assert "2" in bad["errors"][0]["message"]
    assert await api.codes(viewer, PREVIEW, channelId=channel) == ["FORBIDDEN"]
    assert await api.codes(responder, PREVIEW, channelId=alert_id) == ["BAD_REQUEST"]
    assert await api.codes(responder, PREVIEW, channelId=channel, alertId=channel) == ["BAD_REQUEST"]
    assert (await api.data(viewer, DELIVERIES))["deliveries"]["nodes"] == []


async def test_a_breaker_that_is_open_shows(api: Api, admin: Principal, viewer: Principal) -> None:
    channel = await a_webhook(api, admin)
    key = decode_key(channel, NodeKind.CHANNEL)
    assert key is not None
    until = api.clock.now() + timedelta(minutes=5)

    await api.deliveries.note_health(
        viewer.tenant.id,
        ChannelId(key),
        lambda health: replace(health, failure_count=5, open_until=until, last_error="timed out"),
    )

    health = (await api.data(viewer, HEALTH, id=channel))["notificationChannel"]["health"]
    assert (health["healthy"], health["lastError"]) == (False, "timed out")
    assert health["circuitOpenUntil"] is not None


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"slack": {"channel": "#ops"}}, "input.config.slack.botToken"),
        ({"slack": {"botToken": None, "channel": "#ops"}}, "input.config.slack.botToken"),
        ({"webhook": {"url": "ftp://x"}}, "input.config.webhook.url"),
        ({"webhook": {"url": "http://127.0.0.1/", "headers": {"X-A": 1}}}, "input.config.webhook.headers"),
        ({"webhook": {"url": "http://127.0.0.1/", "headers": ["X-A"]}}, "input.config.webhook.headers"),
        ({"email": {"to": []}}, "input.config.email.to"),
    ],
)
async def test_what_cannot_be_used_is_named(
    api: Api, admin: Principal, config: dict[str, object], path: str
) -> None:
    assert await refused(api, admin, CREATE_CHANNEL, name="x", config=config) == ("INVALID_INPUT", path)


async def test_exactly_one_kind_is_meant(api: Api, admin: Principal) -> None:
    both = {"email": {"to": ["ops@example.com"]}, "teams": {"workflowUrl": "https://127.0.0.1/"}}

    for config in ({}, both):
        with pytest.raises(RefusedError, match="Exactly one"):
            await api.codes(admin, CREATE_CHANNEL, input={"name": "x", "config": config})
