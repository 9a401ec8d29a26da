"""Budgets that one process keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from alertgraph.cache.budgets import InProcessBudgets
from alertgraph.core.ids import TenantId

T0 = datetime(2026, 11, 23, tzinfo=UTC)


def tenant(number: int) -> TenantId:
    return TenantId(UUID(int=number))


async def test_each_subject_of_each_tenant_has_its_own() -> None:
    budgets = InProcessBudgets()

    for tenant_id, subject in [(tenant(1), "a"), (tenant(1), "b"), (tenant(2), "a")]:
        assert (await budgets.spend(tenant_id, subject, 10, 10, T0)).allowed
        assert not (await budgets.spend(tenant_id, subject, 1, 10, T0)).allowed


async def test_the_subject_seen_longest_ago_is_forgotten_first() -> None:
    budgets = InProcessBudgets(bucket_count_max=2)
    for subject in ("a", "b", "a", "c"):
        await budgets.spend(tenant(1), subject, 4, 10, T0)

    assert len(budgets) == 2
    assert (await budgets.spend(tenant(1), "a", 0, 10, T0)).remaining == 2
    assert (await budgets.spend(tenant(1), "b", 0, 10, T0)).remaining == 10
