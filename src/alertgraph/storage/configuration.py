"""What people set up, changed in the same transaction as the event that tells of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from alertgraph.core.catalog import Change
from alertgraph.core.document import TrustedDocument
from alertgraph.core.errors import DependencyError
from alertgraph.core.event import SealedEvent
from alertgraph.core.flush import Appended, Flush, IdempotencyKey, Reliance, StoredAnswer, TenantConfig
from alertgraph.core.ids import ApiKeyId, FlushId, SavedViewId, TenantId
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.monitored_service import Dependencies
from alertgraph.core.tenant import ApiKey, Role, SavedView, Tenant, TenantSettings
from alertgraph.core.tier import Tier
from alertgraph.services.ports import AnsweredError, DocumentChange, KeySecret, LostCommitError, StoredKey
from alertgraph.storage.catalog import delete_items, load_settings, write_items, write_settings
from alertgraph.storage.database import DEPENDENCY, Connection, Database
from alertgraph.storage.documents import delete_documents, read_documents, write_documents
from alertgraph.storage.log import append, find_flush, lock_head, read_config
from alertgraph.storage.monitored_services import read_dependencies, write_dependencies
from alertgraph.storage.rows import actor_of

T = TypeVar("T")

# The columns that `api_key_of` and `saved_view_of` read, in their order.
API_KEY_COLUMNS = (
    "id",
    "name",
    "prefix",
    "role",
    "matchers",
    "cost_budget",
    "created_at",
    "created_by",
    "expires_at",
    "last_used_at",
    "revoked_at",
    "version",
)
SAVED_VIEW_COLUMNS = ("id", "name", "filter", "order_by", "shared", "owner", "owner_subject", "version")
API_KEY_SELECT = ", ".join(API_KEY_COLUMNS)
SAVED_VIEW_SELECT = ", ".join(SAVED_VIEW_COLUMNS)

_ANSWER = """
SELECT request_hash, answer FROM idempotency_answer
WHERE tenant_id = $1 AND operation = $2 AND subject = $3 AND key = $4
"""

_SAVED_VIEW = f"""
SELECT {SAVED_VIEW_SELECT} FROM saved_view WHERE tenant_id = $1 AND id = $2
"""  # noqa: S608  (columns are constants)
_WRITE_SAVED_VIEW = """
INSERT INTO saved_view (tenant_id, id, name, filter, order_by, shared, owner, owner_subject, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (tenant_id, id) DO UPDATE SET
    name = excluded.name, filter = excluded.filter, order_by = excluded.order_by, shared = excluded.shared,
    version = excluded.version
"""
_DELETE_SAVED_VIEW = "DELETE FROM saved_view WHERE tenant_id = $1 AND id = $2"

# A change that sets nobody free leaves nothing to look at; unless one that may is still being looked at.
_STAY_JUDGED = """
INSERT INTO engine_position AS kept (tenant_id, judged_version)
SELECT h.tenant_id, h.config_version FROM tenant_head h LEFT JOIN engine_position p ON p.tenant_id = h.tenant_id
WHERE h.tenant_id = $1 AND h.config_version = COALESCE(p.judged_version, 0) + 1
ON CONFLICT (tenant_id) DO UPDATE SET judged_version = greatest(kept.judged_version, excluded.judged_version)
"""

_API_KEY = f"""
SELECT {API_KEY_SELECT} FROM api_key WHERE tenant_id = $1 AND id = $2
"""  # noqa: S608  (columns are constants)
_INSERT_API_KEY = """
INSERT INTO api_key (
    tenant_id, id, name, role, matchers, cost_budget, created_at, created_by, expires_at, revoked_at, version,
    prefix, digest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""
_UPDATE_API_KEY = """
UPDATE api_key SET
    name = $3, role = $4, matchers = $5, cost_budget = $6, expires_at = $7, revoked_at = $8, version = $9
WHERE tenant_id = $1 AND id = $2
"""
_ROTATE_API_KEY = """
UPDATE api_key SET
    old_prefix = prefix, old_digest = digest, old_digest_until = $3, prefix = $4, digest = $5
WHERE tenant_id = $1 AND id = $2
"""
_NOTE_KEY_USE = """
UPDATE api_key SET last_used_at = date_trunc('minute', $3::timestamptz)
WHERE tenant_id = $1 AND id = $2
    AND (last_used_at IS NULL OR last_used_at < date_trunc('minute', $3::timestamptz))
"""
_FIND_KEYS = f"""
SELECT tenant_id, slug, tenant_name, tier, digest, old_digest, {API_KEY_SELECT} FROM find_keys($1)
"""  # noqa: S608  (columns are constants)


class PostgresConfiguration:
    """Fulfils `services.ports.Configuration`.

    Args:
        new_flush_id: Where the ids of appends come from.
    """

    def __init__(self, database: Database, new_flush_id: Callable[[], UUID]) -> None:
        self._database = database
        self._new_flush_id = new_flush_id

    async def change_settings(
        self,
        tenant_id: TenantId,
        decide: Callable[[TenantSettings], tuple[TenantSettings, SealedEvent] | None],
        *,
        answer: StoredAnswer | None = None,
    ) -> tuple[TenantSettings, Appended | None]:
        """Change the settings; None from `decide` changes nothing."""

        async def read(connection: Connection) -> TenantSettings:
            settings = await load_settings(connection.fetch, tenant_id)
            assert settings is not None, "a tenant with a head has settings"
            return settings

        async def write(connection: Connection, after: TenantSettings, version: int) -> None:
            await write_settings(connection, tenant_id, after, version)

        def may_free(before: TenantSettings, after: TenantSettings) -> bool:
            return (after.default_rule_id, after.noise) != (before.default_rule_id, before.noise)

        return await self._change(tenant_id, read, decide, write, answer, may_free)

    async def change_saved_view(
        self,
        tenant_id: TenantId,
        view_id: SavedViewId,
        decide: Callable[[SavedView | None], tuple[SavedView | None, SealedEvent] | None],
        *,
        answer: StoredAnswer | None = None,
    ) -> tuple[SavedView | None, Appended | None]:
        """Create (None before), change, or delete (None after) a saved view."""

        async def read(connection: Connection) -> SavedView | None:
            row = await connection.fetchrow(_SAVED_VIEW, tenant_id, view_id)
            return saved_view_of(row) if row is not None else None

        async def write(connection: Connection, after: SavedView | None, version: int) -> None:
            if after is None:
                await connection.execute(_DELETE_SAVED_VIEW, tenant_id, view_id)
                return
            await connection.execute(
                _WRITE_SAVED_VIEW,
                tenant_id,
                view_id,
                after.name,
                after.filter,
                after.order_by,
                after.shared,
                after.owner,
                after.owner_subject,
                version,
            )

        return await self._change(tenant_id, read, decide, write, answer)

    async def change_api_key(
        self,
        tenant_id: TenantId,
        key_id: ApiKeyId,
        decide: Callable[[ApiKey | None], tuple[ApiKey, SealedEvent] | None],
        *,
        secret: KeySecret | None = None,
        old_secret_until: datetime | None = None,
        answer: StoredAnswer | None = None,
    ) -> tuple[ApiKey | None, Appended | None]:
        """Create or change a key; with `secret` it gets a new one, the old one working until then."""

        async def read(connection: Connection) -> ApiKey | None:
            row = await connection.fetchrow(_API_KEY, tenant_id, key_id)
            return api_key_of(row) if row is not None else None

        async def write(connection: Connection, after: ApiKey, version: int) -> None:
            matchers = list(after.matchers)
            updated = await connection.execute(
                _UPDATE_API_KEY,
                tenant_id,
                key_id,
                after.name,
                after.role,
                matchers,
                after.cost_budget,
                after.expires_at,
                after.revoked_at,
                version,
            )
            if updated == "UPDATE 1":
                if secret is not None:
                    await connection.execute(
                        _ROTATE_API_KEY, tenant_id, key_id, old_secret_until, secret.prefix, secret.digest
                    )
                return
            assert secret is not None, "a new key comes with its secret"
            await connection.execute(
                _INSERT_API_KEY,
                tenant_id,
                key_id,
                after.name,
                after.role,
                matchers,
                after.cost_budget,
                after.created_at,
                after.created_by,
                after.expires_at,
                after.revoked_at,
                version,
                secret.prefix,
                secret.digest,
            )

        return await self._change(tenant_id, read, decide, write, answer)

    async def change(
        self,
        tenant_id: TenantId,
        decide: Callable[[TenantConfig], Change | None],
        *,
        answer: StoredAnswer | None = None,
    ) -> tuple[TenantConfig, Appended | None]:
        """Change what is set up for paging; None from `decide` changes nothing. Returns it as it is afterwards."""

        async def read(connection: Connection) -> TenantConfig:
            config = await read_config(connection, tenant_id)
            assert config is not None, "a tenant with a head has settings"
            return config

        def decide_both(config: TenantConfig) -> tuple[Change, SealedEvent] | None:
            change = decide(config)
            return (change, change.event) if change is not None else None

        async def write(connection: Connection, change: Change, version: int) -> None:
            # What goes makes room for the names of what comes.
            await delete_items(connection, tenant_id, change.deleted)
            await write_items(connection, tenant_id, change.written, version)
            if change.settings is not None:
                await write_settings(connection, tenant_id, change.settings, version)

        def may_free(before: TenantConfig, change: Change) -> bool:
            return change.may_free(before.settings)

        return await self._change(tenant_id, read, decide_both, write, answer, may_free)

    async def change_documents(
        self,
        tenant_id: TenantId,
        decide: Callable[[Sequence[TrustedDocument]], DocumentChange | None],
    ) -> tuple[Sequence[TrustedDocument], Appended | None]:
        """Change which documents are registered; None from `decide` changes nothing. Returns all afterwards."""

        async def read(connection: Connection) -> Sequence[TrustedDocument]:
            return await read_documents(connection, tenant_id)

        def decide_both(documents: Sequence[TrustedDocument]) -> tuple[DocumentChange, SealedEvent] | None:
            change = decide(documents)
            return (change, change.event) if change is not None else None

        async def write(connection: Connection, change: DocumentChange, _: int) -> None:
            await write_documents(connection, tenant_id, change.written)
            await delete_documents(connection, tenant_id, change.deleted)

        return await self._change(tenant_id, read, decide_both, write, None)

    async def change_dependencies(
        self,
        tenant_id: TenantId,
        decide: Callable[[Dependencies], tuple[Dependencies, SealedEvent] | None],
    ) -> tuple[Dependencies, Appended | None]:
        """Change what services need: `decide` returns those that change, as they are afterwards. Returns all."""

        async def read(connection: Connection) -> Dependencies:
            return await read_dependencies(connection.fetch, tenant_id)

        async def write(connection: Connection, changed: Dependencies, version: int) -> None:
            await write_dependencies(connection, tenant_id, changed, version)

        return await self._change(tenant_id, read, decide, write, None)

    async def dependencies(self, tenant_id: TenantId) -> Dependencies:
        """Return what the tenant's services need."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            return await read_dependencies(connection.fetch, tenant_id)

    async def find_keys(self, prefix: str) -> Sequence[StoredKey]:
        """Return the keys, of any tenant, whose secret begins so; nothing else of them is readable here."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_FIND_KEYS, prefix)
        return [_stored_key_of(row) for row in rows]

    async def note_key_use(self, tenant_id: TenantId, key_id: ApiKeyId, at: datetime) -> None:
        """Remember the last use of a key, to the minute; no event."""
        async with self._database.transaction(tenant_id) as connection:
            await connection.execute(_NOTE_KEY_USE, tenant_id, key_id, at)

    async def answer(self, tenant_id: TenantId, key: IdempotencyKey) -> StoredAnswer | None:
        """Return what was answered to an idempotency key the first time."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            return await _read_answer(connection, tenant_id, key)

    async def _change(
        self,
        tenant_id: TenantId,
        read: Callable[[Connection], Awaitable[T]],
        decide: Callable[[T], tuple[Any, SealedEvent] | None],
        write: Callable[[Connection, Any, int], Awaitable[None]],
        answer: StoredAnswer | None,
        may_free: Callable[[T, Any], bool] = lambda *_: False,
    ) -> tuple[T, Appended | None]:
        """Decide on what there is while nobody else can change it, and write event and row together.

        `may_free` says of what was and what is decided whether held alerts are to be looked at again.
        """
        answers = (answer,) if answer is not None else ()
        written: list[Flush] = []

        async def work(connection: Connection) -> tuple[T, Appended | None]:
            # The head first, as everybody does: what is read next can't change before it is written.
            await lock_head(connection, tenant_id)
            if answer is not None:
                stored = await _read_answer(connection, tenant_id, answer.key)
                if stored is not None:
                    raise AnsweredError(stored)
            before = await read(connection)
            decided = decide(before)
            flush_id = FlushId(self._new_flush_id())
            if decided is None:
                if answers:
                    await append(connection, tenant_id, Flush(flush_id, Reliance(), answers=answers))
                return before, None
            after, event = decided
            flush = Flush(flush_id, Reliance(), (event,), answers=answers, raises_config_version=True)
            appended = await append(connection, tenant_id, flush)
            await write(connection, after, appended.first_number)
            if not may_free(before, after):
                await connection.execute(_STAY_JUDGED, tenant_id)
            written.append(flush)
            return await read(connection), appended

        try:
            return await self._database.write(tenant_id, work)
        except LostCommitError as error:
            if written:
                async with self._database.transaction(tenant_id, keeps=False) as connection:
                    found = await find_flush(connection, tenant_id, written[-1])
                    if found is not None:
                        return await read(connection), found
            raise DependencyError(DEPENDENCY, retryable=True) from error


def api_key_of(row: Sequence[Any]) -> ApiKey:
    """Return the key that a row holds whose fields are API_KEY_COLUMNS."""
    (
        id_,
        name,
        prefix,
        role,
        matchers,
        cost_budget,
        created_at,
        created_by,
        expires_at,
        last_used_at,
        revoked_at,
        version,
    ) = row
    return ApiKey(
        id=ApiKeyId(id_),
        name=name,
        prefix=prefix,
        role=Role(role),
        matchers=tuple(Matcher(m["label"], MatchOperator(m["operator"]), m["value"]) for m in matchers),
        cost_budget=cost_budget,
        created_at=created_at,
        created_by=actor_of(created_by),
        expires_at=expires_at,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
        version=version,
    )


def saved_view_of(row: Sequence[Any]) -> SavedView:
    """Return the view that a row holds whose fields are SAVED_VIEW_COLUMNS."""
    id_, name, filter_, order_by, shared, owner, owner_subject, version = row
    return SavedView(SavedViewId(id_), name, filter_, order_by, shared, actor_of(owner), owner_subject, version)


def _stored_key_of(row: Sequence[Any]) -> StoredKey:
    tenant_id, slug, tenant_name, tier, digest, old_digest = row[:6]
    return StoredKey(
        Tenant(TenantId(tenant_id), slug, tenant_name, Tier(tier)),
        api_key_of(row[6:]),
        [one for one in (digest, old_digest) if one is not None],
    )


async def _read_answer(connection: Connection, tenant_id: TenantId, key: IdempotencyKey) -> StoredAnswer | None:
    row = await connection.fetchrow(_ANSWER, tenant_id, key.operation, key.subject, key.key)
    if row is None:
        return None
    return StoredAnswer(IdempotencyKey(key.operation, key.subject, key.key, row[0]), row[1])
