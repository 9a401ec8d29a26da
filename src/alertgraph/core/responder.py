"""People who can be notified, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from alertgraph.core.errors import InputError
from alertgraph.core.ids import ChannelId, ResponderId

EMAIL_LENGTH_MAX = 254
_LOCAL_LENGTH_MAX = 64
_HOST_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# As browsers check it: what real addresses look like, with nothing that could end a header.
_EMAIL = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_HOST_PART}(?:\.{_HOST_PART})*", re.ASCII)


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


def check_email(text: str, *path: str) -> str:
    """Return the text if it is an e-mail address by its looks.

    Raises:
        InputError: It is none; at `path`.
    """
    if len(text) > EMAIL_LENGTH_MAX or not _EMAIL.fullmatch(text) or text.index("@") > _LOCAL_LENGTH_MAX:
        raise InputError("This is no e-mail address such as ada@example.com.", *path)
    return text
