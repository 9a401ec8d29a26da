"""Registered documents on the whole service: over every transport, in every mode, and from the command line."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from tests.e2e.test_cli import run, run_process, sentence
from tests.running import RunningService
from tests.sockets import opened

JSON = "application/json"
RESPONSE = "application/graphql-response+json"
QUERY = "query Role { viewer { role } }"
ANSWER = {"viewer": {"role": "ADMIN"}}
MUTATION = 'mutation Fire { createAlert(input: {title: "t", severity: LOW}) { created } }'
SUBSCRIPTION = "subscription Events { alertEvents { number } }"
MODE = """mutation Mode($mode: DocumentMode!) { updateTenantSettings(input: {documentMode: $mode}) {
  settings { documentMode } errors { message } } }"""


LONG = f"{{ {'viewer ' * 2001} }}"


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def by_id(text: str, **more: object) -> dict[str, Any]:
    return {"documentId": f"sha256:{hash_of(text)}", **more}


def by_hash(text: str, **more: object) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_of(text)}}, **more}


def post(service: RunningService, body: dict[str, Any], accept: str = JSON) -> httpx2.Response:
    with service.client() as client:
        return client.post("/graphql", json=body, headers={"Accept": accept})


def code_of(reply: httpx2.Response) -> str:
    payload = reply.json()
    assert "data" not in payload
    [error] = payload["errors"]
    assert error["extensions"]["requestId"] == reply.headers["x-request-id"]
    return str(error["extensions"]["code"])


def set_mode(service: RunningService, mode: str) -> None:
    payload = service.data(MODE, {"mode": mode})["updateTenantSettings"]
    assert payload == {"settings": {"documentMode": mode}, "errors": []}


def command(service: RunningService, *arguments: str) -> str:
    done = run(service.environment, "documents", *arguments, "--tenant", service.tenant)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def trust(service: RunningService, tmp_path: Path) -> Callable[..., None]:
    """Registers documents as an operator does, in another process's name: it takes up to 2 s to be noticed."""

    def trust(*texts: str) -> None:
        file = tmp_path / "manifest.json"
        file.write_text(json.dumps({hash_of(text): text for text in texts}))
        command(service, "import", str(file))

    return trust


def eventually(
    reply: Callable[[], httpx2.Response], condition: Callable[[httpx2.Response], bool]
) -> httpx2.Response:
    deadline = time.monotonic() + 5
    while not condition(answer := reply()):
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)
    return answer


# -------------------------------------------------------------------------------------------- modes


def test_by_default_everything_is_executed_and_registered_documents_by_their_hash(
    service: RunningService, trust: Callable[..., None]
) -> None:
    assert service.data("{ viewer { tenant { settings { documentMode } } } }") == {
        "viewer": {"tenant": {"settings": {"documentMode": "OPEN"}}}
    }
    assert code_of(post(service, by_id(QUERY))) == "DOCUMENT_NOT_FOUND"
    assert post(service, by_hash(QUERY)).json()["errors"][0]["message"] == "PersistedQueryNotSupported"
    assert post(service, by_hash(QUERY, query=QUERY)).json()["data"] == ANSWER
    assert code_of(post(service, by_hash(QUERY))) == "PERSISTED_QUERY_NOT_SUPPORTED"

    trust(QUERY)

    for body in (by_id(QUERY), by_hash(QUERY), by_id(QUERY, query=QUERY, operationName="Role")):
        assert post(service, body).json()["data"] == ANSWER


@pytest.mark.parametrize(("accept", "status"), [(JSON, 200), (RESPONSE, 400)])
@pytest.mark.parametrize("named", [by_id, by_hash])
def test_a_client_registers_what_it_sends_with_its_hash(
    service: RunningService, named: Callable[..., dict[str, Any]], accept: str, status: int
) -> None:
    set_mode(service, "APQ")
    code, message = (
        ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
        if named is by_hash
        else ("DOCUMENT_NOT_FOUND", f"No document `sha256:{hash_of(QUERY)}` is registered.")
    )
    unknown = post(service, named(QUERY), accept)
    assert (unknown.status_code, code_of(unknown)) == (status, code)
    assert unknown.json()["errors"][0]["message"] == message

    assert post(service, {"query": QUERY}).json()["data"] == ANSWER
    assert code_of(post(service, named(QUERY))) == code
    assert post(service, named(QUERY, query=QUERY), accept).json()["data"] == ANSWER
    assert post(service, named(QUERY), accept).json()["data"] == ANSWER

    broken = "query { nothing }"
    assert code_of(post(service, named(broken, query=broken))) == "VALIDATION_FAILED"
    assert code_of(post(service, named(broken))) == code


def test_only_trusted_documents_are_executed_where_a_tenant_wants_so(
    service: RunningService, trust: Callable[..., None]
) -> None:
    set_mode(service, "APQ")
    automatic = "query Automatic { viewer { subject } }"
    assert "data" in post(service, by_hash(automatic, query=automatic)).json()
    trust(QUERY)
    set_mode(service, "TRUSTED_ONLY")

    assert post(service, by_id(QUERY)).json()["data"] == ANSWER
    assert post(service, by_hash(QUERY)).json()["data"] == ANSWER
    assert post(service, {"query": QUERY}).json()["data"] == ANSWER
    for text in (
        "{ viewer { role } }",
        "{ __schema { queryType { name } } }",
        "{",
        "{ nothing }",
        MODE,
        automatic,
    ):
        refused = post(service, {"query": text, "variables": {"mode": "OPEN"}}, RESPONSE)
        assert (refused.status_code, code_of(refused)) == (400, "DOCUMENT_NOT_FOUND")
        assert "only registered ones are executed" in refused.json()["errors"][0]["message"]
        assert code_of(post(service, by_hash(text, query=text))) == "DOCUMENT_NOT_FOUND"
    assert code_of(post(service, by_id(automatic))) == "DOCUMENT_NOT_FOUND"
    assert code_of(post(service, by_hash(automatic))) == "PERSISTED_QUERY_NOT_FOUND"

    # Nobody can change it from inside: the operator lets them in again.
    assert command(service, "mode", "open").startswith("open: any document")
    eventually(lambda: post(service, {"query": "{ viewer { role } }"}), lambda reply: "data" in reply.json())


def test_what_one_tenant_has_registered_is_unknown_to_another(
    service: RunningService, other_tenant: RunningService, trust: Callable[..., None]
) -> None:
    set_mode(service, "APQ")
    trust(QUERY)
    automatic = "query Automatic { viewer { subject } }"
    post(service, by_hash(automatic, query=automatic))
    never = "query Never { viewer { subject role } }"
    for mode in ("OPEN", "APQ"):
        set_mode(other_tenant, mode)
        for named in (by_id, by_hash):
            answers = []
            for text in (QUERY, automatic, never):
                reply = post(other_tenant, named(text))
                code_of(reply)
                answers.append((reply.status_code, reply.text.replace(hash_of(text), "H").split("requestId")[0]))
            assert len(set(answers)) == 1
    set_mode(other_tenant, "TRUSTED_ONLY")
    assert code_of(post(other_tenant, {"query": QUERY})) == "DOCUMENT_NOT_FOUND"


def test_a_change_of_the_mode_is_in_the_log(service: RunningService) -> None:
    set_mode(service, "APQ")

    log = service.data("{ events(last: 1) { nodes { kind changes { field before after } } } }")
    assert log["events"]["nodes"][-1]["changes"] == [{"field": "documentMode", "before": "OPEN", "after": "APQ"}]


# --------------------------------------------------------------------------------------- transports


def test_a_url_may_name_a_query_and_nothing_else(service: RunningService, trust: Callable[..., None]) -> None:
    trust(QUERY, MUTATION)
    with service.client() as client:
        for parameters in (by_id(QUERY), {"extensions": json.dumps(by_hash(QUERY)["extensions"])}):
            assert client.get("/graphql", params=parameters).json()["data"] == ANSWER
        mutation = client.get("/graphql", params=by_id(MUTATION))
        wrong = client.get("/graphql", params={"documentId": "mine"})
        none = client.get("/graphql")

    assert (mutation.status_code, mutation.headers["allow"]) == (405, "POST")
    assert (wrong.status_code, code_of(wrong)) == (400, "BAD_REQUEST")
    assert (none.status_code, "documentId" in none.text) == (405, True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"documentId": 7}, "`documentId`"),
        (by_id(QUERY, query=MUTATION), "`documentId`"),
        (
            {"extensions": {"persistedQuery": {"version": 3, "sha256Hash": hash_of(QUERY)}}},
            "persistedQuery.version`",
        ),
        ({"extensions": {"persistedQuery": {"version": 1}}}, "persistedQuery.sha256Hash`"),
    ],
)
def test_a_name_that_is_none_is_a_bad_request(service: RunningService, body: dict[str, Any], field: str) -> None:
    reply = post(service, body)

    assert (reply.status_code, code_of(reply)) == (400, "BAD_REQUEST")
    assert field in reply.json()["errors"][0]["message"]


async def test_a_websocket_names_documents(service: RunningService, trust: Callable[..., None]) -> None:
    await asyncio.to_thread(trust, SUBSCRIPTION, QUERY)
    await asyncio.to_thread(set_mode, service, "TRUSTED_ONLY")
    async with opened(service.websocket_url, service.admin_key) as socket:

        async def say(id_: str, payload: dict[str, Any]) -> None:
            await socket.say({"id": id_, "type": "subscribe", "payload": payload})

        await say("1", by_hash(QUERY))
        assert (await socket.hear())["payload"]["data"] == ANSWER
        assert (await socket.hear())["type"] == "complete"
        for id_, body, code in (
            ("2", by_id("{x}"), "DOCUMENT_NOT_FOUND"),
            ("3", by_hash("{x}"), "PERSISTED_QUERY_NOT_FOUND"),
            ("4", {"query": "{ viewer { role } }"}, "DOCUMENT_NOT_FOUND"),
            ("5", {"documentId": "x"}, "BAD_REQUEST"),
        ):
            await say(id_, body)
            answer = await socket.hear()
            assert (answer["type"], answer["id"]) == ("error", id_)
            assert answer["payload"][0]["extensions"]["code"] == code
        await say("6", by_id(SUBSCRIPTION))
        await asyncio.sleep(0.2)
        with service.client(service.ingest_key) as client:
            body = {"title": "t", "severity": "LOW"}
            sent = await asyncio.to_thread(client.post, "/api/v1/critical-alerts", json=body)
        assert sent.status_code == 201
        assert (await socket.hear())["payload"]["data"]["alertEvents"]["number"] > 0


def test_an_event_stream_names_documents(service: RunningService, trust: Callable[..., None]) -> None:
    trust(QUERY)
    with service.client() as client:

        def heard(body: dict[str, Any]) -> Any:
            reply = client.post("/graphql/stream", json=body, headers={"Accept": "text/event-stream"})
            assert reply.status_code == 200
            return orjson.loads(reply.text.split("event: next\ndata: ")[1].split("\n")[0])

        assert heard(by_id(QUERY))["data"] == ANSWER
        for body, code in (
            (by_id("{x}"), "DOCUMENT_NOT_FOUND"),
            (by_hash("{x}"), "PERSISTED_QUERY_NOT_SUPPORTED"),
        ):
            assert heard(body)["errors"][0]["extensions"]["code"] == code
        wrong = client.post("/graphql/stream", json={"documentId": "x"})
    assert (wrong.status_code, code_of(wrong)) == (400, "BAD_REQUEST")


# ------------------------------------------------------------------------------------- command line


def test_a_manifest_is_imported_listed_and_removed(service: RunningService, tmp_path: Path) -> None:
    manifest = {
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [
            {"id": hash_of(QUERY), "name": "Role", "type": "query", "body": QUERY},
            {"id": hash_of(MUTATION), "name": "Fire", "type": "mutation", "body": MUTATION},
        ],
    }
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(manifest))

    assert command(service, "import", str(file)) == "2 documents are registered, 2 of them new.\n"
    again = json.loads(command(service, "import", str(file), "--json"))
    assert again == {"tenant": service.tenant, "documents": 2, "new": 0}
    listed = [json.loads(line) for line in command(service, "list", "--json").splitlines()]
    assert [(each["name"], each["source"], each["id"]) for each in listed] == [
        ("Fire", "manifest", f"sha256:{hash_of(MUTATION)}"),
        ("Role", "manifest", f"sha256:{hash_of(QUERY)}"),
    ]
    assert post(service, by_id(QUERY)).json()["data"] == ANSWER

    assert command(service, "remove", listed[1]["id"]) == "The document is removed.\n"
    assert command(service, "list").split()[0] == f"sha256:{hash_of(MUTATION)}"
    eventually(lambda: post(service, by_id(QUERY)), lambda reply: "errors" in reply.json())
    log = service.data("{ events(last: 2) { nodes { kind summary changes { field before after } } } }")["events"]
    assert [event["kind"] for event in log["nodes"]] == ["CONFIG_UPDATED", "CONFIG_UPDATED"]
    assert log["nodes"][1]["changes"] == [{"field": "count", "before": 2, "after": 1}]


def test_tail_follows_where_its_own_document_is_trusted(service: RunningService, tmp_path: Path) -> None:
    own = run(service.environment, "documents", "own")
    file = tmp_path / "own.json"
    file.write_text(own.stdout)
    set_mode(service, "TRUSTED_ONLY")
    refused = run_process(
        {**service.environment, "ALERTGRAPH_URL": service.url, "ALERTGRAPH_KEY": service.admin_key}, "tail"
    )
    assert (refused.returncode, "not registered" in sentence(refused)) == (1, True)

    command(service, "import", str(file))

    listed = [json.loads(line)["name"] for line in command(service, "list", "--json").splitlines()]
    assert "Tail" in listed


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not valid JSON"),
        ("[]", "JSON object"),
        (json.dumps({hash_of("{ nothing }"): "{ nothing }"}), "Cannot query field 'nothing'"),
        (json.dumps({hash_of(QUERY): QUERY, hash_of("{"): "{"}), f"sha256:{hash_of('{')}: Syntax Error"),
        (json.dumps({hash_of(LONG): LONG}), "more than 2000 words"),
    ],
)
def test_a_manifest_with_a_fault_registers_nothing(
    service: RunningService, tmp_path: Path, content: str, told: str
) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(content)

    refused = run(service.environment, "documents", "import", str(file), "--tenant", service.tenant)

    assert (refused.exit_code, told in sentence(refused)) == (1, True), refused.stderr
    assert command(service, "list") == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "Other"}, "Other: its text has no operation of that name"),
        ({"type": "mutation"}, "Role is a query, not a mutation"),
        ({"id": hash_of("x")}, "Operation Role: its id is not the SHA-256"),
    ],
)
def test_an_operation_that_is_not_what_the_manifest_says_is_named(
    service: RunningService, tmp_path: Path, changes: dict[str, str], told: str
) -> None:
    operation = {"id": hash_of(QUERY), "name": "Role", "type": "query", "body": QUERY, **changes}
    file = tmp_path / "manifest.json"
    file.write_text(
        json.dumps({"format": "apollo-persisted-query-manifest", "version": 1, "operations": [operation]})
    )

    refused = run(service.environment, "documents", "import", str(file), "--tenant", service.tenant)

    assert (refused.exit_code, told in sentence(refused)) == (1, True), refused.stderr


def test_mistakes_at_the_command_line_are_one_sentence(service: RunningService, tmp_path: Path) -> None:
    for arguments, code in (
        (("import", str(tmp_path / "missing.json")), 1),
        (("import", str(tmp_path)), 1),
        (("remove", "mine"), 1),
        (("remove", f"sha256:{hash_of('x')}"), 1),
        (("mode", "closed"), 2),
    ):
        refused = run(service.environment, "documents", *arguments, "--tenant", service.tenant)
        assert (refused.exit_code, sentence(refused).startswith("alertgraph: ")) == (code, True)
    nobody = run_process(service.environment, "documents", "list", "--tenant", "nobody")
    assert (nobody.returncode, "no tenant nobody" in sentence(nobody)) == (1, True)


def test_the_mode_is_told_where_none_is_given(service: RunningService) -> None:
    assert json.loads(command(service, "mode", "--json"))["mode"] == "OPEN"
    assert command(service, "mode", "trusted-only") == "trusted-only: only documents of manifests are executed.\n"
    assert json.loads(command(service, "mode", "--json"))["mode"] == "TRUSTED_ONLY"
