"""Things watched, and what each of them needs to work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from alertgraph.core.alert import NAME_LENGTH_MAX, check_text
from alertgraph.core.errors import ErrorCode, InputError, Problem, RefusedError
from alertgraph.core.event import FieldChange
from alertgraph.core.severity import Severity

SUBJECT_TYPE: Final = "ServiceDependencies"

CALL_COUNT_MAX: Final = 1000
"""Services that one call names."""
NEED_COUNT_MAX: Final = 100
"""What one service may depend on."""
SERVICE_COUNT_MAX: Final = 5000
"""Services of a tenant that depend on something."""
DEPENDENCY_COUNT_MAX: Final = 20_000
"""Dependencies of a tenant."""

_PROBLEM_COUNT_MAX = 20

Dependencies = Mapping[str, tuple[str, ...]]
"""What each service needs, by name and in order of names; one that needs nothing is absent."""


@dataclass(frozen=True, slots=True)
class MonitoredService:
    """A thing watched, as it stands.

    Attributes:
        name: As alerts and dependencies name it.
        open_alert_count: How many open alerts name it.
        worst: Severity of the worst of them; None where there is none.
    """

    name: str
    open_alert_count: int = 0
    worst: Severity | None = None


def check_dependencies(named: Sequence[tuple[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    """Return what a call says of services, each once, and what it needs each once and in order.

    Raises:
        RefusedError: A name can't be used, a service is named twice or needs itself, or there are too many.
    """
    if len(named) > CALL_COUNT_MAX:
        raise InputError(
            f"dependencies has at most {CALL_COUNT_MAX:,} entries; this has {len(named):,}.", "dependencies"
        )
    found: dict[str, tuple[str, ...]] = {}
    problems: list[Problem] = []
    for place, (service, needs) in enumerate(named):
        path = ("dependencies", str(place))
        problems += _faults(service, *path, "service")
        if service in found:
            problems.append(_refusal(f"{service} is named twice.", *path, "service"))
        if len(needs) > NEED_COUNT_MAX:
            message = f"dependsOn has at most {NEED_COUNT_MAX} entries; this has {len(needs):,}."
            problems.append(_refusal(message, *path, "dependsOn"))
        for index, need in enumerate(needs[:NEED_COUNT_MAX]):
            problems += _faults(need, *path, "dependsOn", str(index))
            if need == service:
                problems.append(_refusal("A service does not depend on itself.", *path, "dependsOn", str(index)))
        if len(problems) >= _PROBLEM_COUNT_MAX:
            break
        found[service] = tuple(sorted(set(needs)))
    if problems:
        raise RefusedError(problems[:_PROBLEM_COUNT_MAX])
    return found


def changed_dependencies(before: Dependencies, said: Dependencies, *, replace_all: bool) -> Dependencies:
    """Return the services whose dependencies change, with what they need afterwards, which may be nothing.

    Args:
        before: As they are.
        said: What somebody says of some services.
        replace_all: Whether the others need nothing any more.

    Raises:
        RefusedError: There would be too many.
    """
    changed = {service: needs for service, needs in said.items() if before.get(service, ()) != needs}
    if replace_all:
        changed.update((service, ()) for service in before if service not in said)
    after = with_changes(before, changed)
    for count, bound, what in (
        (len(after), SERVICE_COUNT_MAX, "services that depend on others"),
        (dependency_count(after), DEPENDENCY_COUNT_MAX, "dependencies"),
    ):
        if count > bound:
            message = f"A tenant has at most {bound:,} {what}; this makes {count:,}."
            raise RefusedError([Problem(ErrorCode.LIMIT_REACHED, message, ("dependencies",))])
    return changed


def told_dependencies(dependencies: Dependencies, services: Iterable[str]) -> dict[str, list[str] | None]:
    """Return what the log says of services, in order of names; None of one that needs nothing."""
    return {service: list(dependencies.get(service, ())) or None for service in sorted(services)}


def with_changes(before: Dependencies, changed: Dependencies) -> dict[str, tuple[str, ...]]:
    """Return dependencies after some have changed."""
    after = {**before, **changed}
    return {service: needs for service, needs in after.items() if needs}


def dependency_count(dependencies: Dependencies) -> int:
    """Return how many dependencies there are."""
    return sum(map(len, dependencies.values()))


def read_changes(changes: Sequence[FieldChange]) -> dict[str, tuple[str, ...]]:
    """Return what services need after a change of which the log has told."""
    return {change.field: tuple(change.after or ()) for change in changes}


def _faults(name: str, *path: str) -> list[Problem]:
    faults = check_text(name, path[-1], NAME_LENGTH_MAX, length_min=1, one_line=True)
    return [Problem(fault.code, fault.message, path) for fault in faults]


def _refusal(message: str, *path: str) -> Problem:
    return Problem(ErrorCode.INVALID_INPUT, message, path)
