"""Somebody acts from a message: the real services over a tenant in memory, and the routes that lead to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import httpx2
import orjson
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from alertgraph.core.action import Acknowledge, Action, ById, Escalate, Fire, Resolve
from alertgraph.core.action_token import ActionClaim, ChatAction, sign
from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import Alert
from alertgraph.core.catalog import Catalog
from alertgraph.core.channel import Channel, ChannelKind, EmailConfig, SlackConfig
from alertgraph.core.errors import AlertGraphError
from alertgraph.core.event import Event
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import AlertId, ChannelId, ResponderId, TenantId
from alertgraph.core.responder import ContactMethod, Responder
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.edge.gate import Gate
from alertgraph.services.alerts import AlertService, Wanted
from alertgraph.services.catalog_changes import CatalogChanges
from alertgraph.services.channels import SECRETS_PURPOSE
from alertgraph.services.chat_actions import ChatActionService
from alertgraph.services.lanes import Lanes
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.ports import Snapshot
from alertgraph.services.responders import ADDRESS_PURPOSE
from alertgraph.services.silences import SilenceService
from tests.factories import DAY, T0, TENANT, a_config, a_draft
from tests.memory_catalog import MemoryCatalog
from tests.memory_log import MemoryLog
from tests.memory_vault import MemoryVault
from tests.unit.services.test_lanes import Watcher
from tests.virtual import SeededDice, VirtualClock

KEY = bytes(range(32))
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
ADA_IN_SLACK = "U024BE7LH"
ACME = Tenant(TENANT, "acme", "Acme", Tier.STANDARD)
ADMIN = Principal(ACME, Role.ADMIN, "key:1", Actor(ActorKind.API_KEY, "admin key", "key:1"))


class MemorySnapshot:
    """One tenant's data, as far as actions from messages read it."""

    def __init__(self, log: MemoryLog, tenant_id: TenantId) -> None:
        self._rows = log.tenants[tenant_id]

    async def tenant(self) -> Tenant:
        return ACME

    async def config(self) -> TenantConfig:
        return self._rows.config

    async def alerts(self, ids: Collection[AlertId]) -> Mapping[AlertId, Alert]:
        found = {alert_id: self._rows.by_id(alert_id) for alert_id in ids}
        return {alert_id: alert for alert_id, alert in found.items() if alert is not None}


class Acting:
    """A tenant with an alert, a responder and two channels.

    Attributes:
        away: Raised in the place of every snapshot, while it is set.
        refusal: Raised in the place of spending points, while it is set.
        spent: Who spent points.
    """

    version = "1.2.3"

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.started_at = T0
        self.log = MemoryLog(self.clock, TENANT)
        self.log.tenants[TENANT].config = a_config(catalog=Catalog())
        self.vault = MemoryVault()
        self.dice = SeededDice(5)
        self.away: AlertGraphError | None = None
        self.refusal: AlertGraphError | None = None
        self.spent: list[Principal] = []
        self.watcher = Watcher()
        lanes = Lanes(self.log, OpenAlerts(), self.clock, self.dice, self.watcher, lambda _: None, lambda _: None)
        self.alerts = AlertService(lanes, self.log, self, self.vault, self.clock, self.dice)
        changes = CatalogChanges(
            MemoryCatalog(self.log, self.clock),  # type: ignore[arg-type]  # as far as the catalog goes
            self.vault,
            self.clock,
            self.dice,
            lambda *_: None,
        )
        self.actions = ChatActionService(self.alerts, self, self.vault, SilenceService(changes).silence_alert)
        self.slack_id, self.mail_id = (ChannelId(changes.new_id()) for _ in range(2))
        self.ada_id = ResponderId(changes.new_id())
        self.alert_id = AlertId(changes.new_id())
        self._known_count = 0

    async def set_up(self, **alert: Any) -> Acting:
        """Make the channels, the responder and the alert."""
        secrets = orjson.dumps({"botToken": "xoxb-1", "signingSecret": SIGNING_SECRET}).decode()
        slack = Channel(
            self.slack_id,
            "ops",
            ChannelKind.SLACK,
            SlackConfig("#ops"),
            sealed=await self.vault.seal(TENANT, SECRETS_PURPOSE, secrets),
        )
        mail = Channel(self.mail_id, "ops mail", ChannelKind.EMAIL, EmailConfig(("ops@acme.example",)))
        address = await self.vault.seal(TENANT, ADDRESS_PURPOSE, ADA_IN_SLACK)
        ada = Responder(self.ada_id, "Ada", contact_methods=(ContactMethod(self.slack_id, address),))
        self.set_catalog(channels={slack.id: slack, mail.id: mail}, responders={ada.id: ada})
        outcome = (await self.alerts.send(ADMIN, [Wanted(Fire(a_draft(**alert)))]))[0]
        assert outcome.alert is not None
        self.alert_id = outcome.alert.id
        self._known_count = len(self.log.tenants[TENANT].events)
        return self

    def set_catalog(self, **parts: Any) -> None:
        """Replace parts of what is set up."""
        rows = self.log.tenants[TENANT]
        rows.config = replace(rows.config, catalog=replace(rows.config.catalog, **parts))

    def claim(self, action: ChatAction = ChatAction.ACKNOWLEDGE, **fields: Any) -> ActionClaim:
        """Return what somebody may do with the alert for a day, by a link to many where nothing else is said."""
        claim = ActionClaim(TENANT, self.alert_id, action, self.mail_id, T0 + DAY)
        return replace(claim, **fields)

    def token(self, action: ChatAction = ChatAction.ACKNOWLEDGE, **fields: Any) -> str:
        """Return the same, signed."""
        return sign(self.claim(action, **fields), KEY)

    async def act(self, action: type[Acknowledge | Escalate | Resolve]) -> None:
        """Do something with the alert meanwhile."""
        done: Action = action(ById(self.alert_id))
        assert (await self.alerts.act(ADMIN, done, "meanwhile")).problem is None

    @property
    def alert(self) -> Alert:
        """The alert as it is now."""
        alert = self.log.tenants[TENANT].by_id(self.alert_id)
        assert alert is not None
        return alert

    @property
    def events(self) -> list[Event]:
        """What has happened since all was set up."""
        return [stored.event for stored in self.log.tenants[TENANT].events[self._known_count :]]

    # ------------------------------------------------------------------ what routes and services need

    @asynccontextmanager
    async def snapshot(self, tenant_id: TenantId) -> AsyncIterator[Snapshot]:
        """Lend the tenant's data."""
        if self.away is not None:
            raise self.away
        yield cast("Snapshot", MemorySnapshot(self.log, tenant_id))

    async def admit(self, principal: Principal, cost: int) -> None:
        """Note who spends points."""
        if self.refusal is not None:
            raise self.refusal
        self.spent.append(principal)

    @property
    def gate(self) -> Gate:
        """What routes see of the service."""
        return cast("Gate", self)


def client(routes: list[BaseRoute]) -> httpx2.AsyncClient:
    """Return a client of an application with these routes alone."""
    transport = httpx2.ASGITransport(Starlette(routes=routes))
    return httpx2.AsyncClient(transport=transport, base_url="http://test")
