"""Predictions in the store: written with the alert they are about, once, and gone with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from alertgraph.core.action import Acknowledge, ById, ByKey, Fire, GiveFeedback, Predict, Resolve, Update
from alertgraph.core.alert import Alert, AlertVerdict
from alertgraph.core.errors import DependencyError, StaleDecisionError
from alertgraph.core.event import EventKind
from alertgraph.core.ids import AlertId, TenantId
from alertgraph.core.prediction import Advice, DurationEstimate, Prediction, ShadowPrediction
from alertgraph.core.severity import Severity
from alertgraph.storage.log import append_arguments
from alertgraph.storage.partitions import Housekeeper
from alertgraph.storage.predictions import load_features, load_predictions
from alertgraph.storage.reader import Reader
from tests.factories import DAY, HOUR, MINUTE, T0, a_draft, a_prediction
from tests.integration.storage.world import World, a_world, new_id

pytestmark = pytest.mark.both_servers

EVERYTHING = a_prediction(
    time_to_acknowledge=DurationEstimate(MINUTE, timedelta(microseconds=1), HOUR),
    time_to_resolve=DurationEstimate(HOUR, MINUTE, 40 * DAY),
    abstained=True,
)
# What doubles hold exactly, and what they do not.
SHADOW = ShadowPrediction("torch_v1+7", 0.1, 0.25, 1.0)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with a_world(database_url) as world:
        yield world


@pytest.fixture
async def tenant_id(world: World) -> TenantId:
    return await world.tenant()


async def fired(world: World, tenant_id: TenantId, key: str) -> Alert:
    await world.act(tenant_id, Fire(a_draft(dedup_key=key)))
    return (await world.log.load(tenant_id, [key], [], [])).by_key[key]


async def by_id(world: World, tenant_id: TenantId, alert_id: AlertId) -> Alert:
    return (await world.log.load(tenant_id, [], [alert_id], [])).by_id[alert_id]


async def kept(world: World, tenant_id: TenantId, *alert_ids: AlertId) -> dict[AlertId, Prediction]:
    async with Reader.open(world.database, tenant_id) as reader:
        return dict(await load_predictions(reader, alert_ids))


async def test_a_prediction_is_kept_with_its_alert(world: World, tenant_id: TenantId) -> None:
    first, second, silent = [await fired(world, tenant_id, key) for key in ("a", "b", "c")]
    chances = a_prediction(incident_probability=0.1, time_to_resolve=None)
    appended = await world.act(
        tenant_id,
        Predict(ById(first.id), EVERYTHING, b"\x00features", SHADOW),
        Predict(ById(second.id), chances),
    )

    alert = await by_id(world, tenant_id, first.id)
    # The model abstained: what stands with the alert says so, and nobody acts on it.
    assert (alert.advice, alert.version) == (Advice(0.75, None, HOUR), appended.first_number)
    assert (await by_id(world, tenant_id, second.id)).advice == Advice(0.1, 0.125, None)
    assert (await by_id(world, tenant_id, silent.id)).advice is None
    found = await kept(world, tenant_id, first.id, second.id, silent.id, new_id())
    assert found == {first.id: EVERYTHING, second.id: chances}
    async with Reader.open(world.database, tenant_id) as reader:
        assert await load_features(reader, [first.id, second.id, silent.id]) == {
            first.id: ("torch_v1", b"\x00features"),
            second.id: ("torch_v1", b""),
        }
    (row,) = await world.rows("SELECT * FROM prediction WHERE alert_id = $1", first.id)
    assert (row["shadow_version"], row["shadow"]) == ("torch_v1+7", [0.1, 0.25, 1.0])
    assert {row[name] for name in ("needed_person", "breached", "self_resolved", "matured_at")} == {None}
    assert await world.value("SELECT count(*) FROM event WHERE kind = $1", EventKind.PREDICTED) == 2


async def test_what_happens_to_the_alert_leaves_its_prediction(world: World, tenant_id: TenantId) -> None:
    alert = await fired(world, tenant_id, "a")
    await world.act(tenant_id, Predict(ById(alert.id), EVERYTHING))
    for action in (
        Update(ByKey("a"), severity=Severity.LOW),
        Acknowledge(ByKey("a")),
        Fire(a_draft(dedup_key="a")),
        Fire(a_draft(dedup_key="a")),
        Resolve(ByKey("a")),
        GiveFeedback(ById(alert.id), AlertVerdict.NOISE),
    ):
        await world.act(tenant_id, action)
        assert (await by_id(world, tenant_id, alert.id)).advice == EVERYTHING.advice

    assert await world.value("SELECT incident_probability FROM alert_closed WHERE id = $1", alert.id) == 0.75


@pytest.mark.parametrize("table", ["alert_closed", "alert_closed_late"])
async def test_an_alert_that_is_over_by_then_keeps_its_prediction(
    world: World, tenant_id: TenantId, table: str
) -> None:
    alert = await fired(world, tenant_id, "a")
    await world.act(tenant_id, Resolve(ByKey("a")))
    if table == "alert_closed_late":
        await world.execute("INSERT INTO alert_closed_late SELECT * FROM alert_closed")
        await world.execute("DELETE FROM alert_closed")

    appended = await world.act(tenant_id, Predict(ById(alert.id), EVERYTHING))

    over = await by_id(world, tenant_id, alert.id)
    assert (over.is_open, over.advice, over.version) == (False, EVERYTHING.advice, appended.first_number)
    assert await kept(world, tenant_id, alert.id) == {alert.id: EVERYTHING}
    assert await world.value(f"SELECT resolve_median FROM {table} WHERE id = $1", alert.id) == HOUR


async def test_a_second_prediction_changes_nothing(world: World, tenant_id: TenantId) -> None:
    alert = await fired(world, tenant_id, "a")
    both = [Predict(ById(alert.id), a_prediction(incident_probability=chance)) for chance in (0.5, 0.9)]
    first, second = [await world.decided(tenant_id, action) for action in both]
    await world.log.append(tenant_id, first)

    # One that was decided beside it is refused, and decided anew it comes to nothing.
    with pytest.raises(StaleDecisionError):
        await world.log.append(tenant_id, second)
    again = await world.decided(tenant_id, both[1])

    assert (again.events, again.writes, again.predictions) == ((), (), ())
    assert (await kept(world, tenant_id, alert.id))[alert.id].incident_probability == 0.5


async def test_a_prediction_of_an_alert_that_lost_its_advice_stays_as_it_was(
    world: World, tenant_id: TenantId
) -> None:
    """As where the release before this one ended it while both were running."""
    alert = await fired(world, tenant_id, "a")
    await world.act(tenant_id, Predict(ById(alert.id), EVERYTHING))
    await world.execute("UPDATE alert_open SET incident_probability = NULL")

    await world.act(tenant_id, Predict(ById(alert.id), a_prediction(incident_probability=0.9)))

    assert await kept(world, tenant_id, alert.id) == {alert.id: EVERYTHING}


async def test_an_alert_is_made_and_predicted_in_one_flush(world: World, tenant_id: TenantId) -> None:
    fire = await world.decided(tenant_id, Fire(a_draft(dedup_key="a")))
    alert_id = fire.writes[0].alert.id
    await world.log.append(tenant_id, fire)
    await world.act(tenant_id, Predict(ById(alert_id), EVERYTHING), Resolve(ById(alert_id)))

    over = await by_id(world, tenant_id, alert_id)
    assert (over.is_open, over.advice) == (False, EVERYTHING.advice)


async def test_the_month_of_an_old_alert_is_made_for_its_prediction(world: World, tenant_id: TenantId) -> None:
    then = T0 - 400 * DAY
    await world.act(tenant_id, Fire(a_draft(dedup_key="a")), now=then)
    alert = (await world.log.load(tenant_id, ["a"], [], [])).by_key["a"]

    await world.act(tenant_id, Predict(ById(alert.id), EVERYTHING))

    month = f"prediction_y{then:%Y}m{then:%m}"
    assert await world.value("SELECT tableoid::regclass::text FROM prediction") == month


async def test_a_prediction_of_another_tenant_is_none(world: World, tenant_id: TenantId) -> None:
    alert = await fired(world, tenant_id, "a")
    await world.act(tenant_id, Predict(ById(alert.id), EVERYTHING, b"secret"))
    other = await world.tenant("other")

    assert await kept(world, other, alert.id) == {}
    async with Reader.open(world.database, other) as reader:
        assert await load_features(reader, [alert.id]) == {}


@pytest.mark.parametrize("column", ["incident_probability", "features", "shadow", "model_version"])
async def test_what_was_said_cannot_be_changed_by_the_service(
    world: World, tenant_id: TenantId, column: str
) -> None:
    alert = await fired(world, tenant_id, "a")
    await world.act(tenant_id, Predict(ById(alert.id), EVERYTHING))

    async with world.database.transaction(tenant_id) as connection:
        await connection.execute("UPDATE prediction SET needed_person = 1, matured_at = now()")
    with pytest.raises(DependencyError, match="42501"):
        async with world.database.transaction(tenant_id) as connection:
            await connection.execute(f"UPDATE prediction SET {column} = NULL")


async def test_a_prediction_goes_with_its_alert(world: World, tenant_id: TenantId) -> None:
    keeper = Housekeeper(world.database, world.url)
    gone, stays, open_ = [await fired(world, tenant_id, key) for key in ("a", "b", "c")]
    for alert in (gone, stays, open_):
        await world.act(tenant_id, Predict(ById(alert.id), EVERYTHING))
    await world.act(tenant_id, Resolve(ByKey("a")), Resolve(ByKey("b")))
    await world.execute("UPDATE alert_closed SET resolved_at = now() - interval '11 days' WHERE id = $1", gone.id)
    await world.execute("UPDATE alert_closed SET resolved_at = now() WHERE id = $1", stays.id)
    await world.execute("UPDATE tenant_settings SET retention = '10 days'")

    assert (await keeper.retire()).alerts == 1

    assert set(await kept(world, tenant_id, gone.id, stays.id, open_.id)) == {stays.id, open_.id}


async def test_a_month_of_predictions_goes_once_no_alert_of_it_is_kept(world: World, tenant_id: TenantId) -> None:
    keeper = Housekeeper(world.database, world.url)
    then = T0 - 100 * DAY
    await world.act(tenant_id, Fire(a_draft(dedup_key="a")), now=then)
    alert = (await world.log.load(tenant_id, ["a"], [], [])).by_key["a"]
    await world.act(tenant_id, Predict(ById(alert.id), EVERYTHING), now=then)
    await world.execute("UPDATE tenant_settings SET retention = '10 days'")
    month = f"prediction_y{then:%Y}m{then:%m}"

    # While the alert is open, what was said of it stays, however old.
    assert month not in (await keeper.retire()).partitions
    await world.act(tenant_id, Resolve(ByKey("a")), now=then)
    await world.execute("UPDATE alert_closed SET resolved_at = now() - interval '11 days'")
    await world.execute("UPDATE alert_closed_late SET resolved_at = now() - interval '11 days'")
    first, second = await keeper.retire(), await keeper.retire()

    assert month in (*first.partitions, *second.partitions)
    assert await world.value("SELECT count(*) FROM prediction") == 0


async def test_what_a_repeat_changes_is_in_no_index_and_what_is_said_in_one(
    world: World, tenant_id: TenantId
) -> None:
    """An update that changes nothing indexed stays on its page; any other costs an entry in every index."""
    rows = await world.rows(
        "SELECT a.attname::text AS name, i.indexrelid::regclass::text AS index"
        " FROM pg_index i, unnest(i.indkey) AS k (number) "
        "JOIN pg_attribute a ON a.attrelid = 'alert_open'::regclass AND a.attnum = k.number "
        "WHERE i.indrelid = 'alert_open'::regclass AND a.attname = ANY ($1)",
        [
            *("version", "occurrence_count", "last_seen_at", "resolve_at", "resolve_by_timeout", "judge_at"),
            *("incident_probability", "self_resolve_probability", "resolve_median", "seen_hour"),
        ],
    )
    # The hour changes with one repeat an hour.
    assert {row["name"]: row["index"] for row in rows} == {
        "incident_probability": "alert_open_by_probability",
        "seen_hour": "alert_open_by_seen",
    }


async def test_the_append_takes_its_arguments_in_their_order(world: World, tenant_id: TenantId) -> None:
    alert = await fired(world, tenant_id, "a")
    flush = await world.decided(tenant_id, Predict(ById(alert.id), EVERYTHING))

    count = await world.value("SELECT pronargs FROM pg_proc WHERE proname = 'append_v4'")

    assert len(append_arguments(tenant_id, flush)) == count
