"""Logs are sealed a turn at a time, whoever does it and whenever it ends, and never over what was signed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alertgraph.core.checkpoint import Checkpoint, SignedCheckpoint, VerifierKey, is_signed, parse_note
from alertgraph.core.errors import ConflictError, DependencyError, NotFoundError
from alertgraph.core.event import EventKind, leaf_hash, seal
from alertgraph.core.flush import Flush, Reliance
from alertgraph.core.ids import TenantId
from alertgraph.core.merkle import grown, root
from alertgraph.core.proof import consistency_tiles, inclusion_tiles, prove_consistency, prove_inclusion
from alertgraph.core.sealing import Refusal
from alertgraph.services.ports import AuditLag
from alertgraph.services.sealer import Sealer
from alertgraph.storage.audit import verify_tree
from alertgraph.storage.audit_tree import PostgresAuditTrees, load_audit_head, load_tiles, restart
from alertgraph.storage.partitions import Housekeeper
from alertgraph.storage.reader import Reader
from alertgraph.storage.secrets import MasterKey, is_signature
from alertgraph.storage.witness import FolderWitness
from tests.factories import DAY, MINUTE, SECOND, an_event, an_id
from tests.integration.storage.world import MASTER_KEY, World, a_world, new_flush_id
from tests.virtual import VirtualClock

pytestmark = pytest.mark.both_servers


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


class Watched:
    """What the sealer reports."""

    def __init__(self) -> None:
        self.events = 0
        self.checkpoints = 0
        self.refused: list[str] = []
        self.failures: list[tuple[str, BaseException]] = []

    def sealed(self, *, events: int) -> None:
        self.events += events
        self.checkpoints += 1

    def seal_refused(self, tenant_id: TenantId, *, why: str) -> None:
        self.refused.append(why)

    def failed(self, part: str, error: BaseException) -> None:
        self.failures.append((part, error))


class Office:
    """A sealer with its clock, its witness and its observer."""

    def __init__(self, world: World, folder: Path, key: MasterKey = MASTER_KEY, turn_length: int = 4096) -> None:
        self.watched = Watched()
        self.clock = VirtualClock()
        self.witness = FolderWitness(folder)
        self.trees = PostgresAuditTrees(world.database, turn_length=turn_length)
        self.sealer = Sealer(self.trees, key.signing_key, is_signature, self.witness, self.clock, self.watched)

    async def sweep(self, later: timedelta = MINUTE) -> int:
        """Seal what is due after that long."""
        self.clock.advance(later)
        sweep = asyncio.create_task(self.sealer.sweep())
        while not sweep.done():
            await asyncio.sleep(0.002)
            self.clock.advance(SECOND / 10)
        return await sweep


@pytest.fixture
def office(world: World, tmp_path: Path) -> Office:
    return Office(world, tmp_path)


async def write(world: World, tenant_id: TenantId, count: int, flush_length: int = 100) -> None:
    """Append that many events."""
    while count:
        length = min(count, flush_length)
        sealed = tuple(
            seal(an_event(title=f"n° {count - index}", alert_id=an_id(index))) for index in range(length)
        )
        await world.log.append(tenant_id, Flush(new_flush_id(), Reliance(), events=sealed))
        count -= length


async def leaves(world: World, tenant_id: TenantId) -> list[bytes]:
    rows = await world.rows("SELECT content FROM event WHERE tenant_id = $1 ORDER BY number", tenant_id)
    return [leaf_hash(row[0]) for row in rows]


async def sizes(world: World, tenant_id: TenantId) -> list[int]:
    rows = await world.rows("SELECT size FROM audit_checkpoint WHERE tenant_id = $1 ORDER BY size", tenant_id)
    return [row[0] for row in rows]


async def head_of(world: World, tenant_id: TenantId) -> Any:
    async with Reader.open(world.database, tenant_id) as reader:
        return await load_audit_head(reader)


async def test_a_log_is_sealed_as_it_is(world: World, office: Office) -> None:
    tenant_id = await world.tenant(items=())
    await write(world, tenant_id, 700)

    assert await office.sweep() == 700
    head = await head_of(world, tenant_id)

    expected = await leaves(world, tenant_id)
    assert head.checkpoint.size == 700
    assert head.checkpoint.root == root(grown({}, 0, expected), 700)
    assert head.checkpoint.tree.origin.endswith("/1/1")
    key = VerifierKey(head.checkpoint.tree.origin, MASTER_KEY.signing_key(1).public_key)
    assert is_signed(parse_note(head.note), key, is_signature)
    assert office.witness.newest(tenant_id) == head.note
    assert (office.watched.events, office.watched.checkpoints, office.watched.failures) == (700, 1, [])


async def test_it_is_sealed_each_minute_or_thousand_events(world: World, office: Office) -> None:
    tenant_id = await world.tenant(items=())
    assert await office.sweep() == 0
    await write(world, tenant_id, 10)
    assert await office.sweep(SECOND) == 10, "a log that was never sealed does not wait"

    await write(world, tenant_id, 999)
    assert await office.sweep(50 * SECOND) == 0
    await write(world, tenant_id, 1)
    assert await office.sweep(SECOND) == 1000, "a thousand events do not wait"

    await write(world, tenant_id, 1)
    assert await office.sweep(30 * SECOND) == 0
    assert await office.sweep(30 * SECOND) == 1, "a minute is over"
    assert await office.sweep(MINUTE) == 0, "nothing is new"
    assert await sizes(world, tenant_id) == [10, 1010, 1011]


async def test_what_was_left_is_sealed_in_steps(world: World, tmp_path: Path) -> None:
    office = Office(world, tmp_path, turn_length=256)
    first, second = await world.tenant("first", items=()), await world.tenant("second", items=())
    await write(world, first, 1100)
    await write(world, second, 300)

    assert await office.sweep() == 1400
    assert await sizes(world, first) == [256, 512, 768, 1024, 1100]
    assert await sizes(world, second) == [256, 300]
    for tenant_id, size in ((first, 1100), (second, 300)):
        head = await head_of(world, tenant_id)
        assert head.checkpoint.root == root(grown({}, 0, await leaves(world, tenant_id)), size)


async def test_every_event_and_every_earlier_head_is_proved(world: World, office: Office) -> None:
    tenant_id = await world.tenant(items=())
    earlier = []
    for count in (1, 1, 254, 1, 300, 3):
        await write(world, tenant_id, count)
        await office.sweep()
        earlier.append((await head_of(world, tenant_id)).checkpoint)

    expected = await leaves(world, tenant_id)
    async with Reader.open(world.database, tenant_id) as reader:
        head = await load_audit_head(reader)
        for number in (1, 2, 255, 256, 257, 512, 559, 560):
            tiles = await load_tiles(reader, inclusion_tiles(head, number))
            assert prove_inclusion(head, number, expected[number - 1], tiles).index == number - 1
            assert prove_inclusion(head, number, None, tiles).leaf == expected[number - 1]
        for checkpoint in earlier:
            tiles = await load_tiles(reader, consistency_tiles(head, checkpoint.size))
            prove_consistency(head, checkpoint.size, tiles)
            assert root(tiles, checkpoint.size) == checkpoint.root


async def test_several_sealers_take_turns(world: World, tmp_path: Path) -> None:
    tenants = [await world.tenant(f"t{index}", items=()) for index in range(3)]
    offices = [Office(world, tmp_path, turn_length=100) for _ in range(3)]
    for _ in range(3):
        await asyncio.gather(*(write(world, tenant_id, 230, 23) for tenant_id in tenants))
        await asyncio.gather(*(office.sweep() for office in offices))
    await offices[0].sweep()

    assert sum(office.watched.events for office in offices) == 3 * 690
    assert [office.watched.failures for office in offices] == [[], [], []]
    for tenant_id in tenants:
        head = await head_of(world, tenant_id)
        assert head.checkpoint.root == root(grown({}, 0, await leaves(world, tenant_id)), 690)


async def test_a_turn_that_fails_leaves_nothing_behind(world: World, office: Office) -> None:
    tenant_id = await world.tenant(items=())
    await write(world, tenant_id, 300)
    await office.sweep()
    await write(world, tenant_id, 300)

    def broken(_: object) -> Any:
        raise OSError("the process ends here")

    office.clock.advance(MINUTE)
    with pytest.raises((OSError, DependencyError)):
        await office.trees.turn(tenant_id, None, office.clock.now(), lambda state: _grown(state, office), broken)
    assert await sizes(world, tenant_id) == [300]

    assert await office.sweep() == 300
    head = await head_of(world, tenant_id)
    assert head.checkpoint.root == root(grown({}, 0, await leaves(world, tenant_id)), 600)


def _grown(state: Any, office: Office) -> Any:
    from alertgraph.core.sealing import grow

    public_key = MASTER_KEY.signing_key(1).public_key
    return grow(state, None, {public_key}, is_signature, office.clock.now())


# ------------------------------------------------------------------------------------- what is refused

CUT_TAIL = (
    "DELETE FROM event WHERE tenant_id = $1 AND number > 20",
    "UPDATE tenant_head h SET number = 20, link = e.link, leaf = e.leaf FROM event e "
    "WHERE h.tenant_id = $1 AND e.tenant_id = $1 AND e.number = 20",
)
# What is done to a sealed log of 30 events, and why it is not sealed any further.
TAMPERINGS: dict[str, tuple[Sequence[str], Refusal]] = {
    "cut": (CUT_TAIL, Refusal.CUT),
    "cut behind the head": (CUT_TAIL[:1], Refusal.CUT),
    "rewritten": (
        ("UPDATE event SET leaf = sha256(leaf) WHERE tenant_id = $1 AND number = 30",),
        Refusal.REWRITTEN,
    ),
    "checkpoint removed": (("DELETE FROM audit_checkpoint WHERE tenant_id = $1",), Refusal.CHECKPOINT),
    "checkpoint rooted elsewhere": (
        ("UPDATE audit_checkpoint SET root = sha256(root) WHERE tenant_id = $1",),
        Refusal.CHECKPOINT,
    ),
    "checkpoint dated back": (
        ("UPDATE audit_checkpoint SET signed_at = signed_at - interval '1 day' WHERE tenant_id = $1",),
        Refusal.CHECKPOINT,
    ),
    "signature changed": (
        (
            "UPDATE audit_checkpoint SET signature = set_byte(signature, 9, get_byte(signature, 9) # 1) "
            "WHERE tenant_id = $1",
        ),
        Refusal.CHECKPOINT,
    ),
    "another key": (
        ("UPDATE audit_checkpoint SET public_key = sha256(public_key) WHERE tenant_id = $1",),
        Refusal.CHECKPOINT,
    ),
    "tree set back": (("UPDATE audit_tree SET size = 20 WHERE tenant_id = $1",), Refusal.CHECKPOINT),
    "tree begun anew": (("UPDATE audit_tree SET size = 0 WHERE tenant_id = $1",), Refusal.CHECKPOINT),
    "tile changed": (
        ("UPDATE audit_tile SET hashes = set_byte(hashes, 40, get_byte(hashes, 40) # 1) WHERE tenant_id = $1",),
        Refusal.TREE,
    ),
    "tile cut": (
        ("UPDATE audit_tile SET hashes = substring(hashes FROM 1 FOR 64) WHERE tenant_id = $1",),
        Refusal.TREE,
    ),
    "tile removed": (("DELETE FROM audit_tile WHERE tenant_id = $1",), Refusal.TREE),
    "epoch": (("UPDATE tenant_head SET log_epoch = 2 WHERE tenant_id = $1",), Refusal.EPOCH),
}


@pytest.mark.parametrize("grows", [False, True], ids=["as it is", "grown since"])
@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_what_contradicts_a_checkpoint_is_not_sealed_over(
    world: World, office: Office, tampering: str, *, grows: bool
) -> None:
    statements, refusal = TAMPERINGS[tampering]
    tenant_id, other = await world.tenant(items=()), await world.tenant("other", items=())
    await write(world, tenant_id, 30, 10)
    await office.sweep()
    for statement in statements:
        await world.execute(statement, tenant_id)
    if grows or tampering not in ("cut", "epoch", "tree set back", "tree begun anew"):
        # Longer than it was: a log that was cut off is not known by its length any more.
        await write(world, tenant_id, 25)
        if tampering == "cut":
            refusal = Refusal.REWRITTEN
    await write(world, other, 5)

    assert await office.sweep() == 5, "another tenant's log is sealed all the same"
    assert office.watched.refused == [refusal.text]
    assert await office.sweep(SECOND) == 0
    assert len(office.watched.refused) == 1, "it is looked at each minute, not each sweep"
    await office.sweep()
    assert len(office.watched.refused) == 2
    row = (await world.rows("SELECT refusal FROM audit_tree WHERE tenant_id = $1", tenant_id))[0]
    assert row[0] == refusal
    assert (await office.trees.lag()).refused_count == 1


async def test_events_that_are_missing_are_not_left_out(world: World, office: Office) -> None:
    tenant_id = await world.tenant(items=())
    await write(world, tenant_id, 30)
    await office.sweep()
    await write(world, tenant_id, 30)
    kept = await world.rows("SELECT * FROM event WHERE tenant_id = $1 AND number = 40", tenant_id)
    await world.execute("DELETE FROM event WHERE tenant_id = $1 AND number = 40", tenant_id)

    assert await office.sweep() == 0
    assert office.watched.refused == [Refusal.HOLE.text]

    # Put back, it is as it was: what was refused is sealed.
    columns = ", ".join(kept[0].keys())
    holes = ", ".join(f"${n + 1}" for n in range(len(kept[0])))
    await world.execute(f"INSERT INTO event ({columns}) VALUES ({holes})", *kept[0].values())
    assert await office.sweep() == 30
    assert await office.trees.lag() == AuditLag(0, 0)


async def test_another_tenants_checkpoint_is_none_of_ones_own(world: World, office: Office) -> None:
    first, second = await world.tenant("first", items=()), await world.tenant("second", items=())
    for tenant_id in (first, second):
        await write(world, tenant_id, 30)
    await office.sweep()
    for table, columns in (
        ("audit_checkpoint", "log_epoch, size, first_number, root, signed_at, public_key, signature"),
        ("audit_tile", "level, place, hashes"),
    ):
        await world.execute(f"DELETE FROM {table} WHERE tenant_id = $1", first)
        await world.execute(
            f"INSERT INTO {table} (tenant_id, {columns}) SELECT $1, {columns} FROM {table} WHERE tenant_id = $2",
            first,
            second,
        )
    await write(world, first, 1)

    assert await office.sweep() == 0
    assert office.watched.refused == [Refusal.CHECKPOINT.text]


async def test_a_database_that_was_taken_back_is_known_by_what_is_kept_outside(
    world: World, office: Office
) -> None:
    tenant_id = await world.tenant(items=())
    await write(world, tenant_id, 30, 10)
    await office.sweep()
    saved = {
        table: await world.rows(f"SELECT * FROM {table} WHERE tenant_id = $1", tenant_id)
        for table in ("audit_tree", "audit_tile", "audit_checkpoint", "event", "tenant_head")
    }
    await write(world, tenant_id, 20)
    await office.sweep()

    for table, rows in saved.items():
        await world.execute(f"DELETE FROM {table} WHERE tenant_id = $1", tenant_id)
        for row in rows:
            holes = ", ".join(f"${n + 1}" for n in range(len(row)))
            await world.execute(f"INSERT INTO {table} ({', '.join(row.keys())}) VALUES ({holes})", *row.values())
    await write(world, tenant_id, 40)

    assert await office.sweep() == 0
    assert office.watched.refused == [Refusal.REWOUND.text]
    # Elsewhere nobody knows better.
    assert await Office(world, Path("/nowhere")).sweep(20 * MINUTE) == 40


async def test_what_lies_outside_may_be_behind_or_none_of_ours(world: World, tmp_path: Path) -> None:
    tenant_id = await world.tenant(items=())
    office, elsewhere = Office(world, tmp_path / "here"), Office(world, tmp_path / "there")
    await write(world, tenant_id, 300)
    await office.sweep()
    await write(world, tenant_id, 300)
    await elsewhere.sweep(10 * MINUTE)
    await write(world, tenant_id, 10)

    assert await office.sweep(20 * MINUTE) == 10, "its own note is two checkpoints old, and of this log"

    for content in ("", "garbage", "\x00" * 100):
        office.witness.path(tenant_id).write_text(content)
        await write(world, tenant_id, 1)
        assert await office.sweep() == 1
    stranger = Office(world, tmp_path / "stranger", MasterKey(bytes(32)))
    forged = (await head_of(world, tenant_id)).note.replace("/1/1", "/9/1")
    office.witness.keep(tenant_id, forged)
    await write(world, tenant_id, 1)
    assert await office.sweep() == 1, "what nobody signed is not believed"
    assert stranger.watched.refused == []


async def test_a_place_that_can_not_be_written_stops_nothing(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    office = Office(world, tmp_path / "file")
    tenant_id = await world.tenant(items=())
    await write(world, tenant_id, 3)

    assert await office.sweep() == 3
    assert {part for part, _ in office.watched.failures} == {"witness"}


# ------------------------------------------------------------------------------------------- keys


async def test_a_key_that_was_swapped_in_the_database_signs_nothing(world: World, office: Office) -> None:
    tenant_id = await world.tenant(items=())
    await write(world, tenant_id, 3)
    await office.sweep()
    await world.execute("UPDATE audit_key SET public_key = sha256(public_key)")
    await write(world, tenant_id, 3)

    with pytest.raises(DependencyError, match="do not follow from the master key"):
        await office.sweep()
    assert await sizes(world, tenant_id) == [3]


async def test_after_a_rotation_both_keys_are_believed(world: World, office: Office) -> None:
    tenant_id = await world.tenant(items=())
    await write(world, tenant_id, 3)
    await office.sweep()
    await world.execute(
        "INSERT INTO audit_key (generation, public_key) VALUES (2, $1)", MASTER_KEY.signing_key(2).public_key
    )
    await write(world, tenant_id, 3)

    assert await office.sweep() == 3
    rows = await world.rows(
        "SELECT public_key FROM audit_checkpoint WHERE tenant_id = $1 ORDER BY size", tenant_id
    )
    assert [row[0] for row in rows] == [MASTER_KEY.signing_key(generation).public_key for generation in (1, 2)]
    assert office.watched.refused == []


# ------------------------------------------------------------------------------------------- retention


async def age(world: World, tenant_id: TenantId, *, number: int, by: timedelta) -> None:
    """Have the events up to a number recorded that long ago, on the same day's partition."""
    await world.execute("SELECT ensure_partitions(now() - $1::interval, now())", by + 40 * DAY)
    await world.execute(
        "UPDATE event SET recorded_at = recorded_at - $3::interval WHERE tenant_id = $1 AND number <= $2",
        tenant_id,
        number,
        by,
    )


async def test_retention_waits_for_the_sealer_and_proofs_outlive_events(world: World, office: Office) -> None:
    tenant_id = await world.tenant(items=())
    keeper = Housekeeper(world.database, world.url)
    await write(world, tenant_id, 10, 10)
    await office.sweep()
    await write(world, tenant_id, 10, 10)
    expected = await leaves(world, tenant_id)
    await age(world, tenant_id, number=20, by=500 * DAY)
    await world.execute("UPDATE audit_tree SET recorded_at = recorded_at - interval '500 days'")

    assert (await keeper.retire()).events == 10, "the other ten are in no tree yet"
    assert await world.value("SELECT pruned_number FROM tenant_head WHERE tenant_id = $1", tenant_id) == 10
    assert await office.sweep() == 10
    await keeper.retire()
    assert await world.value("SELECT pruned_number FROM tenant_head WHERE tenant_id = $1", tenant_id) == 20
    assert await leaves(world, tenant_id) == []

    await write(world, tenant_id, 1)
    assert await office.sweep() == 1
    async with Reader.open(world.database, tenant_id) as reader:
        head = await load_audit_head(reader)
        tiles = await load_tiles(reader, inclusion_tiles(head, 4))
    assert head.checkpoint.size == 21
    assert prove_inclusion(head, 4, None, tiles).leaf == expected[3]


async def test_a_log_that_lost_events_before_has_a_tree_of_the_rest(world: World, office: Office) -> None:
    tenant_id = await world.tenant(items=())
    await write(world, tenant_id, 10, 10)
    await age(world, tenant_id, number=10, by=500 * DAY)
    await Housekeeper(world.database, world.url).retire()
    await write(world, tenant_id, 7)

    assert await office.sweep() == 7
    head = await head_of(world, tenant_id)
    assert head.checkpoint.tree.origin.endswith("/1/11")
    assert (head.checkpoint.last_number, head.checkpoint.covers(10), head.checkpoint.covers(11)) == (
        17,
        False,
        True,
    )


async def test_checkpoints_are_thinned_out_to_one_of_each_day(world: World, office: Office) -> None:
    tenant_id = await world.tenant(items=())
    for _ in range(6):
        await write(world, tenant_id, 1)
        await office.sweep()
    midnight: datetime = await world.value("SELECT date_trunc('day', now(), 'UTC') - interval '100 days'")
    for size, at in ((1, -2), (2, -1), (3, 0), (4, 5), (5, 23)):
        await world.execute(
            "UPDATE audit_checkpoint SET signed_at = $3 WHERE tenant_id = $1 AND size = $2",
            tenant_id,
            size,
            midnight + timedelta(hours=at),
        )

    retired = await Housekeeper(world.database, world.url).retire()

    assert await sizes(world, tenant_id) == [2, 5, 6]
    assert retired.checkpoints == 3


async def test_one_who_is_scoped_by_row_level_security_sees_no_other_tree(world: World, office: Office) -> None:
    first, second = await world.tenant("first", items=()), await world.tenant("second", items=())
    await write(world, first, 3)
    await office.sweep()

    assert await head_of(world, second) is None
    async with Reader.open(world.database, second) as reader:
        assert await load_tiles(reader, inclusion_tiles(await head_of(world, first), 1)) == {}
        assert not await reader.fetch("SELECT FROM audit_tree")
    for statement in (
        "DELETE FROM audit_checkpoint",
        "UPDATE audit_checkpoint SET root = root",
        "TRUNCATE audit_tile",
    ):
        with pytest.raises(DependencyError, match="42501"):
            async with world.database.transaction(first) as connection:
                await connection.execute(statement)


def test_events_of_every_kind_have_a_leaf() -> None:
    assert len({seal(replace(an_event(), kind=kind)).leaf for kind in EventKind}) == len(EventKind)


# ------------------------------------------------------------------------------------- begun anew


def signer(checkpoint: Checkpoint) -> SignedCheckpoint:
    key = MASTER_KEY.signing_key(1)
    return SignedCheckpoint(checkpoint, key.public_key, key.sign(checkpoint.text.encode()))


KEYS = [MASTER_KEY.signing_key(1).public_key]


@pytest.mark.parametrize("count", [30, 600])
async def test_a_log_that_was_cut_off_is_begun_anew(world: World, office: Office, count: int) -> None:
    tenant_id = await world.tenant(items=())
    await write(world, tenant_id, count, 10)
    await office.sweep()
    cut_off = count - 20
    for statement in (
        f"DELETE FROM event WHERE tenant_id = $1 AND number > {cut_off}",
        f"UPDATE tenant_head h SET number = {cut_off}, link = e.link, leaf = e.leaf FROM event e "
        f"WHERE h.tenant_id = $1 AND e.tenant_id = $1 AND e.number = {cut_off}",
    ):
        await world.execute(statement, tenant_id)
    await office.sweep()
    assert office.watched.refused == [Refusal.CUT.text]

    done = await restart(world.url, tenant_id, signer, office.clock.now().replace(microsecond=0))

    assert done.before is not None
    assert done.signed is not None
    assert (done.before.checkpoint.size, done.signed.checkpoint.size, done.log_epoch) == (count, cut_off, 2)
    assert done.signed.checkpoint.root == root(grown({}, 0, await leaves(world, tenant_id)), cut_off)
    await write(world, tenant_id, 300)
    assert await office.sweep() == 300
    result = await verify_tree(world.database, tenant_id, KEYS, is_signature)
    assert result.fault is None
    # One checkpoint of the epoch before, and two of this one.
    assert (result.sealed_number, result.checkpoint_count) == (cut_off + 300, 3)
    assert result.origin is not None
    assert result.origin.endswith("/2/1")


@pytest.mark.parametrize("loses", [False, True], ids=["leaves kept", "leaves lost"])
async def test_leaves_of_retired_events_are_kept_where_they_can_be(
    world: World, office: Office, *, loses: bool
) -> None:
    tenant_id = await world.tenant(items=())
    await write(world, tenant_id, 300, 100)
    await office.sweep()
    await write(world, tenant_id, 50, 50)
    await office.sweep()
    expected = await leaves(world, tenant_id)
    await age(world, tenant_id, number=300, by=500 * DAY)
    await Housekeeper(world.database, world.url).retire()
    await world.execute(
        "UPDATE audit_tile SET hashes = sha256(hashes) WHERE tenant_id = $1 AND level = 1", tenant_id
    )
    if loses:
        await world.execute("DELETE FROM audit_tile WHERE tenant_id = $1 AND level = 0 AND place = 0", tenant_id)
    await write(world, tenant_id, 1)
    await office.sweep()
    assert office.watched.refused == [Refusal.TREE.text]

    done = await restart(world.url, tenant_id, signer, office.clock.now().replace(microsecond=0))

    assert done.signed is not None
    checkpoint = done.signed.checkpoint
    kept = (await leaves(world, tenant_id))[-51:]
    if loses:
        assert (checkpoint.tree.first_number, checkpoint.size) == (301, 51)
        assert checkpoint.root == root(grown({}, 0, kept), 51)
    else:
        assert (checkpoint.tree.first_number, checkpoint.size) == (1, 351)
        assert checkpoint.root == root(grown({}, 0, [*expected[:300], *kept]), 351)
    await write(world, tenant_id, 10)
    assert await office.sweep() == 10
    assert (await verify_tree(world.database, tenant_id, KEYS, is_signature)).fault is None


async def test_a_log_is_not_begun_anew_for_nothing(world: World, office: Office) -> None:
    tenant_id = await world.tenant(items=())
    now = office.clock.now().replace(microsecond=0)
    with pytest.raises(NotFoundError):
        await restart(world.url, tenant_id, signer, now)
    await write(world, tenant_id, 3)
    await office.sweep()

    with pytest.raises(ConflictError):
        await restart(world.url, tenant_id, signer, now)
    done = await restart(world.url, tenant_id, signer, now, force=True)

    assert done.log_epoch == 2
    await write(world, tenant_id, 3)
    assert await office.sweep() == 3
    assert office.watched.refused == []


async def test_a_log_whose_events_are_all_gone_is_begun_anew_with_none(world: World, office: Office) -> None:
    tenant_id = await world.tenant(items=())
    await write(world, tenant_id, 3)
    await office.sweep()
    for statement in (
        "DELETE FROM event WHERE tenant_id = $1",
        "UPDATE tenant_head SET number = 0, link = decode(repeat('00', 32), 'hex') WHERE tenant_id = $1",
    ):
        await world.execute(statement, tenant_id)
    await office.sweep()

    done = await restart(world.url, tenant_id, signer, office.clock.now().replace(microsecond=0))

    assert done.signed is None
    assert (await verify_tree(world.database, tenant_id, KEYS, is_signature)).fault is None
    await write(world, tenant_id, 2)
    assert await office.sweep() == 2
    result = await verify_tree(world.database, tenant_id, KEYS, is_signature)
    assert (result.sealed_number, result.fault) == (2, None)
