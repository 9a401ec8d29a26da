"""A tenant's model at work: takes in its log, says what new alerts will become, and learns what became of them.

Everything that is remembered follows from the events in order and from which versions were offered when. So a
process that is killed goes on from what it saved last and comes to the same state, bit by bit, however the events
are cut into batches.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import torch
from numpy.typing import NDArray

from alertgraph.core.alert import AlertVerdict
from alertgraph.core.event import EventKind, StoredEvent
from alertgraph.core.ids import AlertId, TenantId
from alertgraph.core.learning import (
    JUDGED_WITHIN,
    LABELS_MIN,
    MATURE_AFTER,
    ForeignStateError,
    ModelFigures,
    ModelStep,
    Outcome,
    Scored,
    Step,
    Taken,
)
from alertgraph.core.prediction import (
    DurationEstimate,
    FeatureContribution,
    Prediction,
    ShadowPrediction,
)
from alertgraph.ml import live
from alertgraph.ml.artifact import Artifact, ArtifactError, artifact_from_bytes, read_artifact
from alertgraph.ml.calibration import expit
from alertgraph.ml.explaining import contributions
from alertgraph.ml.features import (
    Ended,
    FeatureRows,
    FeatureState,
    StateMismatchError,
    Told,
    Trace,
    TurnedOut,
)
from alertgraph.ml.figures import figures_of
from alertgraph.ml.live import QUESTIONS
from alertgraph.ml.voice import SAID, SAID_SIZE, Voice
from alertgraph.ml.watch import SIGMAS, Duel, PageHinkley, Shares

FORMAT = b"AGLIVE01"
# What is waited for at most; the oldest is given up first, and counts as it stands.
OPEN_MAX = 20_000
# Ended alerts that somebody may still judge.
JUDGEABLE_MAX = 2_048
# A version that was promoted is held against the one before it for so many outcomes.
WATCHED_FOR = 1_000
PSI_MAX = 0.25
# Outcomes that a new version is tuned by before it is held against the one in use.
WARMS_UP = 200

_GROUP_COUNT = len(live.SCHEMA.groups)
_ALERT = np.dtype(
    [
        ("id", "u1", (16,)),
        ("at", "<f8"),
        ("keys", "<u8", (_GROUP_COUNT,)),
        ("entity", "<u8"),
        ("triggered_at", "<f8"),
        ("acknowledged_after", "<f8"),
        ("resolved_after", "<f8"),
        ("ended_at", "<f8"),
        ("fired", "<u4"),
        ("escalated", "u1"),
        ("breached", "u1"),
        ("self_resolved", "u1"),
        ("verdict", "u1"),
        ("needed", "u1"),
        ("has_said", "u1", (2,)),
        ("abstained", "u1"),
        ("said", "<f4", (2, SAID_SIZE)),
    ]
)


@dataclass(slots=True)
class _Alert:
    """An alert that something is still waited for.

    Attributes:
        said: By the version in use, and by the one beside it; None where it was not asked.
        needed: What was concluded when it matured; None before.
    """

    id: AlertId
    trace: Trace
    triggered_at: float
    said: list[NDArray[np.float32] | None]
    abstained: bool
    fired: int = 1
    escalated: bool = False
    breached: bool = False
    self_resolved: bool = False
    verdict: int = 0
    acknowledged_after: float = math.nan
    resolved_after: float = math.nan
    ended_at: float = math.nan
    needed: bool | None = None

    @property
    def needed_person(self) -> bool:
        """Whether it needed a person, as far as is known."""
        if self.verdict:
            return self.verdict == AlertVerdict.ACTIONABLE
        return self.escalated or self.breached


@dataclass(slots=True)
class _Look:
    """A new alert that something is to be said of; its features are known once what happened is taken in."""

    alert: _Alert


@dataclass(slots=True)
class _Lesson:
    """What became of an alert, to be learnt from."""

    alert: _Alert
    labels: tuple[float, float, float]
    hours: tuple[float, float]


@dataclass(slots=True)
class _News:
    """What a batch of events comes to while it is taken in.

    Attributes:
        told: What features remember, in order.
        work: Looks and lessons in the order of their events: what features are follows from the events alone, so
            all looks of a batch are scored at once afterwards.
    """

    told: list[Told] = field(default_factory=list)
    work: list[_Look | _Lesson] = field(default_factory=list)
    scored: dict[AlertId, Scored] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    steps: list[ModelStep] = field(default_factory=list)
    wants_candidate: bool = False


class LiveModel:
    """Fulfils `services.ports.TenantModel`. Not safe for threads: one worker owns it.

    Args:
        salt: The tenant's: its names hash to other buckets than anyone else's.
        bundled: The version that everyone begins with.
    """

    def __init__(self, salt: bytes, bundled: Artifact) -> None:
        self._bundled = bundled
        self._known: dict[str, Artifact] = {bundled.manifest.name: bundled}
        self._features = FeatureState(live.SCHEMA, salt)
        self._active = Voice(bundled.manifest.name, bundled)
        # The version beside it: one that is tried, or the one before, while a new one is watched.
        self._other: Voice | None = None
        self._is_trial = False
        self._duel = Duel()
        # What is to become of the other version was told and is not done yet.
        self._told_step = False
        self._open: dict[AlertId, _Alert] = {}
        self._ended: dict[AlertId, _Alert] = {}
        self._label_count = 0
        self._number = 0
        self._losses, self._too_high, self._too_low = PageHinkley(), PageHinkley(), PageHinkley()
        self._arrivals, self._chances = Shares(), Shares()
        self._input_told = False

    # ------------------------------------------------------------------------------------ versions

    @property
    def version(self) -> str:
        """The version in use."""
        return self._active.version

    @property
    def trial(self) -> str | None:
        """The version that is being tried; None where none is."""
        return self._other.version if self._other is not None and self._is_trial else None

    @property
    def watches(self) -> bool:
        """Whether there is a version beside the one in use, so that no other can be tried now."""
        return self._other is not None

    @property
    def label_count(self) -> int:
        """Outcomes of the tenant so far."""
        return self._label_count

    def loaded(self, version: str) -> Artifact:
        """Return a version that is in use, beside it, or the one that all begin with."""
        return self._known[version]

    def try_out(self, version: str, content: bytes) -> None:
        """Let a version score the same alerts from now on, unseen.

        Raises:
            ForeignStateError: It can't be used here; the message says why.
        """
        if version in (self.version, self.trial):
            return
        self._known[version] = _artifact(content)
        self._beside(Voice(version, self._known[version]), is_trial=True)

    def drop_trial(self, version: str) -> None:
        """Try a version no longer."""
        if self.trial == version:
            self._beside(None, is_trial=False)

    def _beside(self, voice: Voice | None, *, is_trial: bool) -> None:
        self._other, self._is_trial = voice, is_trial
        self._duel = Duel()
        self._told_step = False
        for alert in (*self._open.values(), *self._ended.values()):
            alert.said[1] = None

    def _promote(self, version: str, content: bytes | None = None) -> None:
        """Let a version take over; the one before stays beside it for a while."""
        if version == self.version:
            return
        before = self._active
        if self._other is not None and self._other.version == version:
            self._active, self._other = self._other, before
            for alert in (*self._open.values(), *self._ended.values()):
                alert.said.reverse()
            self._is_trial = False
            self._duel = Duel()
            self._told_step = False
        else:
            artifact = self._known.get(version) or (_artifact(content) if content is not None else None)
            if artifact is None:
                return
            for alert in (*self._open.values(), *self._ended.values()):
                alert.said[0] = None
            self._active = Voice(version, artifact)
            self._beside(before, is_trial=False)
        for series in (self._losses, self._too_high, self._too_low):
            series.restart()
        self._chances = Shares()
        # What is neither in use nor beside it is needed no more, but for the one that all begin with.
        keep = {self._active.version, self._bundled.manifest.name}
        keep |= {self._other.version} if self._other is not None else set()
        self._known = {name: artifact for name, artifact in self._known.items() if name in keep}

    def _put_back(self, version: str) -> None:
        """Let an earlier version take over again; the one in use is done with."""
        if version == self.version:
            return
        self._promote(version if version in self._known else self._bundled.manifest.name)
        self._beside(None, is_trial=False)

    # -------------------------------------------------------------------------------------- taking

    def take(self, events: Sequence[StoredEvent], now: datetime) -> Taken:
        """Take in events in order; return what is said of the new alerts among them and what has become known."""
        news = _News()
        for stored in events:
            if stored.number <= self._number:
                # Taken before.
                continue
            self._number = stored.number
            self._take_one(stored, news, now)
        self._work(news, now)
        return Taken(
            tuple(news.scored.values()),
            tuple(news.outcomes),
            tuple(news.steps),
            self._label_count,
            news.wants_candidate,
        )

    def peek(self, events: Sequence[StoredEvent], now: datetime) -> Sequence[Scored]:
        """Return what would be said of new alerts, without remembering them."""
        alerts, known = [], []
        for stored in events:
            alert_id = stored.event.alert_id
            assert alert_id is not None, "only of alerts is anything said"
            observed = live.observation_of(stored)
            observed = replace(observed, at=max(observed.at, self._features.at))
            known.append(self._features.recognise(observed))
            alerts.append(_Alert(alert_id, known[-1].trace, observed.at, [None, None], abstained=self._abstains))
        rows = self._features.ask(known)
        for voice, said in self._heard(rows)[:1]:
            voice.speak(said)
            for alert, row in zip(alerts, said, strict=True):
                alert.said[0] = row if np.isfinite(row).all() else None
        return self._scored(alerts, rows, now)

    @property
    def _abstains(self) -> bool:
        """Whether too little is known of the tenant by now to show more than rates."""
        return self._label_count < LABELS_MIN

    def _take_one(self, stored: StoredEvent, news: _News, now: datetime) -> None:
        event, at = stored.event, live.seconds_of(stored.recorded_at)
        # What is waited for too long counts before whatever comes now.
        while self._open:
            oldest = next(iter(self._open.values()))
            if oldest.trace.at + MATURE_AFTER.total_seconds() > at and len(self._open) <= OPEN_MAX:
                break
            self._mature(oldest, at, news)
        kind = event.kind
        if kind is EventKind.MODEL_PROMOTED or kind is EventKind.MODEL_ROLLED_BACK:
            self._work(news, now)
            version = event.detail.get("version")
            if isinstance(version, str):
                if kind is EventKind.MODEL_PROMOTED:
                    self._promote(version)
                else:
                    self._put_back(version)
            return
        if event.alert_id is None:
            return
        if kind is EventKind.TRIGGERED or kind is EventKind.REOPENED:
            self._observe(stored, news)
            return
        alert = self._open.get(event.alert_id)
        if alert is None:
            if kind is EventKind.FEEDBACK_GIVEN:
                self._judge(stored, at, news)
            return
        if kind is EventKind.REPEATED or kind is EventKind.UPDATED:
            count = event.detail.get("occurrenceCount")
            alert.fired = max(alert.fired, count if isinstance(count, int) else 0)
        elif kind is EventKind.ACKNOWLEDGED:
            if event.elapsed_ms is not None and math.isnan(alert.acknowledged_after):
                alert.acknowledged_after = event.elapsed_ms / 1000.0
        elif kind is EventKind.ESCALATED:
            level = event.detail.get("level")
            alert.escalated |= (isinstance(level, int) and level > 1) or bool(event.detail.get("round"))
        elif kind is EventKind.SLA_BREACHED:
            alert.breached = True
        elif kind is EventKind.FEEDBACK_GIVEN:
            alert.verdict = _verdict_of(stored)
        elif kind is EventKind.RESOLVED:
            alert.resolved_after = (event.elapsed_ms or 0) / 1000.0
            alert.ended_at = at
            alert.self_resolved = bool(event.self_resolved)
            alert.breached |= event.sla_met is False
            news.told.append(Ended(alert.trace, at))
            self._mature(alert, at, news)

    def _observe(self, stored: StoredEvent, news: _News) -> None:
        alert_id = stored.event.alert_id
        assert alert_id is not None, "who triggers has an id"
        known = self._features.recognise(live.observation_of(stored))
        news.told.append(known)
        alert = _Alert(
            alert_id,
            known.trace,
            live.triggered_of(stored),
            [None, None],
            abstained=self._abstains,
        )
        self._open[alert_id] = alert
        news.work.append(_Look(alert))

    # -------------------------------------------------------------------------------------- saying

    def _work(self, news: _News, now: datetime) -> None:
        """Say something of the new alerts, and learn, in the order of the events."""
        rows = self._features.take(news.told)
        news.told.clear()
        heard = self._heard(rows)
        arrivals = np.expm1(rows.numbers[:, live.TENANT_ARRIVALS].astype(np.float64))
        busy = (np.log2(1.0 + arrivals) / 16.0).tolist()
        looks: list[_Alert] = []
        waiting: list[int] = []
        unsaid: set[AlertId] = set()
        for work in news.work:
            if isinstance(work, _Look):
                waiting.append(len(looks))
                self._arrivals.learn(busy[len(looks)])
                looks.append(work.alert)
                unsaid.add(work.alert.id)
                continue
            if waiting and (self._tunes_next or work.alert.id in unsaid):
                # Whatever came in before is said as things stood then.
                self._speak(looks, waiting, rows, heard, news, now)
                waiting.clear()
                unsaid.clear()
            self._learn(work, news)
        self._speak(looks, waiting, rows, heard, news, now)
        news.work.clear()

    @property
    def _tunes_next(self) -> bool:
        return self._active.tunes_next or (self._other is not None and self._other.tunes_next)

    def _heard(self, rows: FeatureRows) -> list[tuple[Voice, NDArray[np.float32]]]:
        """Return what each version's members say of all new alerts at once."""
        if not len(rows):
            return []
        return [
            (voice, voice.heard(rows.numbers, rows.tokens))
            for voice in (self._active, self._other)
            if voice is not None
        ]

    def _speak(
        self,
        looks: Sequence[_Alert],
        places: Sequence[int],
        rows: FeatureRows,
        heard: Sequence[tuple[Voice, NDArray[np.float32]]],
        news: _News,
        now: datetime,
    ) -> None:
        """Say something of some of the new alerts."""
        if not places:
            return
        chosen = np.array(places)
        alerts = [looks[place] for place in places]
        for slot, (voice, members) in enumerate(heard):
            said = members[chosen]
            voice.speak(said)
            is_sound = np.isfinite(said).all(1).tolist()
            if not all(is_sound):
                self._take_out(voice, news)
            if voice in (self._active, self._other):
                for alert, row, sound in zip(alerts, said, is_sound, strict=True):
                    if sound:
                        # Its own: an alert that stays open would keep what was said of all beside it.
                        alert.said[slot] = row.copy()
        # Nobody waits for what is over by now.
        still = [place for place, alert in enumerate(alerts) if alert.id in self._open]
        own = FeatureRows(rows.numbers[chosen[still]], rows.tokens[chosen[still]])
        for scored in self._scored([alerts[place] for place in still], own, now):
            news.scored[scored.alert_id] = scored

    def _scored(self, alerts: Sequence[_Alert], rows: FeatureRows, now: datetime) -> list[Scored]:
        """Return what is said of alerts with these features, by what was said of each."""
        if not alerts:
            return []
        version, trial = self.version, self.trial
        nothing = np.zeros(SAID_SIZE, np.float32)
        said = np.stack([nothing if alert.said[0] is None else alert.said[0] for alert in alerts])
        shown = _chances(said).tolist()
        usual = live.rates(rows.numbers).tolist()
        seconds = self._active.ranges(said) * 3_600.0
        milliseconds = np.rint(np.nan_to_num(seconds, nan=-1.0) * 1e3).astype(np.int64).tolist()
        found = []
        for place, (alert, features) in enumerate(zip(alerts, live.packed(rows), strict=True)):
            if alert.abstained or alert.said[0] is None:
                incident, breach, self_resolve = usual[place]
                prediction = Prediction(version, now, incident, breach, self_resolve, abstained=True)
            else:
                acknowledge, resolve = map(_estimate, milliseconds[place])
                incident, breach, self_resolve = shown[place]
                prediction = Prediction(version, now, incident, breach, self_resolve, acknowledge, resolve)
            other = alert.said[1]
            shadow = None
            if other is not None and trial is not None:
                shadow = ShadowPrediction(trial, *_chances(other[None])[0].tolist())
            found.append(Scored(alert.id, prediction, features, shadow))
        return found

    def _take_out(self, voice: Voice, news: _News) -> None:
        """Have a version taken out of use that says what is no number; the one that all begin with stays."""
        if voice.version == self._bundled.manifest.name:
            return
        step = Step.ROLL_BACK if voice is self._active else Step.RETIRE
        if all(known.version != voice.version for known in news.steps):
            news.steps.append(ModelStep(step, voice.version, "it said what is no number"))

    # ------------------------------------------------------------------------------------ learning

    def _mature(self, alert: _Alert, at: float, news: _News) -> None:
        """Learn what became of an alert; from now on only a judgement can change it."""
        del self._open[alert.id]
        alert.needed = alert.needed_person
        self._label_count += 1
        self._settle(alert, at, news)
        news.work.append(_lesson(alert))
        news.outcomes.append(_outcome(alert, at))
        self._ended[alert.id] = alert
        if len(self._ended) > JUDGEABLE_MAX:
            del self._ended[next(iter(self._ended))]

    def _settle(self, alert: _Alert, at: float, news: _News) -> None:
        """Let features of later alerts know of it."""
        told = {
            live.NEEDED: float(alert.needed_person),
            live.BREACHED: float(alert.breached),
            live.RESOLVED_ITSELF: float(alert.self_resolved),
            live.LOG_ACKNOWLEDGED: math.log1p(max(alert.acknowledged_after, 0.0)),
            live.LOG_RESOLVED: math.log1p(max(alert.resolved_after, 0.0)),
            live.LOG_FIRED: math.log1p(alert.fired),
        }
        known = {outcome: value for outcome, value in told.items() if not math.isnan(value)}
        news.told.append(TurnedOut(alert.trace, known, at))

    def _learn(self, lesson: _Lesson, news: _News) -> None:
        """Let versions learn from what became of an alert, and see which of them knew better."""
        labels = lesson.labels
        mine, others = lesson.alert.said
        if mine is not None:
            # What the network itself said: how it is straightened changes with every few outcomes.
            self._chances.learn(float(expit(mine[:1].astype(np.float64))[0]))
            gap = labels[0] - float(mine[SAID])
            drifts = [
                self._losses.learn(_loss(mine, labels)),
                self._too_high.learn(-gap),
                self._too_low.learn(gap),
                self._inputs_move(),
            ]
            self._active.learn(mine, labels, lesson.hours)
            if any(drifts):
                self._active.moved()
                news.wants_candidate = True
        if others is None or self._other is None:
            return
        self._other.learn(others, labels, lesson.hours)
        # One that is new has to find its own blend and line first: it would lose for no fault of its own.
        if mine is not None and self._other.label_count > WARMS_UP:
            self._duel.learn(
                labels[0], float(mine[SAID]), float(others[SAID]), _loss(mine, labels), _loss(others, labels)
            )
            self._decide(news)

    def _inputs_move(self) -> bool:
        """Return whether inputs have begun to differ from those before: once for each time that they do."""
        moved = max(self._arrivals.index(), self._chances.index()) > PSI_MAX
        begins = moved and not self._input_told
        self._input_told = moved
        return begins

    def _decide(self, news: _News) -> None:
        """Say what is to become of versions, once; it happens when the log tells so."""
        assert self._other is not None
        if self._told_step:
            return
        if self._is_trial:
            reason, step, version = self._duel.promotes(), Step.PROMOTE, self._other.version
            if reason is None:
                reason, step = self._duel.gives_up(), Step.RETIRE
        elif self._duel.sigmas_worse() > SIGMAS:
            reason, step, version = (
                f"over the last 200 outcomes it lost more than {self._other.version} by "
                f"{self._duel.sigmas_worse():.1f} standard errors",
                Step.ROLL_BACK,
                self.version,
            )
        else:
            if self._duel.count >= WATCHED_FOR:
                self._beside(None, is_trial=False)
            return
        if reason is not None:
            self._told_step = True
            news.steps.append(ModelStep(step, version, reason))

    def _judge(self, stored: StoredEvent, at: float, news: _News) -> None:
        """Learn from a judgement of an alert that has ended."""
        alert_id = stored.event.alert_id
        assert alert_id is not None
        alert = self._ended.get(alert_id)
        if alert is None or at - alert.ended_at > JUDGED_WITHIN.total_seconds():
            return
        alert.verdict = _verdict_of(stored)
        if alert.needed_person == alert.needed:
            return
        alert.needed = alert.needed_person
        self._settle(alert, at, news)
        news.work.append(_lesson(alert))
        news.outcomes.append(_outcome(alert, at))

    # -------------------------------------------------------------------------------------- telling

    def explain(
        self, features: bytes, model_version: str, *, abstained: bool = False
    ) -> Sequence[FeatureContribution]:
        """Return what moved the chance of needing a person, strongest first; empty where nobody can tell."""
        artifact = self._known.get(model_version)
        if artifact is None:
            return ()
        try:
            row = live.unpacked(features)
        except StateMismatchError:
            return ()
        return contributions(artifact, row, abstained=abstained)

    def figures(self) -> Sequence[ModelFigures]:
        """Return how good the version in use is, and the one that is tried, on outcomes they had not seen."""
        voices = [self._active] + ([self._other] if self._other is not None and self._is_trial else [])
        drift = max(self._arrivals.index(), self._chances.index())
        return [
            figures_of(voice.version, self._label_count, voice.told(), drift if voice is self._active else None)
            for voice in voices
        ]

    # --------------------------------------------------------------------------------------- keeping

    def state(self) -> bytes:
        """Return everything that is remembered; the same state gives the same bytes."""
        voices = [self._active] + ([self._other] if self._other is not None else [])
        waiting = [*self._open.values(), *self._ended.values()]
        header = orjson.dumps(
            {
                "number": self._number,
                "label_count": self._label_count,
                "is_trial": self._is_trial,
                "told_step": self._told_step,
                "input_told": self._input_told,
                "voices": [voice.kept() for voice in voices],
                "told": [len(voice.told()) for voice in voices],
                "duel": self._duel.kept(),
                "series": [each.kept() for each in (self._losses, self._too_high, self._too_low)],
                "shares": [each.kept() for each in (self._arrivals, self._chances)],
                "open": len(self._open),
                "ended": len(self._ended),
            },
            option=orjson.OPT_SORT_KEYS,
        )
        parts = [
            header,
            b"".join(voice.told().astype("<f4").tobytes() for voice in voices),
            _packed(waiting).tobytes(),
            self._features.to_bytes(),
        ]
        body = struct.pack("<4Q", *(len(part) for part in parts)) + b"".join(parts)
        return FORMAT + hashlib.sha256(body).digest() + body

    def restore(self, kept: bytes, contents: Mapping[str, bytes | None]) -> None:
        """Go on from what `state` gave.

        Args:
            kept: The bytes.
            contents: By version, those that are still to be had; None: the bundled one.

        Raises:
            ForeignStateError: It is of another format, schema or installation, or a version in it is gone.
        """
        if kept[:8] != FORMAT or hashlib.sha256(kept[40:]).digest() != kept[8:40]:
            raise ForeignStateError("these bytes are no state of a model, damaged, or of another format")
        body = memoryview(kept)[40:]
        sizes = struct.unpack_from("<4Q", body)
        parts, start = [], 32
        for size in sizes:
            parts.append(bytes(body[start : start + size]))
            start += size
        header = orjson.loads(parts[0])
        try:
            features = FeatureState.from_bytes(live.SCHEMA, parts[3])
        except StateMismatchError as error:
            raise ForeignStateError(str(error)) from error
        if features.salt != self._features.salt:
            raise ForeignStateError("this state is of another tenant, or another master key")
        self._features = features
        voices = []
        told = np.frombuffer(parts[1], "<f4").reshape(-1, SAID_SIZE + len(QUESTIONS)).astype(np.float32)
        for one, count in zip(header["voices"], header["told"], strict=True):
            voice = Voice(one["version"], self._version(one["version"], contents))
            voice.restore(one, told[:count])
            told = told[count:]
            voices.append(voice)
        self._active, self._other = voices[0], voices[1] if len(voices) > 1 else None
        self._number, self._label_count = int(header["number"]), int(header["label_count"])
        self._is_trial, self._told_step = bool(header["is_trial"]), bool(header["told_step"])
        self._input_told = bool(header["input_told"])
        self._duel = Duel.restored(header["duel"])
        for series, values in zip((self._losses, self._too_high, self._too_low), header["series"], strict=True):
            series.restore(values)
        for shares, counts in zip((self._arrivals, self._chances), header["shares"], strict=True):
            shares.restore(counts)
        waiting = _unpacked(np.frombuffer(parts[2], _ALERT))
        self._open = {alert.id: alert for alert in waiting[: header["open"]]}
        self._ended = {alert.id: alert for alert in waiting[header["open"] :]}

    def _version(self, version: str, contents: Mapping[str, bytes | None]) -> Artifact:
        if version in self._known:
            return self._known[version]
        content = contents.get(version)
        if content is None:
            raise ForeignStateError(f"version {version}, which this state speaks of, is gone")
        self._known[version] = _artifact(content)
        return self._known[version]


class LiveHost:
    """Fulfils `services.ports.ModelHost`: opens the models of tenants on one bundled version."""

    def __init__(self, bundled: Artifact) -> None:
        if bundled.manifest.schema != live.SCHEMA:
            raise ForeignStateError("the bundled version was trained with other features than the service has")
        self.bundled = bundled

    @property
    def version(self) -> str:
        """The version that tenants begin with."""
        return self.bundled.manifest.name

    def open(
        self, tenant_id: TenantId, salt: bytes, state: bytes | None, contents: Mapping[str, bytes | None]
    ) -> LiveModel:
        """Return a tenant's model as it was saved, or anew where `state` is None.

        Args:
            tenant_id: Whose it is.
            salt: The tenant's secret.
            state: As `LiveModel.state` gave it.
            contents: By version, what is kept of those that are in use or tried; None: the bundled one.

        Raises:
            ForeignStateError: The state can't be gone on from.
        """
        own = hashlib.blake2b(tenant_id.bytes, key=salt, digest_size=16).digest()
        model = LiveModel(own, self.bundled)
        if state is not None:
            model.restore(state, contents)
        return model


def read_host(path: Path) -> LiveHost:
    """Return a host whose tenants begin with the version in a file; one thread works for all of them.

    Raises:
        ForeignStateError: It is no model, or one of other features; the message says why.
    """
    torch.set_num_threads(1)
    try:
        return LiveHost(read_artifact(path, live.SCHEMA))
    except ArtifactError as error:
        raise ForeignStateError(str(error)) from error


def _artifact(content: bytes) -> Artifact:
    try:
        return artifact_from_bytes(content, live.SCHEMA)
    except ArtifactError as error:
        raise ForeignStateError(str(error)) from error


def _verdict_of(stored: StoredEvent) -> int:
    """Return what somebody judged, as its number; 0 where the judgement was taken back."""
    for change in stored.event.changes:
        if change.field == "verdict":
            return int(AlertVerdict[change.after]) if change.after in AlertVerdict.__members__ else 0
    return 0


def _loss(said: NDArray[np.float32], labels: Sequence[float]) -> float:
    """Return the mean of the questions' logarithmic losses."""
    total = 0.0
    for place, label in enumerate(labels):
        chance = min(max(float(said[SAID + place]), 1e-4), 1 - 1e-4)
        total -= math.log(chance if label > 0.5 else 1.0 - chance)
    return total / len(labels)


def _estimate(milliseconds: Sequence[int]) -> DurationEstimate | None:
    """Return lower end, middle and upper end as an estimate; None where they are below 0, which says never."""
    low, median, high = milliseconds
    if median < 0:
        return None
    return DurationEstimate(timedelta(0, 0, 0, median), timedelta(0, 0, 0, low), timedelta(0, 0, 0, high))


def _outcome(alert: _Alert, at: float) -> Outcome:
    return Outcome(
        alert.id,
        alert.needed_person,
        alert.breached,
        alert.self_resolved,
        None if math.isnan(alert.acknowledged_after) else alert.acknowledged_after,
        None if math.isnan(alert.resolved_after) else alert.resolved_after,
        datetime.fromtimestamp(at, UTC),
    )


def _lesson(alert: _Alert) -> _Lesson:
    return _Lesson(
        alert,
        (float(alert.needed_person), float(alert.breached), float(alert.self_resolved)),
        (alert.acknowledged_after / 3600.0, alert.resolved_after / 3600.0),
    )


def _chances(said: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the questions' chances of rows, (n, question_count)."""
    return np.clip(said[:, SAID : SAID + len(QUESTIONS)].astype(np.float64), 0.0, 1.0)


# Fields of an alert that are kept as they are.
_PLAIN = (
    "triggered_at",
    "acknowledged_after",
    "resolved_after",
    "ended_at",
    "fired",
    "escalated",
    "breached",
    "self_resolved",
    "verdict",
    "abstained",
)


def _packed(alerts: Sequence[_Alert]) -> NDArray[Any]:
    """Return alerts as rows of plain values."""
    rows = np.zeros(len(alerts), _ALERT)
    if not alerts:
        return rows
    rows["id"] = np.frombuffer(b"".join(alert.id.bytes for alert in alerts), np.uint8).reshape(-1, 16)
    rows["at"] = [alert.trace.at for alert in alerts]
    rows["keys"] = [alert.trace.keys for alert in alerts]
    rows["entity"] = [alert.trace.entity for alert in alerts]
    rows["needed"] = [2 if alert.needed is None else int(alert.needed) for alert in alerts]
    for name in _PLAIN:
        rows[name] = [getattr(alert, name) for alert in alerts]
    for place, alert in enumerate(alerts):
        for slot, said in enumerate(alert.said):
            if said is not None:
                rows["has_said"][place, slot] = 1
                rows["said"][place, slot] = said
    return rows


def _unpacked(rows: NDArray[Any]) -> list[_Alert]:
    """Return the alerts that `_packed` gave."""
    alerts = []
    for row in rows:
        said = [row["said"][slot].copy() if row["has_said"][slot] else None for slot in range(2)]
        alert = _Alert(
            AlertId(UUID(bytes=row["id"].tobytes())),
            Trace(float(row["at"]), tuple(int(key) for key in row["keys"]), int(row["entity"])),
            float(row["triggered_at"]),
            said,
            abstained=bool(row["abstained"]),
            fired=int(row["fired"]),
            escalated=bool(row["escalated"]),
            breached=bool(row["breached"]),
            self_resolved=bool(row["self_resolved"]),
            verdict=int(row["verdict"]),
            acknowledged_after=float(row["acknowledged_after"]),
            resolved_after=float(row["resolved_after"]),
            ended_at=float(row["ended_at"]),
            needed=None if row["needed"] == 2 else bool(row["needed"]),
        )
        alerts.append(alert)
    return alerts
