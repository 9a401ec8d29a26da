"""Links between alerts that are believed to belong together, as they are kept and shown."""

from __future__ import annotations

from dataclasses import dataclass

from alertgraph.core.correlation import Evidence
from alertgraph.core.ids import AlertId
from alertgraph.core.value import quick


@quick
@dataclass(frozen=True, slots=True)
class AlertLink:
    """An alert and one that was there before it.

    Attributes:
        alert: The one that came.
        earlier: The one that was there.
        score: How sure it is that they belong together, 0 to 1.
        evidence: What speaks for it, strongest first; never empty.
    """

    alert: AlertId
    earlier: AlertId
    score: float
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Related:
    """A link as one of the two alerts sees it.

    Attributes:
        other: The alert at the other end.
    """

    other: AlertId
    score: float
    evidence: tuple[Evidence, ...]
