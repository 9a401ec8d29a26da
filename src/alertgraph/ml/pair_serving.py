"""Scorers of pairs as a service has them: fitted on a tenant's own pairs, kept as text, asked alert by alert."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Sequence

import numpy as np

from alertgraph.core.correlation import Arrival, PairFacts, PairScorer
from alertgraph.core.learning import ForeignStateError
from alertgraph.core.pair_labels import PairExample
from alertgraph.ml.pair_features import pair_numbers, pair_rules
from alertgraph.ml.pair_model import PairModel
from alertgraph.ml.train.pairs import LabelledPairs, fit_pairs

# A tenant's own pairs are few: more passes over smaller parts than where there are a million.
EPOCH_COUNT = 24
BATCH_SIZE = 64
SEED = 1


class TorchPairScorers:
    """Fulfils `services.ports.PairScorers`."""

    def fit(self, examples: Sequence[PairExample]) -> str:
        """Return a scorer fitted on what people have said, as text."""
        groups = {group: place for place, group in enumerate(sorted({example.group for example in examples}))}
        pairs = LabelledPairs(
            pair_numbers([example.fact for example in examples]),
            np.concatenate(
                [pair_rules(Arrival("", 0.0, example.rule, ""), [example.fact]) for example in examples]
            ),
            np.array([example.together for example in examples], np.float32),
            np.array([groups[example.group] for example in examples], np.int64),
        )
        model = fit_pairs(pairs, SEED, epoch_count=EPOCH_COUNT, batch_size=BATCH_SIZE)
        written = io.BytesIO()
        # Without pickles: a state says what it is, and nothing that it does.
        np.savez_compressed(written, allow_pickle=False, **model.arrays())
        return base64.b64encode(written.getvalue()).decode()

    def load(self, fitted: str) -> PairScorer:
        """Return the scorer that a text is.

        Raises:
            ForeignStateError: It is of another form.
        """
        try:
            with np.load(io.BytesIO(base64.b64decode(fitted, validate=True)), allow_pickle=False) as arrays:
                model = PairModel.of({name: arrays[name] for name in arrays.files})
        except (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
            raise ForeignStateError(f"this is no scorer of pairs: {error}") from error

        def score(arrival: Arrival, facts: Sequence[PairFacts]) -> Sequence[float]:
            if not facts:
                return ()
            found: list[float] = model.score(pair_numbers(facts), pair_rules(arrival, facts)).tolist()
            return found

        return score
