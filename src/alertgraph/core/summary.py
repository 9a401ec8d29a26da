"""One English sentence for each event: what a timeline shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import HoldReason
from alertgraph.core.event import Event, EventKind, FieldChange

NAME_LENGTH_MAX = 80
_CHANGES_NAMED_MAX = 4
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")

# What the sentences of kinds say that need nothing but the actor; %s is who did it.
_PLAIN = {
    EventKind.SILENCED: "A silence covers the alert.",
    EventKind.UNSILENCED: "No silence covers the alert any more.",
    EventKind.INHIBITED: "A bigger alert covers this one.",
    EventKind.UNINHIBITED: "No bigger alert covers this one any more.",
    EventKind.GROUPED: "The alert joined an incident.",
    EventKind.UNGROUPED: "The alert left its incident.",
    EventKind.PREDICTED: "The model judged the alert.",
    EventKind.SLA_AT_RISK: "Three quarters of an SLA time have passed.",
    EventKind.SLA_BREACHED: "An SLA time has passed.",
    EventKind.DELIVERY_SENT: "A notification was delivered.",
    EventKind.DELIVERY_FAILED: "A notification could not be delivered and was given up.",
    EventKind.DELIVERY_FELL_BACK: "A notification failed, and the fallback channel took over.",
    EventKind.DELIVERY_SKIPPED: "A notification was no longer wanted and was not sent.",
    EventKind.INCIDENT_OPENED: "%s opened an incident.",
    EventKind.INCIDENT_UPDATED: "%s changed the incident.",
    EventKind.INCIDENT_ACKNOWLEDGED: "All open alerts of the incident are acknowledged.",
    EventKind.INCIDENT_RESOLVED: "The last alert of the incident ended.",
    EventKind.INCIDENT_MERGED: "%s merged other incidents into this one.",
    EventKind.INCIDENT_SPLIT: "%s split alerts off the incident.",
    EventKind.ASSIGNED: "%s gave the alert to somebody.",
    EventKind.NOTED: "%s wrote a note.",
    EventKind.PERSONAL_DATA_READ: "%s read personal data.",
    EventKind.MODEL_PROMOTED: "%s made another version of the model the active one.",
    EventKind.MODEL_ROLLED_BACK: "%s put the earlier version of the model back.",
}

_HELD = {
    HoldReason.ACKNOWLEDGED: "somebody has it",
    HoldReason.SILENCED: "a silence covers it",
    HoldReason.INHIBITED: "a bigger alert covers it",
    HoldReason.NO_MATCHING_RULE: "no escalation rule matches it",
    HoldReason.NOBODY_ON_CALL: "nobody is on call",
    HoldReason.LADDER_EXHAUSTED: "every level was climbed",
    HoldReason.PREDICTED_NOISE: "it is likely noise",
}

_CONFIGURED = {
    EventKind.CONFIG_CREATED: "created",
    EventKind.CONFIG_UPDATED: "changed",
    EventKind.CONFIG_DELETED: "deleted",
}


def summary(event: Event) -> str:
    """Return what happened as one sentence, without anything that a person wrote in a note."""
    who = _who(event.actor)
    match event.kind:
        case EventKind.TRIGGERED:
            return f"{who} triggered the alert{_severity(event)}."
        case EventKind.REPEATED:
            count = event.detail.get("occurrenceCount")
            return f"It fired again, {count:,} times by now." if isinstance(count, int) else "It fired again."
        case EventKind.UPDATED:
            return f"{who} changed {_told(event.changes) or 'the alert'}."
        case EventKind.ACKNOWLEDGED:
            until = _after(event.changes, "acknowledgedUntil")
            return f"{who} acknowledged the alert{_until(until)}."
        case EventKind.UNACKNOWLEDGED:
            if event.actor.kind is ActorKind.ENGINE:
                return "The acknowledgement ran out, and the alert climbs again."
            return f"{who} gave the alert back."
        case EventKind.ESCALATED:
            level = event.detail.get("level", _after(event.changes, "escalationLevel"))
            return f"{who} escalated the alert{f' to level {level}' if level is not None else ''}."
        case EventKind.RESOLVED:
            return _resolved(event, who)
        case EventKind.REOPENED:
            return f"{who} triggered the alert again, after it had been resolved."
        case EventKind.FEEDBACK_GIVEN:
            verdict = _after(event.changes, "verdict")
            if verdict is None:
                return f"{who} took the judgement of the alert back."
            return f"{who} called the alert {str(verdict).lower()}."
        case EventKind.HELD:
            reason = f": {_HELD[event.hold_reason]}" if event.hold_reason is not None else ""
            return f"Nothing will be sent for now{reason}."
        case EventKind.CONFIG_CREATED | EventKind.CONFIG_UPDATED | EventKind.CONFIG_DELETED:
            return _configured(event, who)
        case _:
            return _PLAIN[event.kind].replace("%s", who)


def _who(actor: Actor) -> str:
    if actor.kind is ActorKind.ENGINE:
        return "The escalation engine"
    return shortened(actor.name) or "Somebody"


def shortened(text: str) -> str:
    """Return a name short enough for a sentence."""
    return text if len(text) <= NAME_LENGTH_MAX else text[: NAME_LENGTH_MAX - 1] + "…"


def _severity(event: Event) -> str:
    return f" with severity {event.severity_after.name}" if event.severity_after is not None else ""


def _until(instant: object) -> str:
    """Return an instant of the log to the minute, as people read it."""
    return f" until {instant[:10]} {instant[11:16]} UTC" if isinstance(instant, str) else ""


def _resolved(event: Event, who: str) -> str:
    lasted = ""
    if event.elapsed_ms is not None:
        lasted = f" after {_length(timedelta(milliseconds=event.elapsed_ms))}"
    if event.actor.kind is ActorKind.ENGINE:
        return f"The alert had not fired for so long that it ended by itself{lasted}."
    if event.actor.kind is ActorKind.SENDER:
        return f"{who} reported the end of the alert{lasted}."
    return f"{who} resolved the alert{lasted}."


def _configured(event: Event, who: str) -> str:
    thing = _words(event.subject_type) if event.subject_type else "the configuration"
    the = "" if event.subject_type is None else "the "
    if event.kind is EventKind.CONFIG_UPDATED:
        told = _told(event.changes)
        return f"{who} changed {told + ' of ' if told else ''}{the}{thing}."
    name = next((c.after or c.before for c in event.changes if c.field == "name"), None)
    named = f" “{shortened(name)}”" if isinstance(name, str) and name else ""
    return f"{who} {_CONFIGURED[event.kind]} {the}{thing}{named}."


def _told(changes: Sequence[FieldChange]) -> str:
    """Name the fields that changed; a severity or status tells its values, which are short and matter."""
    parts = []
    for change in changes[:_CHANGES_NAMED_MAX]:
        text = _words(change.field)
        if change.field in ("severity", "status"):
            text += f" from {change.before} to {change.after}"
        parts.append(text)
    more = len(changes) - len(parts)
    if more:
        parts.append("one more field" if more == 1 else f"{more} more fields")
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _after(changes: Sequence[FieldChange], field: str) -> object:
    return next((change.after for change in changes if change.field == field), None)


def _words(name: str) -> str:
    """Return a name of the API as English words: costBudget is cost budget, ApiKey is API key."""
    words = [word if len(word) > 1 and word.isupper() else word.lower() for word in _WORD.findall(name)]
    return " ".join("API" if word == "api" else word for word in words)


def _length(duration: timedelta) -> str:
    """Return a length of time in its two largest units, as people say it."""
    left = int(duration.total_seconds())
    parts = []
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count:,} {unit}{'s' if count > 1 else ''}")
        elif parts:
            break
    return " ".join(parts[:2]) if parts else "less than a second"
