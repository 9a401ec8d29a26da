"""Figures, asked for and followed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from alertgraph.core.tenant import Principal
from resolvers.scalars import instant_text
from tests.factories import a_matcher
from tests.integration.resolvers.api import Api, scoped

FIGURES = """
  since until createdCount acknowledgedCount resolvedCount escalatedCount openCount
  openBySeverity { severity count } mtta mttr acknowledgeP50 acknowledgeP95 resolveP50 resolveP95
  slaCompliance noiseRatio groups(by: MONITORED_SERVICE) { key createdCount openCount slaCompliance noiseRatio }
"""
QUERY = f"""query($since: DateTime!, $until: DateTime!, $filter: MetricsFilter, $bucket: Duration!) {{
  alertMetrics(since: $since, until: $until, filter: $filter) {{
    {FIGURES} series(bucket: $bucket) {{ startsAt createdCount mtta mttr slaCompliance noiseRatio }} }} }}"""
CREATE = "mutation($input: [CreateAlertInput!]!) { createAlerts(input: $input) { createdCount } }"
RESOLVE = "mutation($input: AlertsActionInput!) { resolveAlerts(input: $input) { changedCount } }"


def last_hours(api: Api, hours: int = 2, **variables: Any) -> dict[str, Any]:
    now = api.clock.now().replace(microsecond=0)
    return {
        "since": instant_text(now - timedelta(hours=hours)),
        "until": instant_text(now + timedelta(minutes=5)),
        "bucket": "PT1H",
        **variables,
    }


async def test_figures_are_exact(api: Api, sender: Principal, viewer: Principal) -> None:
    items = [
        {"title": "a", "severity": "HIGH", "dedupKey": "a", "monitoredService": "db"},
        {"title": "b", "severity": "LOW", "dedupKey": "b", "monitoredService": "db"},
        {"title": "c", "severity": "LOW", "dedupKey": "c"},
    ]
    await api.data(sender, CREATE, input=items)
    await api.data(sender, RESOLVE, input={"select": {"dedupKeys": ["a"]}})

    figures = (await api.data(viewer, QUERY, **last_hours(api)))["alertMetrics"]

    assert (figures["createdCount"], figures["resolvedCount"], figures["openCount"]) == (3, 1, 2)
    assert figures["openBySeverity"] == [
        {"severity": "CRITICAL", "count": 0},
        {"severity": "HIGH", "count": 0},
        {"severity": "MEDIUM", "count": 0},
        {"severity": "LOW", "count": 2},
        {"severity": "INFO", "count": 0},
    ]
    assert [(g["key"], g["createdCount"], g["openCount"]) for g in figures["groups"]] == [("db", 2, 1), ("", 1, 1)]
    assert (figures["slaCompliance"], figures["noiseRatio"]) == (1.0, 1.0)
    assert figures["mtta"] is None
    assert figures["mttr"] is not None
    assert sum(bucket["createdCount"] for bucket in figures["series"]) == 3
    shares = [(bucket["slaCompliance"], bucket["noiseRatio"]) for bucket in figures["series"]]
    assert [share for share in shares if share != (None, None)] == [(1.0, 1.0)]
    of_db = (await api.data(viewer, QUERY, **last_hours(api, filter={"monitoredService": ["db"]})))["alertMetrics"]
    assert of_db["createdCount"] == 2


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"bucket": "PT7M"}, "bucket"),
        ({"since": "2020-01-01T00:00:00Z"}, "since"),
        ({"since": "2100-01-01T00:00:00Z"}, "until"),
        ({"filter": {"severity": []}}, "filter.severity"),
    ],
)
async def test_a_window_that_can_not_be_had_is_a_bad_request(
    api: Api, viewer: Principal, variables: dict[str, Any], words: str
) -> None:
    payload = await api.run(viewer, QUERY, **{**last_hours(api), **variables})

    assert {error["extensions"]["code"] for error in payload["errors"]} == {"BAD_REQUEST"}
    assert words in payload["errors"][0]["message"]


async def test_a_scoped_key_reads_no_figures(api: Api, viewer: Principal) -> None:
    only_a = scoped(viewer, a_matcher("team", "a"))

    assert "FORBIDDEN" in await api.codes(only_a, QUERY, **last_hours(api))


async def test_figures_follow_what_happens(api: Api, sender: Principal, viewer: Principal) -> None:
    document = f'subscription {{ alertMetrics(window: "PT1H", every: "PT1S") {{ {FIGURES} }} }}'
    answers = api.follow(viewer, document)
    async with asyncio.timeout(20):
        first, _ = await anext(answers)
        assert first["data"]["alertMetrics"]["createdCount"] == 0
        await api.data(sender, CREATE, input=[{"title": "a", "severity": "HIGH"}])
        second, _ = await anext(answers)
        await answers.aclose()

    assert second["data"]["alertMetrics"]["createdCount"] == 1
    assert second["data"]["alertMetrics"]["openCount"] == 1
