"""Alerts that belong together, as they are shown: from either end, best first, null where nobody has looked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from alertgraph.core.alert_link import AlertLink
from alertgraph.core.correlation import Evidence, EvidenceKind
from alertgraph.core.ids import AlertId, TenantId, decode_alert_id
from alertgraph.core.tenant import Principal, Role
from alertgraph.storage.alert_links import PostgresAlertLinks
from alertgraph.storage.database import Database
from tests.factories import a_matcher
from tests.integration.resolvers.api import Api, a_caller, scoped
from tests.integration.resolvers.test_incident import fire

RELATED = """query($first: Int!) { alerts(first: 5) { nodes { title relatedAlerts(first: $first) {
  score alert { title } evidence { kind weight text } } } } }"""
EVIDENCE = (Evidence(EvidenceKind.TOPOLOGY, 0.75, "api and db depend on each other directly"),)


@pytest_asyncio.fixture(loop_scope="session")
async def links(shared_database: Database) -> AsyncIterator[PostgresAlertLinks]:
    yield PostgresAlertLinks(shared_database)


def known(alert: dict[str, Any]) -> AlertId:
    alert_id = decode_alert_id(alert["id"])
    assert alert_id is not None
    return alert_id


async def shown(api: Api, caller: Principal, first: int = 10) -> dict[str, list[tuple[str, float]] | None]:
    nodes = (await api.data(caller, RELATED, first=first))["alerts"]["nodes"]
    return {
        node["title"]: node["relatedAlerts"]
        and [(each["alert"]["title"], round(each["score"], 2)) for each in node["relatedAlerts"]]
        for node in nodes
    }


async def test_links_are_seen_from_either_end(api: Api, admin: Principal, links: PostgresAlertLinks) -> None:
    tenant_id = admin.tenant.id
    db, web, mail = [await fire(api, admin, title) for title in ("db", "web", "mail")]
    assert await shown(api, admin) == {"db": None, "web": None, "mail": None}, "nobody has looked"

    until = api.clock.now() + timedelta(seconds=1)
    await links.keep(
        tenant_id,
        [
            AlertLink(known(web), known(db), 0.9, EVIDENCE),
            AlertLink(known(mail), known(db), 0.6, EVIDENCE),
            AlertLink(known(mail), known(web), 0.7, EVIDENCE),
        ],
        until,
    )
    await fire(api, admin, "alone")
    await links.keep(tenant_id, [AlertLink(known(web), known(db), 0.1, EVIDENCE)], until)

    assert await shown(api, admin) == {
        "alone": [],
        "mail": [("web", 0.7), ("db", 0.6)],
        "web": [("db", 0.9), ("mail", 0.7)],
        "db": [("web", 0.9), ("mail", 0.6)],
    }
    assert (await shown(api, admin, first=1))["db"] == [("web", 0.9)]
    found = (await api.data(admin, RELATED, first=1))["alerts"]["nodes"]
    (evidence,) = next(node for node in found if node["title"] == "web")["relatedAlerts"][0]["evidence"]
    assert evidence == {"kind": "topology", "weight": 0.75, "text": EVIDENCE[0].text}
    assert set(await api.codes(admin, RELATED, first=51)) == {"BAD_REQUEST"}


async def test_what_came_after_the_last_look_is_not_said_to_be_alone(
    api: Api, admin: Principal, links: PostgresAlertLinks
) -> None:
    await fire(api, admin, "before")
    await links.keep(admin.tenant.id, [], api.clock.now())
    # Alerts know the millisecond in which they came: the next one is another one.
    await asyncio.sleep(0.002)
    await fire(api, admin, "after")
    await links.keep(admin.tenant.id, [], api.clock.now() - timedelta(hours=1))

    assert await shown(api, admin) == {"after": None, "before": []}


async def test_a_limited_key_sees_the_links_within_its_scope(
    api: Api, admin: Principal, links: PostgresAlertLinks
) -> None:
    mine = await fire(api, admin, "mine", labels={"team": "a"})
    beside = await fire(api, admin, "beside", labels={"team": "a"})
    theirs = await fire(api, admin, "theirs", labels={"team": "b"})
    await links.keep(
        admin.tenant.id,
        [
            AlertLink(known(beside), known(mine), 0.8, EVIDENCE),
            AlertLink(known(theirs), known(mine), 0.9, EVIDENCE),
        ],
        api.clock.now(),
    )

    seen = await shown(api, scoped(admin, a_matcher("team", "a")))

    assert seen == {"mine": [("beside", 0.8)], "beside": [("mine", 0.8)]}


async def test_another_tenant_sees_no_link(api: Api, admin: Principal, links: PostgresAlertLinks) -> None:
    other = a_caller(await api.tenant("other"), Role.ADMIN)
    one, two = [await fire(api, admin, title) for title in ("one", "two")]
    theirs = await fire(api, other, "theirs")
    await links.keep(admin.tenant.id, [AlertLink(known(two), known(one), 0.9, EVIDENCE)], api.clock.now())
    # Whose link it is, its row says; an alert of somebody else's is unknown there.
    await links.keep(
        TenantId(admin.tenant.id), [AlertLink(known(theirs), known(one), 0.9, EVIDENCE)], api.clock.now()
    )

    assert await shown(api, other) == {"theirs": None}
    assert (await shown(api, admin))["one"] == [("two", 0.9)]


@pytest.mark.parametrize("count", [0, 30])
async def test_of_an_alert_at_which_many_came_the_best_are_shown(
    api: Api, admin: Principal, links: PostgresAlertLinks, count: int
) -> None:
    hub = await fire(api, admin, "hub")
    others = [await fire(api, admin, f"o{number}") for number in range(count)]
    found = [AlertLink(known(each), known(hub), 0.5 + place / 100, EVIDENCE) for place, each in enumerate(others)]
    await links.keep(admin.tenant.id, found, api.clock.now())
    document = "query($id: ID!) { alert(id: $id) { relatedAlerts(first: 3) { alert { title } } } }"

    answer = (await api.data(admin, document, id=hub["id"]))["alert"]["relatedAlerts"]

    assert [each["alert"]["title"] for each in answer] == [
        f"o{count - 1 - place}" for place in range(min(3, count))
    ]
