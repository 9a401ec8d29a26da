"""Heartbeat monitors through the API: made, beaten, missed, deleted."""

from __future__ import annotations

from typing import Any

from alertgraph.core.tenant import Principal
from alertgraph.edge.clock import SystemDice
from alertgraph.edge.telemetry import Telemetry
from alertgraph.services.monitors import MonitorWatch
from tests.factories import DAY, a_matcher
from tests.integration.resolvers.api import Api, scoped
from tests.virtual import VirtualClock

MONITOR = "id name interval severity labels lastBeatAt version alert { title severity labels }"
CREATE = f"""mutation($input: HeartbeatMonitorInput!) {{ createHeartbeatMonitor(input: $input) {{
  heartbeatMonitor {{ {MONITOR} }} errors {{ code path }} }} }}"""
UPDATE = f"""mutation($input: UpdateHeartbeatMonitorInput!) {{ updateHeartbeatMonitor(input: $input) {{
  heartbeatMonitor {{ {MONITOR} }} errors {{ code path }} }} }}"""
DELETE = """mutation($input: DeleteInput!) { deleteHeartbeatMonitor(input: $input) {
  deletedId errors { code path } } }"""
BEAT = """mutation($input: BeatInput!) { beat(input: $input) {
  heartbeatMonitor { name lastBeatAt } errors { code path } } }"""
LIST = f"{{ heartbeatMonitors {{ nodes {{ {MONITOR} }} totalCount }} }}"
OPEN = "{ alerts(filter: { status: [TRIGGERED, ACKNOWLEDGED] }) { nodes { title } } }"


async def make(api: Api, admin: Principal, **fields: Any) -> dict[str, Any]:
    answer = await api.data(admin, CREATE, input={"name": "backup", "interval": "PT1H", **fields})
    assert answer["createHeartbeatMonitor"]["errors"] == []
    made: dict[str, Any] = answer["createHeartbeatMonitor"]["heartbeatMonitor"]
    return made


async def watch_a_day_later(api: Api) -> int:
    clock = VirtualClock(api.clock.now() + DAY)
    watch = MonitorWatch(api.monitors, api.snapshots, api.lanes, clock, SystemDice(), Telemetry())
    return await watch.turn()


async def test_a_missed_beat_is_an_alert_until_the_next(
    api: Api, admin: Principal, sender: Principal, viewer: Principal
) -> None:
    # Of other tests' tenants there may be monitors that are due a day later.
    await watch_a_day_later(api)
    made = await make(api, admin, severity="CRITICAL", labels={"team": "db"})
    assert (made["lastBeatAt"], made["alert"], made["labels"]) == (None, None, {"team": "db"})
    assert await watch_a_day_later(api) == 0

    beat = (await api.data(sender, BEAT, input={"name": "backup"}))["beat"]
    assert beat["errors"] == []
    assert beat["heartbeatMonitor"]["lastBeatAt"] is not None
    assert await watch_a_day_later(api) == 1
    assert await watch_a_day_later(api) == 0
    [late] = (await api.data(viewer, LIST))["heartbeatMonitors"]["nodes"]
    assert late["alert"] == {
        "title": "No heartbeat from backup",
        "severity": "CRITICAL",
        "labels": {"team": "db", "heartbeat": "backup"},
    }
    # What a key may not see is not there.
    narrow = scoped(viewer, a_matcher("team", "web"))
    assert (await api.data(narrow, LIST))["heartbeatMonitors"]["nodes"][0]["alert"] is None

    await api.data(sender, BEAT, input={"name": "backup"})
    [back] = (await api.data(viewer, LIST))["heartbeatMonitors"]["nodes"]
    assert back["alert"] is None
    assert back["lastBeatAt"] > late["lastBeatAt"]


async def test_a_monitor_is_changed_and_deleted_with_its_alert(
    api: Api, admin: Principal, sender: Principal, viewer: Principal
) -> None:
    made = await make(api, admin, idempotencyKey="once")
    assert await make(api, admin, idempotencyKey="once") == made
    await api.data(sender, BEAT, input={"name": "backup"})
    await watch_a_day_later(api)
    changed = (
        await api.data(
            admin,
            UPDATE,
            input={
                "id": made["id"],
                "expectedVersion": made["version"],
                "name": "nightly backup",
                "interval": "PT2H",
                "labels": {"team": "web"},
            },
        )
    )["updateHeartbeatMonitor"]["heartbeatMonitor"]
    assert (changed["name"], changed["interval"], changed["severity"]) == ("nightly backup", "PT2H", "HIGH")
    assert changed["alert"] is not None
    assert len((await api.data(viewer, OPEN))["alerts"]["nodes"]) == 1
    node = "query($id: ID!) { node(id: $id) { ... on HeartbeatMonitor { name } } }"
    assert (await api.data(viewer, node, id=made["id"]))["node"] == {"name": "nightly backup"}

    gone = (await api.data(admin, DELETE, input={"id": made["id"]}))["deleteHeartbeatMonitor"]
    assert gone == {"deletedId": made["id"], "errors": []}
    assert (await api.data(viewer, OPEN))["alerts"]["nodes"] == []
    assert (await api.data(viewer, LIST))["heartbeatMonitors"] == {"nodes": [], "totalCount": 0}
    unknown = (await api.data(sender, BEAT, input={"name": "nightly backup"}))["beat"]
    assert unknown == {"heartbeatMonitor": None, "errors": [{"code": "NOT_FOUND", "path": ["input", "name"]}]}


async def test_refusals_name_the_input_at_fault(
    api: Api, admin: Principal, responder: Principal, sender: Principal
) -> None:
    made = await make(api, admin)
    cases: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"name": "backup"}, "CONFLICT", ["name"]),
        ({"name": "a\nb"}, "INVALID_INPUT", ["name"]),
        ({"interval": "PT9S"}, "INVALID_INPUT", ["interval"]),
        ({"labels": ["team"]}, "INVALID_INPUT", ["labels"]),
        ({"labels": {"team": 1}}, "INVALID_INPUT", ["labels", "team"]),
    ]

    for fields, code, path in cases:
        answer = (await api.data(admin, CREATE, input={"name": "x", "interval": 60, **fields}))[
            "createHeartbeatMonitor"
        ]
        assert answer == {"heartbeatMonitor": None, "errors": [{"code": code, "path": ["input", *path]}]}
    null = (await api.data(admin, UPDATE, input={"id": made["id"], "labels": None}))["updateHeartbeatMonitor"]
    assert null["errors"] == [{"code": "INVALID_INPUT", "path": ["input", "labels"]}]
    assert await api.codes(responder, CREATE, input={"name": "x", "interval": 60}) == ["FORBIDDEN"]
    assert await api.codes(responder, DELETE, input={"id": made["id"]}) == ["FORBIDDEN"]
    assert await api.codes(sender, LIST) == ["FORBIDDEN"]
    # The relation of a monitor is not for senders, its plain fields are.
    alert = 'mutation { beat(input: { name: "backup" }) { heartbeatMonitor { name alert { id } } } }'
    assert await api.codes(sender, alert) == ["FORBIDDEN"]
