"""A plan answers what graphql-core answers: the same data, nulls, mutations and errors, whatever goes wrong.

A failure names the number of its document; `DOCUMENTS=17` runs that one again, `DOCUMENTS=0:5000` many more.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from graphql import DocumentNode, ExecutionResult, GraphQLError, GraphQLSchema, OperationType, parse, validate
from graphql.execution import Executor
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from alertgraph.execution.leaves import ORJSON_OPTIONS
from alertgraph.execution.plans import PlanCache
from tests.property.execution.documents import Documents, RandomDocument
from tests.property.execution.trap import Context, make_schema, thing

COUNT = 150

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


class Ways:
    """Runs documents in every way, on one schema."""

    def __init__(self) -> None:
        self.schema: GraphQLSchema = make_schema()._schema
        self.reasons = Reasons()
        self._plans = PlanCache(native=False, observer=self.reasons)
        self._native_plans = PlanCache(native=True, observer=self.reasons)

    async def all(self, document: RandomDocument) -> tuple[Outcome, Outcome, Outcome] | None:
        """Return what graphql-core, a plan and a plan for JSON answer; None where the document is refused."""
        node = parse(document.text)
        if validate(self.schema, node):
            return None
        executors = [self._executor(node, document) for _ in range(3)]
        theirs, ours, native = executors
        if theirs is None or ours is None or native is None:
            return None
        result = theirs.execute_operation()
        if theirs.is_awaitable(result):
            result = await result
        assert isinstance(result, ExecutionResult)
        return (
            Outcome(result.data, list(result.errors or ()), theirs.context_value.log),
            await self._planned(self._plans, document, ours),
            await self._planned(self._native_plans, document, native),
        )

    async def _planned(self, plans: PlanCache, document: RandomDocument, executor: Executor[Any]) -> Outcome:
        plan = plans.get(document.text, executor)
        assert plan is not None, self.reasons.missing
        data, errors = await plan.execute(executor)
        return Outcome(data, errors, executor.context_value.log)

    def _executor(self, node: DocumentNode, document: RandomDocument) -> Executor[Any] | None:
        built = StrawberryGraphQLCoreExecutionContext.build(
            self.schema,
            node,
            raw_variable_values=document.variables,
            context_value=Context(may_read=document.seed % 7 != 0),
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
        )
        if isinstance(built, list):
            return None
        if built.operation.operation is OperationType.SUBSCRIPTION:
            built.root_value = thing(document.seed)
        return built


def as_json(outcome: Outcome) -> Outcome:
    """Return an outcome as who gets it as JSON sees it."""
    data = orjson.loads(orjson.dumps(outcome.data, option=ORJSON_OPTIONS))
    return Outcome(data, outcome.errors, outcome.log)


def numbers() -> range:
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


@pytest.mark.timeout(3600)
async def test_random_documents_are_answered_alike() -> None:
    # A value that is never awaited, since all around it failed, is one that nobody waits for.
    warnings.simplefilter("ignore", RuntimeWarning)
    ways = Ways()
    documents = Documents(ways.schema)
    chosen = numbers()
    count = failed = 0
    for number in chosen:
        document = documents.make(number)
        outcomes = await ways.all(document)
        if outcomes is None:
            continue
        expected, planned, native = outcomes
        check(document, expected, planned)
        check(document, as_json(expected), as_json(native))
        count += 1
        failed += bool(expected.errors)
    if len(chosen) >= COUNT:
        # The test would say nothing if documents were refused, or if nothing went wrong in them.
        assert count > 0.6 * len(chosen)
        assert failed > 0.7 * count
        assert ways.reasons.missing == {}
