"""Ways to reach people or machines: made, changed, tried, shown beforehand, deleted."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar, assert_never
from urllib.parse import urlsplit

import orjson

from alertgraph.core.action import UNSET, Unset
from alertgraph.core.actor import ENGINE
from alertgraph.core.alert import Alert, AlertStatus, check_text
from alertgraph.core.catalog import Catalog, Item
from alertgraph.core.channel import (
    Channel,
    ChannelConfig,
    ChannelKind,
    EmailConfig,
    PagerDutyConfig,
    SlackConfig,
    TeamsConfig,
    WebhookConfig,
    WebhookPreset,
    check_fallback,
)
from alertgraph.core.delivery import Attempt, ChannelHealth, Delivery, DeliveryStatus, Purpose
from alertgraph.core.errors import ConflictError, InputError, NotFoundError, RefusedError
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import AlertId, ChannelId, DeliveryId, NodeKind, TenantId, encode_id
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.core.responder import check_email
from alertgraph.core.rule import ChannelTarget
from alertgraph.core.severity import Severity
from alertgraph.core.slo import TIER_TARGETS, sla_clocks
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.services.catalog_changes import (
    CatalogChanges,
    Decided,
    Secret,
    check_name,
    refuse_use,
    require,
    require_unscoped,
)
from alertgraph.services.ports import Deliveries, Dice, Notifier, Vault

SECRETS_PURPOSE = "channel"
SECRET_LENGTH_MAX = 1024
URL_LENGTH_MAX = 2048
RECIPIENT_COUNT_MAX = 50
HEADER_COUNT_MAX = 20
HEADER_VALUE_LENGTH_MAX = 4096
WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105  (what secrets begin with is none)
WEBHOOK_SECRET_BYTES = 32
WEBHOOK_SECRET_BYTES_MIN = 24
WEBHOOK_SECRET_BYTES_MAX = 64
# Within what a caller waits for an answer of ours.
TEST_TIMEOUT = timedelta(seconds=12)
_TRY_COUNT_MAX = 8

# A token of HTTP (RFC 9110).
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
# What a request is framed and routed by, and what a receiver checks our signature by.
_OWN_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
    | {"webhook-id", "webhook-signature", "webhook-timestamp"}
)

T = TypeVar("T")


# --------------------------------------------------------------------------------- what callers say


@dataclass(frozen=True, slots=True)
class SlackPatch:
    """What a caller says of a Slack channel; what is left out stays, None clears."""

    bot_token: str | Unset = UNSET
    channel: str | Unset = UNSET
    signing_secret: str | Unset | None = UNSET
    api_url: str | Unset | None = UNSET


@dataclass(frozen=True, slots=True)
class TeamsPatch:
    """What a caller says of a Microsoft Teams channel."""

    workflow_url: str | Unset = UNSET


@dataclass(frozen=True, slots=True)
class PagerDutyPatch:
    """What a caller says of a PagerDuty channel."""

    routing_key: str | Unset = UNSET
    events_url: str | Unset | None = UNSET


@dataclass(frozen=True, slots=True)
class WebhookPatch:
    """What a caller says of a webhook; `headers` replaces all of them."""

    url: str | Unset = UNSET
    secret: str | Unset = UNSET
    headers: Mapping[str, str] | Unset = UNSET
    preset: WebhookPreset | Unset | None = UNSET


@dataclass(frozen=True, slots=True)
class EmailPatch:
    """What a caller says of an e-mail channel."""

    to: tuple[str, ...] | Unset = UNSET


ConfigPatch: TypeAlias = SlackPatch | TeamsPatch | PagerDutyPatch | WebhookPatch | EmailPatch


@dataclass(frozen=True, slots=True)
class _SetUp:
    """A channel's set-up with its secrets in plain text; of webhooks, `headers` is an object of texts as JSON."""

    kind: ChannelKind
    config: ChannelConfig
    secrets: Mapping[str, str]

    @property
    def preset(self) -> WebhookPreset | None:
        return self.config.preset if isinstance(self.config, WebhookConfig) else None


class _MovedError(Exception):
    """The channel was changed between looking and deciding; nothing was written."""


# ------------------------------------------------------------------------------------------ service


class ChannelService:
    """Changes the channels of a tenant, tries them, and shows what they would send.

    Every change raises RefusedError for what the caller can mend; paths are relative to the input.
    """

    def __init__(
        self,
        changes: CatalogChanges,
        vault: Vault,
        dice: Dice,
        notifier: Notifier,
        deliveries: Deliveries,
    ) -> None:
        self._changes = changes
        self._vault = vault
        self._dice = dice
        self._notifier = notifier
        self._deliveries = deliveries

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        config: ConfigPatch,
        enabled: bool = True,
        fallback_id: ChannelId | None = None,
        template: str | None = None,
        idempotency_key: str | None = None,
    ) -> tuple[Channel, str | None]:
        """Return a new channel, and the signing secret of a webhook where it was made here. ADMIN."""
        _require(principal)
        check_name(name)
        setup = _merged(config, None)
        await self._check_urls(config)
        if template is not None:
            self._notifier.check_template(setup.kind, setup.preset, template)
        setup, made = self._with_secret(setup)
        channel = Channel(
            id=ChannelId(self._changes.new_id()),
            name=name,
            kind=setup.kind,
            config=setup.config,
            enabled=enabled,
            fallback_id=fallback_id,
            template=template,
            sealed=await self._sealed(principal, setup.secrets),
        )

        def decide(current: TenantConfig, wanted: Channel) -> Decided[Channel]:
            if wanted.fallback_id is not None:
                check_fallback(current.catalog.channels, wanted.id, wanted.fallback_id)
            return Decided(wanted)

        kept = await self._changes.create(
            principal,
            channel,
            operation="createNotificationChannel",
            contents=[name, config, enabled, fallback_id, template],
            told=_told,
            decide=decide,
            idempotency_key=idempotency_key,
        )
        return kept, made if kept.id == channel.id else None

    async def update(
        self,
        principal: Principal,
        channel_id: ChannelId,
        *,
        name: str | Unset = UNSET,
        enabled: bool | Unset = UNSET,
        fallback_id: ChannelId | Unset | None = UNSET,
        template: str | Unset | None = UNSET,
        config: ConfigPatch | Unset = UNSET,
        expected_version: int | None = None,
    ) -> tuple[Channel, str | None]:
        """Return a channel after a patch, and the signing secret of a webhook where it was made here. ADMIN."""
        _require(principal)
        if not isinstance(name, Unset):
            check_name(name)
        if not isinstance(config, Unset):
            await self._check_urls(config)
        for _ in range(_TRY_COUNT_MAX):
            # What takes time is done on the channel as it is seen now, and kept where it still is so.
            seen = require((await self._changes.config(principal.tenant.id)).catalog, Channel, channel_id)
            setup, made = await self._changed_setup(principal, seen, config)
            shown = seen.template if isinstance(template, Unset) else template
            if shown is not None and not (isinstance(template, Unset) and setup.preset == _preset_of(seen)):
                self._notifier.check_template(setup.kind, setup.preset, shown)
            sealed = seen.sealed
            if not isinstance(config, Unset) and setup.secrets != await self.secrets(principal.tenant.id, seen):
                sealed = await self._sealed(principal, setup.secrets)
            after = replace(seen, config=setup.config, sealed=sealed, template=shown)

            def decide(
                current: TenantConfig, before: Channel, seen: Channel = seen, after: Channel = after
            ) -> Decided[Channel]:
                if before != seen:
                    raise _MovedError
                patched = after
                if not isinstance(name, Unset):
                    patched = replace(patched, name=name)
                if not isinstance(enabled, Unset):
                    patched = replace(patched, enabled=enabled)
                if not isinstance(fallback_id, Unset):
                    patched = replace(patched, fallback_id=fallback_id)
                    if fallback_id is not None:
                        check_fallback(current.catalog.channels, before.id, fallback_id)
                return Decided(patched)

            try:
                kept = await self._changes.update(
                    principal, Channel, channel_id, told=_told, decide=decide, expected_version=expected_version
                )
            except _MovedError:
                continue
            return kept, made
        raise ConflictError("Others are changing the channel at this moment; try again.")

    async def delete(
        self, principal: Principal, channel_id: ChannelId, *, expected_version: int | None = None
    ) -> None:
        """Delete a channel that nothing uses. ADMIN."""
        _require(principal)

        def decide(config: TenantConfig, before: Channel) -> Decided[Channel]:
            refuse_use(before, _users(config, before.id))
            return Decided(before)

        await self._changes.delete(
            principal, Channel, channel_id, told=_told, decide=decide, expected_version=expected_version
        )

    async def disable(self, tenant: Tenant, channel_id: ChannelId) -> None:
        """Disable a channel whose provider says that nobody lives there any more; one that is gone is left."""
        engine = Principal(tenant, Role.ADMIN, "engine", ENGINE, name=ENGINE.name)

        def decide(_: TenantConfig, before: Channel) -> Decided[Channel]:
            return Decided(
                replace(before, enabled=False), detail={"reason": "The provider says that it is gone for good."}
            )

        try:
            await self._changes.update(engine, Channel, channel_id, told=_told, decide=decide)
        except NotFoundError:
            return

    async def test(self, principal: Principal, channel_id: ChannelId, template: str | None) -> tuple[bool, str]:
        """Send a test message past the queue; return whether the provider took it, and what it said. ADMIN.

        A disabled channel is tried as well: that is how one finds out whether it can be enabled.
        """
        _require(principal)
        tenant = principal.tenant
        channel = require((await self._changes.config(tenant.id)).catalog, Channel, channel_id)
        if template is not None:
            self._notifier.check_template(channel.kind, _preset_of(channel), template)
        secrets = await self.secrets(tenant.id, channel)
        started_at = self._changes.now()
        delivery = Delivery(
            id=DeliveryId(self._changes.new_id()),
            alert_id=None,
            channel_id=channel.id,
            channel_name=channel.name,
            purpose=Purpose.TEST,
            level=0,
            created_at=started_at,
            due_at=started_at,
            attempt_count=1,
        )
        message = Message(delivery.id, tenant.name, Purpose.TEST, (), started_at)
        tried = replace(channel, template=template) if template is not None else channel
        try:
            async with asyncio.timeout(TEST_TIMEOUT.total_seconds()):
                result = await self._notifier.send(tried, secrets, None, message)
        except TimeoutError:
            result = SendResult(
                delivered=False, error=f"No answer within {TEST_TIMEOUT.total_seconds():g} s.", retryable=True
            )
        ended_at = self._changes.now()
        await self._deliveries.record(
            tenant.id,
            replace(
                delivery,
                status=DeliveryStatus.SENT if result.delivered else DeliveryStatus.FAILED,
                sent_at=ended_at if result.delivered else None,
                last_error=None if result.delivered else _said(result),
            ),
            Attempt(
                1,
                started_at,
                max(ended_at - started_at, timedelta(0)),
                result.status_code,
                None if result.delivered else _said(result),
            ),
        )
        await self._deliveries.note_health(
            tenant.id, channel.id, lambda health: _health_after(health, result, ended_at)
        )
        if result.gone:
            await self.disable(tenant, channel.id)
        return result.delivered, _said(result)

    def preview(
        self, principal: Principal, channel: Channel, template: str | None, alert: Alert | None
    ) -> Rendered:
        """Return how a message would look, about an alert or a made-up one. RESPONDER.

        Raises:
            InputError: The template can't be used; the message names line and column.
        """
        principal.require(Role.RESPONDER)
        now = self._changes.now()
        if template is not None:
            self._notifier.check_template(channel.kind, _preset_of(channel), template)
            channel = replace(channel, template=template)
        message = Message(
            id=DeliveryId(self._changes.new_id()),
            tenant=principal.tenant.name,
            purpose=Purpose.PAGE,
            alerts=(alert or _sample_alert(AlertId(self._changes.new_id()), principal.tenant, now),),
            at=now,
            level=1,
        )
        return self._notifier.render(channel, message)

    async def secrets(self, tenant_id: TenantId, channel: Channel) -> dict[str, str]:
        """Return a channel's secrets in plain text; none where they were made unreadable."""
        opened = (
            await self._vault.open(tenant_id, SECRETS_PURPOSE, channel.sealed)
            if channel.sealed is not None
            else None
        )
        secrets: dict[str, str] = orjson.loads(opened) if opened is not None else {}
        return secrets

    # ------------------------------------------------------------------------------------ shared

    async def _sealed(self, principal: Principal, secrets: Mapping[str, str]) -> str | None:
        if not secrets:
            return None
        return await self._changes.seal(principal, SECRETS_PURPOSE, orjson.dumps(dict(secrets)).decode())

    async def _changed_setup(
        self, principal: Principal, channel: Channel, patch: ConfigPatch | Unset
    ) -> tuple[_SetUp, str | None]:
        """Return the set-up after a patch, and a webhook's signing secret where one was made."""
        before = _SetUp(channel.kind, channel.config, await self.secrets(principal.tenant.id, channel))
        if isinstance(patch, Unset):
            return before, None
        return self._with_secret(_merged(patch, before))

    def _with_secret(self, setup: _SetUp) -> tuple[_SetUp, str | None]:
        """Return the set-up with a signing secret where a webhook needs one, and that secret if it was made."""
        if setup.kind is not ChannelKind.WEBHOOK or setup.preset is not None or "secret" in setup.secrets:
            return setup, None
        raw = self._dice.bits(WEBHOOK_SECRET_BYTES * 8).to_bytes(WEBHOOK_SECRET_BYTES, "big")
        made = WEBHOOK_SECRET_PREFIX + base64.b64encode(raw).decode()
        return replace(setup, secrets={**setup.secrets, "secret": made}), made

    async def _check_urls(self, patch: ConfigPatch) -> None:
        """Let addresses pass that may be posted to."""
        match patch:
            case SlackPatch():
                given: tuple[tuple[str | Unset | None, str, str], ...] = ((patch.api_url, "slack", "apiUrl"),)
            case TeamsPatch():
                given = ((patch.workflow_url, "teams", "workflowUrl"),)
            case PagerDutyPatch():
                given = ((patch.events_url, "pagerduty", "eventsUrl"),)
            case WebhookPatch():
                given = ((patch.url, "webhook", "url"),)
            case EmailPatch():
                given = ()
            case _:
                assert_never(patch)
        for url, kind, name in given:
            if isinstance(url, str):
                _check_line(url, URL_LENGTH_MAX, "config", kind, name)
                await self._notifier.check_url(url, "config", kind, name)


def _require(principal: Principal) -> None:
    principal.require(Role.ADMIN)
    require_unscoped(principal)


def _users(config: TenantConfig, channel_id: ChannelId) -> Sequence[Item | str]:
    """Return what uses a channel."""
    catalog: Catalog = config.catalog
    users: list[Item | str] = [
        rule for rule in catalog.rules if any(ChannelTarget(channel_id) in level.targets for level in rule.levels)
    ]
    users += [
        responder
        for responder in catalog.responders.values()
        if any(method.channel_id == channel_id for method in responder.contact_methods)
    ]
    users += [other for other in catalog.channels.values() if other.fallback_id == channel_id]
    if config.settings.dead_man_channel_id == channel_id:
        users.append("the tenant's settings, as deadManChannel")
    return users


# ------------------------------------------------------------------------------------------- set-up


def _merged(patch: ConfigPatch, before: _SetUp | None) -> _SetUp:
    """Return a channel's set-up after a patch, or a new one's.

    Raises:
        InputError: A value can't be used, what is needed was left out, or it is of another kind.
    """
    config = before.config if before is not None else None
    secrets = dict(before.secrets) if before is not None else {}
    match patch:
        case SlackPatch():
            slack = _of_kind(config, SlackConfig)
            path = ("config", "slack")
            _put(secrets, "botToken", patch.bot_token, *path, needed=True)
            _put(secrets, "signingSecret", patch.signing_secret, *path)
            channel = _needed(patch.channel, slack.channel if slack else None, *path, "channel")
            _check_line(channel, 256, *path, "channel")
            api_url = _or_kept(patch.api_url, slack.api_url if slack else None)
            return _SetUp(ChannelKind.SLACK, SlackConfig(channel, api_url), secrets)
        case TeamsPatch():
            teams = _of_kind(config, TeamsConfig)
            _put(
                secrets,
                "workflowUrl",
                patch.workflow_url,
                "config",
                "teams",
                needed=True,
                length_max=URL_LENGTH_MAX,
            )
            host = teams.host if teams else ""
            if not isinstance(patch.workflow_url, Unset):
                host = _host_of(patch.workflow_url, "config", "teams", "workflowUrl")
            return _SetUp(ChannelKind.TEAMS, TeamsConfig(host), secrets)
        case PagerDutyPatch():
            pagerduty = _of_kind(config, PagerDutyConfig)
            _put(secrets, "routingKey", patch.routing_key, "config", "pagerduty", needed=True)
            end = pagerduty.routing_key_end if pagerduty else ""
            if not isinstance(patch.routing_key, Unset):
                end = patch.routing_key[-4:]
            events_url = _or_kept(patch.events_url, pagerduty.events_url if pagerduty else None)
            return _SetUp(ChannelKind.PAGERDUTY, PagerDutyConfig(end, events_url), secrets)
        case WebhookPatch():
            return _merged_webhook(patch, _of_kind(config, WebhookConfig), secrets)
        case EmailPatch():
            email = _of_kind(config, EmailConfig)
            to = _needed(patch.to, email.to if email else None, "config", "email", "to")
            if not 1 <= len(to) <= RECIPIENT_COUNT_MAX:
                raise InputError(
                    f"to has 1 to {RECIPIENT_COUNT_MAX} addresses; this has {len(to):,}.", "config", "email", "to"
                )
            for index, address in enumerate(to):
                check_email(address, "config", "email", "to", str(index))
            return _SetUp(ChannelKind.EMAIL, EmailConfig(to), secrets)
        case _:
            assert_never(patch)


def _merged_webhook(patch: WebhookPatch, before: WebhookConfig | None, secrets: dict[str, str]) -> _SetUp:
    path = ("config", "webhook")
    url = _needed(patch.url, before.url if before else None, *path, "url")
    if not isinstance(patch.secret, Unset):
        _check_webhook_secret(patch.secret, *path, "secret")
        secrets["secret"] = patch.secret
    names = before.header_names if before else ()
    if not isinstance(patch.headers, Unset):
        _check_headers(patch.headers, *path, "headers")
        names = tuple(patch.headers)
        secrets.pop("headers", None)
        if patch.headers:
            secrets["headers"] = orjson.dumps(dict(patch.headers), option=orjson.OPT_SORT_KEYS).decode()
    preset = _or_kept(patch.preset, before.preset if before else None)
    return _SetUp(ChannelKind.WEBHOOK, WebhookConfig(url, names, preset), secrets)


def _of_kind(config: ChannelConfig | None, kind: type[T]) -> T | None:
    if config is None or isinstance(config, kind):
        return config
    raise InputError("The kind of a channel stays what it is; make another channel.", "config")


def _needed(value: T | Unset, kept: T | None, *path: str) -> T:
    if not isinstance(value, Unset):
        return value
    if kept is None:
        raise InputError(f"{path[-1]} is needed on creation.", *path)
    return kept


def _or_kept(value: T | Unset | None, kept: T | None) -> T | None:
    return kept if isinstance(value, Unset) else value


def _put(
    secrets: dict[str, str],
    name: str,
    value: str | Unset | None,
    *path: str,
    needed: bool = False,
    length_max: int = SECRET_LENGTH_MAX,
) -> None:
    """Put a secret among the others; one that was left out stays, None takes it away."""
    if value is None:
        secrets.pop(name, None)
    elif not isinstance(value, Unset):
        _check_line(value, length_max, *path, name)
        secrets[name] = value
    if needed and name not in secrets:
        raise InputError(f"{name} is needed on creation.", *path, name)


def _check_line(text: str, length_max: int, *path: str) -> None:
    """Let a text pass of visible characters on one line, as addresses and credentials are."""
    if not text.isprintable() or text != text.strip():
        # It may be a secret, so that nothing of it is told.
        raise InputError(f"{path[-1]} contains a control character, or a space at an end.", *path)
    problems = check_text(text, path[-1], length_max, length_min=1, one_line=True)
    if problems:
        raise RefusedError([problem.below(*path[:-1]) for problem in problems])


def _host_of(url: str, *path: str) -> str:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        raise InputError("This is no address of a host.", *path)
    return host


def _check_webhook_secret(secret: str, *path: str) -> None:
    try:
        raw = base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if (
        not secret.startswith(WEBHOOK_SECRET_PREFIX)
        or not WEBHOOK_SECRET_BYTES_MIN <= len(raw) <= WEBHOOK_SECRET_BYTES_MAX
    ):
        raise InputError(
            f"A webhook's secret is {WEBHOOK_SECRET_PREFIX} and {WEBHOOK_SECRET_BYTES_MIN} to "
            f"{WEBHOOK_SECRET_BYTES_MAX} bytes in base64.",
            *path,
        )


def _check_headers(headers: Mapping[str, str], *path: str) -> None:
    if len(headers) > HEADER_COUNT_MAX:
        raise InputError(f"There are at most {HEADER_COUNT_MAX} headers; these are {len(headers):,}.", *path)
    seen: set[str] = set()
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise InputError("A header's name is 1 to 128 letters, digits and hyphens.", *path)
        if name.lower() in _OWN_HEADERS or name.lower() in seen:
            raise InputError(f"The header {name} is ours to set, or is given twice.", *path, name)
        seen.add(name.lower())
        if (
            len(value) > HEADER_VALUE_LENGTH_MAX
            or not value.isascii()
            or not value.isprintable()
            or value != value.strip()
        ):
            raise InputError(
                f"A header's value has at most {HEADER_VALUE_LENGTH_MAX:,} visible ASCII characters.", *path, name
            )


def _preset_of(channel: Channel) -> WebhookPreset | None:
    return channel.config.preset if isinstance(channel.config, WebhookConfig) else None


# -------------------------------------------------------------------------------------------- words


def _said(result: SendResult) -> str:
    status = f" (status {result.status_code})" if result.status_code is not None else ""
    if result.delivered:
        return f"The provider took it{status}."
    return result.error or f"The provider refused it{status}."


def _health_after(health: ChannelHealth, result: SendResult, at: datetime) -> ChannelHealth:
    """Return how a channel does after a test: one that arrives closes the breaker, one that fails opens none."""
    if result.delivered:
        return replace(health, failure_count=0, open_until=None, last_success_at=at)
    return replace(health, last_failure_at=at, last_error=_said(result))


def _told(channel: Channel) -> Mapping[str, Any]:
    """Return what the log tells of a channel; of its secrets, only whether they changed."""
    return {
        "name": channel.name,
        "kind": channel.kind.name,
        "enabled": channel.enabled,
        "fallbackId": encode_id(NodeKind.CHANNEL, channel.fallback_id)
        if channel.fallback_id is not None
        else None,
        "template": channel.template,
        "config": _told_config(channel.config),
        "secrets": Secret(channel.sealed) if channel.sealed is not None else None,
    }


def _told_config(config: ChannelConfig) -> dict[str, Any]:
    match config:
        case SlackConfig():
            return {"channel": config.channel, "apiUrl": config.api_url}
        case TeamsConfig():
            return {"host": config.host}
        case PagerDutyConfig():
            return {"routingKeyEnd": config.routing_key_end, "eventsUrl": config.events_url}
        case WebhookConfig():
            preset = config.preset.name if config.preset is not None else None
            return {"url": config.url, "headerNames": list(config.header_names), "preset": preset}
        case EmailConfig():
            return {"to": list(config.to)}
        case _:
            assert_never(config)


def _sample_alert(alert_id: AlertId, tenant: Tenant, now: datetime) -> Alert:
    """Return a made-up alert, as it would be when its first level is told."""
    severity = Severity.CRITICAL
    return Alert(
        id=alert_id,
        dedup_key="sample",
        title="Sample: checkout answers with errors",
        description="This alert is made up, to show what a message looks like.",
        severity=severity,
        status=AlertStatus.TRIGGERED,
        source="alertgraph",
        monitored_service="checkout",
        labels={"alertname": "SampleAlert", "environment": "example"},
        annotations={},
        links=(),
        occurrence_count=1,
        triggered_at=now,
        last_seen_at=now,
        acknowledged_at=None,
        acknowledged_until=None,
        acknowledged_by=None,
        first_acknowledged_at=None,
        resolved_at=None,
        resolved_by=None,
        escalation_level=1,
        held=None,
        sla=sla_clocks(TIER_TARGETS[tenant.tier][severity], now),
        resolve_at=None,
        resolve_by_timeout=False,
        verdict=None,
        version=0,
    )
