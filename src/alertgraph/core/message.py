"""What a channel is to tell, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alertgraph.core.alert import Alert
from alertgraph.core.delivery import Purpose
from alertgraph.core.ids import DeliveryId

ERROR_LENGTH_MAX = 1000
RECEIPT_LENGTH_MAX = 4000


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel is to tell.

    Attributes:
        id: The leading delivery's: the idempotency key of every attempt.
        alerts: What it is about, worst first; several in a bundle, none in a beat or a bare test.
        more_count: How many further alerts a bundle is about, which are too many to be named.
        level: Of the ladder; 0 for updates, tests and assignments.
        responder: Name of the person meant; None where it is the channel itself.
        change: For an UPDATE: the name of the event's kind that it tells of.
        news: For an UPDATE: the sentence of that event; None where it isn't known.
        timeline: Sentences of what has happened to the one alert, oldest first.
        actions: Signed links to pages that act on the one alert, by action: acknowledge, escalate,
            resolve, silence.
        tokens: The same as bare tokens, for buttons.
        link: Where the one alert is shown; None where the installation has no page for it.
        receipt: What the provider called the message about this alert sent before, as JSON.
        at: When it is told.
    """

    id: DeliveryId
    tenant: str
    purpose: Purpose
    alerts: tuple[Alert, ...]
    at: datetime
    level: int = 0
    responder: str | None = None
    change: str | None = None
    news: str | None = None
    timeline: tuple[str, ...] = ()
    actions: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None
    receipt: str | None = None
    more_count: int = 0


@dataclass(frozen=True, slots=True)
class SendResult:
    """What came of an attempt.

    Attributes:
        delivered: Whether the provider took it.
        status_code: Of HTTP or SMTP.
        error: What failed, in words, secrets left out; None where delivered.
        retryable: Whether the same attempt may go through later.
        retry_after: How long the provider asks to be left alone.
        gone: Whether the provider says that nobody lives there any more: the channel is to be disabled.
        receipt: What the provider calls the message, as JSON; None also where that is too long to be kept.
    """

    delivered: bool
    status_code: int | None = None
    error: str | None = None
    retryable: bool = False
    retry_after: timedelta | None = None
    gone: bool = False
    receipt: str | None = None

    def __post_init__(self) -> None:
        # Both may hold whatever came over the wire, and go into the log, messages and answers.
        object.__setattr__(self, "error", storable(self.error))
        if self.receipt is not None:
            fits = len(self.receipt) <= RECEIPT_LENGTH_MAX
            object.__setattr__(self, "receipt", storable(self.receipt, RECEIPT_LENGTH_MAX) if fits else None)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a message looks like.

    Attributes:
        subject: Or heading; None where the kind has none.
        text: Plain text.
        payload: The body as it is sent: an object or a text.
    """

    subject: str | None
    text: str
    payload: object


def storable(text: str | None, length_max: int = ERROR_LENGTH_MAX) -> str | None:
    """Return a text that another system said, cut, with what neither a database nor JSON can keep replaced."""
    if text is None:
        return None
    if len(text) > length_max:
        text = text[: length_max - 1] + "…"
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()
