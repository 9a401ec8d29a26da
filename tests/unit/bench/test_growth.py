"""What is called flat, linear, light and bounded."""

from __future__ import annotations

import pytest

from bench.growth import Step, bounded, flat, light, linear


def _steps(*resident_mib: float) -> list[Step]:
    return [Step(number * 100, mib, {}) for number, mib in enumerate(resident_mib)]


@pytest.mark.parametrize(("large", "holds"), [(4.0, True), (5.9, True), (6.1, False)])
def test_flat_is_the_largest_size_against_the_smallest(large: float, holds: bool) -> None:
    # A round in which the machine was busy was so for both.
    verdict = flat("single create", {10_000: [4.0, 5.0, 90.0], 100_000: [50.0], 1_000_000: [large, large, 900.0]})

    assert verdict.holds is holds
    assert verdict.value == pytest.approx(sorted((large / 4.0, large / 5.0, 10.0))[1], rel=0.01)


def test_linear_is_a_power_of_one_at_most() -> None:
    assert linear({100: [0.010], 1000: [0.100]}).value == pytest.approx(1.0)
    assert linear({100: [0.010], 1000: [0.050]}).holds
    assert not linear({100: [0.010], 1000: [0.200]}).holds


def test_light_looks_at_most_sockets() -> None:
    assert light({100: [40.0], 3000: [19.9]}).holds
    assert not light({100: [10.0], 3000: [20.1]}).holds


def test_memory_that_has_stopped_growing_is_bounded() -> None:
    assert bounded(_steps(100, 150, 180, 181, 182)).holds
    assert bounded(_steps(100, 150, 180, 175, 170)).value == 0


def test_memory_that_grows_on_is_not_bounded() -> None:
    assert not bounded(_steps(100, 110, 120, 130, 140)).holds


def test_memory_that_never_grew_is_bounded() -> None:
    assert bounded(_steps(100, 100, 100, 99, 99)).holds
