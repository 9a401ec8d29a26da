"""What people set up in a tenant: settings, API keys, saved views. Every change is an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from alertgraph.core.action import UNSET, Unset
from alertgraph.core.alert import check_text
from alertgraph.core.catalog import Change
from alertgraph.core.channel import Channel, ChannelKind
from alertgraph.core.document import DocumentMode
from alertgraph.core.duration import duration_text
from alertgraph.core.errors import (
    AccessDeniedError,
    ErrorCode,
    InputError,
    NotFoundError,
    Problem,
    RefusedError,
)
from alertgraph.core.event import EventKind, SealedEvent, instant_text
from alertgraph.core.flush import Appended, TenantConfig
from alertgraph.core.ids import (
    ApiKeyId,
    ChannelId,
    NodeKind,
    RuleId,
    SavedViewId,
    TenantId,
    encode_id,
    pack,
    uuid7,
)
from alertgraph.core.labels import Matcher, check_matcher
from alertgraph.core.noise import NoiseMode, rearmed
from alertgraph.core.rule import EscalationRule
from alertgraph.core.tenant import ApiKey, Principal, Role, SavedView, TenantSettings, check_settings
from alertgraph.services.catalog_changes import (
    NAME_LENGTH_MAX,
    check_version,
    config_event,
    first_answer,
    require,
    stored_answer,
    told_matchers,
)
from alertgraph.services.ports import AnsweredError, Clock, Configuration, Dice, KeySecret

MATCHER_COUNT_MAX = 20
COST_BUDGET_MAX = 10_000_000
VIEW_BYTES_MAX = 16_384
OVERLAP_MAX = timedelta(days=30)
KEY_PREFIX_LENGTH = 11


class ConfigurationService:
    """Changes what a tenant has set up, within the caller's role.

    Every method raises RefusedError for what the caller can mend; paths are relative to the input.

    Args:
        digest: Gives the form in which a key's secret is kept.
        changed: Called after each commit with the tenant and the number its log now ends at.
    """

    def __init__(
        self,
        store: Configuration,
        clock: Clock,
        dice: Dice,
        digest: Callable[[str], bytes],
        changed: Callable[[TenantId, int], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._dice = dice
        self._digest = digest
        self._changed = changed

    # -------------------------------------------------------------------------------- settings

    async def update_settings(
        self,
        principal: Principal,
        *,
        resolve_timeout: timedelta | Unset = UNSET,
        retention: timedelta | Unset = UNSET,
        default_rule_id: RuleId | Unset | None = UNSET,
        dead_man_channel_id: ChannelId | Unset | None = UNSET,
        document_mode: DocumentMode | Unset = UNSET,
        grouping_labels: tuple[str, ...] | Unset = UNSET,
        grouping_window: timedelta | Unset = UNSET,
        correlation_enabled: bool | Unset = UNSET,
        noise_mode: NoiseMode | Unset = UNSET,
        noise_hold_max: timedelta | Unset = UNSET,
        noise_regret_budget: timedelta | Unset = UNSET,
        expected_version: int | None = None,
    ) -> TenantSettings:
        """Return the settings after a patch. ADMIN."""
        principal.require(Role.ADMIN)
        subject = encode_id(NodeKind.TENANT, principal.tenant.id)

        def decide(config: TenantConfig) -> Change | None:
            current = config.settings
            check_version(current.version, expected_version)
            patched = current
            if resolve_timeout is not UNSET:
                patched = replace(patched, resolve_timeout=resolve_timeout)
            if retention is not UNSET:
                patched = replace(patched, retention=retention)
            if default_rule_id is not UNSET:
                if default_rule_id is not None:
                    require(config.catalog, EscalationRule, default_rule_id, "defaultEscalationRuleId")
                patched = replace(patched, default_rule_id=default_rule_id)
            if dead_man_channel_id is not UNSET:
                if dead_man_channel_id is not None:
                    channel = require(config.catalog, Channel, dead_man_channel_id, "deadManChannelId")
                    if channel.kind is ChannelKind.PAGERDUTY:
                        raise InputError(
                            "PagerDuty knows no beats: it would wake somebody with each.", "deadManChannelId"
                        )
                patched = replace(patched, dead_man_channel_id=dead_man_channel_id)
            if document_mode is not UNSET:
                patched = replace(patched, document_mode=document_mode)
            if grouping_labels is not UNSET:
                patched = replace(patched, grouping_labels=grouping_labels)
            if grouping_window is not UNSET:
                patched = replace(patched, grouping_window=grouping_window)
            if correlation_enabled is not UNSET:
                patched = replace(patched, correlation_enabled=correlation_enabled)
            noise = patched.noise
            if noise_mode is not UNSET:
                # Also where it is the mode there was: that is how holding is armed again.
                noise = rearmed(noise, noise_mode, self._clock.now())
            if noise_hold_max is not UNSET:
                noise = replace(noise, hold_max=noise_hold_max)
            if noise_regret_budget is not UNSET:
                noise = replace(noise, regret_budget=noise_regret_budget)
            patched = replace(patched, noise=noise)
            check_settings(patched)
            if patched == current:
                return None
            event = self._event(
                EventKind.CONFIG_UPDATED,
                principal,
                "TenantSettings",
                subject,
                told_settings(current),
                told_settings(patched),
            )
            return Change(event, settings=patched)

        config, appended = await self._store.change(principal.tenant.id, decide)
        self._tell(principal, appended)
        return config.settings

    # ------------------------------------------------------------------------------ saved views

    async def create_saved_view(
        self,
        principal: Principal,
        *,
        name: str,
        filter: dict[str, Any],
        order_by: dict[str, Any] | None,
        shared: bool,
        idempotency_key: str | None = None,
    ) -> SavedView:
        """Return a new view; a shared one needs RESPONDER, one's own VIEWER."""
        principal.require(Role.RESPONDER if shared else Role.VIEWER)
        view = SavedView(
            id=SavedViewId(uuid7(self._clock.now(), self._dice.bits(74))),
            name=name,
            filter=filter,
            order_by=order_by,
            shared=shared,
            owner=principal.actor,
            owner_subject=principal.subject,
            version=0,
        )
        _check_view(view)
        contents = [name, filter, order_by, shared]
        answer = stored_answer(principal, "createSavedView", idempotency_key, contents, str(view.id))

        def decide(current: SavedView | None) -> tuple[SavedView | None, SealedEvent] | None:
            assert current is None, "a fresh id is not in use"
            return view, self._view_event(EventKind.CONFIG_CREATED, principal, None, view)

        try:
            created, appended = await self._store.change_saved_view(
                principal.tenant.id, view.id, decide, answer=answer
            )
        except AnsweredError as error:
            first = SavedViewId(first_answer(error.stored, answer))
            created, appended = await self._store.change_saved_view(principal.tenant.id, first, lambda _: None)
            if created is None:
                raise NotFoundError("The view made by this idempotency key was deleted since.") from error
        assert created is not None
        self._tell(principal, appended)
        return created

    async def update_saved_view(
        self,
        principal: Principal,
        view_id: SavedViewId,
        *,
        name: str | Unset = UNSET,
        filter: dict[str, Any] | Unset = UNSET,
        order_by: dict[str, Any] | Unset | None = UNSET,
        shared: bool | Unset = UNSET,
        expected_version: int | None = None,
    ) -> SavedView:
        """Return a view after a patch: one's own, or with RESPONDER a shared one."""
        principal.require(Role.VIEWER)

        def decide(current: SavedView | None) -> tuple[SavedView | None, SealedEvent] | None:
            view = _own_view(current, principal)
            check_version(view.version, expected_version)
            patched = view
            if name is not UNSET:
                patched = replace(patched, name=name)
            if filter is not UNSET:
                patched = replace(patched, filter=filter)
            if order_by is not UNSET:
                patched = replace(patched, order_by=order_by)
            if shared is not UNSET:
                patched = replace(patched, shared=shared)
            if patched.shared or view.shared:
                principal.require(Role.RESPONDER)
            _check_view(patched)
            if patched == view:
                return None
            return patched, self._view_event(EventKind.CONFIG_UPDATED, principal, view, patched)

        updated, appended = await self._store.change_saved_view(principal.tenant.id, view_id, decide)
        assert updated is not None
        self._tell(principal, appended)
        return updated

    async def delete_saved_view(
        self, principal: Principal, view_id: SavedViewId, *, expected_version: int | None = None
    ) -> None:
        """Delete a view: one's own, or with RESPONDER a shared one."""
        principal.require(Role.VIEWER)

        def decide(current: SavedView | None) -> tuple[SavedView | None, SealedEvent] | None:
            view = _own_view(current, principal)
            check_version(view.version, expected_version)
            if view.shared:
                principal.require(Role.RESPONDER)
            return None, self._view_event(EventKind.CONFIG_DELETED, principal, view, None)

        _, appended = await self._store.change_saved_view(principal.tenant.id, view_id, decide)
        self._tell(principal, appended)

    # --------------------------------------------------------------------------------- API keys

    async def create_api_key(
        self,
        principal: Principal,
        *,
        name: str,
        role: Role,
        matchers: tuple[Matcher, ...] = (),
        cost_budget: int | None = None,
        expires_at: datetime | None = None,
        idempotency_key: str | None = None,
        secret: str | None = None,
    ) -> tuple[ApiKey, str | None]:
        """Return a new key and its secret; for an idempotency key answered before, the key alone. ADMIN.

        `secret` is given by an operator alone, who wants to know it beforehand.
        """
        _require_key_admin(principal)
        now = self._clock.now()
        _check_key(name, role, matchers, cost_budget, expires_at, principal, now)
        secret = secret or new_secret(self._dice)
        key = ApiKey(
            id=ApiKeyId(uuid7(now, self._dice.bits(74))),
            name=name,
            prefix=secret[:KEY_PREFIX_LENGTH],
            role=role,
            matchers=matchers,
            cost_budget=cost_budget,
            created_at=now,
            created_by=principal.actor,
            expires_at=expires_at,
            last_used_at=None,
            revoked_at=None,
            version=0,
        )
        contents = [name, role, list(matchers), cost_budget, expires_at]
        answer = stored_answer(principal, "createApiKey", idempotency_key, contents, str(key.id))

        def decide(current: ApiKey | None) -> tuple[ApiKey, SealedEvent] | None:
            assert current is None, "a fresh id is not in use"
            return key, self._key_event(EventKind.CONFIG_CREATED, principal, None, key)

        try:
            created, appended = await self._store.change_api_key(
                principal.tenant.id, key.id, decide, secret=self._kept(secret), answer=answer
            )
        except AnsweredError as error:
            first = ApiKeyId(first_answer(error.stored, answer))
            earlier, _ = await self._store.change_api_key(principal.tenant.id, first, lambda _: None)
            if earlier is None:
                raise NotFoundError("The key made by this idempotency key is gone.") from error
            return earlier, None
        assert created is not None
        self._tell(principal, appended)
        return created, secret

    async def rotate_api_key(
        self, principal: Principal, key_id: ApiKeyId, *, overlap: timedelta
    ) -> tuple[ApiKey, str]:
        """Return a key and its new secret; the old secret works for `overlap` longer. ADMIN."""
        _require_key_admin(principal)
        if not timedelta(0) <= overlap <= OVERLAP_MAX:
            raise InputError(f"overlap is PT0S to P{OVERLAP_MAX.days}D.", "overlap")
        now = self._clock.now()
        secret = new_secret(self._dice)

        def decide(current: ApiKey | None) -> tuple[ApiKey, SealedEvent] | None:
            key = _live_key(current, principal)
            rotated = replace(key, prefix=secret[:KEY_PREFIX_LENGTH])
            return rotated, self._key_event(EventKind.CONFIG_UPDATED, principal, key, rotated)

        key, appended = await self._store.change_api_key(
            principal.tenant.id, key_id, decide, secret=self._kept(secret), old_secret_until=now + overlap
        )
        assert key is not None
        self._tell(principal, appended)
        return key, secret

    async def revoke_api_key(
        self, principal: Principal, key_id: ApiKeyId, *, expected_version: int | None = None
    ) -> None:
        """End a key at once, open sockets included. ADMIN."""
        _require_key_admin(principal)
        now = self._clock.now()

        def decide(current: ApiKey | None) -> tuple[ApiKey, SealedEvent] | None:
            key = _live_key(current, principal)
            check_version(key.version, expected_version)
            revoked = replace(key, revoked_at=now)
            return revoked, self._key_event(EventKind.CONFIG_DELETED, principal, key, revoked)

        _, appended = await self._store.change_api_key(principal.tenant.id, key_id, decide)
        self._tell(principal, appended)

    # ------------------------------------------------------------------------------------ shared

    def _kept(self, secret: str) -> KeySecret:
        return KeySecret(secret[:KEY_PREFIX_LENGTH], self._digest(secret))

    def _tell(self, principal: Principal, appended: Appended | None) -> None:
        if appended is not None:
            self._changed(principal.tenant.id, appended.first_number)

    def _event(
        self,
        kind: EventKind,
        principal: Principal,
        subject_type: str,
        subject_id: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
    ) -> SealedEvent:
        return config_event(kind, principal, self._clock.now(), subject_type, subject_id, before, after)

    def _view_event(
        self, kind: EventKind, principal: Principal, before: SavedView | None, after: SavedView | None
    ) -> SealedEvent:
        view = after or before
        assert view is not None
        subject = encode_id(NodeKind.SAVED_VIEW, view.id)
        return self._event(kind, principal, "SavedView", subject, _told_view(before), _told_view(after))

    def _key_event(
        self, kind: EventKind, principal: Principal, before: ApiKey | None, after: ApiKey
    ) -> SealedEvent:
        subject = encode_id(NodeKind.API_KEY, after.id)
        return self._event(kind, principal, "ApiKey", subject, _told_key(before), _told_key(after))


def new_secret(dice: Dice) -> str:
    """Return a new key's secret: `ag_`, 8 characters that tell keys apart, and 256 random bits."""
    return f"ag_{pack(dice.bits(48).to_bytes(6, 'big'))}_{pack(dice.bits(256).to_bytes(32, 'big'))}"


def _require_key_admin(principal: Principal) -> None:
    principal.require(Role.ADMIN)
    if principal.scope:
        raise AccessDeniedError("A key that is limited by matchers can't manage keys.")


def _own_view(view: SavedView | None, principal: Principal) -> SavedView:
    if view is None or not (view.shared or view.owner_subject == principal.subject):
        raise NotFoundError("There is no such view.", "id")
    return view


def _live_key(key: ApiKey | None, principal: Principal) -> ApiKey:
    if key is None or key.revoked_at is not None:
        raise NotFoundError("There is no such key, or it is revoked.", "id")
    principal.require(key.role)
    return key


def _check_view(view: SavedView) -> None:
    problems = check_text(view.name, "name", NAME_LENGTH_MAX, length_min=1, one_line=True)
    if problems:
        raise RefusedError(problems)
    for name, value in (("filter", view.filter), ("orderBy", view.order_by)):
        raw = orjson.dumps(value)
        if len(raw) > VIEW_BYTES_MAX or b"\\u0000" in raw:
            raise InputError(f"{name} is too large or contains a NUL character.", name)


def _check_key(
    name: str,
    role: Role,
    matchers: tuple[Matcher, ...],
    cost_budget: int | None,
    expires_at: datetime | None,
    principal: Principal,
    now: datetime,
) -> None:
    problems = check_text(name, "name", NAME_LENGTH_MAX, length_min=1, one_line=True)
    if role > principal.role:
        problems.append(Problem(ErrorCode.INVALID_INPUT, "role is no higher than the caller's.", ("role",)))
    if len(matchers) > MATCHER_COUNT_MAX:
        problems.append(
            Problem(ErrorCode.INVALID_INPUT, f"matchers has at most {MATCHER_COUNT_MAX} entries.", ("matchers",))
        )
    if cost_budget is not None and not 1 <= cost_budget <= COST_BUDGET_MAX:
        problems.append(
            Problem(ErrorCode.INVALID_INPUT, f"costBudget is 1 to {COST_BUDGET_MAX:,}.", ("costBudget",))
        )
    if expires_at is not None and expires_at <= now:
        problems.append(Problem(ErrorCode.INVALID_INPUT, "expiresAt is in the past.", ("expiresAt",)))
    if problems:
        raise RefusedError(problems)
    for index, matcher in enumerate(matchers):
        check_matcher(matcher, "matchers", str(index))


def told_settings(settings: TenantSettings) -> dict[str, Any]:
    """Return the settings as events tell of them, by their names in the API."""
    rule_id, channel_id = settings.default_rule_id, settings.dead_man_channel_id
    return {
        "resolveTimeout": duration_text(settings.resolve_timeout),
        "retention": duration_text(settings.retention),
        "defaultEscalationRule": encode_id(NodeKind.ESCALATION_RULE, rule_id) if rule_id is not None else None,
        "documentMode": settings.document_mode.name,
        "deadManChannel": encode_id(NodeKind.CHANNEL, channel_id) if channel_id is not None else None,
        "groupingLabels": list(settings.grouping_labels),
        "groupingWindow": duration_text(settings.grouping_window),
        "correlationEnabled": settings.correlation_enabled,
        "noiseMode": settings.noise.mode.name,
        "noiseHoldMax": duration_text(settings.noise.hold_max),
        "noiseRegretBudget": duration_text(settings.noise.regret_budget),
        "noiseHoldingArmed": settings.noise.is_armed,
    }


def _told_view(view: SavedView | None) -> dict[str, Any]:
    if view is None:
        return {}
    return {"name": view.name, "filter": view.filter, "orderBy": view.order_by, "shared": view.shared}


def _told_key(key: ApiKey | None) -> dict[str, Any]:
    """What the log tells of a key: never its secret, whose first characters only tell keys apart."""
    if key is None:
        return {}
    return {
        "name": key.name,
        "prefix": key.prefix,
        "role": key.role.name,
        "matchers": told_matchers(key.matchers),
        "costBudget": key.cost_budget,
        "expiresAt": instant_text(key.expires_at) if key.expires_at is not None else None,
        "revokedAt": instant_text(key.revoked_at) if key.revoked_at is not None else None,
    }
