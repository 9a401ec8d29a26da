"""What must hold however good a model is; the benchmark's T10 tells of the same drills."""

from __future__ import annotations

from collections.abc import Callable

import pytest

np = pytest.importorskip("numpy", reason="the extra ml is not installed")
pytest.importorskip("torch", reason="the extra ml is not installed")
pytest.importorskip("sklearn", reason="the extra ml is not installed")

from alertgraph.core.learning import Example, Outcome  # noqa: E402
from alertgraph.ml import live  # noqa: E402
from alertgraph.ml.artifact import LICENCES_GIVEN_ON, ArtifactError, read_artifact  # noqa: E402
from alertgraph.ml.evaluation import drills  # noqa: E402
from alertgraph.ml.evaluation.made_log import World, made_log  # noqa: E402
from alertgraph.ml.serving import LiveHost, read_host  # noqa: E402
from alertgraph.ml.train.candidate import TooFewExamplesError, as_rows, train_candidate  # noqa: E402


@pytest.fixture(scope="module")
def host() -> LiveHost:
    return read_host(drills.BUNDLED)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "drill",
    [
        drills.token_is_silent,
        drills.token_is_not_kept,
        drills.better_is_promoted,
        drills.worse_is_not_promoted,
        drills.worse_is_put_back,
        drills.kill_is_nothing,
        drills.candidate_is_the_same,
        drills.spoilt_is_taken_out,
    ],
    ids=lambda drill: drill.__name__,
)
def test_drill_holds(drill: Callable[[LiveHost], float], host: LiveHost) -> None:
    assert drill(host) == 1.0


def test_the_bundled_version_may_be_given_on_and_is_of_todays_features() -> None:
    artifact = read_artifact(drills.BUNDLED, live.SCHEMA)

    artifact.check_given_on()
    assert {source.licence for source in artifact.manifest.sources} <= LICENCES_GIVEN_ON
    assert artifact.manifest.name == "torch_v1"
    assert artifact.manifest.evaluation["incident AUROC"] > 0.8
    assert drills.BUNDLED.stat().st_size < 1_000_000


def test_a_tenants_own_version_is_never_given_on(host: LiveHost) -> None:
    tenant = drills.Tenant(host)
    tenant.take(list(made_log(World(seed=2), 400)))

    with pytest.raises(ArtifactError, match="cannot be given on"):
        train_candidate(host.bundled, tenant.examples).check_given_on()


def test_a_handful_of_examples_makes_no_version(host: LiveHost) -> None:
    with pytest.raises(TooFewExamplesError, match="0 examples"):
        train_candidate(host.bundled, [])


def test_examples_of_another_release_are_left_out(host: LiveHost) -> None:
    tenant = drills.Tenant(host)
    tenant.take(list(made_log(World(seed=2), 60)))
    strange = Example(tenant.examples[0].triggered_at, b"of another release", tenant.examples[0].outcome)

    rows, used = as_rows([strange, *tenant.examples])

    assert used == tenant.examples
    assert len(rows) == len(used)


def test_who_was_never_acknowledged_waited_until_its_end() -> None:
    tenant = drills.Tenant(read_host(drills.BUNDLED))
    tenant.take(list(made_log(World(seed=2), 60)))
    example = tenant.examples[0]
    told = example.outcome
    quiet = Outcome(told.alert_id, False, False, True, None, 7_200.0, told.matured_at)
    still = Outcome(told.alert_id, True, False, False, 60.0, None, told.matured_at)

    rows, _ = as_rows([Example(example.triggered_at, example.features, one) for one in (quiet, still)])

    assert rows.hours.tolist() == [[2.0, 2.0], [pytest.approx(1 / 60), 168.0]]
    assert rows.ended.tolist() == [[False, True], [True, False]]
