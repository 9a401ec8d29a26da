"""What resolvers see of a request."""

from dataclasses import dataclass, field
from typing import TypeAlias

import strawberry

from alertgraph.core.budget import Budget
from alertgraph.core.catalog import Catalog
from alertgraph.core.tenant import Principal
from alertgraph.services.advice import AdviceService
from alertgraph.services.alerts import AlertService
from alertgraph.services.anomaly_rules import AnomalyRuleService
from alertgraph.services.calendars import CalendarFeeds
from alertgraph.services.channels import ChannelService
from alertgraph.services.configuration import ConfigurationService
from alertgraph.services.dependencies import DependencyService
from alertgraph.services.incidents import IncidentService
from alertgraph.services.inhibitions import InhibitionService
from alertgraph.services.metrics_feed import MetricsFeed
from alertgraph.services.monitors import MonitorService
from alertgraph.services.reading import Reading
from alertgraph.services.responders import ResponderService
from alertgraph.services.rules import EscalationRuleService
from alertgraph.services.schedules import ScheduleService
from alertgraph.services.silences import SilenceService
from alertgraph.services.streams import StreamService
from resolvers.loaders import Loaders


@dataclass(frozen=True, slots=True)
class Services:
    """What carries out a caller's wishes; one set for the whole process."""

    alerts: AlertService
    configuration: ConfigurationService
    streams: StreamService
    metrics_feed: MetricsFeed
    rules: EscalationRuleService
    inhibitions: InhibitionService
    silences: SilenceService
    monitors: MonitorService
    responders: ResponderService
    schedules: ScheduleService
    channels: ChannelService
    calendars: CalendarFeeds
    incidents: IncidentService
    dependencies: DependencyService
    anomaly_rules: AnomalyRuleService
    advice: AdviceService


@dataclass(frozen=True, slots=True)
class Context:
    """One operation, or one event of a subscription.

    Attributes:
        principal: Who is asking.
        request_id: What a caller may quote.
        reading: The operation's reads, on one snapshot.
        budget: The caller's points, this request paid; None where nothing is counted.
        is_live: Whether it is of one event of a subscription: what takes long keeps all later ones waiting.
    """

    principal: Principal
    request_id: str
    reading: Reading
    services: Services
    budget: Budget | None = None
    is_live: bool = False
    _loaders: Loaders | None = field(init=False, default=None)

    @property
    def loaders(self) -> Loaders:
        """The operation's own, so that no two share what they have read; made once somebody asks."""
        loaders = self._loaders
        if loaders is None:
            loaders = Loaders(
                self.reading, self.services.advice, self.principal.tenant.id, scores=not self.is_live
            )
            object.__setattr__(self, "_loaders", loaders)
        return loaders

    async def catalog(self) -> Catalog:
        """Return everything that people set up for paging, read once per operation."""
        return (await self.loaders.config.load(self.principal.tenant.id)).catalog

    async def renew(self) -> None:
        """Forget what was read: a mutation begins, and shall see what the one before it did."""
        await self.reading.renew()
        object.__setattr__(self, "_loaders", None)


Info: TypeAlias = strawberry.Info[Context, None]
