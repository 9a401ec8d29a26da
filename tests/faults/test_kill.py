"""kill -9 in the middle of 20,000 creates: what was answered is there, once, and the log can prove it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alertgraph.core.cursor import decode_log_cursor
from tests.faults.processes import kill_tree
from tests.running import ServiceProcess, environment_of
from tests.servers import free_port
from tests.sockets import Follower
from tests.wire import Creates, Wire, check_kept, wire

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

COUNT = 20_000
CONNECTIONS = 32


def variables_of(data_dir: Path) -> dict[str, str]:
    """Return the variables of an installation with an embedded database."""
    more = {"CRITICAL_ALERT_DATA_DIR": str(data_dir), "CRITICAL_ALERT_COST_BUDGET": "100000000"}
    environment = environment_of("", **more)
    for name in ("CRITICAL_ALERT_DATABASE_URL", "CRITICAL_ALERT_MASTER_KEY"):
        del environment[name]
    return environment


@contextmanager
def embedded(data_dir: Path, log: Path) -> Iterator[ServiceProcess]:
    """Yield a service with an embedded database, on a port that stays the same over its restarts."""
    service = ServiceProcess(variables_of(data_dir), free_port())
    service.start(log)
    try:
        yield service
    finally:
        service.kill()


def verify(data_dir: Path) -> subprocess.CompletedProcess[str]:
    """Run `alertgraph audit verify` beside a service."""
    return subprocess.run(
        [sys.executable, "-m", "alertgraph", "audit", "verify"],
        env=variables_of(data_dir),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_kill_9_loses_nothing_that_was_answered(data_dir: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with embedded(data_dir, log) as service:
        key = (data_dir / "bootstrap_key").read_text().strip()
        async with wire(service.url, key) as connection:
            reply = await connection.graphql("{ events(first: 1) { asOf } }")
        assert reply.status == 200, reply.body
        start = reply.json()["data"]["events"]["asOf"]
        websocket_url = service.url.replace("http", "ws", 1) + "/graphql"
        creates = Creates(service.url, key, "kill")
        start_seconds: list[float] = []
        async with (
            Follower(websocket_url, key, after=start) as follower,
            Follower(websocket_url, key, after=start, filter={"matchers": [matcher("number", ".*7")]}) as picky,
        ):
            sending = asyncio.create_task(creates.send(range(COUNT), CONNECTIONS))
            for kill in range(1, 5):
                while len(creates.ids) < COUNT * kill // 5:
                    assert not sending.done(), sending.exception()
                    await asyncio.sleep(0.005)
                if kill % 2:
                    service.kill()
                else:
                    assert kill_tree(service) > 5, "the database's processes are among those killed"
                killed_at = time.monotonic()
                await asyncio.to_thread(service.start, log)
                start_seconds.append(time.monotonic() - killed_at)
            await sending

            assert sorted(creates.ids) == list(range(COUNT))
            # Each is triggered once, and held once since there is no rule.
            await follower.until(lambda: follower.kinds.count("HELD") >= COUNT, patience=60)
            async with wire(service.url, key) as connection:
                reply = await connection.graphql("{ events(last: 1) { asOf } }")
            last = decode_log_cursor(reply.json()["data"]["events"]["asOf"]).number
            await follower.until_number(last, patience=60)
            await picky.until(lambda: len(picky.numbers) >= 2 * COUNT // 10, patience=60)

            # Every event once and in order, over all deaths.
            first = decode_log_cursor(start).number + 1
            assert follower.numbers == list(range(first, last + 1))
            assert follower.connects > len(start_seconds)
            assert picky.numbers == sorted(set(picky.numbers))
            assert Counter(picky.kinds) == {"TRIGGERED": COUNT // 10, "HELD": COUNT // 10}
            # Nothing was created twice, and nothing is missing in between.
            assert Counter(follower.kinds) == {"TRIGGERED": COUNT, "HELD": COUNT}
        await check_kept(creates)
        verified = verify(data_dir)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "every leaf and link holds" in verified.stdout
        assert creates.outcomes["unanswered"] > 0, "it was not killed in the middle of anything"
        assert service.stop() == 0
        # On a machine with other work, what a start takes after an orderly end is the measure.
        stopped_at = time.monotonic()
        await asyncio.to_thread(service.start, log)
        orderly = time.monotonic() - stopped_at
        assert max(start_seconds) < max(15, 3 * orderly), f"{start_seconds}, {orderly} in order"
        assert service.stop() == 0


async def test_what_falls_due_while_it_is_dead_happens_once_when_it_is_back(
    data_dir: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with embedded(data_dir, log) as service:
        key = (data_dir / "bootstrap_key").read_text().strip()
        async with wire(service.url, key) as connection:
            alerts = [{"title": str(n), "severity": "HIGH", "dedupKey": str(n)} for n in range(50)]
            made = (await connection.post("/api/v1/critical-alerts/bulk", alerts)).json()["outcomes"]
            until = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
            for outcome in made:
                alert = {"alertId": outcome["alert"]["id"], "until": until}
                assert (await connection.graphql(SNOOZE, {"input": alert})).status == 200
        kill_tree(service)
        await asyncio.sleep(2)
        await asyncio.to_thread(service.start, log)
        # It dies again while it works on what has fallen due.
        await asyncio.sleep(0.05)
        service.kill()
        await asyncio.to_thread(service.start, log)

        async with wire(service.url, key) as connection:
            deadline = time.monotonic() + 15
            while len(given_back := await timelines(connection)) < len(made) or any(
                kinds[-1] != "HELD" for kinds in given_back
            ):
                assert time.monotonic() < deadline, f"{len(given_back)} were given back: {given_back[-1:]}"
                await asyncio.sleep(0.1)
        done = [[kind for kind in kinds if kind != "HELD"] for kinds in given_back]
        assert done == [["TRIGGERED", "ACKNOWLEDGED", "UNACKNOWLEDGED"]] * len(made)
        # Held since there is no rule: before it was taken, where there was time for that, and once afterwards.
        assert {tuple(kinds[-2:]) for kinds in given_back} == {("UNACKNOWLEDGED", "HELD")}
        assert max(kinds.count("HELD") for kinds in given_back) <= 2
        assert verify(data_dir).returncode == 0


SNOOZE = "mutation Snooze($input: AcknowledgeAlertInput!) { acknowledgeAlert(input: $input) { changed } }"


async def timelines(connection: Wire) -> list[list[str]]:
    """Return what happened to each alert that nobody has."""
    query = (
        "{ alerts(filter: {status: [TRIGGERED]}, first: 100) { nodes { events(first: 9) { nodes { kind } } } } }"
    )
    alerts = (await connection.graphql(query)).json()["data"]["alerts"]["nodes"]
    return [[event["kind"] for event in alert["events"]["nodes"]] for alert in alerts]


def matcher(label: str, pattern: str) -> dict[str, str]:
    return {"label": label, "operator": "REGEX", "value": pattern}
