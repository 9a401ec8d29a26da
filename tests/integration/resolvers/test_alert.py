"""Lists of alerts, their timelines, and things by id."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from graphql import get_named_type, is_leaf_type

from alertgraph.core.tenant import Principal, Role
from resolvers.scalars import instant_text
from resolvers.schema import schema
from tests.factories import a_matcher
from tests.integration.resolvers.api import Api, a_caller, scoped

CREATE_MANY = """
mutation($input: [CreateAlertInput!]!) {
  createAlerts(input: $input) { outcomes { alert { id } } errors { path } }
}"""
LIST = """
query($filter: AlertFilter, $orderBy: AlertOrder, $first: Int, $after: String, $last: Int, $before: String) {
  alerts(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
    nodes { id title } edges { cursor node { title } } totalCount asOf
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


async def sent(api: Api, sender: Principal, *titles: str, **fields: Any) -> list[str]:
    begun = api.clock.now() - timedelta(minutes=1)
    items = [
        {
            "title": title,
            "severity": "HIGH",
            "dedupKey": title,
            "triggeredAt": instant_text(begun + timedelta(seconds=index)),
            **fields,
        }
        for index, title in enumerate(titles)
    ]
    data = await api.data(sender, CREATE_MANY, input=items)
    assert data["createAlerts"]["errors"] == []
    return [outcome["alert"]["id"] for outcome in data["createAlerts"]["outcomes"]]


async def titles(api: Api, who: Principal, **variables: Any) -> list[str]:
    page = (await api.data(who, LIST, **variables))["alerts"]
    return [node["title"] for node in page["nodes"]]


async def test_pages_go_both_ways(api: Api, sender: Principal, viewer: Principal) -> None:
    await sent(api, sender, "a", "b", "c", "d", "e")
    order = {"field": "TRIGGERED_AT", "direction": "ASC"}

    first = (await api.data(viewer, LIST, orderBy=order, first=2))["alerts"]
    second = (await api.data(viewer, LIST, orderBy=order, first=2, after=first["pageInfo"]["endCursor"]))["alerts"]
    back = (await api.data(viewer, LIST, orderBy=order, last=2, before=second["edges"][0]["cursor"]))["alerts"]

    assert [node["title"] for node in first["nodes"]] == ["a", "b"]
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"]) == (True, False)
    assert first["totalCount"] == 5
    assert [edge["node"]["title"] for edge in second["edges"]] == ["c", "d"]
    assert back["nodes"] == first["nodes"]


async def test_the_total_is_counted_wherever_it_is_asked_for(
    api: Api, sender: Principal, viewer: Principal
) -> None:
    await sent(api, sender, "a", "b")
    document = """
    query { alerts { ...page ... on CriticalAlertConnection { ... { asOf } } } }
    fragment page on CriticalAlertConnection { ...counted }
    fragment counted on CriticalAlertConnection { count: totalCount }"""

    assert (await api.data(viewer, document))["alerts"]["count"] == 2


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"first": 0}, "first"),
        ({"first": 101}, "first"),
        ({"last": -1}, "last"),
        ({"first": 1, "last": 1}, "last"),
        ({"after": "nonsense"}, "after"),
        ({"before": "%%%"}, "before"),
        ({"filter": {"search": "?"}}, "filter.search"),
        ({"filter": {"source": ["a\x00"]}}, "filter.source.0"),
        ({"filter": {"matchers": [{"label": "a", "operator": "REGEX", "value": "["}]}}, "filter.matchers.0.value"),
    ],
)
async def test_an_argument_that_can_not_be_used_is_a_bad_request(
    api: Api, viewer: Principal, variables: dict[str, Any], words: str
) -> None:
    payload = await api.run(viewer, LIST, **variables)

    (error,) = payload["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert words in error["message"]


async def test_a_cursor_is_only_good_for_its_order(api: Api, sender: Principal, viewer: Principal) -> None:
    await sent(api, sender, "a", "b")
    page = (await api.data(viewer, LIST, first=1))["alerts"]

    payload = await api.run(viewer, LIST, orderBy={"field": "SEVERITY"}, after=page["pageInfo"]["endCursor"])

    assert payload["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_filters_narrow(api: Api, sender: Principal, viewer: Principal) -> None:
    await sent(api, sender, "disk", labels={"host": "a", "n": "1"}, monitoredService="db")
    await sent(api, sender, "latency", labels={"host": "b", "n": "2"}, source="cron")
    tenant_id = viewer.tenant.id
    await api.indexing.index(tenant_id)

    assert await titles(api, viewer, filter={"monitoredService": ["db"]}) == ["disk"]
    assert await titles(api, viewer, filter={"source": ["cron"]}) == ["latency"]
    assert await titles(api, viewer, filter={"matchers": [{"label": "host", "value": "b"}]}) == ["latency"]
    assert await titles(api, viewer, filter={"search": "DISK"}) == ["disk"]
    assert await titles(api, viewer, filter={"severity": ["LOW"]}) == []
    assert await titles(api, viewer, filter={"status": []}) == []
    assert sorted(await titles(api, viewer, filter={"slaBreached": False})) == ["disk", "latency"]
    assert (await api.data(viewer, "{ labelSuggestions }"))["labelSuggestions"] == ["host", "n"]
    values = await api.data(viewer, '{ labelSuggestions(label: "host", prefix: "b", first: 5) }')
    assert values["labelSuggestions"] == ["b"]
    assert await api.codes(viewer, "{ labelSuggestions(first: 101) }") == ["BAD_REQUEST"]


async def test_timelines_of_a_page_are_read_together(api: Api, sender: Principal, viewer: Principal) -> None:
    await sent(api, sender, "a", "b", "c")

    data = await api.data(
        viewer,
        """{ alerts { nodes {
             events(first: 1) { nodes { kind alert { title } } pageInfo { hasNextPage } asOf edges { cursor } }
             noted: events(kinds: [NOTED]) { nodes { id } } } asOf } }""",
    )

    nodes = data["alerts"]["nodes"]
    assert [node["events"]["nodes"][0]["alert"]["title"] for node in nodes] == ["c", "b", "a"]
    assert all(node["noted"]["nodes"] == [] for node in nodes)
    assert {node["events"]["asOf"] for node in nodes} == {data["alerts"]["asOf"]}
    payload = await api.run(viewer, "{ alerts { nodes { events(first: 0) { asOf } } } }")
    assert {error["extensions"]["code"] for error in payload["errors"]} == {"BAD_REQUEST"}


async def test_nodes_keep_their_places(api: Api, sender: Principal, admin: Principal) -> None:
    alert_id = (await sent(api, sender, "a"))[0]
    events = (await api.data(admin, "{ events { nodes { id cursor } } }"))["events"]["nodes"]
    tenant_id = (await api.data(admin, "{ viewer { tenant { id } } }"))["viewer"]["tenant"]["id"]

    data = await api.data(
        admin,
        """query($ids: [ID!]!) { nodes(ids: $ids) {
             __typename id ... on LogEvent { cursor } ... on CriticalAlert { title } ... on Tenant { slug } } }""",
        ids=["nonsense", alert_id, events[0]["id"], tenant_id, alert_id],
    )

    assert data["nodes"] == [
        None,
        {"__typename": "CriticalAlert", "id": alert_id, "title": "a"},
        {"__typename": "LogEvent", "id": events[0]["id"], "cursor": events[0]["cursor"]},
        {"__typename": "Tenant", "id": tenant_id, "slug": admin.tenant.slug},
        {"__typename": "CriticalAlert", "id": alert_id, "title": "a"},
    ]
    assert await api.codes(admin, "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * 101) == [
        "BAD_REQUEST"
    ]


async def test_another_tenant_sees_nothing(api: Api, sender: Principal, admin: Principal) -> None:
    alert_id = (await sent(api, sender, "a"))[0]
    event = (await api.data(admin, "{ events { nodes { id cursor } } }"))["events"]["nodes"][0]
    tenant_id = (await api.data(admin, "{ viewer { tenant { id } } }"))["viewer"]["tenant"]["id"]
    other = a_caller(await api.tenant("globex"), Role.ADMIN)

    for node_id in (alert_id, event["id"], tenant_id):
        assert (await api.data(other, "query($id: ID!) { node(id: $id) { id } }", id=node_id))["node"] is None
    assert (await api.data(other, "query($id: ID!) { alert(id: $id) { id } }", id=alert_id))["alert"] is None
    assert await titles(api, other) == []
    assert (await api.data(other, "{ events { nodes { id } } }"))["events"]["nodes"] == []


async def test_a_scoped_key_sees_its_alerts_only(api: Api, sender: Principal, viewer: Principal) -> None:
    await sent(api, sender, "a", monitoredService="db")
    await sent(api, sender, "b", monitoredService="web")

    assert await titles(api, scoped(viewer, a_matcher("@service", "db"))) == ["a"]


async def test_each_field_of_a_list_can_be_asked_for_alone(api: Api, sender: Principal, viewer: Principal) -> None:
    await sent(api, sender, "a", labels={"job": "api"}, links=[{"href": "https://a.example", "text": "a"}])
    type_: Any = schema._schema.type_map["CriticalAlert"]
    for name, field in type_.fields.items():
        asked = name if is_leaf_type(get_named_type(field.type)) else f"{name} {{ __typename }}"

        # Each is asked of graphql-core, too, which knows nothing of what is asked for.
        nodes = await api.data(viewer, f"{{ alerts(first: 5) {{ nodes {{ {asked} }} }} }}")
        edges = await api.data(viewer, f"{{ alerts(first: 5) {{ edges {{ node {{ {asked} }} }} }} }}")

        assert edges["alerts"]["edges"] == [{"node": node} for node in nodes["alerts"]["nodes"]]
        assert len(nodes["alerts"]["nodes"]) == 1


async def test_of_the_same_alerts_other_fields_may_be_asked_for_in_edges(
    api: Api, sender: Principal, viewer: Principal
) -> None:
    await sent(api, sender, "a", "b")

    page = (
        await api.data(viewer, "{ alerts { nodes { title } more: edges { node { dedupKey } } edges { cursor } } }")
    )["alerts"]

    assert [node["title"] for node in page["nodes"]] == ["b", "a"]
    assert [edge["node"]["dedupKey"] for edge in page["more"]] == ["b", "a"]
    assert len({edge["cursor"] for edge in page["edges"]} - {""}) == 2
