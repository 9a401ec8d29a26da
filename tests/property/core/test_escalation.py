"""Laws of escalation, whatever is set up and whatever happens to an alert."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from hypothesis import event as seen
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.action import (
    Acknowledge,
    Action,
    Assign,
    ById,
    Escalate,
    Fire,
    Judge,
    Report,
    Resolve,
    Unacknowledge,
    Update,
)
from alertgraph.core.actor import ENGINE
from alertgraph.core.alert import Alert, AlertStatus, HoldReason
from alertgraph.core.batch import Batch, Request
from alertgraph.core.catalog import Catalog
from alertgraph.core.delivery import Delivery, DeliveryStatus, Finish, Purpose
from alertgraph.core.escalation import notices
from alertgraph.core.event import EventKind
from alertgraph.core.flush import Flush, TenantConfig
from alertgraph.core.ids import DeliveryId
from alertgraph.core.rule import ChannelTarget, Ladder, Level
from alertgraph.core.severity import Severity
from tests.factories import (
    ADA,
    LEVEL_MAX,
    T0,
    TENANT,
    a_catalog,
    a_channel,
    a_config,
    a_flush_id,
    a_rule,
    an_alert,
    an_id,
    the_same,
)
from tests.memory_log import MemoryLog
from tests.strategies import KEYS, RESPONDER_IDS, configs, drafts
from tests.virtual import VirtualClock

ALERT = ById(an_id(1))


@dataclass(frozen=True)
class ReportOf:
    """How the n-th of the deliveries that are open now ended."""

    index: int
    status: DeliveryStatus


@dataclass(frozen=True)
class Claim:
    """The n-th of the deliveries that are open now is on its way."""

    index: int


@dataclass(frozen=True)
class SetUp:
    """Something else is set up from now on."""

    config: TenantConfig


Step: TypeAlias = Action | ReportOf | Claim | SetUp

indexes = st.integers(0, 5)
actions: st.SearchStrategy[Action] = st.one_of(
    st.builds(Judge, st.just(ALERT), st.sampled_from([(), (), (), (an_id(77),)])),
    st.builds(Judge, st.just(ALERT)),
    st.builds(
        Acknowledge, st.just(ALERT), st.none() | st.integers(300, 600).map(lambda n: T0 + timedelta(minutes=n))
    ),
    st.builds(Unacknowledge, st.just(ALERT)),
    st.builds(Escalate, st.just(ALERT), st.none() | st.integers(1, 3)),
    st.builds(Assign, st.just(ALERT), st.sampled_from([None, *RESPONDER_IDS])),
    st.builds(Update, st.just(ALERT), st.sampled_from(Severity)),
    st.builds(Resolve, st.just(ALERT)),
)
reports = st.builds(
    ReportOf, indexes, st.sampled_from([DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.SKIPPED])
)
claims = st.builds(Claim, indexes)
steps: st.SearchStrategy[Step] = st.one_of(actions, actions, actions, reports, claims, configs.map(SetUp))
pauses = st.sampled_from([0, 0, 1, 5, 45, 60])


@dataclass(frozen=True)
class Turn:
    """One decision: what it was about, and what it came to."""

    action: Action
    now: datetime
    catalog: Catalog
    before: Alert
    after: Alert
    flush: Flush
    deliveries_before: dict[object, Delivery]


class Play:
    """An alert that has fired, on a log that keeps the rules of the store."""

    def __init__(self, config: TenantConfig, fire: Fire) -> None:
        self.clock = VirtualClock(T0)
        self.log = MemoryLog(self.clock, TENANT)
        self.log.change_config(TENANT, config)
        self.rows = self.log.tenants[TENANT]
        self._dice = 1
        self.act(fire)

    @property
    def alert(self) -> Alert:
        """The alert as it is now."""
        found = self.rows.by_id(ALERT.alert_id)
        assert found is not None
        return found

    @property
    def config(self) -> TenantConfig:
        """What is set up now."""
        return self.rows.config

    def open_delivery(self, index: int) -> Delivery | None:
        """Return one of those that are open, in the order of their ids."""
        found = sorted(self.rows.deliveries.values(), key=lambda delivery: delivery.id)
        return found[index % len(found)] if found else None

    def action_of(self, step: Step) -> Action | None:
        """Return what a step comes to now; what is no action is done here."""
        match step:
            case SetUp():
                self.log.change_config(TENANT, step.config)
                return None
            case Claim():
                delivery = self.open_delivery(step.index)
                if delivery is not None and delivery.status is DeliveryStatus.PENDING:
                    self.rows.deliveries[delivery.id] = replace(
                        delivery, status=DeliveryStatus.SENDING, attempt_count=delivery.attempt_count + 1
                    )
                return None
            case ReportOf():
                delivery = self.open_delivery(step.index)
                if delivery is None:
                    return None
                error = "HTTP 500" if step.status is DeliveryStatus.FAILED else None
                return Report(
                    ALERT, Finish(delivery.id, delivery.attempt_count, step.status, self.clock.now(), error)
                )
            case _:
                return step

    def act(self, *decided: Action) -> Flush:
        """Decide actions as one flush, and write it."""
        reported = [action.finish.delivery_id for action in decided if isinstance(action, Report)]
        loaded = self.log.read(TENANT, KEYS, [ALERT.alert_id], [], reported)
        batch = Batch(loaded, self.config, self.clock.now(), LEVEL_MAX)
        for action in decided:
            actor = ENGINE if isinstance(action, Judge | Report) else ADA
            batch.apply(Request((action,), (an_id(self._dice),), actor))
            self._dice += 1
        flush = batch.flush(a_flush_id(self._dice))
        self.log.write(TENANT, flush)
        return flush

    def follow(self, script: Sequence[tuple[int, Step]]) -> Iterator[Turn]:
        """Yield the decisions that a script comes to, each once it is written and before the next is made."""
        for minutes, step in script:
            self.clock.advance(timedelta(minutes=minutes))
            action = self.action_of(step)
            if action is None:
                continue
            before, deliveries = self.alert, dict(self.rows.deliveries)
            flush = self.act(action)
            yield Turn(action, self.clock.now(), self.config.catalog, before, self.alert, flush, deliveries)


def played(config: TenantConfig, fire: Fire, script: Sequence[tuple[int, Step]]) -> list[Turn]:
    """Return the decisions that a script comes to."""
    return list(Play(config, fire).follow(script))


fires = drafts.map(lambda draft: Fire(replace(draft, triggered_at=None, ends_at=None)))
scripts = st.lists(st.tuples(pauses, steps), min_size=1, max_size=12)
a_play = (configs, fires, scripts)


@given(*a_play)
def test_what_nobody_has_climbs_or_says_why_not(
    config: TenantConfig, fire: Fire, script: list[tuple[int, Step]]
) -> None:
    for turn in played(config, fire, script):
        alert = turn.after
        if alert.status is AlertStatus.TRIGGERED:
            assert (alert.next_escalation_at is None) == (alert.held is not None)
            assert alert.due_at is not None or alert.held is not None
            # A hold that nobody lifts is looked at again.
            if alert.held in (HoldReason.SILENCED, HoldReason.INHIBITED, HoldReason.NOBODY_ON_CALL):
                assert alert.judge_at is not None
        reasons = [one.event.hold_reason for one in turn.flush.events if one.event.hold_reason is not None]
        if alert.held not in (turn.before.held, None, HoldReason.ACKNOWLEDGED):
            assert reasons[-1] is alert.held, "every hold is told with its reason"


def rungs_between(ladder: Ladder, before: Alert, after: Alert) -> list[tuple[int, int]]:
    """Return the rungs behind the one that an alert had and before the one that it has now, as round and level."""
    count = len(ladder.levels)
    start = before.escalation_round * count + before.escalation_level + (0 if before.resumes else 1)
    stop = after.escalation_round * count + after.escalation_level
    return [divmod(place - 1, count) for place in range(max(start, 1), stop)]


@given(*a_play)
def test_a_decision_climbs_one_rung_and_passes_over_those_alone_that_tell_nobody(
    config: TenantConfig, fire: Fire, script: list[tuple[int, Step]]
) -> None:
    for turn in played(config, fire, script):
        climbs = [one.event for one in turn.flush.events if one.event.kind is EventKind.ESCALATED]
        assert len(climbs) <= 1
        pages = [one for one in turn.flush.deliveries if one.purpose is Purpose.PAGE]
        if isinstance(turn.action, Report):
            assert not climbs
            continue
        assert {page.level for page in pages} <= {turn.after.escalation_level}
        if not (climbs and isinstance(turn.action, Judge)):
            continue
        assert pages, "a level that the engine takes tells somebody"
        assert turn.after.status is AlertStatus.TRIGGERED
        assert turn.after.ladder is not None
        seen(f"level {turn.after.escalation_level}")
        assert turn.after.next_escalation_at == turn.now + turn.after.ladder.levels[pages[0].level - 1].delay
        if turn.before.ladder == turn.after.ladder:
            for _, level in rungs_between(turn.after.ladder, turn.before, turn.after):
                assert notices(turn.after.ladder.levels[level], turn.catalog, turn.now) == ()


@given(*a_play)
def test_nobody_is_paged_for_what_somebody_has_or_what_is_over(
    config: TenantConfig, fire: Fire, script: list[tuple[int, Step]]
) -> None:
    for turn in played(config, fire, script):
        if turn.after.status is AlertStatus.TRIGGERED:
            continue
        for delivery in turn.flush.deliveries:
            if isinstance(turn.action, Escalate):
                assert turn.after.is_open, "who escalates what they have, calls somebody in"
            elif isinstance(turn.action, Assign):
                assert delivery.purpose in (Purpose.ASSIGNMENT, Purpose.UPDATE)
            elif isinstance(turn.action, Report):
                failed = turn.deliveries_before[turn.action.finish.delivery_id]
                assert failed.wanted
                assert turn.after.is_open
            else:
                assert delivery.purpose is Purpose.UPDATE


@given(*a_play)
def test_after_a_reaction_no_page_is_waiting(
    config: TenantConfig, fire: Fire, script: list[tuple[int, Step]]
) -> None:
    play = Play(config, fire)
    for turn in play.follow(script):
        if turn.flush.events and isinstance(turn.action, Acknowledge | Resolve) and turn.after.held is not None:
            pages = [one for one in play.rows.deliveries.values() if one.purpose is Purpose.PAGE]
            assert not any(page.wanted for page in pages)
            assert {page.status for page in pages} <= {DeliveryStatus.SKIPPED, DeliveryStatus.SENDING}


@given(*a_play)
def test_what_is_sent_goes_over_channels_that_are_there_and_in_use(
    config: TenantConfig, fire: Fire, script: list[tuple[int, Step]]
) -> None:
    ids = set()
    for turn in played(config, fire, script):
        for delivery in turn.flush.deliveries:
            channel = turn.catalog.channels[delivery.channel_id]
            assert channel.enabled
            assert delivery.channel_name == channel.name
            assert delivery.created_at == turn.now <= delivery.due_at
            assert delivery.alert_id == turn.after.id
            assert delivery.id not in ids
            ids.add(delivery.id)
            if delivery.address is not None:
                assert delivery.responder_id is not None
                methods = turn.catalog.responders[delivery.responder_id].contact_methods
                assert (delivery.channel_id, delivery.address) in [(m.channel_id, m.address) for m in methods]
            if turn.after.is_open and delivery.purpose is not Purpose.UPDATE:
                assert delivery.channel_id in turn.after.told, "what is told is kept up to date"
        kinds = [(one.purpose, one.channel_id, one.address) for one in turn.flush.deliveries]
        assert len(kinds) == len(set(kinds)), "nobody is told twice over in the same way"


@given(*a_play)
def test_a_judgement_at_the_same_instant_comes_to_nothing_more(
    config: TenantConfig, fire: Fire, script: list[tuple[int, Step]]
) -> None:
    play = Play(config, fire)
    for turn in play.follow(script):
        if not isinstance(turn.action, Judge) or not turn.after.is_open:
            continue
        # What was given back just now, or a level that lasts no time at all, comes next at once.
        if turn.after.next_escalation_at == turn.now:
            continue
        flush = play.act(turn.action)
        assert (flush.events, flush.deliveries) == ((), ())


@given(*a_play)
def test_a_report_ends_its_delivery_once_and_falls_back_along_the_chain(
    config: TenantConfig, fire: Fire, script: list[tuple[int, Step]]
) -> None:
    for turn in played(config, fire, script):
        if not isinstance(turn.action, Report):
            continue
        (finish,) = turn.flush.finishes
        delivery = turn.deliveries_before[finish.delivery_id]
        assert finish.delivery_id == turn.action.finish.delivery_id
        kinds = [one.event.kind for one in turn.flush.events]
        if finish.status is not DeliveryStatus.FAILED:
            assert turn.flush.deliveries == ()
            assert len(kinds) == (0 if delivery.purpose is Purpose.UPDATE else 1)
            continue
        stand_ins = [one for one in turn.flush.deliveries if one.fallback_of == delivery.id]
        assert [one.id for one in stand_ins] == ([finish.fell_back_to] if finish.fell_back_to else [])
        assert kinds == [EventKind.DELIVERY_FELL_BACK if stand_ins else EventKind.DELIVERY_FAILED]
        for stand_in in stand_ins:
            assert (stand_in.purpose, stand_in.level, stand_in.responder_id, stand_in.address) == (
                delivery.purpose,
                delivery.level,
                delivery.responder_id,
                None,
            )


@given(configs, fires, scripts, st.lists(st.one_of(actions, actions, reports), min_size=2, max_size=5))
def test_what_one_flush_sends_is_what_its_requests_would_send_one_by_one(
    config: TenantConfig, fire: Fire, script: list[tuple[int, Step]], at_once: list[Action | ReportOf]
) -> None:
    together, apart = Play(config, fire), Play(config, fire)
    assert len(list(together.follow(script))) == len(list(apart.follow(script)))
    found = [action for step in at_once if (action := together.action_of(step)) is not None]
    together.act(*found)
    for action in found:
        apart.act(action)

    assert replace(together.alert, version=0) == replace(apart.alert, version=0)
    assert [one.content for one in together.rows.events] == [one.content for one in apart.rows.events]
    assert together.rows.deliveries == apart.rows.deliveries
    # What has ended in the same flush is filed as what it was, wanted or not.
    assert ends(together.rows.finished) == ends(apart.rows.finished)


def ends(finished: dict[DeliveryId, Delivery]) -> dict[DeliveryId, tuple[object, ...]]:
    return {id_: (one.status, one.last_error, one.fell_back_to) for id_, one in finished.items()}


# ------------------------------------------------------------------------------- an alert left alone

CHANNELS = {
    channel.id: channel for channel in (a_channel(11), a_channel(12), a_channel(13, enabled=False), a_channel(14))
}
levels = st.builds(
    Level,
    st.sampled_from([1, 5, 30]).map(lambda minutes: timedelta(minutes=minutes)),
    # The third is not in use and has no fallback.
    st.lists(st.sampled_from(list(CHANNELS)).map(ChannelTarget), min_size=1, max_size=2).map(tuple),
)
ladder_levels = st.lists(levels, min_size=1, max_size=4).map(tuple)


def climbed(start: datetime, ladder_levels: Sequence[Level], rounds: int) -> tuple[list[datetime], datetime, bool]:
    """Return when each rung that tells anybody is reached, when the last is over, and if some remain untold."""
    reached, now, last = [], start, (0, 0)
    for number in range(rounds):
        for index, level in enumerate(ladder_levels):
            if any(CHANNELS[target.channel_id].enabled for target in level.targets):  # type: ignore[union-attr]
                reached.append(now)
                now += level.delay
                last = (number, index)
    return reached, now, not reached or last != (rounds - 1, len(ladder_levels) - 1)


@given(ladder_levels, st.integers(0, 2), st.none() | ladder_levels)
def test_an_alert_left_alone_climbs_every_rung_at_its_minute_and_then_says_that_it_is_over(
    first: tuple[Level, ...], repeat_count: int, default: tuple[Level, ...] | None
) -> None:
    rule = a_rule(*first, repeat_count=repeat_count)
    rules = [rule]
    net = None
    if default is not None:
        net = a_rule(*default, id=type(rule.id)(int=21), name="net", position=2)
        rules.append(net)
    config = a_config(
        catalog=a_catalog(rules=tuple(rules), channels=CHANNELS), default_rule_id=net.id if net else None
    )
    play = Play(config, Fire(the_same(an_alert())))

    told = []
    for _ in range(200):
        alert = play.alert
        due_at = alert.due_at
        if due_at is None or (alert.held is not None and due_at > T0 + timedelta(days=40)):
            break
        play.clock.advance(due_at - play.clock.now())
        flush = play.act(Judge(ALERT))
        told += [play.clock.now() for one in flush.events if one.event.kind is EventKind.ESCALATED]
        if play.alert.held is HoldReason.NOBODY_ON_CALL:
            break

    expected, over_at, leaves_rungs = climbed(T0, first, repeat_count + 1)
    reason = HoldReason.NOBODY_ON_CALL if leaves_rungs else HoldReason.LADDER_EXHAUSTED
    if leaves_rungs and default is not None:
        more, _, leaves_rungs = climbed(over_at, default, 1)
        if more:
            expected += more
            reason = HoldReason.NOBODY_ON_CALL if leaves_rungs else HoldReason.LADDER_EXHAUSTED
    assert told == expected
    assert play.alert.held is reason
