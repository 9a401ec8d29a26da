"""Channels: what is kept of them, what is told, and what a patch leaves."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from alertgraph.core.channel import (
    Channel,
    ChannelKind,
    EmailConfig,
    PagerDutyConfig,
    SlackConfig,
    TeamsConfig,
    WebhookConfig,
    WebhookPreset,
)
from alertgraph.core.delivery import ChannelHealth, DeliveryStatus, Purpose
from alertgraph.core.errors import AccessDeniedError, ErrorCode, RefusedError
from alertgraph.core.event import FieldChange, canonical
from alertgraph.core.ids import ChannelId, ResponderId, RuleId
from alertgraph.core.message import SendResult
from alertgraph.core.responder import ContactMethod, Responder
from alertgraph.core.rule import ChannelTarget, EscalationRule, Level
from alertgraph.core.tenant import Role
from alertgraph.services import channels
from alertgraph.services.channels import (
    ConfigPatch,
    EmailPatch,
    PagerDutyPatch,
    SlackPatch,
    TeamsPatch,
    WebhookPatch,
)
from tests.factories import MINUTE, T0, TENANT, an_alert, an_id
from tests.unit.services.setting_up import ACME, SettingUp, a_caller, refusal

ADMIN = a_caller()
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SLACK = SlackPatch(bot_token="xoxb-1", channel="#ops", signing_secret="s1")
WEBHOOK = WebhookPatch(url="https://hooks.example.com/a", secret=SECRET)


@pytest.fixture
def world() -> SettingUp:
    return SettingUp()


async def made(world: SettingUp, config: ConfigPatch, name: str = "channel") -> Channel:
    channel, _ = await world.channels.create(ADMIN, name=name, config=config)
    return channel


@pytest.mark.parametrize(
    ("patch", "kind", "config", "secrets"),
    [
        (
            replace(SLACK, api_url="https://slack.example.com/api/"),
            ChannelKind.SLACK,
            SlackConfig("#ops", "https://slack.example.com/api/"),
            {"botToken": "xoxb-1", "signingSecret": "s1"},
        ),
        (
            TeamsPatch(workflow_url="https://prod-1.logic.example.com/workflows/1?sig=s"),
            ChannelKind.TEAMS,
            TeamsConfig("prod-1.logic.example.com"),
            {"workflowUrl": "https://prod-1.logic.example.com/workflows/1?sig=s"},
        ),
        (
            PagerDutyPatch(routing_key="0123456789abcdef", events_url="https://events.eu.example.com/"),
            ChannelKind.PAGERDUTY,
            PagerDutyConfig("cdef", "https://events.eu.example.com/"),
            {"routingKey": "0123456789abcdef"},
        ),
        (
            replace(WEBHOOK, headers={"X-B": "2", "Authorization": "Bearer 1"}),
            ChannelKind.WEBHOOK,
            WebhookConfig("https://hooks.example.com/a", ("X-B", "Authorization")),
            {"secret": SECRET, "headers": '{"Authorization":"Bearer 1","X-B":"2"}'},
        ),
        (
            EmailPatch(to=("ops@example.com", "dev@example.com")),
            ChannelKind.EMAIL,
            EmailConfig(("ops@example.com", "dev@example.com")),
            {},
        ),
    ],
)
async def test_a_channel_is_kept_with_its_secrets_sealed(
    world: SettingUp,
    patch: ConfigPatch,
    kind: ChannelKind,
    config: object,
    secrets: dict[str, str],
) -> None:
    channel, made_here = await world.channels.create(
        ADMIN, name="ops", config=patch, enabled=False, template="{{ title }}"
    )

    assert world.catalog.channels == {channel.id: channel}
    assert channel == Channel(
        channel.id,
        "ops",
        kind,
        config,
        False,
        None,
        "{{ title }}",
        channel.sealed,
        version=1,  # type: ignore[arg-type]
    )
    assert made_here is None
    assert await world.channels.secrets(TENANT, channel) == secrets
    if channel.sealed is not None:
        opened = await world.vault.open(TENANT, "channel", channel.sealed)
        assert orjson.loads(opened or "") == secrets
    told = canonical(world.events[-1])
    for secret in secrets.values():
        assert orjson.dumps(secret).decode()[1:-1] not in told
    assert "sealed" not in told


async def test_a_webhooks_secret_is_made_and_shown_once(world: SettingUp) -> None:
    patch = WebhookPatch(url="https://hooks.example.com/a")

    channel, secret = await world.channels.create(ADMIN, name="hook", config=patch, idempotency_key="k")
    again, never = await world.channels.create(ADMIN, name="hook", config=patch, idempotency_key="k")

    assert secret is not None
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert await world.channels.secrets(TENANT, channel) == {"secret": secret}
    assert (again, never) == (channel, None)
    _, none = await world.channels.update(ADMIN, channel.id, config=WebhookPatch(headers={"X-A": "1"}))
    assert none is None


async def test_another_services_form_needs_no_signing_secret(world: SettingUp) -> None:
    patch = WebhookPatch(url="https://ntfy.sh/ops", preset=WebhookPreset.NTFY)

    channel, secret = await world.channels.create(ADMIN, name="push", config=patch)
    assert (secret, channel.sealed) == (None, None)
    assert channel.config == WebhookConfig("https://ntfy.sh/ops", (), WebhookPreset.NTFY)

    plain, secret = await world.channels.update(ADMIN, channel.id, config=WebhookPatch(preset=None))
    assert secret is not None
    assert await world.channels.secrets(TENANT, plain) == {"secret": secret}


async def test_a_patch_leaves_what_it_does_not_name(world: SettingUp) -> None:
    channel = await made(world, replace(SLACK, api_url="https://slack.example.com/api/"))

    moved, _ = await world.channels.update(ADMIN, channel.id, config=SlackPatch(channel="C1"), expected_version=1)
    assert moved == replace(channel, config=SlackConfig("C1", "https://slack.example.com/api/"), version=2)

    rolled, _ = await world.channels.update(ADMIN, channel.id, config=SlackPatch(bot_token="xoxb-2"))
    assert rolled.config == moved.config
    assert await world.channels.secrets(TENANT, rolled) == {"botToken": "xoxb-2", "signingSecret": "s1"}
    assert world.events[-1].changes == (FieldChange("secrets", None, None),)

    bare, _ = await world.channels.update(
        ADMIN, channel.id, config=SlackPatch(signing_secret=None, api_url=None), name="renamed", enabled=False
    )
    assert await world.channels.secrets(TENANT, bare) == {"botToken": "xoxb-2"}
    assert (bare.config, bare.name, bare.enabled) == (SlackConfig("C1"), "renamed", False)


async def test_what_stays_the_same_is_no_change(world: SettingUp) -> None:
    channel = await made(world, SLACK)

    again, _ = await world.channels.update(ADMIN, channel.id, name="channel", config=SLACK, template=None)

    assert again == channel
    assert len(world.events) == 1


async def test_the_kind_of_a_channel_stays(world: SettingUp) -> None:
    channel = await made(world, SLACK)

    with pytest.raises(RefusedError) as error:
        await world.channels.update(ADMIN, channel.id, config=WEBHOOK)

    assert refusal(error) == (ErrorCode.INVALID_INPUT, ("config",))


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        (SlackPatch(channel="#ops"), ("slack", "botToken")),
        (SlackPatch(bot_token="x"), ("slack", "channel")),
        (SlackPatch(bot_token="x", channel=""), ("slack", "channel")),
        (SlackPatch(bot_token="x\ny", channel="#ops"), ("slack", "botToken")),
        (SlackPatch(bot_token="x" * 1025, channel="#ops"), ("slack", "botToken")),
        (replace(SLACK, api_url="ftp://slack"), ("slack", "apiUrl")),
        (TeamsPatch(), ("teams", "workflowUrl")),
        (TeamsPatch(workflow_url="https://"), ("teams", "workflowUrl")),
        (TeamsPatch(workflow_url="https://[x"), ("teams", "workflowUrl")),
        (TeamsPatch(workflow_url="ftp://x"), ("teams", "workflowUrl")),
        (PagerDutyPatch(), ("pagerduty", "routingKey")),
        (PagerDutyPatch(routing_key="k", events_url="x"), ("pagerduty", "eventsUrl")),
        (WebhookPatch(), ("webhook", "url")),
        (WebhookPatch(url="https://" + "x" * 2048), ("webhook", "url")),
        (WebhookPatch(url="https://a b "), ("webhook", "url")),
        (replace(WEBHOOK, secret="secret"), ("webhook", "secret")),
        (replace(WEBHOOK, secret="whsec_" + base64.b64encode(bytes(23)).decode()), ("webhook", "secret")),
        (replace(WEBHOOK, secret="whsec_" + base64.b64encode(bytes(65)).decode()), ("webhook", "secret")),
        (replace(WEBHOOK, secret=SECRET[:-1]), ("webhook", "secret")),
        (replace(WEBHOOK, headers={"Host": "x"}), ("webhook", "headers", "Host")),
        (replace(WEBHOOK, headers={"X-A": "1", "x-a": "2"}), ("webhook", "headers", "x-a")),
        (replace(WEBHOOK, headers={"X A": "1"}), ("webhook", "headers")),
        (replace(WEBHOOK, headers={"X-A": "1\r\nX-B: 2"}), ("webhook", "headers", "X-A")),
        (replace(WEBHOOK, headers={"X-A": "ä"}), ("webhook", "headers", "X-A")),
        (replace(WEBHOOK, headers={f"X-{n}": "1" for n in range(21)}), ("webhook", "headers")),
        (EmailPatch(), ("email", "to")),
        (EmailPatch(to=()), ("email", "to")),
        (EmailPatch(to=("a@example.com",) * 51), ("email", "to")),
        (EmailPatch(to=("a@example.com", "b")), ("email", "to", "1")),
    ],
)
async def test_what_cannot_be_used_is_refused(world: SettingUp, patch: ConfigPatch, path: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError) as error:
        await made(world, patch)

    assert refusal(error) == (ErrorCode.INVALID_INPUT, ("config", *path))
    assert world.catalog.channels == {}


async def test_no_secret_is_quoted_in_a_refusal(world: SettingUp) -> None:
    for patch in (
        SlackPatch(bot_token="hush\n", channel="#ops"),
        replace(WEBHOOK, secret="hush"),
        replace(WEBHOOK, headers={"X-A": "hush\n"}),
    ):
        with pytest.raises(RefusedError) as error:
            await made(world, patch)
        assert "hush" not in error.value.message


async def test_a_template_is_tried_for_what_it_is_used_for(world: SettingUp) -> None:
    with pytest.raises(RefusedError) as created:
        await world.channels.create(ADMIN, name="hook", config=WEBHOOK, template="bad")
    channel, _ = await world.channels.create(ADMIN, name="hook", config=WEBHOOK, template="good")
    with pytest.raises(RefusedError) as updated:
        await world.channels.update(ADMIN, channel.id, template="bad")
    assert refusal(created) == refusal(updated) == (ErrorCode.INVALID_INPUT, ("template",))

    world.notifier.checked.clear()
    await world.channels.update(ADMIN, channel.id, config=WebhookPatch(preset=WebhookPreset.PUSHOVER))
    assert world.notifier.checked == [(ChannelKind.WEBHOOK, WebhookPreset.PUSHOVER, "good")]
    world.notifier.checked.clear()
    plain, _ = await world.channels.update(ADMIN, channel.id, template=None)
    await world.channels.update(ADMIN, channel.id, config=WebhookPatch(url="https://hooks.example.com/b"))
    assert (plain.template, world.notifier.checked) == (None, [])


async def test_fallbacks_go_round_in_no_circle(world: SettingUp) -> None:
    first = await made(world, SLACK, "first")
    second, _ = await world.channels.create(ADMIN, name="second", config=WEBHOOK, fallback_id=first.id)
    third, _ = await world.channels.create(ADMIN, name="third", config=WEBHOOK, fallback_id=second.id)

    for fallback_id in (first.id, second.id, third.id):
        with pytest.raises(RefusedError) as error:
            await world.channels.update(ADMIN, first.id, fallback_id=fallback_id)
        assert refusal(error) == (ErrorCode.INVALID_INPUT, ("fallbackId",))
    with pytest.raises(RefusedError) as error:
        await world.channels.create(ADMIN, name="x", config=SLACK, fallback_id=ChannelId(an_id(99)))
    assert refusal(error) == (ErrorCode.NOT_FOUND, ("fallbackId",))

    alone, _ = await world.channels.update(ADMIN, third.id, fallback_id=None)
    assert alone.fallback_id is None
    assert (await world.channels.update(ADMIN, first.id, fallback_id=third.id))[0].fallback_id == third.id


async def test_a_name_is_one_of_a_kind(world: SettingUp) -> None:
    await made(world, SLACK, "first")
    second = await made(world, WEBHOOK, "second")

    with pytest.raises(RefusedError) as created:
        await made(world, WEBHOOK, "first")
    with pytest.raises(RefusedError) as updated:
        await world.channels.update(ADMIN, second.id, name="first")

    assert refusal(created) == refusal(updated) == (ErrorCode.CONFLICT, ("name",))


async def test_a_channel_in_use_stays(world: SettingUp) -> None:
    channel = await made(world, SLACK, "used")
    other, _ = await world.channels.create(ADMIN, name="other", config=WEBHOOK, fallback_id=channel.id)
    rule = EscalationRule(RuleId(an_id(20)), "nights", 1, (Level(MINUTE, (ChannelTarget(channel.id),)),))
    ada = Responder(ResponderId(an_id(30)), "Ada", contact_methods=(ContactMethod(channel.id),))
    world.put(rules=(rule,), responders={ada.id: ada})
    rows = world.log.tenants[TENANT]
    settings = rows.config.settings
    rows.config = replace(rows.config, settings=replace(settings, dead_man_channel_id=channel.id))

    with pytest.raises(RefusedError) as error:
        await world.channels.delete(ADMIN, channel.id)
    assert refusal(error) == (ErrorCode.IN_USE, ("id",))
    for name in ("nights", "Ada", "other", "deadManChannel"):
        assert name in error.value.message

    rows.config = replace(rows.config, settings=settings)
    world.put(rules=(), responders={})
    await world.channels.delete(ADMIN, other.id)
    await world.channels.delete(ADMIN, channel.id, expected_version=1)
    assert world.catalog.channels == {}


async def test_roles(world: SettingUp) -> None:
    channel = await made(world, SLACK)
    for caller in (a_caller(Role.RESPONDER), a_caller(job="api")):
        for call in (
            world.channels.create(caller, name="x", config=SLACK),
            world.channels.update(caller, channel.id, name="x"),
            world.channels.delete(caller, channel.id),
            world.channels.test(caller, channel.id, None),
        ):
            with pytest.raises(AccessDeniedError):
                await call
    with pytest.raises(AccessDeniedError):
        world.channels.preview(a_caller(Role.VIEWER), channel, None, None)


async def test_a_change_in_between_is_seen(world: SettingUp, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = await made(world, SLACK)
    look = world.changes.config
    looks = 0

    async def look_and_be_overtaken(tenant_id: object) -> object:
        nonlocal looks
        looks += 1
        seen = await look(tenant_id)  # type: ignore[arg-type]
        if looks == 1:
            sealed = await world.vault.seal(TENANT, "channel", '{"botToken":"xoxb-9","signingSecret":"s9"}')
            world.put(channels={channel.id: replace(channel, sealed=sealed, version=2)})
        return seen

    monkeypatch.setattr(world.changes, "config", look_and_be_overtaken)
    changed, _ = await world.channels.update(ADMIN, channel.id, config=SlackPatch(bot_token="xoxb-2"))

    assert looks == 2
    assert await world.channels.secrets(TENANT, changed) == {"botToken": "xoxb-2", "signingSecret": "s9"}


# --------------------------------------------------------------------------------- trying a channel


async def test_a_test_goes_out_and_is_kept(world: SettingUp) -> None:
    channel = await made(world, SLACK)
    open_until = T0 + timedelta(hours=1)
    world.deliveries.channel_health[channel.id] = ChannelHealth(9, open_until, last_error="timed out")

    answer = await world.channels.test(ADMIN, channel.id, "other text")

    assert answer == (True, "The provider took it (status 200).")
    ((tried, secrets, address, message),) = world.notifier.sent
    assert tried == replace(channel, template="other text")
    assert secrets == {"botToken": "xoxb-1", "signingSecret": "s1"}
    assert (address, message.purpose, message.alerts, message.tenant) == (None, Purpose.TEST, (), "Acme")
    ((delivery, attempt),) = world.deliveries.kept
    assert delivery.id == message.id
    assert (delivery.status, delivery.alert_id, delivery.channel_name, delivery.level) == (
        DeliveryStatus.SENT,
        None,
        "channel",
        0,
    )
    assert (delivery.attempt_count, delivery.sent_at, delivery.last_error) == (1, T0, None)
    assert (attempt.number, attempt.status_code, attempt.error) == (1, 200, None)
    health = world.deliveries.channel_health[channel.id]
    assert (health.failure_count, health.open_until, health.last_success_at) == (0, None, T0)
    assert world.catalog.channels == {channel.id: channel}


async def test_a_test_that_fails_says_why(world: SettingUp) -> None:
    channel = await made(world, SLACK)
    world.notifier.result = SendResult(delivered=False, status_code=404, error="channel_not_found")

    assert await world.channels.test(ADMIN, channel.id, None) == (False, "channel_not_found")

    ((delivery, attempt),) = world.deliveries.kept
    assert (delivery.status, delivery.sent_at, delivery.last_error) == (
        DeliveryStatus.FAILED,
        None,
        "channel_not_found",
    )
    assert (attempt.status_code, attempt.error) == (404, "channel_not_found")
    health = world.deliveries.channel_health[channel.id]
    assert (health.failure_count, health.last_failure_at, health.last_error) == (0, T0, "channel_not_found")


async def test_a_test_that_hangs_is_given_up(world: SettingUp, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    channel = await made(world, SLACK)

    async def hang(*_: object) -> SendResult:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(world.notifier, "send", hang)
    monkeypatch.setattr(channels, "TEST_TIMEOUT", timedelta(milliseconds=20))

    delivered, detail = await world.channels.test(ADMIN, channel.id, None)

    assert not delivered
    assert detail.startswith("No answer within")
    assert world.deliveries.kept[0][0].status is DeliveryStatus.FAILED


async def test_a_test_answers_before_the_edge_gives_up() -> None:
    assert timedelta(0) < channels.TEST_TIMEOUT <= timedelta(seconds=13)


async def test_a_channel_that_is_gone_for_good_is_disabled(world: SettingUp) -> None:
    channel = await made(world, WEBHOOK)
    world.notifier.result = SendResult(delivered=False, status_code=410, gone=True)

    assert await world.channels.test(ADMIN, channel.id, None) == (False, "The provider refused it (status 410).")

    assert world.catalog.channels[channel.id].enabled is False
    event = world.events[-1]
    assert event.changes == (FieldChange("enabled", True, False),)
    assert "gone" in event.detail["reason"]
    # Once is enough, and one that was deleted meanwhile is nobody's concern.
    await world.channels.disable(ACME, channel.id)
    await world.channels.disable(ACME, ChannelId(an_id(99)))
    assert len(world.events) == 2


async def test_a_bad_template_is_not_sent(world: SettingUp) -> None:
    channel = await made(world, SLACK)

    with pytest.raises(RefusedError) as error:
        await world.channels.test(ADMIN, channel.id, "bad")

    assert refusal(error) == (ErrorCode.INVALID_INPUT, ("template",))
    assert world.notifier.sent == []


async def test_a_preview_is_about_an_alert_or_a_made_up_one(world: SettingUp) -> None:
    channel = await made(world, SLACK)
    responder = a_caller(Role.RESPONDER)

    about = world.channels.preview(responder, channel, None, an_alert(title="Disk full"))
    made_up = world.channels.preview(responder, channel, "mine", None)

    assert about.text == "built in: Disk full"
    assert made_up.text.startswith("mine: Sample")
    with pytest.raises(RefusedError) as error:
        world.channels.preview(responder, channel, "bad", None)
    assert refusal(error) == (ErrorCode.INVALID_INPUT, ("template",))
    assert world.notifier.sent == []
