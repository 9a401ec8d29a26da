"""Escalation rules: what is refused, and in which order they are tried."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.catalog import Catalog
from alertgraph.core.errors import AccessDeniedError, ErrorCode, Problem, RefusedError
from alertgraph.core.event import EventKind, FieldChange
from alertgraph.core.ids import ChannelId, NodeKind, ResponderId, RuleId, ScheduleId, encode_id
from alertgraph.core.labels import MatchOperator
from alertgraph.core.responder import Responder
from alertgraph.core.rule import ChannelTarget, EscalationRule, Level, ResponderTarget, ScheduleTarget, move
from alertgraph.core.severity import Severity
from alertgraph.core.tenant import Role
from alertgraph.services.rules import EscalationRuleService
from tests.factories import DAY, MINUTE, SECOND, TENANT, a_matcher
from tests.memory_catalog import SetUp, a_caller

ADMIN = a_caller(Role.ADMIN)
BOB = Responder(ResponderId(UUID(int=1)), "Bob")
LEVELS = (Level(5 * MINUTE, (ResponderTarget(BOB.id),)),)


class Rules(SetUp):
    """Escalation rules of a tenant with one responder."""

    def __init__(self) -> None:
        super().__init__(Catalog(responders={BOB.id: BOB}))
        self.service = EscalationRuleService(self.changes, level_count_max=3)

    async def make(self, name: str, **fields: Any) -> EscalationRule:
        return await self.service.create(ADMIN, **{"name": name, "levels": LEVELS, **fields})

    @property
    def order(self) -> list[tuple[str, int]]:
        return [(rule.name, rule.position) for rule in self.config.catalog.rules]


async def refusal(awaitable: Any) -> Problem:
    with pytest.raises(RefusedError) as refused:
        await awaitable
    return refused.value.problems[0]


async def test_a_rule_is_last_where_no_position_is_given() -> None:
    rules = Rules()

    assert [(await rules.make(name)).position for name in "abc"] == [1, 2, 3]


async def test_rules_at_or_behind_a_new_one_move_back() -> None:
    rules = Rules()
    made = [await rules.make(name) for name in "abc"]

    new = await rules.make("new", position=2)

    assert rules.order == [("a", 1), ("new", 2), ("b", 3), ("c", 4)]
    versions = {rule.name: rule.version for rule in rules.config.catalog.rules}
    assert versions == {"a": made[0].version, "new": new.version, "b": new.version, "c": new.version}
    assert len(rules.events) == 4


async def test_a_rule_that_moves_leaves_its_place_first() -> None:
    rules = Rules()
    made = {name: await rules.make(name) for name in "abcd"}

    down = await rules.service.update(ADMIN, made["a"].id, position=3)
    assert rules.order == [("b", 1), ("c", 2), ("a", 3), ("d", 4)]
    assert rules.events[-1].changes == (FieldChange("position", 1, 3),)
    await rules.service.update(ADMIN, made["d"].id, position=1)
    assert rules.order == [("d", 1), ("b", 2), ("c", 3), ("a", 4)]
    await rules.service.update(ADMIN, made["b"].id, position=100)
    assert rules.order == [("d", 1), ("c", 2), ("a", 3), ("b", 100)]
    assert down.position == 3


@given(
    st.lists(st.integers(0, 12), unique=True, max_size=6),
    st.integers(0, 14) | st.none(),
    st.integers(0, 6),
)
def test_moving_one_keeps_the_others_in_order(positions: list[int], wanted: int | None, which: int) -> None:
    rules = [
        EscalationRule(RuleId(UUID(int=number)), str(number), position, LEVELS)
        for number, position in enumerate(sorted(positions))
    ]
    rule = rules[which] if which < len(rules) else EscalationRule(RuleId(UUID(int=99)), "new", 0, LEVELS)

    placed, moved = move(rules, rule, wanted)

    after = {**{one.id: one for one in rules}, **{one.id: one for one in moved}, placed.id: placed}
    others = [one for one in rules if one.id != rule.id]
    in_order = sorted(after.values(), key=lambda one: one.position)
    assert [one.id for one in in_order if one.id != rule.id] == [one.id for one in others]
    assert len({one.position for one in in_order}) == len(in_order)
    assert all(one.position >= 0 for one in in_order)
    if wanted is not None:
        assert placed.position == wanted
    else:
        assert in_order[-1] == placed
    assert all(after[one.id] != one for one in others if one.id in {m.id for m in moved})


async def test_a_rule_keeps_what_it_was_given() -> None:
    rules = Rules()
    given = {
        "enabled": False,
        "matchers": (a_matcher("team", "db|web", MatchOperator.REGEX),),
        "severities": (Severity.CRITICAL, Severity.HIGH),
        "incident_probability_min": 0.5,
        "repeat_count": 3,
        "escalate_on_sla": True,
    }

    made = await rules.make("a", **given)

    assert {name: getattr(made, name) for name in given} == given
    told = {change.field: change.after for change in rules.events[0].changes}
    assert told["levels"] == [
        {"delay": "PT5M", "targets": [{"responderId": encode_id(NodeKind.RESPONDER, BOB.id)}]}
    ]
    assert told["severities"] == ["CRITICAL", "HIGH"]


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"name": ""}, ErrorCode.INVALID_INPUT, ("name",)),
        ({"name": "x" * 257}, ErrorCode.INVALID_INPUT, ("name",)),
        ({"levels": ()}, ErrorCode.INVALID_INPUT, ("levels",)),
        ({"levels": LEVELS * 4}, ErrorCode.INVALID_INPUT, ("levels",)),
        ({"levels": (LEVELS[0], Level(MINUTE, ()))}, ErrorCode.INVALID_INPUT, ("levels", "1", "targets")),
        (
            {"levels": (replace(LEVELS[0], targets=LEVELS[0].targets * 51),)},
            ErrorCode.INVALID_INPUT,
            ("levels", "0", "targets"),
        ),
        (
            {"levels": (replace(LEVELS[0], delay=7 * DAY + SECOND),)},
            ErrorCode.INVALID_INPUT,
            ("levels", "0", "delay"),
        ),
        (
            {"levels": (replace(LEVELS[0], targets=(ResponderTarget(ResponderId(UUID(int=9))),)),)},
            ErrorCode.NOT_FOUND,
            ("levels", "0", "targets", "0", "responderId"),
        ),
        (
            {"levels": (replace(LEVELS[0], targets=(*LEVELS[0].targets, ScheduleTarget(ScheduleId(BOB.id)))),)},
            ErrorCode.NOT_FOUND,
            ("levels", "0", "targets", "1", "scheduleId"),
        ),
        (
            {"levels": (LEVELS[0], replace(LEVELS[0], targets=(ChannelTarget(ChannelId(BOB.id)),)))},
            ErrorCode.NOT_FOUND,
            ("levels", "1", "targets", "0", "channelId"),
        ),
        ({"position": -1}, ErrorCode.INVALID_INPUT, ("position",)),
        ({"position": 1_000_001}, ErrorCode.INVALID_INPUT, ("position",)),
        ({"repeat_count": 101}, ErrorCode.INVALID_INPUT, ("repeatCount",)),
        ({"repeat_count": -1}, ErrorCode.INVALID_INPUT, ("repeatCount",)),
        ({"incident_probability_min": 1.01}, ErrorCode.INVALID_INPUT, ("incidentProbabilityMin",)),
        ({"incident_probability_min": float("nan")}, ErrorCode.INVALID_INPUT, ("incidentProbabilityMin",)),
        ({"matchers": (a_matcher("@x", ""),)}, ErrorCode.INVALID_INPUT, ("matchers", "0", "label")),
        ({"matchers": (a_matcher("x", ""),) * 21}, ErrorCode.INVALID_INPUT, ("matchers",)),
    ],
)
async def test_what_cannot_be_used_is_refused(
    fields: dict[str, Any], code: ErrorCode, path: tuple[str, ...]
) -> None:
    rules = Rules()
    made = await rules.make("good")

    problem = await refusal(rules.make(**{"name": "bad", **fields}))
    patched = await refusal(rules.service.update(ADMIN, made.id, **fields))

    assert (problem.code, problem.path) == (code, path)
    assert (patched.code, patched.path) == (code, path)
    assert rules.order == [("good", 1)]


async def test_a_rule_whose_targets_are_gone_can_still_be_renamed() -> None:
    rules = Rules()
    made = await rules.make("a")
    nobody = replace(rules.config.catalog, responders={})
    rules.log.change_config(TENANT, replace(rules.config, catalog=nobody))

    assert (await rules.service.update(ADMIN, made.id, name="b")).name == "b"


async def test_the_default_rule_is_not_deleted() -> None:
    rules = Rules()
    made = await rules.make("a")
    rules.set(default_rule_id=made.id)

    problem = await refusal(rules.service.delete(ADMIN, made.id))

    assert (problem.code, problem.path) == (ErrorCode.IN_USE, ("id",))
    rules.set(default_rule_id=None)
    await rules.service.delete(ADMIN, made.id)
    assert rules.events[-1].kind is EventKind.CONFIG_DELETED
    assert rules.order == []


async def test_only_an_admin_of_all_alerts_changes_rules() -> None:
    rules = Rules()
    made = await rules.make("a")
    for caller in (a_caller(Role.RESPONDER), a_caller(Role.ADMIN, a_matcher("team", "db"))):
        with pytest.raises(AccessDeniedError):
            await rules.service.create(caller, name="b", levels=LEVELS)
        with pytest.raises(AccessDeniedError):
            await rules.service.update(caller, made.id, name="b")
        with pytest.raises(AccessDeniedError):
            await rules.service.delete(caller, made.id)
    assert rules.order == [("a", 1)]


async def test_a_key_stands_for_what_was_said_not_for_where_it_went() -> None:
    rules = Rules()
    first = await rules.make("a", idempotency_key="once")
    await rules.make("b", position=0)

    assert (await rules.make("a", idempotency_key="once")).id == first.id
    other = await refusal(rules.make("a", position=2, idempotency_key="once"))
    assert other.code is ErrorCode.IDEMPOTENCY_KEY_REUSED
