"""The demo's plan: from a seed, the same each time, and with everything in it that shall be seen."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.dedup import dedup_key_of
from alertgraph.core.severity import Severity
from alertgraph.edge.demo.companies import COMPANIES, Company
from alertgraph.edge.demo.plan import (
    FALLEN_CLUSTER,
    SEED_MAX,
    STORM_LENGTH,
    Acknowledge,
    Beat,
    Break,
    Clear,
    Dialect,
    Element,
    Fire,
    Resolve,
    Silence,
    Step,
    storm,
)

companies = st.sampled_from(COMPANIES)
seeds = st.integers(0, SEED_MAX)
numbers = st.integers(0, 1000)


def of(steps: tuple[Step, ...], element: Element) -> list[Step]:
    return [step for step in steps if step.element is element]


@given(companies, seeds, numbers)
def test_the_same_seed_gives_the_same_plan(company: Company, seed: int, number: int) -> None:
    assert storm(company, seed, number) == storm(company, seed, number)


@given(companies, seeds, numbers)
def test_another_seed_or_another_storm_gives_another_plan(company: Company, seed: int, number: int) -> None:
    assert storm(company, seed, number) != storm(company, seed ^ 1, number)
    assert storm(company, seed, number) != storm(company, seed, number + 1)


def test_another_process_gives_the_same_plan() -> None:
    """No hash that differs from process to process has a part in it."""
    code = (
        "import hashlib; from alertgraph.edge.demo.companies import COMPANIES;"
        "from alertgraph.edge.demo.plan import storm;"
        "print(hashlib.sha256(repr([storm(each, 7, 0) for each in COMPANIES]).encode()).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


@given(companies, seeds, numbers)
def test_steps_come_in_order_and_within_the_storm(company: Company, seed: int, number: int) -> None:
    steps = storm(company, seed, number)
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert timedelta(0) <= steps[0].at
    assert steps[-1].at <= STORM_LENGTH
    first = next(step.at for step in steps if isinstance(step.act, Fire))
    assert first <= timedelta(seconds=1), "the screen stays empty"


@given(companies, seeds, numbers)
def test_every_element_is_in_every_plan(company: Company, seed: int, number: int) -> None:
    steps = storm(company, seed, number)

    noise = [step.act for step in of(steps, Element.NOISE) if isinstance(step.act, Fire)]
    assert len({fire.key for fire in noise}) >= 10
    assert max(fire.severity for fire in noise) < Severity.HIGH, "noise wakes people"

    flapping = of(steps, Element.FLAPPING)
    assert len(flapping) >= 10
    assert [type(step.act) for step in flapping] == [Fire, Clear] * (len(flapping) // 2)
    assert len({step.act.key for step in flapping if isinstance(step.act, Fire)}) == 1

    silence, *complaints = of(steps, Element.MAINTENANCE)
    assert isinstance(silence.act, Silence)
    covered = [step.act for step in complaints if isinstance(step.act, Fire)]
    assert len(covered) == 6
    assert {fire.labels["service"] for fire in covered} == {silence.act.service}
    assert max(step.at for step in complaints) < silence.at + silence.act.length

    neglect = [step.act for step in of(steps, Element.NEGLECT)]
    assert [type(act) for act in neglect] == [Fire, Acknowledge, Resolve]

    (broken,) = of(steps, Element.CHANNEL_FAILURE)
    assert isinstance(broken.act, Break)
    assert broken.at + broken.act.length < STORM_LENGTH
    assert {type(step.act) for step in of(steps, Element.HEARTBEAT)} == {Beat}
    dialects = {step.act.dialect for step in steps if isinstance(step.act, Fire)}
    assert dialects == set(Dialect)


@given(companies, seeds, numbers)
def test_a_cascade_begins_at_the_root_and_follows_what_needs_it(company: Company, seed: int, number: int) -> None:
    steps = of(storm(company, seed, number), Element.CASCADE)
    fires = [step for step in steps if isinstance(step.act, Fire)]
    begun: dict[str, timedelta] = {}
    for step in fires:
        assert isinstance(step.act, Fire)
        assert step.act.labels["cluster"] == FALLEN_CLUSTER
        begun.setdefault(step.act.service, step.at)
    distances = company.distances()
    assert set(begun) == set(distances)
    assert len(distances) >= 5
    for service, needed in company.needs.items():
        failed = [begun[name] for name in needed if name in begun]
        if failed:
            assert begun[service] > min(failed)
    keys = [step.act.key for step in fires if isinstance(step.act, Fire)]
    assert len(keys) > len(set(keys)) >= 11, "repeats are folded into what is there"
    taken = {key for step in steps if isinstance(step.act, Acknowledge) for key in step.act.keys}
    cleared = {step.act.fired.key for step in steps if isinstance(step.act, Clear)}
    assert taken == cleared == set(keys)


@given(companies, seeds, numbers)
def test_nothing_else_stands_where_all_falls(company: Company, seed: int, number: int) -> None:
    for step in storm(company, seed, number):
        if isinstance(step.act, Fire) and step.element is not Element.CASCADE:
            assert step.act.labels["cluster"] != FALLEN_CLUSTER


@given(companies, seeds, numbers)
def test_what_fires_is_over_in_the_end(company: Company, seed: int, number: int) -> None:
    still: set[str] = set()
    for step in storm(company, seed, number):
        match step.act:
            case Fire(key=key):
                still.add(key)
            case Clear(fired):
                still.discard(fired.key)
            case Resolve(keys):
                still -= set(keys)
            case _:
                pass
    assert not still


@given(companies, seeds)
def test_a_key_says_one_thing(company: Company, seed: int) -> None:
    """Repeats differ in nothing that the service would take for an update."""
    said: dict[str, str] = {}
    for step in storm(company, seed, 0):
        if isinstance(step.act, Fire):
            assert said.setdefault(step.act.key, step.act.title) == step.act.title
            if step.act.dialect is Dialect.ALERTMANAGER:
                labels = step.act.labels
                assert step.act.key == dedup_key_of(labels, title="", source="", monitored_service=None)


@pytest.mark.parametrize("company", COMPANIES, ids=lambda company: company.slug)
def test_a_company_is_whole(company: Company) -> None:
    named = set(company.needs)
    assert all(set(needed) <= named for needed in company.needs.values())
    alone = {company.flapping, company.maintained, company.neglected}
    assert len(alone) == 3
    assert alone <= named - set(company.distances())
    assert len(company.people) == len(set(company.people)) == 4
