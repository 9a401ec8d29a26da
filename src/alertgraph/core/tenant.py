"""Tenants, what they may set, and the credentials of those who act in them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

from alertgraph.core.actor import Actor
from alertgraph.core.document import DocumentMode
from alertgraph.core.errors import AccessDeniedError, InputError
from alertgraph.core.ids import ApiKeyId, ChannelId, ResponderId, RuleId, SavedViewId, TenantId
from alertgraph.core.incident import check_grouping
from alertgraph.core.labels import Matcher
from alertgraph.core.noise import NOTHING_HELD, NoiseRules, check_noise
from alertgraph.core.tier import Tier

__all__ = ["ApiKey", "Principal", "Role", "SavedView", "Tenant", "TenantSettings", "Tier"]

SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
RETENTION_MIN = timedelta(days=1)
RETENTION_MAX = timedelta(days=3660)
RESOLVE_TIMEOUT_MAX = timedelta(days=30)


class Role(IntEnum):
    """What a caller may do; each includes those before it. The numbers are stored: never reuse one."""

    INGEST = 1
    VIEWER = 2
    RESPONDER = 3
    ADMIN = 4


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer or team: the unit of isolation."""

    id: TenantId
    slug: str
    name: str
    tier: Tier


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """What an ADMIN may set.

    Attributes:
        resolve_timeout: An alert whose sender names no end is resolved this long after it was last seen;
            zero means never.
        retention: How long resolved alerts and their events are kept.
        default_rule_id: Used where no rule matches or its targets come to nobody; None: such alerts are held.
        dead_man_channel_id: Beaten every minute while the engine's invariants hold, and not otherwise.
        document_mode: Which GraphQL documents are executed.
        grouping_labels: Alerts equal in all these share an incident; none: nothing is grouped by labels.
        grouping_window: How long after its last alert an incident still takes in equal ones.
        correlation_enabled: Whether the model may group alerts; what belongs together it says in any case.
        noise: How far the model may go against noise.
        version: Number of the last event that changed the settings; 0 where none did.
    """

    resolve_timeout: timedelta = timedelta(0)
    retention: timedelta = timedelta(days=400)
    version: int = 0
    default_rule_id: RuleId | None = None
    dead_man_channel_id: ChannelId | None = None
    document_mode: DocumentMode = DocumentMode.OPEN
    grouping_labels: tuple[str, ...] = ()
    grouping_window: timedelta = timedelta(hours=1)
    correlation_enabled: bool = False
    noise: NoiseRules = NOTHING_HELD


def check_slug(slug: str) -> str:
    """Return the slug if it is one.

    Raises:
        InputError: It is not 1 to 63 lower-case letters, digits and inner hyphens.
    """
    if not SLUG.fullmatch(slug):
        raise InputError("A tenant's slug is 1 to 63 lower-case letters, digits and inner hyphens.", "slug")
    return slug


def check_settings(settings: TenantSettings) -> TenantSettings:
    """Return the settings if they can be kept.

    Raises:
        InputError: A length of time is out of its bounds; the path names it.
    """
    if not timedelta(0) <= settings.resolve_timeout <= RESOLVE_TIMEOUT_MAX:
        raise InputError("resolveTimeout is PT0S (never) to P30D.", "resolveTimeout")
    if not RETENTION_MIN <= settings.retention <= RETENTION_MAX:
        raise InputError("retention is P1D to P3660D.", "retention")
    check_grouping(settings.grouping_labels, settings.grouping_window)
    check_noise(settings.noise)
    return settings


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A credential of the tenant, without its secret.

    Attributes:
        prefix: First characters of the secret, to tell keys apart.
        matchers: It sees and sends only alerts that match all of these.
        cost_budget: Points a minute; None for the installation's own limit.
    """

    id: ApiKeyId
    name: str
    prefix: str
    role: Role
    matchers: tuple[Matcher, ...]
    cost_budget: int | None
    created_at: datetime
    created_by: Actor
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class SavedView:
    """A named filter, for one person or for all; `filter` and `order_by` are shaped as in the API."""

    id: SavedViewId
    name: str
    filter: dict[str, object]
    order_by: dict[str, object] | None
    shared: bool
    owner: Actor
    owner_subject: str
    version: int


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, as far as the credentials prove it.

    Attributes:
        subject: What is stable about the caller, such as `key:` and an id; owns saved views and budgets.
        actor: How the log names them.
        scope: Matchers that every alert they see or send must satisfy; empty for all.
        expires_at: When the credentials end by themselves.
        responder_id: The caller as somebody who can be on call; None for keys and where nobody is linked.
    """

    tenant: Tenant
    role: Role
    subject: str
    actor: Actor
    scope: tuple[Matcher, ...] = ()
    api_key_id: ApiKeyId | None = None
    cost_budget: int | None = None
    expires_at: datetime | None = None
    name: str = field(default="")
    responder_id: ResponderId | None = None

    def require(self, role: Role) -> None:
        """Let the caller pass who has at least `role`.

        Raises:
            AccessDeniedError: The caller's role is lower.
        """
        if self.role < role:
            raise AccessDeniedError(f"This needs the role {role.name}; the caller has {self.role.name}.")
