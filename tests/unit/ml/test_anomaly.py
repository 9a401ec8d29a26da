"""What a bank of series promises: bounded memory, the same state after a restart, and rows that are strangers."""

import subprocess
import sys

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.ml.anomaly import BankSettings, PointStatus, Reason, SeriesBank, Verdicts  # noqa: E402

DAY = 86_400
STEP = 300
SMALL = BankSettings(
    ring_count=200,
    reservoir_count=16,
    neighbour_count=3,
    window_min=16,
    window_fixed=32,
    lag_max=100,
    warmup_count=40,
)


def a_day(count: int, seed: int = 0, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Times and values of a series that goes up and down once a day, with a little noise."""
    at = (np.arange(start, start + count) * STEP).astype(np.int64)
    noise = np.random.default_rng(seed).normal(size=count)
    return at, 100 + 20 * np.sin(2 * np.pi * at / DAY) + noise


def fed(bank: SeriesBank, name: str, at: np.ndarray, values: np.ndarray) -> Verdicts:
    return bank.observe([name] * len(at), at, values)


def same(first: Verdicts, second: Verdicts) -> bool:
    return all(
        np.array_equal(getattr(first, field), getattr(second, field), equal_nan=field in FLOATS)
        for field in ("status", "score", "level", "tail", "reason", "began", "ended", "expected")
    )


FLOATS = {"score", "level", "tail", "expected"}


def test_a_spike_begins_an_event_and_ordinary_days_do_not() -> None:
    at, values = a_day(2000)
    values[1500:1506] += 90
    bank = SeriesBank()

    verdicts = fed(bank, "cpu", at, values)

    assert np.flatnonzero(verdicts.began).tolist()[0] == 1500
    assert int(verdicts.reason[1500]) == Reason.SEASON
    assert verdicts.tail[1500] < 0.001
    assert verdicts.score[1500] > 5 * np.median(verdicts.score[1000:1500])
    assert not verdicts.began[:1500].any()


def test_a_day_that_stays_flat_is_found_by_its_shape() -> None:
    at, values = a_day(288 * 14)
    flat = slice(288 * 10, 288 * 11)
    values[flat] = 100 + np.random.default_rng(1).normal(size=288)
    verdicts = fed(SeriesBank(), "requests", at, values)

    within = verdicts.level[288 * 10 : 288 * 11 + 128]

    assert within.max() > verdicts.level[288 * 5 : 288 * 10].max()
    assert verdicts.began[288 * 10 : 288 * 11 + 128].any()


def test_what_is_expected_is_what_is_usual_at_that_hour() -> None:
    at, values = a_day(288 * 15)

    verdicts = fed(SeriesBank(), "cpu", at, values)

    # The hour's mean moves by at most 2π/24·20 within it.
    assert np.abs(verdicts.expected[-288:] - values[-288:]).mean() < 4


def test_no_event_begins_while_warming_up() -> None:
    at, values = a_day(SMALL.warmup_count + 60)
    values[30] += 1000
    values[SMALL.warmup_count + 50] += 5000
    bank = SeriesBank(SMALL)

    verdicts = fed(bank, "cpu", at, values)

    assert verdicts.status[30] == PointStatus.WARMING
    assert np.isfinite(verdicts.score[30])
    assert not verdicts.began[: SMALL.warmup_count - 1].any()
    assert verdicts.status[-1] == PointStatus.SCORED
    assert verdicts.began[SMALL.warmup_count + 50]


def test_points_that_are_no_numbers_leave_no_trace() -> None:
    at, values = a_day(300)
    plain, disturbed = SeriesBank(SMALL), SeriesBank(SMALL)
    fed(plain, "cpu", at, values)
    odd = np.array([np.nan, np.inf, -np.inf, 1e300])

    for place in range(300):
        verdicts = disturbed.observe(["cpu"], at[place : place + 1], values[place : place + 1])
        assert verdicts.status[0] in (PointStatus.SCORED, PointStatus.WARMING)
        refused = disturbed.observe(["cpu"] * 4, np.full(4, at[place] + 1), odd)
        assert refused.status.tolist() == [PointStatus.INVALID] * 4

    assert disturbed.dump() == plain.dump()


def test_points_given_twice_or_too_late_are_told_and_left_out() -> None:
    at, values = a_day(50)
    bank, other = SeriesBank(SMALL), SeriesBank(SMALL)
    fed(bank, "cpu", at, values)
    fed(other, "cpu", at, values)

    verdicts = bank.observe(["cpu", "cpu"], np.array([at[-1], at[-1] - 1]), np.array([1.0, 1.0]))

    assert verdicts.status.tolist() == [PointStatus.DUPLICATE, PointStatus.LATE]
    assert np.isnan(verdicts.score).all()
    assert bank.dump() == other.dump()


def test_after_a_long_silence_the_windows_begin_afresh() -> None:
    at, values = a_day(400)
    bank = SeriesBank(SMALL)
    fed(bank, "cpu", at, values)
    later = at[-1] + 30 * DAY + np.arange(1, 41) * STEP

    verdicts = fed(bank, "cpu", later, np.full(40, 500.0))

    # A window that is half from before the silence would be like nothing seen, for no reason.
    assert (verdicts.reason[:15] == Reason.SEASON).all()
    assert bank.dump() == SeriesBank.load(bank.dump()).dump()


def test_a_series_that_never_moves_never_alarms_and_its_first_move_does() -> None:
    bank = SeriesBank(SMALL)
    at, _ = a_day(500)

    still = fed(bank, "flat", at, np.full(500, 7.0))
    moved = bank.observe(["flat"], np.array([at[-1] + STEP]), np.array([7.5]))

    assert not still.began.any()
    assert np.isfinite(still.score).all()
    assert moved.began[0]


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e12, 1e15])
def test_values_far_from_zero_are_judged_as_those_near_it(offset: float) -> None:
    at, values = a_day(600)
    whole = np.round(values * 8) / 8  # Exact beside any of the offsets.
    near, far = SeriesBank(SMALL), SeriesBank(SMALL)

    here, there = fed(near, "x", at, whole), fed(far, "x", at, whole + offset)

    assert np.allclose(here.score, there.score, rtol=1e-6)
    assert here.began.tolist() == there.began.tolist()


def test_state_goes_on_after_a_restart_as_though_nothing_had_been() -> None:
    names = ["a", "b", "c"]
    streams = {name: a_day(700, seed) for seed, name in enumerate(names)}
    through, halted = SeriesBank(SMALL), SeriesBank(SMALL)
    for name in names:
        at, values = streams[name]
        fed(through, name, at[:350], values[:350])
        fed(halted, name, at[:350], values[:350])

    halted = SeriesBank.load(halted.dump())

    for name in reversed(names):
        at, values = streams[name]
        assert same(fed(through, name, at[350:], values[350:]), fed(halted, name, at[350:], values[350:]))
    assert through.dump() == halted.dump()


def test_one_series_can_be_carried_over_alone() -> None:
    at, values = a_day(200)
    bank = SeriesBank(SMALL)
    for name in ("a", "b"):
        fed(bank, name, at, values)

    alone = SeriesBank.load(bank.dump(["b", "unknown"]))

    assert "b" in alone
    assert len(alone) == 1
    more = a_day(20, start=200)
    assert same(fed(alone, "b", *more), fed(bank, "b", *more))


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: b"XXXX" + data[4:], lambda data: data[:-1]])
def test_bytes_that_are_no_state_are_refused(spoil) -> None:
    bank = SeriesBank(SMALL)
    fed(bank, "a", *a_day(10))

    with pytest.raises(ValueError, match="state of series"):
        SeriesBank.load(spoil(bank.dump()))


def test_what_others_send_changes_not_one_bit() -> None:
    """Canary: the same series alone, and among strangers that come and go, in other batches and other rows."""
    at, values = a_day(500)
    alone = SeriesBank(SMALL)
    expected = [fed(alone, "tenant-a/cpu", at[part : part + 1], values[part : part + 1]) for part in range(500)]
    shared = SeriesBank(SMALL)
    draw = np.random.default_rng(5)
    for stranger in range(9):
        fed(shared, f"tenant-b/{stranger}", *a_day(50 + stranger, seed=stranger))

    for place in range(500):
        before = [f"tenant-b/{index}" for index in draw.integers(0, 40, 7)]
        after = [f"tenant-c/canary-{index}" for index in draw.integers(0, 40, draw.integers(0, 70))]
        names = [*before, "tenant-a/cpu", *after]
        moments = np.full(len(names), at[place] + 10**9)
        moments[7] = at[place]
        measured = draw.normal(size=len(names)) * 1e9
        measured[7] = values[place]
        verdicts = shared.observe(names, moments, measured)
        one = Verdicts(*(getattr(verdicts, field)[7:8] for field in Verdicts.__slots__))
        assert same(one, expected[place])

    assert shared.dump(["tenant-a/cpu"]) == alone.dump()


def test_memory_has_a_bound_and_the_longest_silent_gives_way() -> None:
    bank = SeriesBank(
        BankSettings(series_max=8, ring_count=200, reservoir_count=8, lag_max=100, window_fixed=32, window_min=16)
    )
    bank.observe([f"s{place}" for place in range(8)], np.arange(8) * 10, np.arange(8.0))
    full = bank.memory_bytes

    for place in range(8, 200):
        bank.observe([f"s{place}"], np.array([place * 10]), np.array([1.0]))

    assert len(bank) == 8
    assert "s0" not in bank
    assert "s199" in bank
    assert "s192" in bank
    assert bank.memory_bytes <= 2 * full


def test_a_batch_with_more_series_than_rows_is_taken_in_parts() -> None:
    bank = SeriesBank(
        BankSettings(series_max=4, ring_count=200, reservoir_count=8, lag_max=100, window_fixed=32, window_min=16)
    )

    verdicts = bank.observe([f"s{place}" for place in range(10)], np.arange(10), np.ones(10))

    assert (verdicts.status == PointStatus.WARMING).all()
    assert len(bank) == 4


def test_one_batch_is_as_good_as_many() -> None:
    at, values = a_day(300)
    one, many = SeriesBank(SMALL), SeriesBank(SMALL)

    whole = fed(one, "a", at, values)
    parts = [fed(many, "a", at[place : place + 1], values[place : place + 1]) for place in range(300)]

    assert whole.score.tolist() == [float(part.score[0]) for part in parts]
    assert one.dump() == many.dump()


def test_the_work_of_a_round_does_not_grow_with_the_past() -> None:
    """Speed without a clock: a batch of series is one round of whole arrays, however many series it holds."""
    bank = SeriesBank(SMALL)
    rounds = []
    original = bank._step
    bank._step = lambda rows, *rest: (rounds.append(len(rows)), original(rows, *rest))  # type: ignore[method-assign]

    bank.observe([f"s{place}" for place in range(500)], np.zeros(500, np.int64), np.ones(500))

    assert rounds == [500]


@pytest.mark.parametrize(
    "settings",
    [
        {"ring_count": 100},
        {"window_min": 4},
        {"window_fixed": 4},
        {"neighbour_count": 0},
        {"neighbour_count": 500},
    ],
)
def test_settings_that_cannot_work_are_refused(settings) -> None:
    with pytest.raises(ValueError, match=r"ring_count|window|neighbour"):
        BankSettings(**settings)


def test_events_keep_their_distance_and_end() -> None:
    """Hysteresis: one event for a long disturbance, an end after it, a rest before the next."""
    draw = np.random.default_rng(3)
    at, values = a_day(4000)
    for start in draw.integers(1000, 3900, 12):
        values[start : start + 10] += draw.normal() * 100
    verdicts = fed(SeriesBank(), "cpu", at, values)

    began, ended = np.flatnonzero(verdicts.began), np.flatnonzero(verdicts.ended)

    assert len(began) > 1
    assert np.diff(began).min() > BankSettings().refractory_count
    marks = sorted([(place, "began") for place in began] + [(place, "ended") for place in ended])
    assert [kind for _, kind in marks] == ["began", "ended"] * len(ended) + ["began"] * (len(began) - len(ended))
    for place in ended:
        quiet = verdicts.level[place - BankSettings().quiet_count + 1 : place + 1]
        assert (quiet < BankSettings().quiet_level).all()
    assert (verdicts.level[began] >= 1).all()


def test_whoever_scores_metrics_loads_no_torch() -> None:
    program = "import sys, alertgraph.ml.anomaly; print('torch' in sys.modules, 'sklearn' in sys.modules)"

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert told.stdout.split() == ["False", "False"]
