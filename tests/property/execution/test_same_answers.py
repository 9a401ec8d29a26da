"""A plan answers what graphql-core answers: the same data, nulls, mutations and errors, whatever goes wrong.

A failure names the number of its document; `DOCUMENTS=17` runs that one again, `DOCUMENTS=0:5000` many more.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, parse, validate
from graphql.execution import Executor
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from alertgraph.execution.leaves import ORJSON_OPTIONS
from alertgraph.execution.plans import PlanCache
from tests.property.execution.documents import Documents, RandomDocument
from tests.property.execution.trap import Context, make_schema

COUNT = 250

Keys = tuple[str | int, ...]


@dataclass
class Outcome:
    """What came of a document."""

    data: Any
    errors: list[GraphQLError]
    log: list[tuple[str, int]]


@dataclass
class Reasons:
    """Counts what graphql-core had to run."""

    missing: dict[str, int] = field(default_factory=dict)
    compiled: int = 0
    hits: int = 0

    def plan_hit(self) -> None:
        self.hits += 1

    def plan_compiled(self, seconds: float) -> None:
        self.compiled += 1

    def plan_missing(self, reason: str) -> None:
        self.missing[reason] = self.missing.get(reason, 0) + 1


class Pair:
    """Runs documents both ways, on one schema."""

    def __init__(self, *, native: bool) -> None:
        self.schema: GraphQLSchema = make_schema()._schema
        self.reasons = Reasons()
        self._native = native
        self._plans = PlanCache(native=native, observer=self.reasons)

    async def both(self, document: RandomDocument) -> tuple[Outcome, Outcome] | None:
        """Return what graphql-core and a plan answer; None where the document is refused."""
        node = parse(document.text)
        if validate(self.schema, node):
            return None
        executors = [self._executor(document) for _ in range(2)]
        if any(executor is None for executor in executors):
            return None
        theirs, ours = executors
        assert theirs is not None
        assert ours is not None
        result = theirs.execute_operation()
        if theirs.is_awaitable(result):
            result = await result
        assert isinstance(result, ExecutionResult)
        expected = Outcome(result.data, list(result.errors or ()), theirs.context_value.log)
        plan = self._plans.get(document.text, ours)
        assert plan is not None, self.reasons.missing
        data, errors = await plan.execute(ours)
        if self._native:
            data = orjson.loads(orjson.dumps(data, option=ORJSON_OPTIONS))
            expected.data = orjson.loads(orjson.dumps(expected.data, option=ORJSON_OPTIONS))
        return expected, Outcome(data, errors, ours.context_value.log)

    def _executor(self, document: RandomDocument) -> Executor[Any] | None:
        built = StrawberryGraphQLCoreExecutionContext.build(
            self.schema,
            parse(document.text),
            raw_variable_values=document.variables,
            context_value=Context(may_read=document.seed % 7 != 0),
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
        )
        return None if isinstance(built, list) else built


def numbers() -> Iterable[int]:
    """Return the documents to be made."""
    chosen = os.environ.get("DOCUMENTS")
    if chosen is None:
        return range(COUNT)
    first, _, last = chosen.partition(":")
    return range(int(first), int(last) if last else int(first) + 1)


def null_place(data: Any, error: GraphQLError) -> Keys:
    """Return where an error has left null: at its own place, or at one above it."""
    place: Keys = ()
    for key in error.path or ():
        if data is None:
            break
        place = (*place, key)
        data = data[key]
    assert data is None, f"an error that left no null: {error.message} at {error.path}"
    return place


def told(outcome: Outcome) -> set[tuple[Keys, str, tuple[tuple[int, int], ...]]]:
    """Return the errors that stand where they left null, with all that is told of them."""
    return {
        (tuple(error.path or ()), error.message, tuple((at.line, at.column) for at in error.locations or ()))
        for error in outcome.errors
        if null_place(outcome.data, error) == tuple(error.path or ())
    }


def in_order(value: Any) -> Iterator[object]:
    """Yield everything in a response, with the order of its keys and the classes of its values."""
    if isinstance(value, dict):
        yield "{"
        for key, below in value.items():
            yield key
            yield from in_order(below)
    elif isinstance(value, list):
        yield "["
        for below in value:
            yield from in_order(below)
    else:
        yield value.__class__.__name__, repr(value)


def check(document: RandomDocument, expected: Outcome, got: Outcome) -> None:
    """Fail where the two answers differ in anything that matters."""
    what = f"document {document.seed}: {document.text} with {document.variables}"
    assert list(in_order(got.data)) == list(in_order(expected.data)), what
    assert {null_place(got.data, error) for error in got.errors} == {
        null_place(expected.data, error) for error in expected.errors
    }, what
    assert told(got) == told(expected), what
    assert got.log == expected.log, what


@pytest.mark.parametrize("native", [False, True], ids=["data", "json"])
@pytest.mark.timeout(1200)
async def test_random_documents_are_answered_alike(native: bool) -> None:
    # A value that is never awaited, since all around it failed, is one that nobody waits for.
    warnings.simplefilter("ignore", RuntimeWarning)
    pair = Pair(native=native)
    documents = Documents(pair.schema)
    count = failed = 0
    for number in numbers():
        document = documents.make(number)
        outcomes = await pair.both(document)
        if outcomes is None:
            continue
        check(document, *outcomes)
        count += 1
        failed += bool(outcomes[0].errors)
    if len(list(numbers())) >= COUNT:
        # The test would say nothing if the documents were refused, or if nothing went wrong in them.
        assert count > 0.6 * COUNT
        assert failed > 0.7 * count
        print(f"{count} documents, {failed} with errors, {pair.reasons}")  # noqa: T201
