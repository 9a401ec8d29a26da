"""A record that can be proved: by the API, by the command line, and by a program that knows nothing of us."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from alertgraph.core.checkpoint import VerifierKey, is_signed, parse_note
from alertgraph.core.ids import decode_id
from alertgraph.core.merkle import is_consistent, root_from_inclusion
from alertgraph.edge.clock import SystemClock
from alertgraph.edge.installation import checkpoint_dir, master_key
from alertgraph.edge.telemetry import Telemetry
from alertgraph.services.sealer import Sealer
from alertgraph.settings import read_settings
from alertgraph.storage.audit_tree import PostgresAuditTrees
from alertgraph.storage.database import Database
from alertgraph.storage.migrate import dsn_of, owner_settings
from alertgraph.storage.secrets import is_signature
from alertgraph.storage.witness import FolderWitness
from tests.e2e.test_cli import run, sentence
from tests.running import RunningService
from tests.virtual import VirtualClock

CHECK_PROOF = Path(__file__).parents[2] / "docs" / "examples" / "check_proof.py"
HEAD = "treeSize rootHash signedAt keyId publicKey signature"
PROOF = (
    f"auditProof(eventId: $id) {{ event {{ number detail }} leafIndex leafHash inclusionPath head {{ {HEAD} }} }}"
)
# A sweep comes every five seconds.
SEALED_SECONDS = 30
# A log that was sealed waits a minute: each time this goes on to a later one.
_minutes = count(2, 2)


def fire(service: RunningService, number: int, word: str = "disk") -> None:
    inputs = [
        {
            "title": f"{word} {place} “full”",
            "severity": "HIGH",
            "labels": {"ä": "1"},
            "dedupKey": f"{word} {place}",
        }
        for place in range(number)
    ]
    done = service.data(
        "mutation ($input: [CreateAlertInput!]!) { createAlerts(input: $input) { createdCount } }",
        {"input": inputs},
    )
    assert done["createAlerts"]["createdCount"] == number


def sealed(service: RunningService) -> dict[str, Any]:
    """Have everything sealed that there is, without waiting for the service to do it; return the log's head."""

    async def work() -> None:
        settings = read_settings(service.environment)
        database = await Database.connect(service.database_url, pool_size=2)
        try:
            sealer = Sealer(
                PostgresAuditTrees(database),
                master_key(settings).signing_key,
                is_signature,
                FolderWitness(checkpoint_dir(settings)),
                VirtualClock(SystemClock().now() + timedelta(minutes=next(_minutes))),
                Telemetry(),
            )
            await sealer.sweep()
        finally:
            await database.close()

    asyncio.run(work())
    head = service.data(f"{{ auditHead {{ {HEAD} }} }}")["auditHead"]
    assert head is not None
    return dict(head)


def events_of(service: RunningService) -> list[dict[str, Any]]:
    return list(service.data("{ events(first: 100) { nodes { id number kind } } }")["events"]["nodes"])


def execute(service: RunningService, *statements: str) -> None:
    """Do something to the database as the owner of its tables."""

    async def work() -> None:
        connection = await asyncpg.connect(dsn_of(service.database_url), server_settings=owner_settings())
        try:
            for statement in statements:
                await connection.execute(statement.replace("{t}", f"tenant_id = '{tenant_id(service)}'"))
        finally:
            await connection.close()

    asyncio.run(work())


def tenant_id(service: RunningService) -> str:
    decoded = decode_id(service.data("{ viewer { tenant { id } } }")["viewer"]["tenant"]["id"])
    assert decoded is not None
    return str(decoded[1])


def note_of(head: Mapping[str, Any]) -> str:
    """Return the signed note that a head of the API says in parts, as docs/audit.md tells to put it together."""
    origin, _, key_hash = head["keyId"].rpartition("+")
    root = base64.b64encode(bytes.fromhex(head["rootHash"])).decode()
    signed = base64.b64encode(bytes.fromhex(key_hash) + base64.b64decode(head["signature"])).decode()
    return f"{origin}\n{head['treeSize']}\n{root}\nsignedAt {head['signedAt']}\n\n— {origin} {signed}\n"


def checked(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program of the documents, which can't import alertgraph."""
    return subprocess.run(
        [sys.executable, "-P", "-S", "-c", _ALONE, str(CHECK_PROOF), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# With the packages there are, but for ours.
_ALONE = f"""
import runpy, sys
sys.path += [path for path in {[path for path in sys.path if "site-packages" in path]!r}]
sys.modules["alertgraph"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_log_without_events_has_no_head(service: RunningService) -> None:
    answer = service.data(f"{{ auditHead {{ {HEAD} }} auditConsistency(earlierSize: 0) {{ path }} }}")

    assert answer == {"auditHead": None, "auditConsistency": None}


def test_the_service_seals_by_itself(service: RunningService) -> None:
    fire(service, 1)
    until = time.monotonic() + SEALED_SECONDS

    while service.data("{ auditHead { treeSize } }")["auditHead"] is None:
        assert time.monotonic() < until, "nothing was sealed"
        time.sleep(0.1)
    with service.client() as client:
        figures = client.get("/metrics").text
    for figure in ("audit_checkpoints_total", "audit_sealed_events_total"):
        [line] = [line for line in figures.splitlines() if line.startswith(f"alertgraph_{figure} ")]
        assert float(line.split()[1]) >= 1
    assert "alertgraph_audit_unsealed_events " in figures


def test_every_event_is_proved_over_the_api(service: RunningService) -> None:
    fire(service, 20)
    head = sealed(service)

    note = parse_note(note_of(head))
    key = VerifierKey(note.origin, base64.b64decode(head["publicKey"]))
    assert is_signed(note, key, is_signature)
    events = events_of(service)
    assert head["treeSize"] <= len(events)
    for event in events[:: max(1, len(events) // 8)]:
        proof = service.data(f"query ($id: ID!) {{ {PROOF} }}", {"id": event["id"]})["auditProof"]
        if event["number"] > head["treeSize"]:
            assert proof is None, "no head covers it yet"
            continue
        path = [bytes.fromhex(each) for each in proof["inclusionPath"]]
        leaf = bytes.fromhex(proof["leafHash"])
        assert proof["event"]["number"] == event["number"]
        assert proof["leafIndex"] == event["number"] - 1
        assert proof["head"] == head
        assert root_from_inclusion(proof["leafIndex"], head["treeSize"], leaf, path) == note.root


def test_an_older_head_is_proved_to_be_the_beginning(service: RunningService) -> None:
    fire(service, 3)
    earlier = sealed(service)
    fire(service, 5, "memory")
    later = sealed(service)

    query = (
        f"query ($size: Long!) {{ auditConsistency(earlierSize: $size) {{ earlierSize path head {{ {HEAD} }} }} }}"
    )
    proof = service.data(query, {"size": earlier["treeSize"]})["auditConsistency"]
    assert proof["head"] == later
    assert is_consistent(
        earlier["treeSize"],
        later["treeSize"],
        bytes.fromhex(earlier["rootHash"]),
        bytes.fromhex(later["rootHash"]),
        [bytes.fromhex(each) for each in proof["path"]],
    )
    for size, path in ((0, []), (later["treeSize"], [])):
        assert service.data(query, {"size": size})["auditConsistency"]["path"] == path
    too_large = service.graphql(query, {"size": later["treeSize"] + 1})
    assert too_large["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert "earlierSize" in too_large["errors"][0]["message"]


def test_what_is_none_of_ones_own_is_not_proved(service: RunningService, other_tenant: RunningService) -> None:
    fire(service, 2)
    fire(other_tenant, 2)
    sealed(service)
    sealed(other_tenant)
    query = f"query ($id: ID!) {{ {PROOF} }}"

    for foreign in (events_of(other_tenant)[0]["id"], "evt_AAAAAAAAAAEAAAAAAAAAAQ", "alr_x", ""):
        assert service.data(query, {"id": foreign}) == {"auditProof": None}
    scoped = service.data(
        """mutation ($input: ApiKeyInput!) { createApiKey(input: $input) { secret errors { message } } }""",
        {
            "input": {
                "name": "scoped",
                "role": "VIEWER",
                "matchers": [{"label": "team", "operator": "EQUAL", "value": "a"}],
            }
        },
    )["createApiKey"]["secret"]
    for document in (f"{{ auditHead {{ {HEAD} }} }}", "{ auditConsistency(earlierSize: 1) { path } }"):
        codes = [error["extensions"]["code"] for error in service.graphql(document, key=scoped)["errors"]]
        assert codes == ["FORBIDDEN"]
        codes = [
            error["extensions"]["code"] for error in service.graphql(document, key=service.ingest_key)["errors"]
        ]
        assert codes == ["FORBIDDEN"]
    event_id = events_of(service)[0]["id"]
    refused = service.graphql(query, {"id": event_id}, key=scoped)
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"


def test_what_was_changed_is_not_proved(service: RunningService) -> None:
    fire(service, 3)
    sealed(service)
    event = next(each for each in events_of(service) if each["kind"] == "TRIGGERED")
    changed = "UPDATE event SET content = replace(content, 'full', 'fine') WHERE {t} AND number = "
    execute(service, changed + str(event["number"]))

    answer = service.graphql(f"query ($id: ID!) {{ {PROOF} }}", {"id": event["id"]})

    assert answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert "audit verify" in answer["errors"][0]["message"]


def test_proofs_are_taken_away_and_checked_by_a_program_of_its_own(
    service: RunningService, tmp_path: Path
) -> None:
    environment, tenant = dict(service.environment), service.tenant
    fire(service, 9)
    sealed(service)
    earlier, proof, grown = tmp_path / "earlier.note", tmp_path / "proof.json", tmp_path / "grown.json"
    told = json.loads(run(environment, "audit", "checkpoint", "--tenant", tenant, "--json").stdout)
    earlier.write_text(run(environment, "audit", "checkpoint", "--tenant", tenant).stdout, encoding="utf-8")
    key, *_ = run(environment, "audit", "keys", "--tenant", tenant).stdout.split()  # A rotated one stays listed.
    number = str(told["lastNumber"])

    assert earlier.read_text(encoding="utf-8") == told["note"]
    assert key == told["key"]
    assert run(environment, "audit", "prove", number, "--tenant", tenant, "--out", str(proof)).exit_code == 0
    assert run(environment, "audit", "grown", "4", "--tenant", tenant, "--out", str(grown)).exit_code == 0

    # By our own command, which needs no database; then by the program of the documents.
    nowhere = {"CRITICAL_ALERT_DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    sound = run(nowhere, "audit", "check", str(proof), "--key", key)
    assert sound.exit_code == 0, sound.stderr
    assert sound.stdout.startswith(f"Event {number} stands unchanged in the log of {told['treeSize']} events")
    alone = checked(str(proof), key)
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout.startswith(f"Event {number} stands in the log")

    # And from what the API answers.
    event = next(each for each in events_of(service) if str(each["number"]) == number)
    answer = service.graphql(f"query ($id: ID!) {{ {PROOF} }}", {"id": event["id"]})
    (tmp_path / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
    alone = checked(str(tmp_path / "answer.json"), key)
    assert alone.returncode == 0, alone.stderr

    # Growth, with the checkpoint that was kept.
    fire(service, 7, "memory")
    sealed(service)
    file = json.loads(run(environment, "audit", "grown", str(told["treeSize"]), "--tenant", tenant).stdout)
    grown.write_text(json.dumps(file), encoding="utf-8")
    sound = run(nowhere, "audit", "check", str(grown), "--key", key, "--earlier", str(earlier), "--json")
    assert json.loads(sound.stdout)["sound"] is True
    assert checked(str(grown), key, str(earlier)).returncode == 0

    # Whatever is changed in them, they prove nothing any more.
    original = json.loads(proof.read_text(encoding="utf-8"))
    for change in (
        {"content": original["content"].replace("full", "fine")},
        {"number": original["number"] - 1},
        {"leafIndex": original["leafIndex"] - 1},
        {"leafHash": "00" * 32},
        {"inclusionPath": original["inclusionPath"][:-1]},
        {"checkpoint": original["checkpoint"].replace("signedAt 2", "signedAt 3")},
    ):
        proof.write_text(json.dumps({**original, **change}), encoding="utf-8")
        assert run(nowhere, "audit", "check", str(proof), "--key", key).exit_code == 1, change
        assert checked(str(proof), key).returncode == 1, change
    for change in ({"path": file["path"][1:]}, {"earlierSize": file["earlierSize"] - 1}):
        grown.write_text(json.dumps({**file, **change}), encoding="utf-8")
        assert run(nowhere, "audit", "check", str(grown), "--key", key, "--earlier", str(earlier)).exit_code == 1
        assert checked(str(grown), key, str(earlier)).returncode == 1


def test_somebody_elses_key_proves_nothing(
    service: RunningService, other_tenant: RunningService, tmp_path: Path
) -> None:
    for each in (service, other_tenant):
        fire(each, 2)
        sealed(each)
    environment, proof = dict(service.environment), tmp_path / "proof.json"
    run(environment, "audit", "prove", "1", "--tenant", service.tenant, "--out", str(proof))
    other, *_ = run(environment, "audit", "keys", "--tenant", other_tenant.tenant).stdout.split()

    refused = run({}, "audit", "check", str(proof), "--key", other)

    assert refused.exit_code == 1
    assert "not signed by a key that is believed" in refused.stdout
    assert checked(str(proof), other).returncode == 1
    assert "--key" in sentence(run({}, "audit", "check", str(proof)))
    for arguments in (
        ("audit", "check", str(tmp_path / "none"), "--key", other),
        ("audit", "check", str(CHECK_PROOF), "--key", other),
        ("audit", "check", str(proof), "--key", "mistyped"),
        ("audit", "prove", "999999999", "--tenant", service.tenant),
        ("audit", "grown", "999999999", "--tenant", service.tenant),
        ("audit", "verify", "--tenant", service.tenant, "--against", str(proof)),
        ("audit", "verify", "--against", str(proof)),
        ("audit", "restart", "--tenant", service.tenant, "--reason", "none"),
    ):
        done = run(environment, *arguments)
        assert done.exit_code in (1, 2), arguments
        assert sentence(done).startswith("alertgraph: ")


def test_a_log_that_was_taken_back_is_known_by_a_checkpoint_that_was_kept(
    service: RunningService, tmp_path: Path
) -> None:
    environment, tenant, kept = dict(service.environment), service.tenant, tmp_path / "kept.note"
    fire(service, 4)
    head = sealed(service)
    kept.write_text(run(environment, "audit", "checkpoint", "--tenant", tenant).stdout, encoding="utf-8")
    sound = run(environment, "audit", "verify", "--tenant", tenant, "--against", str(kept))
    assert sound.exit_code == 0, sound.stdout
    assert f"signed up to event {head['treeSize']}" in sound.stdout

    # Nothing is left of the last two events, of the checkpoint, or of what the service itself keeps elsewhere.
    size = head["treeSize"] - 2
    execute(
        service,
        f"DELETE FROM event WHERE {{t}} AND number > {size}",
        f"UPDATE event SET link = leaf WHERE {{t}} AND number = {size} AND link IS NULL",
        f"UPDATE tenant_head h SET number = {size}, link = e.link, leaf = e.leaf FROM event e "
        f"WHERE h.{{t}} AND e.{{t}} AND e.number = {size}",
        "DELETE FROM audit_checkpoint WHERE {t}",
        "DELETE FROM audit_tile WHERE {t}",
        "DELETE FROM audit_tree WHERE {t}",
    )
    for path in checkpoint_dir(read_settings(environment)).glob("*.checkpoint"):
        if note_of(head) == path.read_text(encoding="utf-8"):
            path.unlink()

    taken_back = run(environment, "audit", "verify", "--tenant", tenant, "--against", str(kept), "--json")

    assert taken_back.exit_code == 1
    assert json.loads(taken_back.stdout)["fault"] is not None


@pytest.mark.parametrize("what", ["cut", "rewritten"])
def test_what_contradicts_a_checkpoint_is_told_and_begun_anew_by_the_operator(
    service: RunningService, what: str
) -> None:
    environment, tenant = dict(service.environment), service.tenant
    fire(service, 4)
    size = sealed(service)["treeSize"]
    statement = {
        "cut": f"DELETE FROM event WHERE {{t}} AND number = {size}",
        "rewritten": f"UPDATE event SET leaf = sha256(leaf) WHERE {{t}} AND number = {size}",
    }[what]
    execute(service, statement)
    fire(service, 2, "more")
    sealed(service)
    query = "{ engineHealth { healthy violations { invariant text count } } }"
    health = service.data(query)["engineHealth"]
    told = [each for each in health["violations"] if each["invariant"] == "AUDIT_REFUSED"]
    assert not health["healthy"]
    assert "not sealed any more" in told[0]["text"]
    with service.client() as client:
        figures = client.get("/metrics").text
    refused = next(line for line in figures.splitlines() if line.startswith("alertgraph_audit_refused_logs "))
    assert float(refused.split()[1]) >= 1
    assert run(environment, "audit", "verify", "--tenant", tenant).exit_code == 1

    done = run(environment, "audit", "restart", "--tenant", tenant, "--reason", "disk lost", "--json")

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["logEpoch"] == 2
    head = service.data(f"{{ auditHead {{ {HEAD} }} }}")["auditHead"]
    assert "/2/1+" in head["keyId"]
    assert service.data(query)["engineHealth"]["violations"] == [
        each for each in health["violations"] if each["invariant"] != "AUDIT_REFUSED"
    ]
    [event] = service.data(
        '{ events(filter: {subjectType: ["AuditLog"]}, last: 1) { nodes { detail summary } } }'
    )["events"]["nodes"]
    assert event["detail"]["detail"] == {"reason": "disk lost"}
    assert "audit log" in event["summary"]


def test_a_key_is_rotated_and_the_old_one_stays_listed(service: RunningService) -> None:
    environment, tenant = dict(service.environment), service.tenant
    fire(service, 2)
    first = sealed(service)
    before = run(environment, "audit", "keys", "--tenant", tenant, "--json").stdout.splitlines()

    rotated = json.loads(run(environment, "audit", "rotate-key", "--json").stdout)

    listed = run(environment, "audit", "keys", "--tenant", tenant, "--json").stdout.splitlines()
    keys = [json.loads(line) for line in listed]
    assert len(keys) == len(before) + 1
    assert [key["signs"] for key in keys] == [True] + [False] * len(before)
    assert keys[0]["publicKey"] == rotated["publicKey"]
    assert first["publicKey"] in [base64.b64encode(bytes.fromhex(key["publicKey"])).decode() for key in keys[1:]]
    assert run(environment, "audit", "verify", "--tenant", tenant).exit_code == 0
