"""What must always hold of the engine, and what is broken of it now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from alertgraph.core.alert import HoldReason
from alertgraph.core.ids import AlertId
from alertgraph.core.sealing import LATE_AFTER as AUDIT_LATE_AFTER
from alertgraph.core.sealing import Refusal

LATE_AFTER = timedelta(seconds=60)
"""What is due for longer than this is late: the engine and the senders look every few seconds."""


class Invariant(StrEnum):
    """What must hold; callers know these names."""

    NO_NEXT_STEP = "NO_NEXT_STEP"
    ESCALATION_LATE = "ESCALATION_LATE"
    DELIVERY_LATE = "DELIVERY_LATE"
    HELD_NO_MATCHING_RULE = "HELD_NO_MATCHING_RULE"
    HELD_NOBODY_ON_CALL = "HELD_NOBODY_ON_CALL"
    AUDIT_REFUSED = "AUDIT_REFUSED"
    AUDIT_LATE = "AUDIT_LATE"


OF_THE_RECORD = frozenset({Invariant.AUDIT_REFUSED, Invariant.AUDIT_LATE})
"""What is wrong with the record of what happened; people are told of alerts all the same."""


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What is wrong or late in one tenant, counted now.

    Attributes:
        oldest_due_at: Of the alerts whose due time has passed.
        oldest_delivery_at: The due time of the delivery that waits longest beyond it.
        pending_count: How many deliveries are open.
        late: Open alerts that have been due for longer than LATE_AFTER, with one of them.
        late_deliveries: Deliveries, the same; the alert of one of them.
        held: Open alerts held for NO_MATCHING_RULE or NOBODY_ON_CALL, with one of each.
        forgotten: Triggered alerts with neither a due time nor a reason, with one of them.
        refusal: Why the log is not sealed; None where it is.
        unsealed_since: When the oldest event was recorded that no signed checkpoint covers.
    """

    oldest_due_at: datetime | None
    oldest_delivery_at: datetime | None
    pending_count: int
    late: tuple[int, AlertId | None]
    late_deliveries: tuple[int, AlertId | None]
    held: Mapping[HoldReason, tuple[int, AlertId | None]]
    forgotten: tuple[int, AlertId | None]
    refusal: Refusal | None = None
    unsealed_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken invariant.

    Attributes:
        text: What is wrong, for a person.
        count: How many alerts or deliveries; very many are not counted to the last.
        alert_id: One of the alerts; None where it is about none.
    """

    invariant: Invariant
    text: str
    count: int
    alert_id: AlertId | None


@dataclass(frozen=True, slots=True)
class Health:
    """How the engine does for one tenant.

    Attributes:
        oldest_due: How late the oldest due escalation is; None where none is due.
        oldest_pending: How long the oldest delivery waits beyond its time; None where none does.
        pending_count: How many deliveries are open.
        violations: What is broken, the worst first.
    """

    oldest_due: timedelta | None
    oldest_pending: timedelta | None
    pending_count: int
    violations: tuple[Violation, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is broken."""
        return not self.violations

    @property
    def keeps_paging(self) -> bool:
        """Whether nothing is broken that people need to be told of alerts."""
        return all(violation.invariant in OF_THE_RECORD for violation in self.violations)


def health_of(figures: EngineFigures, now: datetime) -> Health:
    """Return how the engine does, by what was counted at `now`."""
    return Health(
        _since(figures.oldest_due_at, now),
        _since(figures.oldest_delivery_at, now),
        figures.pending_count,
        (*_violations(figures), *_violations_of_record(figures, now)),
    )


def _violations(figures: EngineFigures) -> Iterator[Violation]:
    late = f"for more than {LATE_AFTER.total_seconds():g} s"
    none: tuple[int, AlertId | None] = (0, None)
    found = {
        Invariant.NO_NEXT_STEP: figures.forgotten,
        Invariant.ESCALATION_LATE: figures.late,
        Invariant.DELIVERY_LATE: figures.late_deliveries,
        Invariant.HELD_NO_MATCHING_RULE: figures.held.get(HoldReason.NO_MATCHING_RULE, none),
        Invariant.HELD_NOBODY_ON_CALL: figures.held.get(HoldReason.NOBODY_ON_CALL, none),
    }
    texts = {
        Invariant.NO_NEXT_STEP: "Nobody will be told of open alerts, and nothing says why.",
        Invariant.ESCALATION_LATE: f"Alerts have been due {late}, and nothing was decided on them.",
        Invariant.DELIVERY_LATE: f"Messages have been due {late}, and were not sent.",
        Invariant.HELD_NO_MATCHING_RULE: (
            "Nobody is told of open alerts, since no escalation rule matches them and there is no default rule."
        ),
        Invariant.HELD_NOBODY_ON_CALL: (
            "Nobody is told of open alerts, since the targets of their rule and of the default rule "
            "come to nobody."
        ),
    }
    for invariant, (count, alert_id) in found.items():
        if count:
            yield Violation(invariant, texts[invariant], count, alert_id)


def _violations_of_record(figures: EngineFigures, now: datetime) -> Iterator[Violation]:
    if figures.refusal is not None:
        text = f"The log is not sealed any more. {figures.refusal.text}"
        yield Violation(Invariant.AUDIT_REFUSED, text, 1, None)
    elif figures.unsealed_since is not None and now - figures.unsealed_since > AUDIT_LATE_AFTER:
        minutes = AUDIT_LATE_AFTER / timedelta(minutes=1)
        text = f"For more than {minutes:g} minutes, events of the log have been covered by no signed checkpoint."
        yield Violation(Invariant.AUDIT_LATE, text, 1, None)


def _since(at: datetime | None, now: datetime) -> timedelta | None:
    return max(now - at, timedelta(0)) if at is not None else None
