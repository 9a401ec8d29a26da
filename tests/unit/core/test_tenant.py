"""Tenants and who acts in them, at the bounds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alertgraph.core.errors import AccessDeniedError, InputError
from alertgraph.core.tenant import Principal, Role, Tenant, TenantSettings, check_settings, check_slug
from alertgraph.core.tier import Tier
from tests.factories import ADA, DAY, TENANT


@pytest.mark.parametrize("slug", ["a", "0", "a-b", "a" * 63, "a--b"])
def test_a_slug_is_short_and_plain(slug: str) -> None:
    assert check_slug(slug) == slug


@pytest.mark.parametrize("slug", ["", "-", "a-", "-a", "A", "a_b", "a.b", "ä", "a\n", "a" * 64, "a b"])
def test_anything_else_is_no_slug(slug: str) -> None:
    with pytest.raises(InputError) as refused:
        check_slug(slug)

    assert refused.value.problems[0].path == ("slug",)


@pytest.mark.parametrize(
    "settings",
    [
        TenantSettings(),
        TenantSettings(resolve_timeout=30 * DAY, retention=3660 * DAY),
        TenantSettings(resolve_timeout=timedelta(0), retention=DAY),
    ],
)
def test_settings_at_their_bounds_are_kept(settings: TenantSettings) -> None:
    assert check_settings(settings) is settings


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        (TenantSettings(resolve_timeout=timedelta(microseconds=-1)), "resolveTimeout"),
        (TenantSettings(resolve_timeout=30 * DAY + timedelta(microseconds=1)), "resolveTimeout"),
        (TenantSettings(retention=DAY - timedelta(microseconds=1)), "retention"),
        (TenantSettings(retention=3661 * DAY), "retention"),
    ],
)
def test_settings_beyond_them_are_refused_by_name(settings: TenantSettings, path: str) -> None:
    with pytest.raises(InputError) as refused:
        check_settings(settings)

    assert refused.value.problems[0].path == (path,)


def test_a_role_includes_those_below_it() -> None:
    tenant = Tenant(TENANT, "acme", "Acme", Tier.FREE)
    for role in Role:
        principal = Principal(tenant, role, "key:1", ADA)
        for needed in Role:
            if needed <= role:
                principal.require(needed)
            else:
                with pytest.raises(AccessDeniedError, match=needed.name):
                    principal.require(needed)
