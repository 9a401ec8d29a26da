"""What several of the tests of hardship need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alertgraph.storage.embedded import EmbeddedPostgres
from alertgraph.storage.migrate import upgrade
from tests.faults.stores import Postgres
from tests.servers import short_directory, wheel_pg_bin


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of the module's own, which it may ill-treat."""
    with (
        short_directory() as directory,
        EmbeddedPostgres(directory, pg_bin=wheel_pg_bin(), server_settings={"max_connections": "100"}) as embedded,
    ):
        upgrade(embedded.url)
        yield Postgres(embedded)
