"""What senders get for what they send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from alertgraph.core.action import AddNote, ById, Clear, Fire
from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.batch import Outcome
from alertgraph.core.errors import AccessDeniedError, ErrorCode
from alertgraph.core.event import EventKind
from alertgraph.core.ids import TenantId
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.services.alerts import AlertService, Wanted
from alertgraph.services.lanes import Lanes
from alertgraph.services.open_alerts import OpenAlerts
from alertgraph.services.ports import Snapshot
from tests.factories import DAY, T0, TENANT, a_draft, a_matcher, an_id
from tests.memory_log import MemoryLog
from tests.unit.services.test_lanes import Watcher
from tests.virtual import SeededDice, VirtualClock


class PlainVault:
    """Writes the tenant and the purpose beside the text, so that a mix-up shows."""

    async def seal(self, tenant_id: TenantId, purpose: str, plaintext: str) -> str:
        return f"{tenant_id}|{purpose}|{plaintext}"

    async def open(self, tenant_id: TenantId, purpose: str, sealed: str) -> str | None:
        return sealed.removeprefix(f"{tenant_id}|{purpose}|")


class NoSnapshots:
    """Of no use to senders."""

    @asynccontextmanager
    async def snapshot(self, tenant_id: TenantId) -> AsyncIterator[Snapshot]:
        raise AssertionError("nothing reads a snapshot here")
        yield


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(VirtualClock(), TENANT)


@pytest.fixture
def service(log: MemoryLog) -> AlertService:
    clock, dice = VirtualClock(), SeededDice()
    lanes = Lanes(log, OpenAlerts(), clock, dice, Watcher(), lambda _: None, lambda _: None)
    return AlertService(lanes, log, NoSnapshots(), PlainVault(), clock, dice)


def a_principal(role: Role = Role.INGEST, **scope: str) -> Principal:
    tenant = Tenant(TENANT, "acme", "Acme", Tier.STANDARD)
    actor = Actor(ActorKind.API_KEY, "prometheus key", "key:1")
    return Principal(tenant, role, "key:1", actor, tuple(a_matcher(*item) for item in scope.items()))


def code(outcome: Outcome) -> ErrorCode:
    assert outcome.problem is not None
    return outcome.problem.code


async def test_each_is_done_or_refused_by_itself_in_order(service: AlertService, log: MemoryLog) -> None:
    drafts = [a_draft(dedup_key=f"k{n}", title="" if n == 1 else "Title") for n in range(3)]

    outcomes = await service.send(a_principal(), [Wanted(Fire(draft)) for draft in drafts])

    assert [outcome.created for outcome in outcomes] == [True, False, True]
    assert code(outcomes[1]) is ErrorCode.INVALID_INPUT
    assert log.calls["append"] == 1


async def test_a_sender_is_named_as_a_sender(service: AlertService, log: MemoryLog) -> None:
    await service.send(a_principal(), [Wanted(Fire(a_draft()))])

    assert log.tenants[TENANT].events[0].event.actor == Actor(ActorKind.SENDER, "prometheus key", "key:1")


async def test_each_idempotency_key_is_a_request_of_its_own(service: AlertService, log: MemoryLog) -> None:
    fires = [Fire(a_draft(dedup_key=key)) for key in ("a", "b", "a", "b", "c")]
    keys = ["1", "2", "1", "1", None]

    outcomes = await service.send(a_principal(), [Wanted(f, k) for f, k in zip(fires, keys, strict=True)])

    assert [o.created for o in outcomes] == [True, True, True, False, True]
    assert code(outcomes[3]) is ErrorCode.IDEMPOTENCY_KEY_REUSED
    # The first answer is given again, with the alert of the first time.
    assert outcomes[2].alert == log.tenants[TENANT].by_key("a")
    assert [stored.event.kind for stored in log.tenants[TENANT].events] == [EventKind.TRIGGERED] * 3


@pytest.mark.parametrize(
    "draft",
    [
        a_draft(annotations={"a": 1 << 70}),
        a_draft(labels={"a": "\ud800"}),
        a_draft(labels={"a": 1 << 70}),
        a_draft(annotations={"a": object()}),
    ],
    ids=["large number", "surrogate", "large label", "object"],
)
async def test_what_no_json_can_hold_is_refused_with_an_idempotency_key_too(
    service: AlertService, draft: object
) -> None:
    (outcome,) = await service.send(a_principal(), [Wanted(Fire(draft), "once")])  # type: ignore[arg-type]

    assert code(outcome) is ErrorCode.INVALID_INPUT


@pytest.mark.parametrize("key", ["", "k" * 256, "a\nb", "\x00", "\ud800"])
async def test_an_idempotency_key_is_printable_text(service: AlertService, key: str) -> None:
    (outcome,) = await service.send(a_principal(), [Wanted(Fire(a_draft()), key)])

    assert outcome.problem is not None
    assert outcome.problem.path == ("idempotencyKey",)


async def test_more_than_a_flush_holds_is_sent_in_several(service: AlertService, log: MemoryLog) -> None:
    outcomes = await service.send(a_principal(), [Wanted(Fire(a_draft(dedup_key=f"k{n}"))) for n in range(2500)])

    assert all(outcome.created for outcome in outcomes)
    assert log.calls["append"] == 3
    assert log.tenants[TENANT].number == 2500


async def test_the_end_of_nothing_is_no_error(service: AlertService) -> None:
    (outcome,) = await service.send(a_principal(), [Wanted(Clear("k", T0 - DAY))])

    assert outcome == Outcome(None)


async def test_a_key_of_some_alerts_sends_only_those(service: AlertService) -> None:
    outcomes = await service.send(
        a_principal(job="api"),
        [Wanted(Fire(a_draft(labels={"job": "api"}))), Wanted(Fire(a_draft(labels={"job": "db"})))],
    )

    assert outcomes[0].created
    assert code(outcomes[1]) is ErrorCode.INVALID_INPUT


async def test_a_note_is_sealed_before_it_reaches_the_log(service: AlertService, log: MemoryLog) -> None:
    (sent,) = await service.send(a_principal(), [Wanted(Fire(a_draft()))])
    assert sent.alert_id is not None

    await service.act(a_principal(Role.RESPONDER), AddNote(ById(sent.alert_id), "look here"), "addAlertNote")

    assert log.tenants[TENANT].events[-1].event.note == f"{TENANT}|event.note|look here"


@pytest.mark.parametrize("note", ["", "n" * 25_001, "\x00"])
async def test_a_note_that_cannot_be_kept_is_refused(service: AlertService, note: str) -> None:
    outcome = await service.act(a_principal(Role.RESPONDER), AddNote(ById(an_id()), note), "addAlertNote")

    assert outcome.problem is not None
    assert outcome.problem.path == ("note",)


async def test_a_sender_may_not_act(service: AlertService) -> None:
    with pytest.raises(AccessDeniedError):
        await service.act(a_principal(Role.VIEWER), AddNote(ById(an_id()), "n"), "addAlertNote")
