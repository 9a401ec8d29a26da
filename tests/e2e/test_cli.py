"""The command line, run as a person or a script runs it: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from alertgraph.edge.cli import app
from tests.e2e.test_replay import a_set
from tests.running import RunningService, environment_of
from tests.servers import free_port

ALERTGRAPH = (sys.executable, "-m", "alertgraph")


def run_process(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own."""
    return subprocess.run(
        [*ALERTGRAPH, *arguments], env=dict(environment), capture_output=True, text=True, timeout=60, check=False
    )


def run(environment: Mapping[str, str], *arguments: str) -> Result:
    """Run a command in this process, which saves the seconds that its imports take."""
    wanted: dict[str, str | None] = {name: None for name in os.environ if name.startswith("CRITICAL_ALERT_")}
    return CliRunner().invoke(app, list(arguments), env={**wanted, **environment})


def sentence(done: subprocess.CompletedProcess[str] | Result) -> str:
    """Return the one sentence that a refused command says; a traceback would be many lines."""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert done.stdout == ""
    return str(lines[0])


@pytest.fixture
def environment(service: RunningService) -> dict[str, str]:
    return {**service.environment, "ALERTGRAPH_URL": service.url, "ALERTGRAPH_KEY": service.admin_key}


def test_a_tenant_and_its_key_are_made_for_scripts(service: RunningService, environment: dict[str, str]) -> None:
    slug = f"cli-{service.tenant}"

    made = run(environment, "tenant", "create", slug, "--tier", "premium", "--json")
    key = run(environment, "key", "create", "--tenant", slug, "--role", "admin", "--json")
    again = run(environment, "tenant", "create", slug)

    assert json.loads(made.stdout)["tier"] == "PREMIUM"
    secret = json.loads(key.stdout)["key"]
    assert secret.startswith("ag_")
    assert service.data("{ viewer { tenant { slug } role } }", key=secret)["viewer"] == {
        "tenant": {"slug": slug},
        "role": "ADMIN",
    }
    assert (again.exit_code, slug in sentence(again)) == (1, True)


def test_a_revoked_key_is_refused(service: RunningService, environment: dict[str, str]) -> None:
    made = json.loads(run(environment, "key", "create", "-t", service.tenant, "--role", "viewer", "--json").stdout)
    assert "errors" not in service.graphql("{ viewer { role } }", key=made["key"])

    listed = run(environment, "key", "list", "-t", service.tenant)
    done = run(environment, "key", "revoke", made["id"], "-t", service.tenant)

    assert made["key"] not in listed.stdout
    assert made["prefix"] in listed.stdout
    assert done.exit_code == 0
    deadline = time.monotonic() + 5
    while "errors" not in (answer := service.graphql("{ viewer { role } }", key=made["key"])):
        assert time.monotonic() < deadline, "another process's revocation was not noticed"
        time.sleep(0.1)
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_send_tells_whether_the_alert_is_new(environment: dict[str, str]) -> None:
    first = run(environment, "send", "Disk full", "-s", "critical", "-l", "host=db-1", "--service", "orders")
    second = run(environment, "send", "Disk full", "-s", "critical", "-l", "host=db-1", "--json")

    assert first.stdout.strip().endswith("is open.")
    told = json.loads(second.stdout)
    assert (told["created"], told["alert"]["occurrenceCount"]) == (False, 2)


def test_ack_takes_what_is_named_and_what_matches(service: RunningService, environment: dict[str, str]) -> None:
    ids = [
        json.loads(run(environment, "send", title, "-l", f"n={title}", "--service", "orders", "--json").stdout)
        for title in ("one", "two")
    ]

    first = run(environment, "ack", ids[0]["alert"]["id"], "--note", "on it")
    rest = run(environment, "ack", "--service", "orders", "-s", "high", "--json")
    again = run(environment, "ack", "--service", "orders")
    unknown = run(environment, "ack", "alr_unknown")

    assert first.stdout == f"{ids[0]['alert']['id']} is yours: one\n"
    assert [json.loads(line)["alert"]["title"] for line in rest.stdout.splitlines()] == ["two"]
    assert again.stdout == "Nothing that is triggered matches.\n"
    assert unknown.exit_code == 1
    nodes = service.data("{ alerts { nodes { status } } }")["alerts"]["nodes"]
    assert {node["status"] for node in nodes} == {"ACKNOWLEDGED"}


def test_a_set_is_told_to_a_service_that_runs(
    service: RunningService, environment: dict[str, str], tmp_path: Path
) -> None:
    a_set(tmp_path, 6)

    arguments = ("--data", str(tmp_path), "--set", "telecom", "--days", "1", "--speed", "1000000", "--json")
    told = run(environment, "replay", *arguments, "--url", service.url, "--key", service.admin_key)

    assert told.exit_code == 0, told.stderr
    found = json.loads(told.stdout)
    assert (found["set"], found["messages"]) == ("telecom", 12)
    assert found["figures"]["createdCount"] == 6


def test_tail_begins_behind_a_cursor_and_follows(service: RunningService, environment: dict[str, str]) -> None:
    start = service.data("{ alerts { asOf } }")["alerts"]["asOf"]
    run(environment, "send", "before")

    tail = subprocess.Popen(
        [*ALERTGRAPH, "tail", "--after", start, "--json"], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert tail.stdout is not None
        # Each is triggered, and held since there is no rule.
        seen = [json.loads(tail.stdout.readline()) for _ in range(2)]
        run(environment, "send", "after")
        seen += [json.loads(tail.stdout.readline()) for _ in range(2)]
    finally:
        tail.terminate()
        tail.wait(10)

    assert [event["alert"]["title"] for event in seen] == ["before", "before", "after", "after"]
    assert [event["number"] - seen[0]["number"] for event in seen] == [0, 1, 2, 3]


def test_audit_and_doctor_find_a_sound_installation(service: RunningService, environment: dict[str, str]) -> None:
    run(environment, "send", "Disk full")

    audit = run(environment, "audit", "verify", "--tenant", service.tenant, "--json")
    doctor = run(environment, "doctor", "--json")

    told = json.loads(audit.stdout)
    # How much of it is signed, the sealer decides.
    assert told.pop("sealed") <= 4
    assert told.pop("checkpoints") <= 1
    assert told == {"tenant": service.tenant, "checked": 4, "fault": None}
    states = {finding["check"]: finding["state"] for finding in map(json.loads, doctor.stdout.splitlines())}
    # The tests' servers give up durability for speed, and doctor says so.
    assert states.pop("database") == "fault"
    assert set(states.values()) == {"ok"}, doctor.stdout
    assert "CRITICAL_ALERT_PUBLIC_URL" in doctor.stdout, "without it messages have no links"
    assert doctor.exit_code == 1


def test_schema_prints_the_published_contract(environment: dict[str, str]) -> None:
    published = (Path(__file__).parents[2] / "schema.graphql").read_text(encoding="utf-8")

    assert run(environment, "schema").stdout == published


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("key", "create", "--tenant", "nobody"), "no tenant nobody"),
        (("audit", "verify", "--tenant", "nobody"), "no tenant nobody"),
        (("tenant", "create", "Not A Slug"), "slug"),
        (("key", "create", "--tenant", "x", "--role", "king"), "--role is ingest, viewer, responder or admin"),
        (("send", "t", "--label", "novalue"), "--label is name=value"),
        (("send", "t", "--severity", "awful"), "severity"),
        (("ack",), "name either ids"),
        (("ack", "-s", "awful"), "AWFUL"),
        (("send", "t", "--key", "ag_wrong_key"), "API key"),
        (("tail", "--key", "ag_wrong_key_that_is_long_enough"), "closed the connection: 4403"),
        (("tail", "--after", "nonsense"), "cursor"),
        (("serve", "--role", "king"), "--role is all, api, engine, predictor or trainer"),
    ],
)
def test_errors_are_one_sentence(environment: dict[str, str], arguments: tuple[str, ...], said: str) -> None:
    done = run(environment, *arguments)

    assert done.exit_code != 0
    assert said in sentence(done)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CRITICAL_ALERT_PROT": "1"}, "did you mean CRITICAL_ALERT_PORT?"),
        ({"CRITICAL_ALERT_PORT": "eighty"}, "CRITICAL_ALERT_PORT is refused"),
        ({"CRITICAL_ALERT_DATABASE_URL": "mysql://db"}, "it begins with postgresql://"),
        ({"CRITICAL_ALERT_MASTER_KEY": "c2hvcnQ="}, "32 bytes in base64"),
        ({"CRITICAL_ALERT_MASTER_KEY": ""}, "CRITICAL_ALERT_MASTER_KEY is needed"),
        ({"CRITICAL_ALERT_BOOTSTRAP_TENANT": "No Slug"}, "CRITICAL_ALERT_BOOTSTRAP_TENANT is refused"),
        ({"CRITICAL_ALERT_REDIS_URL": "http://cache"}, "CRITICAL_ALERT_REDIS_URL is refused"),
    ],
)
def test_a_configuration_that_cannot_work_is_named(variables: dict[str, str], said: str) -> None:
    port = {"CRITICAL_ALERT_PORT": str(free_port())}
    environment = environment_of("postgresql://nobody@127.0.0.1:9/none", **{**port, **variables})

    done = run_process(environment, "serve")

    assert done.returncode == 1
    assert said in sentence(done)


def test_a_service_that_is_not_there_is_named(environment: dict[str, str]) -> None:
    away = {**environment, "ALERTGRAPH_URL": f"http://127.0.0.1:{free_port()}"}

    for command in (("send", "t"), ("tail",)):
        done = run(away, *command)
        assert done.exit_code == 1
        assert "can't be reached" in sentence(done)


def test_a_data_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("not a folder")
    environment = environment_of("", CRITICAL_ALERT_DATA_DIR=str(taken / "below"))
    for name in ("CRITICAL_ALERT_DATABASE_URL", "CRITICAL_ALERT_MASTER_KEY"):
        del environment[name]

    served = run_process(environment, "serve", "--port", str(free_port()))
    examined = run(environment, "audit", "verify")

    assert (served.returncode, "CRITICAL_ALERT_DATA_DIR" in sentence(served)) == (1, True)
    assert (examined.exit_code, "CRITICAL_ALERT_DATA_DIR" in sentence(examined)) == (1, True)


def test_a_command_makes_no_database_where_there_is_none(data_dir: Path) -> None:
    environment = environment_of("", CRITICAL_ALERT_DATA_DIR=str(data_dir))
    for name in ("CRITICAL_ALERT_DATABASE_URL", "CRITICAL_ALERT_MASTER_KEY"):
        del environment[name]

    done = run(environment, "audit", "verify")

    assert (done.exit_code, "There is no database" in sentence(done)) == (1, True)
    assert not (data_dir / "postgres").exists()


def test_a_database_that_is_away_is_named_without_its_password() -> None:
    environment = environment_of(f"postgresql://me:canary@127.0.0.1:{free_port()}/none")

    done = run_process(environment, "serve", "--port", str(free_port()))

    said = sentence(done)
    assert done.returncode == 1
    assert "127.0.0.1:" in said
    assert "CRITICAL_ALERT_DATABASE_URL" in said
    assert "canary" not in said


def test_dependencies_come_from_a_file(
    service: RunningService, environment: dict[str, str], tmp_path: Path
) -> None:
    table, tree = tmp_path / "needs.csv", tmp_path / "needs.json"
    table.write_text("service,dependsOn\nweb,api\nweb,cache\napi,db\n", encoding="utf-8")
    tree.write_text(json.dumps({"web": ["api"]}), encoding="utf-8")

    first = run(environment, "dependencies", "import", str(table))
    second = run(environment, "dependencies", "import", str(tree), "--replace-all", "--json")

    assert first.stdout == "2 services are set; there are 3 dependencies now.\n"
    assert json.loads(second.stdout) == {"services": 1, "dependencies": 1}
    seen = service.data('{ monitoredServices(prefix: "w") { nodes { name dependsOn(first: 9) { name } } } }')
    assert seen["monitoredServices"]["nodes"] == [{"name": "web", "dependsOn": [{"name": "api"}]}]


def test_a_file_of_dependencies_that_can_not_be_used_is_told(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "needs"
    for text, word in (("{", "no JSON"), ('{"a": "b"}', "entry 1"), ("a,b,c", "line 1"), ("a,a", "itself")):
        file.write_text(text, encoding="utf-8")
        done = run(environment, "dependencies", "import", str(file))
        assert (done.exit_code, word in sentence(done)) == (1, True), text
    assert "can't be read" in sentence(run(environment, "dependencies", "import", str(tmp_path / "nowhere")))
