"""What a document costs before it runs."""

from __future__ import annotations

import pytest
from graphql import OperationDefinitionNode, get_introspection_query, parse, validate

from alertgraph.core.labels import MatchOperator
from alertgraph.execution.cost import CostPlan, Prices, plan_cost
from alertgraph.execution.errors import RefusedError
from resolvers.matcher import LOOKED_FOR_POINTS, SEARCH_POINTS
from resolvers.schema import schema
from tests.conformance import toy


def cost(query: str, **variables: object) -> int:
    return toy.executor(cost_max=10**9, introspection=True).prepare(toy.request(query, **variables)).cost


@pytest.mark.parametrize(
    ("query", "points"),
    [
        ("{hello}", 1),
        ("{__typename}", 1),
        ("{item{number colour}}", 1),
        ("{item{parent{parent{number}}}}", 3),
        ("{dear{number}}", 10),
        # A list: each entry counts, with what is below it.
        ("{item{kids(first:7){number}}}", 1 + 7),
        ("{item{kids(first:7){parent{number}}}}", 1 + 7 * 2),
        ("{item{kids(first:7){kids(first:3){number}}}}", 1 + 7 * (1 + 3)),
        ("{item{kids{number}}}", 1 + 2),
        ("{item{tags{number}}}", 1 + 10),
        ("{item{few{number}}}", 1 + 3),
        ("{nodes(ids:[1,2,3]){parent{number}}}", 3 * 2),
        # A connection: one, and its page.
        ("{items(first:7){nodes{number}}}", 1 + 7),
        ("{items(last:7){nodes{number}}}", 1 + 7),
        ("{items(first:7){edges{cursor}}}", 1),
        ("{items(first:7){edges{cursor node{number}}}}", 1 + 7),
        ("{items(first:7){edges{node{parent{number}}} nodes{number}}}", 1 + 7 * 2 + 7),
        ("{items{nodes{number}}}", 1 + 50),
        ("{items(first:null){nodes{number}}}", 1 + 50),
        ("{items(first:300000){nodes{number}}}", 1 + 100),
        ("{items(first:-5){nodes{number}}}", 1),
        ("{items(first:5 last:9){nodes{number}}}", 1 + 9),
        ("{items(first:5){totalCount pageInfo{hasNextPage} nodes{number}}}", 1 + 5 + 1 + 5),
        # Merged selections count once, different aliases count each.
        ("{items(first:7){nodes{number} nodes{colour}}}", 1 + 7),
        ("{a:items(first:7){nodes{number}} b:items(first:7){nodes{number}}}", 2 * (1 + 7)),
        ("{item{...F ...F ...G}} fragment F on Item{parent{number}} fragment G on Item{parent{colour}}", 2),
        # What is left out for good costs nothing.
        ("{item{number} items(first:7) @skip(if:true){nodes{number}}}", 1),
        ("{item{number} items(first:7) @include(if:false){nodes{number}}}", 1),
        ("{item{number} ... @include(if:false){items(first:7){nodes{number}}}}", 1),
    ],
)
def test_points(query: str, points: int) -> None:
    assert cost(query) == points


def test_sizes_come_from_variables() -> None:
    query = "query($n:Int, $m:Int=4){items(first:$n){nodes{kids(first:$m){number}}}}"

    assert cost(query, n=7, m=3) == 1 + 7 * (1 + 3)
    assert cost(query, n=7) == 1 + 7 * (1 + 4)
    assert cost(query) == 1 + 50 * (1 + 4)
    assert cost(query, n=None) == 1 + 50 * (1 + 4)
    assert cost(query, n=2_000_000_000, m=0) == 1 + 100
    assert cost("query($m:Int){item{kids(first:$m){number}}}") == 1 + 2
    assert cost("query($ids:[ID!]!){nodes(ids:$ids){number}}", ids=["a"] * 300) == 300
    assert cost("query($id:ID!){nodes(ids:[$id,$id]){number}}", id="a") == 2


@pytest.mark.parametrize(("include", "skip", "points"), [(True, False, 5), (True, True, 1), (False, False, 1)])
def test_conditions_come_from_variables(include: bool, skip: bool, points: int) -> None:
    query = """query($i:Boolean!,$s:Boolean!){item{number ...F @include(if:$i)}}
        fragment F on Item{kids(first:4) @skip(if:$s){number}}"""

    assert cost(query, i=include, s=skip) == points


def test_a_field_counts_where_any_of_its_places_is_included() -> None:
    query = "query($a:Boolean!,$b:Boolean!){item{parent @include(if:$a){number} parent @include(if:$b){colour}}}"

    assert cost(query, a=False, b=False) == 1
    assert cost(query, a=False, b=True) == 2


def test_the_same_fragment_under_two_conditions_counts() -> None:
    query = """query($a:Boolean!,$b:Boolean!){item{...F @include(if:$a) ...F @include(if:$b)}}
        fragment F on Item{parent{number}}"""

    assert cost(query, a=False, b=True) == 2


def test_reading_the_schema_costs_by_its_lists() -> None:
    assert cost("{__schema{queryType{name}}}") == 1
    assert cost("{__schema{types{name}}}") == 50
    assert 200 <= cost(get_introspection_query()) <= 1_000


def test_list_multiplication_is_refused_though_the_text_is_short() -> None:
    query = "{item{kids(first:100){kids(first:100){kids(first:100){number}}}}}"

    with pytest.raises(RefusedError, match="would cost 1010101 points; at most 5000 are allowed") as refused:
        toy.executor().prepare(toy.request(query))
    assert refused.value.code == "COST_EXCEEDED"


def test_the_cap_is_exact_and_sees_variables() -> None:
    executor = toy.executor(cost_max=51)
    query = "query($n:Int){items(first:$n){nodes{number}}}"

    assert executor.prepare(toy.request(query, n=50)).cost == 51
    with pytest.raises(RefusedError):
        executor.prepare(toy.request(query, n=51))


def test_prices_can_be_set() -> None:
    executor = toy.executor(prices=Prices(page_size_default=5, page_size_max=20, list_size_default=2))

    assert executor.prepare(toy.request("{items{nodes{number}}}")).cost == 1 + 5
    assert executor.prepare(toy.request("{items(first:50){nodes{tags{number}}}}")).cost == 1 + 20 * (1 + 2)


# ------------------------------------------------------------------------------------------ arguments


def plan_of(query: str) -> CostPlan:
    """Return the cost plan of a document of the service's own schema."""
    document = parse(query)
    validated = validate(schema._schema, document)
    assert validated == []
    (operation,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return plan_cost(schema._schema, operation, {}, Prices(), 1000)


PAGE = "{nodes{id}}"


@pytest.mark.parametrize(
    ("arguments", "points"),
    [
        ("", 0),
        ("filter:null", 0),
        ('filter:{status:[TRIGGERED] severity:[HIGH] monitoredService:["a"]}', 0),
        ('filter:{search:"disk"}', SEARCH_POINTS),
        ("filter:{search:null}", 0),
        ("filter:{matchers:[]}", 0),
        ('filter:{matchers:[{label:"a" value:"b"}]}', SEARCH_POINTS),
        ('filter:{matchers:{label:"a" value:"b" operator:EQUAL}}', SEARCH_POINTS),
        ('filter:{matchers:[{label:"a" value:"b" operator:REGEX}]}', LOOKED_FOR_POINTS),
        (
            'filter:{matchers:[{label:"a" value:"b" operator:NOT_EQUAL} {label:"c" value:"d"}] search:"x"}',
            LOOKED_FOR_POINTS + 2 * SEARCH_POINTS,
        ),
        ("filter:{silenced:false}", LOOKED_FOR_POINTS),
    ],
)
def test_what_has_to_be_looked_for_is_paid_for_once_a_list(arguments: str, points: int) -> None:
    given = f"({arguments} first:10)" if arguments else "(first:10)"

    assert plan_of(f"{{alerts{given}{PAGE}}}").points({}) == 1 + 10 + points


def test_what_variables_ask_for_is_paid_for() -> None:
    whole = plan_of(f"query($f:AlertFilter){{alerts(filter:$f first:10){PAGE}}}")
    part = plan_of(
        f"query($m:[LabelMatcherInput!] $s:String){{alerts(filter:{{matchers:$m search:$s}} first:10){PAGE}}}"
    )
    regex = {"label": "host", "operator": MatchOperator.REGEX, "value": "a.*"}

    assert whole.points({}) == part.points({}) == part.points({"m": None, "s": None}) == 11
    assert whole.points({"f": None}) == whole.points({"f": {}}) == 11
    assert whole.points({"f": {"matchers": [regex, regex]}}) == 11 + 2 * LOOKED_FOR_POINTS
    assert part.points({"m": [regex], "s": "disk"}) == 11 + LOOKED_FOR_POINTS + SEARCH_POINTS
    assert part.points({"m": [{**regex, "operator": MatchOperator.EQUAL}]}) == 11 + SEARCH_POINTS


def test_each_alias_and_each_place_pays_for_itself() -> None:
    search = 'filter:{search:"a"} first:1'

    twice = plan_of(f"{{a:alerts({search}){PAGE} b:alerts({search}){PAGE}}}")
    left_out = plan_of(f"query($no:Boolean!){{alerts({search}) @include(if:$no){PAGE}}}")

    assert twice.points({}) == 2 * (1 + 1 + SEARCH_POINTS)
    assert left_out.points({"no": False}) == 1
    assert left_out.points({"no": True}) == 2 + SEARCH_POINTS


def test_events_and_previews_are_priced_by_what_they_look_for() -> None:
    kinds = plan_of(f"{{events(filter:{{kinds:[ACKNOWLEDGED]}} first:10){PAGE}}}")
    source = plan_of(f'{{events(filter:{{source:["a"]}} first:10){PAGE}}}')
    preview = plan_of('{silencePreview(matchers:[{label:"a" operator:REGEX value:"b"}]){openCount}}')

    assert kinds.points({}) == 11
    assert source.points({}) == 11 + LOOKED_FOR_POINTS
    # A preview, and the five points of counting.
    assert preview.points({}) == 1 + 5 + LOOKED_FOR_POINTS
