"""What people do from a chat or a mail: a button or a signed link stands for one action on one alert."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, assert_never

import orjson

from alertgraph.core.action import Acknowledge, ById, Escalate, Resolve
from alertgraph.core.action_token import ActionClaim, ChatAction
from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import NAME_LENGTH_MAX, Alert, AlertStatus
from alertgraph.core.batch import Outcome
from alertgraph.core.catalog import Catalog
from alertgraph.core.channel import Channel, ChannelKind
from alertgraph.core.errors import AccessDeniedError, ErrorCode, NotFoundError, RefusedError
from alertgraph.core.ids import ChannelId, NodeKind, TenantId, encode_id
from alertgraph.core.responder import Responder
from alertgraph.core.silence import Silence
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.services.alerts import AlertService
from alertgraph.services.channels import SECRETS_PURPOSE
from alertgraph.services.ports import SnapshotSource, Vault
from alertgraph.services.responders import ADDRESS_PURPOSE

SILENCE_LENGTH = timedelta(hours=1)


class Silencer(Protocol):
    """Makes a silence for exactly one alert."""

    def __call__(
        self, principal: Principal, alert: Alert, duration: timedelta, /, *, idempotency_key: str | None
    ) -> Awaitable[Silence]:
        """Return a new silence of the alert from now on; the same key within a day makes no second one."""
        ...


@dataclass(frozen=True, slots=True)
class ChatUser:
    """Whom the chat says that pressed a button; the chat's signature was checked.

    Attributes:
        workspace: Id of the chat's workspace.
        user: Id within it, which a responder's contact method may name.
        name: As the chat shows it.
    """

    workspace: str
    user: str
    name: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a claim is about, as it stands now.

    Attributes:
        principal: Who acts, as the timeline will name them.
    """

    claim: ActionClaim
    tenant: Tenant
    alert: Alert
    principal: Principal


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it.

    Attributes:
        sentence: For the person who asked.
        done: Whether the alert is now as they wanted it, by them or by somebody before.
        alert: As it is afterwards, as far as that is known.
    """

    sentence: str
    done: bool
    alert: Alert


class ChatActionService:
    """Carries out what the bearer of a claim may do, in the name of the person behind it."""

    def __init__(self, alerts: AlertService, snapshots: SnapshotSource, vault: Vault, silence: Silencer) -> None:
        self._alerts = alerts
        self._snapshots = snapshots
        self._vault = vault
        self._silence = silence

    async def signing_secret(self, tenant_id: TenantId, channel_id: ChannelId) -> str | None:
        """Return what Slack signs a channel's requests with; None where there is no such channel, or none is set.

        Raises:
            DependencyError: It can't be known at present.
        """
        async with self._snapshots.snapshot(tenant_id) as snapshot:
            channel = (await snapshot.config()).catalog.channels.get(channel_id)
        if channel is None or channel.kind is not ChannelKind.SLACK or channel.sealed is None:
            return None
        opened = await self._vault.open(tenant_id, SECRETS_PURPOSE, channel.sealed)
        secret = orjson.loads(opened).get("signingSecret") if opened is not None else None
        return secret if isinstance(secret, str) else None

    async def look(self, claim: ActionClaim, user: ChatUser | None = None) -> Asked:
        """Return what a claim is about; does nothing.

        Args:
            claim: Read from a token that we signed and whose time is not over.
            user: Who pressed a button; None for the bearer of a link.

        Raises:
            NotFoundError: The alert is gone.
            AccessDeniedError: The person or the channel that it was sent to is no longer set up.
            DependencyError: It can't be known at present.
        """
        async with self._snapshots.snapshot(claim.tenant_id) as snapshot:
            tenant = await snapshot.tenant()
            catalog = (await snapshot.config()).catalog
            alert = (await snapshot.alerts([claim.alert_id])).get(claim.alert_id)
        channel = catalog.channels.get(claim.channel_id)
        # Whoever was taken out of the set-up keeps their old messages, but no say.
        if channel is None:
            raise AccessDeniedError("The channel that this was sent over is not set up any more.")
        if claim.responder_id is not None and claim.responder_id not in catalog.responders:
            raise AccessDeniedError("The person whom this was sent to is not set up any more.")
        if alert is None:
            raise NotFoundError("The alert is not kept any more.")
        responder = await self._responder(claim, catalog, user)
        actor = _actor(responder, channel, user)
        return Asked(
            claim,
            tenant,
            alert,
            Principal(
                tenant,
                Role.RESPONDER,
                actor.reference,
                actor,
                name=actor.name,
                responder_id=responder.id if responder is not None else None,
            ),
        )

    async def carry_out(self, asked: Asked, idempotency_key: str | None = None) -> Told:
        """Do it and return a sentence for the person; that it was done already is no error.

        Args:
            asked: From `look`.
            idempotency_key: With the same key the same person gets the first answer again.

        Raises:
            AlertGraphError: Nothing was done, or it is not known; the message says what is wrong.
        """
        principal, alert = asked.principal, asked.alert
        target = ById(alert.id)
        match asked.claim.action:
            case ChatAction.ACKNOWLEDGE:
                outcome = await self._alerts.act(
                    principal, Acknowledge(target), "acknowledgeAlert", idempotency_key
                )
                return _acknowledged(outcome, alert)
            case ChatAction.ESCALATE:
                outcome = await self._alerts.act(principal, Escalate(target), "escalateAlert", idempotency_key)
                return _escalated(outcome, alert)
            case ChatAction.RESOLVE:
                outcome = await self._alerts.act(principal, Resolve(target), "resolveAlert", idempotency_key)
                return _resolved(outcome, alert)
            case ChatAction.SILENCE_1H:
                return await self._silenced(principal, alert, idempotency_key)
            case _:
                assert_never(asked.claim.action)

    async def _silenced(self, principal: Principal, alert: Alert, idempotency_key: str | None) -> Told:
        if not alert.is_open:
            return Told(_over(alert), done=False, alert=alert)
        try:
            silence = await self._silence(principal, alert, SILENCE_LENGTH, idempotency_key=idempotency_key)
        except RefusedError as error:
            if error.code is ErrorCode.IDEMPOTENCY_KEY_REUSED:
                # A key stands for one press: this one came twice, and would by now end a little later.
                return Told(f"Silenced already: {alert.title}", done=True, alert=alert)
            return Told(error.message, done=False, alert=alert)
        return Told(f"Silenced until {silence.ends_at:%H:%M} UTC: {alert.title}", done=True, alert=alert)

    async def _responder(self, claim: ActionClaim, catalog: Catalog, user: ChatUser | None) -> Responder | None:
        """Return who acts: whom a link was sent to, or who is paged under the Slack user's id; None if unknown."""
        if user is None:
            return catalog.responders[claim.responder_id] if claim.responder_id is not None else None
        slack = {item.id for item in catalog.channels.values() if item.kind is ChannelKind.SLACK}
        for responder in catalog.responders.values():
            for method in responder.contact_methods:
                if method.channel_id not in slack or method.address is None or not user.user:
                    continue
                if await self._vault.open(claim.tenant_id, ADDRESS_PURPOSE, method.address) == user.user:
                    return responder
        return None


def _actor(responder: Responder | None, channel: Channel, user: ChatUser | None) -> Actor:
    if user is not None:
        name = responder.name if responder is not None else _one_line(user.name) or user.user
        return Actor(ActorKind.PERSON, name, f"slack:{user.workspace}:{user.user}")
    if responder is not None:
        return Actor(ActorKind.PERSON, responder.name, encode_id(NodeKind.RESPONDER, responder.id))
    # A link that several people got: that it was one of them is all that can be said.
    name = f"signed link, {channel.name}"[:NAME_LENGTH_MAX]
    return Actor(ActorKind.PERSON, name, f"link:{encode_id(NodeKind.CHANNEL, channel.id)}")


def _acknowledged(outcome: Outcome, before: Alert) -> Told:
    alert = outcome.alert or before
    if not alert.is_open:
        return Told(_over(alert), done=False, alert=alert)
    if outcome.problem is not None:
        return Told(outcome.problem.message, done=False, alert=alert)
    if outcome.changed or alert.status is not AlertStatus.ACKNOWLEDGED:
        return Told(f"Acknowledged: {alert.title}", done=True, alert=alert)
    by = alert.acknowledged_by.name if alert.acknowledged_by is not None else "somebody"
    return Told(f"Acknowledged already, by {by}: {alert.title}", done=True, alert=alert)


def _escalated(outcome: Outcome, before: Alert) -> Told:
    alert = outcome.alert or before
    if not alert.is_open:
        return Told(_over(alert), done=False, alert=alert)
    if outcome.problem is not None:
        return Told(outcome.problem.message, done=False, alert=alert)
    return Told(f"Escalated to level {alert.escalation_level}: {alert.title}", done=True, alert=alert)


def _resolved(outcome: Outcome, before: Alert) -> Told:
    alert = outcome.alert or before
    if outcome.problem is not None:
        return Told(outcome.problem.message, done=False, alert=alert)
    if outcome.changed:
        return Told(f"Resolved: {alert.title}", done=True, alert=alert)
    return Told(_over(alert), done=True, alert=alert)


def _over(alert: Alert) -> str:
    by = f", by {alert.resolved_by.name}" if alert.resolved_by is not None else ""
    return f"Resolved already{by}: {alert.title}"


def _one_line(text: str) -> str:
    """Return a name as the log can keep it: what a chat calls somebody is their own choice."""
    return "".join(character for character in text if character.isprintable()).strip()[:NAME_LENGTH_MAX]
