"""What a tenant has been promised: how soon an alert is acknowledged and resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntFlag

from alertgraph.core.severity import Severity
from alertgraph.core.tier import Tier
from alertgraph.core.value import quick


@dataclass(frozen=True, slots=True)
class SlaTarget:
    """The promise for one severity, both counted from triggered."""

    severity: Severity
    acknowledge_within: timedelta
    resolve_within: timedelta


def _targets(acknowledge: tuple[int, ...], resolve: tuple[int, ...]) -> Mapping[Severity, SlaTarget]:
    return {
        severity: SlaTarget(severity, timedelta(minutes=to_acknowledge), timedelta(minutes=to_resolve))
        for severity, to_acknowledge, to_resolve in zip(
            sorted(Severity, reverse=True), acknowledge, resolve, strict=True
        )
    }


class SlaMark(IntFlag):
    """Points of an alert's SLA times that were passed. The numbers are stored: never reuse one."""

    ACKNOWLEDGE_AT_RISK = 1
    ACKNOWLEDGE_BREACHED = 2
    RESOLVE_AT_RISK = 4
    RESOLVE_BREACHED = 8


NO_MARKS = SlaMark(0)
# A member is found by a descriptor in Python each time, and its operators are Python, too: every alert is asked.
_ACKNOWLEDGE_AT_RISK = SlaMark.ACKNOWLEDGE_AT_RISK
_ACKNOWLEDGE_BREACHED = SlaMark.ACKNOWLEDGE_BREACHED
_RESOLVE_AT_RISK = SlaMark.RESOLVE_AT_RISK
_RESOLVE_BREACHED = SlaMark.RESOLVE_BREACHED
_ACKNOWLEDGE_AT_RISK_BIT, _ACKNOWLEDGE_BREACHED_BIT, _RESOLVE_AT_RISK_BIT, _RESOLVE_BREACHED_BIT = map(
    int, SlaMark
)
AT_RISK_SHARE = 0.75
"""Of an SLA time: when that much has passed, it is about to be missed."""


HOUR, DAY = 60, 24 * 60
# Minutes for CRITICAL, HIGH, MEDIUM, LOW, INFO. A tenant gets its tier's row when it is made; the operator
# may change single targets afterwards.
TIER_TARGETS: Mapping[Tier, Mapping[Severity, SlaTarget]] = {
    Tier.FREE: _targets((60, 4 * HOUR, DAY, 3 * DAY, 7 * DAY), (DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY)),
    Tier.STANDARD: _targets((15, 60, 8 * HOUR, DAY, 3 * DAY), (4 * HOUR, DAY, 3 * DAY, 7 * DAY, 14 * DAY)),
    Tier.PREMIUM: _targets((10, 30, 4 * HOUR, DAY, 3 * DAY), (2 * HOUR, 8 * HOUR, 2 * DAY, 5 * DAY, 14 * DAY)),
    Tier.ENTERPRISE: _targets((5, 15, 2 * HOUR, 8 * HOUR, DAY), (HOUR, 4 * HOUR, DAY, 3 * DAY, 7 * DAY)),
}


@quick
@dataclass(frozen=True, slots=True)
class SlaClocks:
    """By when an alert is to be acknowledged and resolved."""

    acknowledge_by: datetime
    resolve_by: datetime


def sla_clocks(target: SlaTarget, triggered_at: datetime) -> SlaClocks:
    """Return the clocks of an alert of the target's severity that began at `triggered_at`."""
    return SlaClocks(triggered_at + target.acknowledge_within, triggered_at + target.resolve_within)


def acknowledge_breached(
    clocks: SlaClocks, first_acknowledged_at: datetime | None, ended_at: datetime | None, now: datetime
) -> bool:
    """Say whether an alert was not acknowledged in time; one that ended before needs no acknowledgement."""
    return min(x for x in (first_acknowledged_at, ended_at, now) if x is not None) > clocks.acknowledge_by


def resolve_breached(clocks: SlaClocks, ended_at: datetime | None, now: datetime) -> bool:
    """Say whether an alert was not resolved in time."""
    return (ended_at or now) > clocks.resolve_by


def next_mark(
    clocks: SlaClocks, triggered_at: datetime, passed: SlaMark, first_acknowledged_at: datetime | None
) -> tuple[SlaMark, datetime] | None:
    """Return which point of its SLA times an open alert passes next, and when; None where none is left.

    An alert that was acknowledged once has no acknowledge time to keep any more.
    """
    marks = int(passed)
    resolve: tuple[SlaMark, datetime] | None = None
    # What is at risk comes first: a point between triggered and the end of the time itself.
    if not marks & _RESOLVE_AT_RISK_BIT:
        resolve = (_RESOLVE_AT_RISK, triggered_at + (clocks.resolve_by - triggered_at) * AT_RISK_SHARE)
    elif not marks & _RESOLVE_BREACHED_BIT:
        resolve = (_RESOLVE_BREACHED, clocks.resolve_by)
    if first_acknowledged_at is not None:
        return resolve
    if not marks & _ACKNOWLEDGE_AT_RISK_BIT:
        at = triggered_at + (clocks.acknowledge_by - triggered_at) * AT_RISK_SHARE
        acknowledge = (_ACKNOWLEDGE_AT_RISK, at)
    elif not marks & _ACKNOWLEDGE_BREACHED_BIT:
        acknowledge = (_ACKNOWLEDGE_BREACHED, clocks.acknowledge_by)
    else:
        return resolve
    return acknowledge if resolve is None or acknowledge[1] <= resolve[1] else resolve
