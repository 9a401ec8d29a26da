"""What the model said of alerts, as it is kept: read beside the alerts, and only where somebody asks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from alertgraph.core.ids import AlertId
from alertgraph.core.prediction import DurationEstimate, Prediction
from alertgraph.storage.reader import Reader

_COLUMNS = """
    alert_id, model_version, predicted_at, incident_probability, sla_breach_probability, self_resolve_probability,
    acknowledge_median, acknowledge_low, acknowledge_high, resolve_median, resolve_low, resolve_high, abstained
"""
# Each by the key of its month, however many there are and whatever the planner takes the table for.
_BY_ALERT = """
    SELECT found.* FROM unnest($2::uuid[]) AS one (id) CROSS JOIN LATERAL (
        SELECT {0} FROM prediction WHERE tenant_id = $1 AND alert_id = one.id LIMIT 1) AS found
"""
_PREDICTIONS = _BY_ALERT.format(_COLUMNS)
_FEATURES = _BY_ALERT.format("alert_id, model_version, features")


async def load_predictions(reader: Reader, alert_ids: Collection[AlertId]) -> Mapping[AlertId, Prediction]:
    """Return what the model said of those of the alerts of which it said anything; one round trip."""
    if not alert_ids:
        return {}
    rows = await reader.fetch(_PREDICTIONS, reader.tenant_id, list(alert_ids))
    return {AlertId(row[0]): prediction_of(row, 1) for row in rows}


async def load_features(reader: Reader, alert_ids: Collection[AlertId]) -> Mapping[AlertId, tuple[str, bytes]]:
    """Return which version of the model looked at what, of those of the alerts of which it said anything."""
    if not alert_ids:
        return {}
    rows = await reader.fetch(_FEATURES, reader.tenant_id, list(alert_ids))
    return {AlertId(row[0]): (row[1], row[2]) for row in rows}


def prediction_of(row: Sequence[Any], offset: int = 0) -> Prediction:
    """Return the prediction that a row holds from its model's version on, in the order of the table."""
    (
        model_version,
        predicted_at,
        incident_probability,
        sla_breach_probability,
        self_resolve_probability,
        acknowledge_median,
        acknowledge_low,
        acknowledge_high,
        resolve_median,
        resolve_low,
        resolve_high,
        abstained,
    ) = row[offset : offset + 12]
    return Prediction(
        model_version,
        predicted_at,
        incident_probability,
        sla_breach_probability,
        self_resolve_probability,
        _estimate_of(acknowledge_median, acknowledge_low, acknowledge_high),
        _estimate_of(resolve_median, resolve_low, resolve_high),
        abstained,
    )


def _estimate_of(
    median: timedelta | None, low: timedelta | None, high: timedelta | None
) -> DurationEstimate | None:
    return None if median is None or low is None or high is None else DurationEstimate(median, low, high)
