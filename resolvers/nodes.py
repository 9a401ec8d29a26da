"""Things by id, whatever they are."""

import asyncio
from typing import Annotated

import strawberry

from alertgraph.core.errors import InputError
from alertgraph.core.ids import AlertId, DeliveryId, EventKey, NodeKind, decode_id, decode_service_id
from alertgraph.core.tenant import Role
from resolvers.alert import CriticalAlert
from resolvers.configured import configured
from resolvers.context import Context, Info
from resolvers.delivery import Delivery
from resolvers.event import LogEvent, cursor_of
from resolvers.monitored_service import MonitoredService
from resolvers.paging import Node, Which
from resolvers.permissions import reads

NODE_COUNT_MAX = 100


@reads(Role.VIEWER)
async def node(info: Info, id: Which) -> Node | None:
    """Return a thing; None where the caller sees none with that id."""
    return await _load(info.context, id)


@reads(Role.VIEWER)
async def nodes(
    info: Info,
    ids: Annotated[list[strawberry.ID], strawberry.argument(description="Their ids.")],
) -> list[Node | None]:
    """Return things in the order asked, None where the caller sees none."""
    if len(ids) > NODE_COUNT_MAX:
        raise InputError(f"ids has at most {NODE_COUNT_MAX} entries; this has {len(ids):,}.", "ids")
    # At once, so that loaders read those of a kind together.
    return list(await asyncio.gather(*(_load(info.context, each) for each in ids)))


async def _load(context: Context, id: strawberry.ID) -> Node | None:
    name = decode_service_id(id)
    if name is not None:
        service = await context.loaders.service.load(name)
        return MonitoredService.of(service) if service is not None else None
    decoded = decode_id(id)
    if decoded is None:
        return None
    kind, key = decoded
    loaders = context.loaders
    if isinstance(key, EventKey):
        stored = await loaders.event.load(key)
        if stored is None:
            return None
        as_of = await context.reading.as_of()
        return LogEvent.of(stored, cursor_of(stored, as_of.log_epoch))
    if kind is NodeKind.ALERT:
        alert = await loaders.alert.load(AlertId(key))
        return CriticalAlert.of(alert, context.reading.now) if alert is not None else None
    if kind is NodeKind.DELIVERY:
        delivery = await loaders.delivery.load(DeliveryId(key))
        return Delivery.of(delivery) if delivery is not None else None
    return await configured(context, kind, key)
