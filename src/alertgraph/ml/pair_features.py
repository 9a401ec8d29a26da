"""What a scorer of pairs sees: numbers and hashed kinds. Numpy alone; the same in training and serving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from alertgraph.core.correlation import Arrival, PairFacts, Relation

RULE_BUCKETS: Final = 256
UNKNOWN_RULE: Final = RULE_BUCKETS
"""Where kinds go that are left out on purpose in training, so that the scorer learns to do without them."""

_COUNTED: Final = (
    "gap",
    "quiet",
    "earlier_quiet",
    "seen",
    "earlier_seen",
    "rule_seen",
    "earlier_rule_seen",
    "burst",
    "earlier_burst",
    "wave",
    "earlier_wave",
    "candidate_count",
    "arrival_count",
)
NUMBER_NAMES: Final = (
    *(f"relation_{relation.name.lower()}" for relation in Relation),
    "same_rule",
    "same_key",
    *(f"log_{name}" for name in _COUNTED),
    "log_rule_share",
    "log_earlier_rule_share",
)
_PLACES: Final = tuple(PairFacts._fields.index(name) for name in _COUNTED)


def rule_bucket(rule: str) -> int:
    """Return the place of a kind of alert among the embeddings."""
    return crc32(rule.encode()) % RULE_BUCKETS


def pair_numbers(facts: Sequence[PairFacts]) -> NDArray[np.float32]:
    """Return (pairs, len(NUMBER_NAMES)) numbers, not yet standardised.

    What the chance table says is not among them: it says little before it has learned, and a scorer that was
    fitted on its later words would misread its first ones.
    """
    relations = np.array([fact.relation for fact in facts], np.int64)
    same_rule = np.array([fact.same_rule for fact in facts], np.float64)
    counted = np.array([[fact[place] for place in _PLACES] for fact in facts], np.float64)
    logs = np.log1p(np.maximum(counted.reshape(len(facts), len(_PLACES)), 0.0))
    rule, earlier_rule = logs[:, _COUNTED.index("rule_seen")], logs[:, _COUNTED.index("earlier_rule_seen")]
    arrivals = logs[:, _COUNTED.index("arrival_count")]
    numbers = np.concatenate(
        (
            relations[:, None] == np.arange(len(Relation)),
            same_rule[:, None],
            (same_rule * (relations == Relation.ENTITY))[:, None],
            logs,
            (rule - arrivals)[:, None],
            (earlier_rule - arrivals)[:, None],
        ),
        axis=1,
    )
    return numbers.astype(np.float32)


def pair_rules(arrival: Arrival, facts: Sequence[PairFacts]) -> NDArray[np.int64]:
    """Return (pairs, 2) the buckets of the arrival's kind and of each candidate's."""
    here = rule_bucket(arrival.rule)
    return np.array([(here, rule_bucket(fact.earlier.rule)) for fact in facts], np.int64).reshape(-1, 2)
