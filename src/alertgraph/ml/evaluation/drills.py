"""T10: what must hold however good a model is: walls between tenants, promotion, rollback, kills, spoilt numbers.

Drills on made-up logs (`made_log`): each passes or does not, and says nothing of how good a model is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import torch

import alertgraph
from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.event import Event, EventKind, StoredEvent
from alertgraph.core.ids import TenantId
from alertgraph.core.learning import Example, Outcome, Step, Taken
from alertgraph.core.prediction import Prediction
from alertgraph.ml import live
from alertgraph.ml.artifact import Artifact, read_artifact
from alertgraph.ml.evaluation import measures
from alertgraph.ml.evaluation.made_log import World, batches, made_log
from alertgraph.ml.evaluation.registry import Options
from alertgraph.ml.evaluation.report import Check, Figure, TaskResult
from alertgraph.ml.serving import LiveHost, LiveModel
from alertgraph.ml.train.candidate import train_candidate

BUNDLED = Path(alertgraph.__file__).parent / "ml" / "bundled" / "torch_v1.agmodel"
ONE, OTHER = TenantId(UUID(int=1)), TenantId(UUID(int=2))
SALT = bytes(range(32))
MODEL = Actor(ActorKind.MODEL, "prediction model")
# With a tenth of all alerts judged the wrong way round a model may lose so much AUROC on honest outcomes.
FLIPS_COST_MAX = 0.05


class Tenant:
    """A tenant at its desk: its model takes a log, and what comes of it is done as the service does it."""

    def __init__(self, host: LiveHost, tenant_id: TenantId = ONE) -> None:
        self.host = host
        self.tenant_id = tenant_id
        self.model: LiveModel = host.open(tenant_id, SALT, None, {})
        self.said: dict[UUID, Prediction] = {}
        self.examples: list[Example] = []
        self.steps: list[tuple[Step, str]] = []
        self._looked: dict[UUID, bytes] = {}
        self._number = 0
        self._before = self.model.version

    def take(self, events: Sequence[StoredEvent], size: int = 50) -> None:
        """Take a log in batches, numbered behind what was taken before, and carry out what it calls for."""
        for batch in batches(events, (size,)):
            numbered = [replace(stored, number=self._number + place) for place, stored in enumerate(batch, 1)]
            self._number += len(numbered)
            self._kept(self.model.take(numbered, numbered[-1].recorded_at), numbered[-1])

    def _kept(self, taken: Taken, last: StoredEvent) -> None:
        for scored in taken.scored:
            self.said[scored.alert_id] = scored.prediction
            self._looked[scored.alert_id] = scored.features
        for outcome in taken.outcomes:
            if outcome.alert_id in self._looked:
                self.examples.append(Example(last.recorded_at, self._looked[outcome.alert_id], outcome))
        for step in taken.steps:
            self.steps.append((step.step, step.version))
            if step.step is Step.PROMOTE:
                self._before = self.model.version
                self.tell(EventKind.MODEL_PROMOTED, step.version, last)
            elif step.step is Step.ROLL_BACK:
                self.tell(EventKind.MODEL_ROLLED_BACK, self._before, last)
            else:
                self.model.drop_trial(step.version)

    def tell(self, kind: EventKind, version: str, last: StoredEvent) -> None:
        """Have the log tell of a version, as the service does when it has changed it."""
        self._number += 1
        event = Event(kind, MODEL, last.recorded_at, detail={"version": version})
        self.model.take([replace(last, number=self._number, event=event)], last.recorded_at)

    def auroc(self) -> float:
        """Return how well the version in use ranks, by the tenant's own outcomes."""
        figures = next(each for each in self.model.figures() if each.version == self.model.version)
        return next((metric.value for metric in figures.metrics if metric.name == "auroc"), float("nan"))


def run(data: Path, options: Options) -> TaskResult:  # noqa: ARG001  (made-up logs need no data)
    """Carry T10 out."""
    torch.set_num_threads(1)
    host = LiveHost(read_artifact(BUNDLED, live.SCHEMA))
    drills: dict[str, Callable[[LiveHost], float]] = {
        "a token planted with one tenant changes no bit of another's state or answers": token_is_silent,
        "no token is in what a tenant's model keeps": token_is_not_kept,
        "a better version is promoted by its outcomes alone": better_is_promoted,
        "a worse version is never promoted": worse_is_not_promoted,
        "a version that turns out worse is put back by itself": worse_is_put_back,
        "killed anywhere and resumed, it is the same bit by bit": kill_is_nothing,
        "a candidate is the same, made twice": candidate_is_the_same,
        "numbers that are none are told to nobody, and their version is taken out": spoilt_is_taken_out,
    }
    figures, checks = [], []
    for drill, carry_out in drills.items():
        held = carry_out(host)
        figures.append(Figure("drills", drill, "holds", held))
        checks.append(Check("drills", drill, held, 1.0, "what must hold"))
    honest, misled = flips_cost(host)
    figures.append(Figure("drills", "candidate of honest judgements", "AUROC on honest outcomes", honest))
    figures.append(Figure("drills", "candidate of 10 % flipped judgements", "AUROC on honest outcomes", misled))
    checks.append(
        Check(
            "drills",
            "AUROC lost to 10 % flipped judgements",
            honest - misled,
            FLIPS_COST_MAX,
            "what may be lost",
            lower_is_better=True,
        )
    )
    return TaskResult(tuple(figures), tuple(checks), "made-up logs, one seed each; 1 holds, 0 does not")


# --------------------------------------------------------------------------------------------- walls


def token_is_silent(host: LiveHost) -> float:
    """Return 1 where a tenant is the same to the bit, whatever another one's alerts say beside it."""
    kept = []
    for token in ("", "canary-5f1d"):
        one, other = Tenant(host, ONE), Tenant(host, OTHER)
        mine = list(made_log(World(seed=3), 500))
        beside = list(made_log(World(seed=4, token=token), 500))
        for start in range(0, max(len(mine), len(beside)), 200):
            one.take(mine[start : start + 200])
            other.take(beside[start : start + 200])
        candidate = train_candidate(host.bundled, one.examples).to_bytes()
        kept.append((one.model.state(), tuple(one.said.items()), candidate))
    return float(kept[0] == kept[1])


def token_is_not_kept(host: LiveHost) -> float:
    """Return 1 where neither state nor candidate of a tenant holds what its alerts say."""
    tenant = Tenant(host)
    tenant.take(list(made_log(World(seed=4, token="canary-5f1d"), 500)))  # noqa: S106  (no secret: a word to look for)
    kept = tenant.model.state() + train_candidate(host.bundled, tenant.examples).to_bytes()
    return float(b"canary" not in kept and all(b"canary" not in each.features for each in tenant.examples))


# ------------------------------------------------------------------------------------------ versions


def _upside_down(artifact: Artifact, name: str) -> Artifact:
    """Return a version that says the opposite of what it knows, and cannot be set right by a straight line."""
    network = artifact.network.copy()
    with torch.no_grad():
        draw = torch.Generator().manual_seed(1)
        for weights in (network.network.numbers_in.weight, network.network.out):
            weights.copy_(torch.randn(weights.shape, generator=draw) * weights.std() * 3)
    blends = {
        question: replace(blend, weights={"linear": 0.0, "network": 1.0, "trees": 0.0})
        for question, blend in artifact.blends.items()
    }
    return Artifact(replace(artifact.manifest, name=name), network, {}, {}, blends, artifact.baseline)


def better_is_promoted(host: LiveHost) -> float:
    """Return 1 where a version that knows the tenant takes over from one that says nonsense, and stays."""
    poor = LiveHost(_upside_down(host.bundled, "torch_v0"))
    tenant = Tenant(poor)
    log = list(made_log(World(seed=5, by_severity=True), 3_000))
    tenant.take(log[:3_000])
    better = train_candidate(host.bundled, tenant.examples)
    tenant.model.try_out(better.manifest.name, better.to_bytes())
    tenant.take(log[3_000:])
    promoted = (Step.PROMOTE, better.manifest.name) in tenant.steps
    return float(promoted and tenant.model.version == better.manifest.name)


def worse_is_not_promoted(host: LiveHost) -> float:
    """Return 1 where a version that says nonsense is never put into use."""
    tenant = Tenant(host)
    worse = _upside_down(host.bundled, "worse")
    tenant.model.try_out("worse", worse.to_bytes())
    tenant.take(list(made_log(World(seed=6), 1_500)))
    return float(tenant.model.version == host.version and (Step.PROMOTE, "worse") not in tenant.steps)


def worse_is_put_back(host: LiveHost) -> float:
    """Return 1 where a version that was good when it was promoted and then fails gives way by itself."""
    tenant = Tenant(host)
    log = list(made_log(World(seed=7), 3_000))
    tenant.take(log[:3_000])
    candidate = train_candidate(host.bundled, tenant.examples)
    name = candidate.manifest.name
    tenant.model.try_out(name, candidate.to_bytes())
    tenant.take(log[3_000:5_000])
    tenant.tell(EventKind.MODEL_PROMOTED, name, log[4_999])
    # Its weights rot where they lie: from now on it says with confidence what is not so.
    rotten = tenant.model.loaded(name)
    with torch.no_grad():
        rotten.network.network.out_bias.add_(12.0)
    for trees in rotten.trees.values():
        trees.value[:] += 1.0
    tenant.take(log[5_000:])
    return float((Step.ROLL_BACK, name) in tenant.steps and tenant.model.version == host.version)


# --------------------------------------------------------------------------------------------- faults


def kill_is_nothing(host: LiveHost) -> float:
    """Return 1 where being killed and resumed, at any of several places, changes no bit."""
    log = list(made_log(World(seed=8), 800))
    whole = host.open(ONE, SALT, None, {})
    for batch in batches(log, (1_000,)):
        whole.take(batch, batch[-1].recorded_at)
    expected = whole.state()
    for killed_at in (1, 77, 500, 1_500):
        first = host.open(ONE, SALT, None, {})
        first.take(log[:killed_at], log[0].recorded_at)
        again = host.open(ONE, SALT, first.state(), {})
        for batch in batches(log[killed_at:], (64, 7)):
            again.take(batch, batch[-1].recorded_at)
        if again.state() != expected:
            return 0.0
    return 1.0


def candidate_is_the_same(host: LiveHost) -> float:
    """Return 1 where training that was killed and done again comes to the same bytes."""
    tenant = Tenant(host)
    tenant.take(list(made_log(World(seed=9), 600)))
    once, again = (train_candidate(host.bundled, tenant.examples).to_bytes() for _ in range(2))
    return float(once == again)


def spoilt_is_taken_out(host: LiveHost) -> float:
    """Return 1 where a version whose weights turn into no numbers tells nobody, and gives way."""
    tenant = Tenant(host)
    log = list(made_log(World(seed=10), 1_500))
    tenant.take(log[:2_000])
    candidate = train_candidate(host.bundled, tenant.examples)
    name = candidate.manifest.name
    tenant.model.try_out(name, candidate.to_bytes())
    tenant.tell(EventKind.MODEL_PROMOTED, name, log[1_999])
    tenant.said.clear()
    with torch.no_grad():
        tenant.model.loaded(name).network.network.out_bias.fill_(float("nan"))
    tenant.take(log[2_000:])
    finite = all(
        np.isfinite((one.incident_probability, one.sla_breach_probability, one.self_resolve_probability)).all()
        for one in tenant.said.values()
    )
    rolled = (Step.ROLL_BACK, name) in tenant.steps and tenant.model.version == host.version
    return float(finite and rolled and bool(tenant.said))


def flips_cost(host: LiveHost) -> tuple[float, float]:
    """Return the AUROC of candidates of honest and of partly flipped judgements, on honest outcomes."""
    found = []
    judge = Tenant(host)
    judge.take(list(made_log(World(seed=11, by_severity=True), 1_600)))
    rows = [live.unpacked(each.features) for each in judge.examples[-400:]]
    labels = np.array([float(each.outcome.needed_person) for each in judge.examples[-400:]])
    for share in (0.0, 0.1):
        draw = np.random.default_rng(12)
        told = [
            replace(each, outcome=_flipped(each.outcome)) if draw.random() < share else each
            for each in judge.examples[:-400]
        ]
        candidate = train_candidate(host.bundled, told)
        said = candidate.answers(
            np.stack([row.numbers for row in rows]), np.stack([row.tokens for row in rows])
        ).probabilities[live.INCIDENT]
        found.append(measures.auroc(labels, said))
    return found[0], found[1]


def _flipped(outcome: Outcome) -> Outcome:
    return replace(outcome, needed_person=not outcome.needed_person)
