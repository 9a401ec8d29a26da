"""The log, followed through the schema."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from alertgraph.core.tenant import Principal
from alertgraph.execution.errors import FailedStreamError
from tests.integration.resolvers.api import Api

CREATE = "mutation($input: [CreateAlertInput!]!) { createAlerts(input: $input) { createdCount } }"
EVENTS = """subscription($filter: EventFilter, $after: Cursor) { alertEvents(filter: $filter, after: $after) {
  number cursor kind summary alert { title events { nodes { number } } } detail } }"""
BATCHES = """subscription($after: Cursor) { alertEventBatches(after: $after) {
  events { number cursor } cursor live } }"""


async def send(api: Api, sender: Principal, *titles: str) -> None:
    await api.data(sender, CREATE, input=[{"title": title, "severity": "HIGH"} for title in titles])


async def test_listed_then_followed_without_a_gap(api: Api, sender: Principal, viewer: Principal) -> None:
    await send(api, sender, "a", "b")
    listed = await api.data(viewer, "{ alerts { asOf } events { nodes { cursor number } asOf } }")
    assert listed["events"]["nodes"][-1]["cursor"] == listed["alerts"]["asOf"] == listed["events"]["asOf"]
    await send(api, sender, "c")

    answers = api.follow(viewer, EVENTS, after=listed["alerts"]["asOf"])
    async with asyncio.timeout(20):
        (caught_up, cursor), (held, _) = await anext(answers), await anext(answers)
        await send(api, sender, "d")
        live, _ = await anext(answers)
        await answers.aclose()

    event = caught_up["data"]["alertEvents"]
    # There is no rule, and each alert says so.
    assert (event["number"], event["kind"], event["alert"]["title"]) == (5, "TRIGGERED", "c")
    assert cursor == event["cursor"]
    assert (held["data"]["alertEvents"]["number"], held["data"]["alertEvents"]["kind"]) == (6, "HELD")
    assert live["data"]["alertEvents"]["number"] == 7
    # Each event has reads of its own: the timeline is as of now, not as of the subscription.
    assert live["data"]["alertEvents"]["alert"]["events"]["nodes"] == [{"number": 7}, {"number": 8}]


async def test_batches_say_how_far_they_have_come(api: Api, sender: Principal, viewer: Principal) -> None:
    start = (await api.data(viewer, "{ events { asOf } }"))["events"]["asOf"]
    await send(api, sender, *(str(n) for n in range(150)))

    answers = api.follow(viewer, BATCHES, after=start)
    numbers: list[int] = []
    async with asyncio.timeout(20):
        while len(numbers) < 300:  # each is triggered, and held since there is no rule
            answer, cursor = await anext(answers)
            batch: dict[str, Any] = answer["data"]["alertEventBatches"]
            assert len(batch["events"]) <= 100
            assert cursor == batch["cursor"]
            numbers += [event["number"] for event in batch["events"]]
        await answers.aclose()

    assert numbers == list(range(1, 301))
    assert batch["live"] is True
    assert batch["cursor"] == batch["events"][-1]["cursor"]


async def test_a_filter_lets_through_what_it_names(api: Api, sender: Principal, viewer: Principal) -> None:
    start = (await api.data(viewer, "{ events { asOf } }"))["events"]["asOf"]
    await api.data(
        sender,
        CREATE,
        input=[{"title": "a", "severity": "LOW"}, {"title": "b", "severity": "HIGH"}],
    )

    answers = api.follow(viewer, EVENTS, after=start, filter={"severity": ["HIGH"]})
    async with asyncio.timeout(20):
        first, _ = await anext(answers)
        await answers.aclose()

    assert first["data"]["alertEvents"]["alert"]["title"] == "b"


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"after": "nonsense"}, "BAD_REQUEST"),
        ({"filter": {"alertIds": ["x"] * 101}}, "BAD_REQUEST"),
        ({"filter": {"matchers": [{"label": "a", "operator": "REGEX", "value": "("}]}}, "BAD_REQUEST"),
    ],
)
async def test_a_stream_that_can_not_be_opened_says_why(
    api: Api, viewer: Principal, variables: dict[str, Any], code: str
) -> None:
    with pytest.raises(FailedStreamError) as failure:
        await anext(api.follow(viewer, EVENTS, **variables))

    assert failure.value.code == code


async def test_a_sender_follows_nothing(api: Api, sender: Principal) -> None:
    for document in (EVENTS, BATCHES, "subscription { alertMetrics { createdCount } }"):
        with pytest.raises(FailedStreamError) as failure:
            await anext(api.follow(sender, document))
        assert failure.value.code == "FORBIDDEN"


async def test_who_leaves_is_forgotten_at_once(api: Api, sender: Principal, viewer: Principal) -> None:
    start = (await api.data(viewer, "{ events { asOf } }"))["events"]["asOf"]
    await send(api, sender, "a")

    answers = api.follow(viewer, EVENTS, after=start)
    await anext(answers)
    assert api.streams.follower_count == 1
    await answers.aclose()

    assert api.streams.follower_count == 0
