"""The append call: what it writes, what it refuses, and what becomes of it when the connection breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from alertgraph.core.action import (
    Acknowledge,
    Action,
    AddNote,
    ById,
    ByKey,
    Fire,
    GiveFeedback,
    Judge,
    Reopen,
    Report,
    Resolve,
    Unacknowledge,
    Update,
)
from alertgraph.core.actor import ENGINE
from alertgraph.core.alert import Alert, AlertStatus, AlertVerdict, HoldReason, Link
from alertgraph.core.cursor import LogCursor, log_start
from alertgraph.core.delivery import Attempt, Delivery, DeliveryStatus, Finish, Purpose
from alertgraph.core.errors import CursorExpiredError, DependencyError, NotFoundError, StaleDecisionError
from alertgraph.core.event import GENESIS_LINK, EventKind, next_link, seal
from alertgraph.core.flush import AlertWrite, Flush, Loaded, Reliance, StoredAnswer, TenantConfig, Touch
from alertgraph.core.ids import AlertId, ChannelId, InhibitionRuleId, ResponderId, ScheduleId, TenantId
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.message import ERROR_LENGTH_MAX, RECEIPT_LENGTH_MAX, storable
from alertgraph.core.metrics import DurationKind, bucket_of
from alertgraph.core.rule import ChannelTarget, Ladder, ResponderTarget, ScheduleTarget
from alertgraph.core.severity import Severity
from alertgraph.core.slo import SlaMark
from alertgraph.services.ports import LostCommitError, PoisonError
from alertgraph.storage.database import Database
from alertgraph.storage.deliveries import DELIVERY_SELECT, delivery_of
from alertgraph.storage.log import PostgresLog, append
from tests.factories import (
    ADA,
    HOUR,
    MINUTE,
    RULE,
    SECOND,
    T0,
    WEBHOOK,
    a_channel,
    a_config_event,
    a_draft,
    a_level,
    a_matcher,
    an_event,
    an_idempotency_key,
)
from tests.integration.storage.world import World, a_world, new_flush_id, new_id

pytestmark = pytest.mark.both_servers


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
async def tenant_id(world: World) -> TenantId:
    return await world.tenant()


async def the_alert(world: World, tenant_id: TenantId, key: str = "cpu") -> Alert:
    return (await world.log.load(tenant_id, [key], [], [])).by_key[key]


def fire(key: str = "cpu", **fields: Any) -> Fire:
    return Fire(a_draft(dedup_key=key, **fields))


# ---------------------------------------------------------------------------------------- the head


async def test_numbers_begin_at_one_and_have_no_gaps(world: World, tenant_id: TenantId) -> None:
    first = await world.act(tenant_id, fire("a"), fire("b"))
    second = await world.act(tenant_id, fire("c"))

    assert (first.first_number, second.first_number) == (1, 3)
    events = await world.log.events_after(tenant_id, log_start(1), 100)
    assert [event.number for event in events] == [1, 2, 3]


async def test_link_is_the_one_that_the_core_computes(world: World, tenant_id: TenantId) -> None:
    flush = await world.decided(tenant_id, fire("a"), fire("b"))
    first = await world.log.append(tenant_id, flush)
    flush_2 = await world.decided(tenant_id, fire("c"))
    second = await world.log.append(tenant_id, flush_2)

    link = next_link(GENESIS_LINK, 1, first.recorded_at, flush.id, [sealed.leaf for sealed in flush.events])
    assert first.link == link
    assert second.link == next_link(link, 3, second.recorded_at, flush_2.id, [flush_2.events[0].leaf])
    head = await world.log.head(tenant_id)
    assert head is not None
    assert (head.number, head.link, head.leaf) == (3, second.link, flush_2.events[0].leaf)


async def test_events_are_kept_as_they_were_sealed(world: World, tenant_id: TenantId) -> None:
    flush = await world.decided(tenant_id, fire("a"), fire("b"))
    appended = await world.log.append(tenant_id, flush)

    events = await world.log.events_after(tenant_id, log_start(1), 100)

    assert [(e.event, e.content, e.leaf) for e in events] == [(s.event, s.content, s.leaf) for s in flush.events]
    assert [event.link for event in events] == [None, appended.link]
    assert {event.flush_id for event in events} == {flush.id}
    assert {event.recorded_at for event in events} == {appended.recorded_at}


async def test_the_recorded_instant_never_goes_back(world: World, tenant_id: TenantId) -> None:
    future = datetime(2999, 1, 1, tzinfo=UTC)
    await world.execute("SELECT ensure_partitions($1, $1)", future)
    await world.execute("UPDATE tenant_head SET recorded_at = $1", future)

    appended = await world.act(tenant_id, fire())

    assert appended.recorded_at == future


async def test_a_tenant_that_does_not_exist_is_no_tenant(world: World) -> None:
    flush = Flush(new_flush_id(), Reliance(), (seal(an_event()),))

    with pytest.raises(PoisonError, match="no such tenant"):
        await world.log.append(TenantId(new_id()), flush)
    assert await world.log.config(TenantId(new_id())) is None
    assert await world.log.head(TenantId(new_id())) is None


# -------------------------------------------------------------------------------------- the alerts


async def test_an_alert_comes_back_as_it_was_decided(world: World, tenant_id: TenantId) -> None:
    draft = a_draft(
        dedup_key="cpu",
        description="Zeile 1\nZeile 2 ✓ 'quoted' \\ {braces}",
        labels={"host": "web-1", "ümlaut": 'ä,b;"c"'},
        annotations={"nested": {"deep": [1, 2.5, None, True, "x"]}, "big": 2**53},
        links=(Link("https://example.org/a?b=c", "A runbook"),),
        triggered_at=T0 - HOUR,
        ends_at=T0 + HOUR,
    )
    flush = await world.decided(tenant_id, Fire(draft))
    appended = await world.log.append(tenant_id, flush)

    decided = replace(flush.writes[0].alert, version=appended.first_number)
    assert await the_alert(world, tenant_id) == decided
    loaded = await world.log.load(tenant_id, [], [decided.id], [])
    assert loaded.by_id == {decided.id: decided}
    assert loaded.by_key == {}


async def test_the_version_is_the_number_of_the_last_event_about_it(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire("a"), fire("b"), Acknowledge(ByKey("a")), fire("c"))

    versions = {key: (await the_alert(world, tenant_id, key)).version for key in ("a", "b", "c")}

    assert versions == {"a": 3, "b": 2, "c": 4}


async def test_an_action_changes_every_field_that_was_decided(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire())
    flush = await world.decided(
        tenant_id,
        Update(
            ByKey("cpu"), severity=Severity.CRITICAL, title="New", monitored_service=None, annotations={"a": 1}
        ),
        Acknowledge(ByKey("cpu"), until=T0 + HOUR),
        GiveFeedback(ByKey("cpu"), AlertVerdict.NOISE),
        now=T0 + MINUTE,
    )

    appended = await world.log.append(tenant_id, flush)

    after = await the_alert(world, tenant_id)
    assert after == replace(flush.writes[0].alert, version=appended.first_number + 2)
    assert after.status is AlertStatus.ACKNOWLEDGED
    assert await world.value("SELECT due_at FROM alert_open") == T0 + HOUR


async def test_a_resolved_alert_moves_and_frees_its_key(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire())
    before = await the_alert(world, tenant_id)

    flush = await world.decided(tenant_id, Resolve(ByKey("cpu")), fire(), now=T0 + MINUTE)
    appended = await world.log.append(tenant_id, flush)

    after = await the_alert(world, tenant_id)
    assert after.id != before.id
    closed = (await world.log.load(tenant_id, [], [before.id], [])).by_id[before.id]
    assert closed.status is AlertStatus.RESOLVED
    assert closed.version == appended.first_number
    assert await world.value("SELECT count(*) FROM alert_open") == 1
    assert await world.value("SELECT count(*) FROM alert_closed") == 1


async def test_an_alert_may_begin_and_end_in_one_flush(world: World, tenant_id: TenantId) -> None:
    flush = await world.decided(tenant_id, fire(), Resolve(ByKey("cpu")), fire(), Resolve(ByKey("cpu")), fire())

    await world.log.append(tenant_id, flush)

    assert await world.value("SELECT count(*) FROM alert_open") == 1
    assert await world.value("SELECT count(*) FROM alert_closed") == 2


async def test_a_closed_alert_takes_notes_and_feedback(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire(), Resolve(ByKey("cpu")))
    alert_id = AlertId(await world.value("SELECT id FROM alert_closed"))

    await world.act(tenant_id, GiveFeedback(ById(alert_id), AlertVerdict.ACTIONABLE))
    appended = await world.act(tenant_id, AddNote(ById(alert_id), "c2VhbGVk"))

    closed = (await world.log.load(tenant_id, [], [alert_id], [])).by_id[alert_id]
    assert closed.verdict is AlertVerdict.ACTIONABLE
    assert closed.version == appended.first_number == 4


async def test_an_alert_whose_month_is_gone_is_kept_apart(world: World, tenant_id: TenantId) -> None:
    old = datetime(2001, 2, 3, tzinfo=UTC)
    await world.act(tenant_id, fire("old"), now=old)
    await world.act(tenant_id, fire("new"))

    # One flush with both: only the old one goes to the table for stragglers.
    await world.act(tenant_id, Resolve(ByKey("old")), Resolve(ByKey("new")), fire("newer"))

    assert await world.value("SELECT dedup_key FROM alert_closed_late") == "old"
    assert await world.value("SELECT dedup_key FROM alert_closed") == "new"
    late_id = AlertId(await world.value("SELECT id FROM alert_closed_late"))
    appended = await world.act(tenant_id, GiveFeedback(ById(late_id), AlertVerdict.NOISE))
    late = (await world.log.load(tenant_id, [], [late_id], [])).by_id[late_id]
    assert (late.verdict, late.version) == (AlertVerdict.NOISE, appended.first_number)


async def test_open_alerts_come_newest_first(world: World, tenant_id: TenantId) -> None:
    for minute in range(3):
        await world.act(tenant_id, fire(f"k{minute}"), now=T0 + minute * MINUTE)

    alerts, complete = await world.log.open_alerts(tenant_id, 2)
    assert ([alert.dedup_key for alert in alerts], complete) == (["k2", "k1"], False)
    alerts, complete = await world.log.open_alerts(tenant_id, 3)
    assert (len(alerts), complete) == (3, True)


# ------------------------------------------------------------------------------------- refusals


async def test_a_key_that_was_free_and_is_not_any_more(world: World, tenant_id: TenantId) -> None:
    flush = await world.decided(tenant_id, fire())
    await world.act(tenant_id, fire())

    with pytest.raises(StaleDecisionError, match="stale key"):
        await world.log.append(tenant_id, flush)


async def test_an_alert_that_has_changed(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire())
    flush = await world.decided(tenant_id, Acknowledge(ByKey("cpu")))
    await world.act(tenant_id, Update(ByKey("cpu"), title="Other"))

    with pytest.raises(StaleDecisionError):
        await world.log.append(tenant_id, flush)
    assert (await the_alert(world, tenant_id)).status is AlertStatus.TRIGGERED


async def test_an_alert_that_was_resolved_meanwhile(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire())
    alert = await the_alert(world, tenant_id)
    flush = await world.decided(tenant_id, Acknowledge(ById(alert.id)))
    await world.act(tenant_id, Resolve(ByKey("cpu")))

    with pytest.raises(StaleDecisionError, match="stale alert"):
        await world.log.append(tenant_id, flush)


async def test_a_write_without_a_row_is_refused_even_where_nothing_was_relied_on(
    world: World, tenant_id: TenantId
) -> None:
    await world.act(tenant_id, fire())
    for action in (Acknowledge(ByKey("cpu")), Resolve(ByKey("cpu")), Update(ByKey("cpu"), title="T")):
        flush = replace(await world.decided(tenant_id, action), reliance=Reliance())
        lost = replace(flush, writes=tuple(replace(w, alert=replace(w.alert, id=new_id())) for w in flush.writes))
        with pytest.raises(StaleDecisionError):
            await world.log.append(tenant_id, lost)
    again = replace(await world.decided(tenant_id, fire("other")), reliance=Reliance())
    taken = replace(again, writes=tuple(replace(w, alert=replace(w.alert, dedup_key="cpu")) for w in again.writes))
    with pytest.raises(StaleDecisionError):
        await world.log.append(tenant_id, taken)


async def test_configuration_that_has_changed(world: World, tenant_id: TenantId) -> None:
    flush = await world.decided(tenant_id, fire())
    changed = Flush(new_flush_id(), Reliance(), (seal(a_config_event()),), raises_config_version=True)
    await world.log.append(tenant_id, changed)

    with pytest.raises(StaleDecisionError, match="stale configuration"):
        await world.log.append(tenant_id, flush)
    config = await world.log.config(tenant_id)
    assert config is not None
    assert config.version == 1


async def test_a_refusal_writes_nothing(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire("a"))
    flush = await world.decided(tenant_id, fire("b"), fire("c"), idempotency=an_idempotency_key())
    await world.act(tenant_id, fire("c"))
    before = await snapshot_of_everything(world)

    with pytest.raises(StaleDecisionError):
        await world.log.append(tenant_id, flush)

    assert await snapshot_of_everything(world) == before


async def snapshot_of_everything(world: World) -> list[list[str]]:
    tables = (
        "tenant_head", "alert_open", "alert_closed", "event", "metric_minute", "metric_day", "open_count",
        "idempotency_answer", "metric_minute_duration", "metric_day_duration",
    )  # fmt: skip
    return [sorted(map(repr, await world.rows(f"SELECT * FROM {table}"))) for table in tables]


async def test_one_of_two_appends_on_the_same_key_wins(world: World, tenant_id: TenantId) -> None:
    flushes = [await world.decided(tenant_id, fire()) for _ in range(6)]

    results = await asyncio.gather(
        *(world.log.append(tenant_id, flush) for flush in flushes), return_exceptions=True
    )

    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert sum(isinstance(result, StaleDecisionError) for result in results) == 5
    assert await world.value("SELECT count(*) FROM alert_open") == 1
    assert await world.value("SELECT number FROM tenant_head") == 1


async def test_values_that_no_column_holds_are_poison(world: World, tenant_id: TenantId) -> None:
    flush = await world.decided(tenant_id, fire())
    (write,) = flush.writes
    for alert in (
        replace(write.alert, title="NUL \x00"),
        replace(write.alert, annotations={"NUL": "\x00"}),
        replace(write.alert, escalation_level=1 << 40),
        # Nobody has it, and it would neither climb nor say why not.
        replace(write.alert, next_escalation_at=None),
    ):
        with pytest.raises(PoisonError) as caught:
            await world.log.append(tenant_id, replace(flush, writes=(replace(write, alert=alert),)))
        assert "NUL" not in str(caught.value)
    assert await world.value("SELECT count(*) FROM event") == 0


# ------------------------------------------------------------------------------- climbs and pages


async def deliveries_of(world: World) -> list[Delivery]:
    """Return the open deliveries, in the order in which they were made."""
    rows = await world.rows(f"SELECT {DELIVERY_SELECT} FROM delivery_open ORDER BY created_at, id")
    return [delivery_of(row) for row in rows]


async def paged(world: World, tenant_id: TenantId, key: str = "cpu") -> tuple[Alert, Delivery]:
    """Return an alert on its first level, and the page that waits about it."""
    await world.act(tenant_id, fire(key))
    await world.act(tenant_id, Judge(ById((await the_alert(world, tenant_id, key)).id)))
    alert = await the_alert(world, tenant_id, key)
    (page,) = [delivery for delivery in await deliveries_of(world) if delivery.alert_id == alert.id]
    return alert, page


def ended(delivery: Delivery, status: DeliveryStatus, **fields: Any) -> Report:
    assert delivery.alert_id is not None
    return Report(ById(delivery.alert_id), Finish(delivery.id, delivery.attempt_count, status, T0, **fields))


async def test_what_an_alert_climbs_is_kept_with_it(world: World, tenant_id: TenantId) -> None:
    flush = await world.decided(tenant_id, fire())
    (write,) = flush.writes
    everything = replace(
        write.alert,
        ladder=Ladder(
            RULE.id,
            (
                a_level(timedelta(0), ResponderTarget(ResponderId(new_id()))),
                a_level(90 * SECOND, ScheduleTarget(ScheduleId(new_id())), ChannelTarget(WEBHOOK.id)),
            ),
            repeat_count=3,
            escalate_on_sla=True,
        ),
        escalation_level=2,
        escalation_round=1,
        resumes=True,
        next_escalation_at=T0 + SECOND,
        judge_at=T0 + MINUTE,
        sla_marks=SlaMark.ACKNOWLEDGE_AT_RISK | SlaMark.RESOLVE_AT_RISK,
        assignee=ResponderId(new_id()),
        told=(WEBHOOK.id, ChannelId(new_id())),
    )

    await world.log.append(tenant_id, replace(flush, writes=(replace(write, alert=everything),)))
    assert await the_alert(world, tenant_id) == replace(everything, version=1)

    bare = replace(everything, held=HoldReason.NOBODY_ON_CALL, ladder=None, assignee=None, told=())
    flush = await world.decided(tenant_id, AddNote(ById(bare.id), "sealed"))
    await world.log.append(tenant_id, replace(flush, writes=(AlertWrite(bare, 0),)))
    assert await the_alert(world, tenant_id) == replace(bare, version=2)

    await world.act(tenant_id, Resolve(ById(bare.id)))
    closed = (await world.log.load(tenant_id, [], [bare.id], [])).by_id[bare.id]
    assert (closed.escalation_level, closed.escalation_round, closed.sla_marks) == (2, 1, bare.sla_marks)


async def test_a_page_is_written_with_the_event_that_tells_of_it(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire())
    flush = await world.decided(tenant_id, Judge(ById((await the_alert(world, tenant_id)).id)))

    await world.log.append(tenant_id, flush)

    assert await deliveries_of(world) == list(flush.deliveries)
    assert [event.event.kind for event in flush.events] == [EventKind.ESCALATED]
    assert (await the_alert(world, tenant_id)).told == (WEBHOOK.id,)


async def test_an_acknowledgement_takes_back_the_pages_that_wait(world: World, tenant_id: TenantId) -> None:
    alert, waiting = await paged(world, tenant_id)
    _, sending = await paged(world, tenant_id, "disk")
    _, other = await paged(world, tenant_id, "other")
    await world.execute("UPDATE delivery_open SET status = 2, attempt_count = 1 WHERE id = $1", sending.id)

    await world.act(tenant_id, Acknowledge(ById(alert.id)), Acknowledge(ByKey("disk")))

    found = {delivery.id: delivery for delivery in await deliveries_of(world)}
    assert (found[waiting.id].status, found[waiting.id].wanted) == (DeliveryStatus.SKIPPED, False)
    # What is on its way can't be called back, but is the last try.
    assert (found[sending.id].status, found[sending.id].wanted) == (DeliveryStatus.SENDING, False)
    assert found[other.id] == other
    updates = [delivery.change for delivery in found.values() if delivery.purpose is Purpose.UPDATE]
    assert updates == ["ACKNOWLEDGED", "ACKNOWLEDGED"]


async def test_a_page_that_is_taken_back_in_its_own_flush_is_not_sent(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire())
    alert_id = (await the_alert(world, tenant_id)).id

    await world.act(
        tenant_id,
        Judge(ById(alert_id)),
        Acknowledge(ById(alert_id)),
        Unacknowledge(ById(alert_id)),
        Judge(ById(alert_id)),
    )

    pages = [delivery for delivery in await deliveries_of(world) if delivery.purpose is Purpose.PAGE]
    assert sorted((page.status, page.wanted, page.level) for page in pages) == [
        (DeliveryStatus.PENDING, True, 1),
        (DeliveryStatus.SKIPPED, False, 1),
    ]


@pytest.mark.parametrize("odd", ["no\x00 answer", "half a character: \ud83d", "long " * 100_000])
async def test_whatever_a_provider_said_an_end_is_filed(world: World, tenant_id: TenantId, odd: str) -> None:
    _, page = await paged(world, tenant_id)
    await world.execute("UPDATE delivery_open SET status = 2, attempt_count = 1 WHERE id = $1", page.id)
    await world.execute(
        "INSERT INTO delivery_attempt (tenant_id, delivery_id, number, started_at) VALUES ($1, $2, 1, $3)",
        tenant_id, page.id, T0,
    )  # fmt: skip
    attempt = Attempt(1, T0, SECOND, 500, odd)
    page = replace(page, attempt_count=1)

    await world.act(tenant_id, ended(page, DeliveryStatus.FAILED, error=odd, attempt=attempt, receipt=odd))

    said = [
        await world.value("SELECT last_error FROM delivery WHERE id = $1", page.id),
        await world.value("SELECT error FROM delivery_attempt WHERE delivery_id = $1", page.id),
        (await world.log.events_after(tenant_id, log_start(1), 100))[-1].event.detail["error"],
    ]
    assert set(said) == {storable(odd)}
    assert said[0].startswith(odd[:2])
    assert len(said[0]) <= ERROR_LENGTH_MAX
    assert await world.value("SELECT length(receipt) FROM delivery_receipt") <= RECEIPT_LENGTH_MAX


async def test_an_end_is_filed_with_its_try_and_its_receipt(world: World, tenant_id: TenantId) -> None:
    alert, page = await paged(world, tenant_id)
    await world.execute("UPDATE delivery_open SET status = 2, attempt_count = 1 WHERE id = $1", page.id)
    await world.execute(
        "INSERT INTO delivery_attempt (tenant_id, delivery_id, number, started_at) VALUES ($1, $2, 1, $3)",
        tenant_id, page.id, T0,
    )  # fmt: skip
    attempt = Attempt(1, T0, SECOND, 200, None)

    await world.act(
        tenant_id, ended(replace(page, attempt_count=1), DeliveryStatus.SENT, attempt=attempt, receipt='{"ts":1}')
    )

    assert await deliveries_of(world) == []
    (row,) = await world.rows(f"SELECT {DELIVERY_SELECT} FROM delivery")
    filed = delivery_of(row)
    assert (filed.id, filed.status, filed.sent_at) == (page.id, DeliveryStatus.SENT, T0)
    assert await world.value("SELECT receipt FROM delivery_receipt WHERE alert_id = $1", alert.id) == '{"ts":1}'
    (tried,) = await world.rows("SELECT duration, status_code, error FROM delivery_attempt")
    assert tuple(tried) == (SECOND, 200, None)
    assert (await the_alert(world, tenant_id)).version == alert.version, "a page that arrived changes no alert"


async def test_an_end_that_somebody_else_has_told_is_refused(world: World, tenant_id: TenantId) -> None:
    _, page = await paged(world, tenant_id)
    flush = await world.decided(tenant_id, ended(page, DeliveryStatus.FAILED, error="HTTP 500"))
    await world.execute("UPDATE delivery_open SET attempt_count = 1 WHERE id = $1", page.id)

    with pytest.raises(StaleDecisionError, match="stale delivery"):
        await world.log.append(tenant_id, flush)

    assert len(await deliveries_of(world)) == 1
    again = await world.decided(tenant_id, ended(page, DeliveryStatus.FAILED, error="HTTP 500"))
    assert (again.events, again.finishes) == ((), ())


async def test_the_fallback_is_written_as_the_one_that_failed_is_filed(world: World) -> None:
    mail = a_channel(11, name="mail")
    tenant_id = await world.tenant(items=(RULE, replace(WEBHOOK, fallback_id=mail.id), mail))
    _, page = await paged(world, tenant_id)

    await world.act(tenant_id, ended(page, DeliveryStatus.FAILED, error="HTTP 500"))

    (stand_in,) = await deliveries_of(world)
    (row,) = await world.rows(f"SELECT {DELIVERY_SELECT} FROM delivery")
    filed = delivery_of(row)
    assert (stand_in.channel_id, stand_in.fallback_of) == (mail.id, page.id)
    assert (filed.status, filed.fell_back_to) == (DeliveryStatus.FAILED, stand_in.id)
    assert filed.last_error == "HTTP 500"


async def test_an_alert_covers_others_while_it_is_open(world: World) -> None:
    inhibition = InhibitionRule(
        InhibitionRuleId(new_id()), "sites", (a_matcher("alertname", "SiteDown"),), (a_matcher("job", "api"),)
    )
    tenant_id = await world.tenant(items=(RULE, WEBHOOK, inhibition))

    await world.act(tenant_id, fire("site", labels={"alertname": "SiteDown"}), fire())
    site = await the_alert(world, tenant_id, "site")
    assert [tuple(row) for row in await world.rows("SELECT rule_id, alert_id FROM inhibitor")] == [
        (inhibition.id, site.id)
    ]

    await world.act(tenant_id, Resolve(ById(site.id)))
    assert await world.rows("SELECT FROM inhibitor") == []


# ---------------------------------------------------------------------------------- the short way


async def touched(world: World, tenant_id: TenantId, **fields: Any) -> Flush:
    """Return the third occurrence, which is worth no event."""
    await world.act(tenant_id, fire())
    await world.act(tenant_id, fire(), now=T0 + SECOND)
    flush = await world.decided(tenant_id, fire(**fields), now=T0 + MINUTE)
    assert flush.events == ()
    assert len(flush.touches) == 1
    return flush


async def test_an_unchanged_repeat_touches_no_head(world: World, tenant_id: TenantId) -> None:
    flush = await touched(world, tenant_id)

    appended = await world.log.append(tenant_id, flush)

    assert appended.first_number == 3
    alert = await the_alert(world, tenant_id)
    assert (alert.occurrence_count, alert.last_seen_at, alert.version) == (3, T0 + MINUTE, 2)
    assert appended.occurrence_counts == {alert.id: 3}
    assert await world.value("SELECT number FROM tenant_head") == 2


async def test_a_repeat_needs_no_head_that_somebody_holds(world: World, tenant_id: TenantId) -> None:
    flush = await touched(world, tenant_id)
    async with world.database.transaction(tenant_id) as connection:
        await connection.execute("SELECT FROM tenant_head FOR UPDATE")

        await asyncio.wait_for(world.log.append(tenant_id, flush), timeout=0.9)


async def test_a_repeat_that_reaches_a_power_of_two_is_refused(world: World, tenant_id: TenantId) -> None:
    flush = await touched(world, tenant_id)
    await world.log.append(tenant_id, flush)

    with pytest.raises(StaleDecisionError, match="stale repeat"):
        await world.log.append(tenant_id, flush)


async def test_a_repeat_of_an_alert_that_changed_is_refused(world: World, tenant_id: TenantId) -> None:
    flush = await touched(world, tenant_id)
    await world.act(tenant_id, Acknowledge(ByKey("cpu")))

    with pytest.raises(StaleDecisionError):
        await world.log.append(tenant_id, flush)


async def test_repeats_at_the_same_time_are_all_counted(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, *(fire() for _ in range(17)))
    flush = await world.decided(tenant_id, fire(), now=T0 + MINUTE)

    await asyncio.gather(*(world.log.append(tenant_id, flush) for _ in range(10)))

    assert (await the_alert(world, tenant_id)).occurrence_count == 27


async def test_a_decision_keeps_the_repeats_it_did_not_see(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, *(fire() for _ in range(5)))
    acknowledge = await world.decided(tenant_id, Acknowledge(ByKey("cpu")), now=T0 + SECOND)
    await world.act(tenant_id, fire(ends_at=T0 + HOUR), now=T0 + MINUTE)

    appended = await world.log.append(tenant_id, acknowledge)

    alert = await the_alert(world, tenant_id)
    assert alert.status is AlertStatus.ACKNOWLEDGED
    assert (alert.occurrence_count, alert.last_seen_at, alert.resolve_at) == (6, T0 + MINUTE, T0 + HOUR)
    assert appended.occurrence_counts == {alert.id: 6}
    assert await world.value("SELECT due_at FROM alert_open") == T0 + HOUR


async def test_a_repeat_moves_the_due_time_only_forward_in_the_queue(world: World) -> None:
    tenant_id = await world.tenant(items=())  # no rule, and so nothing to climb at once
    await world.act(tenant_id, *(fire(ends_at=T0 + 30 * MINUTE) for _ in range(5)))

    await world.act(tenant_id, fire(ends_at=T0 + 40 * MINUTE), now=T0 + SECOND)
    assert await world.value("SELECT due_at FROM alert_open") == T0 + 30 * MINUTE
    assert (await the_alert(world, tenant_id)).resolve_at == T0 + 40 * MINUTE

    await world.act(tenant_id, fire(ends_at=T0 + MINUTE), now=T0 + 2 * SECOND)
    assert await world.value("SELECT due_at FROM alert_open") == T0 + MINUTE


async def test_the_count_stops_at_what_its_column_holds(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire())
    await world.execute("UPDATE alert_open SET occurrence_count = 2147483647")
    alert = await the_alert(world, tenant_id)
    touch = Touch(alert.id, alert.version, 5, 1 << 31, T0 + MINUTE, None, False)

    await world.log.append(tenant_id, Flush(new_flush_id(), Reliance(), touches=(touch,)))

    assert (await the_alert(world, tenant_id)).occurrence_count == 2147483647


async def test_crossing_repeats_and_writes_do_not_deadlock(world: World, tenant_id: TenantId) -> None:
    keys = [f"k{n}" for n in range(20)]
    for _ in range(5):
        await world.act(tenant_id, *(fire(key) for key in keys))
    repeats = await world.decided(tenant_id, *(fire(key) for key in keys), now=T0 + SECOND)
    assert len(repeats.touches) == 20

    async def append(flush: Flush) -> None:
        await world.log.append(tenant_id, replace(flush, id=new_flush_id()))

    for title in range(10):
        mixed = await world.decided(
            tenant_id,
            *(Update(ByKey(key), title=f"T{title}") for key in keys[::2]),
            *(fire(key) for key in keys[1::2]),
            now=T0 + MINUTE,
        )
        results = await asyncio.gather(
            append(mixed),
            *(append(replace(repeats, touches=order)) for order in (repeats.touches, repeats.touches[::-1])),
            return_exceptions=True,
        )
        unexpected = [r for r in results if isinstance(r, Exception) and not isinstance(r, StaleDecisionError)]
        assert unexpected == []


# --------------------------------------------------------------------------------- figures, answers


async def test_figures_are_kept_by_minute_day_and_bucket(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire("a"), fire("b", monitored_service=None))
    await world.act(tenant_id, Acknowledge(ByKey("a")), Resolve(ByKey("b")), now=T0 + 90 * SECOND)

    for table in ("metric_minute", "metric_day"):
        rows = await world.rows(
            f"SELECT monitored_service, sum(created), sum(acknowledged), sum(resolved), sum(opened), "
            f"sum(acknowledge_ms), sum(resolve_ms), sum(sla_total), sum(sla_met), sum(self_resolved) "
            f"FROM {table} GROUP BY 1 ORDER BY 1"
        )
        assert [tuple(row) for row in rows] == [
            ("", 1, 0, 1, 0, 0, 90_000, 1, 1, 1),
            ("checkout", 1, 1, 0, 1, 90_000, 0, 0, 0, 0),
        ]
    bucket = bucket_of(90_000)
    for table in ("metric_minute_duration", "metric_day_duration"):
        rows = await world.rows(f"SELECT monitored_service, kind, bucket, count FROM {table} ORDER BY 1")
        assert [tuple(row) for row in rows] == [
            ("", DurationKind.RESOLVE, bucket, 1),
            ("checkout", DurationKind.ACKNOWLEDGE, bucket, 1),
        ]
    rows = await world.rows("SELECT monitored_service, count FROM open_count ORDER BY 1")
    assert [tuple(row) for row in rows] == [("", 0), ("checkout", 1)]
    assert await world.value(
        "SELECT bool_and(m.at = date_trunc('minute', e.recorded_at)) FROM metric_minute m, "
        "(SELECT max(recorded_at) AS recorded_at FROM event) e WHERE m.resolved > 0"
    )


async def test_an_answer_is_found_again_and_kept_once(world: World, tenant_id: TenantId) -> None:
    key = an_idempotency_key()
    flush = await world.decided(tenant_id, fire(), idempotency=key)
    await world.log.append(tenant_id, flush)

    loaded = await world.log.load(tenant_id, [], [], [key, an_idempotency_key("other")])

    assert loaded.answers == {(key.operation, key.subject, key.key): flush.answers[0]}
    with pytest.raises(StaleDecisionError):
        await world.log.append(tenant_id, replace(flush, reliance=Reliance(), events=(), writes=()))


# ------------------------------------------------------------------------------------ the slow way


async def test_decided_under_the_lock_nobody_is_faster(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire())

    async def climb() -> None:
        def decide(config: TenantConfig, loaded: Loaded) -> Flush:
            alert = loaded.by_key["cpu"]
            event = an_event(kind=EventKind.ESCALATED, alert_id=alert.id)
            after = replace(alert, escalation_level=alert.escalation_level + 1)
            reliance = Reliance(config.version, {"cpu": alert.version})
            return Flush(new_flush_id(), reliance, (seal(event),), (AlertWrite(after, 0),))

        await world.log.append_locked(tenant_id, ["cpu"], [], [], decide)

    await asyncio.gather(*(climb() for _ in range(12)))

    alert = await the_alert(world, tenant_id)
    assert (alert.escalation_level, alert.version) == (12, 13)


async def test_what_is_raised_under_the_lock_undoes_everything(world: World, tenant_id: TenantId) -> None:
    def decide(config: TenantConfig, loaded: Loaded) -> Flush:
        raise NotFoundError("changed my mind")

    with pytest.raises(NotFoundError, match="changed my mind"):
        await world.log.append_locked(tenant_id, [], [], [], decide)
    with pytest.raises(NotFoundError, match="no such tenant"):
        await world.log.append_locked(TenantId(new_id()), [], [], [], decide)

    await asyncio.wait_for(world.act(tenant_id, fire()), timeout=1)


@pytest.mark.parametrize("committed", [True, False])
async def test_a_lost_answer_of_the_slow_way_is_looked_up(
    world: World, tenant_id: TenantId, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    flush = await world.decided(tenant_id, fire())
    write = world.database.write

    async def lost(tenant: TenantId, work: Any) -> None:
        async def whole(connection: Any) -> None:
            await work(connection)
            if not committed:
                raise LostCommitError("before the commit")

        await write(tenant, whole)
        raise LostCommitError("after the commit")

    monkeypatch.setattr(world.database, "write", lost)

    appending = world.log.append_locked(tenant_id, ["cpu"], [], [], lambda config, loaded: flush)

    if committed:
        assert (await appending)[0] is flush
    else:
        with pytest.raises(DependencyError):
            await appending
    assert await world.value("SELECT count(*) FROM alert_open") == committed


# ---------------------------------------------------------------------------------- lost and found


async def until_waiting(connection: Any, count: int) -> None:
    """Return once that many backends of this database wait for a lock."""
    for _ in range(90):
        # A transaction looks at the list of backends once, unless it is told to forget it.
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        waiting = await connection.fetchval(
            "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
            "WHERE NOT l.granted AND a.datname = current_database()"
        )
        if waiting >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def test_a_flush_is_found_by_its_id(world: World, tenant_id: TenantId) -> None:
    flush = await world.decided(tenant_id, fire("a"), fire("b"))
    assert await world.log.find_flush(tenant_id, flush) is None
    appended = await world.log.append(tenant_id, flush)
    await world.act(tenant_id, fire("c"))

    assert await world.log.find_flush(tenant_id, flush) == replace(
        appended, occurrence_counts={write.alert.id: 1 for write in flush.writes}
    )


async def test_a_repeat_is_found_by_its_traces(world: World, tenant_id: TenantId) -> None:
    flush = await touched(world, tenant_id)
    assert await world.log.find_flush(tenant_id, flush) is None
    appended = await world.log.append(tenant_id, flush)

    assert await world.log.find_flush(tenant_id, flush) == appended


async def test_answers_alone_are_found(world: World, tenant_id: TenantId) -> None:
    flush = Flush(new_flush_id(), Reliance(), answers=(StoredAnswer(an_idempotency_key(), "{}"),))
    assert await world.log.find_flush(tenant_id, flush) is None
    await world.log.append(tenant_id, flush)

    assert await world.log.find_flush(tenant_id, flush) is not None


async def test_another_flushs_answer_to_the_same_key_is_not_taken_for_ones_own(
    world: World, tenant_id: TenantId
) -> None:
    repeat = await touched(world, tenant_id)
    lost = replace(repeat, answers=(StoredAnswer(an_idempotency_key(), "{}"),))
    said_otherwise = Flush(new_flush_id(), Reliance(), answers=(StoredAnswer(an_idempotency_key(), "[]"),))
    await world.log.append(tenant_id, said_otherwise)

    assert await world.log.find_flush(tenant_id, lost) is None
    assert await world.log.find_flush(tenant_id, replace(said_otherwise, touches=repeat.touches)) is None


async def test_a_search_for_a_lost_flush_waits_for_one_under_way(world: World, tenant_id: TenantId) -> None:
    flush = await world.decided(tenant_id, fire())
    async with world.database.transaction(tenant_id) as connection:
        await connection.execute("SELECT FROM tenant_head FOR UPDATE")
        appending = asyncio.ensure_future(world.log.append(tenant_id, flush))
        await until_waiting(connection, 1)
        finding = asyncio.ensure_future(world.log.find_flush(tenant_id, flush))
        await until_waiting(connection, 2)
        # Somebody else gets the head first.
        barging = asyncio.ensure_future(world.act(tenant_id, fire("other")))

    assert await finding == replace(await appending, occurrence_counts={flush.writes[0].alert.id: 1})
    await barging


async def test_a_cancelled_append_goes_on_to_its_end(world: World, tenant_id: TenantId) -> None:
    flush = await world.decided(tenant_id, fire())
    async with world.database.transaction(tenant_id) as connection:
        await connection.execute("SELECT FROM tenant_head FOR UPDATE")
        appending = asyncio.ensure_future(world.log.append(tenant_id, flush))
        await until_waiting(connection, 1)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending

    assert await world.log.find_flush(tenant_id, flush) is not None


async def test_the_servers_end_of_a_connection_loses_the_commit(
    database_url: str, world: World, tenant_id: TenantId
) -> None:
    flush = await world.decided(tenant_id, fire())
    async with a_world(database_url, application_name="victim") as other:
        async with world.database.transaction(tenant_id) as connection:
            await connection.execute("SELECT FROM tenant_head FOR UPDATE")
            appending = asyncio.ensure_future(other.log.append(tenant_id, flush))
            await until_waiting(connection, 1)
            await end_connections(database_url, "victim")
            with pytest.raises(LostCommitError):
                await appending

        # The pool has mended itself: nothing was written, and it can be tried again.
        assert await other.log.find_flush(tenant_id, flush) is None
        await other.log.append(tenant_id, flush)


async def end_connections(url: str, application_name: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = $1 AND datname = current_database()",
            application_name,
        )
    finally:
        await connection.close()


async def test_no_answer_in_time_loses_the_commit(world: World, tenant_id: TenantId) -> None:
    async def slow(connection: Any) -> None:
        await connection.execute("SELECT pg_sleep(5)")

    with pytest.raises(LostCommitError):
        await world.database.commit(slow, within=timedelta(milliseconds=100))
    assert await world.log.head(tenant_id) is not None


async def test_a_busy_head_is_worth_another_try(world: World, tenant_id: TenantId) -> None:
    flush = await world.decided(tenant_id, fire())
    async with world.database.transaction(tenant_id) as connection:
        await connection.execute("SELECT FROM tenant_head FOR UPDATE")

        with pytest.raises(DependencyError) as caught:
            await world.log.append(tenant_id, flush)

    assert caught.value.retryable


async def test_a_store_that_is_away_says_so(tmp_path: Any) -> None:
    with pytest.raises(DependencyError) as caught:
        await Database.connect(f"postgresql://x@/x?host={tmp_path}")
    assert caught.value.retryable
    with pytest.raises(DependencyError, match="can't be understood") as caught:
        await Database.connect("mysql://x")
    assert not caught.value.retryable


async def test_a_database_that_was_never_migrated_says_so(empty_database_url: str) -> None:
    async def asked() -> None:
        database = await Database.connect(empty_database_url)
        try:
            await PostgresLog(database).head(TenantId(new_id()))
        finally:
            await database.close()

    # Where no other database of the server was migrated there are no roles, either: connecting says it then.
    with pytest.raises(DependencyError) as caught:
        await asked()
    assert not caught.value.retryable


async def test_a_transaction_is_never_handed_on(world: World, tenant_id: TenantId, database_url: str) -> None:
    async with a_world(database_url, pool_size=1) as small:
        for failure in (asyncio.CancelledError(), asyncpg.PostgresError("x"), OSError("x"), ValueError("x")):
            with pytest.raises(BaseException):  # noqa: B017, PT012  (each comes out in its own way)
                async with small.database.transaction(tenant_id) as connection:
                    await connection.execute("SELECT FROM tenant_head FOR UPDATE")
                    raise failure
            async with small.database.connection() as connection:
                assert not connection.is_in_transaction()
                assert await connection.fetchval("SELECT count(*) FROM tenant_head") == 0
            async with small.database.transaction(tenant_id, read_only=True) as connection:
                assert await connection.fetchval("SELECT count(*) FROM tenant_head") == 1


# ------------------------------------------------------------------------------------------ cursors


async def test_reading_on_from_a_cursor(world: World, tenant_id: TenantId) -> None:
    for key in "abc":
        await world.act(tenant_id, fire(key))
    first, second, third = await world.log.events_after(tenant_id, log_start(1), 10)

    behind = LogCursor(1, first.number, first.recorded_at, first.leaf[:4])

    assert await world.log.events_after(tenant_id, behind, 10) == [second, third]
    assert await world.log.events_after(tenant_id, behind, 1) == [second]
    await world.log.check_cursor(tenant_id, behind)
    await world.log.check_cursor(tenant_id, log_start(1))


@pytest.mark.parametrize(
    "changes",
    [{"log_epoch": 2}, {"number": 7}, {"hash_start": b"\x00" * 4}, {"recorded_at": T0}],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_cursor_of_another_log_is_told(world: World, tenant_id: TenantId, changes: Any) -> None:
    await world.act(tenant_id, fire())
    (event,) = await world.log.events_after(tenant_id, log_start(1), 10)
    cursor = LogCursor(1, event.number, event.recorded_at, event.leaf[:4])

    with pytest.raises(CursorExpiredError):
        await world.log.check_cursor(tenant_id, replace(cursor, **changes))


async def test_heads_of_many_tenants_are_read_at_once(world: World, tenant_id: TenantId) -> None:
    other = await world.tenant("other")
    await world.act(tenant_id, fire("a"), fire("b"))

    assert await world.log.heads([tenant_id, other, TenantId(new_id())]) == {tenant_id: 2, other: 0}


async def test_events_of_the_engine_and_of_people_are_kept_apart(world: World, tenant_id: TenantId) -> None:
    for actor in (ENGINE, ADA):
        event = seal(an_event(actor=actor))
        await world.log.append(tenant_id, Flush(new_flush_id(), Reliance(), (event,)))

    rows = await world.rows("SELECT actor_kind FROM event ORDER BY number")
    assert [row[0] for row in rows] == [ENGINE.kind, ADA.kind]


async def test_reopening_makes_another_alert(world: World, tenant_id: TenantId) -> None:
    await world.act(tenant_id, fire(), Resolve(ByKey("cpu")))
    closed_id = AlertId(await world.value("SELECT id FROM alert_closed"))

    await world.act(tenant_id, Reopen(ById(closed_id)), now=T0 + MINUTE)

    assert (await the_alert(world, tenant_id)).id != closed_id


# ------------------------------------------------------------------------------------------- growth


async def test_an_append_reads_no_more_where_alerts_have_become_many(database_url: str) -> None:
    async with a_world(database_url, pool_size=1) as world:
        tenant_id = await world.tenant(items=())

        async def read_by(*actions: Action) -> int:
            """Return how many rows of open alerts an append reads, in the one session there is."""
            flush = await world.decided(tenant_id, *actions)
            count = "SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'alert_open'"
            async with world.database.transaction(tenant_id) as connection:
                before: int = await connection.fetchval(count)
                await append(connection, tenant_id, flush)
                after: int = await connection.fetchval(count)
            return after - before

        async def reads(keys: Sequence[str]) -> list[int]:
            await world.act(tenant_id, *(fire(key) for key in keys for _ in range(4)))
            return [
                await read_by(*(fire(key) for key in keys)),
                await read_by(*(Update(ByKey(key), title="changed") for key in keys)),
                await read_by(*(Resolve(ByKey(key)) for key in keys)),
            ]

        # The plans are made now, and kept.
        few = await reads([f"few {number}" for number in range(20)])
        for start in range(0, 3000, 200):
            await world.act(tenant_id, *(fire(f"{start + number}") for number in range(200)))

        assert await reads([f"more {number}" for number in range(20)]) == few
