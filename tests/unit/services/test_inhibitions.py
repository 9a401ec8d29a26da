"""Inhibition rules: made, changed and deleted by an ADMIN."""

from __future__ import annotations

from typing import Any

import pytest

from alertgraph.core.errors import AccessDeniedError, ErrorCode, RefusedError
from alertgraph.core.event import EventKind
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.tenant import Role
from alertgraph.services.inhibitions import InhibitionService
from tests.factories import a_matcher
from tests.memory_catalog import SetUp, a_caller

ADMIN = a_caller(Role.ADMIN)


class Inhibitions(SetUp):
    """Inhibition rules of a tenant."""

    def __init__(self) -> None:
        super().__init__()
        self.service = InhibitionService(self.changes)

    async def make(self, **fields: Any) -> InhibitionRule:
        wanted = {
            "name": "cluster down",
            "source_matchers": (a_matcher("alertname", "ClusterDown"),),
            "target_matchers": (a_matcher("alertname", "PodDown"),),
            "equal_labels": ("cluster",),
            **fields,
        }
        return await self.service.create(wanted.pop("caller", ADMIN), **wanted)


async def test_the_life_of_a_rule() -> None:
    inhibitions = Inhibitions()
    made = await inhibitions.make(idempotency_key="once")

    assert await inhibitions.make(idempotency_key="once") == made
    changed = await inhibitions.service.update(
        ADMIN, made.id, enabled=False, equal_labels=(), expected_version=made.version
    )
    assert (changed.enabled, changed.equal_labels, changed.name) == (False, (), made.name)
    await inhibitions.service.delete(ADMIN, made.id, expected_version=changed.version)
    assert inhibitions.config.catalog.inhibitions == ()
    assert [event.kind for event in inhibitions.events] == [
        EventKind.CONFIG_CREATED,
        EventKind.CONFIG_UPDATED,
        EventKind.CONFIG_DELETED,
    ]
    assert {event.subject_type for event in inhibitions.events} == {"InhibitionRule"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": " "}, ("name",)),
        ({"source_matchers": ()}, ("sourceMatchers",)),
        ({"target_matchers": (a_matcher("@x", ""),)}, ("targetMatchers", "0", "label")),
        ({"equal_labels": ("",)}, ("equalLabels", "0", "label")),
    ],
)
async def test_what_cannot_be_used_is_refused(fields: dict[str, Any], path: tuple[str, ...]) -> None:
    inhibitions = Inhibitions()
    made = await inhibitions.make()

    for attempt in (
        inhibitions.make(**{"name": "other", **fields}),
        inhibitions.service.update(ADMIN, made.id, **fields),
    ):
        with pytest.raises(RefusedError) as refused:
            await attempt
        assert (refused.value.code, refused.value.problems[0].path) == (ErrorCode.INVALID_INPUT, path)
    assert inhibitions.config.catalog.inhibitions == (made,)


async def test_only_an_admin_of_all_alerts_changes_them() -> None:
    inhibitions = Inhibitions()
    made = await inhibitions.make()
    for caller in (a_caller(Role.RESPONDER), a_caller(Role.ADMIN, a_matcher("team", "db"))):
        with pytest.raises(AccessDeniedError):
            await inhibitions.make(caller=caller, name="other")
        with pytest.raises(AccessDeniedError):
            await inhibitions.service.update(caller, made.id, enabled=False)
        with pytest.raises(AccessDeniedError):
            await inhibitions.service.delete(caller, made.id)
