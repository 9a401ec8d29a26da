"""What operations of this schema cost: objects that are fetched, not those at hand."""

import pytest

from alertgraph.execution.errors import RefusedError
from alertgraph.execution.executor import GraphQLExecutor
from alertgraph.execution.request import GraphQLRequest
from resolvers.schema import schema


def report(error: BaseException, request_id: str) -> None:
    raise AssertionError(request_id) from error


EXECUTOR = GraphQLExecutor(schema, report=report)


def cost(document: str, **variables: object) -> int:
    return EXECUTOR.prepare(GraphQLRequest(document, None, variables)).cost


@pytest.mark.parametrize(
    ("document", "points"),
    [
        ("{ rateLimit { remaining } }", 1),
        ("{ viewer { role tenant { slug } } }", 2),
        (
            "{ alerts { nodes { id labels sla { resolveBy } resolvedBy { name } links { href } } asOf } }",
            51,
        ),
        ("{ alerts(first: 100) { edges { cursor node { id } } pageInfo { endCursor } } }", 101),
        ("{ alerts(first: 1) { totalCount } }", 11),
        ("{ alerts(first: 10) { nodes { events(first: 5) { nodes { id note detail } } } } }", 1 + 10 * (2 + 5)),
        ('{ nodes(ids: ["a", "b", "c"]) { id } }', 3),
        ("{ labelSuggestions(first: 7) }", 7),
        ("subscription { alertEventBatches { events { number alert { id } } } }", 201),
        ("subscription { alertEvents { number } }", 1),
    ],
)
def test_reads(document: str, points: int) -> None:
    assert cost(document) == points


def test_a_mutation_costs_what_it_fetches() -> None:
    one = "mutation($i: CreateAlertInput!) { createAlert(input: $i) { created alert { id } errors { code } } }"
    many = """mutation($i: [CreateAlertInput!]!) {
      createAlerts(input: $i) { createdCount outcomes { created alert { id title } } errors { path } } }"""

    assert cost(one, i={"title": "a", "severity": "LOW"}) == 2
    assert cost(many, i=[{"title": "a", "severity": "LOW"}] * 1000) == 1


def test_figures_cost_by_the_ways_they_are_cut() -> None:
    window = 'alertMetrics(since: "2026-01-01T00:00:00Z", until: "2026-01-02T00:00:00Z")'

    assert cost(f"{{ {window} {{ createdCount mtta resolveP95 }} }}") == 5
    assert cost(f"{{ {window} {{ openCount }} }}") == 10
    assert cost(f"{{ {window} {{ groups(by: SEVERITY, first: 5) {{ key }} }} }}") == 10
    assert cost(f'{{ {window} {{ series(bucket: "PT1H") {{ createdCount }} }} }}') == 55


def test_a_thousand_timelines_are_too_much_to_ask_for() -> None:
    document = """mutation($i: AlertsActionInput!) {
      resolveAlerts(input: $i) { outcomes { alert { events { nodes { id } } } } } }"""

    with pytest.raises(RefusedError) as refused:
        cost(document, i={"select": {"dedupKeys": ["a"]}})

    assert refused.value.code == "COST_EXCEEDED"


@pytest.mark.parametrize(
    ("select", "words"),
    [
        ({}, "Exactly one"),
        ({"ids": ["a"], "dedupKeys": ["b"]}, "Exactly one"),
        ({"ids": None}, "must not be null"),
    ],
)
def test_alerts_are_selected_in_exactly_one_way(select: dict[str, object], words: str) -> None:
    document = "mutation($i: AlertsActionInput!) { resolveAlerts(input: $i) { changedCount } }"

    with pytest.raises(RefusedError, match=words):
        cost(document, i={"select": select})
