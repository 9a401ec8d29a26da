"""What somebody owns on a running alertgraph, every word marked, so that none turns up elsewhere unnoticed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_bytes, token_hex
from typing import Any
from uuid import UUID, uuid4

import httpx2

from alertgraph.core.action import ById, Predict
from alertgraph.core.actor import MODEL
from alertgraph.core.batch import Batch, Request
from alertgraph.core.ids import AlertId, FlushId, ModelId, TenantId, decode_id, pack
from alertgraph.core.learning import ModelState
from alertgraph.core.prediction_model import PredictionModel
from alertgraph.storage.database import Database
from alertgraph.storage.log import PostgresLog
from alertgraph.storage.prediction_models import PostgresPredictionModels
from tests.e2e import walk
from tests.e2e.walk import Case
from tests.factories import a_prediction
from tests.running import RunningService

INDEXED_SECONDS = 10.0

CREATE = """mutation Create($input: CreateAlertInput!) {
  createAlert(input: $input) { alert { id } errors { code message path } }
}"""
# Lists of what pages are set up by.
PAGER = (
    "notificationChannels",
    "responders",
    "onCallSchedules",
    "escalationRules",
    "inhibitionRules",
    "silences",
    "heartbeatMonitors",
    "anomalyRules",
)
# Lists of alerts, each by what it is ordered by.
BY_ORDER = ("alerts", "seen", "worst", "likeliest")
# What an id begins with, by what it is of.
PREFIXES = {
    "alert": "alr",
    "view": "vew",
    "key": "key",
    "channel": "chn",
    "responder": "rsp",
    "schedule": "sch",
    "override": "ovr",
    "rule": "rul",
    "inhibition": "inh",
    "silence": "sil",
    "monitor": "mon",
    "anomaly": "ano",
    "incident": "inc",
    "model": "mdl",
}
TEST = "mutation Test($id: ID!) { testNotificationChannel(input: {id: $id}) { delivered errors { message } } }"
NEED = (
    "mutation Need($input: SetServiceDependenciesInput!) { setServiceDependencies(input: $input) { __typename } }"
)
LISTS = """{
  alerts(first: 100) { nodes { id } edges { cursor } asOf }
  seen: alerts(first: 100, orderBy: {field: LAST_SEEN_AT}) { edges { cursor } }
  worst: alerts(first: 100, orderBy: {field: SEVERITY}) { edges { cursor } }
  likeliest: alerts(first: 100, orderBy: {field: INCIDENT_PROBABILITY}) { edges { cursor } }
  predictionModels(first: 100) { nodes { id } edges { cursor } }
  events(last: 100) { nodes { id cursor kind subjectType } pageInfo { hasPreviousPage } }
  savedViews(first: 100) { nodes { id } edges { cursor } }
  apiKeys(first: 100) { nodes { id prefix } edges { cursor } }
  deliveries(first: 100) { nodes { id } edges { cursor } }
  incidents(first: 100) { nodes { id } edges { cursor } }
  viewer { tenant { id } }
  PAGER
}""".replace("PAGER", " ".join(f"{name}(first: 100) {{ nodes {{ id }} edges {{ cursor }} }}" for name in PAGER))
STATE = """{
  notificationChannels(first: 100) { nodes { id version name enabled template } totalCount }
  responders(first: 100) { nodes { id version name email contactMethods { address } } totalCount }
  onCallSchedules(first: 100) { nodes { id version name rotations { startsAt } } totalCount }
  escalationRules(first: 100) { nodes { id version name enabled position } totalCount }
  inhibitionRules(first: 100) { nodes { id version name enabled } totalCount }
  silences(first: 100) { nodes { id version comment state endsAt } totalCount }
  heartbeatMonitors(first: 100) { nodes { id version name interval } totalCount }
  anomalyRules(first: 100) { nodes { id version name enabled } totalCount }
  deliveries(first: 100) { nodes { id status } pageInfo { hasNextPage } }
  alerts(first: 100, orderBy: {direction: ASC}) {
    nodes {
      id version status title description severity labels annotations occurrenceCount lastSeenAt
      acknowledgedAt acknowledgedUntil resolvedAt escalationLevel verdict prediction { modelVersion }
    }
    totalCount
  }
  incidents(first: 100) { nodes { id version title status alertCount mergedInto { id } } totalCount }
  oldest: events(first: 100) { nodes { number kind note detail } }
  events(last: 100) { nodes { number kind note detail } pageInfo { hasPreviousPage } }
  predictionModels(first: 100) { nodes { id version state } totalCount }
  savedViews(first: 100) { nodes { id version name filter shared } totalCount }
  apiKeys(first: 100) { nodes { id version name prefix role revokedAt } totalCount }
  viewer { tenant { id slug settings { resolveTimeout retention version } } }
}"""


@dataclass(frozen=True, slots=True)
class Belongings:
    """What can be named, and what must not be seen.

    Attributes:
        mark: Part of every text.
        ids: Of things of every kind.
        words: Texts that can be searched for.
        idempotency_keys: By mutation.
        secrets: Texts of which none may turn up with anybody else.
    """

    mark: str
    ids: Sequence[str]
    cursors: Sequence[str]
    dedup_keys: Sequence[str]
    words: Sequence[str]
    matchers: Sequence[Mapping[str, str]]
    idempotency_keys: Mapping[str, str]
    secrets: frozenset[str]

    def handles(self, case: Case) -> Sequence[Any]:
        """Return everything that can be put into a case's slot."""
        assert case.slot is not None, "there is nothing to put anywhere"
        if case.slot.kind == "idempotency_key" and case.root == "mutation":
            return [self.idempotency_keys[case.field]]
        by_kind: Mapping[str, Sequence[Any]] = {
            "id": self.ids,
            "cursor": self.cursors,
            "dedup_key": self.dedup_keys,
            "word": self.words,
            "matcher": self.matchers,
            # What is asked under one is asked anew each time, whatever it was good for.
            "idempotency_key": list(self.idempotency_keys.values()),
        }
        return by_kind[case.slot.kind]


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a key and things of their own.

    Attributes:
        ids: Of one thing of each kind, by `Case.about`.
    """

    service: RunningService
    key: str
    ids: Mapping[str, str]
    client: httpx2.Client = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def alert_id(self) -> str:
        """An alert of theirs."""
        return self.ids["alert"]

    @property
    def view_id(self) -> str:
        """A view of theirs."""
        return self.ids["view"]

    @property
    def key_id(self) -> str:
        """An API key that they made."""
        return self.ids["key"]

    def own(self, case: Case) -> str:
        """Return the id of a thing of the caller's own, of the kind that a field is about."""
        return self.ids[case.about]

    def request(self, case: Case, value: Any = None, *, own: str | None = None) -> dict[str, Any]:
        """Return the body of a request about things of the caller's own.

        Args:
            case: What is asked.
            value: For its slot.
            own: What the field is about, where it is to be something else.
        """
        about = own or self.own(case)
        return case.request(about, value, {**self.ids, case.about: about})

    def ask(self, case: Case, value: Any = None) -> httpx2.Response:
        """Return the answer to a case with this value in its slot."""
        return self.client.post("/graphql", json=self.request(case, value))

    def fire(self, word: str) -> None:
        """Send an alert of the caller's own."""
        draft = {"title": word, "severity": "HIGH", "dedupKey": token_hex(8), "labels": dict(self.labels)}
        made = self.service.data(CREATE, {"input": draft}, key=self.key)["createAlert"]
        assert not made["errors"], made


def a_caller(service: RunningService, key: str | None = None, **labels: str) -> Caller:
    """Return somebody who has an alert, a view, an API key and what pages are set up by.

    Args:
        service: Of the tenant.
        key: The ADMIN key of the tenant where it is left out.
        labels: What alerts of the caller's own need.
    """
    secret = key or service.admin_key
    draft = {"title": "My own", "severity": "LOW", "labels": labels}
    made = service.data(
        """mutation Mine($draft: CreateAlertInput!) {
          alert: createAlert(input: $draft) { alert { id } errors { message } }
          view: createSavedView(input: {name: "My own", filter: {}}) { savedView { id } }
        }""",
        {"draft": draft},
        key=secret,
    )
    assert not made["alert"]["errors"], made
    alert_id, view_id = made["alert"]["alert"]["id"], made["view"]["savedView"]["id"]
    key_id, _ = a_key(service, "INGEST", name="my own")
    incident_id = open_incident(service, "my own", alert_id)
    ids = {"alert": alert_id, "view": view_id, "key": key_id, "incident": incident_id}
    ids |= set_up(service, "my own")
    return Caller(service, secret, ids, service.client(secret), labels)


def a_key(
    service: RunningService, role: str, *, name: str = "a key", matchers: Sequence[Mapping[str, str]] = ()
) -> tuple[str, str]:
    """Return the id and the secret of a new key."""
    made = service.data(
        """mutation Key($input: ApiKeyInput!) {
          createApiKey(input: $input) { apiKey { id } secret errors { message path } }
        }""",
        {"input": {"name": name, "role": role, "matchers": list(matchers)}},
    )["createApiKey"]
    assert not made["errors"], made
    return made["apiKey"]["id"], made["secret"]


def open_incident(service: RunningService, word: str, *alert_ids: str) -> str:
    """Return the id of a new incident of these alerts."""
    made = service.data(
        """mutation Incident($input: IncidentInput!) {
          createIncident(input: $input) { incident { id } errors { message path } }
        }""",
        {"input": {"title": f"{word} incident", "alertIds": list(alert_ids)}},
    )["createIncident"]
    assert not made["errors"], made
    return str(made["incident"]["id"])


# By kind: the mutation that makes one, its input, and the field of its payload.
SET_UP: Mapping[str, tuple[str, str, str]] = {
    "channel": ("createNotificationChannel", "NotificationChannelInput", "notificationChannel"),
    "responder": ("createResponder", "ResponderInput", "responder"),
    "schedule": ("createOnCallSchedule", "OnCallScheduleInput", "onCallSchedule"),
    "override": ("overrideShift", "OverrideShiftInput", "override"),
    "rule": ("createEscalationRule", "EscalationRuleInput", "escalationRule"),
    "inhibition": ("createInhibitionRule", "InhibitionRuleInput", "inhibitionRule"),
    "silence": ("createSilence", "SilenceInput", "silence"),
    "monitor": ("createHeartbeatMonitor", "HeartbeatMonitorInput", "heartbeatMonitor"),
    "anomaly": ("createAnomalyRule", "AnomalyRuleInput", "anomalyRule"),
}


def set_up(service: RunningService, word: str) -> dict[str, str]:
    """Have one of everything that pages are set up by, used for nothing; return the ids by kind.

    Args:
        service: Of the tenant.
        word: In every name and text.
    """
    ids: dict[str, str] = {}
    slug = word.replace(" ", "-")
    never = [{"label": f"{slug}_label", "value": "never"}]

    def make(kind: str, **contents: Any) -> None:
        mutation, input_type, thing = SET_UP[kind]
        answer = f"{thing} {{ id }} errors {{ path message }}"
        query = f"mutation M($i: {input_type}!) {{ {mutation}(input: $i) {{ {answer} }} }}"
        payload = service.data(query, {"i": contents})[mutation]
        assert not payload["errors"], payload
        ids[kind] = payload[thing]["id"]

    config = {"email": {"to": [f"ops@{slug}.example"]}}
    make("channel", name=f"{word} channel", enabled=False, config=config, template=f"{word} template")
    way = {"channelId": ids["channel"], "address": f"ada@{slug}.example"}
    make("responder", name=f"{word} person", email=f"{slug}@example.com", contactMethods=[way])
    rotation = {"responderIds": [ids["responder"]], "startsAt": walk.YESTERDAY, "shiftLength": "P1D"}
    make("schedule", name=f"{word} schedule", rotations=[rotation])
    stretch = {"startsAt": walk.YESTERDAY, "endsAt": walk.TOMORROW}
    make("override", scheduleId=ids["schedule"], responderId=ids["responder"], **stretch)
    targets = [{f"{kind}Id": ids[kind]} for kind in ("responder", "schedule", "channel")]
    levels = [{"delay": "PT5M", "targets": targets}]
    make("rule", name=f"{word} rule", enabled=False, matchers=never, levels=levels)
    make("inhibition", name=f"{word} inhibition", enabled=False, sourceMatchers=never, targetMatchers=never)
    make("silence", matchers=never, endsAt=walk.TOMORROW, comment=f"{word} silence")
    make("monitor", name=f"{word} monitor", interval="P30D", labels={f"{slug}_label": slug})
    make("anomaly", name=f"{word} anomaly", matchers=never, monitoredService=f"{word} service")
    return ids


def furnish(service: RunningService) -> Belongings:
    """Give a tenant some of everything there is, and return what of it can be named."""
    mark = f"kanarie{token_hex(6)}"
    alerts = _alerts(service, mark)
    foretell(service, mark, list(alerts.values()))
    # Each needs the other, so that whichever is listed first has both sorts of neighbours.
    pair = f"{mark}-service", f"{mark}-store"
    needs = [{"service": one, "dependsOn": [other]} for one, other in (pair, pair[::-1])]
    service.data(NEED, {"input": {"dependencies": needs}})
    view_ids = _views(service, mark)
    key_id, secret = a_key(service, "RESPONDER", name=f"{mark} key")
    by_mutation = {}
    with service.client() as client:
        incident_id = open_incident(service, mark, alerts["open"], alerts["taken"])
        ids = {"alert": alerts["other"], "view": view_ids[0], "key": key_id, "incident": incident_id}
        ids |= set_up(service, mark)
        owner = Caller(service, service.admin_key, ids, client)
        # It goes nowhere, and is kept as what failed.
        service.data(TEST, {"id": ids["channel"]})
        for case in walk.cases("mutation"):
            if case.slot is not None and case.slot.kind == "idempotency_key":
                by_mutation[case.field] = f"{mark}-{case.field}"
                answer = owner.ask(case, by_mutation[case.field]).json()
                assert "errors" not in answer, answer
    service.data('mutation { updateTenantSettings(input: {retention: "P77D"}) { errors { code } } }')
    lists = service.data(LISTS)
    events = lists["events"]["nodes"]
    # One event for each who may see it: the log is read in the same way for all of them.
    sorts = {event["subjectType"]: event["id"] for event in events}
    assert len(sorts) == 15, f"events about alerts and everything that is set up: {sorts.keys()}"
    assert lists["deliveries"]["nodes"], "the test of a channel is a delivery"
    named = [
        *alerts.values(),
        *sorts.values(),
        *(node["id"] for name in ("savedViews", "apiKeys", "deliveries") for node in lists[name]["nodes"]),
        *(own_id for kind, own_id in ids.items() if kind in SET_UP or kind == "incident"),
        *(node["id"] for node in lists["predictionModels"]["nodes"]),
        lists["viewer"]["tenant"]["id"],
    ]
    cursors = [
        *(edge["cursor"] for name in BY_ORDER for edge in lists[name]["edges"][:2]),
        *(
            edge["cursor"]
            for name in ("savedViews", "apiKeys", "deliveries", "incidents", "predictionModels", *PAGER)
            for edge in lists[name]["edges"][:1]
        ),
        *(events[index]["cursor"] for index in (0, len(events) // 2, -1)),
        lists["alerts"]["asOf"],
    ]
    assert len(set(cursors)) >= 8, "lists have cursors of their own"
    prefixes = [node["prefix"] for node in lists["apiKeys"]["nodes"]]
    all_alert_ids = [node["id"] for node in lists["alerts"]["nodes"]]
    secrets = {service.tenant, secret, *prefixes, *all_alert_ids}
    return _belongings(mark, named, cursors, by_mutation, secrets)


def furnish_alerts(service: RunningService) -> Belongings:
    """Give a tenant alerts, and return what of them can be named: what a key's matchers may keep it from."""
    mark = f"kanarie{token_hex(6)}"
    alerts = _alerts(service, mark)
    foretell(service, mark, list(alerts.values()))
    lists = service.data(LISTS)
    event_ids = [event["id"] for event in lists["events"]["nodes"] if event["subjectType"] is None]
    cursors = [edge["cursor"] for name in BY_ORDER for edge in lists[name]["edges"][:2]]
    return _belongings(mark, [*alerts.values(), *event_ids[:3]], cursors, {}, set())


def foretell(service: RunningService, mark: str, alert_ids: Sequence[str]) -> None:
    """Have a model say something of alerts, and be known by its name: as the learning process does it."""
    tenant_id = TenantId(uuid_of(service.data("{ viewer { tenant { id } } }")["viewer"]["tenant"]["id"]))
    asyncio.run(_foretold(service.database_url, tenant_id, f"{mark} model", alert_ids))


async def _foretold(url: str, tenant_id: TenantId, version: str, alert_ids: Sequence[str]) -> None:
    database = await Database.connect(url, pool_size=1)
    try:
        log = PostgresLog(database)
        config = await log.config(tenant_id)
        assert config is not None
        keys = [AlertId(uuid_of(alert_id)) for alert_id in alert_ids]
        loaded = await log.load(tenant_id, [], keys, [])
        batch = Batch(loaded, config, datetime.now(UTC), 5)
        for key in keys:
            said = a_prediction(model_version=version, incident_probability=0.9, predicted_at=datetime.now(UTC))
            batch.apply(Request((Predict(ById(key), said),), (key,), MODEL))
        await log.append(tenant_id, batch.flush(FlushId(uuid4())))
        model = PredictionModel(ModelId(uuid4()), version, ModelState.ACTIVE, datetime.now(UTC), 7)
        await PostgresPredictionModels(database, uuid4).write(tenant_id, [model])
    finally:
        await database.close()


def _belongings(
    mark: str,
    ids: Sequence[str],
    cursors: Sequence[str],
    idempotency_keys: Mapping[str, str],
    secrets: set[str],
) -> Belongings:
    inside = {str(uuid_of(each)) for each in (*ids, *secrets) if each.startswith(("alr_", "tnt_"))}
    return Belongings(
        mark=mark,
        ids=ids,
        cursors=cursors,
        dedup_keys=[f"{mark}-{name}" for name in ("open", "taken", "closed")],
        words=[mark, f"{mark}-service", f"{mark}-source", f"{mark}_label"],
        matchers=[
            {"label": f"{mark}_label", "operator": "EQUAL", "value": f"{mark}-value"},
            {"label": "@title", "operator": "REGEX", "value": f"{mark}.*"},
        ],
        idempotency_keys=idempotency_keys,
        secrets=frozenset({mark, *ids, *secrets, *inside}),
    )


def _alerts(service: RunningService, mark: str) -> dict[str, str]:
    """Return the ids of an open, an acknowledged, a resolved and another open alert, people's notes on them."""
    alerts = {name: _send(service, mark, name) for name in ("open", "taken", "closed", "other")}
    _act(service, mark, alerts)
    with service.client() as client:
        posted = client.post("/api/v2/alerts", json=[{"labels": {"alertname": f"{mark} prom"}}])
        assert posted.status_code == 200, posted.text
    _wait_until_indexed(service, mark)
    return alerts


def _send(service: RunningService, mark: str, name: str) -> str:
    draft = {
        "title": f"{mark} {name}",
        "description": f"{mark} description",
        "severity": "HIGH",
        "source": f"{mark}-source",
        "monitoredService": f"{mark}-service",
        "dedupKey": f"{mark}-{name}",
        "labels": {f"{mark}_label": f"{mark}-value"},
        "annotations": {f"{mark}_annotation": {"deep": [mark]}},
        "links": [{"href": f"https://{mark}.example/", "text": mark}],
    }
    made = service.data(CREATE, {"input": draft})["createAlert"]
    assert not made["errors"], made
    return str(made["alert"]["id"])


def _act(service: RunningService, mark: str, alerts: Mapping[str, str]) -> None:
    did = service.data(
        """mutation Act($taken: ID!, $closed: ID!, $open: ID!, $note: String!) {
          acknowledgeAlert(input: {alertId: $taken, note: $note}) { changed errors { message } }
          resolveAlert(input: {alertId: $closed, note: $note}) { changed errors { message } }
          addAlertNote(input: {alertId: $open, note: $note}) { changed errors { message } }
          giveAlertFeedback(input: {alertId: $closed, verdict: NOISE, note: $note}) { changed errors { message } }
        }""",
        {**{name: alerts[name] for name in ("taken", "closed", "open")}, "note": f"{mark} note"},
    )
    assert all(answer["changed"] for answer in did.values()), did


def _views(service: RunningService, mark: str) -> list[str]:
    ids = []
    for shared in (False, True):
        view = {"name": f"{mark} view", "filter": {"search": mark, "source": [f"{mark}-source"]}, "shared": shared}
        made = service.data(
            "mutation View($input: SavedViewInput!) { createSavedView(input: $input) { savedView { id } } }",
            {"input": view},
        )
        ids.append(made["createSavedView"]["savedView"]["id"])
    return ids


def _wait_until_indexed(service: RunningService, mark: str) -> None:
    """Words and labels are filled in from the log: what can't be found yet can't be betrayed either."""
    deadline = time.monotonic() + INDEXED_SECONDS
    query = f'{{ alerts(filter: {{search: "{mark}"}}) {{ totalCount }} labelSuggestions(prefix: "{mark}") }}'
    while True:
        found = service.data(query)
        if found["alerts"]["totalCount"] >= 5 and found["labelSuggestions"]:
            return
        assert time.monotonic() < deadline, f"the words were not indexed: {found}"
        time.sleep(0.05)


def fire(service: RunningService, word: str) -> str:
    """Send an alert and return its id."""
    draft = {"title": f"{word} {token_hex(8)}", "severity": "HIGH"}
    return str(service.data(CREATE, {"input": draft})["createAlert"]["alert"]["id"])


def do_everything(service: RunningService, mark: str, alert_id: str) -> None:
    """Have events of every sort."""
    service.data(
        """mutation Live($id: ID!, $note: String!, $until: DateTime!) {
          acknowledgeAlert(input: {alertId: $id, note: $note}) { changed }
          updateAlert(input: {alertId: $id, title: $note}) { changed }
          createIncident(input: {title: $note, alertIds: [$id]}) { incident { id } }
          resolveAlert(input: {alertId: $id}) { changed }
          createSavedView(input: {name: $note, filter: {}, shared: true}) { savedView { id } }
          createApiKey(input: {name: $note, role: VIEWER}) { apiKey { id } }
          createResponder(input: {name: $note}) { responder { id } }
          createSilence(input: {matchers: [{label: "a", value: $note}], endsAt: $until, comment: $note}) {
            silence { id }
          }
        }""",
        {"id": alert_id, "note": f"{mark} live", "until": walk.TOMORROW},
    )


def uuid_of(text: str) -> UUID:
    """Return what is inside the id of anything but an event."""
    decoded = decode_id(text)
    assert decoded is not None
    assert isinstance(decoded[1], UUID)
    return decoded[1]


def stranger(handle: Any) -> Any:
    """Return something that nobody has, of the same sort as a handle."""
    if isinstance(handle, Mapping):
        return {**handle, "value": token_hex(8)}
    prefix, separator, _ = str(handle).partition("_")
    if separator and prefix == "evt":
        return f"evt_{pack((3).to_bytes(8, 'big') + token_bytes(8)[:2].rjust(8, bytes(1)))}"
    if separator and decode_id(handle) is not None:
        return f"{prefix}_{pack(token_bytes(16))}"
    return token_hex(8)


def sort_of(handle: Any) -> str:
    """Return what tells handles apart whose strangers are answered alike."""
    if isinstance(handle, Mapping):
        return str(handle["operator"])
    return str(handle)[:4] if decode_id(handle) is not None else "text"


def leaked(belongings: Belongings, text: str, sent: Any) -> list[str]:
    """Return what of somebody else's belongings turns up in a text, but for what the caller said itself."""
    for said in said_in(sent):
        text = text.replace(said, "")
    return [secret for secret in belongings.secrets if secret in text]


def said_in(value: Any) -> list[str]:
    """Return the texts in a value, longest first."""
    match value:
        case str():
            return [value] if value else []
        case Mapping():
            return said_in(list(value.values()))
        case list() | tuple():
            return sorted((text for each in value for text in said_in(each)), key=len, reverse=True)
    return []
