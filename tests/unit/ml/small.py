"""A small world of alerts whose outcome follows a rule, for tests of what learns."""

from __future__ import annotations

import numpy as np

from alertgraph.ml.features import FeatureSchema, Observation

SALT = bytes(range(16))
OTHER_SALT = bytes(range(16, 32))
SCHEMA = FeatureSchema(
    fields=("service", "kind", "severity", "team"),
    shared=("severity",),
    crosses=(("service", "kind"),),
    groups=((), ("service",), ("kind",), ("service", "kind")),
    half_lives=(300.0, 3_600.0),
    outcomes=("late", "breach"),
    numbers=("size",),
    kind_windows=(300.0,),
    neighbour_window=900.0,
    kind_count=4,
    token_count=3,
    bucket_count=256,
    key_count_max=64,
)


def seen(
    at: float = 0.0,
    service: str = "shop",
    kind: str = "slow",
    severity: str = "high",
    text: tuple[str, ...] = (),
    neighbours: tuple[str, ...] = (),
    size: float = 0.0,
) -> Observation:
    """Return an alert; what a test is not about is filled in."""
    return Observation(at, service, kind, {"severity": severity, "team": "a"}, {"size": size}, text, neighbours)


def stream(count: int, seed: int = 1, start: float = 0.0) -> list[Observation]:
    """Return alerts of a few services and kinds, some tens of seconds apart."""
    draw = np.random.default_rng(seed)
    at = start + np.cumsum(draw.exponential(40.0, count))
    return [
        seen(
            float(at[place]),
            f"service-{draw.integers(6)}",
            f"kind-{draw.integers(5)}",
            ("low", "high")[draw.integers(2)],
            ("disk", "full")[: int(draw.integers(3))],
            (f"service-{draw.integers(6)}",),
            float(draw.normal()),
        )
        for place in range(count)
    ]
