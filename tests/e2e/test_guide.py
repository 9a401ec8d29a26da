"""The examples of the GraphQL guide in shell, Python and JavaScript, each run against a running alertgraph."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conformance.node import HERE as NODE_FOLDER
from tests.conformance.node import node_with_clients
from tests.running import RunningService, ServiceProcess, environment_of, new_tenant

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
LANGUAGES = ("sh", "py", "mjs")
PATIENCE_SECONDS = 60.0
CREATE = "mutation($input: CreateAlertInput!) { createAlert(input: $input) { alert { id } } }"


def command(folder: Path, name: str, *arguments: str) -> list[str]:
    """Return how an example is run; in a folder where node finds its packages."""
    path = EXAMPLES / name
    match path.suffix:
        case ".sh":
            return ["sh", str(path), *arguments]
        case ".py":
            return [sys.executable, "-u", str(path), *arguments]
        case _:
            node = node_with_clients()
            if not (folder / "node_modules").exists():
                (folder / "node_modules").symlink_to(NODE_FOLDER / "node_modules")
            (folder / name).write_bytes(path.read_bytes())
            return [str(node), str(folder / name), *arguments]


def variables(service: RunningService) -> dict[str, str]:
    return environment_of("", ALERTGRAPH_URL=service.url, ALERTGRAPH_KEY=service.admin_key)


def ran(service: RunningService, folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, name, *arguments),
        env=variables(service),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def opened(service: RunningService, title: str) -> str:
    wanted = {"title": title, "severity": "CRITICAL", "labels": {"n": title}}
    return str(service.data(CREATE, {"input": wanted})["createAlert"]["alert"]["id"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_query_lists_what_is_open(service: RunningService, tmp_path: Path, language: str) -> None:
    # More than a page, where the example reads more than one.
    titles = [f"alert {n}" for n in range(3 if language == "sh" else 103)]
    alerts = [{"title": title, "severity": "CRITICAL", "labels": {"n": title}} for title in titles]
    with service.client() as client:
        assert client.post("/api/v1/critical-alerts/bulk", json=alerts).status_code == 200

    told = ran(service, tmp_path, f"query.{language}")

    assert told.returncode == 0, told.stderr
    assert [
        title for title in titles if told.stdout.count(f"{title}\n") + told.stdout.count(f'"{title}"') != 1
    ] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_mutation_takes_an_alert_once(service: RunningService, tmp_path: Path, language: str) -> None:
    alert_id = opened(service, "Disk full")

    first, second = (ran(service, tmp_path, f"mutation.{language}", alert_id) for _ in range(2))

    assert first.returncode == 0, first.stderr
    assert "ACKNOWLEDGED" in first.stdout
    # The same idempotency key has the same answer.
    assert second.stdout.split("extensions")[0] == first.stdout.split("extensions")[0]


@pytest.mark.parametrize("language", ["py", "mjs"])
def test_what_is_refused_is_said(service: RunningService, tmp_path: Path, language: str) -> None:
    told = ran(service, tmp_path, f"mutation.{language}", "alr_unknown")

    assert told.returncode == 1
    assert "NOT_FOUND" in told.stderr


@contextmanager
def following(environment: Mapping[str, str], folder: Path, name: str) -> Iterator[Callable[[], str]]:
    """Run an example that follows; yield what returns all it has said."""
    out = folder / f"{name}.out"
    with out.open("wb") as file:
        process = subprocess.Popen(
            command(folder, name), env=dict(environment), cwd=folder, stdout=file, start_new_session=True
        )
    try:
        yield lambda: out.read_text(encoding="utf-8")
    finally:
        # With the children of a shell.
        os.killpg(process.pid, 9)
        process.wait(10)


@pytest.mark.timeout(240)
def test_who_follows_goes_on_where_it_was_after_a_kill(database_url: str, tmp_path: Path) -> None:
    environment = environment_of(database_url)
    process = ServiceProcess(environment).start(tmp_path / "log")
    service = new_tenant(process.url, environment, "guide")
    with ExitStack() as stack:
        heard = []
        for language in LANGUAGES:
            folder = tmp_path / language
            folder.mkdir()
            example = following(variables(service), folder, f"subscribe.{language}")
            heard.append(stack.enter_context(example))
        # Whoever follows from now on has not begun until it hears something.
        count = 0
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all("is open" in said() or "TRIGGERED" in said() for said in heard):
            assert time.monotonic() < deadline, [said() for said in heard]
            opened(service, f"before {count}")
            count += 1
            time.sleep(0.5)
        opened(service, "the last before")
        until(lambda: all(said().count("TRIGGERED") >= 2 for said in heard))
        process.kill()
        process.start(tmp_path / "log")
        opened(service, "the first after")
        numbers = service.data("{ events(last: 1, filter: {kinds: [TRIGGERED]}) { nodes { number } } }")
        last = numbers["events"]["nodes"][0]["number"]
        until(lambda: all(str(last) in said() for said in heard))
        said = [each() for each in heard]
        assert process.stop() == 0

    for text, language in zip(said, LANGUAGES, strict=True):
        pattern = r'"number":(\d+)' if language == "sh" else r"(?m)^(\d+) "
        heard_numbers = [int(number) for number in re.findall(pattern, text)]
        # Nothing is missing and nothing comes twice.
        begin = heard_numbers[0]
        assert heard_numbers == list(range(begin, begin + len(heard_numbers))), language
        assert last in heard_numbers


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)
