"""Seals the logs: every minute or thousand events, a signed checkpoint of each that has grown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

from alertgraph.core.checkpoint import Checkpoint, Note, SignedCheckpoint, Verify
from alertgraph.core.errors import AlertGraphError, DependencyError
from alertgraph.core.ids import TenantId
from alertgraph.core.sealing import Growth, Refusal, TreeState, grow, kept_note
from alertgraph.services.ports import (
    AuditTrees,
    Clock,
    LostCommitError,
    SealingObserver,
    SealingTurn,
    Signer,
    Witness,
)

SWEEP_INTERVAL = timedelta(seconds=5)
DUE_COUNT_MAX = 1000
# Who is far behind goes on in the next sweep then, so that others come to their turn.
TURN_COUNT_MAX = 1000
# Between two steps of a log that is far behind: who waits for the event loop goes first.
PAUSE = timedelta(milliseconds=20)


class Sealer:
    """Grows the tree of every log behind it, and signs what it is.

    Any number of processes may run it: one of them takes a tenant's turn. A turn is one transaction, so whatever
    ends a process, a tree and its checkpoints fit together. What contradicts a signed checkpoint is not sealed
    over, but refused until somebody has looked.

    Args:
        trees: What is sealed.
        signer: Returns the key of a generation.
        verify: Checks a signature.
        witness: Keeps the newest checkpoints where the database can't reach them.
        clock: When.
        observer: Is told what came of it.
    """

    def __init__(
        self,
        trees: AuditTrees,
        signer: Callable[[int], Signer],
        verify: Verify,
        witness: Witness,
        clock: Clock,
        observer: SealingObserver,
    ) -> None:
        self._trees = trees
        self._signer = signer
        self._verify = verify
        self._witness = witness
        self._clock = clock
        self._observer = observer

    async def run(self) -> NoReturn:
        """Seal, for as long as it runs."""
        while True:
            try:
                await self.sweep()
            except Exception as error:  # noqa: BLE001  (the loop outlives any failure; the next sweep finds it again)
                self._observer.failed("sealing", error)
            await self._clock.sleep(SWEEP_INTERVAL)

    async def sweep(self) -> int:
        """Give every log its turn that is due, and go on with those that are behind; return how many were sealed.

        Raises:
            DependencyError: The store is away, or its keys are not those of the master key.
        """
        waiting = list(await self._trees.due(self._clock.now(), DUE_COUNT_MAX))
        if not waiting:
            return 0
        signer, public_keys = await self._keys()
        count = turn_count = 0
        while waiting and turn_count < TURN_COUNT_MAX:
            turn_count += len(waiting)
            again = []
            for tenant_id in waiting:
                try:
                    turn = await self._turn(tenant_id, signer, public_keys)
                except (AlertGraphError, LostCommitError) as error:
                    # One tenant's trouble keeps nobody else's log unsealed.
                    self._observer.failed("sealing", error)
                    continue
                count += turn.count
                if turn.has_more:
                    again.append(tenant_id)
            waiting = again
            if waiting:
                await self._clock.sleep(PAUSE)
        return count

    async def _turn(self, tenant_id: TenantId, signer: Signer, public_keys: frozenset[bytes]) -> SealingTurn:
        kept = await self._kept(tenant_id)
        now = self._clock.now()

        def decide(state: TreeState) -> Growth | Refusal | None:
            return grow(state, kept, public_keys, self._verify, now)

        def sign(checkpoint: Checkpoint) -> SignedCheckpoint:
            return SignedCheckpoint(checkpoint, signer.public_key, signer.sign(checkpoint.text.encode()))

        kept_size = kept.size if kept is not None else None
        turn = await self._trees.turn(tenant_id, kept_size, now, decide, sign)
        if turn is None:
            return SealingTurn()
        if turn.refusal is not None:
            self._observer.seal_refused(tenant_id, why=turn.refusal.text)
        if turn.signed is not None:
            self._observer.sealed(events=turn.count)
            await self._keep(tenant_id, turn.signed)
        return turn

    async def _keys(self) -> tuple[Signer, frozenset[bytes]]:
        """Return the key that signs now, and all that have signed."""
        known = await self._trees.keys(self._signer(1).public_key)
        own = {generation: self._signer(generation) for generation, _ in known}
        if any(own[generation].public_key != public_key for generation, public_key in known):
            raise DependencyError(
                "audit",
                retryable=False,
                message="The keys that checkpoints are signed with do not follow from the master key: "
                "they were changed in the database.",
            )
        return own[known[0][0]], frozenset(key.public_key for key in own.values())

    async def _kept(self, tenant_id: TenantId) -> Note | None:
        try:
            return kept_note(await asyncio.to_thread(self._witness.newest, tenant_id))
        except OSError as error:
            self._observer.failed("witness", error)
            return None

    async def _keep(self, tenant_id: TenantId, signed: SignedCheckpoint) -> None:
        """Keep a checkpoint outside; where that fails, the log is sealed all the same."""
        try:
            await asyncio.to_thread(self._witness.keep, tenant_id, signed.note)
        except OSError as error:
            self._observer.failed("witness", error)
