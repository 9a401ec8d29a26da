"""The scripts in examples/, each run as its help says, against a running alertgraph."""

from __future__ import annotations

import csv
import hashlib
import hmac
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest

from tests.running import RunningService, environment_of
from tests.servers import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = ("bridge", "bulk_acknowledge", "chat_bot", "export_csv", "maintenance")
PATIENCE_SECONDS = 30.0
SECRET = "a secret of the bridge"


def key_of(service: RunningService, role: str) -> str:
    """Return a new key with the role that a script says it needs."""
    create = 'mutation($role: Role!) { createApiKey(input: {name: "script", role: $role}) { secret } }'
    made = service.data(create, {"role": role})
    return str(made["createApiKey"]["secret"])


def variables(service: RunningService, role: str, **more: str) -> dict[str, str]:
    return environment_of("", ALERTGRAPH_URL=service.url, ALERTGRAPH_KEY=key_of(service, role), **more)


def ran(environment: Mapping[str, str], script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / f"{script}.py"), *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@contextmanager
def running(environment: Mapping[str, str], script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, str(EXAMPLES / f"{script}.py"), *arguments], env=dict(environment))
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def open_alerts(service: RunningService, **fields: Any) -> list[str]:
    """Open an alert for each title, and return their ids."""
    create = "mutation($input: CreateAlertInput!) { createAlert(input: $input) { alert { id } } }"
    ids = []
    for title in fields.pop("titles"):
        wanted = {"title": title, "severity": "HIGH", "labels": {"n": title}, **fields}
        created = service.data(create, {"input": wanted})
        ids.append(created["createAlert"]["alert"]["id"])
    return ids


def statuses(service: RunningService) -> dict[str, str]:
    """Return where each alert stands, by its title."""
    nodes = service.data("{ alerts(first: 100) { nodes { title status } } }")["alerts"]["nodes"]
    return {node["title"]: node["status"] for node in nodes}


def until(holds: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_tells_how_it_is_used(script: str) -> None:
    told = ran(environment_of(""), script, "--help")

    assert told.returncode == 0
    assert "key of the role" in " ".join(told.stdout.split())


@pytest.mark.parametrize("script", ["bulk_acknowledge", "export_csv"])
def test_a_refusal_is_one_sentence(service: RunningService, script: str) -> None:
    wrong = environment_of("", ALERTGRAPH_URL=service.url, ALERTGRAPH_KEY="ag_wrong")
    away = wrong | {"ALERTGRAPH_URL": f"http://127.0.0.1:{free_port()}"}

    for environment in (wrong, away):
        told = ran(environment, script, "--service", "orders")
        assert told.returncode == 1
        assert len(told.stderr.splitlines()) == 1, told.stderr


def test_the_client_takes_values_that_are_newer_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    enums = importlib.import_module("alertgraph_client.enums")

    newer = enums.EventKind("TELEPATHED")

    assert newer == newer.value == "TELEPATHED"
    assert newer not in list(enums.EventKind)
    assert enums.EventKind("TRIGGERED") is enums.EventKind.TRIGGERED
    with pytest.raises(ValueError, match="None"):
        enums.EventKind(None)


# ----------------------------------------------------------------------------------- bulk_acknowledge


def test_all_that_match_are_taken_and_nothing_else(service: RunningService) -> None:
    open_alerts(service, titles=["one", "two"], monitoredService="orders")
    open_alerts(service, titles=["other"], monitoredService="cart")
    environment = variables(service, "RESPONDER")

    looked = ran(environment, "bulk_acknowledge", "--service", "orders", "--dry-run")
    assert "2 would be taken." in looked.stdout
    assert set(statuses(service).values()) == {"TRIGGERED"}
    done = ran(environment, "bulk_acknowledge", "--service", "orders", "--match", "n=~one|two", "--note", "on it")
    again = ran(environment, "bulk_acknowledge", "--service", "orders")

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "2 taken."), done.stderr
    assert again.stdout == "0 taken.\n"
    assert statuses(service) == {"one": "ACKNOWLEDGED", "two": "ACKNOWLEDGED", "other": "TRIGGERED"}


def test_who_names_nothing_takes_nothing(service: RunningService) -> None:
    open_alerts(service, titles=["one"])

    told = ran(variables(service, "RESPONDER"), "bulk_acknowledge")

    assert told.returncode == 2
    assert statuses(service) == {"one": "TRIGGERED"}


def test_more_than_a_call_takes_are_taken(service: RunningService) -> None:
    alerts = [{"title": f"alert {n}", "severity": "LOW", "labels": {"n": str(n)}} for n in range(1000)]
    with service.client() as client:
        for more in (alerts, [{**alerts[0], "labels": {"n": "more"}}]):
            assert client.post("/api/v1/critical-alerts/bulk", json=more).status_code == 200

    done = ran(variables(service, "RESPONDER"), "bulk_acknowledge", "--severity", "low")

    assert done.stdout.splitlines()[-1] == "1001 taken."


# ---------------------------------------------------------------------------------------- maintenance

SILENCES = "{ silences(first: 10) { nodes { id state comment } } }"


def states(service: RunningService) -> list[str]:
    return [node["state"] for node in service.data(SILENCES)["silences"]["nodes"]]


def test_a_window_lasts_as_long_as_its_command(service: RunningService, tmp_path: Path) -> None:
    environment = variables(service, "RESPONDER")
    open_alerts(service, titles=["one"], monitoredService="orders")
    ready = tmp_path / "ready"
    window = ("during", "--match", "@service=orders", "--minutes", "5", "--comment", "deploy", "--")
    command = ("sh", "-c", f"touch {ready}; while [ -e {ready} ]; do sleep 0.1; done; exit 3")

    with running(environment, "maintenance", *window, *command) as process:
        until(ready.exists)
        assert states(service) == ["ACTIVE"]
        ready.unlink()
        assert process.wait(PATIENCE_SECONDS) == 3

    assert states(service) == ["EXPIRED"]


def test_a_window_can_be_two_steps_and_the_first_can_be_run_again(service: RunningService) -> None:
    environment = variables(service, "RESPONDER")
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    begin = ("begin", "--match", "@service=orders", "--comment", "deploy", "--until", ends_at, "--once", "job-17")

    first, second = (ran(environment, "maintenance", *begin) for _ in range(2))
    assert first.stdout == second.stdout != ""
    assert states(service) == ["ACTIVE"]
    assert ran(environment, "maintenance", "end", first.stdout.strip()).returncode == 0

    assert states(service) == ["EXPIRED"]


def test_a_window_that_would_hide_too_much_is_refused(service: RunningService) -> None:
    open_alerts(service, titles=["one", "two"], monitoredService="orders")
    wide = ("begin", "--match", "@service=~.*", "--match", "n=~.+", "--comment", "deploy", "--open-max", "1")

    told = ran(variables(service, "RESPONDER"), "maintenance", *wide)

    assert told.returncode == 1
    assert "2 open alerts now" in told.stderr
    assert states(service) == []


# ----------------------------------------------------------------------------------------- export_csv


def test_every_alert_is_in_the_file_once_and_none_is_a_formula(service: RunningService, tmp_path: Path) -> None:
    titles = [f"alert {n}" for n in range(249)] + ["=cmd()|'a'!A1"]
    alerts = [{"title": title, "severity": "LOW", "labels": {"n": title}} for title in titles]
    with service.client() as client:
        assert client.post("/api/v1/critical-alerts/bulk", json=alerts).status_code == 200
    out = tmp_path / "alerts.csv"

    done = ran(variables(service, "VIEWER"), "export_csv", "--severity", "low", "--out", str(out))

    assert (done.returncode, done.stderr) == (0, "250 alerts\n")
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["title"] for row in rows) == sorted([*titles[:-1], "'=cmd()|'a'!A1"])
    assert [json.loads(row["labels"]) for row in rows if row["title"] == "alert 7"] == [{"n": "alert 7"}]


def test_bounds_leave_out_what_is_outside(service: RunningService) -> None:
    open_alerts(service, titles=["old"], triggeredAt="2026-01-01T00:00:00Z")
    open_alerts(service, titles=["new"])

    done = ran(
        variables(service, "VIEWER"), "export_csv", "--since", "2026-02-01T00:00:00Z", "--status", "triggered"
    )

    assert [row["title"] for row in csv.DictReader(done.stdout.splitlines())] == ["new"]


# ------------------------------------------------------------------------------------------- chat_bot


@contextmanager
def chat_room() -> Iterator[tuple[str, list[str]]]:
    """Play a chat's incoming webhook; yield its URL and what was posted."""
    posted: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"])
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hooks/abc", posted
    finally:
        server.shutdown()
        server.server_close()


def typed(port: int, text: str, token: str = "room") -> httpx2.Response:
    return httpx2.post(
        f"http://127.0.0.1:{port}/command",
        content=f"token={token}&user_name=ada&text={text.replace(' ', '+')}",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        timeout=10.0,
    )


def is_up(port: int) -> bool:
    try:
        return bool(typed(port, "help").status_code == 200)
    except httpx2.HTTPError:
        return False


def test_the_bot_tells_a_room_answers_it_and_misses_nothing_while_it_is_away(
    service: RunningService, tmp_path: Path
) -> None:
    environment = variables(service, "RESPONDER", CHAT_TOKEN="room")
    state, port = tmp_path / "bot.json", free_port()
    with chat_room() as (url, posted):
        bot = ("chat_bot", "--post", url, "--listen", f"127.0.0.1:{port}", "--state", str(state))
        with running(environment, *bot):
            until(lambda: is_up(port))
            until(state.exists)
            [alert_id] = open_alerts(service, titles=["Disk full on <!channel>"])
            until(lambda: posted)
            listed = typed(port, "open").json()["text"]
            taken = typed(port, f"ack {alert_id}").json()["text"]
            refused = typed(port, "open", token="wrong")
            until(lambda: len(posted) == 2)
        open_alerts(service, titles=["while it was away"])
        with running(environment, *bot):
            until(lambda: len(posted) >= 3)

    assert posted[0].startswith(f"*Disk full on &lt;!channel&gt;* ({alert_id})")
    assert alert_id in listed
    assert taken == f"ada has {alert_id}."
    assert refused.status_code == 403
    assert statuses(service)["Disk full on <!channel>"] == "ACKNOWLEDGED"
    assert "while it was away" in posted[-1]


def test_the_bot_ends_when_it_is_told_to_and_says_why_where_it_cannot_go_on(
    service: RunningService, tmp_path: Path
) -> None:
    environment = variables(service, "RESPONDER", CHAT_TOKEN="room")
    port = free_port()
    with chat_room() as (url, _):
        bot = ("chat_bot", "--post", url, "--state", str(tmp_path / "bot.json"))
        with running(environment, *bot, "--listen", f"127.0.0.1:{port}") as process:
            until(lambda: is_up(port))
            process.terminate()
            process.wait(PATIENCE_SECONDS)
        refused = ran({**environment, "ALERTGRAPH_KEY": "ag_wrong"}, *bot)

    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1, refused.stderr


# --------------------------------------------------------------------------------------------- bridge


@pytest.fixture
def bridge(service: RunningService) -> Iterator[str]:
    """The bridge, running; where it listens."""
    port = free_port()
    environment = variables(service, "RESPONDER", BRIDGE_SECRET=SECRET, SENTRY_SECRET="sentry's")
    with running(environment, "bridge", "--listen", f"127.0.0.1:{port}"):
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            try:
                return bool(httpx2.post(f"{url}/webhook", json={}).status_code == 401)
            except httpx2.HTTPError:
                return False

        until(answers)
        yield url


def sent_as_sentry(bridge: str, resource: str, body: Mapping[str, Any], secret: str = "sentry's") -> int:
    raw = json.dumps(body).encode()
    signature = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    headers = {"Sentry-Hook-Resource": resource, "Sentry-Hook-Signature": signature}
    return httpx2.post(f"{bridge}/sentry", content=raw, headers=headers).status_code


def test_the_bridge_takes_sentry(service: RunningService, bridge: str) -> None:
    event = {"issue_id": "17", "title": "ZeroDivisionError", "level": "error", "web_url": "https://sentry.io/17"}
    raised = {"action": "triggered", "data": {"event": event, "triggered_rule": "any"}}
    over = {"action": "resolved", "data": {"issue": {"id": "17"}}}

    assert sent_as_sentry(bridge, "event_alert", raised, "wrong") == 401
    assert statuses(service) == {}
    assert sent_as_sentry(bridge, "event_alert", raised) == 202
    assert sent_as_sentry(bridge, "installation", {"action": "created", "data": {}}) == 202
    assert statuses(service) == {"ZeroDivisionError": "TRIGGERED"}
    assert sent_as_sentry(bridge, "issue", over) == 202
    assert statuses(service) == {"ZeroDivisionError": "RESOLVED"}

    metric = {"metric_alert": {"id": "4"}, "description_title": "Latency", "description_text": "p95 is 3 s"}
    assert sent_as_sentry(bridge, "metric_alert", {"action": "critical", "data": metric}) == 202
    assert statuses(service)["Latency"] == "TRIGGERED"
    assert sent_as_sentry(bridge, "metric_alert", {"action": "resolved", "data": metric}) == 202
    assert statuses(service)["Latency"] == "RESOLVED"


def test_the_bridge_takes_pagerduty_events(service: RunningService, bridge: str) -> None:
    payload = {
        "summary": "Queue is long",
        "severity": "critical",
        "source": "mq-1",
        "custom_details": {"depth": 9},
    }

    def sent(action: str, key: str = SECRET, **more: Any) -> httpx2.Response:
        body = {"routing_key": key, "event_action": action, "dedup_key": "q", **more}
        return httpx2.post(f"{bridge}/v2/enqueue", json=body)

    assert sent("trigger", "wrong", payload=payload).status_code == 401
    answer = sent("trigger", payload=payload)
    assert (answer.status_code, answer.json()["dedup_key"]) == (202, "q")
    assert sent("trigger").status_code == 400
    assert statuses(service) == {"Queue is long": "TRIGGERED"}
    assert sent("acknowledge").status_code == 202
    assert statuses(service) == {"Queue is long": "ACKNOWLEDGED"}
    assert sent("resolve").status_code == 202
    assert statuses(service) == {"Queue is long": "RESOLVED"}


def test_the_bridge_takes_opsgenies_alerts(service: RunningService, bridge: str) -> None:
    headers = {"Authorization": f"GenieKey {SECRET}"}
    alert = {"message": "Node down", "alias": "node-7", "priority": "P1", "tags": ["a", "b"], "entity": "node-7"}

    assert httpx2.post(f"{bridge}/v2/alerts", json=alert).status_code == 401
    assert httpx2.post(f"{bridge}/v2/alerts", json=alert, headers=headers).status_code == 202
    assert statuses(service) == {"Node down": "TRIGGERED"}
    close = f"{bridge}/v2/alerts/node-7/close?identifierType=alias"
    assert httpx2.post(close, json={}, headers=headers).status_code == 202
    assert statuses(service) == {"Node down": "RESOLVED"}


def test_the_bridge_takes_alertmanagers_webhook(service: RunningService, bridge: str) -> None:
    def sent(*alerts: Mapping[str, Any]) -> int:
        body = {"version": "4", "status": "firing", "alerts": alerts}
        return httpx2.post(
            f"{bridge}/alertmanager", json=body, headers={"Authorization": f"Bearer {SECRET}"}
        ).status_code

    labels = {"alertname": "DiskFull", "severity": "critical", "service": "orders"}
    one = {"status": "firing", "labels": labels, "annotations": {"summary": "Disk full"}, "fingerprint": "0a"}
    two = {"status": "firing", "labels": {"alertname": "CPUHot"}, "fingerprint": "0b"}

    assert sent(one, two) == 202
    assert statuses(service) == {"Disk full": "TRIGGERED", "CPUHot": "TRIGGERED"}
    assert sent({**one, "status": "resolved"}, two) == 202
    assert statuses(service) == {"Disk full": "RESOLVED", "CPUHot": "TRIGGERED"}


def test_the_bridge_takes_cloudevents(service: RunningService, bridge: str) -> None:
    key = {"Authorization": f"Bearer {SECRET}"}
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "/ci/main",
        "type": "build.failed",
        "data": {"severity": "low"},
    }

    def sent(value: Any, media_type: str, headers: Mapping[str, str] = key) -> int:
        posted = {**headers, "Content-Type": media_type}
        return httpx2.post(f"{bridge}/cloudevents", content=json.dumps(value), headers=posted).status_code

    assert sent(event, "application/cloudevents+json", {}) == 401
    assert sent({**event, "specversion": "0.3"}, "application/cloudevents+json") == 400
    assert sent(event, "application/cloudevents+json") == 202
    assert statuses(service) == {"build.failed": "TRIGGERED"}
    batch = [{**event, "id": "2", "subject": "web", "data": {"title": "Build of web"}}]
    assert sent(batch, "application/cloudevents-batch+json") == 202
    binary = {"ce-specversion": "1.0", "ce-id": "3", "ce-source": "/ci/main", "ce-type": "build.failed"}
    assert sent({"status": "ok"}, "application/json", {**key, **binary}) == 202
    assert statuses(service) == {"build.failed": "RESOLVED", "Build of web": "TRIGGERED"}
    # The same event once more is no new occurrence.
    assert sent(batch, "application/cloudevents-batch+json") == 202
    nodes: Sequence[Mapping[str, Any]] = service.data(
        '{ alerts(filter: {search: "web"}) { nodes { occurrenceCount } } }'
    )["alerts"]["nodes"]
    assert [node["occurrenceCount"] for node in nodes] == [1]


def test_the_bridge_takes_a_plain_webhook(service: RunningService, bridge: str) -> None:
    def sent(body: Any) -> int:
        return httpx2.post(
            f"{bridge}/webhook", content=body, headers={"Authorization": f"Bearer {SECRET}"}
        ).status_code

    assert [sent(body) for body in ("no json", "[]", "{}")] == [400, 400, 400]
    assert sent('{"title": "Backup failed", "severity": "major", "key": "backup", "host": "db-1"}') == 202
    assert statuses(service) == {"Backup failed": "TRIGGERED"}
    assert sent('{"title": "Backup failed", "key": "backup", "status": "OK"}') == 202
    assert statuses(service) == {"Backup failed": "RESOLVED"}


def test_the_bridge_says_so_where_alertgraph_is_away() -> None:
    port = free_port()
    environment = environment_of(
        "", ALERTGRAPH_URL=f"http://127.0.0.1:{free_port()}", ALERTGRAPH_KEY="ag_x", BRIDGE_SECRET=SECRET
    )
    with running(environment, "bridge", "--listen", f"127.0.0.1:{port}"):
        answers: list[httpx2.Response] = []

        def answered() -> bool:
            try:
                headers = {"Authorization": f"Bearer {SECRET}"}
                answers.append(
                    httpx2.post(f"http://127.0.0.1:{port}/webhook", json={"title": "t"}, headers=headers)
                )
            except httpx2.HTTPError:
                return False
            return True

        until(answered)

    assert answers[-1].status_code == 503
    assert answers[-1].headers["retry-after"] == "5"
