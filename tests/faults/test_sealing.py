"""Sealers that are killed at any moment: tree and checkpoints fit together all the time, and nothing is lost."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from alertgraph.core.checkpoint import Note, parse_note
from alertgraph.core.event import seal
from alertgraph.core.flush import Flush, Reliance
from alertgraph.core.ids import TenantId, uuid7
from alertgraph.core.merkle import grown, root
from alertgraph.core.tenant import Tenant
from alertgraph.core.tier import Tier
from alertgraph.edge.installation import master_key
from alertgraph.settings import read_settings
from alertgraph.storage.audit import verify_log, verify_tree
from alertgraph.storage.audit_tree import load_audit_head
from alertgraph.storage.database import Database
from alertgraph.storage.log import PostgresLog
from alertgraph.storage.reader import Reader
from alertgraph.storage.secrets import is_signature
from alertgraph.storage.tenants import TenantRegistry
from alertgraph.storage.witness import FolderWitness
from tests.factories import T0, a_flush_id, an_event, an_id
from tests.running import environment_of

pytestmark = [pytest.mark.faults, pytest.mark.both_servers, pytest.mark.timeout(180)]

EVENT_COUNT = 4_000
KILL_COUNT = 5

# Seals in small steps until nothing is left, and goes on looking.
SEALER = """
import asyncio, sys
from pathlib import Path
from alertgraph.edge.clock import SystemClock
from alertgraph.edge.installation import master_key
from alertgraph.edge.telemetry import Telemetry
from alertgraph.services import sealer
from alertgraph.settings import read_settings
from alertgraph.storage.audit_tree import PostgresAuditTrees
from alertgraph.storage.database import Database
from alertgraph.storage.secrets import is_signature
from alertgraph.storage.witness import FolderWitness

async def main():
    settings = read_settings()
    sealer.PAUSE = sealer.PAUSE / 20
    database = await Database.connect(settings.database_url.get_secret_value(), pool_size=2)
    one = sealer.Sealer(PostgresAuditTrees(database, turn_length=8), master_key(settings).signing_key,
                        is_signature, FolderWitness(Path(sys.argv[1])), SystemClock(), Telemetry())
    print("sealing", flush=True)
    while True:
        await one.sweep()
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def start(environment: Mapping[str, str], folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SEALER, str(folder)], env=dict(environment), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "sealing\n"
    return process


async def test_killed_sealers_leave_a_tree_that_holds(database_url: str, folder: Path) -> None:
    environment = environment_of(database_url)
    key = master_key(read_settings(environment))
    dice = random.Random(6962)
    database = await Database.connect(database_url, pool_size=4)
    try:
        tenant = Tenant(TenantId(uuid7(T0, 1)), "acme", "Acme", Tier.STANDARD)
        await TenantRegistry(database_url, key).create(tenant)
        leaves = await write(database, tenant.id)
        keys = [key.signing_key(1).public_key]
        sizes = []
        for _ in range(KILL_COUNT):
            processes = [await asyncio.to_thread(start, environment, folder) for _ in range(2)]
            await asyncio.sleep(dice.uniform(0.02, 0.15))
            for process in processes:
                process.kill()
                process.wait()
            # Whatever was under way: what is signed is what the events come to, up to there.
            await settled(database)
            result = await verify_tree(database, tenant.id, keys, is_signature, witnessed(folder, tenant.id))
            assert result.fault is None
            sizes.append(result.sealed_number)
        assert sizes == sorted(sizes)
        assert len(set(sizes)) > 2, f"nobody was killed at work: {sizes}"

        process = await asyncio.to_thread(start, environment, folder)
        deadline = time.monotonic() + 60
        try:
            while await sealed_size(database, tenant.id) < EVENT_COUNT:
                assert time.monotonic() < deadline, "it was not taken up again"
                await asyncio.sleep(0.1)
        finally:
            process.kill()
            process.wait()
        await settled(database)
        result = await verify_tree(database, tenant.id, keys, is_signature, witnessed(folder, tenant.id))
        assert (result.sealed_number, result.fault) == (EVENT_COUNT, None)
        async with Reader.open(database, tenant.id) as reader:
            head = await load_audit_head(reader)
        assert head is not None
        assert head.checkpoint.root == root(grown({}, 0, leaves), EVENT_COUNT)
        assert await verify_log(database, tenant.id) == (EVENT_COUNT, None)
    finally:
        await database.close()


async def write(database: Database, tenant_id: TenantId) -> list[bytes]:
    """Fill a log, and return its leaves."""
    log, leaves = PostgresLog(database), []
    for number in range(EVENT_COUNT // 500):
        sealed = tuple(seal(an_event(alert_id=an_id(index), title=f"n° {number}")) for index in range(500))
        await log.append(tenant_id, Flush(a_flush_id(number), Reliance(), events=sealed))
        leaves += [each.leaf for each in sealed]
    return leaves


async def sealed_size(database: Database, tenant_id: TenantId) -> int:
    async with Reader.open(database, tenant_id) as reader:
        head = await load_audit_head(reader)
    return head.checkpoint.size if head is not None else 0


async def settled(database: Database) -> None:
    """Return once the server has noticed that those who were killed are gone."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'alertgraph' AND xact_start < now()"
    async with database.connection() as connection:
        for _ in range(100):
            if await connection.fetchval(query) == 0:
                return
            await asyncio.sleep(0.05)


def witnessed(folder: Path, tenant_id: TenantId) -> list[Note]:
    note = FolderWitness(folder).newest(tenant_id)
    return [parse_note(note)] if note is not None else []
