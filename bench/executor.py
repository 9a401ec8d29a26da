"""What executing a query costs, with no database and no socket: 100 alerts with ten fields and a channel each."""

from __future__ import annotations

import asyncio
import enum
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import orjson
import strawberry
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig

from alertgraph.execution.batch import Batch
from alertgraph.execution.executor import GraphQLExecutor
from alertgraph.execution.hook import planned
from alertgraph.execution.leaves import ORJSON_OPTIONS, written_by_orjson
from alertgraph.execution.plans import PlanCache
from alertgraph.execution.request import GraphQLRequest
from bench import plots, report

ALERT_COUNT = 100
CHANNEL_COUNT = 5
STOCK = "Strawberry, as it comes"
CACHED = "Strawberry, parsed and validated once"
PLANNED = "plan, inside Strawberry"
DIRECT = "plan, straight to JSON"
BY_HAND = "written by hand, with orjson"
_ORDER = (STOCK, CACHED, PLANNED, DIRECT, BY_HAND)
_DRAWN = {name: f"{plots.OURS}: {name}" for name in (PLANNED, DIRECT)}

LIST = """query List($first: Int!) { alerts(first: $first) {
  id title message severity status source fingerprint occurrences score createdAt
  channel { id name kind enabled }
} }"""
ONE = """query One($id: ID!) { alert(id: $id) {
  id title message severity status source fingerprint occurrences score createdAt
  channel { id name kind enabled }
} }"""


@strawberry.enum
class Severity(enum.Enum):
    """How bad."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    FATAL = "fatal"


@strawberry.enum
class Status(enum.Enum):
    """Where it stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@written_by_orjson(datetime, tzinfo=UTC)
def instant_text(at: datetime) -> str:
    """Return an instant in UTC with Z."""
    return at.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


@strawberry.type
class Channel:
    """Over which somebody is told."""

    id: strawberry.ID
    name: str
    kind: str
    enabled: bool


KINDS = ("SLACK", "EMAIL", "PAGER")
CHANNELS = {
    f"ch{n}": Channel(id=strawberry.ID(f"ch{n}"), name=f"Channel {n}", kind=KINDS[n % 3], enabled=True)
    for n in range(CHANNEL_COUNT)
}


async def channels_of(_info: object, keys: Sequence[str]) -> Mapping[str, Channel]:
    """Return the channels with these ids, as a store would."""
    return {key: CHANNELS[key] for key in keys}


@strawberry.type
class Alert:
    """A row."""

    id: strawberry.ID
    title: str
    message: str
    severity: Severity
    status: Status
    source: str
    fingerprint: str
    occurrences: int
    score: float
    created_at: datetime
    channel_id: strawberry.Private[str]

    @strawberry.field(metadata={"batch": Batch(key=attrgetter("channel_id"), load=channels_of)})
    async def channel(self, info: strawberry.Info[Any, None]) -> Channel:
        """Return the channel, loaded together with those of its siblings."""
        found: Channel = await info.context["channels"].load(self.channel_id)
        return found


def _alerts() -> list[Alert]:
    rng = random.Random(7)
    begin = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return [
        Alert(
            id=strawberry.ID(f"al{n}"),
            title=f"CPU saturated on node-{n}",
            message="load average above the threshold for 5 minutes",
            severity=rng.choice(list(Severity)),
            status=rng.choice(list(Status)),
            source=f"prometheus/{n % 7}",
            fingerprint=f"{rng.getrandbits(64):016x}",
            occurrences=rng.randrange(1000),
            score=round(rng.random() * 100, 3),
            created_at=begin + timedelta(seconds=37 * n),
            channel_id=f"ch{n % CHANNEL_COUNT}",
        )
        for n in range(ALERT_COUNT)
    ]


ALERTS = _alerts()


@strawberry.type
class Query:
    """What can be asked."""

    @strawberry.field
    async def alerts(self, first: int = 50) -> list[Alert]:
        """Return the first alerts."""
        return ALERTS[:first]

    @strawberry.field
    async def alert(self, id: strawberry.ID) -> Alert | None:
        """Return one of them."""
        return next((alert for alert in ALERTS if alert.id == id), None)


def a_schema(**options: Any) -> strawberry.Schema:
    """Return the schema."""
    scalars: dict[object, Any] = {datetime: strawberry.scalar(name="DateTime", serialize=instant_text)}
    return strawberry.Schema(Query, config=StrawberryConfig(scalar_map=scalars), **options)


def a_context() -> dict[str, Any]:
    """Return the context of one operation."""

    async def load(keys: list[str]) -> list[Channel]:
        return [CHANNELS[key] for key in keys]

    return {"channels": DataLoader(load)}


def by_hand(alerts: Sequence[Alert]) -> bytes:
    """Return the same answer as somebody would write it who has no schema."""
    channels = {
        key: {"id": each.id, "name": each.name, "kind": each.kind, "enabled": each.enabled}
        for key, each in CHANNELS.items()
    }
    rows = [
        {
            "id": each.id,
            "title": each.title,
            "message": each.message,
            "severity": each.severity.name,
            "status": each.status.name,
            "source": each.source,
            "fingerprint": each.fingerprint,
            "occurrences": each.occurrences,
            "score": each.score,
            "createdAt": each.created_at,
            "channel": channels[each.channel_id],
        }
        for each in alerts
    ]
    return orjson.dumps({"data": {"alerts": rows}}, option=ORJSON_OPTIONS)


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        rounds: In each, every way runs once, in another order.
        seconds: For each way in each round, about.
    """

    rounds: int
    seconds: float


FULL = Scale(rounds=15, seconds=0.4)
QUICK = Scale(rounds=5, seconds=0.15)

Run = Callable[[str, dict[str, object]], Awaitable[bytes]]


class Executing:
    """The measurement.

    Args:
        scale: How much is measured.
        seed: Of the order.
    """

    def __init__(self, scale: Scale, seed: int) -> None:
        self._scale = scale
        self._rng = random.Random(seed)
        self._taken: dict[tuple[str, str], list[float]] = {}

    def run(self) -> None:
        """Measure."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        asked: dict[str, tuple[str, dict[str, object], int]] = {
            "100 alerts": (LIST, {"first": ALERT_COUNT}, ALERT_COUNT),
            "one alert": (ONE, {"id": "al7"}, 1),
        }
        ways = _ways()
        ways_by_hand: Run = _written_by_hand
        for text, variables, _ in asked.values():
            answers = {name: orjson.loads(await run(text, variables)) for name, run in ways.items()}
            expected = answers[STOCK]
            assert all(answer == expected for answer in answers.values()), "all ways answer alike"
            assert not expected.get("errors"), expected
        assert orjson.loads(by_hand(ALERTS)) == orjson.loads(await ways[STOCK](LIST, {"first": ALERT_COUNT}))
        work = [(question, name, run) for question in asked for name, run in ways.items()]
        work.append(("100 alerts", BY_HAND, ways_by_hand))
        for _ in range(self._scale.rounds):
            self._rng.shuffle(work)
            for question, name, run in work:
                text, variables, _ = asked[question]
                taken = await _timed(run, text, variables, self._scale.seconds)
                self._taken.setdefault((question, name), []).append(taken * 1e6)

    def told(self) -> dict[str, object]:
        """Return the figures for keeping: microseconds, and how many times faster than Strawberry as it comes."""
        cases = {
            f"{question}, {name}": {
                "us": report.spread(taken),
                "times_stock": self._times_stock(question, taken),
            }
            for (question, name), taken in sorted(self._taken.items())
        }
        return {**cases, "plot": plots.told("Executing a query, from memory", self._panels())}

    def _panels(self) -> list[plots.Panel]:
        return [
            plots.Panel(
                f"{question}, ten fields and a channel each",
                "processor time, µs",
                [
                    plots.Bar(_DRAWN.get(name, name), report.spread(self._taken[(question, name)]))
                    for name in _ORDER
                    if (question, name) in self._taken
                ],
                better="less",
            )
            for question in ("100 alerts", "one alert")
        ]

    def table(self) -> str:
        """Return the figures for people."""
        rows = []
        for question, name in sorted(self._taken, key=lambda each: (each[0], _ORDER.index(each[1]))):
            taken = self._taken[(question, name)]
            times = report.shown(self._times_stock(question, taken), "×")
            rows.append([f"{question}: {name}", report.shown(report.spread(taken)), times])
        notes = [
            "From memory: no database, no socket. Processor time, by medians of rounds with lowest and highest.",
            "Each alert has ten fields, two of them enums and one an instant, and a channel of a batch loader.",
        ]
        return report.table("executor", notes, ["what", "µs", "against Strawberry as it comes"], rows)

    def _times_stock(self, question: str, taken: list[float]) -> dict[str, float]:
        return report.ratio_of(self._taken[(question, STOCK)], taken)


async def _timed(run: Run, text: str, variables: dict[str, object], seconds: float) -> float:
    """Return how much of a processor a call takes, in seconds: what else the machine does is left out."""
    await run(text, variables)
    count = 0
    begun_at = time.process_time()
    while True:
        await run(text, variables)
        count += 1
        taken = time.process_time() - begun_at
        if taken >= seconds:
            return taken / count


def _ways() -> dict[str, Run]:
    stock, cached = a_schema(), a_schema(extensions=[ParserCache, ValidationCache])
    plans = PlanCache(native=False)
    inside = a_schema(extensions=[ParserCache, ValidationCache], execution_context_class=planned(plans))

    def within(schema: strawberry.Schema) -> Run:
        async def run(text: str, variables: dict[str, object]) -> bytes:
            result = await schema.execute(text, variable_values=variables, context_value=a_context())
            return orjson.dumps({"data": result.data, **({"errors": result.errors} if result.errors else {})})

        return run

    def report_error(error: BaseException, _: str) -> None:
        raise error

    executor = GraphQLExecutor(stock, report=report_error)

    async def direct(text: str, variables: dict[str, object]) -> bytes:
        prepared = executor.prepare(GraphQLRequest(text, None, variables))
        return (await executor.execute(prepared, a_context(), "request")).encode()

    return {STOCK: within(stock), CACHED: within(cached), PLANNED: within(inside), DIRECT: direct}


async def _written_by_hand(_text: str, _variables: dict[str, object]) -> bytes:
    return by_hand(ALERTS)
