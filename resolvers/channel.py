"""Ways to reach people or machines: read, made, changed, tried, deleted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any, Self, TypeAlias

import strawberry
from strawberry import Maybe

from alertgraph.core import channel as core
from alertgraph.core import delivery
from alertgraph.core.action import UNSET as LEFT_OUT
from alertgraph.core.action import Unset
from alertgraph.core.errors import InputError, RefusedError
from alertgraph.core.ids import ChannelId, NodeKind, decode_alert_id, decode_key, encode_id
from alertgraph.core.query import Page
from alertgraph.services.channels import (
    ConfigPatch,
    EmailPatch,
    PagerDutyPatch,
    SlackPatch,
    TeamsPatch,
    WebhookPatch,
)
from resolvers.context import Info
from resolvers.deletion import DeleteInput, DeletePayload
from resolvers.errors import MutationError, errors_of, unknown
from resolvers.fields import computed
from resolvers.paging import UNSET, After, First, Node, PageInfo, Which, given, listed, page_of
from resolvers.patch import cleared, patched
from resolvers.permissions import reads, writes
from resolvers.relations import relation
from resolvers.scalars import JSON, Long
from resolvers.words import ChannelKind, Role, WebhookPreset

PRESET = "The service whose own form the body takes; null for Standard Webhooks."


@strawberry.type(description="Slack.")
class SlackConfig:
    """Slack."""

    channel: str = strawberry.field(description="Channel id or name.")
    api_url: str | None = strawberry.field(description="API address; null for Slack's own.")


@strawberry.type(description="Microsoft Teams.")
class TeamsConfig:
    """Microsoft Teams."""

    host: str = strawberry.field(description="Host of the workflow's address; the rest is secret.")


@strawberry.type(description="PagerDuty.")
class PagerDutyConfig:
    """PagerDuty."""

    routing_key_end: str = strawberry.field(description="Last four characters of the routing key.")
    events_url: str | None = strawberry.field(description="Events address; null for PagerDuty's own.")


@strawberry.type(description="Standard Webhooks.")
class WebhookConfig:
    """Standard Webhooks, or another service's own form."""

    url: str = strawberry.field(description="Where it is posted.")
    header_names: list[str] = strawberry.field(description="Names of extra headers; values are secret.")
    preset: WebhookPreset | None = strawberry.field(description=PRESET)


@strawberry.type(description="E-mail.")
class EmailConfig:
    """E-mail."""

    to: list[str] = strawberry.field(description="Recipients.")


ChannelConfig: TypeAlias = Annotated[
    SlackConfig | TeamsConfig | PagerDutyConfig | WebhookConfig | EmailConfig,
    strawberry.union("ChannelConfig", description="A channel's set-up; secrets cannot be read back."),
]


def _config_of(config: core.ChannelConfig) -> Any:
    """Return a channel's set-up as the API shows it."""
    match config:
        case core.SlackConfig():
            return SlackConfig(channel=config.channel, api_url=config.api_url)
        case core.TeamsConfig():
            return TeamsConfig(host=config.host)
        case core.PagerDutyConfig():
            return PagerDutyConfig(routing_key_end=config.routing_key_end, events_url=config.events_url)
        case core.WebhookConfig():
            return WebhookConfig(url=config.url, header_names=list(config.header_names), preset=config.preset)
        case core.EmailConfig():
            return EmailConfig(to=list(config.to))


@strawberry.type(description="How a channel is doing.")
class ChannelHealth:
    """How a channel is doing."""

    healthy: bool = strawberry.field(description="False while its circuit breaker is open.")
    circuit_open_until: datetime | None = strawberry.field(description="When the breaker tries again.")
    last_success_at: datetime | None = strawberry.field(description="Last success.")
    last_failure_at: datetime | None = strawberry.field(description="Last failure.")
    last_error: str | None = strawberry.field(description="What failed, secrets left out.")

    @classmethod
    def of(cls, health: delivery.ChannelHealth, now: datetime) -> Self:
        """Return how a channel is doing at `now`."""
        is_open = health.is_open(now)
        return cls(
            healthy=not is_open,
            circuit_open_until=health.open_until if is_open else None,
            last_success_at=health.last_success_at,
            last_failure_at=health.last_failure_at,
            last_error=health.last_error,
        )


async def channels_by_id(info: Info, keys: Sequence[ChannelId]) -> Mapping[ChannelId, core.Channel]:
    """Return the channels that there are today."""
    channels = (await info.context.catalog()).channels
    return {key: channels[key] for key in keys if key in channels}


def shown_channel(_info: Info, found: core.Channel) -> "NotificationChannel":
    """Return a channel as the API shows it."""
    return NotificationChannel.of(found)


async def health_by_channel(info: Info, keys: Sequence[ChannelId]) -> Mapping[ChannelId, delivery.ChannelHealth]:
    """Return how channels do; one that was never used is well."""
    found = await info.context.reading.channel_health()
    return {key: found.get(key) or delivery.ChannelHealth() for key in keys}


def shown_health(info: Info, found: delivery.ChannelHealth) -> ChannelHealth:
    """Return how a channel does as the API shows it."""
    return ChannelHealth.of(found, info.context.reading.now)


@strawberry.type(description="A way to reach people or machines.")
class NotificationChannel(Node):
    """A way to reach people or machines."""

    kept: strawberry.Private[core.Channel]
    id: strawberry.ID = strawberry.field(description="Opaque.")
    name: str = strawberry.field(description="Unique in the tenant.")
    kind: ChannelKind = strawberry.field(description="What it speaks.")
    enabled: bool = strawberry.field(description="Whether it is used; a disabled one goes to its fallback.")
    template: str | None = strawberry.field(description="Jinja2; null for the built-in text.")
    version: Long = strawberry.field(description="See the rules at the top.")

    @computed(
        "Used when this channel fails.",
        batch=relation(attrgetter("kept.fallback_id"), channels_by_id, shown_channel),
    )
    @reads(Role.VIEWER)
    async def fallback(self, info: Info) -> "NotificationChannel | None":
        """Return what stands in for the channel."""
        if self.kept.fallback_id is None:
            return None
        found = (await info.context.catalog()).channels.get(self.kept.fallback_id)
        return NotificationChannel.of(found) if found is not None else None

    @computed("How it is set up, without secrets.", cost=0)
    def config(self) -> ChannelConfig:
        """Return the set-up."""
        return _config_of(self.kept.config)  # type: ignore[no-any-return]  # one of the union's

    @computed("How it is doing.", batch=relation(attrgetter("kept.id"), health_by_channel, shown_health))
    @reads(Role.VIEWER)
    async def health(self, info: Info) -> ChannelHealth:
        """Return how the channel is doing; one that was never used is well."""
        found = await info.context.loaders.channel_health.load(self.kept.id)
        return ChannelHealth.of(found or delivery.ChannelHealth(), info.context.reading.now)

    @classmethod
    def of(cls, channel: core.Channel) -> Self:
        """Return a channel as the API shows it."""
        return cls(
            kept=channel,
            id=strawberry.ID(encode_id(NodeKind.CHANNEL, channel.id)),
            name=channel.name,
            kind=channel.kind,
            enabled=channel.enabled,
            template=channel.template,
            version=Long(channel.version),
        )


@strawberry.type(description="One of a page of channels.")
class NotificationChannelEdge:
    """One of a page of channels."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: NotificationChannel = strawberry.field(description="The thing.")


@strawberry.type(description="A page of channels.")
class NotificationChannelConnection:
    """A page of channels."""

    edges: list[NotificationChannelEdge] = strawberry.field(description="With cursors.")
    nodes: list[NotificationChannel] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int = strawberry.field(description="How many there are in all pages.")

    @classmethod
    def of(cls, page: Page[core.Channel]) -> Self:
        """Return a page of channels as the API shows it."""
        assert page.total_count is not None, "configuration lists are always counted"
        edges = [
            NotificationChannelEdge(cursor=cursor, node=NotificationChannel.of(found))
            for cursor, found in page.items
        ]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
        )


@strawberry.type(description="What a message would look like.")
class NotificationPreview:
    """What a message would look like."""

    subject: str | None = strawberry.field(description="Subject or heading; null where the kind has none.")
    text: str = strawberry.field(description="Plain text.")
    payload: JSON = strawberry.field(description="The body as it would be sent.")
    errors: list[MutationError] = strawberry.field(
        description="What is wrong with the template, with line and column.", metadata={"cost": 0}
    )


# ------------------------------------------------------------------------------------------ input


@strawberry.input(description="Slack.")
class SlackConfigInput:
    """Slack."""

    bot_token: Maybe[str | None] = strawberry.field(description="Needed on creation; secret.")
    channel: Maybe[str | None] = strawberry.field(description="Needed on creation; id or name.")
    signing_secret: Maybe[str | None] = strawberry.field(description="Needed on creation for buttons; secret.")
    api_url: Maybe[str | None] = strawberry.field(description="For tests and proxies.")


@strawberry.input(description="Microsoft Teams.")
class TeamsConfigInput:
    """Microsoft Teams."""

    workflow_url: Maybe[str | None] = strawberry.field(description="Needed on creation; secret.")


@strawberry.input(description="PagerDuty.")
class PagerDutyConfigInput:
    """PagerDuty."""

    routing_key: Maybe[str | None] = strawberry.field(description="Needed on creation; secret.")
    events_url: Maybe[str | None] = strawberry.field(description="For the EU or tests.")


@strawberry.input(description="Standard Webhooks.")
class WebhookConfigInput:
    """Standard Webhooks, or another service's own form."""

    url: Maybe[str | None] = strawberry.field(
        description="Needed on creation; private addresses only where the operator allows them."
    )
    secret: Maybe[str | None] = strawberry.field(description="whsec_ and base64; made where left out on creation.")
    headers: Maybe[JSON | None] = strawberry.field(description="Object of strings; values are kept secret.")
    preset: Maybe[WebhookPreset | None] = strawberry.field(description=PRESET)


@strawberry.input(description="E-mail.")
class EmailConfigInput:
    """E-mail."""

    to: Maybe[list[str] | None] = strawberry.field(description="Needed on creation; 1 to 50.")


@strawberry.input(description="Exactly one kind.", one_of=True)
class ChannelConfigInput:
    """Exactly one kind."""

    slack: SlackConfigInput | None = strawberry.field(description="Slack.")
    teams: TeamsConfigInput | None = strawberry.field(description="Microsoft Teams.")
    pagerduty: PagerDutyConfigInput | None = strawberry.field(description="PagerDuty.")
    webhook: WebhookConfigInput | None = strawberry.field(description="Webhook.")
    email: EmailConfigInput | None = strawberry.field(description="E-mail.")

    def to_core(self, *path: str) -> ConfigPatch:
        """Return what it says of a channel's set-up.

        Raises:
            InputError: What can't be empty is null; the path names it.
        """
        if (slack := self.slack) is not None:
            path = (*path, "slack")
            return SlackPatch(
                bot_token=patched(slack.bot_token, *path, "botToken"),
                channel=patched(slack.channel, *path, "channel"),
                signing_secret=cleared(slack.signing_secret),
                api_url=cleared(slack.api_url),
            )
        if (teams := self.teams) is not None:
            return TeamsPatch(workflow_url=patched(teams.workflow_url, *path, "teams", "workflowUrl"))
        if (pagerduty := self.pagerduty) is not None:
            return PagerDutyPatch(
                routing_key=patched(pagerduty.routing_key, *path, "pagerduty", "routingKey"),
                events_url=cleared(pagerduty.events_url),
            )
        if (webhook := self.webhook) is not None:
            path = (*path, "webhook")
            return WebhookPatch(
                url=patched(webhook.url, *path, "url"),
                secret=patched(webhook.secret, *path, "secret"),
                headers=_headers(cleared(webhook.headers), *path, "headers"),
                preset=cleared(webhook.preset),
            )
        assert self.email is not None, "exactly one is given"
        to = patched(self.email.to, *path, "email", "to")
        return EmailPatch(to=to if isinstance(to, Unset) else tuple(to))


@strawberry.input(description="A new channel.")
class NotificationChannelInput:
    """A new channel."""

    name: str = strawberry.field(description="Unique in the tenant.")
    enabled: bool = strawberry.field(default=True, description="Whether it is used.")
    fallback_id: strawberry.ID | None = strawberry.field(description="Used when it fails; a circle is refused.")
    template: str | None = strawberry.field(description="Jinja2; checked here.")
    config: ChannelConfigInput = strawberry.field(description="Its kind and set-up.")
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.input(description="A patch. The kind stays; a secret left out is kept.")
class UpdateNotificationChannelInput:
    """A patch of a channel."""

    id: strawberry.ID = strawberry.field(description="Which.")
    expected_version: Long | None = strawberry.field(description="Refuse where it changed since.")
    name: Maybe[str | None] = strawberry.field(description="Unique.")
    enabled: Maybe[bool | None] = strawberry.field(description="Whether it is used.")
    fallback_id: Maybe[strawberry.ID | None] = strawberry.field(description="Null for none.")
    template: Maybe[str | None] = strawberry.field(description="Null for the built-in text.")
    config: Maybe[ChannelConfigInput | None] = strawberry.field(
        description="Of the same kind; inside it, too, what is left out stays."
    )


@strawberry.type(description="Answer.")
class NotificationChannelPayload:
    """What became of a channel."""

    notification_channel: NotificationChannel | None = strawberry.field(description="Null where refused.")
    webhook_secret: str | None = strawberry.field(
        description="The webhook's signing secret where it was made here; never shown again."
    )
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )

    @classmethod
    def refused(cls, error: RefusedError) -> Self:
        """Return the answer to what was refused."""
        return cls(notification_channel=None, webhook_secret=None, errors=errors_of(error))


@strawberry.input(description="To send a test.")
class TestNotificationChannelInput:
    """To send a test."""

    id: strawberry.ID = strawberry.field(description="Which.")
    template: str | None = strawberry.field(description="In place of its own template.")


@strawberry.type(description="Answer.")
class TestNotificationPayload:
    """What became of a test."""

    delivered: bool = strawberry.field(description="Whether the provider took it.")
    detail: str = strawberry.field(description="What the provider said, secrets left out.")
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )


def channel_id_of(text: str, *path: str) -> ChannelId:
    """Return the channel that an id names.

    Raises:
        NotFoundError: It is no channel's id.
    """
    key = decode_key(text, NodeKind.CHANNEL)
    if key is None:
        raise unknown("channel", *path)
    return ChannelId(key)


def _headers(value: JSON | Unset | None, *path: str) -> dict[str, str] | Unset:
    """Return the headers that an object of strings says; null means none."""
    if isinstance(value, Unset):
        return value
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InputError("headers is a JSON object of strings.", *path)
    return value


# -------------------------------------------------------------------------------------- resolvers


@reads(Role.VIEWER)
async def notification_channel(info: Info, id: Which) -> NotificationChannel | None:
    """Return a channel; None where there is none with that id."""
    key = decode_key(id, NodeKind.CHANNEL)
    found = (await info.context.catalog()).channels.get(ChannelId(key)) if key is not None else None
    return NotificationChannel.of(found) if found is not None else None


@reads(Role.VIEWER)
async def notification_channels(
    info: Info, first: First = UNSET, after: After = UNSET
) -> NotificationChannelConnection:
    """Return a page of channels, by name."""
    found = (await info.context.catalog()).channels.values()
    as_of = await info.context.reading.as_of()
    return NotificationChannelConnection.of(
        listed(found, lambda channel: channel.name, page_of(first, after, None, None), as_of)
    )


@reads(Role.RESPONDER)
async def notification_preview(
    info: Info,
    channel_id: Annotated[strawberry.ID, strawberry.argument(description="Over this channel.")],
    template: Annotated[
        str | None, strawberry.argument(description="In place of the channel's own template.")
    ] = UNSET,
    alert_id: Annotated[strawberry.ID | None, strawberry.argument(description="About this alert.")] = UNSET,
) -> NotificationPreview:
    """Return how a message would look; nothing is sent."""
    context = info.context
    channel = (await context.catalog()).channels.get(channel_id_of(channel_id, "channelId"))
    if channel is None:
        raise unknown("channel", "channelId")
    alert = None
    if (asked := given(alert_id)) is not None:
        key = decode_alert_id(asked)
        alert = await context.loaders.alert.load(key) if key is not None else None
        if alert is None:
            raise unknown("alert", "alertId")
    try:
        rendered = context.services.channels.preview(context.principal, channel, given(template), alert)
    except RefusedError as error:
        problems = [MutationError.of(problem) for problem in error.problems]
        return NotificationPreview(subject=None, text="", payload=JSON({}), errors=problems)
    return NotificationPreview(
        subject=rendered.subject, text=rendered.text, payload=JSON(rendered.payload), errors=[]
    )


@writes(Role.ADMIN)
async def create_notification_channel(
    info: Info, input: Annotated[NotificationChannelInput, strawberry.argument(description="What.")]
) -> NotificationChannelPayload:
    """Make a channel."""
    context = info.context
    try:
        channel, secret = await context.services.channels.create(
            context.principal,
            name=input.name,
            config=input.config.to_core("config"),
            enabled=input.enabled,
            fallback_id=channel_id_of(input.fallback_id, "fallbackId") if input.fallback_id is not None else None,
            template=input.template,
            idempotency_key=input.idempotency_key,
        )
    except RefusedError as error:
        return NotificationChannelPayload.refused(error)
    return NotificationChannelPayload(
        notification_channel=NotificationChannel.of(channel), webhook_secret=secret, errors=[]
    )


@writes(Role.ADMIN)
async def update_notification_channel(
    info: Info, input: Annotated[UpdateNotificationChannelInput, strawberry.argument(description="What.")]
) -> NotificationChannelPayload:
    """Change a channel."""
    context = info.context
    try:
        fallback = cleared(input.fallback_id)
        config = patched(input.config, "config")
        channel, secret = await context.services.channels.update(
            context.principal,
            channel_id_of(input.id, "id"),
            name=patched(input.name, "name"),
            enabled=patched(input.enabled, "enabled"),
            fallback_id=fallback
            if fallback is None or isinstance(fallback, Unset)
            else channel_id_of(fallback, "fallbackId"),
            template=cleared(input.template),
            config=LEFT_OUT if isinstance(config, Unset) else config.to_core("config"),
            expected_version=input.expected_version,
        )
    except RefusedError as error:
        return NotificationChannelPayload.refused(error)
    return NotificationChannelPayload(
        notification_channel=NotificationChannel.of(channel), webhook_secret=secret, errors=[]
    )


@writes(Role.ADMIN)
async def delete_notification_channel(
    info: Info, input: Annotated[DeleteInput, strawberry.argument(description="What.")]
) -> DeletePayload:
    """Delete a channel."""
    context = info.context
    try:
        await context.services.channels.delete(
            context.principal, channel_id_of(input.id, "id"), expected_version=input.expected_version
        )
    except RefusedError as error:
        return DeletePayload(deleted_id=None, errors=errors_of(error))
    return DeletePayload(deleted_id=input.id, errors=[])


@writes(Role.ADMIN)
async def test_notification_channel(
    info: Info, input: Annotated[TestNotificationChannelInput, strawberry.argument(description="What.")]
) -> TestNotificationPayload:
    """Send a test message now."""
    context = info.context
    try:
        delivered, detail = await context.services.channels.test(
            context.principal, channel_id_of(input.id, "id"), input.template
        )
    except RefusedError as error:
        return TestNotificationPayload(delivered=False, detail="", errors=errors_of(error))
    return TestNotificationPayload(delivered=delivered, detail=detail, errors=[])
