"""What people say of pairs: when a scorer is due, and when it has its say."""

from __future__ import annotations

import orjson

from alertgraph.core.correlation import Arrival, PairFacts, Relation
from alertgraph.core.pair_labels import (
    CONTEST_LENGTH_MIN,
    EXAMPLE_COUNT_MAX,
    LABELS_EACH,
    LABELS_MIN,
    PairExample,
    PairLabels,
)


def an_example(*, together: bool, number: int = 0) -> PairExample:
    earlier = Arrival("", 0.0, "Errors", "")
    fact = PairFacts(earlier, Relation.ONE_HOP, 4.5, False, 1e6, 30.0, 3, 2, 7, 5, 1.0, 0.5, 2.0, 1.5, 12, 400)
    return PairExample("Slow", fact, together, number)


def learned(count: int, *, by_table: float, by_scorer: float | None) -> PairLabels:
    labels = PairLabels()
    for number in range(count):
        together = number % 3 == 0
        said = by_scorer if by_scorer is None or together else 1 - by_scorer
        labels.learn(an_example(together=together, number=number), by_table, said)
    return labels


def test_a_scorer_is_due_with_enough_of_both_answers() -> None:
    assert not learned(LABELS_MIN - 1, by_table=0.5, by_scorer=None).is_fit_due
    assert learned(LABELS_MIN, by_table=0.5, by_scorer=None).is_fit_due
    alike = PairLabels()
    for number in range(2 * LABELS_MIN):
        alike.learn(an_example(together=True, number=number), 0.5, None)
    assert not alike.is_fit_due


def test_another_one_is_due_after_as_many_again() -> None:
    labels = learned(LABELS_MIN, by_table=0.5, by_scorer=None)
    labels.fitted_count = labels.label_count
    for number in range(LABELS_EACH):
        assert not labels.is_fit_due
        labels.learn(an_example(together=number % 2 == 0), 0.5, None)
    assert labels.is_fit_due


def test_the_scorer_has_its_say_only_while_it_does_better() -> None:
    assert not learned(300, by_table=0.5, by_scorer=None).does_win, "nobody has heard it yet"
    assert not learned(CONTEST_LENGTH_MIN - 1, by_table=0.5, by_scorer=0.9).does_win
    labels = learned(CONTEST_LENGTH_MIN, by_table=0.5, by_scorer=0.9)
    assert labels.does_win
    assert not learned(300, by_table=0.5, by_scorer=0.5).does_win, "as good is not better"
    for number in range(100):
        labels.learn(an_example(together=True, number=number), 0.9, 0.001)
    assert not labels.does_win, "it has begun to be wrong"


def test_what_is_kept_is_bounded_and_comes_back() -> None:
    labels = learned(EXAMPLE_COUNT_MAX + 10, by_table=0.4, by_scorer=0.7)
    assert len(labels.examples) == EXAMPLE_COUNT_MAX

    again = PairLabels.recalled(orjson.loads(orjson.dumps(labels.told())))

    assert again.examples == labels.examples
    assert (again.told(), again.does_win) == (labels.told(), labels.does_win)
