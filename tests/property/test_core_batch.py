"""Laws of many requests decided as one, over a log that keeps the rules of the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from alertgraph.core.action import ById, ByKey, target_of
from alertgraph.core.alert import Alert
from alertgraph.core.batch import Batch, Outcome, Request
from alertgraph.core.event import GENESIS_LINK, EventKind, leaf_hash, next_link, parse_canonical
from alertgraph.core.flush import Appended, Flush, TenantConfig
from alertgraph.core.ids import AlertId
from alertgraph.core.inhibition import InhibitionKey
from alertgraph.core.metrics import Counts, DurationKind, Group, Tally, tally
from tests.factories import HOUR, LEVEL_MAX, T0, TENANT, a_flush_id, an_id, an_idempotency_key
from tests.memory_log import MemoryLog, TenantRows
from tests.strategies import KEYS, actions_on, configs, senders_and_people, targets_of
from tests.thoroughness import examples
from tests.virtual import VirtualClock

ACTION_COUNT_MAX = 16
IDS = [an_id(100 + number) for number in range(ACTION_COUNT_MAX)]
actions = actions_on(targets_of(IDS))


@st.composite
def scripts(draw: st.DrawFn) -> list[list[Request]]:
    """Return requests in some flushes; the n-th action of all would make the n-th id, and may name any."""
    sizes = draw(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=4), min_size=1, max_size=3))
    ids = iter(IDS)
    flushes = []
    for requests in sizes:
        flush = []
        for size in requests:
            new_ids = tuple(new_id for new_id, _ in zip(ids, range(size), strict=False))
            flush.append(Request(tuple(draw(actions) for _ in new_ids), new_ids, draw(senders_and_people)))
        flushes.append(flush)
    return flushes


def a_log() -> MemoryLog:
    return MemoryLog(VirtualClock(T0 + HOUR), TENANT)


def a_batch_on(log: MemoryLog, requests: Sequence[Request]) -> Batch:
    """Return a batch on what these requests name, and on every key, so that nothing has to be asked again."""
    targets = [target_of(action) for request in requests for action in request.actions]
    keys = {target.dedup_key for target in targets if isinstance(target, ByKey)} | set(KEYS)
    ids = {target.alert_id for target in targets if isinstance(target, ById)}
    promises = [request.idempotency for request in requests if request.idempotency is not None]
    config = log.tenants[TENANT].config
    return Batch(log.read(TENANT, keys, ids, promises), config, T0 + HOUR, LEVEL_MAX)


def run(
    log: MemoryLog, requests: Sequence[Request], flush_number: int = 1
) -> tuple[list[Outcome], Flush, Appended]:
    """Decide requests as one batch and write it."""
    batch = a_batch_on(log, requests)
    outcomes = [outcome for request in requests for outcome in batch.apply(request)]
    flush = batch.flush(a_flush_id(flush_number))
    return outcomes, flush, log.write(TENANT, flush)


def without_versions(alerts: dict[AlertId, Alert]) -> dict[AlertId, Alert]:
    return {alert_id: replace(alert, version=0) for alert_id, alert in alerts.items()}


def nonempty(inhibits: dict[AlertId, frozenset[InhibitionKey]]) -> dict[AlertId, frozenset[InhibitionKey]]:
    return {alert_id: keys for alert_id, keys in inhibits.items() if keys}


def told(outcome: Outcome) -> tuple[object, ...]:
    alert = replace(outcome.alert, version=0) if outcome.alert is not None else None
    return alert, outcome.alert_id, outcome.created, outcome.changed, outcome.problem


@given(scripts(), configs)
def test_a_batch_is_its_requests_one_after_the_other(script: list[list[Request]], config: TenantConfig) -> None:
    together, apart = a_log(), a_log()
    for log in (together, apart):
        log.change_config(TENANT, config)
    for requests in script:
        at_once, _, _ = run(together, requests)
        in_turn = [outcome for request in requests for outcome in run(apart, [request])[0]]
        assert [told(outcome) for outcome in at_once] == [told(outcome) for outcome in in_turn]

    one, other = together.tenants[TENANT], apart.tenants[TENANT]
    assert [stored.content for stored in one.events] == [stored.content for stored in other.events]
    assert without_versions(one.open) == without_versions(other.open)
    assert without_versions(one.closed) == without_versions(other.closed)
    assert {i: a.version for i, a in one.open.items()} == {i: a.version for i, a in other.open.items()}
    assert nonzero(one.tally) == nonzero(other.tally)
    # Also what is sent, and what is not any more since somebody reacted.
    assert one.deliveries == other.deliveries
    assert nonempty(one.inhibits) == nonempty(other.inhibits)


@given(scripts())
def test_a_flush_relies_on_every_alert_and_key_that_it_builds_on(script: list[list[Request]]) -> None:
    log = a_log()
    for requests in script:
        rows = log.tenants[TENANT]
        before = {**rows.open, **rows.closed}
        key_of = {alert.dedup_key: alert for alert in rows.open.values()}
        _, flush, _ = run(log, requests)

        relied = {alert.id for key, alert in key_of.items() if flush.reliance.keys.get(key) == alert.version}
        relied |= {i for i, version in flush.reliance.alerts.items() if before[i].version == version}
        for write in flush.writes:
            if write.is_new:
                present = key_of.get(write.alert.dedup_key)
                known = flush.reliance.keys.get(write.alert.dedup_key, "unknown")
                assert known is None if present is None else present.id in relied
            else:
                assert write.alert.id in relied
                assert write.was_closed is not before[write.alert.id].is_open
        for touch in flush.touches:
            assert touch.alert_id in relied
            assert touch.version == before[touch.alert_id].version
        assert flush.reliance.config_version == (rows.config.version if flush.events else None)


@given(scripts())
def test_what_another_process_changed_meanwhile_refuses_the_flush(script: list[list[Request]]) -> None:
    log = a_log()
    for requests in script[:-1]:
        run(log, requests)
    rows = log.tenants[TENANT]
    batch = a_batch_on(log, script[-1])
    for request in script[-1]:
        batch.apply(request)
    flush = batch.flush(a_flush_id())
    for alert_id in {w.alert.id for w in flush.writes if not w.is_new} | {t.alert_id for t in flush.touches}:
        where = rows.open if alert_id in rows.open else rows.closed
        kept = where[alert_id]
        where[alert_id] = replace(kept, version=kept.version + 100)

        assert log.refuses(TENANT, flush)
        where[alert_id] = kept


@given(scripts())
def test_a_touch_never_reaches_a_power_of_two_and_never_changes_more_than_the_last_word(
    script: list[list[Request]],
) -> None:
    log = a_log()
    for requests in script:
        before = dict(log.tenants[TENANT].open)
        _, flush, appended = run(log, requests)
        after = log.tenants[TENANT].open

        for touch in flush.touches:
            was, is_now = before[touch.alert_id], after[touch.alert_id]
            assert was.occurrence_count.bit_length() == is_now.occurrence_count.bit_length()
            assert is_now.occurrence_count == was.occurrence_count + touch.count
            assert appended.occurrence_counts[was.id] == is_now.occurrence_count
            assert is_now == replace(
                was,
                occurrence_count=is_now.occurrence_count,
                last_seen_at=touch.last_seen_at,
                resolve_at=touch.resolve_at,
                resolve_by_timeout=touch.resolve_by_timeout,
            )
        written = [write.alert.id for write in flush.writes]
        assert len(written) == len(set(written))
        assert not set(written) & {touch.alert_id for touch in flush.touches}


@given(scripts())
def test_the_log_is_numbered_linked_and_the_last_event_gives_an_alert_its_version(
    script: list[list[Request]],
) -> None:
    log = a_log()
    for number, requests in enumerate(script, 1):
        run(log, requests, number)
    rows = log.tenants[TENANT]

    assert [stored.number for stored in rows.events] == list(range(1, rows.number + 1))
    assert recomputed_link(rows) == rows.link
    last = {stored.event.alert_id: stored.number for stored in rows.events}
    assert {alert.id: alert.version for alert in (*rows.open.values(), *rows.closed.values())} == last
    for stored in rows.events:
        assert leaf_hash(stored.content) == stored.leaf
        assert parse_canonical(stored.content) == stored.event


def recomputed_link(rows: TenantRows) -> bytes:
    """Return the link that the log's events come to."""
    link, leaves, first = GENESIS_LINK, [], 1
    for stored in rows.events:
        leaves.append(stored.leaf)
        if stored.link is not None:
            link = next_link(link, first, stored.recorded_at, stored.flush_id, leaves)
            assert stored.link == link
            leaves, first = [], stored.number + 1
    assert leaves == []
    return link


@given(scripts())
def test_the_tally_is_what_the_alerts_come_to(script: list[list[Request]]) -> None:
    log = a_log()
    for requests in script:
        run(log, requests)
    rows = log.tenants[TENANT]
    events = [stored.event for stored in rows.events]
    closed = list(rows.closed.values())

    opened = Counter(Group(a.severity, a.monitored_service or "") for a in rows.open.values())
    assert {g: c.opened for g, c in rows.tally.counts.items() if c.opened} == opened
    total = Counts()
    for counts in rows.tally.counts.values():
        total.add(counts)
    assert total.created == len(rows.open) + len(closed)
    assert total.resolved == len(closed) == total.sla_total
    every = [*rows.open.values(), *closed]
    assert total.acknowledged == sum(a.first_acknowledged_at is not None for a in every)
    assert total.resolve_ms == sum(milliseconds(a.resolved_at - a.triggered_at) for a in closed if a.resolved_at)
    assert total.escalated == sum(event.kind is EventKind.ESCALATED for event in events)
    kept = sum(
        a.resolved_at is not None
        and a.resolved_at <= a.sla.resolve_by
        and min(a.resolved_at, a.first_acknowledged_at or a.resolved_at) <= a.sla.acknowledge_by
        for a in closed
    )
    assert total.sla_met == kept
    by_kind = Counter[DurationKind]()
    for (_, kind, _), count in rows.tally.durations.items():
        by_kind[kind] += count
    assert by_kind == Counter({DurationKind.ACKNOWLEDGE: total.acknowledged, DurationKind.RESOLVE: total.resolved})
    assert nonzero(tally(events)) == nonzero(rows.tally)


def nonzero(result: Tally) -> tuple[object, object]:
    return {group: counts for group, counts in result.counts.items() if counts != Counts()}, result.durations


def milliseconds(length: timedelta) -> int:
    return length // timedelta(milliseconds=1)


@given(scripts(), st.integers(0, ACTION_COUNT_MAX), st.booleans())
def test_a_request_sent_again_under_its_key_gets_the_first_answer_and_does_nothing(
    script: list[list[Request]], at: int, in_one_batch: bool
) -> None:
    log = a_log()
    requests = [request for flush in script for request in flush]
    index = at % len(requests)
    requests[index] = replace(requests[index], idempotency=an_idempotency_key())
    firsts: list[Outcome] = []
    for number, request in enumerate(requests):
        twice = [request, request] if number == index and in_one_batch else [request]
        outcomes, _, _ = run(log, twice)
        if number == index:
            firsts = outcomes[: len(request.actions)]
            if in_one_batch:
                assert_same_answer(firsts, outcomes[len(request.actions) :])
    count = log.tenants[TENANT].number

    again, flush, _ = run(log, [requests[index]])

    if all(outcome.problem for outcome in firsts):
        return
    assert_same_answer(firsts, again)
    assert (flush.events, flush.answers, log.tenants[TENANT].number) == ((), (), count)


def assert_same_answer(firsts: Sequence[Outcome], again: Sequence[Outcome]) -> None:
    if all(outcome.problem for outcome in firsts):
        return
    shown = [[(o.alert_id, o.created, o.changed, o.problem) for o in some] for some in (firsts, again)]
    assert shown[0] == shown[1]


@settings(max_examples=examples(20))
@given(scripts())
def test_the_same_batch_is_the_same_flush(script: list[list[Request]]) -> None:
    log = a_log()
    for requests in script:
        first, second = (a_batch_on(log, requests) for _ in range(2))
        for batch in (first, second):
            for request in requests:
                batch.apply(request)

        assert first.flush(a_flush_id()) == second.flush(a_flush_id()) == first.flush(a_flush_id())
        log.write(TENANT, first.flush(a_flush_id()))
