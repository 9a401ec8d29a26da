"""How alerts of the service become what a model looks at: one schema, the same in training and serving.

A live alert has a severity, a source, a service, labels and a title. What it is about is told by labels under many
names; the usual ones are found here. Names hash with the tenant's own salt; only a severity means the same to all.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from alertgraph.core.event import StoredEvent, instant_of
from alertgraph.ml.features import (
    DAY_SECONDS,
    FeatureRow,
    FeatureRows,
    FeatureSchema,
    Observation,
    StateMismatchError,
    words,
)

INCIDENT, BREACH, SELF_RESOLVE = QUESTIONS = ("incident", "breach", "self_resolve")
ACKNOWLEDGE, RESOLVE = TIMES = ("acknowledge", "resolve")
# Half a minute to a week, in hours: after a week nothing more is waited for.
TIME_EDGES = tuple(float(edge) for edge in np.exp(np.linspace(math.log(1 / 120), math.log(24 * 7), 20)))

# What becomes known later, as features of alerts that come after; the first three are the questions, in order.
NEEDED, BREACHED, RESOLVED_ITSELF, LOG_ACKNOWLEDGED, LOG_RESOLVED, LOG_FIRED = OUTCOMES = (
    "share that needed a person",
    "share that missed an SLA time",
    "share that resolved themselves",
    "log of seconds to acknowledge",
    "log of seconds to resolve",
    "log of times fired",
)
# Under which names, most telling first, labels say what an alert is about.
LABELS_OF: Mapping[str, tuple[str, ...]] = {
    "kind": ("alertname", "rule", "check", "check_name", "monitor", "alert_type", "type"),
    "service": ("service", "service_name", "app", "application", "job", "component"),
    "team": ("team", "owner", "squad", "group"),
    "environment": ("environment", "env", "stage", "tier"),
    "place": ("cluster", "region", "zone", "datacenter", "site"),
    "namespace": ("namespace", "project", "account"),
    "host": ("host", "hostname", "instance", "node", "device", "pod"),
}
# What each of these names tells, and how many tell it better.
RANKS = {label: (name, rank) for name, labels in LABELS_OF.items() for rank, label in enumerate(labels)}
SLA_ACKNOWLEDGE, SLA_RESOLVE = "log of seconds allowed to acknowledge", "log of seconds allowed to resolve"
LATE, LABEL_COUNT, TITLE_WORDS = "log of seconds until heard of", "labels", "words of the title"
TITLE_WORDS_MAX = 8
# What nothing is known of is as likely as not; that weighs as much as so many outcomes. Rates of other people's
# alarms would be no better a guess.
EVEN_STRENGTH = 2.0

SCHEMA = FeatureSchema(
    fields=(
        "severity",
        "source",
        "service",
        "kind",
        "team",
        "environment",
        "place",
        "namespace",
        "host",
        "label names",
    ),
    shared=("severity",),
    crosses=(("service", "kind"), ("severity", "kind")),
    groups=((), ("severity",), ("kind",), ("service",), ("service", "kind"), ("host",)),
    half_lives=(300.0, 3_600.0, DAY_SECONDS),
    outcomes=OUTCOMES,
    outcome_half_life=14 * DAY_SECONDS,
    outcome_strength=5.0,
    numbers=(SLA_ACKNOWLEDGE, SLA_RESOLVE, LATE, LABEL_COUNT, TITLE_WORDS),
    kind_windows=(900.0,),
    # Who depends on whom is told to the correlator only, so far.
    neighbour_window=0.0,
    kind_count=12,
    token_count=TITLE_WORDS_MAX,
    bucket_count=4_096,
    key_count_max=4_096,
)
NUMBER_NAMES = SCHEMA.number_names()


def _place_of(group: str, name: str) -> int:
    return NUMBER_NAMES.index(f"{name} of the same {group}")


NARROWEST = " and ".join(SCHEMA.groups[4])
# Where a row says how alerts of the same service and kind ended, each drawn towards wider groups.
RATE_PLACES = tuple(_place_of(NARROWEST, name) for name in OUTCOMES[: len(QUESTIONS)])
# Where it says how many outcomes of the tenant that rests on, as log1p, and how many of the narrowest group.
TENANT_KNOWN = _place_of("tenant", "known outcomes")
TENANT_ARRIVALS = NUMBER_NAMES.index("alerts of the same tenant, fading by half in 1 h")

FEATURES_MAGIC = b"LF2" + bytes.fromhex(SCHEMA.digest())[:8]
# As rows were kept before: deflated, which took most of the time of keeping them.
DEFLATED_MAGIC = b"LF1" + FEATURES_MAGIC[3:]
TOKEN = np.dtype("<u2" if SCHEMA.bucket_count <= 1 << 16 else "<u4")


def seconds_of(at: datetime) -> float:
    """Return an instant as features know it, in seconds since 1970."""
    return at.timestamp()


def observation_of(stored: StoredEvent) -> Observation:
    """Return a new alert as it was known when it came in."""
    event = stored.event
    labels = event.labels
    detail = event.detail
    at = seconds_of(stored.recorded_at)
    title = words(event.title)
    told = _told(labels)
    triggered_at = triggered_of(stored)
    return Observation(
        at=at,
        service=event.service_after or told["service"],
        # Without a rule's name the title is one, numbers and ids masked.
        kind=told["kind"] or " ".join(title),
        fields={
            "severity": event.severity_after.name if event.severity_after is not None else "",
            "source": event.source,
            "label names": ",".join(sorted(labels)),
            **{name: told[name] for name in ("team", "environment", "place", "namespace", "host")},
        },
        numbers={
            SLA_ACKNOWLEDGE: _allowed(detail.get("acknowledgeBy"), triggered_at),
            SLA_RESOLVE: _allowed(detail.get("resolveBy"), triggered_at),
            LATE: math.log1p(max(at - triggered_at, 0.0)),
            LABEL_COUNT: float(len(labels)),
            TITLE_WORDS: float(len(title)),
        },
        tokens=title,
    )


def triggered_of(stored: StoredEvent) -> float:
    """Return when an alert began, as its first event tells; when that was decided where it does not."""
    told = stored.event.detail.get("triggeredAt")
    return seconds_of(instant_of(told) if isinstance(told, str) else stored.event.decided_at)


def _told(labels: Mapping[str, str]) -> dict[str, str]:
    """Return what labels say of an alert, each by the most telling of its names; empty where they say nothing."""
    told = dict.fromkeys(LABELS_OF, "")
    ranks: dict[str, int] = {}
    for label, value in labels.items():
        known = RANKS.get(label)
        if known is not None and value and known[1] < ranks.get(known[0], len(RANKS)):
            told[known[0]] = value
            ranks[known[0]] = known[1]
    return told


def _allowed(due: object, triggered_at: float) -> float:
    return math.log1p(max(seconds_of(instant_of(due)) - triggered_at, 0.0)) if isinstance(due, str) else 0.0


def packed(rows: FeatureRows) -> list[bytes]:
    """Return rows as they are kept with their predictions: some hundred bytes each.

    Half of the numbers are zero. Which are not is told by a bit each; then come those, then the tokens.
    """
    numbers = rows.numbers.astype("<f4")
    told = numbers.view("<u4") != 0
    bits = np.packbits(told, axis=1)
    ends = (4 * told.sum(1).cumsum()).tolist()
    values = numbers[told].tobytes()
    tokens = rows.tokens.astype(TOKEN)
    return [
        FEATURES_MAGIC + own_bits.tobytes() + values[start:end] + own_tokens.tobytes()
        for own_bits, start, end, own_tokens in zip(bits, [0, *ends], ends, tokens, strict=False)
    ]


def unpacked(features: bytes) -> FeatureRow:
    """Return the row that `packed` gave, now or in an earlier release.

    Raises:
        StateMismatchError: It is of another schema, or none.
    """
    magic, kept = features[: len(FEATURES_MAGIC)], features[len(FEATURES_MAGIC) :]
    if magic == FEATURES_MAGIC:
        numbers, tokens = _sparse(kept)
    elif magic == DEFLATED_MAGIC:
        numbers, tokens = _deflated(kept)
    else:
        raise StateMismatchError("these features were written with another schema")
    if not np.isfinite(numbers).all() or tokens.min() < 0 or tokens.max() >= SCHEMA.bucket_count:
        raise StateMismatchError("these features hold what no alert has")
    return FeatureRow(numbers, tokens)


def _sparse(kept: bytes) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    bits_size, tokens_size = (len(NUMBER_NAMES) + 7) // 8, TOKEN.itemsize * len(SCHEMA.token_names())
    bits = np.frombuffer(kept[:bits_size], np.uint8)
    told = np.unpackbits(bits, count=len(NUMBER_NAMES)).astype(bool) if len(bits) == bits_size else None
    if told is None or len(kept) != bits_size + 4 * int(told.sum()) + tokens_size:
        raise StateMismatchError("these features are of another length")
    numbers = np.zeros(len(NUMBER_NAMES), np.float32)
    numbers[told] = np.frombuffer(kept, "<f4", int(told.sum()), bits_size)
    return numbers, np.frombuffer(kept, TOKEN, offset=len(kept) - tokens_size).astype(np.int32)


def _deflated(kept: bytes) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    size = 4 * (len(NUMBER_NAMES) + len(SCHEMA.token_names()))
    try:
        plain = zlib.decompressobj().decompress(kept, size + 1)
    except zlib.error as error:
        raise StateMismatchError("these features are damaged") from error
    if len(plain) != size:
        raise StateMismatchError("these features are of another length")
    numbers = np.frombuffer(plain, "<f4", len(NUMBER_NAMES)).astype(np.float32)
    return numbers, np.frombuffer(plain, "<i4", offset=4 * len(NUMBER_NAMES)).astype(np.int32)


def shrunken(rate: NDArray[np.float64] | float, known: NDArray[np.float64] | float) -> NDArray[np.float64] | float:
    """Return a rate of a tenant with so many known outcomes, drawn towards even chances where there are few."""
    return (known * rate + EVEN_STRENGTH * 0.5) / (known + EVEN_STRENGTH)


def rates(numbers: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return for each row of (n, number_count) how often alerts like it turned out so: (n, question_count)."""
    known = np.expm1(numbers[:, TENANT_KNOWN].astype(np.float64))[:, None]
    own = np.clip(numbers[:, RATE_PLACES].astype(np.float64), 0.0, 1.0)
    return np.asarray(shrunken(own, known))
