"""What callers do with alerts: mutations read their input, call one service and translate the answer."""

from collections.abc import Callable, Sequence
from typing import Annotated, Self, TypeAlias

import strawberry

from alertgraph.core.action import (
    Acknowledge,
    Action,
    AddNote,
    ByKey,
    Escalate,
    Fire,
    GiveFeedback,
    Reopen,
    Resolve,
    Unacknowledge,
)
from alertgraph.core.batch import Outcome
from alertgraph.core.errors import ErrorCode, Problem, RefusedError
from alertgraph.core.ids import NodeKind, encode_id
from alertgraph.core.tenant import Role
from alertgraph.services.alerts import BULK_COUNT_MAX, Wanted
from resolvers.alert import CriticalAlert
from resolvers.alert_input import (
    AcknowledgeAlertInput,
    AcknowledgeAlertsInput,
    AddAlertNoteInput,
    AlertActionInput,
    AlertFeedbackInput,
    AlertsActionInput,
    AlertSelector,
    AssignAlertInput,
    CreateAlertInput,
    EscalateAlertInput,
    UpdateAlertInput,
    target,
)
from resolvers.context import Context, Info
from resolvers.errors import MutationError, errors_of, input_errors
from resolvers.permissions import writes

MENDABLE = "What the caller can mend; empty on success."
WHAT = strawberry.argument(description="What.")
# In an answer alerts are at hand already; only what hangs on them is fetched, once for each that may be there.
AT_HAND = {"cost": 0}
AS_MANY_AS_SENT = {"cost": 0, "page_size_default": BULK_COUNT_MAX}

# A bulk action names its alerts beside the action; this stands for each of them.
EACH = ByKey("")

Bulk: TypeAlias = Acknowledge | Unacknowledge | Resolve


# ----------------------------------------------------------------------------------------- answers


@strawberry.type(description="Answer of createAlert and reopenAlert.")
class CreateAlertPayload:
    """What became of an alert that was sent or triggered again."""

    alert: CriticalAlert | None = strawberry.field(description="The alert; null where refused.")
    created: bool = strawberry.field(description="False where it was folded into an open alert.")
    errors: list[MutationError] = strawberry.field(description=MENDABLE, metadata={"cost": 0})

    @classmethod
    def refused(cls, errors: list[MutationError]) -> Self:
        """Return the answer to what was refused."""
        return cls(alert=None, created=False, errors=errors)

    @classmethod
    def of(cls, outcome: Outcome, context: Context) -> Self:
        """Return what became of it."""
        if outcome.problem is not None:
            return cls.refused(input_errors([outcome.problem]))
        return cls(alert=_alert(outcome, context), created=outcome.created, errors=[])


@strawberry.type(description="What became of one item.")
class CreateAlertOutcome:
    """What became of one item."""

    alert: CriticalAlert | None = strawberry.field(
        description="Null where the item was refused; see errors.", metadata=AT_HAND
    )
    created: bool = strawberry.field(description="False where folded or refused.")


@strawberry.type(description="Answer of createAlerts.")
class CreateAlertsPayload:
    """What became of alerts that were sent together."""

    outcomes: list[CreateAlertOutcome] = strawberry.field(
        description="One per item, in order.", metadata=AS_MANY_AS_SENT
    )
    created_count: int = strawberry.field(description="How many are new.")
    folded_count: int = strawberry.field(description="How many were folded into open ones.")
    errors: list[MutationError] = strawberry.field(
        description="Of the items refused; path is input, index, field.", metadata={"cost": 0}
    )


@strawberry.type(description="Answer of an action on one alert.")
class AlertActionPayload:
    """What became of an action on one alert."""

    alert: CriticalAlert | None = strawberry.field(description="The alert; null where refused.")
    changed: bool = strawberry.field(description="False where it already was so, which is no error.")
    errors: list[MutationError] = strawberry.field(description=MENDABLE, metadata={"cost": 0})

    @classmethod
    def refused(cls, errors: list[MutationError]) -> Self:
        """Return the answer to what was refused."""
        return cls(alert=None, changed=False, errors=errors)


@strawberry.type(description="What became of one alert.")
class AlertOutcome:
    """What became of one alert of many."""

    key: str = strawberry.field(description="The id or dedup key as given; for a filter, the id.")
    alert: CriticalAlert | None = strawberry.field(description="Null where there is none.", metadata=AT_HAND)
    changed: bool = strawberry.field(description="False where it already was so or was refused.")
    error: MutationError | None = strawberry.field(description="Why it was refused.", metadata=AT_HAND)

    @classmethod
    def of(cls, given: str | None, outcome: Outcome, context: Context) -> Self:
        """Return what became of one alert.

        Args:
            given: The id or dedup key by which it was selected; None where a filter selected it.
            outcome: What became of it.
            context: Of the request.
        """
        alert_id = outcome.alert.id if outcome.alert is not None else outcome.alert_id
        key = given
        if key is None:
            assert alert_id is not None, "a filter selects alerts that are there"
            key = encode_id(NodeKind.ALERT, alert_id)
        return cls(
            key=key,
            alert=_alert(outcome, context),
            changed=outcome.changed,
            # What is wrong with one of many is at no place of the input.
            error=MutationError.of(outcome.problem) if outcome.problem is not None else None,
        )


@strawberry.type(description="Answer of an action on many alerts; each is done or refused by itself.")
class AlertsActionPayload:
    """What became of an action on many alerts."""

    outcomes: list[AlertOutcome] = strawberry.field(
        description="One per alert looked at.", metadata=AS_MANY_AS_SENT
    )
    changed_count: int = strawberry.field(description="How many changed.")
    remaining_count: int = strawberry.field(description="How many still match a filter; call again.")
    errors: list[MutationError] = strawberry.field(description="Of the input as a whole.", metadata={"cost": 0})


def _alert(outcome: Outcome, context: Context) -> CriticalAlert | None:
    return CriticalAlert.of(outcome.alert, context.reading.now) if outcome.alert is not None else None


# ----------------------------------------------------------------------------------------- senders


@writes(Role.INGEST)
async def create_alert(info: Info, input: Annotated[CreateAlertInput, WHAT]) -> CreateAlertPayload:
    """Send an alert."""
    context = info.context
    try:
        draft = input.to_core(context.principal.name)
    except RefusedError as error:
        return CreateAlertPayload.refused(errors_of(error))
    wanted = Wanted(Fire(draft), input.idempotency_key)
    outcome = (await context.services.alerts.send(context.principal, [wanted]))[0]
    return CreateAlertPayload.of(outcome, context)


@writes(Role.INGEST)
async def create_alerts(
    info: Info,
    input: Annotated[list[CreateAlertInput], strawberry.argument(description="In order.")],
) -> CreateAlertsPayload:
    """Send many alerts; an invalid one is reported and the others are kept."""
    context = info.context
    if len(input) > BULK_COUNT_MAX:
        message = f"Up to {BULK_COUNT_MAX:,} alerts are sent at once; these are {len(input):,}."
        error = Problem(ErrorCode.INVALID_INPUT, message, ("input",))
        return CreateAlertsPayload(outcomes=[], created_count=0, folded_count=0, errors=[MutationError.of(error)])
    wanted: list[Wanted] = []
    sent: list[int] = []
    refused: dict[int, Sequence[Problem]] = {}
    for index, item in enumerate(input):
        try:
            wanted.append(Wanted(Fire(item.to_core(context.principal.name)), item.idempotency_key))
            sent.append(index)
        except RefusedError as error:
            refused[index] = error.problems
    outcomes = dict(zip(sent, await context.services.alerts.send(context.principal, wanted), strict=True))
    refused.update(
        (index, (outcome.problem,)) for index, outcome in outcomes.items() if outcome.problem is not None
    )
    nothing = Outcome(None)
    in_order = [nothing if index in refused else outcomes[index] for index in range(len(input))]
    return CreateAlertsPayload(
        outcomes=[
            CreateAlertOutcome(alert=_alert(outcome, context), created=outcome.created) for outcome in in_order
        ],
        created_count=sum(outcome.created for outcome in in_order),
        folded_count=sum(not outcome.created for outcome in in_order) - len(refused),
        errors=[
            MutationError.of(problem.below("input", str(index)))
            for index in sorted(refused)
            for problem in refused[index]
        ],
    )


# ------------------------------------------------------------------------------------------ people


async def _act(
    info: Info,
    action: Callable[[], Action],
    operation: str,
    idempotency_key: str | None = None,
) -> Outcome | list[MutationError]:
    """Return what became of an action, or why it was refused."""
    context = info.context
    try:
        outcome = await context.services.alerts.act(context.principal, action(), operation, idempotency_key)
    except RefusedError as error:
        return errors_of(error)
    return input_errors([outcome.problem]) if outcome.problem is not None else outcome


def _acted(answer: Outcome | list[MutationError], context: Context) -> AlertActionPayload:
    if isinstance(answer, list):
        return AlertActionPayload.refused(answer)
    return AlertActionPayload(alert=_alert(answer, context), changed=answer.changed, errors=[])


@writes(Role.RESPONDER)
async def update_alert(info: Info, input: Annotated[UpdateAlertInput, WHAT]) -> AlertActionPayload:
    """Change an open alert."""
    return _acted(await _act(info, input.to_core, "updateAlert"), info.context)


@writes(Role.RESPONDER)
async def acknowledge_alert(info: Info, input: Annotated[AcknowledgeAlertInput, WHAT]) -> AlertActionPayload:
    """Take an alert, which stops its escalation."""
    answer = await _act(
        info,
        lambda: Acknowledge(target(input.alert_id), input.until, input.note),
        "acknowledgeAlert",
        input.idempotency_key,
    )
    return _acted(answer, info.context)


@writes(Role.RESPONDER)
async def unacknowledge_alert(info: Info, input: Annotated[AlertActionInput, WHAT]) -> AlertActionPayload:
    """Give an alert back."""
    answer = await _act(
        info,
        lambda: Unacknowledge(target(input.alert_id), input.note),
        "unacknowledgeAlert",
        input.idempotency_key,
    )
    return _acted(answer, info.context)


@writes(Role.RESPONDER)
async def resolve_alert(info: Info, input: Annotated[AlertActionInput, WHAT]) -> AlertActionPayload:
    """End an alert."""
    answer = await _act(
        info,
        lambda: Resolve(target(input.alert_id), input.note),
        "resolveAlert",
        input.idempotency_key,
    )
    return _acted(answer, info.context)


@writes(Role.RESPONDER)
async def reopen_alert(info: Info, input: Annotated[AlertActionInput, WHAT]) -> CreateAlertPayload:
    """Trigger a resolved alert again, as a new one."""
    answer = await _act(
        info,
        lambda: Reopen(target(input.alert_id), input.note),
        "reopenAlert",
        input.idempotency_key,
    )
    if isinstance(answer, list):
        return CreateAlertPayload.refused(answer)
    return CreateAlertPayload.of(answer, info.context)


@writes(Role.RESPONDER)
async def escalate_alert(info: Info, input: Annotated[EscalateAlertInput, WHAT]) -> AlertActionPayload:
    """Climb now."""
    answer = await _act(
        info,
        lambda: Escalate(target(input.alert_id), input.level, input.note),
        "escalateAlert",
        input.idempotency_key,
    )
    return _acted(answer, info.context)


@writes(Role.RESPONDER)
async def assign_alert(info: Info, input: Annotated[AssignAlertInput, WHAT]) -> AlertActionPayload:
    """Give an alert to a person, who is told."""
    return _acted(await _act(info, input.to_core, "assignAlert", input.idempotency_key), info.context)


@writes(Role.RESPONDER)
async def add_alert_note(info: Info, input: Annotated[AddAlertNoteInput, WHAT]) -> AlertActionPayload:
    """Write on the timeline."""
    answer = await _act(
        info,
        lambda: AddNote(target(input.alert_id), input.note),
        "addAlertNote",
        input.idempotency_key,
    )
    return _acted(answer, info.context)


@writes(Role.RESPONDER)
async def give_alert_feedback(info: Info, input: Annotated[AlertFeedbackInput, WHAT]) -> AlertActionPayload:
    """Say whether an alert needed somebody."""
    answer = await _act(
        info,
        lambda: GiveFeedback(target(input.alert_id), input.verdict, input.note),
        "giveAlertFeedback",
    )
    return _acted(answer, info.context)


# -------------------------------------------------------------------------------------------- many


async def _act_on_many(
    info: Info,
    action: Bulk,
    select: AlertSelector,
    operation: str,
    idempotency_key: str | None,
) -> AlertsActionPayload:
    context = info.context
    try:
        done = await context.services.alerts.act_on_many(
            context.principal, action, select.to_core(), operation, idempotency_key
        )
    except RefusedError as error:
        return AlertsActionPayload(outcomes=[], changed_count=0, remaining_count=0, errors=errors_of(error))
    return AlertsActionPayload(
        outcomes=[AlertOutcome.of(given, outcome, context) for given, outcome in done.items],
        changed_count=sum(outcome.changed for _, outcome in done.items),
        remaining_count=done.remaining_count,
        errors=[],
    )


@writes(Role.RESPONDER)
async def acknowledge_alerts(info: Info, input: Annotated[AcknowledgeAlertsInput, WHAT]) -> AlertsActionPayload:
    """Take many alerts."""
    action = Acknowledge(EACH, input.until, input.note)
    return await _act_on_many(info, action, input.select, "acknowledgeAlerts", input.idempotency_key)


@writes(Role.RESPONDER)
async def unacknowledge_alerts(info: Info, input: Annotated[AlertsActionInput, WHAT]) -> AlertsActionPayload:
    """Give many alerts back."""
    action = Unacknowledge(EACH, input.note)
    return await _act_on_many(info, action, input.select, "unacknowledgeAlerts", input.idempotency_key)


@writes(Role.INGEST)
async def resolve_alerts(info: Info, input: Annotated[AlertsActionInput, WHAT]) -> AlertsActionPayload:
    """End many alerts; the service asks for RESPONDER where they are not selected by dedup keys."""
    action = Resolve(EACH, input.note)
    return await _act_on_many(info, action, input.select, "resolveAlerts", input.idempotency_key)
