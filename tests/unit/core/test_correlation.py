"""Correlation's promises: bounds, the same after a restart, evidence that was used, groups that stay closed."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertgraph.core.correlation import (
    DAY_ONE,
    LINK_COUNT_MAX,
    Apart,
    Arrival,
    CandidateIndex,
    Chance,
    ChanceTable,
    Correlator,
    EvidenceKind,
    Grouping,
    GroupLimits,
    Link,
    Relation,
    Threshold,
    chance_score,
    evidence_for,
    gap_bucket,
    hops_between,
    relation_of,
    root_alert,
    title_template,
)

NEEDS = {"web": ("cart", "search"), "cart": ("db",), "search": ("db",)}


def an_arrival(
    alert: str = "a", at: float = 0.0, rule: str = "HighLatency", entity: str = "web-1", **rest
) -> Arrival:
    return Arrival(alert, at, rule, entity, **rest)


def a_link(earlier: Arrival, score: float = 0.9) -> Link:
    return Link(earlier, score, ())


def a_story(count: int = 200) -> list[Arrival]:
    """Two kinds that come together every ten minutes, and one that comes when it likes."""
    story = []
    for turn in range(count):
        start = 600.0 * turn
        story.append(an_arrival(f"d{turn}", start, "DiskFull", "db-1", service="db"))
        story.append(an_arrival(f"l{turn}", start + 4, "SlowQueries", "web-1", service="web"))
        story.append(
            an_arrival(f"c{turn}", start + 37 + turn * 7919 % 500, "CertExpires", "mail-1", service="mail")
        )
    return sorted(story, key=lambda one: one.at)


def test_titles_of_one_kind_have_one_template() -> None:
    assert title_template("Disk 93% full on db-17") == title_template("Disk  8% FULL on db-2")
    assert title_template("Pod 3f9a2b7c11de restarted") == title_template("pod 77aa01bc99ef restarted")
    assert title_template("Disk full") != title_template("Disk slow")


@pytest.mark.parametrize(("seconds", "bucket"), [(0, 0), (0.99, 0), (1, 1), (59, 4), (60, 5), (900, 7), (1e9, 7)])
def test_gaps_have_buckets(seconds, bucket) -> None:
    assert gap_bucket(seconds) == bucket


def test_relations_are_told_by_what_is_nearest() -> None:
    hops = hops_between(NEEDS)
    web = an_arrival(service="web")

    def relation(**other) -> int:
        return relation_of(web, an_arrival(**{"entity": "other", **other}), hops)

    assert relation(entity="web-1", service="elsewhere") == Relation.ENTITY
    assert relation(service="web") == Relation.SERVICE
    assert relation(service="cart") == Relation.ONE_HOP
    assert relation(service="db") == Relation.TWO_HOPS
    assert relation(service="mail") == Relation.ELSEWHERE
    assert relation(service=None) == Relation.ELSEWHERE
    assert relation_of(web, an_arrival(entity="other", service="cart")) == Relation.ELSEWHERE


def test_candidates_are_the_latest_of_each_key_within_the_window() -> None:
    index = CandidateIndex(window_seconds=100)
    for at in (0.0, 10.0, 20.0):
        index.take(an_arrival(f"a{at}", at, entity="one"))
    index.take(an_arrival("b", 30.0, entity="two"))

    facts = index.take(an_arrival("c", 115.0, entity="three"))

    assert [(fact.earlier.alert, fact.gap) for fact in facts] == [("b", 85.0), ("a20.0", 95.0)]
    assert [fact.earlier.alert for fact in index.take(an_arrival("d", 500.0, entity="four"))] == []


@given(st.integers(1, 48), st.integers(0, 150), st.data())
def test_candidates_have_a_cap_and_near_ones_come_first(cap, count, data) -> None:
    index = CandidateIndex(window_seconds=1e9, candidate_count_max=cap)
    services = data.draw(st.lists(st.sampled_from(["web", "cart", "mail"]), min_size=count, max_size=count))
    for number, service in enumerate(services):
        index.take(an_arrival(f"a{number}", float(number), f"rule{number}", f"host{number}", service=service))

    facts = index.take(an_arrival("last", 1e6, "another", "here", service="web"), hops_between(NEEDS))

    assert len(facts) == min(cap, count)
    assert [fact.gap for fact in facts] == sorted(fact.gap for fact in facts)
    taken = {fact.earlier.alert for fact in facts}
    near = {f"a{number}" for number, service in enumerate(services) if service != "mail"}
    # Strangers only where the near ones left room.
    assert len(taken & near) == min(cap, len(near))


def test_what_is_remembered_has_a_bound() -> None:
    index = CandidateIndex(key_count_max=50)
    table = ChanceTable(entry_count_max=100)
    for number in range(2000):
        arrival = an_arrival(f"a{number}", 20.0 * number, f"rule{number % 90}", f"host{number % 70}")
        table.look_around(arrival.at, index)
        table.learn(arrival, index.take(arrival))

    assert len(index) == 50
    assert len(table) <= 100
    assert len(json.dumps(table.told())) < 600_000


def test_what_comes_together_more_often_than_chance_gets_a_high_ratio() -> None:
    correlator = Correlator()
    story = a_story()
    for arrival in story:
        correlator.take(arrival)
    end = story[-1].at + 1000
    correlator.index.take(an_arrival("d", end, "DiskFull", "db-1", service="db"))
    correlator.index.take(an_arrival("c", end + 1, "CertExpires", "mail-1", service="mail"))
    slow = an_arrival("l", end + 4, "SlowQueries", "web-1", service="web")

    chances = {fact.earlier.rule: correlator.table.chance(slow, fact) for fact in correlator.index.take(slow)}

    assert chances["DiskFull"].ratio > 5
    assert chances["DiskFull"].ratio > 2 * chances["CertExpires"].ratio
    assert chances["DiskFull"].together > 100
    assert 0 < chance_score(chances["CertExpires"]) < chance_score(chances["DiskFull"]) < 1


def test_the_same_story_told_twice_gives_the_same_groups() -> None:
    first, second = Correlator(), Correlator()

    assert [first.take(arrival) for arrival in a_story()] == [second.take(arrival) for arrival in a_story()]


def test_state_goes_on_after_a_restart_as_though_nothing_had_been() -> None:
    story = a_story()
    through, halted = Correlator(GroupLimits(score_min=0.2)), Correlator(GroupLimits(score_min=0.2))
    for arrival in story[:300]:
        through.take(arrival)
        halted.take(arrival)
    told = json.loads(json.dumps(halted.told()))
    halted = Correlator(GroupLimits(score_min=0.2))
    halted.recall(told)

    assert [through.take(arrival) for arrival in story[300:]] == [halted.take(arrival) for arrival in story[300:]]
    assert through.told() == halted.told()


def test_another_tenant_changes_nothing() -> None:
    """Canary: a second tenant with the same kinds, in between, leaves the first bit by bit as it was."""
    alone, beside, other = Correlator(), Correlator(), Correlator()
    expected = [alone.take(arrival) for arrival in a_story()]
    found = []
    for arrival in a_story():
        found.append(beside.take(arrival))
        other.take(replace(arrival, alert=f"canary-{arrival.alert}", entity="canary"))

    assert found == expected
    assert json.dumps(beside.told()) == json.dumps(alone.told())
    assert "canary" not in json.dumps(beside.told())


def test_evidence_names_what_was_used_and_nothing_else() -> None:
    index = CandidateIndex()
    index.take(an_arrival("a", 0.0, "DiskFull", "db-1", service="db"))
    arrival = an_arrival("b", 8.0, "SlowQueries", "cart-1", service="cart")
    (fact,) = index.take(arrival, hops_between(NEEDS))

    found = evidence_for(
        arrival, fact, Chance(ratio=60.0, together=37, by_chance=1.2, nearness=12.0, relation=3.0)
    )

    texts = {one.kind: one.text for one in found}
    assert texts[EvidenceKind.TOPOLOGY] == "cart and db depend on each other directly"
    assert texts[EvidenceKind.TIME] == "8 s apart"
    assert texts[EvidenceKind.HISTORY] == "seen like this 37 times; chance explains 1.2"
    assert EvidenceKind.TITLE not in texts
    assert sum(one.weight for one in found) == pytest.approx(1)
    assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)


def test_what_was_never_seen_is_no_evidence() -> None:
    index = CandidateIndex()
    index.take(an_arrival("a", 0.0, entity="one"))
    arrival = an_arrival("b", 300.0, entity="two")
    (fact,) = index.take(arrival)

    found = evidence_for(arrival, fact, Chance(ratio=0.5, together=0, by_chance=4.0, nearness=0.4, relation=0.8))

    assert {one.kind for one in found} == {EvidenceKind.TITLE}
    silent = evidence_for(
        replace(arrival, rule="x"), fact._replace(same_rule=False), Chance(0.5, 0, 4.0, 0.4, 0.8)
    )
    assert [(one.kind, one.weight, one.text) for one in silent] == [(EvidenceKind.TIME, 1.0, "5 min apart")]


@given(st.floats(1e-6, 1e6), st.floats(0, 1e4), st.floats(0, 1e4), st.floats(1e-6, 1e4), st.floats(1e-6, 1e4))
def test_evidence_is_never_empty_and_its_shares_come_to_one(
    ratio, together, by_chance, nearness, relation
) -> None:
    index = CandidateIndex()
    index.take(an_arrival("a", 0.0))
    arrival = an_arrival("b", 3.0)
    (fact,) = index.take(arrival)

    found = evidence_for(arrival, fact, Chance(ratio, together, by_chance, nearness, relation))

    assert sum(one.weight for one in found) == pytest.approx(1)
    assert all(one.text for one in found)


def test_an_arrival_joins_the_best_link_and_says_why() -> None:
    groups = Grouping()
    first, second = an_arrival("a"), an_arrival("b", 1.0, entity="two")
    groups.place(first, [])
    groups.place(second, [])
    best = a_link(second, 0.9)

    placement = groups.place(an_arrival("c", 2.0, entity="three"), [a_link(first, 0.6), best])

    assert placement.group == groups.group_of("b")
    assert placement.link is best


def test_a_weak_link_opens_a_group_of_its_own() -> None:
    groups = Grouping()
    first = an_arrival("a")
    groups.place(first, [])

    assert groups.place(an_arrival("b", 1.0), [a_link(first, 0.49)]).link is None
    assert len(groups) == 2


def test_a_closed_group_never_takes_a_new_alert() -> None:
    groups = Grouping()
    first = an_arrival("a")
    closed = groups.place(first, []).group

    assert groups.close(closed) == ("a",)
    placement = groups.place(an_arrival("b", 1.0), [a_link(first, 1.0)])

    assert placement.group != closed
    assert placement.link is None
    assert groups.group(closed) is None


@given(
    st.lists(st.tuples(st.sampled_from(["take", "resolve"]), st.integers(0, 9), st.integers(0, 3)), max_size=60)
)
def test_whatever_happens_resolved_groups_stay_closed(steps) -> None:
    correlator = Correlator(GroupLimits(score_min=0.0, alert_count_max=5, group_count_max=4))
    resolved: set[int] = set()
    opened: set[int] = set()
    for number, (step, rule, entity) in enumerate(steps):
        if step == "take":
            placement = correlator.take(an_arrival(f"a{number}", number * 5.0, f"rule{rule}", f"host{entity}"))
            assert placement.group not in resolved
            opened.add(placement.group)
            group = correlator.groups.group(placement.group)
            assert group is None or len(group.alerts) <= 5
        elif opened:
            chosen = sorted(opened)[rule % len(opened)]
            gone = correlator.resolve(chosen)
            resolved.add(chosen)
            later = an_arrival(f"probe{number}", number * 5.0 + 1, "probe", "probe")
            assert not {link.earlier.alert for link in correlator.links(later)} & set(gone)
        assert len(correlator.groups) <= 4


def test_a_group_has_caps_of_size_and_age() -> None:
    groups = Grouping(GroupLimits(alert_count_max=2, age_seconds_max=100))
    first = an_arrival("a")
    groups.place(first, [])

    assert groups.place(an_arrival("late", 101.0), [a_link(first)]).link is None
    assert groups.place(an_arrival("b", 50.0), [a_link(first)]).link is not None
    assert groups.place(an_arrival("c", 60.0), [a_link(first)]).link is None


def test_a_full_group_gives_way_to_the_next_best_link() -> None:
    groups = Grouping(GroupLimits(alert_count_max=1))
    groups_free = Grouping()
    first, second = an_arrival("a"), an_arrival("b", 1.0, entity="two")
    for one in (groups, groups_free):
        one.place(first, [])
        one.place(second, [])
    groups_free.close(groups_free.group_of("b") or 0)

    placement = groups_free.place(an_arrival("c", 2.0), [a_link(second, 0.9), a_link(first, 0.7)])

    assert placement.group == groups_free.group_of("a")


def test_two_groups_are_joined_when_two_pairs_without_a_common_key_agree() -> None:
    groups = Grouping()
    one, two = an_arrival("a", 0, "r1", "e1"), an_arrival("b", 1, "r2", "e2")
    older, younger = groups.place(one, []).group, groups.place(two, []).group
    third = groups.place(an_arrival("c", 2, "r3", "e3"), [a_link(one, 0.9), a_link(two, 0.8)])
    assert third.merged == ()

    same_key = groups.place(an_arrival("d", 3, "r3", "e3"), [a_link(one, 0.9), a_link(two, 0.8)])
    assert same_key.merged == ()
    four = an_arrival("e", 4, "r4", "e4")
    groups.place(four, [a_link(two, 0.9)])
    agreed = groups.place(an_arrival("f", 5, "r5", "e5"), [a_link(one, 0.9), a_link(four, 0.8)])

    assert agreed.merged == (younger,)
    assert groups.group_of("e") == older
    assert groups.group(younger) is None


def test_people_merge_and_split_and_alerts_are_in_one_group_at_most() -> None:
    groups = Grouping()
    first, second = (groups.place(an_arrival(name, at, entity=name), []).group for at, name in enumerate("ab"))

    assert groups.merge(first, second)
    assert not groups.merge(first, second)
    fresh = groups.split(first, ["b", "unknown"])

    assert fresh is not None
    assert groups.group_of("b") == fresh
    assert groups.split(first, ["a"]) is None
    assert groups.split(99, ["a"]) is None


def test_an_alert_placed_twice_stays_where_it_is() -> None:
    groups = Grouping()
    arrival = an_arrival("a")
    number = groups.place(arrival, []).group

    assert groups.place(arrival, []).group == number
    assert len(groups) == 1


def test_a_scorer_takes_the_tables_place() -> None:
    correlator = Correlator()
    correlator.take(an_arrival("a", 0.0, "r1", "e1"))

    placement = correlator.take(an_arrival("b", 5.0, "r2", "e2"), scorer=lambda _, facts: [0.97] * len(facts))

    assert placement.link is not None
    assert placement.link.score == 0.97
    assert placement.link.evidence


def test_the_root_is_the_earliest_alert_whose_dependencies_are_quiet() -> None:
    web, cart, db = (
        an_arrival("w", 0.0, service="web"),
        an_arrival("c", 5.0, service="cart"),
        an_arrival("d", 9.0, service="db"),
    )

    assert root_alert([web, cart, db], NEEDS) == db
    assert root_alert([web, cart], NEEDS) == cart
    assert root_alert([web, cart, db], {}) == web
    assert root_alert([web, an_arrival("m", -1.0, service="mail"), db], NEEDS) == db
    assert root_alert([web, cart], {"web": ("cart",), "cart": ("web",)}) == web
    assert root_alert([an_arrival("x", 1.0), an_arrival("y", 0.0)], NEEDS) == an_arrival("y", 0.0)
    assert root_alert([], NEEDS) is None


def test_what_a_model_adds_is_evidence_and_what_it_takes_away_is_not() -> None:
    index = CandidateIndex()
    index.take(an_arrival("a", 0.0))
    arrival = an_arrival("b", 3.0, entity="two")
    (fact,) = index.take(arrival)
    chance = Chance(ratio=10.0, together=5, by_chance=1.0, nearness=4.0, relation=2.0)

    sure, doubtful = (evidence_for(arrival, fact, chance, score) for score in (0.99, 0.3))

    assert EvidenceKind.MODEL in {one.kind for one in sure}
    assert EvidenceKind.MODEL not in {one.kind for one in doubtful}
    assert EvidenceKind.MODEL not in {one.kind for one in evidence_for(arrival, fact, chance)}


def test_only_the_strongest_links_are_told() -> None:
    correlator = Correlator()
    for number in range(30):
        correlator.index.take(an_arrival(f"a{number}", float(number), f"rule{number}", f"host{number}"))

    links = correlator.links(
        an_arrival("last", 40.0, "r", "h"), scorer=lambda _, facts: [0.5 + 0.001 * fact.gap for fact in facts]
    )

    assert len(links) == LINK_COUNT_MAX
    assert [link.earlier.alert for link in links] == [f"a{number}" for number in range(LINK_COUNT_MAX)]


# ---------------------------------------------------------------------------------- what people say

HERE, THERE, ELSEWHERE = ("Errors", "api"), ("Slow", "web"), ("Late", "mail")


def test_keys_stay_apart_until_somebody_puts_them_together() -> None:
    apart = Apart()
    apart.keep(HERE, THERE)
    near = [an_arrival("t", rule="Slow", entity="web")]

    assert apart.parts(HERE, near)
    assert apart.parts(THERE, [an_arrival("h", rule="Errors", entity="api")])
    assert not apart.parts(ELSEWHERE, near)
    apart.let(THERE, HERE)
    assert not apart.parts(HERE, near)
    assert len(apart) == 0


def test_what_is_kept_apart_is_bounded_and_comes_back() -> None:
    apart = Apart(pair_count_max=3)
    for number in range(5):
        apart.keep(HERE, ("Slow", f"web-{number}"))
    apart.keep(HERE, HERE)
    assert len(apart) == 3

    again = Apart()
    again.recall(json.loads(json.dumps(apart.told())))

    assert again.told() == apart.told()
    assert not again.parts(HERE, [an_arrival("o", rule="Slow", entity="web-1")]), "the oldest was forgotten"
    assert again.parts(HERE, [an_arrival("n", rule="Slow", entity="web-4")])


def test_what_is_kept_apart_joins_neither_directly_nor_by_way_of_others() -> None:
    groups = Grouping()
    api, web = an_arrival("api", 0.0, "Errors", "api"), an_arrival("web", 9.0, "Slow", "web")
    between = an_arrival("between", 5.0, "Late", "mail")
    groups.apart.keep(("Errors", "api"), ("Slow", "web"))
    groups.place(api, [])
    groups.place(between, [a_link(api)])

    placed = groups.place(web, [a_link(between), a_link(api)])

    assert placed.link is None
    assert groups.group_of("web") != groups.group_of("api") == groups.group_of("between")


def test_alerts_are_moved_and_what_is_empty_closes() -> None:
    groups = Grouping()
    one, two = an_arrival("one", 1.0), an_arrival("two", 2.0, entity="web-2")
    first, second = groups.place(one, []).group, groups.place(two, []).group

    groups.move(one, second)

    assert groups.group(first) is None
    assert groups.group_of("one") == second
    fresh = groups.open([one], 3.0)
    assert (groups.group_of("one"), groups.group_of("two")) == (fresh, second)


def test_groups_are_joined_only_where_that_is_allowed_and_by_links_that_are_good_enough() -> None:
    def told(link_score: float, *, allowed: bool) -> bool:
        groups = Grouping(GroupLimits(merge_score_min=0.8))
        sides = [[an_arrival(f"{side}{n}", float(n), f"{side}{n}", f"{side}{n}") for n in (1, 2)] for side in "ab"]
        for side in sides:
            groups.place(side[0], [])
            groups.place(side[1], [a_link(side[0])])
        for number, side in enumerate(sides):
            other = sides[1 - number][number]
            came = an_arrival(f"c{number}", 5.0 + number, f"c{number}", f"c{number}")
            groups.place(came, [a_link(side[number], 0.95), a_link(other, link_score)], lambda *_: allowed)
        return groups.group_of("a1") == groups.group_of("b1")

    assert told(0.85, allowed=True)
    assert not told(0.85, allowed=False)
    assert not told(0.75, allowed=True)


def test_the_threshold_follows_what_people_say_and_a_word_or_two_move_nothing() -> None:
    threshold = Threshold()
    assert threshold.value == 0.5
    threshold.learn(0.55, together=False)
    assert threshold.value == 0.5
    for _ in range(5):
        threshold.learn(0.66, together=False)
    assert 0.66 < threshold.value <= 0.75
    for _ in range(60):
        threshold.learn(0.42, together=True)
    assert threshold.value <= 0.42
    again = Threshold()
    again.recall(json.loads(json.dumps(threshold.told())))
    assert again.value == threshold.value


def test_what_is_taught_moves_the_table_by_more_than_what_was_seen() -> None:
    table = ChanceTable()
    arrival, earlier = an_arrival(rule="Slow"), an_arrival("e", rule="Errors", entity="api")
    index = CandidateIndex()
    index.take(earlier)
    (fact,) = index.take(replace(arrival, at=3.0))
    before = table.chance(arrival, fact).ratio

    table.teach("Errors", "Slow", fact.relation, gap_bucket(fact.gap), together=True)
    likelier = table.chance(arrival, fact).ratio
    for _ in range(3):
        table.teach("Errors", "Slow", fact.relation, gap_bucket(fact.gap), together=False)

    assert likelier > 3 * before
    assert table.chance(arrival, fact).ratio < before + 0.5


def test_on_the_first_day_what_depends_on_each_other_is_likely_about_one_thing() -> None:
    def score(service: str, gap: float) -> float:
        index, table = CandidateIndex(), ChanceTable(beliefs=DAY_ONE)
        hops = hops_between(NEEDS)
        index.take(an_arrival("d", 0.0, "DiskFull", "db-1", service="db"), hops)
        arrival = an_arrival("x", gap, "Slow", "x-1", service=service)
        (fact,) = index.take(arrival, hops)
        return chance_score(table.chance(arrival, fact))

    assert score("cart", 20.0) >= 0.5
    assert score("web", 8.0) >= 0.5 > score("web", 40.0)
    assert score("mail", 1.0) < 0.2
    assert score("cart", 600.0) < 0.2


def test_given_parts_are_used_though_they_are_empty() -> None:
    index, table = CandidateIndex(key_count_max=3), ChanceTable(entry_count_max=5)
    correlator = Correlator(index=index, table=table)
    assert correlator.index is index
    assert correlator.table is table
