"""What the model expects of alerts, through the API: shown, listed by, followed, and how it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.action import ById, Predict
from alertgraph.core.actor import MODEL
from alertgraph.core.batch import Request
from alertgraph.core.event import EventKind, seal
from alertgraph.core.ids import AlertId, ModelId, NodeKind, TenantId, decode_alert_id, encode_id
from alertgraph.core.learning import CalibrationBin, ModelMetric, ModelState
from alertgraph.core.prediction import DurationEstimate, FeatureContribution, Prediction
from alertgraph.core.prediction_model import PredictionModel, model_event
from alertgraph.core.tenant import Principal
from alertgraph.execution.errors import RefusedError
from alertgraph.services import advice
from alertgraph.services.advice import AdviceService
from alertgraph.services.ports import LearningHealth
from alertgraph.services.reading import Reading
from alertgraph.storage.prediction_models import PostgresPredictionModels
from tests.factories import HOUR, MINUTE, T0, a_matcher, a_prediction
from tests.integration.resolvers.api import Api, scoped
from tests.integration.resolvers.test_incident import fire, resolve

PREDICTION = """prediction { modelVersion predictedAt incidentProbability slaBreachProbability
  selfResolveProbability timeToAcknowledge { median low high } timeToResolve { median low high } abstained }"""
LIST = f"""query($filter: AlertFilter, $orderBy: AlertOrder, $first: Int, $after: String, $last: Int,
  $before: String) {{
  alerts(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {{
  totalCount edges {{ cursor }} nodes {{ title version {PREDICTION} }}
  pageInfo {{ hasNextPage endCursor startCursor }} }} }}"""
WHY = """{ alerts { nodes { title prediction { incidentProbability contributions {
  feature contribution text } } } } }"""
MODELS = """query($first: Int, $after: String) { predictionModels(first: $first, after: $after) {
  totalCount whyNot pageInfo { hasNextPage endCursor } edges { cursor }
  nodes { id version state trainedAt exampleCount metrics { name value low high definition }
    calibration { predicted observed count } } } }"""
STATUS = """{ predictionStatus { state reason labelCount model { version } noiseHoldingArmed heldCount regretCount
  regret } }"""
BY_CHANCE = {"field": "INCIDENT_PROBABILITY", "direction": "DESC"}


class Model:
    """A learning process that knows what it was told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.why_not: str | None = None
        self.reasons: dict[AlertId, list[FeatureContribution]] = {}
        self.scores: dict[AlertId, Prediction] = {}
        self.explained: list[Sequence[AlertId]] = []
        self.scored: list[Sequence[AlertId]] = []

    async def health(self) -> LearningHealth:
        return LearningHealth(True, self.why_not)

    async def explain(
        self, _: TenantId, alert_ids: Sequence[AlertId]
    ) -> Mapping[AlertId, Sequence[FeatureContribution]]:
        self.explained.append(list(alert_ids))
        return {key: self.reasons[key] for key in alert_ids if key in self.reasons}

    async def score(self, _: TenantId, alert_ids: Sequence[AlertId]) -> Mapping[AlertId, Prediction]:
        self.scored.append(list(alert_ids))
        return {key: self.scores[key] for key in alert_ids if key in self.scores}


@pytest.fixture
def model(api: Api) -> Model:
    model = Model()
    api.services = replace(api.services, advice=AdviceService(model, model))
    return model


async def say(api: Api, caller: Principal, alert_id: str, chance: float = 0.75, **fields: Any) -> None:
    key = decode_alert_id(alert_id)
    assert key is not None
    prediction = a_prediction(incident_probability=chance, **fields)
    action = Predict(ById(key), prediction, b"features")
    (outcome,) = await api.lanes.submit(caller.tenant.id, Request((action,), (AlertId(UUID(int=0)),), MODEL))
    assert outcome.problem is None


async def listed(api: Api, caller: Principal, **variables: Any) -> list[str]:
    nodes = (await api.data(caller, LIST, **variables))["alerts"]["nodes"]
    return [node["title"] for node in nodes]


# --------------------------------------------------------------------------------------- of an alert


async def test_a_prediction_is_shown_with_its_alert(api: Api, admin: Principal) -> None:
    said, silent = [await fire(api, admin, title) for title in ("said", "silent")]
    await say(
        api, admin, said["id"], 0.1, abstained=True, time_to_acknowledge=DurationEstimate(MINUTE, MINUTE / 2, HOUR)
    )

    nodes = (await api.data(admin, LIST))["alerts"]["nodes"]

    assert [node["title"] for node in nodes] == ["silent", "said"]
    assert nodes[0]["prediction"] is None
    assert nodes[1]["prediction"] == {
        "modelVersion": "torch_v1",
        "predictedAt": "2026-11-23T12:00:00Z",
        "incidentProbability": 0.1,
        "slaBreachProbability": 0.5,
        "selfResolveProbability": 0.125,
        "timeToAcknowledge": {"median": "PT1M", "low": "PT30S", "high": "PT1H"},
        "timeToResolve": {"median": "PT1H", "low": "PT1M", "high": "P1D"},
        "abstained": True,
    }
    one = await api.data(admin, f"query($id: ID!) {{ alert(id: $id) {{ version {PREDICTION} }} }}", id=said["id"])
    assert one["alert"]["prediction"] == nodes[1]["prediction"]
    event = await api.data(admin, "{ events(last: 1) { nodes { number kind actor { kind } } } }")
    assert event["events"]["nodes"] == [
        {"number": nodes[1]["version"], "kind": "PREDICTED", "actor": {"kind": "MODEL"}}
    ]
    assert one["alert"]["version"] == nodes[1]["version"]
    assert silent["id"]


async def test_predictions_of_a_list_are_read_at_once_and_only_where_asked_for(
    api: Api, admin: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for title in "abc":
        await say(api, admin, (await fire(api, admin, title))["id"])
    asked: list[int] = []
    real = Reading.predictions

    async def predictions(self: Reading, alert_ids: Sequence[AlertId]) -> Mapping[AlertId, Prediction]:
        asked.append(len(alert_ids))
        return await real(self, alert_ids)

    monkeypatch.setattr(Reading, "predictions", predictions)

    await api.data(admin, "{ alerts { nodes { title version } } }")
    assert asked == []
    # Once by the plan, once by graphql-core, which has to say the same.
    await api.data(admin, "{ alerts { nodes { prediction { incidentProbability } } edges { node { title } } } }")
    assert asked == [3, 3]


async def test_reasons_are_asked_for_once_a_list(api: Api, admin: Principal, model: Model) -> None:
    said = [decode_alert_id((await fire(api, admin, title))["id"]) for title in "ab"]
    for alert_id in said:
        assert alert_id is not None
        await say(api, admin, encode_id(NodeKind.ALERT, alert_id))
        model.reasons[alert_id] = [FeatureContribution(f"f{n}", 1 / (n + 1), "It did.") for n in range(25)]
    gone = said[0]
    assert gone is not None
    del model.reasons[gone]

    nodes = (await api.data(admin, WHY))["alerts"]["nodes"]

    assert nodes[1]["prediction"]["contributions"] is None
    reasons = nodes[0]["prediction"]["contributions"]
    assert reasons[0] == {"feature": "f0", "contribution": 1.0, "text": "It did."}
    assert len(reasons) == advice.CONTRIBUTION_COUNT_MAX
    assert [sorted(ids) for ids in model.explained] == [sorted(said), sorted(said)]  # type: ignore[type-var]


async def test_away_there_are_no_reasons_and_nobody_is_asked(api: Api, admin: Principal, model: Model) -> None:
    alert = await fire(api, admin, "a")
    await say(api, admin, alert["id"])
    await fire(api, admin, "new")
    model.why_not = "The learning process is not up yet."

    nodes = (await api.data(admin, WHY))["alerts"]["nodes"]

    assert [node["prediction"] for node in nodes] == [None, {"incidentProbability": 0.75, "contributions": None}]
    assert model.explained == model.scored == []


async def test_alerts_too_new_for_a_prediction_are_scored_together(
    api: Api, admin: Principal, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts = [decode_alert_id((await fire(api, admin, title))["id"]) for title in "abc"]
    first, second, third = alerts
    assert first is not None and second is not None and third is not None  # noqa: PT018
    await say(api, admin, encode_id(NodeKind.ALERT, first))
    model.scores[second] = a_prediction(incident_probability=0.25)

    nodes = (await api.data(admin, "{ alerts { nodes { title prediction { incidentProbability } } } }"))["alerts"]

    assert [(node["prediction"] or {}).get("incidentProbability") for node in nodes["nodes"]] == [None, 0.25, 0.75]
    assert [sorted(ids) for ids in model.scored] == [sorted((second, third))] * 2
    # What is older got none for another reason: nobody waits for it each time.
    monkeypatch.setattr(advice, "SCORED_WITHIN", timedelta(0))
    model.scored.clear()
    await api.data(admin, "{ alerts { nodes { title prediction { incidentProbability } } } }")
    assert model.scored == []


# -------------------------------------------------------------------------------------------- lists


async def test_alerts_are_listed_by_their_chance(api: Api, admin: Principal) -> None:
    for title, chance in (("low", 0.1), ("none", None), ("high", 0.9), ("middle", 0.5), ("gone", 0.7)):
        alert = await fire(api, admin, title)
        if chance is not None:
            await say(api, admin, alert["id"], chance)
    await resolve(api, admin, "gone")

    assert await listed(api, admin, orderBy=BY_CHANCE) == ["high", "gone", "middle", "low", "none"]
    ascending = {**BY_CHANCE, "direction": "ASC"}
    assert await listed(api, admin, orderBy=ascending) == ["low", "middle", "gone", "high", "none"]
    titles, after = [], None
    while True:
        page = (await api.data(admin, LIST, orderBy=ascending, first=2, after=after))["alerts"]
        titles += [node["title"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert titles == ["low", "middle", "gone", "high", "none"]
    back = (await api.data(admin, LIST, orderBy=ascending, last=2))["alerts"]
    assert [node["title"] for node in back["nodes"]] == ["high", "none"]
    before = back["pageInfo"]["startCursor"]
    assert await listed(api, admin, orderBy=ascending, last=2, before=before) == ["middle", "gone"]
    likely = {"incidentProbabilityMin": 0.5}
    assert await listed(api, admin, filter=likely) == ["gone", "middle", "high"]
    assert await listed(api, admin, filter={**likely, "status": ["TRIGGERED"]}, orderBy=BY_CHANCE) == [
        "high",
        "middle",
    ]
    assert await listed(api, admin, filter={"incidentProbabilityMin": 0}) == ["gone", "middle", "high", "low"]
    assert (await api.data(admin, LIST, filter=likely))["alerts"]["totalCount"] == 3


@pytest.mark.parametrize("least", [-0.1, 1.0001, -1, 2])
async def test_a_chance_that_is_none_is_refused(api: Api, admin: Principal, least: float) -> None:
    payload = await api.run(admin, LIST, filter={"incidentProbabilityMin": least})

    (error,) = payload["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert error["message"] == "filter.incidentProbabilityMin: incidentProbabilityMin is 0 to 1."


@pytest.mark.parametrize("least", ["1e400", "NaN", '"0.5"', "true"])
async def test_what_is_no_number_is_refused(api: Api, admin: Principal, least: str) -> None:
    document = f"{{ alerts(filter: {{incidentProbabilityMin: {least}}}) {{ totalCount }} }}"

    with pytest.raises(RefusedError, match=r"Float|too large"):
        await api.run(admin, document)


async def test_a_view_is_saved_with_it(api: Api, admin: Principal) -> None:
    document = """mutation($input: SavedViewInput!) { createSavedView(input: $input) {
      savedView { filter orderBy } errors { code path } } }"""
    wanted = {"name": "likely", "filter": {"incidentProbabilityMin": 0.5}, "orderBy": BY_CHANCE}

    saved = (await api.data(admin, document, input=wanted))["createSavedView"]["savedView"]

    assert saved == {"filter": {"incidentProbabilityMin": 0.5}, "orderBy": BY_CHANCE}
    assert await listed(api, admin, **saved) == []
    wrong = {**wanted, "filter": {"incidentProbabilityMin": 2.0}}
    errors = (await api.data(admin, document, input=wrong))["createSavedView"]["errors"]
    assert errors == [{"code": "INVALID_INPUT", "path": ["input", "filter", "incidentProbabilityMin"]}]


async def test_a_cursor_of_another_way_round_is_refused(api: Api, admin: Principal) -> None:
    await say(api, admin, (await fire(api, admin, "a"))["id"])
    cursor = (await api.data(admin, LIST, orderBy=BY_CHANCE))["alerts"]["edges"][0]["cursor"]

    for order in ({**BY_CHANCE, "direction": "ASC"}, {"field": "SEVERITY", "direction": "DESC"}):
        assert await api.codes(admin, LIST, orderBy=order, after=cursor) == ["BAD_REQUEST"]


# ------------------------------------------------------------------------------------------- events


async def test_predictions_are_followed_by_their_kind(api: Api, admin: Principal, viewer: Principal) -> None:
    start = (await api.data(viewer, "{ events { asOf } }"))["events"]["asOf"]
    document = """subscription($after: Cursor, $filter: EventFilter) {
      alertEvents(after: $after, filter: $filter) {
      kind summary detail actor { kind name } alert { title prediction { incidentProbability } } } }"""
    for title, chance in (("a", 0.25), ("b", 0.5)):
        await say(api, admin, (await fire(api, admin, title))["id"], chance)

    answers = api.follow(viewer, document, after=start, filter={"kinds": ["PREDICTED"]})
    async with asyncio.timeout(20):
        told = [(await anext(answers))[0]["data"]["alertEvents"] for _ in range(2)]
        await answers.aclose()

    assert [event["alert"]["title"] for event in told] == ["a", "b"]
    assert told[0]["summary"] == "The model gives it a chance of 25% to need a person."
    assert told[0]["actor"] == {"kind": "MODEL", "name": "prediction model"}
    assert told[0]["detail"]["detail"]["incidentProbability"] == 0.25
    assert told[0]["alert"]["prediction"] == {"incidentProbability": 0.25}
    timeline = await api.data(viewer, "{ alerts { nodes { events(kinds: [PREDICTED]) { nodes { kind } } } } }")
    assert [len(node["events"]["nodes"]) for node in timeline["alerts"]["nodes"]] == [1, 1]


async def test_nobody_who_listens_is_kept_waiting_for_a_score(
    api: Api, admin: Principal, viewer: Principal, model: Model
) -> None:
    start = (await api.data(viewer, "{ events { asOf } }"))["events"]["asOf"]
    document = """subscription($after: Cursor) { alertEvents(after: $after) {
      alert { prediction { incidentProbability } } } }"""
    await fire(api, admin, "new")

    answers = api.follow(viewer, document, after=start)
    async with asyncio.timeout(20):
        told = (await anext(answers))[0]["data"]["alertEvents"]
        await answers.aclose()

    assert told == {"alert": {"prediction": None}}
    assert model.scored == []


# -------------------------------------------------------------------------------------------- rules


async def test_a_rule_that_asks_for_a_chance_takes_over(api: Api, admin: Principal) -> None:
    channel = """mutation($input: NotificationChannelInput!) { createNotificationChannel(input: $input) {
      notificationChannel { id } } }"""
    rule = """mutation($input: EscalationRuleInput!) { createEscalationRule(input: $input) {
      escalationRule { id incidentProbabilityMin } errors { code path message } } }"""
    patch = """mutation($input: UpdateEscalationRuleInput!) { updateEscalationRule(input: $input) {
      escalationRule { incidentProbabilityMin } errors { code path } } }"""
    hook = {"name": "hook", "config": {"webhook": {"url": "http://127.0.0.1:9/"}}}
    made = (await api.data(admin, channel, input=hook))["createNotificationChannel"]["notificationChannel"]["id"]
    levels = [{"delay": "PT5M", "targets": [{"channelId": made}]}]
    ids = []
    for name, least in (("likely", 0.8), ("everything", None)):
        wanted = {"name": name, "levels": levels, "incidentProbabilityMin": least}
        answer = (await api.data(admin, rule, input=wanted))["createEscalationRule"]
        assert answer["errors"] == []
        ids.append(answer["escalationRule"]["id"])
    for least in (-0.5, 1.5):
        wanted = {"name": "wrong", "levels": levels, "incidentProbabilityMin": least}
        errors = (await api.data(admin, rule, input=wanted))["createEscalationRule"]["errors"]
        assert [(error["code"], error["path"]) for error in errors] == [
            ("INVALID_INPUT", ["input", "incidentProbabilityMin"])
        ]
    changed = (await api.data(admin, patch, input={"id": ids[0], "incidentProbabilityMin": 0.7}))[
        "updateEscalationRule"
    ]
    assert changed == {"escalationRule": {"incidentProbabilityMin": 0.7}, "errors": []}
    read = "query($id: ID!) { alert(id: $id) { escalationRule { name } escalationLevel holdReason } }"
    likely, hardly = [(await fire(api, admin, title))["id"] for title in ("likely", "hardly")]
    assert (await api.data(admin, read, id=likely))["alert"]["escalationRule"] == {"name": "everything"}

    await say(api, admin, likely, 0.7)
    await say(api, admin, hardly, 0.69)

    assert (await api.data(admin, read, id=likely))["alert"]["escalationRule"] == {"name": "likely"}
    assert (await api.data(admin, read, id=hardly))["alert"]["escalationRule"] == {"name": "everything"}
    told = await api.data(admin, "{ events(last: 2) { nodes { summary detail } } }")
    assert told["events"]["nodes"][0]["detail"]["detail"]["escalationRuleId"] == ids[0]
    assert told["events"]["nodes"][0]["summary"].endswith("a rule for such chances takes over.")


# ------------------------------------------------------------------------------------------- models


def a_model(number: int, state: ModelState, **fields: Any) -> PredictionModel:
    made = PredictionModel(
        ModelId(UUID(int=number)), f"torch_v1+{number}", state, T0 + number * HOUR, 100 * number
    )
    return replace(made, **fields)


def models_of(api: Api) -> PostgresPredictionModels:
    return PostgresPredictionModels(api.store._database, lambda: UUID(int=api.clock.now().microsecond + 1))


async def test_versions_are_listed_newest_first(api: Api, admin: Principal, viewer: Principal) -> None:
    store = models_of(api)
    figures = (
        ModelMetric("auroc", 0.75, 0.7, 0.8, "Of alerts since."),
        ModelMetric("drift", 0.5, None, None, "Now."),
    )
    active = a_model(2, ModelState.ACTIVE, metrics=figures, calibration=(CalibrationBin(0.25, 0.5, 7),))
    everything = [a_model(1, ModelState.RETIRED), active, a_model(3, ModelState.SHADOW)]
    await store.write(admin.tenant.id, everything, {active.id: b"weights"})

    found = (await api.data(viewer, MODELS))["predictionModels"]

    assert [(node["version"], node["state"]) for node in found["nodes"]] == [
        ("torch_v1+3", "SHADOW"),
        ("torch_v1+2", "ACTIVE"),
        ("torch_v1+1", "RETIRED"),
    ]
    shown = found["nodes"][1]
    assert shown["metrics"] == [
        {"name": "auroc", "value": 0.75, "low": 0.7, "high": 0.8, "definition": "Of alerts since."},
        {"name": "drift", "value": 0.5, "low": None, "high": None, "definition": "Now."},
    ]
    assert shown["calibration"] == [{"predicted": 0.25, "observed": 0.5, "count": 7}]
    assert (shown["exampleCount"], shown["trainedAt"], found["totalCount"]) == (200, "2026-11-23T14:00:00Z", 3)
    first = (await api.data(viewer, MODELS, first=2))["predictionModels"]
    assert first["pageInfo"]["hasNextPage"] is True
    rest = (await api.data(viewer, MODELS, first=2, after=first["pageInfo"]["endCursor"]))["predictionModels"]
    assert [node["version"] for node in rest["nodes"]] == ["torch_v1+1"]
    assert await api.codes(viewer, MODELS, after="nonsense") == ["BAD_REQUEST"]
    document = "query($id: ID!) { node(id: $id) { id ... on PredictionModel { version } } }"
    node = (await api.data(viewer, document, id=shown["id"]))["node"]
    assert node == {"id": shown["id"], "version": "torch_v1+2"}


async def test_a_promotion_is_told(api: Api, admin: Principal, viewer: Principal) -> None:
    store, before, after = models_of(api), a_model(1, ModelState.ACTIVE), a_model(2, ModelState.SHADOW)
    await store.write(admin.tenant.id, [before, after])
    promoted = replace(after, state=ModelState.ACTIVE, promoted_at=T0)
    event = model_event(EventKind.MODEL_PROMOTED, promoted, "It was right more often.", T0)

    appended = await store.write(
        admin.tenant.id, [promoted, replace(before, state=ModelState.RETIRED)], event=seal(event)
    )

    assert appended is not None
    document = "{ events(last: 1) { nodes { number kind summary detail subjectType subject { id __typename } } } }"
    (told,) = (await api.data(viewer, document))["events"]["nodes"]
    assert told.pop("detail")["detail"] == {"version": "torch_v1+2", "reason": "It was right more often."}
    assert told == {
        "number": appended.first_number,
        "kind": "MODEL_PROMOTED",
        "summary": "The prediction model made another version of the model the active one.",
        "subjectType": "PredictionModel",
        "subject": {"id": encode_id(NodeKind.MODEL, after.id), "__typename": "PredictionModel"},
    }
    kept = {one.version: one for one in await store.models(admin.tenant.id)}
    assert kept["torch_v1+2"] == promoted
    assert kept["torch_v1+1"].state is ModelState.RETIRED


async def test_how_it_stands(api: Api, admin: Principal, viewer: Principal, model: Model) -> None:
    await models_of(api).write(admin.tenant.id, [a_model(1, ModelState.ACTIVE)])

    status = (await api.data(viewer, STATUS))["predictionStatus"]

    assert status == {
        "state": "LEARNING",
        "reason": "0 of 200 alerts have come to a known end; until then base rates are shown.",
        "labelCount": 0,
        "model": {"version": "torch_v1+1"},
        "noiseHoldingArmed": False,
        "heldCount": 0,
        "regretCount": 0,
        "regret": "PT0S",
    }
    model.why_not = "The learning process is not up yet."
    away = (await api.data(viewer, STATUS))["predictionStatus"]
    assert (away["state"], away["reason"]) == ("UNAVAILABLE", model.why_not)
    assert (await api.data(viewer, MODELS))["predictionModels"]["whyNot"] == model.why_not


async def test_switched_off_it_says_so(api: Api, viewer: Principal) -> None:
    status = (await api.data(viewer, STATUS))["predictionStatus"]

    assert status["state"] == "OFF"
    assert status["reason"]
    assert status["model"] is None


# ------------------------------------------------------------------------------------- who sees what


async def test_a_key_sees_the_predictions_of_its_alerts_alone(
    api: Api, admin: Principal, viewer: Principal
) -> None:
    for title, zone in (("mine", "a"), ("theirs", "b")):
        await say(api, admin, (await fire(api, admin, title, labels={"zone": zone}))["id"])
    key = scoped(viewer, a_matcher("zone", "a"))

    assert await listed(api, key, orderBy=BY_CHANCE) == ["mine"]
    assert await listed(api, key, filter={"incidentProbabilityMin": 0.1}) == ["mine"]
    # Figures tell of all alerts.
    assert await api.codes(key, STATUS) == ["FORBIDDEN"]
    assert await api.codes(key, MODELS) == ["FORBIDDEN"]


async def test_another_tenant_sees_none_of_it(api: Api, admin: Principal, model: Model) -> None:
    alert = await fire(api, admin, "secret")
    await say(api, admin, alert["id"])
    await models_of(api).write(admin.tenant.id, [a_model(7, ModelState.ACTIVE)])
    other = replace(admin, tenant=await api.tenant("other"))

    assert await listed(api, other, orderBy=BY_CHANCE) == []
    assert (await api.data(other, MODELS))["predictionModels"]["totalCount"] == 0
    assert (await api.data(other, STATUS))["predictionStatus"]["model"] is None
    ids = [encode_id(NodeKind.MODEL, ModelId(UUID(int=7))), alert["id"]]
    document = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert (await api.data(other, document, ids=ids))["nodes"] == [None, None]
    assert (await models_of(api).artifact(other.tenant.id, ModelId(UUID(int=7)))) is None
    key = decode_alert_id(alert["id"])
    assert key is not None
    async with api.snapshots.snapshot(other.tenant.id) as snapshot:
        assert await snapshot.predictions([key]) == {}
