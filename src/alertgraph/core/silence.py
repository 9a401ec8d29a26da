"""Silences: a person's order not to page for some alerts, once or again and again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from alertgraph.core.actor import Actor
from alertgraph.core.ids import SilenceId
from alertgraph.core.labels import Matcher


class SilenceState(IntEnum):
    """Where a silence stands."""

    PENDING = 1
    ACTIVE = 2
    EXPIRED = 3


@dataclass(frozen=True, slots=True)
class Silence:
    """A person's order not to page for some alerts.

    Attributes:
        starts_at: Begin of the first window.
        ends_at: End of the first window, not included.
        recurrence: RRULE (RFC 5545) by which the window comes again; None for once.
        time_zone: Of the recurrence's wall clock.
        end_on_resolve: Ends early, when the last alert under it is resolved.
        over_at: From when it never silences again: by a person, or since its last alert was resolved;
            None while only its windows say.
        version: Number of the last event that changed it.
    """

    id: SilenceId
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    comment: str
    created_by: Actor
    recurrence: str | None = None
    time_zone: str = "UTC"
    end_on_resolve: bool = False
    over_at: datetime | None = None
    version: int = 0
