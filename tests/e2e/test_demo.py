"""`alertgraph demo` as somebody meets it: it shows what it promises, as its seed has it, and leaves no trace."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from alertgraph.edge.demo.companies import COMPANIES
from alertgraph.edge.demo.plan import Element, Fire, storm
from tests.running import environment_of
from tests.servers import short_directory

SEED = 11
SPEED = 6
PATIENCE_SECONDS = 90.0
ALERTS = """query Alerts($after: String) { alerts(first: 100, after: $after, orderBy: {field: TRIGGERED_AT}) {
  pageInfo { hasNextPage endCursor }
  nodes { dedupKey title severity monitoredService escalationLevel }
} }"""
INCIDENTS = "{ incidents(first: 100) { nodes { title alertCount rootAlert { title } monitoredServices } } }"
EVENTS = """query Events($kinds: [EventKind!]) { events(filter: {kinds: $kinds}, last: 100) {
  nodes { kind summary actor { kind name } alert { title } detail }
} }"""


@dataclass
class Demo:
    process: subprocess.Popen[str]
    folder: Path
    url: str
    inbox: str
    keys: dict[str, str]
    said: list[str]

    def data(self, slug: str, query: str, **variables: Any) -> dict[str, Any]:
        answer = httpx2.post(
            f"{self.url}/graphql",
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {self.keys[slug]}"},
            timeout=20.0,
            trust_env=False,
            verify=False,
        ).json()
        assert "errors" not in answer, answer["errors"]
        return dict(answer["data"])

    def alerts(self, slug: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = None
        while True:
            page = self.data(slug, ALERTS, after=after)["alerts"]
            found += page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]

    def events(self, slug: str, *kinds: str) -> list[dict[str, Any]]:
        return list(self.data(slug, EVENTS, kinds=kinds)["events"]["nodes"])


def environment(folder: Path) -> dict[str, str]:
    variables = environment_of("", TMPDIR=str(folder), CRITICAL_ALERT_LOG_LEVEL="warning")
    for name in ("DATABASE_URL", "MASTER_KEY", "CHECKPOINT_DIR"):
        del variables[f"CRITICAL_ALERT_{name}"]
    return variables


def begun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "alertgraph", "demo", "--port", "0", *arguments],
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def playing(*arguments: str) -> Iterator[Demo]:
    with short_directory() as folder:
        process = begun(folder, *arguments)
        try:
            assert process.stdout is not None
            said: list[str] = []
            for line in process.stdout:
                said.append(line)
                if "Ctrl-C" in line:
                    break
            text = "".join(said)
            found = re.search(r"is up: (http://\S+)", text)
            assert found is not None, text
            keys = dict(zip([each.slug for each in COMPANIES], re.findall(r"/#key=(ag_\S+)", text), strict=True))
            inbox = re.search(r"Inbox\s+(http://[^\s/]+)/", text)
            assert inbox is not None, text
            yield Demo(process, folder, found[1], inbox[1], keys, said)
        finally:
            process.kill()
            process.wait(10)


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of all processes that have to do with a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
                environ = (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in command + environ:
                found.append(command.replace(b"\0", b" ").decode())
    return found


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.timeout(240)
def test_a_storm_shows_what_it_promises_and_ends_without_a_trace() -> None:
    with playing("--seed", str(SEED), "--speed", str(SPEED), "--once") as demo:
        up_at = time.monotonic()
        until(lambda: bool(demo.alerts("acme")))
        first_alert_seconds = time.monotonic() - up_at
        assert demo.process.stdout is not None
        # What it says next: it says nothing while all goes well.
        assert demo.process.stdout.readline() == "\n"
        assert "The storm is over" in demo.process.stdout.readline()

        for company in COMPANIES:
            alerts = demo.alerts(company.slug)
            planned = [step for step in storm(company, SEED, 0) if isinstance(step.act, Fire)]
            assert {(each["dedupKey"], each["title"], each["severity"]) for each in alerts if beats(each)} == {
                (step.act.key, step.act.title, step.act.severity.name)
                for step in planned
                if isinstance(step.act, Fire)
            }

            fallen = {step.act.key for step in planned if step.element is Element.CASCADE}
            incidents = demo.data(company.slug, INCIDENTS)["incidents"]["nodes"]
            (cascade,) = [each for each in incidents if company.root in each["monitoredServices"]]
            assert cascade["alertCount"] == len(fallen)
            assert cascade["rootAlert"]["title"] == f"Primary is unreachable: {company.root}-1"
            assert set(cascade["monitoredServices"]) == set(company.distances())

            flapped = [each for each in alerts if each["monitoredService"] == company.flapping]
            assert sum(each["title"].startswith("Health check failed") for each in flapped) >= 5

            silenced = demo.events(company.slug, "SILENCED")
            assert len(silenced) >= 6

            climbed = demo.events(company.slug, "ESCALATED")
            neglected = [each for each in climbed if each["alert"]["title"].startswith("Nightly job failed")]
            assert [each["detail"]["detail"]["level"] for each in neglected][:3] == [1, 2, 3]
            takers = {each["actor"]["name"] for each in demo.events(company.slug, "ACKNOWLEDGED")}
            assert takers & set(company.people)
            assert demo.events(company.slug, "DELIVERY_FELL_BACK")

        letters = httpx2.get(f"{demo.inbox}/letters", trust_env=False, verify=False).json()
        assert {letter["company"] for letter in letters} == {each.slug for each in COMPANIES}
        assert {letter["channel"] for letter in letters} == {"chat", "phone", "duty-manager"}

        asked_at = time.monotonic()
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(30) == 0
        assert time.monotonic() - asked_at < 15
        assert demo.process.stdout.read() == ""
        assert list(demo.folder.iterdir()) == []
        assert processes_of(demo.folder) == []
    assert first_alert_seconds < 10


def beats(alert: dict[str, Any]) -> bool:
    """Return whether somebody sent an alert, rather than that nobody did."""
    return not str(alert["title"]).startswith("No heartbeat")


@pytest.mark.timeout(180)
def test_it_ends_without_a_trace_also_while_it_starts_and_when_it_is_terminated() -> None:
    for delay, signum in ((1.0, signal.SIGINT), (2.0, signal.SIGINT), (2.5, signal.SIGTERM), (4.0, signal.SIGINT)):
        with short_directory() as folder:
            process = begun(folder, "--seed", "1")
            time.sleep(delay)
            process.send_signal(signum)
            try:
                said, _ = process.communicate(timeout=60)
            finally:
                process.kill()
            assert process.returncode in (0, 130, 143, -signum), said
            assert "Traceback" not in said
            assert list(folder.iterdir()) == []
            assert processes_of(folder) == []


@pytest.mark.timeout(180)
def test_a_folder_of_ones_own_is_kept_with_its_keys(data_dir: Path) -> None:
    keys = []
    for _ in range(2):
        with playing("--seed", "1", "--data-dir", str(data_dir)) as demo:
            until(lambda demo=demo: bool(demo.alerts("initech")))
            keys.append(demo.keys)
            demo.process.send_signal(signal.SIGTERM)
            assert demo.process.wait(30) == 0
    assert keys[0] == keys[1]
    assert processes_of(data_dir) == []
