"""Alerts as the API shows them, where only some of their fields are asked for."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from alertgraph.core.alert import Alert
from alertgraph.core.value import partial
from resolvers.alert import CriticalAlert, showing
from resolvers.schema import schema
from tests.factories import ADA, HOUR, T0, a_climbing_alert

TYPE = schema._schema.type_map["CriticalAlert"]
ATTRIBUTES = {
    name: field.extensions["strawberry-definition"].python_name
    for name, field in TYPE.fields.items()  # type: ignore[attr-defined]  # an object type
}
RESOLVED = a_climbing_alert(resolved_at=T0 + HOUR, acknowledged_by=ADA, acknowledged_at=T0, assignee=None)


def known(alert: Alert, fields: Iterable[str]) -> Alert:
    """Return an alert of which only these fields were read."""
    names = tuple(fields)
    return partial(Alert, names)(*(getattr(alert, name) for name in names))


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_each_field_is_made_of_what_is_read_for_it(name: str) -> None:
    shown = showing(frozenset({name}))
    assert shown.fields is not None

    (alone,) = shown.of([known(RESOLVED, shown.fields)], T0 + 2 * HOUR)

    whole = CriticalAlert.of(RESOLVED, T0 + 2 * HOUR)
    attribute = ATTRIBUTES[name]
    if attribute in vars(whole):
        assert getattr(alone, attribute) == getattr(whole, attribute)
    else:
        # A relation, which is asked of the stored alert.
        assert set(vars(alone)) == {"kept"}


def test_what_nobody_asked_for_is_not_there() -> None:
    (alert,) = showing(frozenset({"title"})).of([RESOLVED], T0)

    with pytest.raises(AttributeError):
        _ = alert.sla
