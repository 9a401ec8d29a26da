"""Forecasts through the API: who would be told of a draft or of an open alert, when, how, or why nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from alertgraph.core.ids import ChannelId, NodeKind, decode_key
from alertgraph.core.tenant import Principal
from alertgraph.services.engine import Engine
from resolvers.scalars import instant_text, parse_instant
from tests.factories import a_matcher
from tests.integration.resolvers.api import Api, a_caller, scoped
from tests.integration.resolvers.setting_up import (
    CREATE_SCHEDULE,
    OVERRIDE_SHIFT,
    UPDATE_CHANNEL,
    a_responder,
    a_webhook,
    done,
    worked,
)

FORECAST = """query($alertId: ID, $draft: CreateAlertInput, $at: DateTime) {
  escalationForecast(alertId: $alertId, draft: $draft, at: $at) { rule { name } holdReason steps {
    at level responder { name } schedule { name } channel { name } reason } } }"""
CREATE_RULE = """mutation($input: EscalationRuleInput!) { createEscalationRule(input: $input) {
  escalationRule { id } errors { code path message } } }"""
CREATE_SILENCE = """mutation($input: SilenceInput!) { createSilence(input: $input) {
  silence { id } errors { code path message } } }"""
CREATE_INHIBITION = """mutation($input: InhibitionRuleInput!) { createInhibitionRule(input: $input) {
  inhibitionRule { id } errors { code path message } } }"""
FIRE = """mutation($input: CreateAlertInput!) { createAlert(input: $input) {
  alert { id } errors { code path message } } }"""
RESOLVE = """mutation($input: AlertActionInput!) { resolveAlert(input: $input) {
  alert { id } errors { code path } } }"""
ESCALATE = """mutation($input: EscalateAlertInput!) { escalateAlert(input: $input) {
  alert { id } errors { code path } } }"""
TAKE = """mutation($input: AcknowledgeAlertInput!) { acknowledgeAlert(input: $input) {
  alert { id } errors { code path } } }"""
DRAFT: dict[str, Any] = {"title": "Disk full", "severity": "HIGH", "labels": {"team": "db"}}
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")

Told = tuple[timedelta, int, str | None, str | None, str]


@dataclass(frozen=True)
class Desk:
    """Who is there: Ada and Bob in turns of a day by `primary`, and Cleo, who is named.

    Attributes:
        hook: The channel of all three, which `spare` stands in for.
    """

    hook: str
    spare: str
    ada: str
    bob: str
    cleo: str
    schedule: str
    began_at: datetime


@pytest.fixture
def api_url(database_url: str) -> str:
    """A database of its own: an engine works on everybody's alerts."""
    return database_url


@pytest_asyncio.fixture(loop_scope="session")
async def desk(api: Api, admin: Principal) -> Desk:
    spare = await a_webhook(api, admin, "spare")
    hook = await a_webhook(api, admin, "hook", fallbackId=spare)
    ada, bob = [
        await a_responder(api, admin, name, contactMethods=[{"channelId": hook}]) for name in ("Ada", "Bob")
    ]
    # First a message, and a call where that is not enough.
    methods = [{"channelId": spare}, {"channelId": hook, "delay": "PT2M"}]
    cleo = await a_responder(api, admin, "Cleo", contactMethods=methods)
    began_at = (api.clock.now() - DAY).replace(minute=0, second=0, microsecond=0)
    rotation = {"responderIds": [ada, bob], "startsAt": instant_text(began_at), "shiftLength": "P1D"}
    made = await done(api, admin, CREATE_SCHEDULE, name="primary", rotations=[rotation])
    return Desk(hook, spare, ada, bob, cleo, made["onCallSchedule"]["id"], began_at)


@pytest_asyncio.fixture(loop_scope="session")
async def rule(api: Api, admin: Principal, desk: Desk) -> str:
    levels = [
        {"delay": "PT10M", "targets": [{"scheduleId": desk.schedule}]},
        {"delay": "PT5M", "targets": [{"responderId": desk.cleo}, {"channelId": desk.spare}]},
    ]
    return await a_rule(api, admin, levels)


async def a_rule(api: Api, admin: Principal, levels: Sequence[dict[str, Any]], name: str = "databases") -> str:
    matchers = [{"label": "team", "value": "db"}]
    made = await done(api, admin, CREATE_RULE, name=name, matchers=matchers, levels=list(levels))
    rule_id: str = made["escalationRule"]["id"]
    return rule_id


async def forecast(api: Api, who: Principal, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await api.data(who, FORECAST, **variables))["escalationForecast"]
    return found


async def fired(api: Api, who: Principal, **fields: Any) -> str:
    alert_id: str = (await done(api, who, FIRE, **{**DRAFT, **fields}))["alert"]["id"]
    return alert_id


def told(found: dict[str, Any], since: datetime) -> list[Told]:
    """Return the steps of a forecast, their times as they lie behind an instant."""
    return [
        (
            parse_instant(step["at"]) - since,
            step["level"],
            (step["responder"] or {}).get("name"),
            (step["schedule"] or {}).get("name"),
            step["channel"]["name"],
        )
        for step in found["steps"]
    ]


async def refusal(api: Api, who: Principal, **variables: Any) -> tuple[str, str]:
    """Return the code and the message of a forecast that must be refused."""
    payload = await api.run(who, FORECAST, **variables)
    assert payload["data"] is None
    (error,) = payload["errors"]
    return error["extensions"]["code"], error["message"]


# ------------------------------------------------------------------------------------------- drafts


@pytest.mark.usefixtures("rule")
async def test_of_a_draft_the_whole_ladder_is_told(api: Api, viewer: Principal, desk: Desk) -> None:
    # In the third day of the rotation, whose first is Ada's.
    at = desk.began_at + 2 * DAY + HOUR

    found = await forecast(api, viewer, draft=DRAFT, at=instant_text(at))

    assert (found["rule"], found["holdReason"]) == ({"name": "databases"}, None)
    assert told(found, at) == [
        (timedelta(0), 1, "Ada", "primary", "hook"),
        (10 * MINUTE, 2, "Cleo", None, "spare"),
        (12 * MINUTE, 2, "Cleo", None, "hook"),
    ]
    assert [step["reason"] for step in found["steps"]] == [
        "Level 1: Ada is on call on primary.",
        "Level 2: Cleo is named by the rule.",
        "Level 2: Cleo is named by the rule, 2 min after it is reached.",
    ]
    # The hand-off lies between: whoever is on call when the level is reached is told.
    handed = await forecast(api, viewer, draft=DRAFT, at=instant_text(desk.began_at + 3 * DAY))
    assert handed["steps"][0]["responder"] == {"name": "Bob"}


@pytest.mark.usefixtures("rule")
async def test_without_a_time_it_is_now_and_nothing_is_done(api: Api, viewer: Principal) -> None:
    before = api.clock.now()
    found = await forecast(api, viewer, draft={**DRAFT, "idempotencyKey": "once"})
    again = await forecast(api, viewer, draft={**DRAFT, "title": "Else", "idempotencyKey": "once"})
    after = api.clock.now()

    assert before <= parse_instant(found["steps"][0]["at"]) <= after
    assert len(again["steps"]) == 3
    nothing = await api.data(viewer, "{ alerts { totalCount } deliveries { nodes { id } } }")
    assert nothing == {"alerts": {"totalCount": 0}, "deliveries": {"nodes": []}}


@pytest.mark.usefixtures("rule")
async def test_an_override_is_seen_in_it(api: Api, admin: Principal, viewer: Principal, desk: Desk) -> None:
    at = desk.began_at + 2 * DAY + HOUR
    stretch = {"startsAt": instant_text(at), "endsAt": instant_text(at + HOUR)}
    await done(api, admin, OVERRIDE_SHIFT, scheduleId=desk.schedule, responderId=desk.bob, **stretch)

    names = [
        (await forecast(api, viewer, draft=DRAFT, at=instant_text(when)))["steps"][0]["responder"]["name"]
        for when in (at - MINUTE, at, at + HOUR)
    ]

    assert names == ["Ada", "Bob", "Ada"]


async def test_a_hand_off_keeps_the_wall_clock_when_the_clocks_change(
    api: Api, admin: Principal, viewer: Principal, desk: Desk
) -> None:
    now = api.clock.now()
    midnight = datetime(now.year, now.month, now.day, tzinfo=BERLIN)
    days = [datetime.fromordinal(midnight.toordinal() + n).replace(tzinfo=BERLIN) for n in range(1, 300)]
    change = next(day for day, next_ in pairwise(days) if day.utcoffset() != next_.utcoffset())
    first = datetime.fromordinal(midnight.toordinal() - 1).replace(hour=9, tzinfo=BERLIN)
    rotation = {
        "responderIds": [desk.ada, desk.bob],
        "startsAt": instant_text(first.astimezone(UTC)),
        "shiftLength": "P1D",
    }
    made = await done(api, admin, CREATE_SCHEDULE, name="mornings", timeZone="Europe/Berlin", rotations=[rotation])
    target = {"scheduleId": made["onCallSchedule"]["id"]}
    await a_rule(api, admin, [{"delay": "PT30M", "targets": [target]}] * 2)
    half_past_eight = change.replace(hour=8, minute=30).astimezone(UTC)

    found = await forecast(api, viewer, draft=DRAFT, at=instant_text(half_past_eight))

    # By the days of the calendar: on that day 24 hours are no day.
    turn = change.toordinal() - first.toordinal()
    expected = [["Ada", "Bob"][(turn - 1) % 2], ["Ada", "Bob"][turn % 2]]
    assert told(found, half_past_eight) == [
        (timedelta(0), 1, expected[0], "mornings", "hook"),
        (30 * MINUTE, 2, expected[1], "mornings", "hook"),
    ]


async def test_why_nobody_would_be_told(api: Api, admin: Principal, viewer: Principal, desk: Desk) -> None:
    assert await forecast(api, viewer, draft=DRAFT) == {
        "rule": None,
        "holdReason": "NO_MATCHING_RULE",
        "steps": [],
    }
    nobody = await a_responder(api, admin, "Dan")
    await a_rule(api, admin, [{"delay": "PT5M", "targets": [{"responderId": nobody}]}])
    unreached = {"rule": {"name": "databases"}, "holdReason": "NOBODY_ON_CALL", "steps": []}
    assert await forecast(api, viewer, draft=DRAFT) == unreached

    everything = [{"label": "@title", "operator": "REGEX", "value": ".+"}]
    source = [{"label": "team", "value": "network"}]
    await done(api, admin, CREATE_INHIBITION, name="network", sourceMatchers=source, targetMatchers=everything)
    await fired(api, admin, title="Switch down", labels={"team": "network"})
    covered = {**unreached, "holdReason": "INHIBITED"}
    assert await forecast(api, viewer, draft=DRAFT) == covered
    alert_id = await fired(api, admin)
    assert await forecast(api, viewer, alertId=alert_id) == covered
    # What is open now says nothing of another time.
    tomorrow = instant_text(api.clock.now() + DAY)
    assert await forecast(api, viewer, draft=DRAFT, at=tomorrow) == unreached


@pytest.mark.usefixtures("rule")
async def test_a_silence_puts_it_off_until_it_ends(api: Api, admin: Principal, viewer: Principal) -> None:
    until = (api.clock.now() + HOUR).replace(microsecond=0)
    matchers = [{"label": "team", "value": "db"}]
    await done(api, admin, CREATE_SILENCE, matchers=matchers, endsAt=instant_text(until), comment="moving")
    alert_id = await fired(api, admin)

    for which in ({"draft": DRAFT}, {"alertId": alert_id}):
        found = await forecast(api, viewer, **which)
        assert found["holdReason"] is None
        assert [at for at, *_ in told(found, until)] == [timedelta(0), 10 * MINUTE, 12 * MINUTE]


@pytest.mark.usefixtures("rule")
async def test_a_fallback_stands_in_where_a_channel_is_down(
    api: Api, admin: Principal, viewer: Principal, desk: Desk
) -> None:
    at = desk.began_at + 2 * DAY + HOUR
    key = decode_key(desk.hook, NodeKind.CHANNEL)
    assert key is not None
    # Until the first page is out, and no longer.
    await api.deliveries.note_health(
        admin.tenant.id, ChannelId(key), lambda health: replace(health, open_until=at + MINUTE)
    )

    found = await forecast(api, viewer, draft=DRAFT, at=instant_text(at))

    assert [step["channel"]["name"] for step in found["steps"]] == ["spare", "spare", "hook"]
    assert found["steps"][0]["reason"] == (
        "Level 1: Ada is on call on primary; spare stands in for hook, which is down."
    )
    await done(api, admin, UPDATE_CHANNEL, id=desk.hook, enabled=False)
    disabled = await forecast(api, viewer, draft=DRAFT, at=instant_text(at))
    assert {step["channel"]["name"] for step in disabled["steps"]} == {"spare"}


# ------------------------------------------------------------------------------------- open alerts


@pytest.mark.usefixtures("rule")
async def test_of_an_open_alert_the_rest_is_told(
    api: Api, admin: Principal, viewer: Principal, engine: Engine
) -> None:
    alert_id = await fired(api, admin)
    whole = await forecast(api, viewer, alertId=alert_id)
    assert [step["level"] for step in whole["steps"]] == [1, 2, 2]

    await worked(engine)
    # The first level is reached; its page waits for those who send, the second level for its time.
    waits = await forecast(api, viewer, alertId=alert_id)
    alert = await api.data(viewer, "query($id: ID!) { alert(id: $id) { nextEscalationAt } }", id=alert_id)
    climbs_at = parse_instant(alert["alert"]["nextEscalationAt"])
    assert [step["reason"] for step in waits["steps"]] == [step["reason"] for step in whole["steps"]]
    assert [at for at, *_ in told(waits, climbs_at)][1:] == [timedelta(0), 2 * MINUTE]

    await done(api, admin, ESCALATE, alertId=alert_id)
    rest = await forecast(api, viewer, alertId=alert_id)
    now = parse_instant(rest["steps"][0]["at"])

    # That is no reaction: who was to be told still is, and the second level's delayed message is to come.
    assert [(level, name, over) for _, level, name, _, over in told(rest, now)] == [
        (1, whole["steps"][0]["responder"]["name"], "hook"),
        (2, "Cleo", "spare"),
        (2, "Cleo", "hook"),
    ]
    first, second, last = told(rest, now)
    assert first[0] == second[0] == timedelta(0)
    assert MINUTE < last[0] <= 2 * MINUTE
    assert rest["steps"][2]["reason"] == "Level 2: Cleo is named by the rule, 2 min after it is reached."


@pytest.mark.usefixtures("rule")
async def test_nobody_is_told_of_what_somebody_has_or_what_is_over(
    api: Api, admin: Principal, viewer: Principal, engine: Engine
) -> None:
    alert_id = await fired(api, admin)
    await worked(engine)
    await done(api, admin, TAKE, alertId=alert_id)
    rule = {"name": "databases"}
    assert await forecast(api, viewer, alertId=alert_id) == {
        "rule": rule,
        "holdReason": "ACKNOWLEDGED",
        "steps": [],
    }

    other_id = await fired(api, admin, dedupKey="other")
    until = (api.clock.now() + HOUR).replace(microsecond=0)
    await done(api, admin, TAKE, alertId=other_id, until=instant_text(until))
    given_back = await forecast(api, viewer, alertId=other_id)
    assert given_back["holdReason"] is None
    assert told(given_back, until)[0][:2] == (timedelta(0), 1)

    await done(api, admin, RESOLVE, alertId=alert_id)
    assert await forecast(api, viewer, alertId=alert_id) == {"rule": rule, "holdReason": None, "steps": []}


# ---------------------------------------------------------------------------------------- refusals


async def test_exactly_one_of_the_two_is_given(api: Api, admin: Principal, viewer: Principal) -> None:
    alert_id = await fired(api, admin)
    tomorrow = instant_text(api.clock.now() + DAY)

    both = await refusal(api, viewer, alertId=alert_id, draft=DRAFT)
    neither = await refusal(api, viewer, at=tomorrow)
    null = await refusal(api, viewer, alertId=None, draft=None)
    timed = await refusal(api, viewer, alertId=alert_id, at=tomorrow)

    assert both == ("BAD_REQUEST", "alertId: Give alertId or draft, never both.")
    assert neither == null == ("BAD_REQUEST", "alertId: Give alertId or draft.")
    assert timed == ("BAD_REQUEST", "at: at is for a draft: what is open, goes on from now.")


async def test_a_draft_is_refused_as_create_alert_refuses_it(
    api: Api, admin: Principal, viewer: Principal
) -> None:
    cases: list[dict[str, Any]] = [
        {"title": ""},
        {"title": "half \ud800"},
        {"labels": {"@title": "x"}},
        {"labels": ["no object"]},
        {"labels": {"team": 1}},
        {"annotations": "no object"},
        {"links": [{"href": "ftp://x", "text": "x"}]},
        {"source": " "},
        {"dedupKey": "\x00"},
        {"triggeredAt": "1999-12-31T00:00:00Z"},
        {"triggeredAt": instant_text(api.clock.now() + 2 * DAY)},
        {"idempotencyKey": ""},
    ]

    for fields in cases:
        draft = {**DRAFT, **fields}
        made = (await api.data(admin, FIRE, input=draft))["createAlert"]
        (error,) = made["errors"]
        path = ".".join(["draft", *error["path"][1:]])
        code, message = await refusal(api, viewer, draft=draft)
        assert (code, message) == ("BAD_REQUEST", f"{path}: {error['message']}"), fields


@pytest.mark.parametrize("away", [-13 * HOUR, 367 * DAY, -1000 * 366 * DAY, 1000 * 366 * DAY])
async def test_a_time_too_far_away_is_refused(api: Api, viewer: Principal, away: timedelta) -> None:
    code, message = await refusal(api, viewer, draft=DRAFT, at=instant_text(api.clock.now() + away))

    assert code == "BAD_REQUEST"
    assert message.startswith("at: at is from 12 hours ago to 366 days ahead: ")
    near = instant_text(api.clock.now() + (-11 * HOUR if away < timedelta(0) else 365 * DAY))
    assert (await forecast(api, viewer, draft=DRAFT, at=near))["holdReason"] == "NO_MATCHING_RULE"


async def test_who_may_ask(api: Api, admin: Principal, viewer: Principal, sender: Principal) -> None:
    alert_id = await fired(api, admin)
    ways: list[dict[str, Any]] = [{"alertId": alert_id}, {"draft": DRAFT}, {}]
    for way in ways:
        assert await api.codes(sender, FORECAST, **way) == ["FORBIDDEN"]

    unknown = ("BAD_REQUEST", "alertId: There is no such alert.")
    elsewhere = a_caller(await api.tenant("other"), admin.role)
    web, db = (scoped(viewer, a_matcher("team", team)) for team in ("web", "db"))
    for who, which in (
        (elsewhere, alert_id),
        (web, alert_id),
        (viewer, "alr_AAAAAAAAAAAAAAAAAAAAAA"),
        (viewer, "nonsense"),
    ):
        assert await refusal(api, who, alertId=which) == unknown
    assert (await forecast(api, db, alertId=alert_id))["holdReason"] == "NO_MATCHING_RULE"

    # A key says only what it may send.
    assert (await forecast(api, db, draft=DRAFT))["holdReason"] == "NO_MATCHING_RULE"
    assert await refusal(api, web, draft=DRAFT) == (
        "BAD_REQUEST",
        "draft.labels: The key may only send alerts that match its matchers.",
    )
