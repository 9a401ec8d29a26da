"""`alertgraph audit verify` on logs that somebody with the owner's rights has changed, each in one place.

Those of the first part were never sealed: the chain alone tells. Those of the second were, and whoever changed
them was as careful as one can be who has no signing key.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from alertgraph.core.event import Event, EventKind, seal
from alertgraph.core.flush import Flush, Reliance
from alertgraph.core.ids import TenantId, uuid7
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Tenant
from alertgraph.core.tier import Tier
from alertgraph.edge.installation import master_key
from alertgraph.edge.telemetry import Telemetry
from alertgraph.services.sealer import Sealer
from alertgraph.settings import read_settings
from alertgraph.storage.audit_tree import PostgresAuditTrees
from alertgraph.storage.database import Database
from alertgraph.storage.log import PostgresLog
from alertgraph.storage.secrets import is_signature
from alertgraph.storage.tenants import TenantRegistry
from alertgraph.storage.witness import FolderWitness
from tests.factories import T0, a_config_event, a_flush_id, an_event, an_id
from tests.running import environment_of
from tests.servers import DatabaseServers
from tests.virtual import VirtualClock

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

# Sizes of the flushes of each log: events 1 to 3, 4, 5 to 8, 9 and 10 to 12.
FLUSHES = (3, 1, 4, 1, 3)

# What is done to the log of a tenant, and at which event it must be found.
TAMPERINGS: dict[str, tuple[str, int]] = {
    "content": ("UPDATE event SET content = replace(content, 'n° 6', 'n° 7') WHERE {t} AND number = 6", 6),
    "content-white-space": ("UPDATE event SET content = content || ' ' WHERE {t} AND number = 6", 6),
    # Who hashes again what was changed still breaks the chain, at the end of the flush.
    "content-and-leaf": (
        "UPDATE event SET content = replace(content, 'n° 6', 'n° 7') WHERE {t} AND number = 6; "
        "UPDATE event SET leaf = sha256('\\x00'::bytea || convert_to(content, 'UTF8')) WHERE {t} AND number = 6",
        8,
    ),
    "leaf": ("UPDATE event SET leaf = set_byte(leaf, 31, get_byte(leaf, 31) # 1) WHERE {t} AND number = 6", 6),
    "link": ("UPDATE event SET link = set_byte(link, 0, get_byte(link, 0) # 1) WHERE {t} AND number = 8", 8),
    "no-link": ("UPDATE event SET link = NULL WHERE {t} AND number = 4", 5),
    "another-link": ("UPDATE event SET link = leaf WHERE {t} AND number = 6", 6),
    "kind": ("UPDATE event SET kind = 2 WHERE {t} AND number = 6", 6),
    "actor-kind": ("UPDATE event SET actor_kind = 4 WHERE {t} AND number = 6", 6),
    "alert": ("UPDATE event SET alert_id = gen_random_uuid() WHERE {t} AND number = 6", 6),
    "severity-before": ("UPDATE event SET severity_before = 5 WHERE {t} AND number = 6", 6),
    "severity-after": ("UPDATE event SET severity_after = NULL WHERE {t} AND number = 6", 6),
    "service-before": ("UPDATE event SET service_before = 'other' WHERE {t} AND number = 6", 6),
    "service-after": ("UPDATE event SET service_after = 'checkout2' WHERE {t} AND number = 6", 6),
    "source": ("UPDATE event SET source = 'prometheuS' WHERE {t} AND number = 6", 6),
    "subject-type": ("UPDATE event SET subject_type = 'ApiKey' WHERE {t} AND number = 9", 9),
    "subject": ("UPDATE event SET subject_id = 'vew_2' WHERE {t} AND number = 9", 9),
    "time-of-one": ("UPDATE event SET recorded_at = recorded_at + '1 microsecond' WHERE {t} AND number = 6", 6),
    "time-of-a-flush": (
        "UPDATE event SET recorded_at = recorded_at + '1 microsecond' WHERE {t} AND number = 4",
        4,
    ),
    "flush": ("UPDATE event SET flush_id = gen_random_uuid() WHERE {t} AND number = 6", 6),
    "flush-of-one": ("UPDATE event SET flush_id = gen_random_uuid() WHERE {t} AND number = 4", 4),
    "number": ("UPDATE event SET number = 1000 WHERE {t} AND number = 6", 6),
    "last-number": ("UPDATE event SET number = 13 WHERE {t} AND number = 12", 12),
    "deleted": ("DELETE FROM event WHERE {t} AND number = 6", 6),
    "deleted-flush": ("DELETE FROM event WHERE {t} AND number = 4", 4),
    "deleted-first": ("DELETE FROM event WHERE {t} AND number = 1", 1),
    "swapped": (
        "UPDATE event SET number = 100 WHERE {t} AND number = 5; "
        "UPDATE event SET number = 5 WHERE {t} AND number = 6; "
        "UPDATE event SET number = 6 WHERE {t} AND number = 100",
        8,
    ),
    "tail": ("DELETE FROM event WHERE {t} AND number >= 10", 10),
    "half-a-tail": ("DELETE FROM event WHERE {t} AND number >= 12", 11),
    "everything": ("DELETE FROM event WHERE {t}", 1),
    "twice": (
        "CREATE TEMP TABLE twice AS SELECT * FROM event WHERE {t} AND number = 6; "
        "UPDATE twice SET recorded_at = recorded_at + '1 s'; INSERT INTO event SELECT * FROM twice; "
        "DROP TABLE twice",
        7,
    ),
    "added": (
        "CREATE TEMP TABLE added AS SELECT * FROM event WHERE {t} AND number = 12; "
        "UPDATE added SET number = 13; INSERT INTO event SELECT * FROM added; DROP TABLE added",
        13,
    ),
    "head-number": ("UPDATE tenant_head SET number = 13 WHERE {t}", 13),
    "head-link": ("UPDATE tenant_head SET link = set_byte(link, 9, get_byte(link, 9) # 128) WHERE {t}", 12),
}


CUT_TAIL = (
    "DELETE FROM event WHERE {t} AND number > 9; "
    "UPDATE tenant_head h SET number = 9, link = e.link, leaf = e.leaf, recorded_at = e.recorded_at "
    "FROM event e WHERE h.{t} AND e.{t} AND e.number = 9"
)
# The same on logs that were sealed after event 9 and after event 12.
SEALED: dict[str, tuple[str, int]] = {
    "sealed-cut-tail": (CUT_TAIL, 10),
    "sealed-cut-tail-with-its-checkpoint": (
        f"{CUT_TAIL}; DELETE FROM audit_checkpoint WHERE {{t}} AND size = 12",
        10,
    ),
    "sealed-checkpoint-root": ("UPDATE audit_checkpoint SET root = sha256(root) WHERE {t} AND size = 9", 9),
    "sealed-checkpoint-time": (
        "UPDATE audit_checkpoint SET signed_at = signed_at - interval '1 s' WHERE {t} AND size = 9",
        9,
    ),
    "sealed-checkpoint-size": ("UPDATE audit_checkpoint SET size = 8 WHERE {t} AND size = 9", 8),
    "sealed-checkpoint-signature": (
        "UPDATE audit_checkpoint SET signature = set_byte(signature, 63, get_byte(signature, 63) # 1) "
        "WHERE {t} AND size = 12",
        12,
    ),
    "sealed-checkpoint-key": (
        "UPDATE audit_checkpoint SET public_key = sha256(public_key) WHERE {t} AND size = 9",
        9,
    ),
    "sealed-checkpoint-of-another-tenant": (
        "UPDATE audit_checkpoint c SET root = o.root, signature = o.signature, signed_at = o.signed_at "
        "FROM audit_checkpoint o WHERE c.{t} AND o.tenant_id <> c.tenant_id AND o.size = c.size",
        9,
    ),
    "sealed-checkpoint-lost": ("DELETE FROM audit_checkpoint WHERE {t} AND size = 12", 12),
    "sealed-checkpoints-lost": ("DELETE FROM audit_checkpoint WHERE {t}", 12),
    "sealed-tree-set-back": ("UPDATE audit_tree SET size = 9 WHERE {t}", 10),
    "sealed-tree-lost": ("DELETE FROM audit_tree WHERE {t}", 1),
    "sealed-leaf": (
        "UPDATE audit_tile SET hashes = set_byte(hashes, 5 * 32, get_byte(hashes, 5 * 32) # 1) WHERE {t}",
        6,
    ),
    "sealed-tile-swapped": (
        "UPDATE audit_tile SET hashes = substring(hashes FROM 33 FOR 32) || substring(hashes FOR 32) "
        "|| substring(hashes FROM 65) WHERE {t}",
        1,
    ),
    "sealed-tile-short": ("UPDATE audit_tile SET hashes = substring(hashes FOR 64) WHERE {t}", 1),
    "sealed-tile-lost": ("DELETE FROM audit_tile WHERE {t}", 1),
    "sealed-epoch": ("UPDATE tenant_head SET log_epoch = 2 WHERE {t}", 12),
    # Every event from the sixth on written anew, with leaves, links and head that fit: no chain tells.
    "sealed-rewritten": ("", 6),
    # Of logs of 700 events.
    "large-tile": (
        "UPDATE audit_tile SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) WHERE {t} AND level = 1",
        1,
    ),
    "large-tile-lost": ("DELETE FROM audit_tile WHERE {t} AND level = 1", 1),
    "large-leaves-lost": ("DELETE FROM audit_tile WHERE {t} AND level = 0 AND place = 1", 257),
}
UNTOUCHED = ("untouched", "empty", "sealed-untouched", "large-untouched")


def events_of_a_log() -> list[Event]:
    events = [
        an_event(
            kind=EventKind.UPDATED,
            alert_id=an_id(number),
            title=f"n° {number}",
            severity_before=Severity.LOW,
            service_before="checkout",
        )
        for number in range(1, 13)
    ]
    events[8] = a_config_event()
    return events


@pytest.fixture(scope="module")
def said(database_servers: DatabaseServers) -> Iterator[Mapping[str, tuple[int, str] | None]]:
    """What the command says of each tenant's log: the event at fault and why; None where all is well."""
    server = database_servers.get("wheel")
    with server.database(migrated=True) as url:
        environment = environment_of(url)
        asyncio.run(tamper(url, server.superuser_url(url), environment))
        verified = verify(environment)
        assert verified.returncode == 1, verified.stderr
        lines = [line.partition(": ") for line in verified.stdout.splitlines()]
        found: dict[str, tuple[int, str] | None] = {}
        for tenant, _, text in lines:
            fault = re.fullmatch(r"FAULT at event (\d+): (.+)", text)
            found[tenant] = (int(fault[1]), fault[2]) if fault is not None else None
        yield found
        # One log alone is judged by itself.
        for tenant, status in (("untouched", 0), ("leaf", 1)):
            assert verify(environment, "--tenant", tenant).returncode == status


async def tamper(url: str, superuser_url: str, environment: Mapping[str, str]) -> None:
    """Write one log for each tampering and one besides, and do to each what is to be done."""
    database = await Database.connect(url, pool_size=4)
    registry = TenantRegistry(url, master_key(read_settings(environment)))
    owner = await asyncpg.connect(superuser_url, server_settings={"search_path": "alertgraph"})
    try:
        tenants = {}
        for index, slug in enumerate((*TAMPERINGS, *SEALED, *UNTOUCHED)):
            tenants[slug] = tenant = Tenant(TenantId(uuid7(T0, index)), slug, slug, Tier.STANDARD)
            await registry.create(tenant)
            if slug.startswith("large"):
                await write_many(PostgresLog(database), tenant.id)
            elif slug.startswith("sealed"):
                await write(PostgresLog(database), tenant.id, FLUSHES[:4])
        await seal_all(database, T0)
        for slug, tenant in tenants.items():
            if slug.startswith("sealed"):
                await write(PostgresLog(database), tenant.id, FLUSHES[4:], first=10)
        await seal_all(database, T0 + timedelta(minutes=2))
        for slug, tenant in tenants.items():
            if not slug.startswith(("sealed", "large")) and slug != "empty":
                await write(PostgresLog(database), tenant.id)
            if slug == "sealed-rewritten":
                await rewrite(owner, PostgresLog(database), tenant.id)
            for statement in {**TAMPERINGS, **SEALED}.get(slug, ("", 0))[0].split("; "):
                if statement:
                    done = await owner.execute(statement.replace("{t}", f"tenant_id = '{tenant.id}'"))
                    assert not done.endswith(" 0"), f"{slug}: {statement} did nothing"
    finally:
        await owner.close()
        await database.close()


async def write(
    log: PostgresLog, tenant_id: TenantId, flushes: Sequence[int] = FLUSHES, *, first: int = 1
) -> None:
    events = iter(events_of_a_log()[first - 1 :])
    for number, size in enumerate(flushes, first):
        sealed = tuple(seal(replace(next(events), decided_at=T0)) for _ in range(size))
        await log.append(tenant_id, Flush(a_flush_id(number), Reliance(), events=sealed))


async def write_many(log: PostgresLog, tenant_id: TenantId) -> None:
    for number in range(7):
        events = (an_event(alert_id=an_id(index), title=f"n° {number}") for index in range(100))
        sealed = tuple(seal(event) for event in events)
        await log.append(tenant_id, Flush(a_flush_id(number), Reliance(), events=sealed))


async def rewrite(owner: Any, log: PostgresLog, tenant_id: TenantId) -> None:
    """Take a log back to its fifth event, and have other things happen from then on."""
    await owner.execute("DELETE FROM event WHERE tenant_id = $1", tenant_id)
    await owner.execute(
        "UPDATE tenant_head SET number = 0, link = decode(repeat('00', 32), 'hex'), leaf = link "
        "WHERE tenant_id = $1",
        tenant_id,
    )
    events = [replace(event, decided_at=T0) for event in events_of_a_log()]
    told = [*events[:5], *(replace(event, title="nothing happened") for event in events[5:])]
    sealed = tuple(seal(event) for event in told)
    await log.append(tenant_id, Flush(a_flush_id(99), Reliance(), events=sealed))


async def seal_all(database: Database, at: datetime) -> None:
    """Seal what is there, as the service does, and keep nothing of it outside the database."""
    clock = VirtualClock(at)
    with tempfile.TemporaryDirectory() as folder:
        sealer = Sealer(
            PostgresAuditTrees(database),
            master_key(read_settings(environment_of(database.url))).signing_key,
            is_signature,
            FolderWitness(Path(folder)),
            clock,
            Telemetry(),
        )
        await sealer.sweep()


def verify(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alertgraph", "audit", "verify", *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("tampering", {**TAMPERINGS, **SEALED})
def test_what_was_changed_is_named(said: Mapping[str, tuple[int, str] | None], tampering: str) -> None:
    fault = said[tampering]

    assert fault is not None, "nothing was found"
    assert fault[0] == {**TAMPERINGS, **SEALED}[tampering][1], fault


@pytest.mark.parametrize("slug", UNTOUCHED)
def test_what_was_not_changed_holds(said: Mapping[str, tuple[int, str] | None], slug: str) -> None:
    assert said[slug] is None
