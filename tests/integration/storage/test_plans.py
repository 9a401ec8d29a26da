"""Every list, filter, order and figure is read by an index: nothing scans a table, or sorts more than a selection.

The server itself tells the plans that it ran, with how many rows each step saw, also inside functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from alertgraph.core.delivery import DeliveryQuery
from alertgraph.core.query import AlertFilter, AlertOrderField, EventFilter
from alertgraph.edge.bench.fill import filled
from alertgraph.storage.alert_pages import selections
from alertgraph.storage.database import Database, owner_connection
from alertgraph.storage.reader import Reader
from alertgraph.storage.search import FOUND_MAX
from alertgraph.storage.secrets import MasterKey
from bench.cases import Case, all_cases, known_of
from bench.plans import faults
from resolvers.metrics import MetricsFilter
from tests.kept import keeping
from tests.servers import DatabaseServer

ROOT = Path(__file__).resolve().parents[3]
KEY = MasterKey(bytes(range(32)))
# The largest tenant has 30 % of these: more than any selection, in fourteen partitions.
CLOSED, OPEN = 30_000, 600

AUTO_EXPLAIN = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_level": "notice",
    "auto_explain.log_format": "json",
    # A month of a few hundred rows is read as fast without an index, which is not so of a million. With this, what
    # is still scanned has no index that would do.
    "enable_seqscan": "off",
}


class Plans:
    """The plans that the server told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def listen(self, _: Any, message: Any) -> None:
        """Take note of what the server tells."""
        if "typeinfo_tree" not in message.message:  # the driver gets to know a type
            self.told.append(message.message)

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the plans told since the last time."""
        told, self.told = self.told, []
        for message in told:
            _, found, plan = message.partition("plan:")
            if found:
                yield from faults(json.loads(plan)["Plan"])


async def faults_of(case: Case, database: Database, tenant_id: Any, plans: Plans) -> list[str]:
    async with Reader.open(database, tenant_id) as reader:
        await reader.head()
        assert reader._connection is not None
        reader._connection.add_log_listener(plans.listen)
        try:
            plans.told.clear()
            await case.read(reader)
            # A plan is told when its statement's portal is closed: by the next statement.
            await reader.fetch("SELECT 1")
            assert plans.told, case.name
            return list(plans.faults())
        finally:
            reader._connection.remove_log_listener(plans.listen)


@pytest.mark.both_servers
@pytest.mark.timeout(600)
async def test_everything_is_read_by_an_index(
    database_server: DatabaseServer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that there are more than are sorted.
    monkeypatch.setattr(selections, "SORTED_MAX", FOUND_MAX)
    done = await filled(database_url, database_url, KEY, closed_count=CLOSED, open_count=OPEN)
    async with owner_connection(database_url) as owner:
        now = await owner.fetchval("SELECT now()")
    async with keeping(database_server, database_url) as keeper:
        name = await keeper.connection.fetchval("SELECT current_database()")
        for setting, value in AUTO_EXPLAIN.items():
            await keeper.connection.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
    wrong: dict[str, list[str]] = {}
    database = await Database.connect(database_url, pool_size=1)
    try:
        plans = Plans()
        largest = done.tenants[0].id
        async with Reader.open(database, largest) as reader:
            cases = all_cases(await known_of(reader, now))
        for case in cases:
            if not case.unbounded and (found := await faults_of(case, database, largest, plans)):
                wrong[case.name] = found
    finally:
        await database.close()
    assert not wrong, "\n".join(f"{name}: {'; '.join(dict.fromkeys(found))}" for name, found in wrong.items())


def test_a_plan_that_scans_or_sorts_is_found() -> None:
    scan = {"Node Type": "Seq Scan", "Relation Name": "alert_closed_y2026m01", "Actual Rows": 2, "Actual Loops": 1}
    sort = {
        "Node Type": "Sort",
        "Actual Rows": 50,
        "Actual Loops": 1,
        "Plans": [
            {
                "Node Type": "Index Scan",
                "Relation Name": "alert_open",
                "Index Name": "alert_open_due",
                "Actual Rows": 10,
                "Rows Removed by Filter": 9_000,
                "Actual Loops": 3,
            }
        ],
    }
    fine = {
        "Node Type": "Limit",
        "Actual Rows": 2,
        "Actual Loops": 1,
        "Plans": [
            {"Node Type": "Seq Scan", "Relation Name": "tenant", "Actual Rows": 9_000, "Actual Loops": 1},
            {"Node Type": "Seq Scan", "Relation Name": "event_y2027m01", "Actual Rows": 0, "Actual Loops": 1},
        ],
    }

    assert list(faults(scan)) == ["2 rows of alert_closed_y2026m01 by a scan of all"]
    assert list(faults(sort)) == ["27030 rows of alert_open looked at by alert_open_due"]
    assert list(faults(fine)) == []
    many = {**sort["Plans"][0], "Rows Removed by Filter": 0, "Actual Rows": 3_000}  # type: ignore[index]
    assert "9000 rows sorted" in list(faults({**sort, "Plans": [many]}))


def contract_input(name: str) -> list[str]:
    """Return the names of the fields of an input of the contract."""
    text = (ROOT / "schema.graphql").read_text(encoding="utf-8")
    found = re.search(rf"^input {name} \{{(.*?)^\}}", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return re.findall(r"^  (\w+):", found[1], re.MULTILINE)


async def test_no_field_of_a_filter_is_without_a_case(database_url: str) -> None:
    done = await filled(database_url, database_url, KEY, closed_count=2_000, open_count=100)
    database = await Database.connect(database_url, pool_size=1)
    try:
        async with owner_connection(database_url) as owner:
            now = await owner.fetchval("SELECT now()")
        async with Reader.open(database, done.tenants[0].id) as reader:
            cases = all_cases(await known_of(reader, now))
    finally:
        await database.close()

    def named(part: str) -> frozenset[str]:
        return frozenset().union(*(case.names for case in cases if case.part == part))

    assert named("alerts") == {each.name for each in fields(AlertFilter)}
    assert named("events") == {each.name for each in fields(EventFilter)}
    assert named("deliveries") == {each.name for each in fields(DeliveryQuery)} - {"page"}
    assert named("figures") == set(MetricsFilter.__annotations__)
    # What the contract asks for is what these have fields for.
    assert len(contract_input("AlertFilter")) == len(fields(AlertFilter))
    assert len(contract_input("EventFilter")) == len(fields(EventFilter))
    assert len(contract_input("DeliveryFilter")) == len(fields(DeliveryQuery)) - 1
    assert len(contract_input("MetricsFilter")) == len(MetricsFilter.__annotations__)
    names = [case.name for case in cases if case.part == "alerts"]
    for field in AlertOrderField:
        assert {f"none | {field.name} {way}" for way in ("DESC, first", "ASC, first", "ASC, last")} <= set(names)
    assert len({case.name for case in cases if case.part == "alerts"}) == len(names)
