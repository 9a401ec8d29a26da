"""The ways into the service: credentials checked, budgets spent, reads opened, for every dialect alike."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from alertgraph import __version__
from alertgraph.cache.budgets import Budgets
from alertgraph.core.actor import ENGINE
from alertgraph.core.budget import Budget
from alertgraph.core.errors import (
    AlertGraphError,
    CostExceededError,
    RateLimitedError,
    UnauthenticatedError,
)
from alertgraph.core.event import instant_text
from alertgraph.core.tenant import Principal
from alertgraph.edge.graphql import OperationInfo, Validity
from alertgraph.services.alerts import AlertService
from alertgraph.services.authentication import Authenticator
from alertgraph.services.monitors import MonitorService
from alertgraph.services.ports import Clock, SnapshotSource, Vault
from alertgraph.services.reading import Reading
from resolvers.context import Context, Services


class Door:
    """What all ways in have in common. Fulfils `edge.gate.Gate`.

    Args:
        cost_budget: Points a minute of a key that has no budget of its own.
        ready: Says whether requests can be served.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        alerts: AlertService,
        monitors: MonitorService,
        snapshots: SnapshotSource,
        vault: Vault,
        budgets: Budgets,
        clock: Clock,
        *,
        cost_budget: int,
        started_at: datetime,
        ready: Callable[[], Awaitable[bool]],
    ) -> None:
        self._authenticator = authenticator
        self._snapshots = snapshots
        self._vault = vault
        self._budgets = budgets
        self._cost_budget = cost_budget
        self._ready = ready
        self.alerts = alerts
        self.monitors = monitors
        self.clock = clock
        self.started_at = started_at
        self.version = __version__

    async def authenticate(self, authorization: str | None) -> Principal:
        """Return who is asking, by the header as it came."""
        return await self._authenticator.authenticate(secret_of(authorization))

    async def admit(self, principal: Principal, cost: int) -> None:
        """Let the caller spend that many points."""
        await self.spend(principal, cost)

    async def spend(self, principal: Principal, cost: int) -> Budget:
        """Spend points and return what is left.

        Raises:
            RateLimitedError: Too few are left; nothing was spent.
        """
        limit = principal.cost_budget or self._cost_budget
        state = await self._budgets.spend(principal.tenant.id, principal.subject, cost, limit, self.clock.now())
        if not state.allowed:
            if state.exceeds_limit:
                raise CostExceededError(f"This costs {cost} points; a minute's budget is {limit}: ask for less.")
            raise RateLimitedError(
                f"This costs {cost} points; {state.remaining} of {limit} a minute are left.", state.retry_after
            )
        return Budget(cost, limit, state.remaining, state.reset_at)

    @asynccontextmanager
    async def open_reading(self, principal: Principal) -> AsyncIterator[Reading]:
        """Return one operation's reads, all of one moment."""
        async with self._snapshots.snapshot(principal.tenant.id) as snapshot:
            yield Reading(snapshot, principal, self.clock, self._vault)

    async def ready(self) -> bool:
        """Say whether requests can be served at present."""
        return await self._ready()


@dataclass(frozen=True, slots=True, repr=False)
class Viewer:
    """A caller, and the secret by which it is looked at again for as long as its socket is open."""

    principal: Principal
    secret: str


class GraphQLDoor:
    """What GraphQL needs besides. Fulfils `edge.graphql.Operations`."""

    def __init__(self, door: Door, authenticator: Authenticator, services: Services) -> None:
        self._door = door
        self._authenticator = authenticator
        self._services = services

    async def authenticate(self, authorization: str | None) -> Viewer:
        """Return who is asking."""
        secret = secret_of(authorization)
        return Viewer(await self._authenticator.authenticate(secret), secret)

    async def admit(self, viewer: Viewer, cost: int) -> Mapping[str, object]:
        """Spend an operation's points and return what is left, for `extensions.cost`."""
        budget = await self._door.spend(viewer.principal, cost)
        return {
            "limit": budget.limit,
            "remaining": budget.remaining,
            "resetAt": instant_text(budget.reset_at),
        }

    @asynccontextmanager
    async def open_context(self, viewer: Viewer, info: OperationInfo) -> AsyncIterator[object]:
        """Lend the context of one operation, or of one event of a subscription."""
        left = info.budget
        budget = Budget(
            info.cost,
            int(str(left["limit"])),
            int(str(left["remaining"])),
            datetime.fromisoformat(str(left["resetAt"])),
        )
        async with self._door.open_reading(viewer.principal) as reading:
            is_live = info.type == "subscription"
            yield Context(viewer.principal, info.request_id, reading, self._services, budget, is_live)

    def visibility(self, viewer: Viewer, *, personal: bool) -> Hashable:
        """Return what of a caller may alter what it is told of events."""
        principal = viewer.principal
        common = (principal.tenant, principal.role, principal.scope)
        return (*common, principal.subject, principal.responder_id) if personal else common

    def impersonal(self, viewer: Viewer) -> Viewer:
        """Return a caller who may see the same and is nobody."""
        principal = viewer.principal
        return Viewer(Principal(principal.tenant, principal.role, "", ENGINE, principal.scope), "")

    async def still_valid(self, viewer: Viewer) -> Validity:
        """Say whether a socket's credentials still hold; while that can't be known, they do."""
        expires_at = viewer.principal.expires_at
        if expires_at is not None and expires_at <= self._door.clock.now():
            return Validity.EXPIRED
        try:
            current = await self._authenticator.authenticate(viewer.secret)
        except UnauthenticatedError:
            return Validity.REVOKED
        except AlertGraphError:
            return Validity.VALID
        # A key whose rights were changed has to connect again, so that no socket keeps old ones.
        same = (current.role, current.scope) == (viewer.principal.role, viewer.principal.scope)
        return Validity.VALID if same else Validity.REVOKED


def secret_of(authorization: str | None) -> str:
    """Return the key in an Authorization header: a bearer token, or the password of basic auth.

    Raises:
        UnauthenticatedError: There is none.
    """
    scheme, _, credentials = (authorization or "").strip().partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "bearer" and credentials:
        return credentials
    if scheme.lower() == "basic" and credentials:
        try:
            _, separator, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            separator = password = ""
        if separator and password:
            return password
    raise UnauthenticatedError("Send an API key as `Authorization: Bearer ag_…`.")
