"""How anything that is set up changes: versions, names, limits, promises to send once, and what the log says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.catalog import ITEM_COUNT_MAX, Catalog
from alertgraph.core.errors import ErrorCode, Problem, RefusedError
from alertgraph.core.event import EventKind, FieldChange
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import InhibitionRuleId, NodeKind, SilenceId, encode_id
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.silence import Silence
from alertgraph.core.tenant import Role
from alertgraph.services.catalog_changes import Decided, Secret, config_event, find, refuse_use
from tests.factories import ADA, HOUR, T0, TENANT, a_matcher
from tests.memory_catalog import SetUp, a_caller

ADMIN = a_caller(Role.ADMIN)


def an_item(setup: SetUp, name: str = "cluster", **fields: Any) -> InhibitionRule:
    id_ = InhibitionRuleId(setup.changes.new_id())
    return replace(InhibitionRule(id_, name, (a_matcher("a", "1"),), (a_matcher("b", "1"),)), **fields)


def told(item: InhibitionRule) -> dict[str, Any]:
    return {"name": item.name, "enabled": item.enabled, "equalLabels": Secret(item.equal_labels)}


async def create(setup: SetUp, item: InhibitionRule, key: str | None = None, contents: str = "") -> InhibitionRule:
    return await setup.changes.create(
        ADMIN, item, operation="create", contents=contents or item.name, told=told, idempotency_key=key
    )


async def update(
    setup: SetUp, item: InhibitionRule, *, expected_version: int | None = None, **fields: Any
) -> InhibitionRule:
    def decide(_: TenantConfig, before: InhibitionRule) -> Decided[InhibitionRule]:
        return Decided(replace(before, **fields))

    return await setup.changes.update(
        ADMIN, InhibitionRule, item.id, told=told, decide=decide, expected_version=expected_version
    )


async def refusal(awaitable: Any) -> Problem:
    with pytest.raises(RefusedError) as refused:
        await awaitable
    return refused.value.problems[0]


async def test_what_is_made_is_told_by_one_event() -> None:
    setup = SetUp()

    made = await create(setup, an_item(setup, equal_labels=("job",)))

    [event] = setup.events
    assert find(setup.config.catalog, InhibitionRule, made.id) == made
    assert made.version == 1
    assert setup.told == [(TENANT, 1)]
    assert (event.kind, event.subject_type) == (EventKind.CONFIG_CREATED, "InhibitionRule")
    assert event.subject_id == encode_id(NodeKind.INHIBITION_RULE, made.id)
    assert event.actor == ADMIN.actor
    assert event.changes == (
        FieldChange("name", None, "cluster"),
        FieldChange("enabled", None, True),
        FieldChange("equalLabels", None, None),
    )


async def test_a_patch_tells_what_differs_and_of_secrets_only_that() -> None:
    setup = SetUp()
    made = await create(setup, an_item(setup))

    patched = await update(setup, made, name="other", equal_labels=("job",))

    assert patched.version == 2
    assert setup.events[1].kind is EventKind.CONFIG_UPDATED
    assert setup.events[1].changes == (
        FieldChange("name", "cluster", "other"),
        FieldChange("equalLabels", None, None),
    )


async def test_a_patch_that_changes_nothing_writes_nothing() -> None:
    setup = SetUp()
    made = await create(setup, an_item(setup))
    version = setup.config.version

    assert await update(setup, made, name="cluster") == made
    assert len(setup.events) == 1
    assert setup.config.version == version
    assert setup.told == [(TENANT, 1)]


async def test_a_lost_update_is_refused() -> None:
    setup = SetUp()
    made = await create(setup, an_item(setup))
    await update(setup, made, name="other")

    problem = await refusal(update(setup, made, name="third", expected_version=made.version))

    assert (problem.code, problem.path, problem.current_version) == (
        ErrorCode.VERSION_CONFLICT,
        ("expectedVersion",),
        2,
    )


async def test_of_two_at_once_one_is_refused() -> None:
    setup = SetUp()
    made = await create(setup, an_item(setup))

    results = await asyncio.gather(
        *(update(setup, made, name=name, expected_version=made.version) for name in ("x", "y")),
        return_exceptions=True,
    )

    assert sorted(type(result).__name__ for result in results) == ["InhibitionRule", "RefusedError"]


async def test_names_are_one_of_a_kind() -> None:
    setup = SetUp()
    made = await create(setup, an_item(setup))
    other = await create(setup, an_item(setup, "other"))

    twice = await refusal(create(setup, an_item(setup)))
    renamed = await refusal(update(setup, other, name="cluster"))

    assert {(problem.code, problem.path) for problem in (twice, renamed)} == {(ErrorCode.CONFLICT, ("name",))}
    assert (await update(setup, made, name="cluster", enabled=False)).enabled is False


async def test_there_are_so_many_and_no_more() -> None:
    setup = SetUp()
    rule = an_item(setup)
    many = tuple(
        replace(rule, id=InhibitionRuleId(UUID(int=number)), name=str(number)) for number in range(ITEM_COUNT_MAX)
    )
    setup = SetUp(Catalog(inhibitions=many))

    assert (await refusal(create(setup, an_item(setup)))).code is ErrorCode.LIMIT_REACHED
    await setup.changes.delete(ADMIN, InhibitionRule, many[0].id, told=told)
    await create(setup, an_item(setup))


async def test_silences_that_are_over_do_not_count() -> None:
    setup = SetUp()
    over = tuple(
        Silence(SilenceId(UUID(int=number)), (a_matcher("a", "1"),), T0 - 2 * HOUR, T0 - HOUR, "maintenance", ADA)
        for number in range(ITEM_COUNT_MAX)
    )
    setup = SetUp(Catalog(silences=over))
    silence = replace(over[0], id=SilenceId(setup.changes.new_id()), ends_at=T0 + HOUR)

    made = await setup.changes.create(ADMIN, silence, operation="create", contents="", told=lambda _: {})

    assert made.version == 1
    last = replace(silence, id=SilenceId(setup.changes.new_id()))
    setup = SetUp(Catalog(silences=tuple(replace(silence, id=one.id) for one in over)))
    problem = await refusal(setup.changes.create(ADMIN, last, operation="create", contents="", told=lambda _: {}))
    assert problem.code is ErrorCode.LIMIT_REACHED


async def test_the_same_key_gets_the_first_answer_again() -> None:
    setup = SetUp()
    first = await create(setup, an_item(setup), "once")
    changed = await update(setup, first, name="renamed since")

    again = await create(setup, an_item(setup), "once")

    assert again == changed
    assert len(setup.events) == 2
    assert len(setup.config.catalog.inhibitions) == 1
    other = await refusal(create(setup, an_item(setup), "once", contents="something else"))
    assert (other.code, other.path) == (ErrorCode.IDEMPOTENCY_KEY_REUSED, ("idempotencyKey",))
    bad = await refusal(create(setup, an_item(setup), "\n"))
    assert (bad.code, bad.path) == (ErrorCode.INVALID_INPUT, ("idempotencyKey",))


async def test_the_same_key_does_not_make_again_what_was_deleted() -> None:
    setup = SetUp()
    first = await create(setup, an_item(setup), "once")
    await setup.changes.delete(ADMIN, InhibitionRule, first.id, told=told)

    assert (await refusal(create(setup, an_item(setup), "once"))).code is ErrorCode.NOT_FOUND
    assert setup.config.catalog.inhibitions == ()


async def test_what_was_refused_may_be_mended_under_its_key() -> None:
    setup = SetUp()
    await create(setup, an_item(setup))

    await refusal(create(setup, an_item(setup), "once"))

    assert (await create(setup, an_item(setup, "other"), "once")).name == "other"


async def test_what_is_deleted_is_told_as_it_was() -> None:
    setup = SetUp()
    made = await create(setup, an_item(setup))

    gone = await setup.changes.delete(ADMIN, InhibitionRule, made.id, told=told)

    assert gone == made
    assert setup.config.catalog.inhibitions == ()
    assert setup.events[1].kind is EventKind.CONFIG_DELETED
    assert FieldChange("name", "cluster", None) in setup.events[1].changes
    problem = await refusal(setup.changes.delete(ADMIN, InhibitionRule, made.id, told=told))
    assert (problem.code, problem.path) == (ErrorCode.NOT_FOUND, ("id",))


def test_what_is_in_use_says_by_what() -> None:
    setup = SetUp()
    users = [an_item(setup, f"rule {number}") for number in range(7)]

    refuse_use(users[0], [])
    with pytest.raises(RefusedError) as refused:
        refuse_use(users[0], [*users[1:], "the tenant's settings"])

    [problem] = refused.value.problems
    assert (problem.code, problem.path) == (ErrorCode.IN_USE, ("id",))
    assert "the inhibition rule rule 1, the inhibition rule rule 2" in problem.message
    assert problem.message.endswith("and 2 more.")


def test_a_secret_that_comes_or_goes_is_told_by_its_name() -> None:
    def changes(before: object, after: object) -> tuple[FieldChange, ...]:
        sealed = config_event(
            EventKind.CONFIG_UPDATED, ADMIN, T0, "Responder", "rsp_1", {"email": before}, {"email": after}
        )
        return sealed.event.changes

    assert changes(Secret("old"), Secret("old")) == ()
    assert changes(None, None) == ()
    for before, after in ((Secret("old"), Secret("new")), (None, Secret("new")), (Secret("old"), None)):
        assert changes(before, after) == (FieldChange("email", None, None),)
