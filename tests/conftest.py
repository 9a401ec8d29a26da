"""What every test may ask for: a database of its own, a Redis of its own, a directory, a free port."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.servers import DatabaseServer, DatabaseServers, RedisServer, short_directory
from tests.servers import free_port as find_free_port
from tests.thoroughness import examples

if TYPE_CHECKING:
    from tests.running import RunningService

# What the service says in a test's own process goes where pytest looks for it, not into what a command prints.
structlog.configure(
    processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)

# A failure in CI is the same failure on the desk; `--hypothesis-profile=explore` looks for new ones, and
# THOROUGHNESS=10 tries ten times as much.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=examples(50),
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "both_servers: runs on the wheel's PostgreSQL and on Debian's (or CRITICAL_ALERT_TEST_DATABASE_URL)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_server" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both_servers") is not None
        names = DatabaseServers.NAMES if both else DatabaseServers.NAMES[:1]
        servers = [pytest.param(name, marks=[pytest.mark.second_server] * (name != names[0])) for name in names]
        metafunc.parametrize("database_server", servers, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect thousands of tests without looking for garbage among them, neither now nor with each test."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def database_servers() -> Iterator[DatabaseServers]:
    """The PostgreSQL servers of this worker."""
    servers = DatabaseServers()
    yield servers
    servers.close()


@pytest.fixture
def database_server(request: pytest.FixtureRequest, database_servers: DatabaseServers) -> DatabaseServer:
    """The server that this test runs on."""
    return database_servers.get(request.param)


@pytest.fixture
def database_url(database_server: DatabaseServer) -> Iterator[str]:
    """A database with the whole schema and no rows, of a login that is no superuser."""
    with database_server.database(migrated=True) as url:
        yield url


@pytest.fixture
def empty_database_url(database_server: DatabaseServer) -> Iterator[str]:
    """A database without any table."""
    with database_server.database(migrated=False) as url:
        yield url


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis that the test may kill, restart or pause."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of a running, empty Redis."""
    return redis_server.url


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory for the application: short of path, and open to the account PostgreSQL runs as."""
    with short_directory() as directory:
        yield directory


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses."""
    return find_free_port()


@pytest.fixture(scope="session")
def shared_service(database_servers: DatabaseServers) -> Iterator[tuple[str, dict[str, str]]]:
    """One running alertgraph for all tests of this worker: its URL and its variables. Tenants keep tests apart."""
    from tests.running import served_in_thread

    # A walk through the whole schema asks in a minute what a caller asks in an hour.
    budget = {"CRITICAL_ALERT_COST_BUDGET": "10000000"}
    with database_servers.get("wheel").database(migrated=True) as url, served_in_thread(url, **budget) as running:
        yield running


@pytest.fixture
def service(shared_service: tuple[str, dict[str, str]]) -> RunningService:
    """A tenant of its own on a running alertgraph."""
    return _new_tenant(shared_service)


@pytest.fixture
def other_tenant(shared_service: tuple[str, dict[str, str]]) -> RunningService:
    """Another tenant on the same alertgraph."""
    return _new_tenant(shared_service)


def _new_tenant(running: tuple[str, dict[str, str]]) -> RunningService:
    from tests.running import new_tenant

    return new_tenant(*running, f"t-{uuid4().hex[:12]}")
