"""Which alerts belong together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from alertgraph.core.alert_link import AlertLink
from alertgraph.core.correlation import PairScorer
from alertgraph.core.ids import TenantId
from alertgraph.core.pair_labels import PairExample


class AlertLinks(Protocol):
    """Links between alerts that are believed to belong together; no events. A snapshot reads them."""

    async def keep(self, tenant_id: TenantId, links: Sequence[AlertLink], until: datetime) -> None:
        """Keep links, those that are kept already as they are, and that alerts were looked at up to `until`.

        Raises:
            DependencyError: The store is away; none of them is kept.
        """
        ...


class PairScorers(Protocol):
    """Fits what says of two alerts whether they belong together, where the table is no longer the best."""

    def fit(self, examples: Sequence[PairExample]) -> str:
        """Return a scorer fitted on what people have said, as text; the same for the same. Takes seconds."""
        ...

    def load(self, fitted: str) -> PairScorer:
        """Return the scorer that a text is.

        Raises:
            ForeignStateError: It is of another form.
        """
        ...
