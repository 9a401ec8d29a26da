"""What makes repeats one alert while it is open."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import orjson


def dedup_key_of(labels: Mapping[str, str], *, title: str, source: str, monitored_service: str | None) -> str:
    """Return the key of an alert whose sender named none: 64 hexadecimal digits.

    The labels alone decide, so that the same condition told by Prometheus and by a script is one alert.
    An alert without labels is told apart by its title, source and service instead: two unlabelled
    alerts with different titles are different problems.
    """
    identity: object = (
        {"labels": dict(labels)} if labels else {"title": title, "source": source, "service": monitored_service}
    )
    try:
        raw = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # No text of any language, such as half a surrogate pair: such contents are refused when they are
        # checked, and until then any key will do.
        raw = b""
    return hashlib.sha256(raw).hexdigest()
