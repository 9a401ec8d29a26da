"""Who is asking: credentials checked against the tenant's keys."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.errors import DependencyError, UnauthenticatedError
from alertgraph.core.ids import NodeKind, TenantId, encode_id
from alertgraph.core.tenant import Principal
from alertgraph.services.configuration import KEY_PREFIX_LENGTH
from alertgraph.services.ports import Clock, Configuration, Observer, StoredKey

SECRET_LENGTH_MAX = 256
# Another process's revocation is noticed after this long at the latest; this process's own at once.
CHECKED_AGE_MAX = timedelta(seconds=2)
# While the database is away, who was let in shortly before is still known.
CHECKED_AGE_MAX_IN_OUTAGE = timedelta(minutes=5)
REMEMBERED_COUNT_MAX = 10_000
USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(slots=True)
class _Checked:
    principal: Principal
    checked_at: datetime
    used_at: datetime | None


class Authenticator:
    """Tells who holds a secret.

    Args:
        digest: Gives the form in which a key's secret is kept.
    """

    def __init__(
        self,
        store: Configuration,
        clock: Clock,
        digest: Callable[[str], bytes],
        observer: Observer,
    ) -> None:
        self._store = store
        self._clock = clock
        self._digest = digest
        self._observer = observer
        self._checked: OrderedDict[bytes, _Checked] = OrderedDict()

    async def authenticate(self, secret: str) -> Principal:
        """Return whose key this is.

        Raises:
            UnauthenticatedError: It is nobody's, or it is revoked or expired; which is not told.
            DependencyError: The store is away.
        """
        if not (KEY_PREFIX_LENGTH < len(secret) <= SECRET_LENGTH_MAX) or not secret.isascii():
            raise UnauthenticatedError("The API key is not valid.")
        digest = self._digest(secret)
        now = self._clock.now()
        known = self._checked.get(digest)
        if known is None or now - known.checked_at > CHECKED_AGE_MAX:
            try:
                known = await self._check(secret, digest, now, known)
            except DependencyError:
                if known is None or now - known.checked_at > CHECKED_AGE_MAX_IN_OUTAGE:
                    raise
        expires_at = known.principal.expires_at
        if expires_at is not None and expires_at <= now:
            raise UnauthenticatedError("The API key is not valid.")
        await self._note_use(known, now)
        return known.principal

    def forget(self, tenant_id: TenantId) -> None:
        """Check a tenant's keys anew at their next use: its configuration has changed."""
        for digest in [d for d, c in self._checked.items() if c.principal.tenant.id == tenant_id]:
            del self._checked[digest]

    async def _check(self, secret: str, digest: bytes, now: datetime, known: _Checked | None) -> _Checked:
        for stored in await self._store.find_keys(secret[:KEY_PREFIX_LENGTH]):
            if any(hmac.compare_digest(digest, other) for other in stored.digests) and _is_live(stored, now):
                checked = _Checked(_principal(stored), now, known.used_at if known is not None else None)
                self._checked[digest] = checked
                self._checked.move_to_end(digest)
                if len(self._checked) > REMEMBERED_COUNT_MAX:
                    self._checked.popitem(last=False)
                return checked
        self._checked.pop(digest, None)
        raise UnauthenticatedError("The API key is not valid.")

    async def _note_use(self, known: _Checked, now: datetime) -> None:
        if known.used_at is not None and now - known.used_at < USE_NOTED_EVERY:
            return
        known.used_at = now
        key_id = known.principal.api_key_id
        assert key_id is not None, "every principal is proved by a key so far"
        try:
            await self._store.note_key_use(known.principal.tenant.id, key_id, now)
        except DependencyError as error:
            # When a key was used last is a comfort; nobody is turned away for it.
            self._observer.failed("authentication", error)


def _is_live(stored: StoredKey, now: datetime) -> bool:
    key = stored.key
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def _principal(stored: StoredKey) -> Principal:
    key = stored.key
    subject = f"key:{encode_id(NodeKind.API_KEY, key.id)}"
    return Principal(
        tenant=stored.tenant,
        role=key.role,
        subject=subject,
        actor=Actor(ActorKind.API_KEY, key.name, subject),
        scope=key.matchers,
        api_key_id=key.id,
        cost_budget=key.cost_budget,
        expires_at=key.expires_at,
        name=key.name,
    )
