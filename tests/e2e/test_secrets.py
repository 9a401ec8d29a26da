"""What is secret stays where it belongs: no key, note or password in logs, figures, errors or tables."""

from __future__ import annotations

import asyncio
import base64
import re
import subprocess
import sys
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx2
import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from alertgraph.edge.app import Application
from alertgraph.settings import SettingsError, read_settings
from tests.running import MASTER_KEY, RunningService, ServiceProcess, environment_of
from tests.servers import free_port

KEY = f"ag_kanarie0_{token_hex(24)}"
WRONG_KEY = f"ag_nobodys0_{token_hex(24)}"
NOTE = f"a note for nobody else {token_hex(8)}"
PROTOCOL = Subprotocol("graphql-transport-ws")


@dataclass
class Watched:
    """A service in a process of its own, with everything it says."""

    url: str
    log_path: Path
    database_url: str
    replies: list[httpx2.Response] = field(default_factory=list)

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_path.read_text(encoding="utf-8")

    def ask(self, method: str, path: str, key: str | None = KEY, **more: Any) -> httpx2.Response:
        """Send a request and keep the reply."""
        headers = {**({"authorization": f"Bearer {key}"} if key else {}), **more.pop("headers", {})}
        with httpx2.Client(base_url=self.url, verify=False, timeout=30.0) as client:
            self.replies.append(client.request(method, path, headers=headers, **more))
        return self.replies[-1]

    def graphql(self, query: str, variables: Any = None, key: str | None = KEY) -> dict[str, Any]:
        """Return the whole answer to an operation."""
        return dict(self.ask("POST", "/graphql", key, json={"query": query, "variables": variables}).json())

    def said(self) -> str:
        """Return everything that anybody but the owner of a secret might read."""
        told = [f"{reply.status_code} {dict(reply.headers)} {reply.text}" for reply in self.replies]
        return "\n".join([self.log, *told])


@pytest.fixture(params=["json", "console"])
def watched(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[Watched]:
    """A service that tells as much as it ever does."""
    environment = environment_of(
        database_url,
        CRITICAL_ALERT_LOG_LEVEL="debug",
        CRITICAL_ALERT_LOG_FORMAT=request.param,
        CRITICAL_ALERT_BOOTSTRAP_API_KEY=KEY,
    )
    service = ServiceProcess(environment).start(tmp_path / "log")
    try:
        yield Watched(service.url, tmp_path / "log", database_url)
    finally:
        assert service.stop() == 0


def parts(secret: str) -> set[str]:
    """Return a secret as it might be found: plain, or in the forms that programs turn things into."""
    raw = secret.encode()
    return {secret, secret.replace(" ", ""), base64.b64encode(raw).decode().rstrip("="), raw.hex()}


def key_parts(secret: str) -> set[str]:
    """Return the forms of an API key's secret part; its first eleven characters only tell keys apart."""
    return parts(secret) | parts(secret[11:])


def password_of(database_url: str) -> str:
    password = urlsplit(database_url).password
    assert password, "the tests' login has a password"
    return password


async def use_sockets(watched: Watched) -> None:
    url = watched.url.replace("http", "ws", 1) + "/graphql"
    for key in (KEY, WRONG_KEY):
        async with connect(url, subprotocols=[PROTOCOL], close_timeout=1) as socket:
            init = {"type": "connection_init", "payload": {"authorization": f"Bearer {key}"}}
            await socket.send(orjson.dumps(init).decode())
            try:
                assert key == KEY or not await asyncio.wait_for(socket.recv(), 5)
                subscribe = {"query": "subscription { alertEvents { id note } }"}
                await socket.send(orjson.dumps({"id": "1", "type": "subscribe", "payload": subscribe}).decode())
                await socket.send(f'{{"type": "bogus {key}"}}')
                await asyncio.wait_for(socket.wait_closed(), 5)
            except ConnectionClosed:
                assert key == WRONG_KEY
        assert key not in (socket.close_reason or "")


def use_everything(watched: Watched) -> tuple[str, str]:
    """Put secrets wherever they may be put, and where they must not; return those of another key."""
    basic = base64.b64encode(f"user:{KEY}".encode()).decode()
    wrong_basic = base64.b64encode(f"user:{WRONG_KEY}".encode()).decode()
    created = watched.graphql('mutation { createAlert(input: {title: "A", severity: LOW}) { alert { id } } }')
    alert_id = created["data"]["createAlert"]["alert"]["id"]
    act = "mutation($i: AddAlertNoteInput!) { addAlertNote(input: $i) { changed errors { message } } }"
    assert watched.graphql(act, {"i": {"alertId": alert_id, "note": NOTE}})["data"]["addAlertNote"]["changed"]
    # Refused, with the note in the request.
    watched.graphql(act, {"i": {"alertId": "unknown", "note": NOTE}})
    watched.graphql(act, {"i": {"alertId": alert_id, "note": NOTE, "idempotencyKey": ""}})
    made = watched.graphql(
        'mutation { createApiKey(input: {name: "other", role: VIEWER}) { secret apiKey { id } } }'
    )["data"]["createApiKey"]
    rotated = watched.graphql(
        "mutation($i: RotateApiKeyInput!) { rotateApiKey(input: $i) { secret } }",
        {"i": {"id": made["apiKey"]["id"]}},
    )["data"]["rotateApiKey"]
    watched.replies.clear()  # The secrets of new keys are told there, and there only.

    def refused(path: str, status: int, **more: Any) -> None:
        reply = watched.ask("GET", path, more.pop("key", None), **more)
        assert reply.status_code == status, f"{path}: {reply.status_code} {reply.text}"

    for name in ("access_token", "api_key", "key", "token", "authorization"):
        refused("/graphql", 401, params={"query": "{ viewer { role } }", name: KEY})
        refused("/api/v2/alerts", 401, params={name: KEY})
        refused(f"/api/v1/critical-alerts/{alert_id}", 401, params={name: KEY})
    refused(f"/api/v1/critical-alerts/{KEY}", 404, key=KEY)
    refused(f"/{KEY}", 404)
    refused(f"/alertmanager/{KEY}/api/v2/{KEY}", 404, key=KEY)
    # As Alertmanager does, the path is said back to who sent it.
    watched.replies.pop()
    for header in (
        f"Bearer {WRONG_KEY}",
        f"Basic {wrong_basic}",
        WRONG_KEY,
        f"Bearer {KEY} {WRONG_KEY}",
        f"Token {KEY}",
    ):
        for path in ("/graphql", "/graphql/stream", "/api/v2/alerts", "/api/v2/status"):
            refused(path, 401, headers={"authorization": header}, params={"query": "{ viewer { role } }"})
    refused("/api/v2/alerts", 200, headers={"authorization": f"Basic {basic}"})
    refused("/metrics", 200)
    refused("/readyz", 200)
    asyncio.run(use_sockets(watched))
    return made["secret"], rotated["secret"]


def test_no_secret_is_told(watched: Watched) -> None:
    secret, rotated = use_everything(watched)
    asyncio.run(cut_connections(watched.database_url))
    answers = [watched.graphql("{ viewer { subject } alerts { totalCount } }") for _ in range(5)]
    assert any("data" in answer for answer in answers), "the service finds its database again"
    dump = asyncio.run(all_tables(watched.database_url))
    break_down(watched)
    watched.ask("GET", "/metrics", None)

    assert "SQLSTATE 23514 broken" in watched.log, "what went wrong is told to who can mend it"
    said = watched.said()
    assert not re.search(r"ag_[\w-]{8}_[\w-]", said), "nor of a key that came to nothing"
    # However it is folded and framed.
    said += re.sub(r"[\s│]+", "", said)
    for each in key_parts(KEY) | key_parts(secret) | key_parts(rotated):
        assert each not in said
    for each in parts(WRONG_KEY) | parts(NOTE) | parts(password_of(watched.database_url)) | parts(MASTER_KEY):
        assert each not in said
    assert "Traceback" not in "".join(reply.text for reply in watched.replies)
    for each in key_parts(KEY) | key_parts(secret) | key_parts(rotated) | parts(NOTE) | parts(MASTER_KEY):
        assert each not in dump
    assert "other" in dump, "names are kept as they are"


def break_down(watched: Watched) -> None:
    """Have requests with secrets fail for reasons that nobody has thought of."""
    asyncio.run(
        execute(
            watched.database_url,
            "ALTER TABLE alertgraph.event ADD CONSTRAINT broken CHECK (false) NOT VALID",
            "ALTER TABLE alertgraph.api_key ADD CONSTRAINT broken CHECK (false) NOT VALID",
        )
    )
    fire = 'mutation { createAlert(input: {title: "B", severity: LOW}) { alert { id } errors { message } } }'
    key = 'mutation { createApiKey(input: {name: "third", role: VIEWER}) { secret errors { message } } }'
    note = "mutation($i: AddAlertNoteInput!) { addAlertNote(input: $i) { changed errors { message } } }"
    [alert] = watched.graphql("{ alerts(first: 1) { nodes { id } } }")["data"]["alerts"]["nodes"]
    for query, variables in ((fire, {}), (key, {}), (note, {"i": {"alertId": alert["id"], "note": NOTE}})):
        answer = watched.graphql(query, variables)
        assert {error["extensions"]["code"] for error in answer["errors"]} <= {"INTERNAL", "UNAVAILABLE"}, answer
        assert "broken" not in str(answer), "reasons are for the log"


async def execute(database_url: str, *statements: str) -> None:
    """Run statements as the owner of the tables."""
    connection = await asyncpg.connect(database_url, server_settings={"role": "ag_owner"})
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def cut_connections(database_url: str) -> None:
    """End the service's connections, so that it has to say that something went wrong."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


async def all_tables(database_url: str) -> str:
    """Return everything that the owner of the tables can read, bytes as what they are."""
    connection = await asyncpg.connect(database_url, server_settings={"role": "ag_owner"})
    try:
        tables = await connection.fetch(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name"
            " FROM pg_tables WHERE schemaname = 'alertgraph'"
        )
        found = []
        for table in tables:
            for row in await connection.fetch(f"SELECT * FROM {table['name']}"):
                found += [
                    value.decode("latin-1") + value.hex() if isinstance(value, bytes) else str(value)
                    for value in row
                ]
        notes = await connection.fetch("SELECT content FROM alertgraph.event WHERE content LIKE '%\"note\"%'")
        assert notes, "a note was written"
        for row in notes:
            sealed = orjson.loads(row["content"])["note"]
            found.append(base64.b64decode(sealed, validate=True).decode("latin-1"))
        return "\n".join(found)
    finally:
        await connection.close()


def test_labels_of_figures_are_patterns(service: RunningService) -> None:
    def labels_after(*names: str) -> set[str]:
        with service.client() as client:
            for name in names:
                client.get(f"/api/v1/critical-alerts/{name}")
                client.put(f"/api/v1/critical-alerts/{name}/escalate")
                client.get(f"/alertmanager/{name}/api/v2/alerts")
                client.get(f"/api/v2/{name}")
                client.get(f"/{name}")
            client.get("/")
            return set(re.findall(r'route="([^"]*)"', client.get("/metrics").text))

    labels_after("first")
    known = labels_after("second", "alerts")

    assert {"unmatched", "/api/v1/critical-alerts/{id}", "/alertmanager/{prefix}/api/v2/{path:path}"} <= known
    # A part of the path that occurs earlier in it, too, is no other route.
    parts_of_paths = ("a", "i", "v1", "/", "critical-alerts", "alerts", "%7Bid%7D", "a%2Fb", service.admin_key)
    assert labels_after(*parts_of_paths) == known


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://someone:kanarie-password@127.0.0.1:{port}/nothing"),
        ("DATABASE_URL", "postgresql://someone:kanarie-password@/nothing?host=/nowhere"),
        ("DATABASE_URL", "mysql://someone:kanarie-password@127.0.0.1/nothing"),
        ("REDIS_URL", "redis://:kanarie-password@127.0.0.1:{port}/0"),
        ("REDIS_URL", "http://:kanarie-password@127.0.0.1/0"),
        ("MASTER_KEY", "kanarie-password"),
        ("BOOTSTRAP_API_KEY", "kanarie-password"),
    ],
)
async def test_a_start_that_fails_says_why_and_no_secret(
    name: str, value: str, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    environment = environment_of(database_url, CRITICAL_ALERT_LOG_LEVEL="debug")
    environment[f"CRITICAL_ALERT_{name}"] = value.format(port=free_port())

    reason = await reason_not_to_start(environment)

    said = "".join([reason, *capfd.readouterr()])
    assert "kanarie-password" not in said
    assert password_of(database_url) not in said
    assert "Traceback" not in said
    assert len(reason) > 30, "a sentence says what to do"


async def reason_not_to_start(environment: dict[str, str]) -> str:
    """Start the application as a server does, and return why it refuses."""
    try:
        application = Application(read_settings(environment))
    except SettingsError as error:
        return str(error)
    answers = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message["type"])

    await application({"type": "lifespan"}, receive, send)
    assert answers == ["lifespan.startup.failed"]
    return str(application.start_error)


def test_a_new_key_is_printed_once_and_never_logged(database_url: str, tmp_path: Path) -> None:
    """Also by a server that is not ours: standard output is for the person, standard error for the log."""
    environment = environment_of(database_url)
    port = free_port()
    with (tmp_path / "out").open("wb") as out, (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "critical_alert_service:app", "--port", str(port)],
            env=environment,
            cwd=Path(__file__).parents[2],
            stdout=out,
            stderr=log,
        )
        try:
            _wait_until_up(f"http://127.0.0.1:{port}", server)
        finally:
            server.terminate()
            server.wait(30)

    printed = re.findall(r"ag_[\w-]{8}_[\w-]+", (tmp_path / "out").read_text())
    assert len(printed) == 1
    assert printed[0] not in (tmp_path / "log").read_text()


def _wait_until_up(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, "the server has ended"
        try:
            if httpx2.get(f"{url}/readyz", timeout=1.0, verify=False).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.05)
    pytest.fail("the server is not up")
