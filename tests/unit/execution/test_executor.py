"""Operations run in contexts of their own, and only what is meant for the caller reaches the caller."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from alertgraph.execution.errors import FailedStreamError
from alertgraph.execution.executor import Answer
from tests.conformance import toy


async def stream(query: str, world: toy.ToyWorld | None = None, **options: object) -> list[Answer]:
    executor = toy.executor(**options)  # type: ignore[arg-type]
    world = world or toy.ToyWorld()
    prepared = executor.prepare(toy.request(query))
    return [answer async for answer in executor.subscribe(prepared, lambda: toy.toy_context(world), "r-1")]


def errors(answer: Answer) -> list[dict[str, object]]:
    return answer.payload["errors"]  # type: ignore[return-value]


async def test_a_query_is_answered_with_what_the_transport_adds() -> None:
    executor = toy.executor()
    prepared = executor.prepare(toy.request("query A($n:String!){hello(name:$n)}", n="you"))

    answer = await executor.execute(prepared, None, "r-1", {"cost": {"requestedQueryCost": 1}})

    assert answer == Answer({"data": {"hello": "hi you"}, "extensions": {"cost": {"requestedQueryCost": 1}}})
    assert (prepared.type.value, prepared.name, prepared.cost) == ("query", "A", 1)


async def test_features_of_strawberry_work() -> None:
    query = """{ colour(of: RED) span(of: 90) item { colour kids(first: 1) { number } }
        items(first: 1) { edges { node { number } } pageInfo { hasNextPage } } }"""

    answer = await toy.run(toy.executor(), query)

    assert answer.payload["data"] == {
        "colour": "RED",
        "span": "0:01:30 1.0 1",
        "item": {"colour": "RED", "kids": [{"number": 0}]},
        "items": {"edges": [{"node": {"number": 0}}], "pageInfo": {"hasNextPage": False}},
    }


async def test_mutations_run_one_after_the_other() -> None:
    answer = await toy.run(toy.executor(), "mutation{a:bump b:bump}")

    assert answer.payload["data"] == {"a": 1, "b": 2}


async def test_an_exception_is_masked_and_reported() -> None:
    reported: list[tuple[BaseException, str]] = []

    answer = await toy.run(toy.executor(reported), "{hello boom}")

    assert answer.payload["data"] == {"hello": "hi world", "boom": None}
    assert errors(answer) == [
        {
            "message": "Internal error; quote the request id.",
            "path": ["boom"],
            "locations": [{"line": 1, "column": 8}],
            "extensions": {"code": "INTERNAL", "requestId": "r-1"},
        }
    ]
    [(error, request_id)] = reported
    assert (type(error), str(error), request_id) == (ValueError, "secret db password", "r-1")


async def test_what_a_resolver_returned_wrongly_is_masked_too() -> None:
    reported: list[tuple[BaseException, str]] = []

    answer = await toy.run(toy.executor(reported), "{item{wrongColour number}}")

    assert answer.payload["data"] == {"item": {"wrongColour": None, "number": 0}}
    assert errors(answer)[0]["message"] == "Internal error; quote the request id."
    assert "77" in str(reported[0][0])


async def test_a_coded_error_passes_as_it_is() -> None:
    reported: list[tuple[BaseException, str]] = []

    answer = await toy.run(toy.executor(reported), "{coded}")

    assert answer.code == "NOT_FOUND"
    assert errors(answer)[0]["message"] == "No such thing."
    assert errors(answer)[0]["extensions"] == {"code": "NOT_FOUND", "requestId": "r-1", "retryAfter": 2}
    assert reported == []


@pytest.mark.parametrize("code", ["INTERNAL", "e3q8", "", "A", "X" * 60])
async def test_a_code_that_is_none_of_ours_is_masked(code: str) -> None:
    answer = await toy.run(toy.executor(), "query($c:String!){coded(code:$c)}", c=code)

    assert answer.code == "INTERNAL"
    assert "thing" not in str(answer.payload)


async def test_a_permission_says_so_in_its_own_words() -> None:
    answer = await toy.run(toy.executor(), "{vault}")

    assert errors(answer)[0]["message"] == "Not for you."
    assert answer.code == "FORBIDDEN"


async def test_an_argument_refused_in_execution_is_the_callers_fault() -> None:
    answer = await toy.run(toy.executor(), "query($n:Int=3){span(count:$n)}", n=None)

    assert answer.code == "VALIDATION_FAILED"
    assert "Argument 'count'" in str(errors(answer)[0]["message"])


async def test_the_deadline_ends_a_query() -> None:
    executor = toy.executor(deadline=timedelta(milliseconds=50))

    answer = await toy.run(executor, "{slow}")

    assert answer.code == "UNAVAILABLE"
    assert answer.payload["data"] is None
    assert "longer than 0.05 s and was given up" in str(errors(answer)[0]["message"])


async def test_nothing_is_left_running_behind_the_deadline() -> None:
    executor = toy.executor(deadline=timedelta(milliseconds=50))

    await toy.run(executor, "{a:slow b:slow item{number} coded}")

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_deadline_of_a_mutation_says_that_it_may_have_been_done() -> None:
    executor = toy.executor(deadline=timedelta(milliseconds=50))

    answer = await toy.run(executor, "mutation{slowBump}")

    assert "may have been carried out" in str(errors(answer)[0]["message"])


async def test_nothing_is_logged_about_a_document(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await toy.run(toy.executor(), '{boom hello(name:"my secret literal")}')
        with pytest.raises(Exception, match="Cannot query"):
            toy.executor().prepare(toy.request('{nope(name:"my secret literal")}'))

    assert "secret" not in caplog.text


async def test_a_subscription_yields_answers_with_cursors() -> None:
    answers = await stream("subscription{items(to:2){number}}")

    assert [(answer.payload, answer.cursor) for answer in answers] == [
        ({"data": {"items": {"number": 0}}}, "cursor-0"),
        ({"data": {"items": {"number": 1}}}, "cursor-1"),
    ]
    assert [answer.cursor for answer in await stream("subscription{count(to:1)}")] == [None]


async def test_each_event_has_a_new_context_and_all_are_closed() -> None:
    world = toy.ToyWorld()

    answers = await stream("subscription{contextNumbers{context}}", world)

    seen = [answer.payload["data"]["contextNumbers"]["context"] for answer in answers]  # type: ignore[index]
    assert len(set(seen)) == 3
    assert (world.opened, world.closed) == (4, 4)  # one for the source, one for each event


async def test_a_source_that_ends_in_a_coded_error_says_so() -> None:
    world = toy.ToyWorld()
    answers: list[Answer] = []

    with pytest.raises(FailedStreamError) as failed:
        answers = await stream("subscription{endsBadly{number}}", world)

    assert answers == []
    assert failed.value.code == "CURSOR_EXPIRED"
    assert failed.value.errors[0]["message"] == "The log before this cursor is gone."
    assert world.opened == world.closed


async def test_a_source_that_crashes_is_masked() -> None:
    reported: list[tuple[BaseException, str]] = []

    with pytest.raises(FailedStreamError) as failed:
        await stream("subscription{crashes}", reported=reported)

    assert failed.value.errors == [
        {
            "message": "Internal error; quote the request id.",
            "extensions": {"code": "INTERNAL", "requestId": "r-1"},
        }
    ]
    assert str(reported[0][0]) == "secret of the source"


async def test_leaving_a_stream_closes_its_source_and_contexts() -> None:
    world = toy.ToyWorld()
    executor = toy.executor()
    answers = executor.subscribe(
        executor.prepare(toy.request("subscription{forever}")), lambda: toy.toy_context(world), "r-1"
    )

    assert (await anext(answers)).payload == {"data": {"forever": 0}}
    await answers.aclose()

    assert world.sources_closed == 1
    assert world.opened == world.closed


async def test_cancelling_a_stream_closes_its_source() -> None:
    world = toy.ToyWorld()
    executor = toy.executor()
    prepared = executor.prepare(toy.request("subscription{silent}"))

    async def follow() -> None:
        async for _ in executor.subscribe(prepared, lambda: toy.toy_context(world), "r-1"):
            pytest.fail("the source is silent")

    task = asyncio.create_task(follow())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert world.sources_closed == 1
    assert world.opened == world.closed
