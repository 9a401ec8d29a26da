"""Noise: which pages wait because nobody is likely to be needed, for how long, and what that has cost.

The model advises. Nothing is held but where a tenant has asked for it, never a CRITICAL alert, never beyond the
tenant's own bound, and never by a threshold that would have hidden more than one in a hundred of the alerts that
somebody was needed for. See docs/noise.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from statistics import median

from alertgraph.core.alert import Alert, AlertStatus, AlertVerdict, HoldReason
from alertgraph.core.errors import InputError
from alertgraph.core.ids import EPOCH, AlertId
from alertgraph.core.severity import Severity
from alertgraph.core.value import quick

SPARED_SHARE = 0.05
"""So many of those that would be held are told all the same: else nobody would learn what was hidden."""
HIDDEN_SHARE_MAX = 0.01
"""So many of the alerts that needed somebody may lie above the threshold, no more."""
HELD_SHARE_MAX = 0.9
"""However sure it seems: the tenant's own quieter tenth is always told."""
LABEL_COUNT_MIN = 200
PROBABILITY_MIN = 0.5
"""What is more likely than not to need somebody is no noise, whatever the threshold."""
JUDGED_WITHIN = timedelta(seconds=1)
"""How long the first judgement waits for a prediction at most."""
HOLD_LENGTH_MAX = timedelta(hours=1)
HOLD_LENGTH_MIN = timedelta(seconds=1)
REGRET_BUDGET_MAX = timedelta(days=30)
REGRET_PERIOD = timedelta(days=30)
FRESH_FOR = timedelta(seconds=30)
"""Who learns says so often that it is there; from whom nothing was heard for so long, nothing is taken."""

KEY_LENGTH = 16
KIND_STRENGTH = 8.0
KEY_STRENGTH = 4.0
TENANT_STRENGTH = 20.0
"""How many alerts of one's own outweigh those of the wider circle."""
FADES = 0.98
"""What an earlier alert of a kind counts beside the one after it."""
QUIET_COUNT_MAX = 16

_MASKED = re.compile(r"[0-9a-f]{6,}|\d+", re.IGNORECASE)


class NoiseMode(IntEnum):
    """How far it may go against noise; each includes those before. The numbers are stored: never reuse one."""

    ANNOTATE = 1
    GROUP = 2
    HOLD = 3
    SUPPRESS = 4


class Basis(IntEnum):
    """What a probability of noise comes from. The numbers are stored: never reuse one."""

    MODEL = 1
    HISTORY = 2


@quick
@dataclass(frozen=True, slots=True)
class NoiseRules:
    """What a tenant has asked for.

    Attributes:
        mode: How far it may go.
        hold_max: The longest that a page is held, from when its alert was opened.
        regret_budget: Wrongly held time in 30 days beyond which holding switches itself off.
        armed_at: Since when pages may be held; None where the mode holds none, or the budget is used up.
    """

    mode: NoiseMode = NoiseMode.ANNOTATE
    hold_max: timedelta = timedelta(minutes=5)
    regret_budget: timedelta = timedelta(hours=1)
    armed_at: datetime | None = None

    @property
    def is_armed(self) -> bool:
        """Whether pages may be held at all."""
        return self.mode > NoiseMode.ANNOTATE and self.armed_at is not None


NOTHING_HELD = NoiseRules()


def check_noise(rules: NoiseRules) -> None:
    """Let rules pass that can be kept.

    Raises:
        InputError: A length of time is out of its bounds; the path names it.
    """
    if not timedelta(0) <= rules.hold_max <= HOLD_LENGTH_MAX:
        raise InputError("noiseHoldMax is PT0S to PT1H.", "noiseHoldMax")
    if not timedelta(0) <= rules.regret_budget <= REGRET_BUDGET_MAX:
        raise InputError("noiseRegretBudget is PT0S to P30D.", "noiseRegretBudget")


@quick
@dataclass(frozen=True, slots=True)
class NoisePolicy:
    """What a tenant's own alerts have taught, as who learns keeps it.

    Attributes:
        spare_key: Of the hash that picks who is told all the same; the tenant's own, and nobody else's to know.
        model_threshold: The model's probability of noise above which a page is held; None: none is.
        history_threshold: The same for the tenant's own rates.
        predicts: Whether a model says something of new alerts in time.
        fresh_until: Until when this may be taken for true.
    """

    spare_key: bytes
    model_threshold: float | None = None
    history_threshold: float | None = None
    predicts: bool = False
    fresh_until: datetime = EPOCH

    def threshold(self, basis: Basis) -> float | None:
        """Return the threshold for probabilities of that basis."""
        return self.model_threshold if basis is Basis.MODEL else self.history_threshold


@quick
@dataclass(frozen=True, slots=True)
class History:
    """How alerts like one ended before.

    Attributes:
        noise_probability: Share of them that nobody was needed for, drawn towards the wider circle's.
        ended_count: How many ended, the older ones counting less.
        quiet_count: How many of those with nobody acting.
        quiet_median: How long those lasted; None where there were none.
        quiet_longest: How long the longest of the latest of those lasted; None where that is not known.
    """

    noise_probability: float
    ended_count: float
    quiet_count: float
    quiet_median: timedelta | None
    quiet_longest: timedelta | None = None

    @property
    def quiet_length(self) -> timedelta | None:
        """How long to wait for one like these to end by itself; None where none has.

        Half of them outlast their median: whoever waits for that is told of every second one all the same.
        """
        return self.quiet_longest if self.quiet_longest is not None else self.quiet_median


@quick
@dataclass(frozen=True, slots=True)
class NoiseEvidence:
    """What is known besides the alert itself when it is to be judged; read beforehand.

    Attributes:
        policy: None where nobody learns.
        history: None where nothing like it was there before.
        in_hand: Whether it belongs to an incident that somebody has been told of or has taken.
    """

    policy: NoisePolicy | None = None
    history: History | None = None
    in_hand: bool = False


NO_EVIDENCE = NoiseEvidence()


@quick
@dataclass(frozen=True, slots=True)
class NoiseHold:
    """A page that waits.

    Attributes:
        until: When it goes out unless the alert is over; None for never by itself.
        probability: Of noise.
        text: Why, for a person.
    """

    until: datetime | None
    probability: float
    basis: Basis
    text: str


# ---------------------------------------------------------------------------------------- may it be held


def opened_at(alert_id: AlertId) -> datetime:
    """Return when an alert was opened: its id begins with the instant, so no clock and no sender can bend it."""
    return EPOCH + timedelta(milliseconds=alert_id.int >> 80)


def is_spared(alert_id: AlertId, key: bytes) -> bool:
    """Say whether an alert is told whatever is thought of it: the same each time, and nobody's to choose."""
    digest = hashlib.blake2b(alert_id.bytes, digest_size=8, key=key).digest()
    return int.from_bytes(digest, "big") < SPARED_SHARE * 2**64


def may_be_held(alert: Alert) -> bool:
    """Say whether an alert's page may wait at all: nobody was told of it, and nobody has asked to be."""
    return (
        alert.status is AlertStatus.TRIGGERED
        and alert.severity is not Severity.CRITICAL
        and alert.escalation_level == 0
        and alert.escalation_round == 0
        and alert.first_acknowledged_at is None
        and alert.assignee is None
        and alert.verdict is not AlertVerdict.ACTIONABLE
    )


def waits_until(alert: Alert, policy: NoisePolicy | None, rules: NoiseRules, now: datetime) -> datetime | None:
    """Return until when an alert's first judgement waits for its prediction; None where it does not.

    It waits only while a model is known to answer, and never longer than JUDGED_WITHIN.
    """
    if policy is None or not policy.predicts or policy.fresh_until <= now or policy.model_threshold is None:
        return None
    if not rules.is_armed or alert.advice is not None or alert.held is not None or not may_be_held(alert):
        return None
    until = opened_at(alert.id) + JUDGED_WITHIN
    return until if now < until <= now + JUDGED_WITHIN else None


def hold_for(alert: Alert, evidence: NoiseEvidence, rules: NoiseRules, now: datetime) -> NoiseHold | None:
    """Return how an alert's page waits; None where it goes out.

    Args:
        alert: Whose time to be told has come.
        evidence: What is known besides.
        rules: What the tenant has asked for.
        now: The instant of the decision.
    """
    policy = evidence.policy
    if policy is None or policy.fresh_until <= now or not rules.is_armed or not may_be_held(alert):
        return None
    found = _probability(alert, evidence)
    if found is None:
        return None
    probability, basis = found
    threshold = policy.threshold(basis)
    if (
        threshold is None
        or not probability > max(threshold, PROBABILITY_MIN)
        or is_spared(alert.id, policy.spare_key)
    ):
        return None
    if rules.mode is NoiseMode.SUPPRESS:
        return NoiseHold(None, probability, basis, _words(probability, evidence.history, basis, None))
    # Where the clock of who opened it is ahead of ours, it is no longer held for that.
    until = min(opened_at(alert.id) + min(rules.hold_max, _length(alert, evidence, rules)), now + rules.hold_max)
    if until < now + HOLD_LENGTH_MIN:
        return None
    return NoiseHold(until, probability, basis, _words(probability, evidence.history, basis, until - now))


def _probability(alert: Alert, evidence: NoiseEvidence) -> tuple[float, Basis] | None:
    chance = alert.advice.chance if alert.advice is not None else None
    if chance is not None:
        return 1 - chance, Basis.MODEL
    if evidence.history is not None:
        return evidence.history.noise_probability, Basis.HISTORY
    return None


def _length(alert: Alert, evidence: NoiseEvidence, rules: NoiseRules) -> timedelta:
    """Return how long the page waits, from when the alert was opened; zero where it does not."""
    if evidence.in_hand:
        return rules.hold_max  # who has the incident sees it there
    if rules.mode < NoiseMode.HOLD:
        return timedelta(0)
    if evidence.history is not None and evidence.history.quiet_length is not None:
        return evidence.history.quiet_length
    advice = alert.advice
    if (
        advice is not None
        and advice.resolve_median is not None
        and advice.self_resolve_probability is not None
        and advice.self_resolve_probability > PROBABILITY_MIN
    ):
        return advice.resolve_median
    return timedelta(0)


def _words(probability: float, history: History | None, basis: Basis, length: timedelta | None) -> str:
    waits = "nobody is paged" if length is None else f"its page waits for {_length_text(length)}"
    said = f"Likely noise ({probability:.0%}), so {waits}"
    if basis is Basis.MODEL:
        return f"{said}: the model gives it a chance of {1 - probability:.0%} to need a person."
    assert history is not None
    share = history.quiet_count / max(history.ended_count, 1e-9)
    usual = f", half of those within {_length_text(history.quiet_median)}" if history.quiet_median else ""
    return f"{said}: of alerts like it, {share:.0%} ended with nobody acting{usual}."


def _length_text(length: timedelta) -> str:
    seconds = max(1, round(length.total_seconds()))
    minutes, rest = divmod(seconds, 60)
    if not minutes:
        return f"{seconds} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def hold_end(alert: Alert, rules: NoiseRules) -> datetime | None:
    """Return when the hold of a held alert ends at the latest, by the rules of today; None for never by itself.

    Rules that became stricter since end it sooner. Nothing ever makes it longer.
    """
    assert alert.held is HoldReason.PREDICTED_NOISE, "nothing else is held as noise"
    bound = opened_at(alert.id) + rules.hold_max
    if alert.judge_at is None:
        return None if rules.mode is NoiseMode.SUPPRESS else bound
    return min(alert.judge_at, bound)


def stays_held(alert: Alert, rules: NoiseRules, now: datetime) -> bool:
    """Say whether an alert that is held as noise still is."""
    if not rules.is_armed or not may_be_held(alert):
        return False
    end = hold_end(alert, rules)
    return end is None or now < end


# ------------------------------------------------------------------------------------ what is like it


def key_of(dedup_key: str) -> bytes:
    """Return the key under which an alert's own past is kept."""
    return hashlib.blake2b(dedup_key.encode(), digest_size=KEY_LENGTH, person=b"noise key").digest()


def kind_of(source: str, title: str) -> bytes:
    """Return the key under which the past of its kind is kept: numbers and ids in its title make no difference."""
    kind = f"{source}\0{_MASKED.sub('#', title)}"
    return hashlib.blake2b(kind.encode(), digest_size=KEY_LENGTH, person=b"noise kind").digest()


@dataclass(slots=True)
class Ends:
    """How alerts of one sort ended, the older ones counting less.

    Attributes:
        count: How many.
        noise: How many of them nobody was needed for.
        quiet: How many ended with nobody acting.
        lengths: Of the latest that did, in seconds.
    """

    count: float = 0.0
    noise: float = 0.0
    quiet: float = 0.0
    lengths: tuple[float, ...] = ()

    def add(self, *, is_noise: bool, quiet_seconds: float | None) -> None:
        """Count one more end; `quiet_seconds` is how long it lasted where nobody acted."""
        self.count = self.count * FADES + 1
        self.noise = self.noise * FADES + is_noise
        self.quiet = self.quiet * FADES + (quiet_seconds is not None)
        if quiet_seconds is not None:
            self.lengths = (*self.lengths[1 - QUIET_COUNT_MAX :], quiet_seconds)

    def revise(self, change: int) -> None:
        """Count an earlier end otherwise: one more as noise, or one less."""
        self.noise = min(self.count, max(0.0, self.noise + change))

    def noise_share(self, wider: float, strength: float) -> float:
        """Return the share of noise, drawn towards that of the wider circle."""
        return (self.noise + strength * wider) / (self.count + strength)

    def history(self, probability: float) -> History:
        """Return this as it is kept with the probability that follows from it."""
        usual = timedelta(seconds=median(self.lengths)) if self.lengths else None
        longest = timedelta(seconds=max(self.lengths)) if self.lengths else None
        return History(probability, self.count, self.quiet, usual, longest)


# ------------------------------------------------------------------------------------- the threshold


@quick
@dataclass(frozen=True, slots=True)
class Label:
    """What became of an alert on which a probability had been given.

    Attributes:
        probability: Of noise, as it was said when the alert came.
        needed: Whether it needed somebody.
        weight: How many like it this one stands for: of those that are held, only the spared ones are seen.
    """

    probability: float
    needed: bool
    weight: float = 1.0


def threshold_of(labels: Sequence[Label]) -> float | None:
    """Return the probability of noise above which pages may be held; None where too little is known.

    By the tenant's own labels: of those that needed somebody at most HIDDEN_SHARE_MAX lie above it, the next one
    to come counted among them (a conformal bound: below 99 such labels there is none), and of all at least
    1 - HELD_SHARE_MAX lie below it.
    """
    if len(labels) < LABEL_COUNT_MIN:
        return None
    needed = sorted((each for each in labels if each.needed), key=lambda each: -each.probability)
    whole = sum(each.weight for each in needed)
    room = HIDDEN_SHARE_MAX * (whole + 1) - 1
    if room < 0:
        return None
    threshold = _first_beyond(needed, room)
    return max(threshold, _quantile(labels, 1 - HELD_SHARE_MAX), PROBABILITY_MIN)


def _first_beyond(needed: Iterable[Label], room: float) -> float:
    """Return the highest probability that can't be hidden any more, where those above it fill the room."""
    hidden = 0.0
    for each in needed:
        hidden += each.weight
        if hidden > room:
            return each.probability
    raise AssertionError("the room is less than the whole")


def _quantile(labels: Sequence[Label], share: float) -> float:
    ordered = sorted(labels, key=lambda each: each.probability)
    left = share * sum(each.weight for each in ordered)
    for each in ordered:
        left -= each.weight
        if left <= 0:
            return each.probability
    return ordered[-1].probability


# ----------------------------------------------------------------------------------------- what it cost


@quick
@dataclass(frozen=True, slots=True)
class NoiseFigures:
    """What holding has come to.

    Attributes:
        held_count: Pages held in the last 30 days.
        regret_count: Of those, held wrongly.
        regret: Time lost by those.
    """

    held_count: int = 0
    regret_count: int = 0
    regret: timedelta = timedelta(0)


def over_budget(regret: timedelta, rules: NoiseRules) -> bool:
    """Say whether holding has cost so much that it switches itself off."""
    return rules.is_armed and regret > rules.regret_budget


def figures_since(rules: NoiseRules, now: datetime) -> datetime:
    """Return from when on regret counts against the budget: 30 days, or since somebody armed it again."""
    since = now - REGRET_PERIOD
    return max(since, rules.armed_at) if rules.armed_at is not None else since


def rearmed(before: NoiseRules, mode: NoiseMode, now: datetime) -> NoiseRules:
    """Return rules after an ADMIN has set the mode: where holding was not armed, it is, and the count begins."""
    armed_at = None if mode is NoiseMode.ANNOTATE else before.armed_at or now
    return NoiseRules(mode, before.hold_max, before.regret_budget, armed_at)


@quick
@dataclass(frozen=True, slots=True)
class HoldRecord:
    """A page that was held, and what came of it.

    Attributes:
        until: When it was to go out; None for never by itself.
        probability: Of noise.
        ended_at: When it went out, or its alert was over or somebody's; None while it is held.
        regret: How long somebody who was needed was not told; None where nobody was, as far as is known.
    """

    alert_id: AlertId
    held_at: datetime
    until: datetime | None
    probability: float
    basis: Basis
    ended_at: datetime | None = None
    regret: timedelta | None = None
