"""Raises and ends the alerts of anomalies, whatever it is that watches."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from alertgraph.core.action import Clear, Fire
from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.anomaly import DEDUP_PREFIX, SOURCE, AnomalyRule, AnomalyTarget
from alertgraph.core.batch import Request
from alertgraph.core.errors import RefusedError
from alertgraph.core.event import CONFIG_KINDS, StoredEvent
from alertgraph.core.flush import IdempotencyKey
from alertgraph.core.ids import AlertId, AnomalyRuleId, TenantId, uuid7
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.services.lanes import Lanes
from alertgraph.services.ports import AnomalyObserver, Clock, Dice, SnapshotSource

WATCH: Final = Actor(ActorKind.SENDER, "anomaly detection")
OPERATION: Final = "anomaly"
TELL_COUNT: Final = 500
OPEN_COUNT_MAX: Final = 20_000


class AnomalyTeller:
    """Raises and ends alerts of anomalies, each once, however often it is asked to."""

    def __init__(
        self, lanes: Lanes, snapshots: SnapshotSource, clock: Clock, dice: Dice, observer: AnomalyObserver
    ) -> None:
        self._lanes = lanes
        self._snapshots = snapshots
        self._clock = clock
        self._dice = dice
        self._observer = observer

    async def tell(self, tenant_id: TenantId, fires: Sequence[Fire], clears: Sequence[Clear]) -> None:
        """Have alerts raised and ended.

        Raises:
            DependencyError: Some may not be; all are to be asked for again.
        """
        for start in range(0, len(fires), TELL_COUNT):
            requests = [self._raising(fire) for fire in fires[start : start + TELL_COUNT]]
            waiting = [self._lanes.enqueue(tenant_id, request) for request in requests]
            for answered in await asyncio.gather(*waiting, return_exceptions=True):
                if isinstance(answered, BaseException):
                    raise answered
                self._note(answered[0].problem is None and answered[0].created, began=True)
                if answered[0].problem is not None:
                    # Such as an id that was taken: asking again would be refused again.
                    self._observer.failed("anomaly alert", RefusedError([answered[0].problem]))
        for start in range(0, len(clears), TELL_COUNT):
            chunk = clears[start : start + TELL_COUNT]
            outcomes = await self._lanes.submit(tenant_id, Request(tuple(chunk), self._ids(len(chunk)), WATCH))
            for outcome in outcomes:
                self._note(outcome.changed, began=False)

    async def end_others(
        self,
        tenant_id: TenantId,
        rules: Iterable[AnomalyRule],
        target: AnomalyTarget,
        told: Collection[str],
        now: datetime,
    ) -> None:
        """End open alerts of anomalies that no event stands behind.

        Args:
            tenant_id: Whose.
            rules: All there are.
            target: What is watched here; alerts of rules about other things are left.
            told: The dedup keys of those that an event stands behind.
            now: When they end.
        """
        matcher = Matcher("@source", MatchOperator.EQUAL, SOURCE)
        async with self._snapshots.snapshot(tenant_id) as snapshot:
            found = await snapshot.matching([matcher], None, OPEN_COUNT_MAX)
        others = tuple(rule.dedup_prefix for rule in rules if rule.target is not target)
        left = [
            Clear(alert.dedup_key, now)
            for alert in found
            if alert.dedup_key.startswith(DEDUP_PREFIX)
            and not alert.dedup_key.startswith(others)
            and alert.dedup_key not in told
        ]
        if left:
            await self.tell(tenant_id, (), left)

    def now(self) -> datetime:
        """Return the present instant."""
        return self._clock.now()

    async def rules(self, tenant_id: TenantId) -> Mapping[AnomalyRuleId, AnomalyRule]:
        """Return the tenant's rules as they are."""
        async with self._snapshots.snapshot(tenant_id) as snapshot:
            return (await snapshot.config()).catalog.anomaly_rules

    def _raising(self, fire: Fire) -> Request:
        began_at = fire.draft.triggered_at
        assert began_at is not None, "an event begins some time"
        key = f"{fire.draft.key}:{began_at.timestamp():.0f}"
        digest = hashlib.sha256(key.encode()).digest()
        return Request((fire,), self._ids(1), WATCH, (), IdempotencyKey(OPERATION, SOURCE, key, digest))

    def _ids(self, count: int) -> tuple[AlertId, ...]:
        now = self._clock.now()
        return tuple(AlertId(uuid7(now, self._dice.bits(74))) for _ in range(count))

    def _note(self, happened: bool, *, began: bool) -> None:  # noqa: FBT001  (whether to count it)
        if happened:
            self._observer.anomaly_told(began=began)


def is_about_rules(events: Sequence[StoredEvent]) -> bool:
    """Say whether any of these events tells of a rule about anomalies."""
    return any(
        stored.event.kind in CONFIG_KINDS and stored.event.subject_type == "AnomalyRule" for stored in events
    )
