"""What becomes of deliveries that are due, by example."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from alertgraph.core.catalog import Catalog
from alertgraph.core.channel import Channel, ChannelKind, SlackConfig
from alertgraph.core.delivery import Delivery, DeliveryStatus, Purpose, Reach
from alertgraph.core.dispatch import UPDATE_PAUSE, End, Plan, new_updates, plan
from alertgraph.core.ids import AlertId, ChannelId, DeliveryId
from tests.factories import T0

CHAT = Channel(ChannelId(UUID(int=1)), "chat", ChannelKind.SLACK, SlackConfig("#ops"))
ALERT = AlertId(UUID(int=2))


def an_update(**fields: Any) -> Delivery:
    """Return an update that is due."""
    defaults: dict[str, Any] = {
        "id": DeliveryId(UUID(int=3)),
        "alert_id": ALERT,
        "channel_id": CHAT.id,
        "channel_name": CHAT.name,
        "purpose": Purpose.UPDATE,
        "level": 0,
        "created_at": T0,
        "due_at": T0,
        "change": "ACKNOWLEDGED",
    }
    return Delivery(**{**defaults, **fields})


def planned(*due: Delivery, reach: Reach | None = None, channels: tuple[Channel, ...] = (CHAT,)) -> Plan:
    catalog = Catalog(channels={channel.id: channel for channel in channels})
    known = dict.fromkeys(new_updates(due), reach) if reach is not None else {}
    return plan(due, catalog, {}, known, {}, T0, room=10)


def test_an_update_goes_to_whom_was_told() -> None:
    update = an_update()
    assert planned(update, reach=Reach.TOLD).sends == ((update,),)


@pytest.mark.parametrize("channels", [(CHAT,), ()])
def test_an_update_to_whom_was_never_told_is_skipped_and_says_why(channels: tuple[Channel, ...]) -> None:
    update = an_update()
    reason = "nobody was told of the alert over this channel"
    found = planned(update, reach=Reach.NOBODY, channels=channels)
    assert found == Plan(ends=(End(update, DeliveryStatus.SKIPPED, reason),))


def test_an_update_waits_for_the_page_that_is_under_way() -> None:
    update = an_update()
    assert planned(update, reach=Reach.UNDER_WAY) == Plan(put_off={update.id: T0 + UPDATE_PAUSE})


def test_an_update_that_was_tried_before_is_asked_about_no_more() -> None:
    tried = an_update(status=DeliveryStatus.RETRYING, attempt_count=1)
    assert new_updates((tried, an_update(purpose=Purpose.PAGE, level=1))) == frozenset()
    assert planned(tried).sends == ((tried,),)
