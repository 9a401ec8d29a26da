"""asyncpg alone: the rows of new alerts, upserted into a plain table by one client process and nothing else.

The table has the columns of an open alert, its primary key and its unique dedup key, in the same server and as
durable; it has no tenants' policies, no events and no further indexes. Rows are made before the clock starts.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

from alertgraph.core.ids import uuid7
from alertgraph.edge.clock import SystemDice
from alertgraph.storage.migrate import dsn_of
from bench.load import Load, percentile
from bench.words import alert_input

SETUP = """
    CREATE SCHEMA IF NOT EXISTS bench;
    CREATE TABLE IF NOT EXISTS bench.alert (
        tenant_id uuid NOT NULL, id uuid NOT NULL, version bigint NOT NULL, dedup_key text NOT NULL,
        title text NOT NULL, description text NOT NULL, severity smallint NOT NULL, status smallint NOT NULL,
        source text NOT NULL, monitored_service text, labels jsonb NOT NULL, annotations jsonb NOT NULL,
        links jsonb NOT NULL, occurrence_count integer NOT NULL, triggered_at timestamptz NOT NULL,
        last_seen_at timestamptz NOT NULL, escalation_level integer NOT NULL, hold_reason smallint,
        acknowledge_by timestamptz NOT NULL, resolve_by timestamptz NOT NULL, resolve_by_timeout boolean NOT NULL,
        PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, dedup_key)
    )
"""
_UPSERT = """
    INSERT INTO bench.alert AS known
    SELECT $1, u.* FROM unnest(
        $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::smallint[], $8::smallint[], $9::text[],
        $10::text[], $11::jsonb[], $12::jsonb[], $13::jsonb[], $14::integer[], $15::timestamptz[],
        $16::timestamptz[], $17::integer[], $18::smallint[], $19::timestamptz[], $20::timestamptz[],
        $21::boolean[]) AS u
    ON CONFLICT (tenant_id, dedup_key) DO UPDATE SET
        occurrence_count = known.occurrence_count + 1, last_seen_at = excluded.last_seen_at
"""


@dataclass(frozen=True)
class AloneJob:
    """What to upsert.

    Attributes:
        writers: Connections, each with one statement under way at a time.
        tenants: How many tenants the rows belong to.
        batch: Rows of one statement, all of one tenant.
        count_max: Statements at most.
    """

    url: str
    writers: int
    tenants: int
    batch: int
    seconds: float
    count_max: int

    def as_json(self) -> str:
        """Return the form that the process reads."""
        return json.dumps(asdict(self))


def _arguments(tenant: UUID, batch: int, number: int, ids: SystemDice) -> Sequence[Any]:
    now = datetime.now(UTC)
    rows = []
    for offset in range(batch):
        said = alert_input(number + offset)
        rows.append(
            (
                uuid7(now, ids.bits(74)),
                1,
                f"{tenant.hex[:8]}-{number + offset:010d}",
                said["title"],
                said["description"],
                1 + (number + offset) % 5,
                1,
                "bench",
                said["monitoredService"],
                json.dumps(said["labels"]),
                json.dumps(said["annotations"]),
                "[]",
                1,
                now,
                now,
                0,
                4,
                now + timedelta(minutes=15),
                now + timedelta(hours=4),
                False,
            )
        )
    return tenant, *(list(column) for column in zip(*rows, strict=True))


async def _run(job: AloneJob) -> Load:
    ids = SystemDice()
    tenants = [UUID(int=ids.bits(128)) for _ in range(job.tenants)]
    waiting = [
        _arguments(tenants[number % len(tenants)], job.batch, number * job.batch, ids)
        for number in range(job.count_max)
    ]
    waiting.reverse()
    connections = [await asyncpg.connect(dsn_of(job.url)) for _ in range(job.writers)]
    prepared = [await connection.prepare(_UPSERT) for connection in connections]
    warm = [_arguments(UUID(int=ids.bits(128)), job.batch, 0, ids) for _ in prepared]
    for statement, arguments in zip(prepared, warm, strict=True):
        await statement.fetch(*arguments)
    latencies: list[float] = []
    cpu = time.process_time()
    started = time.perf_counter()

    async def write(statement: Any) -> None:
        while waiting and time.perf_counter() - started < job.seconds:
            begun = time.perf_counter()
            await statement.fetch(*waiting.pop())
            latencies.append(time.perf_counter() - begun)

    await asyncio.gather(*map(write, prepared))
    seconds = time.perf_counter() - started
    used = time.process_time() - cpu
    for connection in connections:
        await connection.close()
    ordered = sorted(latencies)
    p50, p99, worst = (percentile(ordered, share) for share in (0.5, 0.99, 1.0))
    return Load(len(ordered), 0, seconds, p50, p99, worst, 0, used, "")


def main() -> None:
    """Carry out the job on standard input."""
    print(json.dumps(asdict(uvloop.run(_run(AloneJob(**json.load(sys.stdin)))))))


if __name__ == "__main__":
    main()
