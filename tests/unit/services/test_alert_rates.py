"""Who watches alert rates: what is told, once, whatever ends in between."""

from __future__ import annotations

from typing import Any

import pytest

from alertgraph.core.anomaly import AnomalyTarget
from alertgraph.core.event import EventKind, StoredEvent
from alertgraph.core.rate import RateSettings
from alertgraph.core.severity import Severity
from alertgraph.services.alert_rates import RateReader
from alertgraph.services.following import StateMismatch
from tests.factories import HOUR, MINUTE, T0, TENANT, a_config_event, a_matcher, an_event, stored
from tests.unit.services.test_series import ADMIN, Watched

RATES = RateSettings(interval_seconds=60, warmup_count=20)


class Rated(Watched):
    """The same tenant's alert rates."""

    async def begin(self, state: bytes | None = None) -> None:
        self.process()
        self.rates = await RateReader(self.teller, RATES).open(TENANT, state, self.clock.now())

    async def minute(self, count: int, **fields: Any) -> None:
        """Let alerts come, and a minute pass."""
        events: list[StoredEvent] = []
        for number in range(count):
            event = an_event(kind=EventKind.TRIGGERED, **{"service_after": "checkout", **fields})
            events.append(stored(event, number=number + 1, recorded_at=self.clock.now()))
        if events:
            await self.rates.take(events)
        self.clock.advance(MINUTE)
        await self.rates.tick(self.clock.now())


@pytest.fixture
async def rated() -> Rated:
    rated = Rated()
    await rated.begin()
    await rated.rules.create(ADMIN, name="storms", target=AnomalyTarget.ALERT_RATE, severity=Severity.HIGH)
    return rated


async def test_a_storm_of_alerts_is_one_alert_until_it_is_over(rated: Rated) -> None:
    for _ in range(30):
        await rated.minute(2)
    await rated.minute(60)
    await rated.minute(60)

    [alert] = rated.open
    assert alert.title.startswith("More alerts than usual of checkout: 60 in 1 min (usually 2")
    assert (alert.monitored_service, alert.source, alert.severity) == ("checkout", "anomaly", Severity.HIGH)
    for _ in range(4):
        await rated.minute(2)
    assert rated.open == []
    assert rated.kinds.count(EventKind.TRIGGERED) == 1


async def test_what_anomalies_raise_is_not_counted_among_them(rated: Rated) -> None:
    for _ in range(30):
        await rated.minute(2)
    for _ in range(3):
        await rated.minute(60, source="anomaly")

    assert rated.open == []


async def test_services_are_counted_each_for_itself(rated: Rated) -> None:
    await rated.rules.create(
        ADMIN, name="carts", target=AnomalyTarget.ALERT_RATE, matchers=(a_matcher("@service", "cart"),)
    )
    await rated.begin()
    for _ in range(30):
        await rated.minute(2)
        await rated.minute(2, service_after="cart")
    await rated.minute(60)
    await rated.minute(0)

    assert [alert.labels["anomaly_rule"] for alert in rated.open] == ["storms"]


async def test_a_long_log_that_is_read_late_raises_nothing(rated: Rated) -> None:
    begin = rated.clock.now()
    rated.clock.advance(10 * HOUR)
    for number in range(60):
        at = begin + number * MINUTE
        count = 60 if number == 50 else 2
        event = an_event(kind=EventKind.TRIGGERED, service_after="checkout")
        await rated.rates.take([stored(event, number=number * 100 + i + 1, recorded_at=at) for i in range(count)])
        await rated.rates.tick(rated.clock.now())

    assert rated.open == []
    await rated.rates.tick(rated.clock.now())
    assert rated.open == []


async def test_rates_go_on_where_they_were_saved(rated: Rated) -> None:
    for _ in range(30):
        await rated.minute(2)
    await rated.minute(60)
    await rated.minute(60)
    assert len(rated.open) == 1

    await rated.begin(rated.rates.state())
    await rated.minute(60)
    assert rated.kinds.count(EventKind.TRIGGERED) == 1
    for _ in range(4):
        await rated.minute(2)

    assert rated.open == []


@pytest.mark.parametrize("state", [b"", b"{}", b'{"v":2}', b'{"v":1,"interval":300}', b"[1]"])
async def test_a_state_of_another_form_is_refused(rated: Rated, state: bytes) -> None:
    with pytest.raises(StateMismatch):
        await RateReader(rated.teller, RATES).open(TENANT, state, T0)


async def test_rates_of_a_rule_that_is_gone_end(rated: Rated) -> None:
    for _ in range(30):
        await rated.minute(2)
    await rated.minute(60)
    await rated.minute(60)
    [rule] = (await rated.teller.rules(TENANT)).values()
    await rated.rules.delete(ADMIN, rule.id)
    await rated.rates.take([stored(a_config_event(subject_type="AnomalyRule"))])

    assert rated.open == []
