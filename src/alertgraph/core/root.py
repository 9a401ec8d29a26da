"""Where trouble comes from: of services that are harmed, those whose harm their dependencies do not explain."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

EXPLAINED_SHARE: Final = 0.25
"""A dependency explains a service's harm from this share of it on: calls fan out, so rarely all of it shows."""
EXPLAINED_WEIGHT: Final = 0.1
"""What of its harm counts for a service that a dependency explains."""
INFERRED_WEIGHT: Final = 0.3
"""What of its harm counts for a service that nothing of its own reports on: others infer it from their calls."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A service that may be the root of trouble.

    Attributes:
        service: Its name.
        unexplained: Its harm, less what its dependencies explain.
        blamed: The dependency that explains most of its harm; None where none explains it.
    """

    service: str
    unexplained: float
    blamed: str | None


def reachable(
    service: str, depends_on: Mapping[str, Collection[str]], hop_count_max: int | None = None
) -> set[str]:
    """Return a service and what it needs, directly or through others, at most so many hops away."""
    seen = {service}
    edge = [service]
    hop_count = 0
    while edge and (hop_count_max is None or hop_count < hop_count_max):
        edge = [needed for name in edge for needed in depends_on.get(name, ()) if needed not in seen]
        seen.update(edge)
        hop_count += 1
    return seen


def suspects(
    harm: Mapping[str, float], depends_on: Mapping[str, Collection[str]], inferred: Collection[str] = ()
) -> tuple[Suspect, ...]:
    """Return the harmed services, the likeliest root first.

    Args:
        harm: How much each service is harmed, in one unit for all: seconds lost, failed calls, alerts. What is
            harmed little counts little, so volume belongs in the unit.
        depends_on: What each service needs to work.
        inferred: Services known only from the calls of others.

    Returns:
        Ordered by unexplained harm, then by name; services without harm are left out.
    """

    def weight(service: str) -> float:
        return INFERRED_WEIGHT if service in inferred else 1.0

    found = []
    for service, amount in harm.items():
        if amount <= 0:
            continue
        needed = [
            (harm.get(name, 0.0) * weight(name), name) for name in depends_on.get(service, ()) if name != service
        ]
        most, blamed = max(needed, default=(0.0, ""))
        explained = most > 0 and most >= EXPLAINED_SHARE * amount
        unexplained = amount * weight(service) * (EXPLAINED_WEIGHT if explained else 1.0)
        found.append(Suspect(service, unexplained, blamed if explained else None))
    return tuple(sorted(found, key=lambda suspect: (-suspect.unexplained, suspect.service)))
