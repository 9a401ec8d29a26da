"""Links between alerts: kept once, read from either end, and gone with what retention has passed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from alertgraph.core.alert_link import AlertLink, Related
from alertgraph.core.correlation import Evidence, EvidenceKind
from alertgraph.core.ids import AlertId, uuid7
from alertgraph.storage.alert_links import PostgresAlertLinks, load_related, load_until
from alertgraph.storage.partitions import Housekeeper
from alertgraph.storage.reader import Reader
from tests.factories import DAY
from tests.integration.storage.world import World, a_world

NOW = datetime.now(UTC)
WHY = (Evidence(EvidenceKind.TIME, 0.75, "4 s apart"), Evidence(EvidenceKind.HISTORY, 0.25, "seen like this once"))


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


def alert(number: int, ago: timedelta = timedelta(0)) -> AlertId:
    return AlertId(uuid7(NOW - ago, number))


async def test_what_is_kept_again_stays_as_it_was(world: World) -> None:
    tenant_id, other = await world.tenant(), await world.tenant("other")
    links = PostgresAlertLinks(world.database)
    one, two, three = (alert(number) for number in range(3))
    later = NOW + timedelta(minutes=1)
    await links.keep(tenant_id, [AlertLink(two, one, 0.75, WHY), AlertLink(three, one, 0.5, WHY)], later)
    await links.keep(tenant_id, [AlertLink(two, one, 0.25, WHY[:1])], NOW)

    async with Reader.open(world.database, tenant_id) as reader:
        assert await load_related(reader, [one, two, alert(9)], 10) == {
            one: (Related(two, 0.75, WHY), Related(three, 0.5, WHY)),
            two: (Related(one, 0.75, WHY),),
        }
        assert await load_related(reader, [one], 1) == {one: (Related(two, 0.75, WHY),)}
        assert await load_until(reader) == later, "who takes events again has looked at later ones before"
    async with Reader.open(world.database, other) as reader:
        assert await load_related(reader, [one, two], 10) == {}
        assert await load_until(reader) is None


async def test_links_go_with_the_alerts_that_retention_has_passed(world: World) -> None:
    tenant_id = await world.tenant()
    await world.execute("UPDATE tenant_settings SET retention = '30 days'")
    links = PostgresAlertLinks(world.database)
    old, older, new = alert(1, 31 * DAY), alert(2, 32 * DAY), alert(3, DAY)
    await links.keep(tenant_id, [AlertLink(old, older, 0.9, WHY), AlertLink(new, old, 0.8, WHY)], NOW)

    retired = await Housekeeper(world.database, world.url).retire()

    assert retired.links == 1
    async with Reader.open(world.database, tenant_id) as reader:
        assert await load_related(reader, [old], 10) == {old: (Related(new, pytest.approx(0.8), WHY),)}
