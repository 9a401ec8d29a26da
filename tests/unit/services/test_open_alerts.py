"""What a process remembers of tenants: within bounds, and never more sure than it may be."""

from __future__ import annotations

from uuid import UUID

import pytest

from alertgraph.core.alert import AlertStatus
from alertgraph.core.ids import TenantId
from alertgraph.services.open_alerts import OpenAlerts, TenantMemory
from tests.factories import T0, TENANT, a_config, an_alert, an_id


@pytest.fixture
def memory() -> TenantMemory:
    return TenantMemory(a_config(), T0, complete=True)


def test_an_open_alert_is_found_by_key_and_id(memory: TenantMemory) -> None:
    memory.keep(alert := an_alert())

    assert memory.by_key == {"latency": alert}
    assert memory.by_id == {alert.id: alert}


def test_a_closed_alert_is_forgotten(memory: TenantMemory) -> None:
    memory.keep(an_alert())
    memory.keep(an_alert(status=AlertStatus.RESOLVED))

    assert (memory.by_key, memory.by_id) == ({}, {})


def test_what_ends_late_does_not_take_its_successor_along(memory: TenantMemory) -> None:
    memory.keep(an_alert(id=an_id(1)))
    memory.keep(successor := an_alert(id=an_id(2)))
    memory.keep(an_alert(id=an_id(1), status=AlertStatus.RESOLVED))

    assert memory.by_key == {"latency": successor}


def test_what_is_in_doubt_is_forgotten(memory: TenantMemory) -> None:
    memory.keep(an_alert(id=an_id(1), dedup_key="a"))
    memory.keep(an_alert(id=an_id(2), dedup_key="b"))
    memory.keep(kept := an_alert(id=an_id(3), dedup_key="c"))
    memory.doubt(["a", "unknown"], [an_id(2), an_id(9)])

    assert memory.by_key == {"c": kept}
    assert memory.by_id == {kept.id: kept}


def test_beyond_its_bound_a_tenant_forgets_what_it_has_known_longest(
    memory: TenantMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alertgraph.services.open_alerts.TENANT_ALERT_COUNT_MAX", 2)
    for n in (1, 2):
        memory.keep(an_alert(id=an_id(n), dedup_key=str(n)))
    assert memory.complete
    memory.keep(an_alert(id=an_id(1), dedup_key="1", occurrence_count=2))
    memory.keep(an_alert(id=an_id(3), dedup_key="3"))

    assert memory.by_key.keys() == {"1", "3"}
    assert not memory.complete


def test_all_tenants_together_stay_within_a_bound_however_they_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alertgraph.services.open_alerts.ALERT_COUNT_MAX", 10)
    tenants = [TenantId(UUID(int=n)) for n in range(4)]
    known = OpenAlerts()
    for tenant_id in tenants:
        known.put(tenant_id, TenantMemory(a_config(), T0, complete=True))
    for n in range(6):
        for tenant_id in tenants[:3]:
            memory = known.get(tenant_id)
            if memory is not None:
                memory.keep(an_alert(id=an_id(n), dedup_key=str(n)))

    left = [memory for tenant_id in tenants if (memory := known.get(tenant_id)) is not None]
    # The growth of the last flush is noticed with the next one.
    assert sum(len(memory.by_id) for memory in left) <= 11


def test_a_single_tenant_is_kept_even_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alertgraph.services.open_alerts.ALERT_COUNT_MAX", 1)
    known = OpenAlerts()
    memory = TenantMemory(a_config(), T0, complete=True)
    for n in range(3):
        memory.keep(an_alert(id=an_id(n), dedup_key=str(n)))
    known.put(TENANT, memory)

    assert known.get(TENANT) is memory


def test_a_tenant_that_is_dropped_is_unknown() -> None:
    known = OpenAlerts()
    known.put(TENANT, TenantMemory(a_config(), T0, complete=True))
    known.drop(TENANT)
    known.drop(TENANT)

    assert known.get(TENANT) is None


def test_a_key_whose_alert_was_changed_elsewhere_has_to_be_looked_up(memory: TenantMemory) -> None:
    memory.keep(alert := an_alert())
    assert not memory.lacks("latency")
    assert not memory.lacks("another")

    memory.forget_changed(alert.id)
    memory.forget_changed(an_id(9))

    assert memory.lacks("latency")
    assert not memory.lacks("another")
    memory.keep(alert)
    assert not memory.lacks("latency")


def test_of_too_many_changes_only_that_there_were_some_is_remembered(
    memory: TenantMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alertgraph.services.open_alerts.TENANT_ALERT_COUNT_MAX", 2)
    for n in (1, 2, 3):
        memory.keep(an_alert(id=an_id(n), dedup_key=str(n)))
        memory.forget_changed(an_id(n))

    assert memory.lacks("1")
    assert memory.lacks("anything")
