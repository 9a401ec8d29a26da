"""What services need of the world, as protocols, by noun. The wiring alone knows who fulfils them."""

from __future__ import annotations

from alertgraph.services.ports.audit import AuditLag, AuditTrees, SealingObserver, SealingTurn, Signer, Witness
from alertgraph.services.ports.clock import Clock, Dice
from alertgraph.services.ports.configuration import AnsweredError, Configuration, KeySecret, StoredKey
from alertgraph.services.ports.correlation import AlertLinks, PairScorers
from alertgraph.services.ports.deliveries import Deliveries, Notifier
from alertgraph.services.ports.documents import DocumentChange, DocumentRegistry, Documents, StoredDocument
from alertgraph.services.ports.engine import DueWork, PagerObserver
from alertgraph.services.ports.learning import (
    LearningHealth,
    LearningObserver,
    LearningReport,
    LearningReports,
    LearningStates,
    LearningWatch,
    LeaseLostError,
    SavedState,
)
from alertgraph.services.ports.log import LostCommitError, Observer, PoisonError, TenantLog
from alertgraph.services.ports.monitors import DeadManTurns, Monitors, WatchObserver
from alertgraph.services.ports.noise import NoiseBook, NoiseObserver
from alertgraph.services.ports.points import (
    AnomalyObserver,
    FeedPlace,
    PointBatch,
    PointBuffer,
    PointFeed,
    SeriesShard,
    SeriesShards,
    SeriesState,
)
from alertgraph.services.ports.predictions import ModelHost, Outcomes, PredictionModels, Predictor, TenantModel
from alertgraph.services.ports.snapshot import Snapshot, SnapshotSource
from alertgraph.services.ports.vault import Vault
from alertgraph.services.ports.wakeups import CommittedEvents, Wakeups

__all__ = [
    "AlertLinks",
    "AnomalyObserver",
    "AnsweredError",
    "AuditLag",
    "AuditTrees",
    "Clock",
    "CommittedEvents",
    "Configuration",
    "DeadManTurns",
    "Deliveries",
    "Dice",
    "DocumentChange",
    "DocumentRegistry",
    "Documents",
    "DueWork",
    "FeedPlace",
    "KeySecret",
    "LearningHealth",
    "LearningObserver",
    "LearningReport",
    "LearningReports",
    "LearningStates",
    "LearningWatch",
    "LeaseLostError",
    "LostCommitError",
    "ModelHost",
    "Monitors",
    "NoiseBook",
    "NoiseObserver",
    "Notifier",
    "Observer",
    "Outcomes",
    "PagerObserver",
    "PairScorers",
    "PointBatch",
    "PointBuffer",
    "PointFeed",
    "PoisonError",
    "PredictionModels",
    "Predictor",
    "SavedState",
    "SealingObserver",
    "SealingTurn",
    "SeriesShard",
    "SeriesShards",
    "SeriesState",
    "Signer",
    "Snapshot",
    "SnapshotSource",
    "StoredDocument",
    "StoredKey",
    "TenantLog",
    "TenantModel",
    "Vault",
    "Wakeups",
    "WatchObserver",
    "Witness",
]
