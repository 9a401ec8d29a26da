"""T7: how grave an incident is and how long it takes, from its first words (GitHub's status posts)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alertgraph.ml.blend import choose_blend
from alertgraph.ml.companions import TreeFitting
from alertgraph.ml.evaluation import measures
from alertgraph.ml.evaluation.data import json_lines
from alertgraph.ml.evaluation.registry import Options
from alertgraph.ml.evaluation.report import Check, Figure, Holding, TaskResult
from alertgraph.ml.features import DAY_SECONDS, FeatureSchema, Observation, words
from alertgraph.ml.model import Examples, Fitting, time_quantile
from alertgraph.ml.train.members import Recipe, fit_members, flat_examples
from alertgraph.ml.train.prequential import Case, Maturing, replay

Floats = NDArray[np.float64]
CHOSEN_FROM = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
SCORED_FROM = datetime(2025, 7, 1, tzinfo=UTC).timestamp()
GRAVE = frozenset({"major", "critical"})
TIME_EDGES = tuple(float(edge) for edge in np.exp(np.linspace(math.log(0.1), math.log(72.0), 14)))
SCHEMA = FeatureSchema(
    groups=((),),
    half_lives=(DAY_SECONDS, 7 * DAY_SECONDS, 30 * DAY_SECONDS),
    outcomes=("grave", "log of hours"),
    outcome_half_life=90 * DAY_SECONDS,
    numbers=("log of the text's length",),
    kind_windows=(),
    neighbour_window=0.0,
    kind_count=1,
    token_count=96,
    bucket_count=4_096,
)


@dataclass(frozen=True, slots=True)
class Posts:
    """Incidents as they were first posted.

    Attributes:
        at: (n,) when the first words were posted.
        texts: Title and first words.
        grave: (n,) 1 where the impact was major or critical.
        hours: (n,) how long it took.
    """

    at: Floats
    texts: Sequence[str]
    grave: Floats
    hours: Floats


def read_posts(incidents: Sequence[Mapping[str, Any]]) -> Posts:
    """Return what was posted first of each incident; maintenance is planned, and no incident."""
    kept = [incident for incident in incidents if incident["impact"] != "maintenance" and incident.get("updates")]
    kept.sort(key=lambda incident: str(incident["updates"][0]["at"]))
    at = np.array([datetime.fromisoformat(incident["updates"][0]["at"]).timestamp() for incident in kept])
    # What was edited into the title later cannot be told apart; the first update was not edited.
    texts = [f"{incident['title']} {incident['updates'][0]['message']}" for incident in kept]
    grave = np.array([float(incident["impact"] in GRAVE) for incident in kept])
    ended = np.array([datetime.fromisoformat(incident["resolved_at"]).timestamp() for incident in kept])
    return Posts(at, texts, grave, np.maximum((ended - at) / 3_600.0, 1 / 60))


def run(data: Path, options: Options) -> TaskResult:
    """Carry T7 out."""
    posts = read_posts(list(json_lines(data, "github_incidents", "incidents.jsonl.gz")))
    cases = [
        Case(
            Observation(
                float(at),
                "github",
                "incident",
                numbers={"log of the text's length": math.log1p(len(text))},
                tokens=_tokens(text),
            ),
            float(at + hours * 3_600.0),
            (
                Maturing("grave", float(grave), float(at + hours * 3_600.0)),
                Maturing("log of hours", math.log(hours), float(at + hours * 3_600.0)),
            ),
        )
        for at, text, grave, hours in zip(posts.at, posts.texts, posts.grave, posts.hours, strict=True)
    ]
    numbers, tokens = replay(cases, SCHEMA, bytes(16))
    known_at = posts.at + posts.hours * 3_600.0
    scored = np.flatnonzero(posts.at >= SCORED_FROM)
    middle = np.flatnonzero((posts.at >= CHOSEN_FROM) & (known_at < SCORED_FROM))
    recipe = Recipe(
        ("grave",),
        SCHEMA.bucket_count,
        SCHEMA.token_count,
        TIME_EDGES,
        hidden_size=32,
        network=Fitting(epochs=20, batch_size=64, decay=0.1),
        trees=TreeFitting(tree_count=40, leaf_count_max=6, leaf_rows_min=20, regularization=10.0),
        seed=options.seed,
    )

    def fitted_before(moment: float, rows: NDArray[np.int64]) -> tuple[dict[str, Floats], Floats]:
        known = np.flatnonzero(known_at < moment)
        flat = flat_examples(numbers[known], tokens[known], {"grave": posts.grave[known]})
        ended = np.ones(len(known), dtype=bool)
        examples = Examples(flat.numbers, flat.tokens, flat.answers, posts.hours[known], ended, flat.weights)
        told, network = fit_members(examples, recipe).answers(numbers[rows], tokens[rows])
        simple = _tf_idf(
            [posts.texts[row] for row in known.tolist()],
            posts.grave[known],
            [posts.texts[row] for row in rows.tolist()],
        )
        assert network.survival is not None
        hours = time_quantile(network.survival, TIME_EDGES, 0.5)
        return {**told["grave"], "words": simple}, np.minimum(hours, TIME_EDGES[-1])

    first, _ = fitted_before(CHOSEN_FROM, middle)
    blend = choose_blend(posts.grave[middle], first, np.ones(len(middle)))
    members, hours = fitted_before(SCORED_FROM, scored)
    labels = posts.grave[scored]
    answered = {
        "blend": blend(members),
        "TF-IDF and logistic regression": members["words"],
        "network": members["network"],
        "trees, without text": members["trees"],
    }
    target = f"major or critical, n = {len(labels)}, base rate {labels.mean():.3f}"
    figures = [Figure(target, "majority", "accuracy", measures.majority_accuracy(labels))]
    units = np.arange(len(labels))
    for method, said in answered.items():
        for name, measure in (("AUPRC", measures.auprc), ("AUROC", measures.auroc)):
            interval = measures.bootstrap(measure, labels, said, units, options.resamplings, options.seed)
            figures.append(Figure(target, method, name, measure(labels, said), interval))
    found, held = _times(posts, known_at, scored, hours, options)
    figures += found
    ours, simple = (measures.auprc(labels, answered[name]) for name in ("blend", "TF-IDF and logistic regression"))
    return TaskResult(
        tuple(figures),
        (
            Check(target, "AUPRC", ours, simple, "TF-IDF and LR of this run"),
            *held,
        ),
        "title and first post only; learnt from what ended before 2025-01, blend chosen on what ended before "
        "2025-07, then learnt from both, scored on the rest; intervals by incident",
        (f"{len(labels)} incidents: read the intervals before the figures",),
    )


def _tokens(text: str) -> list[str]:
    found = words(text)
    return list(dict.fromkeys([*found, *(f"{one} {other}" for one, other in itertools.pairwise(found))]))


def _tf_idf(texts: Sequence[str], labels: Floats, asked: Sequence[str]) -> Floats:
    """Return what the usual simple way says: words and pairs of words, weighted, and a logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectors = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    found = LogisticRegression(C=3.0, class_weight="balanced", max_iter=500).fit(
        vectors.fit_transform(texts), labels
    )
    result: Floats = found.predict_proba(vectors.transform(asked))[:, 1]
    return result


def _times(
    posts: Posts, known_at: Floats, scored: NDArray[np.int64], hours: Floats, options: Options
) -> tuple[list[Figure], list[Check]]:
    truth = np.log(posts.hours[scored])
    middle = float(np.median(np.log(posts.hours[known_at < SCORED_FROM])))
    target = f"hours it takes, n = {len(truth)}"
    figures = []
    errors = {"network": np.abs(np.log(hours) - truth), "median": np.abs(middle - truth)}
    for method, error in errors.items():
        interval = measures.bootstrap(
            lambda values, _: float(values.mean()),
            error,
            error,
            np.arange(len(error)),
            options.resamplings,
            options.seed,
        )
        figures.append(Figure(target, method, "MAE of log hours", float(error.mean()), interval))
    ours, simple = (float(errors[name].mean()) for name in ("network", "median"))
    return figures, [
        Check(target, "MAE of log hours", ours, simple, "median of this run", Holding.AIM, lower_is_better=True)
    ]
