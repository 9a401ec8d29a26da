"""Which operations have plans, why others have none, and how many are kept."""

from __future__ import annotations

import gc

import pytest
import strawberry
from graphql import parse
from graphql.execution import Executor
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from alertgraph.execution.hook import planned
from alertgraph.execution.plans import PlanCache
from tests.conformance import toy


class Noted:
    """Remembers what became of operations."""

    def __init__(self) -> None:
        self.hits = 0
        self.compiled = 0
        self.missing: list[str] = []

    def plan_hit(self) -> None:
        self.hits += 1

    def plan_compiled(self, seconds: float) -> None:
        assert seconds > 0
        self.compiled += 1

    def plan_missing(self, reason: str) -> None:
        self.missing.append(reason)


def executor(text: str, schema: strawberry.Schema = toy.schema, **variables: object) -> Executor[object]:
    built = StrawberryGraphQLCoreExecutionContext.build(
        schema._schema, parse(text), raw_variable_values=dict(variables)
    )
    assert not isinstance(built, list), built
    return built


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{__schema{types{name}}}", "introspection"),
        ('{hello __type(name:"Item"){name}}', "introspection"),
        ("query @mine {hello}", "directive"),
        ("{hello @mine}", "directive"),
        ("{...@defer{hello}}", "directive"),
        ("{item{...A}} fragment A on Item{kids @stream{number}}", "directive"),
        ("query($b:Boolean=true){hello @skip(if:$b)}", "condition"),
    ],
)
def test_what_has_no_plan_is_recognised(text: str, reason: str) -> None:
    noted = Noted()
    given = {"b": None} if "$b" in text else {}

    assert PlanCache(native=True, observer=noted).get("key", executor(text, **given)) is None
    assert (noted.missing, noted.compiled) == ([reason], 0)


@strawberry.type
class Checked:
    number: int

    @classmethod
    def is_type_of(cls, value: object, info: object) -> bool:
        return True


@strawberry.type
class CheckedQuery:
    checked: Checked


@strawberry.interface
class Anything:
    number: int


@strawberry.type
class Holding(Anything):
    checked: Checked


@strawberry.type
class AnyQuery:
    anything: Anything


def test_a_type_with_a_check_of_its_own_has_none() -> None:
    noted = Noted()

    assert (
        PlanCache(native=True, observer=noted).get(
            "k", executor("{checked{number}}", strawberry.Schema(CheckedQuery))
        )
        is None
    )
    assert noted.missing == ["type_check"]


def test_a_plan_that_would_be_too_large_is_not_made() -> None:
    doubling = " ".join(
        f"fragment F{n} on Item{{a{n}:parent{{...F{n + 1}}} b{n}:parent{{...F{n + 1}}}}}" for n in range(14)
    )
    noted = Noted()
    text = f"{{item{{...F0}}}} {doubling} fragment F14 on Item{{number}}"

    assert PlanCache(native=True, observer=noted).get("key", executor(text)) is None
    assert noted.missing == ["size"]


def test_a_plan_is_made_once_for_each_way_of_its_conditions() -> None:
    noted = Noted()
    plans = PlanCache(native=True, observer=noted)
    text = "query($a:Boolean!,$b:Boolean!,$n:String!){hello(name:$n) @skip(if:$a) dear{number @include(if:$b)}}"

    first, second = (
        [plans.get("key", executor(text, a=a, b=b, n=n)) for a in (False, True) for b in (False, True)]
        for n in ("x", "y")
    )

    assert len({id(plan) for plan in first}) == 4
    assert first == second
    assert (noted.compiled, noted.hits, noted.missing) == (4, 4, [])


def test_hostile_documents_do_not_fill_the_memory() -> None:
    plans = PlanCache(native=True, count_max=50)

    for number in range(500):
        plans.get(f"key {number}", executor(f"{{a{number}:hello}}"))

    assert len(plans) <= 50
    assert plans.weight < 50 * 10_000


def test_the_bound_of_bytes_holds_too() -> None:
    plans = PlanCache(native=True, weight_max=20_000)

    for number in range(100):
        plans.get(f"key {number}", executor(f"{{a{number}:item{{number colour}}}}"))

    assert plans.weight <= 20_000
    assert 0 < len(plans) < 30


async def test_the_types_that_a_plan_meets_count() -> None:
    from tests.property.execution import trap

    schema = trap.make_schema()
    plans = PlanCache(native=True)
    text = "query($n:Int!){node(n:$n){id ...on Channel{name rank}}}"
    weights = []
    for number in (0, 1, 2):
        running = executor(text, schema, n=number)
        running.context_value = trap.Context()
        plan = plans.get("key", running)
        assert plan is not None
        await plan.execute(running)
        plans.get("key", running)
        weights.append(plans.weight)

    assert weights[0] < weights[1] == weights[2]


def test_a_document_that_a_plan_keeps_counts() -> None:
    plans = PlanCache(native=True, weight_max=100_000)

    for number in range(100):
        plans.get(f"key {number}", executor(f"{{a{number}:hello}}"), document_weight=10_000)

    assert plans.weight <= 100_000
    assert len(plans) < 25


def test_a_plan_keeps_nothing_of_what_a_caller_sent() -> None:
    plans = PlanCache(native=True)
    running = executor("query($n:String!,$a:Boolean!){hello(name:$n) @skip(if:$a)}", n="a secret", a=False)
    secret = running.variable_values

    plan = plans.get("key", running)

    assert plan is not None
    gc.collect()
    assert not [each for each in gc.get_referrers(secret) if each is not running.__dict__ and each is not locals()]


def test_what_is_nested_too_deeply_for_a_plan_is_recognised() -> None:
    noted = Noted()
    text = "{item" + "{parent" * 80 + "{number}" + "}" * 81

    assert PlanCache(native=True, observer=noted).get("key", executor(text)) is None
    assert noted.missing == ["size"]


def test_a_type_with_a_check_may_turn_up_anywhere_below_an_interface() -> None:
    noted = Noted()
    schema = strawberry.Schema(AnyQuery, types=[Holding])

    assert PlanCache(native=True, observer=noted).get("k", executor("{anything{number}}", schema)) is None
    assert noted.missing == ["type_check"]


async def test_strawberrys_own_execute_runs_plans() -> None:
    noted = Noted()
    schema = strawberry.Schema(
        toy.Query,
        toy.Mutation,
        config=toy.schema.config,
        execution_context_class=planned(PlanCache(native=False, observer=noted)),
    )
    text = "query($n:String!){hello(name:$n) item{kids{number colour}} boom}"

    results = [await schema.execute(text, variable_values={"n": name}) for name in ("a", "b")]

    assert [result.data for result in results] == [
        {"hello": f"hi {name}", "item": {"kids": [{"number": n, "colour": "RED"} for n in range(2)]}, "boom": None}
        for name in ("a", "b")
    ]
    assert results[0].errors is not None
    assert results[0].errors[0].path == ["boom"]
    assert (noted.compiled, noted.hits) == (1, 1)
    # Texts that differ in nothing but an argument are different operations.
    assert (await schema.execute('{hello(name:"c")}')).data == {"hello": "hi c"}
    assert (await schema.execute('{hello(name:"d")}')).data == {"hello": "hi d"}


async def test_what_stands_around_resolvers_is_left_to_graphql_core() -> None:
    class Loud(SchemaExtension):
        def resolve(self, _next, root, info, *args, **kwargs):  # type: ignore[no-untyped-def]
            return str(_next(root, info, *args, **kwargs)).upper()

    noted = Noted()
    schema = strawberry.Schema(
        toy.Query,
        config=toy.schema.config,
        extensions=[Loud],
        execution_context_class=planned(PlanCache(native=False, observer=noted)),
    )

    assert (await schema.execute("{hello}")).data == {"hello": "HI WORLD"}
    assert noted.missing == ["executor"]


async def test_what_does_not_wait_is_there_at_once() -> None:
    noted = Noted()
    schema = strawberry.Schema(
        toy.Query,
        config=toy.schema.config,
        execution_context_class=planned(PlanCache(native=False, observer=noted)),
    )

    assert schema.execute_sync("{hello item{number}}").data == {"hello": "hi world", "item": {"number": 0}}
    assert (noted.compiled, noted.missing) == (1, [])


def test_without_a_loop_it_is_left_to_graphql_core() -> None:
    noted = Noted()
    schema = strawberry.Schema(
        toy.Query,
        config=toy.schema.config,
        execution_context_class=planned(PlanCache(native=False, observer=noted)),
    )

    assert schema.execute_sync("{hello}").data == {"hello": "hi world"}
    assert noted.missing == ["synchronous"]


async def test_plans_can_be_switched_off() -> None:
    noted = Noted()

    answer = await toy.run(toy.executor(compiled_plans=False, plan_observer=noted), "{hello}")

    assert answer.payload == {"data": {"hello": "hi world"}}
    assert (noted.missing, noted.compiled) == (["switched_off"], 0)


async def test_an_answer_is_json_once_it_is_there() -> None:
    executor = toy.executor()
    answer = await toy.run(executor, "{hello item{colour}}")

    assert answer.encode() == b'{"data":{"hello":"hi world","item":{"colour":"RED"}}}'
    assert answer.encode() is answer.encode()


async def test_what_json_can_not_hold_is_masked() -> None:
    reported: list[tuple[BaseException, str]] = []

    answer = await toy.run(toy.executor(reported), "{unwritable}")

    assert (answer.code, "data" in answer.payload) == ("INTERNAL", False)
    assert isinstance(reported[0][0], TypeError)
