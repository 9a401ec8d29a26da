"""What people can want of incidents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from alertgraph.core.action import Unset
from alertgraph.core.ids import AlertId, IncidentId

# Notes are ciphertext here, as those of actions on alerts are.


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why the model wants something, and that it takes nothing from anybody: only alerts in no incident are moved.

    It is refused where the tenant's model may not group, and where that leaves nothing to group.

    Attributes:
        told: What the log tells of it, as JSON.
    """

    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lead:
    """The alert that an incident probably began with, as the model sees it now.

    It replaces what the model said before; where people have said otherwise, their word stands.

    Attributes:
        root_before: What it said before; the same for the title.
        root: What it says now; likewise.
    """

    root_before: AlertId
    title_before: str
    root: AlertId
    title: str


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """Opens an incident of alerts; each leaves the incident it was in.

    Attributes:
        root_alert_id: One of them; that which began first where it is None.
        grounds: Where the model opens it.
    """

    id: IncidentId
    title: str
    alert_ids: tuple[AlertId, ...]
    root_alert_id: AlertId | None = None
    grounds: Grounds | None = None


@dataclass(frozen=True, slots=True)
class UpdateIncident:
    """A patch of an incident, open or resolved."""

    id: IncidentId
    title: str | Unset = Unset.UNSET
    root_alert_id: AlertId | Unset | None = Unset.UNSET
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class AddAlerts:
    """Adds alerts to an incident that is not resolved; each leaves the incident it was in.

    Attributes:
        grounds: Where the model adds them.
        lead: What it thinks of the root, with these.
    """

    id: IncidentId
    alert_ids: tuple[AlertId, ...]
    note: str | None = None
    grounds: Grounds | None = None
    lead: Lead | None = None


@dataclass(frozen=True, slots=True)
class MergeIncidents:
    """Moves alerts of other incidents into one; an incident of which these were all ends in it.

    Attributes:
        alert_ids: As many as go in one flush, of any of the incidents.
        complete: The versions at which incidents had no other alerts than these.
        grounds: Where the model merges them: then only such as are not resolved.
    """

    into_id: IncidentId
    incident_ids: tuple[IncidentId, ...]
    alert_ids: tuple[AlertId, ...]
    complete: Mapping[IncidentId, int]
    note: str | None = None
    grounds: Grounds | None = None


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
    if isinstance(action, AddAlerts) and action.lead is not None and action.lead.root not in action.alert_ids:
        return (*action.alert_ids, action.lead.root)
    return action.alert_ids
