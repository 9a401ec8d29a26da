"""Groups of series: what they say of troubles as people know them, and that they go on where they stood."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.core.anomaly import LEVEL_FLOOR, AnomalyEvent, AnomalyRule, Turn, follow  # noqa: E402
from alertgraph.core.ids import AnomalyRuleId  # noqa: E402
from alertgraph.ml.anomaly import SeriesBank  # noqa: E402
from alertgraph.ml.series import SERIES_MAX, BankShard, BankShards  # noqa: E402

START = 1_795_000_000
RULE = AnomalyRule(AnomalyRuleId(UUID(int=1)), "r")


def told(values: np.ndarray, step: int = 15, chunk: int = 7) -> list[tuple[int, Turn]]:
    """Return what is told of a series whose points come in small groups, each with the place of its point."""
    shard = BankShards().new()
    event: AnomalyEvent | None = None
    found = []
    for start in range(0, len(values), chunk):
        part = values[start : start + chunk].tolist()
        at = [START + step * (start + index) for index in range(len(part))]
        followed = {"s"} if event is not None else set()
        for index, verdict in shard.observe(["s"] * len(part), at, part, followed, LEVEL_FLOOR).verdicts:
            assert verdict.at == datetime.fromtimestamp(at[index], UTC)
            event, turn = follow(event, verdict, RULE, verdict.at)
            if turn is not Turn.NONE:
                found.append((start + index, turn))
    return found


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.asarray(10 + np.random.default_rng(seed).normal(size=count))


def test_a_spike_is_told_and_soon_over() -> None:
    values = noise(600)
    values[400] = 60

    [(begin, raised), (end, ended)] = told(values)

    assert (begin, raised, ended) == (400, Turn.RAISE, Turn.END)
    assert end <= 412


@pytest.mark.parametrize("height", [20.0, 60.0, 500.0])
def test_a_trouble_that_lasts_is_one_event_as_long_as_it_lasts(height: float) -> None:
    values = noise(600)
    values[400:460] += height

    turns = told(values)

    assert turns[0] == (400, Turn.RAISE)
    assert [turn for _, turn in turns] == [Turn.RAISE, Turn.END]
    assert 460 <= turns[1][0] <= 475


def test_a_new_level_is_usual_in_the_long_run() -> None:
    values = noise(4000)
    values[400:] += 40

    turns = told(values)

    assert [turn for _, turn in turns] == [Turn.RAISE, Turn.END]


@pytest.mark.parametrize("seed", range(5))
def test_of_noise_nothing_is_told(seed: int) -> None:
    assert told(noise(3000, seed)) == []


def test_a_line_that_never_moves_is_told_of_its_first_move_and_only_of_that() -> None:
    values = np.full(600, 5.0)
    values[500] = 6.0

    assert told(values)[0] == (500, Turn.RAISE)
    assert told(np.full(600, 0.0)) == []


def test_a_group_goes_on_where_it_stood() -> None:
    shards = BankShards()
    whole, halved = shards.new(), shards.new()
    texts = [f"s{number}" for number in range(20)]
    dice = np.random.default_rng(3)
    for turn in range(300):
        at, values = [START + 15 * turn] * 20, dice.normal(size=20).tolist()
        if turn % 50 == 25:
            halved = shards.load(halved.state())
        first = whole.observe(texts, at, values, {"s1"}, LEVEL_FLOOR)
        assert repr(halved.observe(texts, at, values, {"s1"}, LEVEL_FLOOR)) == repr(first)
    assert whole.state() == halved.state()


def test_a_part_of_a_group_is_what_it_was_in_it() -> None:
    shard = BankShards().new()
    for turn in range(50):
        shard.observe(["a", "b"], [START + turn] * 2, [1.0 + turn % 7, 2.0], (), LEVEL_FLOOR)
    part = shard.only({"a"})

    assert part.state() == shard.only({"a"}).state()
    assert len(part.state()) < len(shard.state())
    for each in (part, shard):
        assert each.observe(["a"], [START + 50], [2.0], {"a"}, LEVEL_FLOOR).counts[1] == 1


def test_what_is_no_state_of_ours_is_refused() -> None:
    for state in (b"", b"x" * 100, SeriesBank().dump()):
        with pytest.raises(ValueError, match="state of series"):
            BankShards().load(state)


def test_memory_is_bounded_for_each_series() -> None:
    shard = BankShards().new()
    texts = [f"s{number}" for number in range(SERIES_MAX)]
    for turn in range(3):
        shard.observe(texts, [START + turn] * SERIES_MAX, [1.0] * SERIES_MAX, (), LEVEL_FLOOR)

    assert isinstance(shard, BankShard)
    assert shard.memory_bytes / SERIES_MAX < 27_500


def test_what_is_left_out_is_counted() -> None:
    shard = BankShards().new()

    judged = shard.observe(["s"] * 5, [5, 5, 4, 6, 7], [1.0, 1.0, 1.0, 1e19, 1.0], {"s"}, LEVEL_FLOOR)

    assert list(judged.counts) == [0, 2, 1, 1, 1]
    assert [index for index, _ in judged.verdicts] == [0, 4]
