"""What callers send about alerts, and how it becomes what services take."""

from collections.abc import Sequence
from datetime import datetime

import strawberry
from strawberry import Maybe

from alertgraph.core import alert as core
from alertgraph.core.action import Assign, ById, Unset, Update
from alertgraph.core.alert import Draft
from alertgraph.core.errors import InputError, Problem, RefusedError
from alertgraph.core.ids import decode_alert_id
from alertgraph.services.alerts import BULK_COUNT_MAX, BySelection
from resolvers.alert import AlertFilter
from resolvers.errors import unknown
from resolvers.patch import cleared, patched
from resolvers.responder import responder_id_of
from resolvers.scalars import JSON
from resolvers.words import AlertVerdict, ErrorCode, Severity

RETRIES = "See the rules at the top."
TIMELINE = "Kept on the timeline."


@strawberry.input(description="A link to look at.")
class LinkInput:
    """A link to look at."""

    href: str = strawberry.field(description="Where to; http or https.")
    text: str = strawberry.field(description="What to call it.")


@strawberry.input(description="A new alert, or a repeat of an open one.")
class CreateAlertInput:
    """A new alert, or a repeat of an open one; what is null is not said."""

    title: str = strawberry.field(description="One line, 1 to 1,024 characters.")
    description: str | None = strawberry.field(description="More text.")
    severity: Severity = strawberry.field(description="How bad.")
    source: str | None = strawberry.field(description="What sends it; the key's name where left out.")
    monitored_service: str | None = strawberry.field(description="Name of the thing watched.")
    dedup_key: str | None = strawberry.field(
        description=(
            "Alerts with the same key are one alert while it is open; derived from the labels where left out."
        )
    )
    labels: JSON | None = strawberry.field(description="Object of strings.")
    annotations: JSON | None = strawberry.field(description="Object.")
    links: list[LinkInput] | None = strawberry.field(description="Runbooks, graphs.")
    triggered_at: datetime | None = strawberry.field(description="When it began; now where left out.")
    idempotency_key: str | None = strawberry.field(description=RETRIES)

    def to_core(self, sender: str) -> Draft:
        """Return what the sender says.

        Args:
            sender: Name of the credentials, for one that names no source.

        Raises:
            RefusedError: labels or annotations are no objects; paths are relative to this input.
        """
        labels, problems = _labels(self.labels)
        annotations = self.annotations
        if annotations is not None and not isinstance(annotations, dict):
            problems.append(_invalid("annotations is a JSON object.", "annotations"))
        if problems:
            raise RefusedError(problems)
        return Draft(
            title=self.title,
            severity=self.severity,
            source=self.source if self.source is not None else sender,
            description=self.description,
            monitored_service=self.monitored_service,
            dedup_key=self.dedup_key,
            labels=labels,
            annotations=annotations if isinstance(annotations, dict) else None,
            links=links_of(self.links) if self.links is not None else None,
            triggered_at=self.triggered_at,
        )


@strawberry.input(description="A patch of an open alert.")
class UpdateAlertInput:
    """A patch of an open alert."""

    alert_id: strawberry.ID = strawberry.field(description="Which.")
    severity: Maybe[Severity | None] = strawberry.field(
        description="How bad; a worse one is matched against the rules anew."
    )
    title: Maybe[str | None] = strawberry.field(description="One line.")
    description: Maybe[str | None] = strawberry.field(description="More text.")
    monitored_service: Maybe[str | None] = strawberry.field(
        description="Name of the thing watched; null clears it."
    )
    annotations: Maybe[JSON | None] = strawberry.field(
        description="Merged key by key; a null value removes its key."
    )
    links: Maybe[list[LinkInput] | None] = strawberry.field(description="Replaces the list.")
    note: str | None = strawberry.field(description="Why.")

    def to_core(self) -> Update:
        """Return the action.

        Raises:
            RefusedError: A field can't be null, or is no object; paths are relative to this input.
        """
        description = cleared(self.description)
        links = cleared(self.links)
        annotations = patched(self.annotations, "annotations")
        if not isinstance(annotations, Unset | dict):
            raise InputError("annotations is a JSON object.", "annotations")
        return Update(
            target(self.alert_id),
            severity=patched(self.severity, "severity"),
            title=patched(self.title, "title"),
            description=description if description is not None else "",
            monitored_service=cleared(self.monitored_service),
            annotations=annotations,
            links=links if isinstance(links, Unset) else links_of(links or ()),
            note=self.note,
        )


@strawberry.input(description="To do something with one alert.")
class AlertActionInput:
    """To do something with one alert."""

    alert_id: strawberry.ID = strawberry.field(description="Which.")
    note: str | None = strawberry.field(description=TIMELINE)
    idempotency_key: str | None = strawberry.field(description=RETRIES)


@strawberry.input(description="To take one alert.")
class AcknowledgeAlertInput:
    """To take one alert."""

    alert_id: strawberry.ID = strawberry.field(description="Which.")
    note: str | None = strawberry.field(description=TIMELINE)
    until: datetime | None = strawberry.field(
        description="Give it back by itself then, so that it climbs again (a snooze)."
    )
    idempotency_key: str | None = strawberry.field(description=RETRIES)


@strawberry.input(description="To climb.")
class EscalateAlertInput:
    """To climb."""

    alert_id: strawberry.ID = strawberry.field(description="Which.")
    note: str | None = strawberry.field(description=TIMELINE)
    level: int | None = strawberry.field(description="To this level; the next one where left out.")
    idempotency_key: str | None = strawberry.field(description=RETRIES)


@strawberry.input(description="To give an alert to somebody.")
class AssignAlertInput:
    """To give an alert to somebody."""

    alert_id: strawberry.ID = strawberry.field(description="Which.")
    responder_id: strawberry.ID | None = strawberry.field(description="To whom; null to nobody.")
    note: str | None = strawberry.field(description=TIMELINE)
    idempotency_key: str | None = strawberry.field(description=RETRIES)

    def to_core(self) -> Assign:
        """Return the action.

        Raises:
            RefusedError: An id names no such thing; paths are relative to this input.
        """
        given = self.responder_id
        responder_id = responder_id_of(given, "responderId") if given is not None else None
        return Assign(target(self.alert_id), responder_id, self.note)


@strawberry.input(description="To write a note.")
class AddAlertNoteInput:
    """To write a note."""

    alert_id: strawberry.ID = strawberry.field(description="Which.")
    note: str = strawberry.field(description="1 to 25,000 characters.")
    idempotency_key: str | None = strawberry.field(description=RETRIES)


@strawberry.input(description="To judge an alert.")
class AlertFeedbackInput:
    """To judge an alert."""

    alert_id: strawberry.ID = strawberry.field(description="Which, open or closed.")
    verdict: AlertVerdict | None = strawberry.field(description="The judgement; null takes it back.")
    note: str | None = strawberry.field(description="Why.")


@strawberry.input(description="Which alerts an action is for.", one_of=True)
class AlertSelector:
    """Which alerts an action is for: exactly one of the three."""

    ids: list[strawberry.ID] | None = strawberry.field(description="Up to 1,000 of these.")
    dedup_keys: list[str] | None = strawberry.field(description="The open alerts with these keys, up to 1,000.")
    filter: AlertFilter | None = strawberry.field(
        description="The 1,000 oldest open ones that match; an empty filter is refused."
    )

    def to_core(self) -> BySelection:
        """Return the selection as services take it.

        Raises:
            InputError: There are too many, or the filter can't be used; the path begins at `select`.
        """
        for name, values in (("ids", self.ids), ("dedupKeys", self.dedup_keys)):
            if values is not None and len(values) > BULK_COUNT_MAX:
                raise InputError(
                    f"{name} has at most {BULK_COUNT_MAX:,} entries; this has {len(values):,}.", "select", name
                )
        if self.ids is not None:
            return BySelection(ids=tuple((str(text), decode_alert_id(text)) for text in self.ids))
        if self.dedup_keys is not None:
            for index, key in enumerate(self.dedup_keys):
                if "\x00" in key or len(key) > core.DEDUP_KEY_LENGTH_MAX:
                    raise InputError("This can't be a dedup key.", "select", "dedupKeys", str(index))
            return BySelection(dedup_keys=tuple(self.dedup_keys))
        assert self.filter is not None, "exactly one is given"
        return BySelection(filter=self.filter.to_core("select", "filter"))


@strawberry.input(description="To do something with many alerts.")
class AlertsActionInput:
    """To do something with many alerts."""

    select: AlertSelector = strawberry.field(description="Which.")
    note: str | None = strawberry.field(description="Kept on each timeline.")
    idempotency_key: str | None = strawberry.field(description=RETRIES)


@strawberry.input(description="To take many alerts.")
class AcknowledgeAlertsInput:
    """To take many alerts."""

    select: AlertSelector = strawberry.field(description="Which.")
    note: str | None = strawberry.field(description="Kept on each timeline.")
    until: datetime | None = strawberry.field(description="Give them back by themselves then.")
    idempotency_key: str | None = strawberry.field(description=RETRIES)


def target(alert_id: strawberry.ID) -> ById:
    """Return which alert an action is about.

    Raises:
        NotFoundError: The id is none of ours.
    """
    decoded = decode_alert_id(alert_id)
    if decoded is None:
        raise unknown("alert", "alertId")
    return ById(decoded)


def links_of(links: Sequence[LinkInput]) -> tuple[core.Link, ...]:
    """Return links as the core takes them; it judges them."""
    return tuple(core.Link(link.href, link.text) for link in links)


def _labels(labels: JSON | None) -> tuple[dict[str, str] | None, list[Problem]]:
    """Return labels and what is wrong with their types; a store of text can't be asked to judge numbers."""
    if labels is None:
        return None, []
    if not isinstance(labels, dict):
        return None, [_invalid("labels is a JSON object of strings.", "labels")]
    wrong = [name for name, value in labels.items() if not isinstance(value, str)]
    if wrong:
        return None, [
            _invalid(f"The label {name[:64]!r} is not a text.", "labels", name[:64])
            for name in wrong[: core.LABEL_COUNT_MAX]
        ]
    return labels, []


def _invalid(message: str, *path: str) -> Problem:
    return Problem(ErrorCode.INVALID_INPUT, message, path)
