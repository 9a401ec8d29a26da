"""The plan of one operation: what is done for it, with no decision left to be made."""

from __future__ import annotations

from typing import Any, Protocol

from graphql import GraphQLError
from graphql.execution import Executor

from alertgraph.execution.columns import Column, fill, fill_async
from alertgraph.execution.nulls import nulled
from alertgraph.execution.run import Keys, Run, put_at

BYTES_PER_FIELD = 1_500
"""What a field of a plan takes in memory, measured, with its share of generated code."""


class Growing(Protocol):
    """What makes the parts of a plan, some of them while it is executed.

    Attributes:
        field_count: Fields that it has made so far.
    """

    field_count: int


class Plan:
    """How an operation is executed.

    Args:
        parts: By response key, in order: text that is always the same, or the column of a root field.
        made_by: Counts its fields.
        is_serial: Whether a root field begins only when the one before it is done, as those of mutations do.
    """

    def __init__(self, parts: dict[str, str | Column], made_by: Growing, *, is_serial: bool) -> None:
        self._blank = {key: part if isinstance(part, str) else None for key, part in parts.items()}
        self._columns = [part for part in parts.values() if not isinstance(part, str)]
        self._made_by = made_by
        self._is_serial = is_serial

    @property
    def weight(self) -> int:
        """About how many bytes it takes in memory; grows with the types that it meets."""
        return self._made_by.field_count * BYTES_PER_FIELD

    async def execute(self, executor: Executor[Any]) -> tuple[dict[str, object] | None, list[GraphQLError]]:
        """Return the data of the response and its errors.

        Args:
            executor: Of this execution only: it has the variables, the context and the root value.
        """
        run = Run(executor)
        data: dict[str, object] = dict(self._blank)
        if self._is_serial:
            return await self._one_by_one(run, data)
        await self._fill(run, self._columns, data)
        if run.failures:
            return nulled(data, run.failures)
        return data, []

    async def _one_by_one(
        self, run: Run, data: dict[str, object]
    ) -> tuple[dict[str, object] | None, list[GraphQLError]]:
        for column in self._columns:
            await self._fill(run, [column], data)
            # Where nothing is left of the response, what follows is not carried out any more.
            if run.failures and nulled(data, run.failures)[0] is None:
                break
        return nulled(data, run.failures)

    async def _fill(self, run: Run, columns: list[Column], data: dict[str, object]) -> None:
        sources = [run.executor.root_value]
        if any(column.is_async for column in columns):
            await fill_async(run, columns, [data], sources, _at_root)
        else:
            fill(run, columns, [data], sources, _at_root)
        if run.pending:
            await run.settle(lambda keys, value: put_at(data, keys, value))


def _at_root(_: int) -> Keys:
    return ()
