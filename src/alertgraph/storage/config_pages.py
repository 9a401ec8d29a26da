"""What is set up in a tenant, as lists and by id: its settings, promises, saved views and keys."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters
import struct
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from alertgraph.core.errors import InputError, NotFoundError
from alertgraph.core.ids import (
    ApiKeyId,
    SavedViewId,
    SilenceId,
    TenantId,
    from_microseconds,
    pack,
    to_microseconds,
    unpack,
)
from alertgraph.core.prediction_model import PredictionModel
from alertgraph.core.query import Page, PageRequest
from alertgraph.core.schedule import OVERRIDE_LENGTH_MAX, ShiftOverride
from alertgraph.core.severity import Severity
from alertgraph.core.silence import Silence, SilenceState, state_at
from alertgraph.core.slo import SlaTarget
from alertgraph.core.tenant import ApiKey, SavedView, Tenant, TenantSettings
from alertgraph.core.tier import Tier
from alertgraph.storage import catalog
from alertgraph.storage.catalog import NEVER
from alertgraph.storage.configuration import API_KEY_SELECT, SAVED_VIEW_SELECT, api_key_of, saved_view_of
from alertgraph.storage.items import ITEM_SELECT, ItemKind, item_of, until_of
from alertgraph.storage.prediction_models import MODEL_SELECT, model_of
from alertgraph.storage.reader import Reader
from alertgraph.storage.statement import Parameters, is_storable

T = TypeVar("T")

# What a cursor says of the end of a silence that never is over by itself.
_NEVER_CODE = (1 << 63) - 1

_TENANT = "SELECT tenant_id, slug, name, tier FROM tenant WHERE tenant_id = $1"
_SLA_TARGETS = """
    SELECT severity, acknowledge_within, resolve_within FROM sla_target WHERE tenant_id = $1 ORDER BY severity DESC
"""


async def load_tenant(reader: Reader) -> Tenant:
    """Return the reader's tenant.

    Raises:
        NotFoundError: There is no such tenant any more.
    """
    for tenant_id, slug, name, tier in await reader.fetch(_TENANT, reader.tenant_id):
        return Tenant(TenantId(tenant_id), slug, name, Tier(tier))
    raise NotFoundError("There is no such tenant.")


async def load_settings(reader: Reader) -> TenantSettings:
    """Return what an ADMIN may set.

    Raises:
        NotFoundError: There is no such tenant any more.
    """
    settings = await catalog.load_settings(reader.fetch, reader.tenant_id)
    if settings is None:
        raise NotFoundError("There is no such tenant.")
    return settings


async def load_sla_targets(reader: Reader) -> list[SlaTarget]:
    """Return the tenant's promises, worst severity first."""
    rows = await reader.fetch(_SLA_TARGETS, reader.tenant_id)
    return [SlaTarget(Severity(severity), acknowledge, resolve) for severity, acknowledge, resolve in rows]


# --------------------------------------------------------------------------------------- pages


@dataclass(frozen=True, slots=True)
class _List(Generic[T]):
    """A list of configured things: few enough to be counted each time, ordered by one column and the id.

    Attributes:
        key: What is ordered by, as SQL.
        descending: Whether the largest comes first.
        encode: Writes a thing's place into a cursor.
        decode: Reads it back; raises ValueError, OverflowError or struct.error where it can't.
    """

    table: str
    columns: str
    key: str
    descending: bool
    item_of: Callable[[Sequence[Any]], T]
    encode: Callable[[T], bytes]
    decode: Callable[[bytes], tuple[object, UUID]]


def _name_of(raw: bytes) -> tuple[str, UUID]:
    name = raw[16:].decode()
    if not is_storable(name):
        raise ValueError(name)
    return name, UUID(bytes=raw[:16])


def _instant_of(raw: bytes) -> tuple[datetime, UUID]:
    microseconds, id_bytes = struct.unpack(">q16s", raw)
    return from_microseconds(microseconds), UUID(bytes=id_bytes)


_SAVED_VIEWS = _List(
    table="saved_view",
    columns=SAVED_VIEW_SELECT,
    # By bytes, so that the order is the same whatever the database's language is.
    key='name COLLATE "C"',
    descending=False,
    item_of=saved_view_of,
    encode=lambda view: view.id.bytes + view.name.encode(),
    decode=_name_of,
)
_API_KEYS = _List(
    table="api_key",
    columns=API_KEY_SELECT,
    key="created_at",
    descending=True,
    item_of=api_key_of,
    encode=lambda key: struct.pack(">q16s", to_microseconds(key.created_at), key.id.bytes),
    decode=_instant_of,
)


_MODELS = _List(
    table="prediction_model",
    columns=MODEL_SELECT,
    key="trained_at",
    descending=True,
    item_of=model_of,
    encode=lambda model: struct.pack(">q16s", to_microseconds(model.trained_at), model.id.bytes),
    decode=_instant_of,
)


def _end_of(raw: bytes) -> tuple[datetime, UUID]:
    microseconds, id_bytes = struct.unpack(">q16s", raw)
    return NEVER if microseconds == _NEVER_CODE else from_microseconds(microseconds), UUID(bytes=id_bytes)


def _encode_end(silence: Silence) -> bytes:
    ends_at = until_of(silence)
    return struct.pack(">q16s", _NEVER_CODE if ends_at is None else to_microseconds(ends_at), silence.id.bytes)


def _silence_of(row: Sequence[Any]) -> Silence:
    silence = item_of(row)
    assert isinstance(silence, Silence), "only silences were asked for"
    return silence


_SILENCES = _List(
    table="config_item",
    columns=ITEM_SELECT,
    key="until",
    descending=True,
    item_of=_silence_of,
    encode=_encode_end,
    decode=_end_of,
)


async def saved_view_page(reader: Reader, page: PageRequest, subject: str) -> Page[SavedView]:
    """Return a subject's own views and the shared ones, by name, with the total count.

    Raises:
        InputError: A cursor is not of this list.
    """
    parameters = Parameters(reader.tenant_id)
    visible = f"(shared OR owner_subject = {parameters.add(subject)})"
    return await _page(reader, _SAVED_VIEWS, page, parameters, ["tenant_id = $1", visible])


async def api_key_page(reader: Reader, page: PageRequest) -> Page[ApiKey]:
    """Return the tenant's keys, newest first, with the total count.

    Raises:
        InputError: A cursor is not of this list.
    """
    return await _page(reader, _API_KEYS, page, Parameters(reader.tenant_id), ["tenant_id = $1"])


async def model_page(reader: Reader, page: PageRequest) -> Page[PredictionModel]:
    """Return versions of the model, newest first, with the total count.

    Raises:
        InputError: A cursor is not of this list.
    """
    return await _page(reader, _MODELS, page, Parameters(reader.tenant_id), ["tenant_id = $1"])


async def silence_page(
    reader: Reader, page: PageRequest, states: Collection[SilenceState], now: datetime, live: Sequence[Silence]
) -> Page[Silence]:
    """Return silences in these states (all where empty), latest end first, with the total count.

    Args:
        reader: Whose silences.
        page: Which part of the list.
        states: Where they stand at `now`.
        now: The instant in question.
        live: At least all that are not over, as the catalog has them.

    Raises:
        InputError: A cursor is not of this list.
    """
    parameters = Parameters(reader.tenant_id, int(ItemKind.SILENCE))
    where = ["tenant_id = $1", "kind = $2"]
    if states and not set(SilenceState) <= set(states):
        # When one is over is a column; whether a recurring one covers this moment, only the core can tell.
        wanted = [silence.id for silence in live if state_at(silence, now) in states]
        either = [f"(until > {parameters.named('now', now)} AND id = ANY ({parameters.add(wanted)}::uuid[]))"]
        if SilenceState.EXPIRED in states:
            either.append(f"until <= {parameters.named('now', now)}")
        where.append(f"({' OR '.join(either)})")
    return await _page(reader, _SILENCES, page, parameters, where)


async def _page(
    reader: Reader, listed: _List[T], page: PageRequest, parameters: Parameters, where: list[str]
) -> Page[T]:
    counted = f"SELECT count(*) FROM {listed.table} WHERE {' AND '.join(where)}"
    [[total]] = await reader.fetch(counted, *parameters.values)
    for name, cursor, is_after in (("after", page.after, True), ("before", page.before, False)):
        if cursor is not None:
            key, id_ = _place(listed, cursor, name)
            comparison = ">" if is_after is not listed.descending else "<"
            where.append(f"({listed.key}, id) {comparison} ({parameters.add(key)}, {parameters.add(id_)})")
    way = "DESC" if listed.descending is not page.backward else "ASC"
    rows = await reader.fetch(
        f"SELECT {listed.columns} FROM {listed.table} WHERE {' AND '.join(where)}"
        f" ORDER BY {listed.key} {way}, id {way} LIMIT {parameters.add(page.size + 1)}",
        *parameters.values,
    )
    items = [listed.item_of(row) for row in rows[: page.size]]
    more = len(rows) > page.size
    return Page(
        [(pack(listed.encode(item)), item) for item in (items[::-1] if page.backward else items)],
        has_next=page.before is not None if page.backward else more or page.before is not None,
        has_previous=more or page.after is not None if page.backward else page.after is not None,
        as_of=await reader.as_of(),
        total_count=total,
    )


def _place(listed: _List[T], cursor: str, name: str) -> tuple[object, UUID]:
    raw = unpack(cursor)
    try:
        if raw is not None:
            return listed.decode(raw)
    except (ValueError, OverflowError, struct.error):
        pass
    raise InputError("This is not a cursor of this list.", name)


# --------------------------------------------------------------------------------------- by id

_VIEWS_BY_ID = f"""
    SELECT {SAVED_VIEW_SELECT} FROM saved_view
    WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) AND (shared OR owner_subject = $3)
"""
_SILENCES_BY_ID = f"""
    SELECT {ITEM_SELECT} FROM config_item
    WHERE tenant_id = $1 AND kind = {ItemKind.SILENCE:d}::smallint AND id = ANY ($2::uuid[])
"""
# One ends after it begins, and lasts so long at most: that bounds the part of the index to be read.
_OVERRIDES = f"""
    SELECT {ITEM_SELECT} FROM config_item
    WHERE tenant_id = $1 AND kind = {ItemKind.OVERRIDE:d}::smallint AND until > $2::timestamptz
        AND until < $3::timestamptz + interval '{OVERRIDE_LENGTH_MAX.days} days'
"""
_KEYS_BY_ID = f"SELECT {API_KEY_SELECT} FROM api_key WHERE tenant_id = $1 AND id = ANY ($2::uuid[])"


async def load_saved_views(
    reader: Reader, ids: Collection[SavedViewId], subject: str
) -> dict[SavedViewId, SavedView]:
    """Return those of the views that the subject may see."""
    if not ids:
        return {}
    rows = await reader.fetch(_VIEWS_BY_ID, reader.tenant_id, list(ids), subject)
    return {view.id: view for view in map(saved_view_of, rows)}


async def load_overrides(reader: Reader, since: datetime, until: datetime) -> list[ShiftOverride]:
    """Return the overrides of all schedules that touch [since, until), by begin, however long they are over."""
    rows = await reader.fetch(_OVERRIDES, reader.tenant_id, since, until)
    found = [item for item in map(item_of, rows) if isinstance(item, ShiftOverride) and item.starts_at < until]
    return sorted(found, key=lambda override: (override.starts_at, override.id))


async def load_api_keys(reader: Reader, ids: Collection[ApiKeyId]) -> dict[ApiKeyId, ApiKey]:
    """Return the keys that exist among the ids."""
    if not ids:
        return {}
    rows = await reader.fetch(_KEYS_BY_ID, reader.tenant_id, list(ids))
    return {key.id: key for key in map(api_key_of, rows)}


async def load_silences(reader: Reader, ids: Collection[SilenceId]) -> dict[SilenceId, Silence]:
    """Return the silences that exist among the ids, those that are over included."""
    if not ids:
        return {}
    rows = await reader.fetch(_SILENCES_BY_ID, reader.tenant_id, list(ids))
    return {silence.id: silence for silence in map(_silence_of, rows)}
