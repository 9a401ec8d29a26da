"""Plays a plan to a running service: sends what is due, by the door that it came in by, until told to stop."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never
from urllib.parse import quote

import structlog

from alertgraph.edge.client import ClientError
from alertgraph.edge.demo.caller import Caller, UnreachableError
from alertgraph.edge.demo.companies import COMPANIES, Company
from alertgraph.edge.demo.inbox import Inbox
from alertgraph.edge.demo.plan import (
    STORM_LENGTH,
    Acknowledge,
    Act,
    Beat,
    Break,
    Clear,
    Dialect,
    Fire,
    Resolve,
    Silence,
    storm,
)
from alertgraph.edge.demo.stage import furnish

CREATE = """mutation Fire($input: CreateAlertInput!) {
  createAlert(input: $input) { alert { id } errors { message path } }
}"""
ACKNOWLEDGE = """mutation Take($input: AcknowledgeAlertsInput!) {
  acknowledgeAlerts(input: $input) { changedCount errors { message path } }
}"""
RESOLVE = """mutation End($input: AlertsActionInput!) {
  resolveAlerts(input: $input) { changedCount errors { message path } }
}"""
SILENCE = """mutation Silence($input: SilenceInput!) {
  createSilence(input: $input) { silence { id } errors { message path } }
}"""
# Shorter than what may come before a silence, however fast the storm is played.
SILENCE_MIN = timedelta(seconds=10)
# Long enough for a fallback to take over: how soon a channel is tried again does not follow the storm's speed.
BROKEN_MIN = timedelta(seconds=25)
GIVEN_UP_AFTER_SECONDS = 30.0


class Player:
    """Plays the storms of all companies, each in a thread of its own.

    Args:
        url: Of the service.
        keys: By company's slug, an administrator's key.
        inbox: Where the companies' channels deliver to.
        seed: Of chance.
        speed: So many times as fast as the plan has it.
        is_endless: Whether storm follows storm; else each company has one.
        ended: Called once all storms are over, unless stopped.
    """

    def __init__(
        self,
        url: str,
        keys: dict[str, str],
        inbox: Inbox,
        *,
        seed: int,
        speed: float,
        is_endless: bool,
        ended: Callable[[], None],
    ) -> None:
        self._url = url
        self._keys = keys
        self._inbox = inbox
        self._seed = seed
        self._speed = speed
        self._is_endless = is_endless
        self._ended = ended
        self._stopped = threading.Event()
        self._log = structlog.get_logger("alertgraph")
        self._threads = [
            threading.Thread(target=self._run, args=(company,), name=f"demo {company.slug}", daemon=True)
            for company in COMPANIES
        ]
        self._left = len(self._threads)
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and return once nothing is sent any more."""
        self._stopped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _run(self, company: Company) -> None:
        try:
            self._play(company)
        except ClientError as error:
            if not self._stopped.is_set():
                self._log.error("the demo's storm ended early", tenant=company.slug, error=str(error))
            return
        with self._lock:
            self._left -= 1
            is_last = self._left == 0
        if is_last and not self._stopped.is_set():
            self._ended()

    def _play(self, company: Company) -> None:
        with ExitStack() as open_callers:
            machine = open_callers.enter_context(Caller(self._url, self._keys[company.slug]))
            secrets = furnish(machine, company, self._inbox.url, self._speed)
            people = {
                person: open_callers.enter_context(Caller(self._url, secret)) for person, secret in secrets.items()
            }
            hand = _Hand(company, machine, people, self._inbox, self._speed)
            begin = time.monotonic()
            for number in itertools.count() if self._is_endless else range(1):
                for step in storm(company, self._seed, number):
                    due = begin + (number * STORM_LENGTH + step.at).total_seconds() / self._speed
                    if self._stopped.wait(max(0.0, due - time.monotonic())):
                        return
                    try:
                        hand.do(step.act)
                    except UnreachableError:
                        # It is on its way down, and we with it.
                        if self._stopped.wait(GIVEN_UP_AFTER_SECONDS):
                            return
                        raise
                    except ClientError as error:
                        # Who plays with the demo may have changed what this is about.
                        self._log.warning("the demo was refused", tenant=company.slug, error=str(error))


class _Hand:
    """Does what a plan says, in one company."""

    def __init__(
        self, company: Company, machine: Caller, people: dict[str, Caller], inbox: Inbox, speed: float
    ) -> None:
        self._company = company
        self._machine = machine
        self._people = people
        self._inbox = inbox
        self._speed = speed

    def do(self, act: Act) -> None:
        """Do one thing; raises ClientError where it is refused."""
        match act:
            case Fire():
                self._fire(act)
            case Clear(fired):
                self._clear(fired)
            case Acknowledge(keys, person, note):
                input = {"select": {"dedupKeys": list(keys)}, "note": note}
                self._people[person].payload(ACKNOWLEDGE, {"input": input})
            case Resolve(keys, person, note):
                input = {"select": {"dedupKeys": list(keys)}, "note": note}
                self._people[person].payload(RESOLVE, {"input": input})
            case Silence():
                self._silence(act)
            case Break(channel, length):
                lasts = max(length / self._speed, BROKEN_MIN)
                self._inbox.break_channel(self._company.slug, channel, lasts)
            case Beat(name):
                self._machine.post(f"/api/v1/heartbeats/{quote(name)}", {})
            case _:
                assert_never(act)

    def _fire(self, fire: Fire) -> None:
        match fire.dialect:
            case Dialect.GRAPHQL:
                self._machine.payload(CREATE, {"input": _fields(fire)})
            case Dialect.REST:
                self._machine.post("/api/v1/critical-alerts", _fields(fire))
            case Dialect.ALERTMANAGER:
                self._machine.post("/api/v2/alerts", [_prometheus(fire)])
            case _:
                assert_never(fire.dialect)

    def _clear(self, fire: Fire) -> None:
        if fire.dialect is Dialect.ALERTMANAGER:
            now = datetime.now(UTC).isoformat()
            self._machine.post("/api/v2/alerts", [{**_prometheus(fire), "endsAt": now}])
        else:
            self._machine.payload(RESOLVE, {"input": {"select": {"dedupKeys": [fire.key]}}})

    def _silence(self, silence: Silence) -> None:
        length = max(silence.length / self._speed, SILENCE_MIN)
        input = {
            "matchers": [{"label": "service", "value": silence.service}],
            "endsAt": (datetime.now(UTC) + length).isoformat(),
            "comment": silence.comment,
        }
        self._people[silence.person].payload(SILENCE, {"input": input})


def _fields(fire: Fire) -> dict[str, Any]:
    return {
        "title": fire.title,
        "description": fire.description,
        "severity": fire.severity.name,
        "source": "icinga" if fire.dialect is Dialect.REST else "synthetics",
        "monitoredService": fire.service,
        "dedupKey": fire.key,
        "labels": dict(fire.labels),
        "links": [{"href": f"https://runbooks.example.com/{fire.labels['alertname']}", "text": "Runbook"}],
    }


def _prometheus(fire: Fire) -> dict[str, Any]:
    return {
        "labels": dict(fire.labels),
        "annotations": {"summary": fire.title, "description": fire.description},
    }
