import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy", reason="the extra ml is not installed")

from alertgraph.ml.anomaly import BankSettings, PointStatus, SeriesBank  # noqa: E402

SMALL = BankSettings(
    series_max=6,
    ring_count=64,
    reservoir_count=4,
    neighbour_count=2,
    window_min=8,
    window_fixed=16,
    lag_max=40,
    warmup_count=20,
    refractory_count=5,
)
POINTS = st.lists(
    st.tuples(
        st.sampled_from("abcdefgh"),
        st.integers(0, 5000),
        st.one_of(
            st.floats(-1e6, 1e6),
            st.floats(allow_nan=True, allow_infinity=True),
            st.sampled_from([0.0, 1e18, -1e18, 5e-324, 1.0]),
        ),
    ),
    max_size=80,
)


def given_to(bank: SeriesBank, points):
    names = [name for name, _, _ in points]
    at = np.array([moment for _, moment, _ in points], np.int64)
    values = np.array([value for _, _, value in points], np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return bank.observe(names, at, values)


@settings(deadline=None)
@given(POINTS)
def test_whatever_comes_every_point_gets_a_verdict(points) -> None:
    bank = SeriesBank(SMALL)

    verdicts = given_to(bank, points)

    scored = np.isin(verdicts.status, (PointStatus.SCORED, PointStatus.WARMING))
    assert np.isfinite(verdicts.score[scored]).all()
    assert np.isnan(verdicts.score[~scored]).all()
    assert ((verdicts.tail[scored] >= 0) & (verdicts.tail[scored] <= 1)).all()
    assert (verdicts.score[scored] >= 0).all()
    assert not (verdicts.began & verdicts.ended).any()
    assert not verdicts.began[verdicts.status != PointStatus.SCORED].any()
    assert len(bank) <= SMALL.series_max


@settings(deadline=None)
@given(POINTS, POINTS)
def test_a_restart_in_between_changes_nothing(before, after) -> None:
    through = SeriesBank(SMALL)
    given_to(through, before)
    halted = SeriesBank.load(through.dump())

    one, other = given_to(through, after), given_to(halted, after)

    assert np.array_equal(one.score, other.score, equal_nan=True)
    assert np.array_equal(one.began, other.began)
    assert through.dump() == halted.dump()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(150, 400))
def test_events_alternate_and_keep_their_distance(seed, count) -> None:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=count)
    values[draw.integers(0, count, 10)] += draw.normal(size=10) * 50

    verdicts = given_to(SeriesBank(SMALL), [("a", 60 * place, value) for place, value in enumerate(values)])

    began, ended = np.flatnonzero(verdicts.began), np.flatnonzero(verdicts.ended)
    assert (np.diff(began) > SMALL.refractory_count).all()
    assert len(began) - len(ended) in (0, 1)
    assert (began[: len(ended)] < ended).all()
    assert (ended[: len(began) - 1] <= began[1 : len(ended) + 1]).all()
    assert (verdicts.level[began] >= 1).all()
