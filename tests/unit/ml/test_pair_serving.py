"""Scorers of pairs as a service has them."""

from __future__ import annotations

import random

import pytest

from alertgraph.core.correlation import Arrival, PairFacts, Relation
from alertgraph.core.learning import ForeignStateError
from alertgraph.core.pair_labels import PairExample

pytest.importorskip("torch")

from alertgraph.ml.pair_serving import TorchPairScorers  # needs torch


def a_fact(gap: float, relation: Relation, rule: str = "Errors") -> PairFacts:
    earlier = Arrival("e", 0.0, rule, "x")
    return PairFacts(earlier, relation, gap, False, 1e6, 30.0, 3, 2, 7, 5, 1.0, 0.5, 2.0, 1.5, 12, 400)


def examples(count: int = 240) -> list[PairExample]:
    """Pairs that belong together where they are a hop apart, however long ago."""
    dice = random.Random(3)
    found = []
    for number in range(count):
        near = dice.random() < 0.5
        fact = a_fact(dice.choice([1.0, 20.0, 200.0]), Relation.ONE_HOP if near else Relation.ELSEWHERE)
        found.append(PairExample("Slow", fact, near, number))
    return found


def test_a_scorer_learns_what_people_say_and_comes_back_from_its_text() -> None:
    scorers = TorchPairScorers()
    fitted = scorers.fit(examples())
    score = scorers.load(fitted)
    arrival = Arrival("a", 9.0, "Slow", "y")

    together, apart = score(arrival, [a_fact(200.0, Relation.ONE_HOP), a_fact(1.0, Relation.ELSEWHERE)])

    assert together > 0.8 > 0.2 > apart
    assert score(arrival, []) == ()
    assert scorers.load(fitted)(arrival, [a_fact(5.0, Relation.ONE_HOP)]) == score(
        arrival, [a_fact(5.0, Relation.ONE_HOP)]
    )
    assert scorers.fit(examples()) == fitted, "the same examples make the same scorer"


@pytest.mark.parametrize("text", ["", "!", "AAAA", "UEsDBAoAAAAAAA=="])
def test_what_is_no_scorer_is_refused(text: str) -> None:
    with pytest.raises(ForeignStateError):
        TorchPairScorers().load(text)
