"""How every list, filter, order and figure is read on a filled database: by the plans that the planner chose.

Each statement is explained while it is run, in the same transaction and with the same settings. What is wrong is a
scan of all of a table, or more rows looked at or sorted than a bound allows.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from alertgraph.core.errors import AlertGraphError
from alertgraph.storage.alert_pages.selections import SORTED_MAX
from alertgraph.storage.database import Connection, Database
from alertgraph.storage.reader import Reader, Rows
from alertgraph.storage.search import FOUND_MAX
from bench import fill, report
from bench.cases import Case, all_cases, known_of
from bench.installation import Installation

ROWS_MAX = FOUND_MAX + 101
"""Rows of a table that may be looked at where there are few: on a small database."""
FILLED_ROWS_MAX = 2 * SORTED_MAX
"""On a filled one: what an index alone sorts, or all that is open in the largest tenant."""
_GUARDED = re.compile(
    r"(alert_open|alert_closed|alert_closed_late|alert_terms|event|delivery|delivery_open)(_y\w+)?"
)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a step of a plan and all below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def faults(plan: dict[str, Any], rows_max: int = ROWS_MAX) -> Iterator[str]:
    """Yield what is wrong with a plan that was run."""
    for node in nodes(plan):
        table = node.get("Relation Name", "")
        if not _GUARDED.fullmatch(table) and node["Node Type"] not in ("Sort", "Incremental Sort"):
            continue
        removed = sum(node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck", "Join Filter"))
        seen = (node["Actual Rows"] + removed) * node["Actual Loops"]
        # An empty table, such as a month to come, is read as fast without its index.
        if seen and node["Node Type"] == "Seq Scan":
            yield f"{seen:g} rows of {table} by a scan of all"
        if table and seen > rows_max:
            yield f"{seen:g} rows of {table} looked at by {node.get('Index Name', 'no index')}"
        if node["Node Type"] == "Sort":
            taken = sum(below["Actual Rows"] * below["Actual Loops"] for below in node["Plans"])
            if taken > rows_max:
                yield f"{taken:g} rows sorted"


class Explained(Reader):
    """A reader that explains each statement where it stands, and runs it after that."""

    found: list[str]
    statement_count: int

    async def _read(self, connection: Connection, statement: str, parameters: Sequence[object]) -> Rows:
        # Whether it is planned for these values or for any, and what the planner may do, was set just before.
        row = await connection.fetchrow(f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {statement}", *parameters)
        self.statement_count += 1
        assert row is not None
        told = row[0] if not isinstance(row[0], str) else json.loads(row[0])
        self.found += faults(told[0]["Plan"], FILLED_ROWS_MAX)
        return await super()._read(connection, statement, parameters)


class Plans:
    """The look at every case on the largest tenant of a filled database."""

    def __init__(self, installation: Installation, filled: fill.Filled, only: str = "") -> None:
        self._installation = installation
        self._filled = filled
        self._only = only
        self._wrong: dict[str, list[str]] = {}
        self._cases: list[Case] = []
        self._statement_count = 0

    def run(self) -> None:
        """Look at the plans of every case that may not take long."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        tenant_id = self._filled.tenants[0].id
        database = await Database.connect(self._installation.url, pool_size=1)
        try:
            async with Reader.open(database, tenant_id) as reader:
                cases = all_cases(await known_of(reader, datetime.now(UTC)))
            self._cases = [each for each in cases if self._only in f"{each.part}: {each.name}"]
            for number, case in enumerate(self._cases):
                if number % 50 == 0:
                    print(f"  plans: {number} of {len(self._cases)}", flush=True)
                found = await self._faults_of(case, database)
                if found:
                    self._wrong[case.name] = found
        finally:
            await database.close()

    async def _faults_of(self, case: Case, database: Database) -> list[str]:
        async with Explained.open(database, self._filled.tenants[0].id) as reader:
            assert isinstance(reader, Explained)
            reader.found, reader.statement_count = [], 0
            try:
                await case.read(reader)
            except AlertGraphError as error:
                reader.found.append(error.message)
            self._statement_count += reader.statement_count
            scans = [each for each in reader.found if "by a scan of all" in each]
            # What may take longer may look at more, but not at all of a table.
            return list(dict.fromkeys(scans if case.unbounded else reader.found))

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self._wrong

    def told(self) -> dict[str, object]:
        """Return everything, for the file."""
        return {"cases": len(self._cases), "statements": self._statement_count, "wrong": self._wrong}

    def table(self) -> str:
        """Return what is wrong, by cases."""
        rows = [[name, "; ".join(found)] for name, found in self._wrong.items()]
        notes = (
            f"{len(self._cases)} cases on the largest tenant of {self._filled.alert_count:,} alerts;"
            f" {self._statement_count:,} statements explained as they ran.",
        )
        return report.table("Plans that are not as they should be", notes, ("case", "what is wrong"), rows)
