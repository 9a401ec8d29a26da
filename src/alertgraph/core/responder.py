"""People who can be notified, and how."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from alertgraph.core.ids import ChannelId, ResponderId


@dataclass(frozen=True, slots=True)
class ContactMethod:
    """One way to reach a person.

    Attributes:
        address: On that channel, such as a Slack user id, as ciphertext; None for the channel's own.
        delay: Used this long after the first.
    """

    channel_id: ChannelId
    address: str | None = None
    delay: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Responder:
    """A person who can be notified.

    Attributes:
        email: As ciphertext; also links logins.
        time_zone: IANA zone, such as Europe/Berlin.
        contact_methods: In order.
        version: Number of the last event that changed them.
    """

    id: ResponderId
    name: str
    time_zone: str = "UTC"
    email: str | None = None
    contact_methods: tuple[ContactMethod, ...] = ()
    version: int = 0
