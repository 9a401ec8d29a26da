"""Learns what may be held as likely noise, keeps account of what was, and ends it where that costs too much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import orjson

from alertgraph.core.actor import ENGINE
from alertgraph.core.catalog import Change
from alertgraph.core.duration import duration_text
from alertgraph.core.event import Event, EventKind, FieldChange, StoredEvent, seal
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import EPOCH, NodeKind, TenantId, encode_id
from alertgraph.core.noise import (
    FRESH_FOR,
    NOTHING_HELD,
    Basis,
    History,
    NoiseMode,
    NoisePolicy,
    NoiseRules,
    figures_since,
    over_budget,
)
from alertgraph.core.noise_memory import NoiseMemory
from alertgraph.core.value import replace
from alertgraph.services.following import StateMismatch
from alertgraph.services.ports import Clock, Configuration, Dice, NoiseBook, NoiseObserver, TenantLog

KEEP_EVERY = FRESH_FOR / 3
"""How often it is said that somebody learns; what was held is kept at the next tick."""
SPARE_KEY_BITS = 256


class NoiseReader:
    """Fulfils `services.following.Reader`: one reading for each tenant's noise.

    Args:
        changed: Called after a tenant's settings were changed, with the number its log now ends at.
    """

    name = "noise"

    def __init__(
        self,
        book: NoiseBook,
        log: TenantLog,
        configuration: Configuration,
        clock: Clock,
        dice: Dice,
        observer: NoiseObserver,
        changed: Callable[[TenantId, int], None] = lambda *_: None,
    ) -> None:
        self._book = book
        self._log = log
        self._configuration = configuration
        self._clock = clock
        self._dice = dice
        self._observer = observer
        self._changed = changed

    async def open(self, tenant_id: TenantId, state: bytes | None, now: datetime) -> NoiseReading:  # noqa: ARG002  (the port gives it)
        """Return a tenant's reading; raises StateMismatch where the state is of another form."""
        config = await self._log.config(tenant_id)
        rules = config.settings.noise if config is not None else NOTHING_HELD
        if state is not None:
            try:
                memory = NoiseMemory.of(orjson.loads(state))
            except ValueError as error:
                raise StateMismatch(str(error)) from error
            return NoiseReading(self, tenant_id, memory, rules, is_new=False)
        kept = await self._book.policy(tenant_id)
        key = kept.spare_key if kept is not None else self._dice.bits(SPARE_KEY_BITS).to_bytes(SPARE_KEY_BITS // 8)
        return NoiseReading(self, tenant_id, NoiseMemory(key), rules, is_new=True)

    # ------------------------------------------------------------------------- for the readings

    async def rules(self, tenant_id: TenantId) -> NoiseRules:
        """Return what a tenant has asked for."""
        config = await self._log.config(tenant_id)
        return config.settings.noise if config is not None else NOTHING_HELD

    async def keep(
        self,
        tenant_id: TenantId,
        memory: NoiseMemory,
        histories: Mapping[bytes, History | None],
        now: datetime,
        *,
        anew: bool,
    ) -> None:
        """Write down what a tenant's alerts have taught, and what was held."""
        policy = NoisePolicy(
            memory.spare_key,
            memory.thresholds[Basis.MODEL],
            memory.thresholds[Basis.HISTORY],
            memory.predicts,
            now + FRESH_FOR,
        )
        await self._book.keep(tenant_id, policy, histories, tuple(memory.changed_holds.values()), now, anew=anew)

    async def end_where_too_dear(self, tenant_id: TenantId, rules: NoiseRules, now: datetime) -> bool:
        """Say whether holding has cost more than it may, and switch it off where it has."""
        figures = await self._book.figures(tenant_id, figures_since(rules, now))
        if not over_budget(figures.regret, rules):
            return False
        await self._disarm(tenant_id, figures.regret)
        return True

    async def _disarm(self, tenant_id: TenantId, regret: timedelta) -> None:
        now = self._clock.now()

        def decide(config: TenantConfig) -> Change | None:
            noise = config.settings.noise
            if not over_budget(regret, noise):
                return None  # somebody was faster, or has raised the budget
            text = (
                f"Pages held as noise have kept somebody who was needed away for {_text(regret)},"
                f" longer than the {duration_text(noise.regret_budget)} allowed: nothing is held any more."
            )
            event = Event(
                kind=EventKind.CONFIG_UPDATED,
                actor=ENGINE,
                decided_at=now,
                subject_type="TenantSettings",
                subject_id=encode_id(NodeKind.TENANT, tenant_id),
                changes=(FieldChange("noiseHoldingArmed", True, False),),
                detail={"text": text, "regretSeconds": regret.total_seconds()},
            )
            settings = replace(config.settings, noise=replace(noise, armed_at=None))
            return Change(seal(event), settings=settings)

        _, appended = await self._configuration.change(tenant_id, decide)
        if appended is not None:
            self._observer.noise_disarmed(tenant_id, regret)
            self._changed(tenant_id, appended.first_number)


class NoiseReading:
    """One tenant's: fulfils `services.following.Reading`.

    Tables are written only for a tenant that has asked for anything to be held; what is learnt until then is kept
    in the state alone, so that it is there when somebody asks.
    """

    def __init__(
        self, reader: NoiseReader, tenant_id: TenantId, memory: NoiseMemory, rules: NoiseRules, *, is_new: bool
    ) -> None:
        self._reader = reader
        self._tenant_id = tenant_id
        self._memory = memory
        self._rules = rules
        self._is_outdated = False
        # What stands in the tables of a reading that was begun anew is of another one's.
        self._is_kept = not is_new and rules.mode > NoiseMode.ANNOTATE
        self._kept_at = EPOCH
        self._label_count = -1

    async def take(self, events: Sequence[StoredEvent]) -> None:
        """Take the next events of the tenant's log."""
        for stored in events:
            self._memory.take(stored.event)
            if stored.event.subject_type == "TenantSettings":
                self._is_outdated = True

    async def tick(self, now: datetime) -> None:
        """Set thresholds, say that somebody learns, and end holding where it costs too much."""
        if self._is_outdated:
            self._rules = await self._reader.rules(self._tenant_id)
            self._is_outdated = False
        memory = self._memory
        if self._rules.mode is NoiseMode.ANNOTATE:
            # Once anything is asked for, all of it is written.
            memory.changed_keys.clear()
            memory.changed_holds.clear()
            self._is_kept = False
            return
        is_due = not timedelta(0) <= now - self._kept_at < KEEP_EVERY
        has_held = bool(memory.changed_holds)
        if not (is_due or has_held or not self._is_kept):
            return
        memory.learn()
        keys = memory.changed_keys if self._is_kept else {*memory.kinds, *memory.keys}
        histories = {key: memory.history(key) for key in keys}
        await self._reader.keep(self._tenant_id, memory, histories, now, anew=not self._is_kept)
        self._is_kept = True
        self._kept_at = now
        memory.changed_keys.clear()
        memory.changed_holds.clear()
        if has_held and self._rules.is_armed:
            self._is_outdated = await self._reader.end_where_too_dear(self._tenant_id, self._rules, now)

    def state(self) -> bytes:
        """Return all that is needed to go on from here."""
        return orjson.dumps(self._memory.state())


def _text(length: timedelta) -> str:
    return duration_text(timedelta(seconds=round(length.total_seconds())))
