"""The pages of the documentation: what they print is run, as it stands, against a running alertgraph."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import httpx2
import pytest

from tests import prometheus
from tests.running import RunningService, environment_of
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BIN = Path(sys.executable).parent
MARK = "<!-- tested by tests/e2e/test_documentation.py"
PAGES = sorted(
    path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if MARK in path.read_text(encoding="utf-8")
)
SECRET = "secret-of-the-bridge"
# What a page is expected to bring about: titles and where they stand in the end.
OUTCOMES = {
    "guide/quick-start.md": {"Disk full on db-1": "ACKNOWLEDGED"},
    "integrations/prometheus.md": {"Disk full on db-1": "TRIGGERED"},
    "integrations/grafana.md": {"p95 of checkout is above 1 s": "TRIGGERED"},
    "integrations/cloudevents.md": {"Build of web failed": "RESOLVED"},
    "integrations/pagerduty.md": {"Queue of orders is long": "RESOLVED"},
    "integrations/opsgenie.md": {"Node node-7 is down": "RESOLVED"},
    "integrations/webhook.md": {"Backup of db-1 failed": "RESOLVED"},
    "integrations/rest.md": {
        "Nightly import failed": "TRIGGERED",
        "Disk full on db-1": "RESOLVED",
        "Disk full on db-2": "RESOLVED",
    },
}
# What a page's lines have to say; each in the output of the page as a whole.
SAID = {
    "guide/quick-start.md": ["is yours: Disk full on db-1", "every leaf and link holds"],
    "integrations/grafana.md": ["200"],
    "integrations/heartbeats.md": ['"lastBeatAt":"20', '"name":"nightly-backup"'],
}


def printed(page: str, language: str) -> list[str]:
    """Return the blocks of a page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def statuses(service: RunningService) -> dict[str, str]:
    nodes = service.data("{ alerts(first: 100) { nodes { title status } } }")["alerts"]["nodes"]
    return {node["title"]: node["status"] for node in nodes}


@contextmanager
def bridge(service: RunningService) -> Iterator[str]:
    """Run the bridge; yield its URL."""
    port = free_port()
    environment = environment_of(
        "", ALERTGRAPH_URL=service.url, ALERTGRAPH_KEY=service.admin_key, BRIDGE_SECRET=SECRET
    )
    command = [sys.executable, str(ROOT / "examples" / "bridge.py"), "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while not _answers(url):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        return bool(httpx2.post(f"{url}/webhook", json={}).status_code == 401)
    except httpx2.HTTPError:
        return False


def ran(service: RunningService, page: str, bridge_url: str) -> str:
    """Run a page's shell blocks, in one shell, and return what they said."""
    script = "\n".join(printed(page, "sh"))
    for ours, there in (
        ("http://127.0.0.1:8000", service.url),
        ("http://127.0.0.1:9200", bridge_url),
        # The databases of tests are not durable, which it finds.
        (".venv/bin/alertgraph doctor", f"{BIN}/alertgraph doctor || true"),
        (".venv/bin/", f"{BIN}/"),
        ("--tenant default", f"--tenant {service.tenant}"),
    ):
        script = script.replace(ours, there)
    environment = {
        **service.environment,
        "KEY": service.admin_key,
        "ALERTGRAPH_URL": service.url,
        "ALERTGRAPH_KEY": service.admin_key,
        "BRIDGE_SECRET": SECRET,
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_every_printed_line_works(service: RunningService, page: str) -> None:
    assert printed(page, "sh"), "there is nothing to run"
    is_bridged = any("127.0.0.1:9200" in block for block in printed(page, "sh"))
    with bridge(service) if is_bridged else nullcontext("") as bridge_url:
        said = ran(service, page, bridge_url)

    # What GraphQL, REST and the bridge refuse is an answer, and no failure of curl.
    assert re.findall(r'"errors": ?\[\{.*|"status": ?[45]\d\d.*|invalid event.*', said) == []
    assert [text for text in SAID.get(page, []) if text not in said] == []
    if page in OUTCOMES:
        assert statuses(service) == OUTCOMES[page]


def test_each_page_with_an_outcome_is_run() -> None:
    assert OUTCOMES.keys() | SAID.keys() <= set(PAGES)


# ------------------------------------------------------------------------------------- other languages

# What Datadog puts in the place of its variables.
DATADOG = {
    "EVENT_TITLE": "[Triggered] Load of web is high",
    "EVENT_MSG": "system.load.1 over host:web-1 was > 4",
    "ALERT_CYCLE_KEY": "7711",
    "ALERT_ID": "1234",
    "ALERT_SCOPE": "host:web-1",
    "HOSTNAME": "web-1",
    "ALERT_PRIORITY": "P2",
    "LINK": "https://app.datadoghq.com/monitors/1234",
}


def test_datadogs_payloads_raise_and_resolve(service: RunningService) -> None:
    _, raising, resolving = (
        re.sub(r"\$([A-Z_]+)", lambda found: DATADOG[found[1]], block) if "$ALERT" in block else block
        for block in printed("integrations/datadog.md", "json")
    )
    with service.client(service.ingest_key) as client:
        raised = client.post("/api/v1/critical-alerts", json=json.loads(raising))
        assert raised.status_code == 201, raised.text
        assert statuses(service) == {"[Triggered] Load of web is high": "TRIGGERED"}
        resolved = client.post("/graphql", json=json.loads(resolving)).json()

    assert resolved["data"]["resolveAlerts"] == {"changedCount": 1, "errors": []}
    assert statuses(service) == {"[Triggered] Load of web is high": "RESOLVED"}


def test_prometheus_sends_by_the_printed_configuration(service: RunningService, tmp_path: Path) -> None:
    if prometheus.PROMETHEUS is None:
        pytest.skip("Debian's prometheus is not installed")
    key = tmp_path / "key"
    key.write_text(service.ingest_key)
    [direct, _] = printed("integrations/prometheus.md", "yaml")
    rules = {
        "groups": [
            {"name": "g", "rules": [{"alert": "Always", "expr": "vector(1)", "labels": {"severity": "page"}}]}
        ]
    }
    (tmp_path / "rules.yml").write_text(json.dumps(rules))
    configuration = (
        f"global: {{evaluation_interval: 1s}}\nrule_files: [{tmp_path}/rules.yml]\n"
        + direct.replace("127.0.0.1:8000", service.url.removeprefix("http://"))
        + printed("integrations/remote-write.md", "yaml")[0]
    ).replace("/etc/prometheus/alertgraph-key", str(key))
    # It looks for the receivers after its first turn, and would wait a minute for the next.
    with prometheus.running(tmp_path, configuration, "--rules.alert.resend-delay=2s"):
        deadline = time.monotonic() + 60
        while not statuses(service):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.2)

    nodes = service.data("{ alerts { nodes { title severity source } } }")["alerts"]["nodes"]
    assert nodes == [{"title": "Always", "severity": "CRITICAL", "source": "prometheus"}]


def test_every_figure_that_is_shown_is_described(service: RunningService) -> None:
    described = set(re.findall(r"`(alertgraph_\w+)`", (DOCS / "reference" / "figures.md").read_text()))
    with service.client() as client:
        shown = set(re.findall(r"^# HELP (alertgraph_\w+)", client.get("/metrics").text, re.MULTILINE))

    assert {name.removesuffix("_created") for name in shown} - described - {
        name.removesuffix("_total") for name in described
    } == set()
    assert shown
