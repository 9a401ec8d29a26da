"""What people can want of incidents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from alertgraph.core.action import Unset
from alertgraph.core.ids import AlertId, IncidentId

# Notes are ciphertext here, as those of actions on alerts are.


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """Opens an incident of alerts chosen by hand; each leaves the incident it was in."""

    id: IncidentId
    title: str
    alert_ids: tuple[AlertId, ...]


@dataclass(frozen=True, slots=True)
class UpdateIncident:
    """A patch of an incident, open or resolved."""

    id: IncidentId
    title: str | Unset = Unset.UNSET
    root_alert_id: AlertId | Unset | None = Unset.UNSET
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class AddAlerts:
    """Adds alerts to an incident that is not resolved; each leaves the incident it was in."""

    id: IncidentId
    alert_ids: tuple[AlertId, ...]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class MergeIncidents:
    """Moves alerts of other incidents into one; an incident of which these were all ends in it.

    Attributes:
        alert_ids: As many as go in one flush, of any of the incidents.
        complete: The versions at which incidents had no other alerts than these.
    """

    into_id: IncidentId
    incident_ids: tuple[IncidentId, ...]
    alert_ids: tuple[AlertId, ...]
    complete: Mapping[IncidentId, int]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class SplitIncident:
    """Moves alerts of an incident to a new one."""

    id: IncidentId
    new_id: IncidentId
    alert_ids: tuple[AlertId, ...]
    note: str | None = None


IncidentAction: TypeAlias = OpenIncident | UpdateIncident | AddAlerts | MergeIncidents | SplitIncident


def incidents_named(action: IncidentAction) -> tuple[IncidentId, ...]:
    """Return the incidents that an action names and that may be there."""
    match action:
        case OpenIncident():
            return ()
        case MergeIncidents():
            return (action.into_id, *action.incident_ids)
        case _:
            return (action.id,)


def alerts_named(action: IncidentAction) -> tuple[AlertId, ...]:
    """Return the alerts that an action names."""
    if isinstance(action, UpdateIncident):
        root = action.root_alert_id
        return () if root is None or isinstance(root, Unset) else (root,)
    return action.alert_ids
