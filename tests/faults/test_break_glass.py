"""PostgreSQL is away for more than a minute: the operator is told past it, once, and then of the end."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from tests.faults.paging import set_up_lane
from tests.faults.stores import Postgres, running
from tests.integration.notify.provider import Provider, answers, provider
from tests.running import MASTER_KEY
from tests.wire import Wire, wire

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

SILENT_SECONDS = 60.0
# An engine with nothing to do asks its database every five seconds: so long may it have heard nothing before.
POLL_SECONDS = 5.0
# The clock is looked at each second, on a machine that has other work, too.
SLACK_SECONDS = 5.0
TOLD_WITHIN_SECONDS = SILENT_SECONDS + SLACK_SECONDS
BACK_WITHIN_SECONDS = 15.0
PATH = "/glass/a-secret-path?token=a-secret-token"


@dataclass(frozen=True, slots=True)
class Operator:
    """Who is told, and whoever is paged, at one loopback server."""

    loopback: Provider

    def told(self) -> list[dict[str, str]]:
        """Return what the operator was told, in the order in which it came."""
        return [one.json for one in self.loopback.received if one.target == PATH]

    def paged(self) -> list[str]:
        """Return the titles of the alerts that somebody was paged for."""
        pages = [one.json["data"] for one in self.loopback.received if one.target == "/page"]
        return [alert["title"] for page in pages for alert in page["alerts"]]


async def until(holds: Callable[[], Awaitable[bool]] | Callable[[], bool], within: float, what: str) -> None:
    """Return once something holds."""
    deadline = time.monotonic() + within
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(0.1)


async def figure(connection: Wire, name: str) -> float:
    """Return a figure of /metrics; 0 where it is not there yet."""
    text = (await connection.get("/metrics")).body.decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def told_in(log: Path) -> list[dict[str, str]]:
    """Return the log's lines about break glass: level and message."""
    lines = [orjson.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"].startswith("break glass")]


async def test_a_minute_without_a_database_is_told_past_it(postgres: Postgres, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with provider(answers()) as loopback:
        operator = Operator(loopback)
        more = {
            "CRITICAL_ALERT_BREAK_GLASS_URL": loopback.url + PATH,
            "CRITICAL_ALERT_ALLOW_PRIVATE_TARGETS": "true",
            "CRITICAL_ALERT_LOG_LEVEL": "debug",
        }
        with running(postgres, log, **more) as (_, tenant):
            async with wire(tenant.url, tenant.admin_key) as connection:

                async def pages(title: str) -> None:
                    draft = {"title": title, "severity": "HIGH", "dedupKey": title, "labels": {"lane": "page"}}
                    reply = await connection.post("/api/v1/critical-alerts", draft)
                    assert reply.status in (200, 201), reply.body
                    await until(lambda: title in operator.paged(), 10, f"{title} pages")

                async def is_counted(count: int) -> bool:
                    return await figure(connection, 'alertgraph_break_glass_total{outcome="sent"}') == count

                async def is_ready() -> bool:
                    return (await connection.get("/readyz")).status == 200

                await set_up_lane(connection, "page", loopback.url + "/page")
                await pages("before")

                # The first outage: nobody is told for a minute, then the operator, once.
                with postgres.killed():
                    first_at = datetime.now(UTC)
                    await until(lambda: len(operator.told()) == 1, TOLD_WITHIN_SECONDS, "it is told")
                    check_outage(operator.told()[0], first_at)
                    assert (await connection.get("/readyz")).status == 503
                    assert await figure(connection, "alertgraph_engine_silence_seconds") >= SILENT_SECONDS
                    await until(lambda: is_counted(1), 1, "it is counted")
                    await asyncio.sleep(10)
                assert len(operator.told()) == 1, "an outage is told once"
                assert operator.paged() == ["before"]

                # It recovers by itself, says so, and pages.
                await until(is_ready, BACK_WITHIN_SECONDS, "it is ready")
                await until(lambda: len(operator.told()) == 2, BACK_WITHIN_SECONDS, "it says that it is back")
                assert operator.told()[1] == {
                    "summary": f"alertgraph on {socket.gethostname()} has its database back, and pages again.",
                    "since": operator.told()[0]["since"],
                    "host": socket.gethostname(),
                }
                assert await figure(connection, "alertgraph_engine_silence_seconds") < SILENT_SECONDS / 2
                await pages("after")

                # A short one is none, and is no part of the next.
                with postgres.killed():
                    await asyncio.sleep(20)
                await until(is_ready, BACK_WITHIN_SECONDS, "it is ready")
                await pages("after a short one")
                assert len(operator.told()) == 2

                # A new one is told as the first was.
                with postgres.killed():
                    second_at = datetime.now(UTC)
                    await until(lambda: len(operator.told()) == 3, TOLD_WITHIN_SECONDS, "it is told again")
                    check_outage(operator.told()[2], second_at)
                await until(is_ready, BACK_WITHIN_SECONDS, "it is ready")
                await until(lambda: len(operator.told()) == 4, BACK_WITHIN_SECONDS, "it says that it is back")
                await until(lambda: is_counted(4), 1, "it is counted")
                assert await figure(connection, 'alertgraph_break_glass_total{outcome="failed"}') == 0

    # The log tells the same, and no secret.
    assert [line["message"] for line in told_in(log)] == [
        f"break glass, sent: {told['summary']}" for told in operator.told()
    ]
    assert {line["log.level"] for line in told_in(log)} == {"error"}
    said = log.read_text()
    secrets = ["a-secret-path", "a-secret-token", MASTER_KEY, tenant.admin_key, tenant.ingest_key]
    secrets += [password] if (password := urlsplit(postgres.url).password) else []
    assert [secret for secret in secrets if secret in said] == []


def check_outage(told: dict[str, str], began_at: datetime) -> None:
    """Check what the operator has just been told of an outage, by when it began."""
    since = datetime.fromisoformat(told["since"])
    assert -POLL_SECONDS - SLACK_SECONDS < (since - began_at).total_seconds() < 1
    assert (datetime.now(UTC) - since).total_seconds() >= SILENT_SECONDS, "it is told too soon"
    host = socket.gethostname()
    assert told == {
        "summary": (
            f"alertgraph on {host} has had no answer of its database since {since:%Y-%m-%d %H:%M:%S} UTC: "
            "this process pages nobody."
        ),
        "since": told["since"],
        "host": host,
    }
