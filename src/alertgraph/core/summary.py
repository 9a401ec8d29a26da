"""One English sentence for each event: what a timeline shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from alertgraph.core.actor import CORRELATION, Actor, ActorKind
from alertgraph.core.alert import HoldReason
from alertgraph.core.event import Event, EventKind, FieldChange

NAME_LENGTH_MAX = 80
ERROR_LENGTH_MAX = 200
_CHANGES_NAMED_MAX = 4
_TOLD_NAMED_MAX = 4
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
# How many bigger alerts an event names at most; see core.escalation.
_INHIBITORS_NAMED_MAX = 10
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")

# What the sentences of kinds say that need nothing but the actor; %s is who did it.
_PLAIN = {
    EventKind.UNSILENCED: "No silence covers the alert any more.",
    EventKind.UNINHIBITED: "No bigger alert covers this one any more.",
    EventKind.GROUPED: "The alert joined an incident.",
    EventKind.UNGROUPED: "The alert left its incident.",
    EventKind.INCIDENT_ACKNOWLEDGED: "All open alerts of the incident are acknowledged.",
    EventKind.INCIDENT_MERGED: "%s merged other incidents into this one.",
    EventKind.INCIDENT_SPLIT: "%s split alerts off the incident.",
    EventKind.NOTED: "%s wrote a note.",
    EventKind.PERSONAL_DATA_READ: "%s read personal data.",
    EventKind.MODEL_PROMOTED: "%s made another version of the model the active one.",
    EventKind.MODEL_ROLLED_BACK: "%s put the earlier version of the model back.",
}

_HELD = {
    HoldReason.ACKNOWLEDGED: "somebody has it",
    HoldReason.SILENCED: "a silence covers it",
    HoldReason.INHIBITED: "a bigger alert covers it",
    HoldReason.NO_MATCHING_RULE: "no escalation rule matches it, and there is no default rule",
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
            return _escalated(event, who)
        case EventKind.ASSIGNED:
            return f"{who} gave the alert to {_assignee(event)}."
        case EventKind.SLA_AT_RISK:
            ends = _at(event.detail.get("dueAt"))
            return f"Three quarters of {_sla_time(event)} have passed{f'; it ends at {ends}' if ends else ''}."
        case EventKind.SLA_BREACHED:
            ended = _at(event.detail.get("dueAt"))
            return f"{_sla_time(event).capitalize()} has passed{f': it ended at {ended}' if ended else ''}."
        case EventKind.SILENCED:
            count = _count(event.detail, "silences")
            covers = "A silence covers" if count < 2 else f"{count:,} silences cover"
            return f"{covers} the alert: nothing will be sent until the end."
        case EventKind.INHIBITED:
            count = _count(event.detail, "alerts")
            least = "At least " if count >= _INHIBITORS_NAMED_MAX else ""
            covers = "A bigger alert covers" if count < 2 else f"{least}{count:,} bigger alerts cover"
            return f"{covers} this one: nothing will be sent meanwhile."
        case EventKind.DELIVERY_SENT:
            return _sent(event)
        case EventKind.DELIVERY_FAILED:
            return _failed(event)
        case EventKind.DELIVERY_FELL_BACK:
            error = _error(event)
            stand_in = _name(event.detail, "fallback") or "the fallback channel"
            channel = _name(event.detail, "channel") or "A channel"
            return f"{channel} failed{f' ({error})' if error else ''}; {stand_in} takes over."
        case EventKind.DELIVERY_SKIPPED:
            return f"{_whom(event, 'was not told')}: it was no longer needed."
        case EventKind.RESOLVED:
            return _resolved(event, who)
        case EventKind.REOPENED:
            return f"{who} triggered the alert again, after it had been resolved."
        case EventKind.FEEDBACK_GIVEN:
            verdict = _after(event.changes, "verdict")
            if verdict is None:
                return f"{who} took the judgement of the alert back."
            return f"{who} called the alert {str(verdict).lower()}."
        case EventKind.INCIDENT_OPENED:
            title = _name(event.detail, "title")
            return f"{who} opened {f'the incident “{title}”' if title else 'an incident'}{_why_linked(event)}."
        case EventKind.INCIDENT_UPDATED | EventKind.INCIDENT_RESOLVED if _after(event.changes, "mergedInto"):
            return "The incident was merged into another one."
        case EventKind.INCIDENT_UPDATED:
            told = _told(event.changes)
            return f"{who} changed {told + ' of ' if told else ''}the incident{_why_linked(event)}."
        case EventKind.INCIDENT_MERGED if event.actor.kind is ActorKind.MODEL:
            return f"{who} merged other incidents into this one{_why_linked(event)}."
        case EventKind.INCIDENT_RESOLVED:
            return "The last alert of the incident ended."
        case EventKind.PREDICTED:
            return _predicted(event)
        case EventKind.HELD if event.hold_reason is HoldReason.PREDICTED_NOISE and _said(event):
            return _said(event)
        case EventKind.HELD:
            reason = f": {_HELD[event.hold_reason]}" if event.hold_reason is not None else ""
            return f"Nothing will be sent for now{reason}."
        case EventKind.CONFIG_UPDATED if event.actor.kind is ActorKind.ENGINE and _said(event):
            return _said(event)
        case EventKind.CONFIG_CREATED | EventKind.CONFIG_UPDATED | EventKind.CONFIG_DELETED:
            return _configured(event, who)
        case _:
            return _PLAIN[event.kind].replace("%s", who)


def _said(event: Event) -> str:
    """Return the words in which the service itself gave its reason; empty where it gave none."""
    text = event.detail.get("text")
    return text if isinstance(text, str) else ""


def _predicted(event: Event) -> str:
    chance = event.detail.get("incidentProbability")
    if not isinstance(chance, float | int):
        return "The model judged the alert."
    if event.detail.get("abstained"):
        return f"The model knows too little of such alerts; {chance:.0%} of them need a person."
    climbs = "; a rule for such chances takes over" if "escalationRuleId" in event.detail else ""
    return f"The model gives it a chance of {chance:.0%} to need a person{climbs}."


def _who(actor: Actor) -> str:
    if actor.kind is ActorKind.ENGINE:
        return "The escalation engine"
    if actor.kind is ActorKind.MODEL:
        return "The correlation" if actor == CORRELATION else "The prediction model"
    return shortened(actor.name) or "Somebody"


def shortened(text: str) -> str:
    """Return a name short enough for a sentence."""
    return text if len(text) <= NAME_LENGTH_MAX else text[: NAME_LENGTH_MAX - 1] + "…"


def _name(detail: Mapping[str, Any], key: str) -> str | None:
    """Return a name that stands in an event, short enough for a sentence."""
    name = detail.get(key)
    return shortened(name) if isinstance(name, str) and name else None


def _why_linked(event: Event) -> str:
    """Tell what spoke most for the link by which alerts were grouped; nothing where people grouped them."""
    link = event.detail.get("link")
    evidence = link.get("evidence") if isinstance(link, Mapping) else None
    if not isinstance(evidence, list):
        return ""
    texts = [_name(each, "text") for each in evidence[:2] if isinstance(each, Mapping)]
    said = ", ".join(text for text in texts if text)
    return f": {said}" if said else ""


def _count(detail: Mapping[str, Any], key: str) -> int:
    listed = detail.get(key)
    return len(listed) if isinstance(listed, list) else 0


def _number(detail: Mapping[str, Any], key: str) -> int:
    number = detail.get(key)
    return number if isinstance(number, int) else 0


# ------------------------------------------------------------------------------------- escalation


def _escalated(event: Event, who: str) -> str:
    level = event.detail.get("level", _after(event.changes, "escalationLevel"))
    told = _notified(event.detail.get("notified"))
    if event.actor.kind is not ActorKind.ENGINE:
        return f"{who} escalated the alert{f' to level {level}' if level is not None else ''}{told}."
    round_ = _number(event.detail, "round")
    again = f" for the {_ordinal(round_ + 1)} time" if round_ else ""
    return f"{f'Level {level}' if level is not None else 'The next level'} is reached{again}{told}."


def _notified(notified: object) -> str:
    """Tell who is told in which ways, person by person, in the order in which they are."""
    if not isinstance(notified, list):
        return ""  # an alert that no rule is for has a level and tells nobody
    if not notified:
        return ", where nobody is to be told"
    people: dict[str, list[str]] = {}
    parts: list[str] = []
    for notice in notified:
        channel = _name(notice, "channel") or "a channel"
        responder = _name(notice, "responder")
        delay = timedelta(seconds=notice.get("delaySeconds", 0))
        later = f" after {_length(delay)}" if delay else ""
        if responder is None:
            parts.append(f"{channel} is told{later}")
        elif responder in people:
            people[responder].append(f"over {channel}{later}")
        else:
            people[responder] = [f"over {channel}{later}"]
            parts.append(responder)
    parts = [f"{part} is told {', and '.join(people[part])}" if part in people else part for part in parts]
    named = parts[:_TOLD_NAMED_MAX]
    more = len(parts) - len(named)
    if more:
        named.append(f"{more:,} more are told" if more > 1 else "one more is told")
    return f": {'; '.join(named)}" if named else ""


def _assignee(event: Event) -> str:
    responder = _name(event.detail, "responder")
    if responder is not None:
        return responder
    given_to_nobody = any(change.field == "assignee" and change.after is None for change in event.changes)
    return "nobody" if given_to_nobody else "somebody"


def _sla_time(event: Event) -> str:
    time = event.detail.get("time")
    return f"the time to {time} the alert" if time in ("acknowledge", "resolve") else "an SLA time"


# ------------------------------------------------------------------------------------- deliveries


def _whom(event: Event, verb: str) -> str:
    """Tell of the person over the channel, or of the channel where no person is meant."""
    channel = _name(event.detail, "channel")
    responder = _name(event.detail, "responder")
    if responder is not None:
        return f"{responder} {verb}{f' over {channel}' if channel else ''}"
    return f"{channel or 'A channel'} {verb}"


def _sent(event: Event) -> str:
    attempts = _number(event.detail, "attempts")
    attempt = f" ({_ordinal(attempts)} attempt)" if attempts > 1 else ""
    of = " of the assignment" if event.detail.get("purpose") == "ASSIGNMENT" else ""
    late = ", after somebody had reacted: the attempt was under way" if event.detail.get("afterReaction") else ""
    return f"{_whom(event, 'was told')}{of}{attempt}{late}."


def _failed(event: Event) -> str:
    verb = "could not be told"
    if event.detail.get("purpose") == "UPDATE":
        verb = "could not be brought up to date"
    attempts = _number(event.detail, "attempts")
    tried = f" in {attempts:,} attempts" if attempts > 1 else ""
    error = _error(event)
    return f"{_whom(event, verb)}{tried}{f': {error}' if error else ''}."


def _error(event: Event) -> str:
    """Return what failed so that it can stand within a sentence."""
    error = event.detail.get("error")
    text = " ".join(error.split()).rstrip(".") if isinstance(error, str) else ""
    return text if len(text) <= ERROR_LENGTH_MAX else text[: ERROR_LENGTH_MAX - 1] + "…"


def _ordinal(number: int) -> str:
    if 1 <= number <= len(_ORDINALS):
        return _ORDINALS[number - 1]
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{suffix}"


# --------------------------------------------------------------------------------------- the rest


def _severity(event: Event) -> str:
    return f" with severity {event.severity_after.name}" if event.severity_after is not None else ""


def _at(instant: object) -> str:
    """Return an instant of the log to the minute, as people read it."""
    return f"{instant[:10]} {instant[11:16]} UTC" if isinstance(instant, str) else ""


def _until(instant: object) -> str:
    return f" until {_at(instant)}" if instant else ""


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
