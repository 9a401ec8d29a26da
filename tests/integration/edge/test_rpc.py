"""Questions to the learning process, over a real socket: bounded in time and size, and null where it is away."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette

from alertgraph.core.ids import AlertId, TenantId
from alertgraph.core.prediction import DurationEstimate, FeatureContribution, Prediction
from alertgraph.edge import rpc
from alertgraph.edge.predictor import listening_at
from tests.factories import DAY, HOUR, MINUTE, SECOND, T0, a_prediction

TOKEN = "the installation's"
TENANT = TenantId(UUID(int=7))
ONE, TWO = AlertId(UUID(int=1)), AlertId(UUID(int=2))


class Answering:
    """A predictor that knows what it is told."""

    def __init__(self) -> None:
        self.contributions: dict[AlertId, Sequence[FeatureContribution]] = {}
        self.predictions: dict[AlertId, Prediction] = {}
        self.asked: list[tuple[TenantId, Sequence[AlertId]]] = []
        self.waits = 0.0
        self.error: Exception | None = None

    async def explain(
        self, tenant_id: TenantId, alert_ids: Sequence[AlertId]
    ) -> Mapping[AlertId, Sequence[FeatureContribution]]:
        await self._note(tenant_id, alert_ids)
        return {one: self.contributions[one] for one in alert_ids if one in self.contributions}

    async def score(self, tenant_id: TenantId, alert_ids: Sequence[AlertId]) -> Mapping[AlertId, Prediction]:
        await self._note(tenant_id, alert_ids)
        return {one: self.predictions[one] for one in alert_ids if one in self.predictions}

    async def _note(self, tenant_id: TenantId, alert_ids: Sequence[AlertId]) -> None:
        self.asked.append((tenant_id, alert_ids))
        await asyncio.sleep(self.waits)
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def served(url: str, predictor: Answering) -> AsyncIterator[None]:
    application = Starlette(routes=rpc.routes(predictor, TOKEN, lambda: b"alertgraph_learning 1\n"))
    server = uvicorn.Server(uvicorn.Config(application, lifespan="off", log_config=None, access_log=False))
    listening = listening_at(url)
    task = asyncio.create_task(server.serve([listening]))
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if server.started:
            break
    assert server.started
    try:
        yield
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task
        listening.close()


class World:
    def __init__(self, url: str) -> None:
        self.url = url
        self.predictor = Answering()
        self.outcomes: Counter[str] = Counter()
        self.remote = self.client()

    def client(self, token: str = TOKEN) -> rpc.RemotePredictor:
        return rpc.RemotePredictor(self.url, token, lambda _, outcome: self.outcomes.update([outcome]))


@pytest.fixture
async def world(data_dir: Path) -> AsyncIterator[World]:
    world = World(f"unix://{data_dir}/predictor.sock")
    async with served(world.url, world.predictor):
        # The first question of a process pays for imports, too.
        await world.remote.figures()
        yield world
    await world.remote.aclose()


async def test_what_was_said_comes_over_whole(world: World) -> None:
    whole = a_prediction(
        time_to_acknowledge=DurationEstimate(MINUTE, SECOND, HOUR),
        time_to_resolve=DurationEstimate(HOUR, MINUTE, DAY),
        abstained=True,
    )
    world.predictor.predictions = {ONE: whole, TWO: Prediction("v", T0, 0.0, 1.0, 0.5)}
    world.predictor.contributions = {ONE: [FeatureContribution("count", -0.25, "3 alerts in 5 min: “x”")]}

    assert await world.remote.score(TENANT, [ONE, TWO, AlertId(UUID(int=3))]) == world.predictor.predictions
    assert await world.remote.explain(TENANT, [ONE, TWO]) == world.predictor.contributions
    assert world.predictor.asked[0] == (TENANT, [ONE, TWO, UUID(int=3)])
    assert world.outcomes == {"ok": 2}


async def test_who_takes_too_long_is_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "SCORE_WITHIN", timedelta(milliseconds=100))
    world.predictor.predictions = {ONE: a_prediction()}
    world.predictor.waits = 3.0
    began_at = asyncio.get_running_loop().time()

    assert await world.remote.score(TENANT, [ONE]) == {}

    assert asyncio.get_running_loop().time() - began_at < 1.0
    assert world.outcomes == {"late": 1}


async def test_of_many_those_are_there_that_can_be_had_in_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "SCORE_WITHIN", timedelta(milliseconds=700))
    monkeypatch.setattr(rpc, "PART_LENGTH", 10)
    ids = [AlertId(UUID(int=number)) for number in range(1, 101)]
    world.predictor.predictions = {alert_id: a_prediction() for alert_id in ids}
    world.predictor.waits = 0.2

    found = list(await world.remote.score(TENANT, ids))

    assert found == ids[: len(found)]
    assert 10 <= len(found) < 100
    assert world.outcomes == {"ok": len(found) // 10, "late": 1}


async def test_who_fails_again_and_again_is_left_alone_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "PAUSE_MIN", timedelta(milliseconds=200))
    world.predictor.predictions = {ONE: a_prediction()}
    world.predictor.error = ValueError("broken")
    for _ in range(6):
        assert await world.remote.score(TENANT, [ONE]) == {}
    assert world.outcomes == {"failed": 3, "refused": 3}
    assert len(world.predictor.asked) == 3

    world.predictor.error = None
    await asyncio.sleep(0.25)

    assert await world.remote.score(TENANT, [ONE]) == world.predictor.predictions
    assert await world.remote.score(TENANT, [ONE]) == world.predictor.predictions


async def test_who_is_asked_too_much_at_once_is_not_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "SCORE_WITHIN", timedelta(seconds=2))
    monkeypatch.setattr(rpc, "PART_LENGTH", 1)
    world.predictor.predictions = {ONE: a_prediction(), TWO: a_prediction()}
    world.predictor.waits = 0.6

    # Each has three of its eight parts when the time is up.
    answers = await asyncio.gather(*(world.remote.score(TENANT, [ONE, TWO] * 4) for _ in range(6)))
    world.predictor.waits = 0.0

    assert all(answers)
    assert world.outcomes["late"] == 6
    assert await world.remote.score(TENANT, [ONE]) == {ONE: a_prediction()}


async def test_where_nobody_listens_there_is_nothing(data_dir: Path) -> None:
    world = World(f"unix://{data_dir}/nobody.sock")

    assert await world.remote.score(TENANT, [ONE]) == {}
    assert await world.remote.explain(TENANT, [ONE]) == {}
    assert await world.remote.figures() == b""
    assert world.outcomes == {"failed": 2}
    await world.remote.aclose()


async def test_too_many_at_once_are_not_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "SCORE_WITHIN", timedelta(seconds=5))
    world.predictor.predictions = {ONE: a_prediction()}
    world.predictor.waits = 0.3

    answers = await asyncio.gather(*(world.remote.score(TENANT, [ONE]) for _ in range(rpc.UNDER_WAY_MAX + 5)))

    assert world.outcomes == {"ok": rpc.UNDER_WAY_MAX, "refused": 5}
    assert sum(bool(answer) for answer in answers) == rpc.UNDER_WAY_MAX


async def test_a_stranger_is_told_nothing(world: World) -> None:
    stranger = world.client("somebody else's")
    world.predictor.predictions = {ONE: a_prediction()}

    assert await stranger.score(TENANT, [ONE]) == {}
    assert await stranger.figures() == b""
    assert world.predictor.asked == []
    await stranger.aclose()


async def test_the_socket_is_private_and_figures_are_shown(world: World) -> None:
    assert os.stat(rpc.socket_path(world.url) or "").st_mode & 0o777 == 0o600
    assert await world.remote.figures() == b"alertgraph_learning 1\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "an object of"),
        (b"[]", "an object of"),
        (b'{"tenant": 1, "alerts": []}', "an object of"),
        (b'{"tenant": "%s", "alerts": "x"}' % str(TENANT).encode(), "an object of"),
        (b'{"tenant": "%s", "alerts": ["x"]}' % str(TENANT).encode(), "an object of"),
        (b" " * (rpc.BODY_BYTES_MAX + 1), "at most 65536 bytes"),
        (
            b'{"tenant": "%s", "alerts": [%s]}'
            % (str(TENANT).encode(), b",".join([b'"%s"' % str(ONE).encode()] * (rpc.ALERT_COUNT_MAX + 1))),
            "at most 1024 alerts",
        ),
    ],
)
async def test_a_wrong_question_is_refused(world: World, body: bytes, said: str) -> None:
    transport = httpx2.AsyncHTTPTransport(uds=rpc.socket_path(world.url))
    async with httpx2.AsyncClient(transport=transport, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        answer = await client.post("http://predictor/score", content=body)

    assert (answer.status_code, said in answer.text) == (400, True)
    assert world.predictor.asked == []


async def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not(data_dir: Path) -> None:
    url = f"unix://{data_dir}/one.sock"
    left = listening_at(url)
    left.close()

    with contextlib.closing(listening_at(url)), pytest.raises(FileExistsError, match="another process"):
        listening_at(url)
    (data_dir / "file").write_text("kept")
    with pytest.raises(FileExistsError, match="something else"):
        listening_at(f"unix://{data_dir}/file")
    assert (data_dir / "file").read_text() == "kept"
