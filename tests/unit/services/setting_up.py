"""The services that set up paging, over a catalog in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.catalog import Catalog
from alertgraph.core.channel import Channel, ChannelKind, WebhookPreset
from alertgraph.core.delivery import Attempt, ChannelHealth, Delivery
from alertgraph.core.errors import ErrorCode, InputError, RefusedError
from alertgraph.core.event import Event
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import ChannelId, ResponderId, TenantId
from alertgraph.core.message import Message, Rendered, SendResult
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.services.catalog_changes import CatalogChanges
from alertgraph.services.channels import ChannelService
from alertgraph.services.responders import ResponderService
from alertgraph.services.schedules import ScheduleService
from tests.factories import TENANT, a_config, a_matcher
from tests.memory_catalog import MemoryCatalog
from tests.memory_log import MemoryLog
from tests.memory_vault import MemoryVault
from tests.virtual import SeededDice, VirtualClock

ACME = Tenant(TENANT, "acme", "Acme", Tier.STANDARD)


@dataclass
class FakeNotifier:
    """Speaks to nobody: answers what a test says, and remembers what it was given."""

    result: SendResult = field(default_factory=lambda: SendResult(delivered=True, status_code=200))
    sent: list[tuple[Channel, Mapping[str, str], str | None, Message]] = field(default_factory=list)
    checked: list[tuple[ChannelKind, WebhookPreset | None, str]] = field(default_factory=list)

    async def send(
        self, channel: Channel, secrets: Mapping[str, str], address: str | None, message: Message
    ) -> SendResult:
        self.sent.append((channel, dict(secrets), address, message))
        return self.result

    def render(self, channel: Channel, message: Message) -> Rendered:
        text = channel.template or "built in"
        return Rendered(None, f"{text}: {message.alerts[0].title}", {"text": text})

    def check_template(self, kind: ChannelKind, preset: WebhookPreset | None, template: str) -> None:
        self.checked.append((kind, preset, template))
        if "bad" in template:
            raise InputError("Line 1, column 1: bad.", "template")

    async def check_url(self, url: str, *path: str) -> None:
        if not url.startswith("https://"):
            raise InputError("This is no address to post to.", *path)


@dataclass
class FakeDeliveries:
    """Remembers tests of channels, and how channels do."""

    kept: list[tuple[Delivery, Attempt]] = field(default_factory=list)
    channel_health: dict[ChannelId, ChannelHealth] = field(default_factory=dict)

    async def record(self, tenant_id: TenantId, delivery: Delivery, attempt: Attempt) -> None:
        assert tenant_id == TENANT
        self.kept.append((delivery, attempt))

    async def note_health(
        self, tenant_id: TenantId, channel_id: ChannelId, decide: Callable[[ChannelHealth], ChannelHealth]
    ) -> ChannelHealth:
        assert tenant_id == TENANT
        health = decide(self.channel_health.get(channel_id, ChannelHealth()))
        self.channel_health[channel_id] = health
        return health


class SettingUp:
    """Everything together.

    Attributes:
        told: Numbers of the log that others were told of.
    """

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.log = MemoryLog(self.clock, TENANT)
        self.log.tenants[TENANT].config = a_config(catalog=Catalog())
        self.store = MemoryCatalog(self.log, self.clock)
        self.vault = MemoryVault()
        self.notifier = FakeNotifier()
        self.deliveries = FakeDeliveries()
        self.told: list[int] = []
        self.dice = SeededDice(1)
        self.changes = CatalogChanges(
            self.store,  # type: ignore[arg-type]  # as far as the catalog goes
            self.vault,
            self.clock,
            self.dice,
            lambda _, number: self.told.append(number),
        )
        self.responders = ResponderService(self.changes, self.vault)
        self.schedules = ScheduleService(self.changes, self.vault)
        self.channels = ChannelService(
            self.changes,
            self.vault,
            self.dice,
            self.notifier,
            self.deliveries,  # type: ignore[arg-type]  # what a test of a channel needs
        )

    @property
    def config(self) -> TenantConfig:
        """What is set up."""
        return self.log.tenants[TENANT].config

    @property
    def catalog(self) -> Catalog:
        """What is set up for paging."""
        return self.config.catalog

    @property
    def events(self) -> Sequence[Event]:
        """What the log tells."""
        return [stored.event for stored in self.log.tenants[TENANT].events]

    def put(self, **fields: object) -> None:
        """Set something up past every service."""
        config = self.config
        self.log.tenants[TENANT].config = replace(config, catalog=replace(config.catalog, **fields))  # type: ignore[arg-type]


def a_caller(role: Role = Role.ADMIN, responder_id: ResponderId | None = None, **scope: str) -> Principal:
    """Return somebody of the tenant."""
    kind = ActorKind.PERSON if responder_id is not None else ActorKind.API_KEY
    return Principal(
        ACME,
        role,
        "key:1",
        Actor(kind, "somebody", "key:1"),
        scope=tuple(a_matcher(label, value) for label, value in scope.items()),
        responder_id=responder_id,
    )


def refusal(error: pytest.ExceptionInfo[RefusedError]) -> tuple[ErrorCode, tuple[str, ...]]:
    """Return the code and the path of the first problem."""
    problem = error.value.problems[0]
    return problem.code, problem.path
