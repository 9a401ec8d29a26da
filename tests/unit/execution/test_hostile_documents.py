"""However many documents somebody thinks up, what is kept of them stays within bounds of count and of bytes."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import pytest
from graphql import parse
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from alertgraph.execution.errors import RefusedError
from alertgraph.execution.plans import PlanCache
from alertgraph.execution.request import GraphQLRequest
from tests.conformance import toy
from tests.thoroughness import examples

LONG = 10_000
SLACK = 400_000
"""What libraries keep for themselves when they first see something."""

HOSTILE: dict[str, Callable[[int], str]] = {
    "short": lambda n: f"{{a{n}:hello}}",
    "wide": lambda n: "{" + " ".join(f"a{n}_{at}:item{{number colour kids{{number}}}}" for at in range(19)) + "}",
    "a long name": lambda n: f"query N{n:0>{LONG}}{{hello}}",
    "a long alias": lambda n: f"{{a{n:0>{LONG}}:hello}}",
    "a long argument": lambda n: f'{{hello(name:"{n:0>{LONG}}")}}',
    "a long argument beyond Latin": lambda n: f'{{hello(name:"{n:ж>{LONG}}")}}',
    "a long comment": lambda n: f"{{hello}} #{n:0>{LONG}}",
    "a subscription": lambda n: f"subscription{{items(to:{n}){{number}}}}#{n:0>{LONG}}",
    "many operations": lambda n: " ".join(f"query N{n}_{at}{{hello}}" for at in range(90)),
    "without a plan": lambda n: f"{{a{n}:__typename ...@include(if:true) @skip(if:false) {{hello}}}}#{n:0>{LONG}}",
    "refused": lambda n: f"{{a{n}:nope}}#{n:0>{LONG}}",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_kept_is_counted_as_what_it_takes(kind: str) -> None:
    make = HOSTILE[kind]
    executor = toy.executor()
    documents, plans = executor.documents, executor.plans
    documents.count_max, plans.count_max = 20, 40

    def send(numbers: range) -> None:
        for number in numbers:
            name = f"N{number}_0" if kind == "many operations" else None
            try:
                executor.prepare(GraphQLRequest(make(number), name, {}))
            except RefusedError:
                assert kind == "refused"

    send(range(5))
    gc.collect()
    tracemalloc.start()
    try:
        # Of what is kept afterwards, nothing is older.
        send(range(5, 45))
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(documents) <= 20
    assert len(plans) <= 40
    # What both hold on to is counted by both, so it takes less than they say; never more.
    assert taken <= documents.weight + plans.weight + SLACK
    assert bool(len(documents)) == (kind != "refused")


def test_tens_of_thousands_of_them_leave_no_more_than_the_last() -> None:
    plans = PlanCache(native=True)
    running = [
        StrawberryGraphQLCoreExecutionContext.build(toy.schema._schema, parse(make(0)), operation_name=name)
        for make, name in ((HOSTILE["short"], None), (HOSTILE["many operations"], "N0_0"))
    ]
    heaviest = 0

    for number in range(examples(20_000)):
        each = running[number % 2]
        assert not isinstance(each, list)
        assert plans.get((f"{number:064x}", None), each, 50_000) is not None
        heaviest = max(heaviest, plans.weight)

    # Each brings what is known of its operation, and a plan.
    assert len(plans) == 1_000
    assert 0.9 * 500 * 50_000 < plans.weight <= heaviest <= 64 * 1024 * 1024
